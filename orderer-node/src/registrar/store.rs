//! Which channels this node's administrator has joined, on disk: the join block of each, and marks of removals that have
//! begun. What is answered has been written before.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fabric_proto::ChannelId;

use crate::disk::{DirDisk, Disk, DiskError};

/// The folder of join blocks: `<channel>.block`, and `<channel>.removing` from the moment a removal begins until nothing
/// of the channel is left. Beside them `<channel>.taken-over` says what became of a chain of Fabric's own orderer.
#[derive(Debug)]
pub(super) struct JoinStore(Arc<dyn Disk>);

/// What the folder held when the node started.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// Channels with their join blocks.
    pub(super) joined: Vec<(ChannelId, Bytes)>,
    /// Channels whose removal has to be finished.
    pub(super) removing: Vec<ChannelId>,
}

/// What became of the chain of a channel that Fabric's own orderer left here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Its blocks up to this one are in the ledger, and the group is asked to go on after it.
    Asking(u64),
    /// The group has gone on; up to this block others had ordered it.
    Open(u64),
    /// The channel was removed since then. Its old files are not looked at again.
    Spent,
}

impl JoinStore {
    pub(super) fn open(dir: &Path) -> Result<(Self, Kept), DiskError> {
        Self::over(Arc::new(DirDisk::open(dir)?))
    }

    fn over(disk: Arc<dyn Disk>) -> Result<(Self, Kept), DiskError> {
        let mut kept = Kept::default();
        for name in disk.list()? {
            match parse(&name) {
                Some((channel, State::Joined)) => kept.joined.push((channel, read(&*disk, &name)?)),
                Some((channel, State::Removing)) => kept.removing.push(channel),
                Some((_, State::Marked)) => {}
                None if name == NEW => disk.remove(NEW)?,
                None => tracing::warn!(name, "a file that is no join block lies in the folder of joined channels"),
            }
        }
        Ok((Self(disk), kept))
    }

    /// Keeps the join block of a channel. Durable when this returns.
    pub(super) fn keep(&self, channel: &ChannelId, block: &[u8]) -> Result<(), DiskError> {
        self.write(&file_name(channel, State::Joined), block)
    }

    /// Notes what became of a chain that was found here. Durable when this returns.
    pub(super) fn mark(&self, channel: &ChannelId, mark: Mark) -> Result<(), DiskError> {
        self.write(&file_name(channel, State::Marked), mark.to_string().as_bytes())
    }

    /// What became of the chain that was found here, if one was.
    pub(super) fn marked(&self, channel: &ChannelId) -> Result<Option<Mark>, DiskError> {
        let name = file_name(channel, State::Marked);
        if !self.0.list()?.contains(&name) {
            return Ok(None);
        }
        let bytes = read(&*self.0, &name)?;
        // It is written whole or not at all; what somebody else put there keeps the chain from being taken twice.
        Ok(Some(std::str::from_utf8(&bytes).ok().and_then(Mark::parse).unwrap_or(Mark::Spent)))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        self.0.remove(NEW)?;
        let file = self.0.create(NEW)?;
        file.write_at(0, bytes)?;
        file.sync()?;
        self.0.rename(NEW, name)?;
        self.0.sync_names()
    }

    /// The join block of a channel.
    pub(super) fn read(&self, channel: &ChannelId) -> Result<Bytes, DiskError> {
        read(&*self.0, &file_name(channel, State::Joined))
    }

    /// Notes that a channel is being removed: after a crash nothing goes on with it but the removal.
    pub(super) fn begin_removal(&self, channel: &ChannelId) -> Result<(), DiskError> {
        self.0.rename(&file_name(channel, State::Joined), &file_name(channel, State::Removing))?;
        self.0.sync_names()
    }

    /// Forgets that a channel was joined, and nothing else.
    pub(super) fn forget(&self, channel: &ChannelId) -> Result<(), DiskError> {
        self.0.remove(&file_name(channel, State::Joined))?;
        self.0.sync_names()
    }

