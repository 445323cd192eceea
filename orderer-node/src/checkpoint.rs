//! Checkpoints on disk: the state after an instance, from which recovery starts.
//!
//! ```text
//! magic 8 | version u32 | group 32 | instance u64 | sessions length u64 | application length u64 | sessions | application | checksum u32
//! ```
//!
//! A checkpoint is written under a temporary name, synced, renamed, and its name synced: whatever happens in between,
//! the older ones stay. The newest that verifies is the one that counts. Two are kept, because the newest may turn out
//! to be damaged when it is needed; the journal reaches back behind both.

use std::sync::Arc;

use bytes::Bytes;
use mod_smart::codec::{CodecError, Reader};
use mod_smart::{GroupId, InstanceId};

use crate::disk::{Disk, DiskError};

/// The state of a replica after an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The instance after which it was taken.
    pub instance: InstanceId,
    /// The replicated part of the protocol core: the session windows.
    pub sessions: Bytes,
    /// The state of the application.
    pub application: Bytes,
}

/// The checkpoints of one ordering group.
#[derive(Debug)]
pub struct CheckpointStore {
    disk: Arc<dyn Disk>,
    group: GroupId,
    /// Instances of the checkpoints that are known to be good, oldest first.
    good: Vec<InstanceId>,
}

/// Why a checkpoint cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The disk failed. The older checkpoints are still there.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The state is larger than a checkpoint may be.
    #[error("a checkpoint of {bytes} bytes is larger than {BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The file is another group's.
    #[error("{file} belongs to ordering group {found}, not to {expected}")]
    OtherGroup {
        /// The name of the file.
        file: String,
        /// The group it names.
        found: GroupId,
        /// The group it was opened for.
        expected: GroupId,
    },
}

/// A checkpoint that does not verify. It stays on the disk until newer ones have taken its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// The name of the file.
    pub file: String,
    /// What is wrong with it.
    pub reason: String,
}

/// What was found when the store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// The newest checkpoint that verifies.
    pub newest: Option<Checkpoint>,
    /// Newer ones that do not.
    pub damaged: Vec<Damaged>,
}

impl CheckpointStore {
    /// Opens the store and reads the newest checkpoint.
    ///
    /// # Errors
    /// The disk fails, or the checkpoints are another group's. A damaged checkpoint is no error.
    pub fn open(disk: Arc<dyn Disk>, group: GroupId) -> Result<(Self, Opened), CheckpointError> {
        let mut store = Self { disk, group, good: Vec::new() };
        let mut opened = Opened::default();
        for instance in store.on_disk()?.into_iter().rev() {
            match store.load(instance)? {
                Ok(checkpoint) if opened.newest.is_none() => {
                    store.good.insert(0, instance);
                    opened.newest = Some(checkpoint);
                }
                Ok(_) => store.good.insert(0, instance),
                Err(error) if opened.newest.is_none() => {
                    opened.damaged.push(Damaged { file: name(instance), reason: error.to_string() });
                }
                Err(_) => {}
            }
        }
        Ok((store, opened))
    }

    /// Makes a checkpoint durable, then forgets all but the newest [`KEPT`] good ones.
    ///
    /// # Errors
    /// The disk fails: then the older checkpoints still count, or this one does already. Or it is too large.
    pub fn save(&mut self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let bytes = self.encode(checkpoint)?;
        let (file, temporary) = (name(checkpoint.instance), format!("{}{TEMPORARY}", name(checkpoint.instance)));
        self.disk.remove(&temporary)?;
        let written = self.disk.create(&temporary)?;
        written.write_at(0, &bytes)?;
        written.sync()?;
        self.disk.rename(&temporary, &file)?;
        self.disk.sync_names()?;
        self.good.retain(|instance| *instance != checkpoint.instance);
        self.good.push(checkpoint.instance);
        self.good.sort_unstable();
        self.forget_old()?;
        Ok(())
    }

    /// Instances of the checkpoints that are known to be good, oldest first.
    #[must_use]
    pub fn instances(&self) -> &[InstanceId] {
        &self.good
    }

    /// Removes what is neither kept nor newer than what is kept, and what an interrupted saving left behind.
    fn forget_old(&mut self) -> Result<(), DiskError> {
        let surplus = self.good.len().saturating_sub(KEPT);
        self.good.drain(..surplus);
        for file in self.disk.list()? {
            let is_kept = |instance| self.good.contains(&instance) || self.good.iter().all(|good| *good < instance);
            if file.ends_with(TEMPORARY) && file.starts_with(PREFIX) || parse(&file).is_some_and(|at| !is_kept(at)) {
                self.disk.remove(&file)?;
            }
        }
        Ok(())
    }

    fn on_disk(&self) -> Result<Vec<InstanceId>, DiskError> {
        let mut instances: Vec<InstanceId> = self.disk.list()?.iter().filter_map(|file| parse(file)).collect();
        instances.sort_unstable();
        Ok(instances)
    }

