//! Which channels this node's administrator has joined, on disk: the join block of each, and marks of removals that have
//! begun. What is answered has been written before.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fabric_proto::ChannelId;

use crate::disk::{DirDisk, Disk, DiskError};

/// The folder of join blocks: `<channel>.block`, and `<channel>.removing` from the moment a removal begins until nothing
/// of the channel is left.
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
                None if name == NEW => disk.remove(NEW)?,
                None => tracing::warn!(name, "a file that is no join block lies in the folder of joined channels"),
            }
        }
        Ok((Self(disk), kept))
    }

    /// Keeps the join block of a channel. Durable when this returns.
    pub(super) fn keep(&self, channel: &ChannelId, block: &[u8]) -> Result<(), DiskError> {
        self.0.remove(NEW)?;
        let file = self.0.create(NEW)?;
        file.write_at(0, block)?;
        file.sync()?;
        self.0.rename(NEW, &file_name(channel, State::Joined))?;
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
}

fn file_name(channel: &ChannelId, state: State) -> String {
    match state {
        State::Joined => format!("{channel}{JOINED}"),
        State::Removing => format!("{channel}{REMOVING}"),
    }
}

fn parse(name: &str) -> Option<(ChannelId, State)> {
    let joined = name.strip_suffix(JOINED).map(|channel| (channel, State::Joined));
    let (channel, state) = joined.or_else(|| Some((name.strip_suffix(REMOVING)?, State::Removing)))?;
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
    fn a_join_block_that_was_not_written_to_its_end_was_never_joined() {
        let disk = MemDisk::default();
        disk.create(NEW).unwrap().write_at(0, b"half").unwrap();
        assert_eq!(reopen(&disk), Kept::default());
        assert!(disk.list().unwrap().is_empty());
    }
}