    /// Forgets a channel of which nothing is left.
    pub(super) fn end_removal(&self, channel: &ChannelId) -> Result<(), DiskError> {
        self.0.remove(&file_name(channel, State::Removing))?;
        self.0.sync_names()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Joined,
    Removing,
    Marked,
}

impl Mark {
    fn parse(text: &str) -> Option<Self> {
        match text.split_once(' ') {
            Some((ASKING, number)) => Some(Self::Asking(number.parse().ok()?)),
            Some((OPEN, number)) => Some(Self::Open(number.parse().ok()?)),
            _ => (text == SPENT).then_some(Self::Spent),
        }
    }
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Asking(number) => write!(f, "{ASKING} {number}"),
            Self::Open(number) => write!(f, "{OPEN} {number}"),
            Self::Spent => f.write_str(SPENT),
        }
    }
}

fn file_name(channel: &ChannelId, state: State) -> String {
    match state {
        State::Joined => format!("{channel}{JOINED}"),
        State::Removing => format!("{channel}{REMOVING}"),
        State::Marked => format!("{channel}{MARKED}"),
    }
}

fn parse(name: &str) -> Option<(ChannelId, State)> {
    let states = [(JOINED, State::Joined), (REMOVING, State::Removing), (MARKED, State::Marked)];
    let (channel, state) = states.iter().find_map(|(suffix, state)| Some((name.strip_suffix(suffix)?, *state)))?;
    Some((ChannelId::new(channel).ok()?, state))
}

fn read(disk: &dyn Disk, name: &str) -> Result<Bytes, DiskError> {
    let file = disk.open(name)?;
    let mut bytes = vec![0; usize::try_from(file.len()?).unwrap_or(usize::MAX)];
    file.read_at(0, &mut bytes)?;
    Ok(bytes.into())
}

// No channel name holds a capital letter, so no channel has a file of this name.
const NEW: &str = "NEW";
const JOINED: &str = ".block";
const REMOVING: &str = ".removing";
const MARKED: &str = ".taken-over";

const ASKING: &str = "asking";
const OPEN: &str = "open";
const SPENT: &str = "removed";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::disk::MemDisk;

    fn id(name: &str) -> ChannelId {
        ChannelId::new(name).unwrap()
    }

    fn reopen(disk: &MemDisk) -> Kept {
        JoinStore::over(Arc::new(disk.clone())).unwrap().1
    }

    #[test]
    fn what_was_kept_is_there_after_a_loss_of_power_and_a_removal_goes_on_where_it_stopped() {
        let disk = MemDisk::default();
        let (store, kept) = JoinStore::over(Arc::new(disk.clone())).unwrap();
        assert_eq!(kept, Kept::default());
        store.keep(&id("ch"), b"one").unwrap();
        store.keep(&id("a.removing"), b"two").unwrap();
        let joined = vec![(id("a.removing"), Bytes::from_static(b"two")), (id("ch"), Bytes::from_static(b"one"))];
        assert_eq!(reopen(&disk), Kept { joined: joined.clone(), removing: Vec::new() });
        store.begin_removal(&id("ch")).unwrap();
        assert_eq!(reopen(&disk), Kept { joined: joined[..1].to_vec(), removing: vec![id("ch")] });
        store.end_removal(&id("ch")).unwrap();
        assert_eq!(reopen(&disk), Kept { joined: joined[..1].to_vec(), removing: Vec::new() });
        store.forget(&id("a.removing")).unwrap();
        assert_eq!(reopen(&disk), Kept::default());
    }

    #[test]
    fn what_became_of_a_chain_that_was_found_outlives_the_channel() {
        let disk = MemDisk::default();
        let (store, _) = JoinStore::over(Arc::new(disk.clone())).unwrap();
        assert_eq!(store.marked(&id("ch")).unwrap(), None);
        for mark in [Mark::Asking(0), Mark::Asking(u64::MAX), Mark::Open(7), Mark::Spent] {
            store.mark(&id("ch"), mark).unwrap();
            assert_eq!(store.marked(&id("ch")).unwrap(), Some(mark));
        }
        store.keep(&id("ch"), b"one").unwrap();
        store.begin_removal(&id("ch")).unwrap();
        store.end_removal(&id("ch")).unwrap();
        assert_eq!(reopen(&disk), Kept::default());
        assert_eq!(store.marked(&id("ch")).unwrap(), Some(Mark::Spent));
        assert_eq!(store.marked(&id("h")).unwrap(), None);
    }

    #[test]
    fn a_join_block_that_was_not_written_to_its_end_was_never_joined() {
        let disk = MemDisk::default();
        disk.create(NEW).unwrap().write_at(0, b"half").unwrap();
        assert_eq!(reopen(&disk), Kept::default());
        assert!(disk.list().unwrap().is_empty());
    }
}