    fn encode(&self, checkpoint: &Checkpoint) -> Result<Vec<u8>, CheckpointError> {
        let bytes = HEAD_BYTES + checkpoint.sessions.len() + checkpoint.application.len() + 4;
        if bytes > BYTES_MAX {
            return Err(CheckpointError::TooLarge { bytes });
        }
        let mut content = Vec::with_capacity(bytes);
        content.extend_from_slice(MAGIC);
        content.extend_from_slice(&VERSION.to_be_bytes());
        content.extend_from_slice(&self.group.0);
        content.extend_from_slice(&checkpoint.instance.0.to_be_bytes());
        content.extend_from_slice(&(checkpoint.sessions.len() as u64).to_be_bytes());
        content.extend_from_slice(&(checkpoint.application.len() as u64).to_be_bytes());
        content.extend_from_slice(&checkpoint.sessions);
        content.extend_from_slice(&checkpoint.application);
        content.extend_from_slice(&crc32c::crc32c(&content).to_be_bytes());
        Ok(content)
    }

    /// Reads one checkpoint; the inner error says what is wrong with the file.
    fn load(&self, instance: InstanceId) -> Result<Result<Checkpoint, Defect>, CheckpointError> {
        let file = self.disk.open(&name(instance))?;
        let bytes = file.len()?;
        if bytes > BYTES_MAX as u64 || bytes < (HEAD_BYTES + 4) as u64 {
            return Ok(Err(Defect::Size(bytes)));
        }
        let mut content = vec![0; bytes as usize];
        file.read_at(0, &mut content)?;
        let checkpoint = match decode(Bytes::from(content)) {
            Ok((group, _)) if group != self.group => {
                let (file, expected) = (name(instance), self.group);
                return Err(CheckpointError::OtherGroup { file, found: group, expected });
            }
            Ok((_, checkpoint)) if checkpoint.instance != instance => Err(Defect::Name(checkpoint.instance)),
            Ok((_, checkpoint)) => Ok(checkpoint),
            Err(defect) => Err(defect),
        };
        Ok(checkpoint)
    }
}

/// What can be wrong with the content of a file.
#[derive(Debug, thiserror::Error)]
enum Defect {
    #[error("{0} bytes are no checkpoint")]
    Size(u64),
    #[error("its checksum does not match")]
    Checksum,
    #[error("it does not begin as a checkpoint")]
    Magic,
    #[error("its format version is {0}; this program reads version {VERSION}")]
    Version(u32),
    #[error("it holds the checkpoint after instance {0}")]
    Name(InstanceId),
    #[error("{0}")]
    Codec(#[from] CodecError),
}

/// Reads a file of at least [`HEAD_BYTES`] and a checksum.
fn decode(content: Bytes) -> Result<(GroupId, Checkpoint), Defect> {
    let (body, checksum) = (content.slice(..content.len() - 4), content.slice(content.len() - 4..));
    let mut reader = Reader::new(body.clone());
    if reader.array::<8>()? != *MAGIC {
        return Err(Defect::Magic);
    }
    let version = reader.u32()?;
    if version != VERSION {
        return Err(Defect::Version(version));
    }
    if crc32c::crc32c(&body).to_be_bytes() != checksum[..] {
        return Err(Defect::Checksum);
    }
    let (group, instance) = (GroupId(reader.array()?), InstanceId(reader.u64()?));
    let (sessions, application) = (reader.u64()? as usize, reader.u64()? as usize);
    if sessions.checked_add(application) != Some(reader.left()) {
        return Err(CodecError::Truncated.into());
    }
    let rest = body.slice(HEAD_BYTES..);
    let checkpoint = Checkpoint { instance, sessions: rest.slice(..sessions), application: rest.slice(sessions..) };
    Ok((group, checkpoint))
}

fn name(instance: InstanceId) -> String {
    format!("{PREFIX}{:020}", instance.0)
}

fn parse(file: &str) -> Option<InstanceId> {
    let instance = InstanceId(file.strip_prefix(PREFIX)?.parse().ok()?);
    (name(instance) == file).then_some(instance)
}

/// How many good checkpoints are kept.
pub const KEPT: usize = 2;

/// Most bytes of a checkpoint.
pub const BYTES_MAX: usize = 1 << 30;

const MAGIC: &[u8; 8] = b"bftchkp\n";
const VERSION: u32 = 1;
const HEAD_BYTES: usize = 8 + 4 + 32 + 8 + 8 + 8;
const PREFIX: &str = "checkpoint-";
const TEMPORARY: &str = ".new";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io;

    use super::*;
    use crate::disk::{MemDisk, Unsynced};

    const GROUP: GroupId = GroupId([5; 32]);

    fn checkpoint(instance: u64) -> Checkpoint {
        Checkpoint {
            instance: InstanceId(instance),
            sessions: Bytes::from(vec![instance as u8; 30]),
            application: Bytes::from(vec![instance as u8 + 1; 1500]),
        }
    }

    fn open(disk: &MemDisk) -> (CheckpointStore, Opened) {
        CheckpointStore::open(Arc::new(disk.clone()), GROUP).unwrap()
    }

    fn saved(instances: &[u64]) -> MemDisk {
        let disk = MemDisk::default();
        let (mut store, opened) = open(&disk);
        assert_eq!(opened, Opened::default());
        instances.iter().for_each(|instance| store.save(&checkpoint(*instance)).unwrap());
        disk
    }

    #[test]
    fn the_newest_two_are_kept_and_the_newest_is_read() {
        let disk = saved(&[150, 300, 450, 600]);
        let opened = Opened { newest: Some(checkpoint(600)), damaged: Vec::new() };
        let (mut store, found) = open(&disk);
        assert_eq!(found, opened);
        let crashed = disk.duplicate();
        crashed.crash();
        assert_eq!(open(&crashed).1, opened);
        assert_eq!(store.instances(), [InstanceId(450), InstanceId(600)]);
        assert_eq!(disk.list().unwrap(), [name(InstanceId(450)), name(InstanceId(600))]);
        store.save(&checkpoint(600)).unwrap();
        assert_eq!(store.instances(), [InstanceId(450), InstanceId(600)], "saved again");
        let empty = Checkpoint { instance: InstanceId(601), sessions: Bytes::new(), application: Bytes::new() };
        store.save(&empty).unwrap();
        assert_eq!(open(&disk).1.newest, Some(empty));
    }

    /// Every step of a saving fails, and every mixture of what was not synced survives.
    #[test]
    fn a_saving_that_is_interrupted_leaves_the_old_one_or_the_new_one() {
        let (mut old, mut new) = (0, 0);
        for changes in 0..12 {
            for survivors in 0..64_u32 {
                let disk = saved(&[150, 300]);
                let (mut store, _) = open(&disk);
                disk.fail_after(changes, io::ErrorKind::Other);
                let result = store.save(&checkpoint(450));
                let mut asked = 0;
                disk.crash_torn(&mut |_| {
                    asked += 1;
                    survivors >> (asked % 6) & 1 == 1
                });
                let (mut store, opened) = open(&disk);
                assert_eq!(opened.damaged, [], "a checkpoint has its name only when it is whole");
                let newest = opened.newest.unwrap();
                assert!(newest == checkpoint(300) && result.is_err() || newest == checkpoint(450));
                if newest.instance == InstanceId(300) {
                    old += 1
                } else {
                    new += 1
                }
                store.save(&checkpoint(600)).unwrap();
                assert_eq!(disk.list().unwrap().len(), KEPT, "nothing is left behind");
            }
        }
        assert!(old > 0 && new > 0, "{old} {new}");
    }

    #[test]
    fn an_unsynced_rename_may_be_lost_but_not_half_done() {
        let disk = saved(&[150]);
        let (mut store, _) = open(&disk);
        // Removing, creating, writing, syncing and renaming succeed; syncing the names does not.
        disk.fail_after(5, io::ErrorKind::Other);
        store.save(&checkpoint(300)).unwrap_err();
        disk.crash_torn(&mut |what| matches!(what, Unsynced::Name(_)));
        assert_eq!(open(&disk).1.newest, Some(checkpoint(300)));
    }

    #[test]
    fn any_damage_of_the_newest_is_named_and_the_one_before_counts() {
        let disk = saved(&[150, 300]);
        let file = name(InstanceId(300));
        let bytes = disk.content(&file).unwrap();
        let flipped = (0..bytes.len()).map(|at| {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x20;
            flipped
        });
        let cut = (0..bytes.len()).step_by(7).map(|end| bytes[..end].to_vec());
        let longer = [[&bytes[..], &[0]].concat(), disk.content(&name(InstanceId(150))).unwrap()];
        for damaged in flipped.chain(cut).chain(longer) {
            disk.plant(&file, &damaged);
            let (store, opened) = open(&disk);
            assert_eq!(opened.newest, Some(checkpoint(150)));
            assert_eq!(opened.damaged.iter().map(|damaged| &damaged.file).collect::<Vec<_>>(), [&file]);
            assert_eq!(store.instances(), [InstanceId(150)]);
        }
        let (mut store, _) = open(&disk);
        store.save(&checkpoint(200)).unwrap();
        assert!(disk.content(&file).is_some(), "a damaged one is not removed for older ones");
        store.save(&checkpoint(300)).unwrap();
        assert_eq!(open(&disk).1, Opened { newest: Some(checkpoint(300)), damaged: Vec::new() });
        assert_eq!(store.instances(), [InstanceId(200), InstanceId(300)]);
    }

    #[test]
    fn another_groups_checkpoint_is_refused() {
        let disk = saved(&[150]);
        let error = CheckpointStore::open(Arc::new(disk), GroupId([6; 32])).map(|_| ()).unwrap_err();
        assert!(matches!(error, CheckpointError::OtherGroup { found: GROUP, .. }), "{error}");
    }
}
