//! Checkpoints on disk: the state after an instance, from which recovery starts, and which joiners are given.
//!
//! A checkpoint is one file with the state, and beside it, as soon as a quorum has signed that state, one with the
//! certificate. The newest state that verifies is the one that counts. The newest two are kept, because the newest may
//! turn out to be damaged when it is needed, and a joiner may be reading the older one.
//!
//! # What a loss of power leaves behind
//!
//! A state of our own is saved once every block it speaks of is synced in its ledger. One that was taken over from others
//! is taken up by the application at once, in its place in the order, and saved in these steps; the replica hears of it, and
//! decisions are delivered again, after the third. Blocks that the ledgers lack are fetched beside all of them:
//!
//! 1. The certificate is durable. *Lost power before or after it:* a certificate without a state means nothing; it is
//!    cleared away by a later saving. Recovery starts from the older state and the journal, and the transfer begins again.
//!    Blocks that a ledger holds already are compared when they are cut again.
//! 2. The state is durable under its name. *Lost power after it:* recovery starts from it. What the journal says of
//!    instances up to it is passed over, and so is the gap between the two. Ledgers that end before the blocks it
//!    speaks of fetch what they lack, before and while they take new blocks.
//! 3. The older states are forgotten. *Lost power after it, or in the middle:* more files than needed.
//! 4. The ledgers have fetched what they lacked. *Lost power in the middle:* they go on where they stand. Until then no state of
//!    our own is saved, so this one is what recovery starts from.

mod file;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mod_smart::checkpoint::{Manifest, StableCheckpoint, join_state, split_state};
use mod_smart::codec::{CodecError, Reader, Writer};
use mod_smart::limits::{CHECKPOINTS_KEPT_MAX, STATE_CHUNK_BYTES, STATE_CHUNKS_MAX};
use mod_smart::{GroupId, InstanceId};

use crate::disk::{Disk, DiskError, DiskFile};
pub use file::Origin;
use file::{Content, Defect, HEAD_BYTES, Kind, Unusable};

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

/// The checkpoints of one ordering group. Any thread may use it; all of it blocks.
#[derive(Debug)]
pub struct CheckpointStore {
    disk: Arc<dyn Disk>,
    group: GroupId,
    /// Held while files are written and removed.
    changing: Mutex<()>,
    kept: Mutex<Kept>,
}

/// What is on the disk and known to be good.
#[derive(Debug, Default)]
struct Kept {
    states: BTreeMap<InstanceId, StateFile>,
    certificates: BTreeMap<InstanceId, StableCheckpoint>,
}

/// A state whose content was verified once.
#[derive(Clone, Debug)]
struct StateFile {
    file: Arc<dyn DiskFile>,
    bytes: u64,
    manifest: Arc<Manifest>,
}

/// Why a checkpoint cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The disk failed. The older checkpoints are still there.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The state is larger than a checkpoint may be.
    #[error("a state of {bytes} bytes is larger than a checkpoint may be")]
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
    /// A state that was good is not what was written any more.
    #[error("{file} is damaged in chunk {index}; nothing of it was given away")]
    Damaged {
        /// The name of the file.
        file: String,
        /// The number of the chunk.
        index: u32,
    },
    /// A state was to be installed under a certificate for another one.
    #[error("the state after instance {0} is not the one that its certificate names")]
    OtherState(InstanceId),
}

/// A file that does not verify. It stays on the disk until newer ones have taken its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedFile {
    /// The name of the file.
    pub file: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A checkpoint that can be recovered from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The state.
    pub checkpoint: Checkpoint,
    /// Its manifest.
    pub manifest: Manifest,
    /// Where it comes from.
    pub origin: Origin,
    /// Its certificate if it is known to be stable, else the newest that is known.
    pub stable: Option<StableCheckpoint>,
    /// Older states that verify.
    pub older: Vec<(InstanceId, Manifest)>,
}

/// What was found when the store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// The newest checkpoint that verifies.
    pub newest: Option<Found>,
    /// Newer ones that do not, and certificates that do not.
    pub damaged: Vec<DamagedFile>,
}

impl CheckpointStore {
    /// Opens the store and reads the newest checkpoint.
    ///
    /// # Errors
    /// The disk fails, or the checkpoints are another group's. A damaged checkpoint is no error.
    pub fn open(disk: Arc<dyn Disk>, group: GroupId) -> Result<(Self, Opened), CheckpointError> {
        let store = Self { disk, group, changing: Mutex::default(), kept: Mutex::default() };
        let mut opened = Opened::default();
        for instance in store.on_disk(Kind::Certificate)?.into_iter().rev() {
            match store.judge(Kind::Certificate, instance, store.load_certificate(instance))? {
                Ok(certificate) => drop(store.kept().certificates.insert(instance, certificate)),
                Err(damaged) => opened.damaged.push(damaged),
            }
        }
        for instance in store.on_disk(Kind::State)?.into_iter().rev() {
            match store.judge(Kind::State, instance, store.load_state(instance))? {
                Ok((state, found)) => {
                    opened.newest.get_or_insert(found);
                    store.kept().states.insert(instance, state);
                }
                Err(damaged) if opened.newest.is_none() => opened.damaged.push(damaged),
                Err(_) => {}
            }
        }
        if let Some(newest) = &mut opened.newest {
            let kept = store.kept();
            let older = kept.states.range(..newest.checkpoint.instance);
            newest.older = older.map(|(instance, state)| (*instance, (*state.manifest).clone())).collect();
        }
        Ok((store, opened))
    }

    /// Makes a state of our own durable, then forgets all but the newest [`KEPT`] good ones. Gives its manifest.
    ///
    /// # Errors
    /// The disk fails: then the older checkpoints still count, or this one does already. Or it is too large.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<Manifest, CheckpointError> {
        let (state, manifest) = describe(checkpoint)?;
        let _one_at_a_time = lock(&self.changing);
        self.write_state((checkpoint.instance, Origin::Ours), &state, &manifest)?;
        Ok(manifest)
    }

    /// Notes durably that the journal is lost in which the mark of this checkpoint stood, if it did.
    ///
    /// # Errors
    /// As for [`CheckpointStore::save`].
    pub fn disown(&self, found: &Found) -> Result<(), CheckpointError> {
        if found.origin == Origin::Others {
            return Ok(());
        }
        let (state, manifest) = describe(&found.checkpoint)?;
        let _one_at_a_time = lock(&self.changing);
        self.write_state((found.checkpoint.instance, Origin::Others), &state, &manifest)
    }

    /// Makes a state durable that was taken over from others, with the certificate.
    ///
    /// # Errors
    /// As for [`CheckpointStore::save`]; or the certificate names another state.
    pub fn install(&self, stable: &StableCheckpoint, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let (state, manifest) = describe(checkpoint)?;
        if stable.instance() != checkpoint.instance || stable.digest() != manifest.digest() {
            return Err(CheckpointError::OtherState(checkpoint.instance));
        }
        let _one_at_a_time = lock(&self.changing);
        self.write_certificate(stable)?;
        self.write_state((checkpoint.instance, Origin::Others), &state, &manifest)
    }

    /// Keeps the certificate of a checkpoint that became stable, whether its state is here already or not.
    ///
    /// # Errors
    /// The disk fails.
    pub fn keep_stable(&self, stable: &StableCheckpoint) -> Result<(), CheckpointError> {
        let _one_at_a_time = lock(&self.changing);
        self.write_certificate(stable)?;
        Ok(self.forget_old()?)
    }

    /// A chunk of the state after this instance; none if that is not kept or has no such chunk.
    ///
    /// # Errors
    /// The disk fails, or the chunk is not what was written.
    pub fn read_chunk(&self, instance: InstanceId, index: u32) -> Result<Option<Bytes>, CheckpointError> {
        let Some(state) = self.kept().states.get(&instance).cloned() else { return Ok(None) };
        let start = u64::from(index) * STATE_CHUNK_BYTES as u64;
        if start >= state.bytes {
            return Ok(None);
        }
        let mut chunk = vec![0; (state.bytes - start).min(STATE_CHUNK_BYTES as u64) as usize];
        state.file.read_at(HEAD_BYTES as u64 + start, &mut chunk)?;
        if !state.manifest.has(index, &chunk) {
            return Err(CheckpointError::Damaged { file: Kind::State.name(instance), index });
        }
        Ok(Some(chunk.into()))
    }

    /// Instances of the states that are known to be good, oldest first.
    #[must_use]
    pub fn instances(&self) -> Vec<InstanceId> {
        self.kept().states.keys().copied().collect()
    }

    /// The newest instance whose state is known to be that of a quorum.
    #[must_use]
    pub fn stable_instance(&self) -> Option<InstanceId> {
        self.kept().certificates.last_key_value().map(|(instance, _)| *instance)
    }

    fn write_state(
        &self,
        (instance, origin): (InstanceId, Origin),
        state: &[u8],
        manifest: &Manifest,
    ) -> Result<(), CheckpointError> {
        let file = Kind::State.write(&*self.disk, self.group, (instance, origin), state)?;
        let manifest = Arc::new(manifest.clone());
        let state = StateFile { file, bytes: state.len() as u64, manifest };
        self.kept().states.insert(instance, state);
        Ok(self.forget_old()?)
    }

    fn write_certificate(&self, stable: &StableCheckpoint) -> Result<(), DiskError> {
        let mut writer = Writer::with_capacity(512);
        stable.encode(&mut writer);
        let about = (stable.instance(), Origin::Others);
        Kind::Certificate.write(&*self.disk, self.group, about, &writer.finish())?;
        self.kept().certificates.insert(stable.instance(), stable.clone());
        Ok(())
    }

    /// Removes what is neither kept nor newer than what is kept, and what an interrupted saving left behind.
    fn forget_old(&self) -> Result<(), DiskError> {
        let mut kept = self.kept();
        kept.forget_old();
        let (states, certificates): (Vec<_>, Vec<_>) =
            (kept.states.keys().copied().collect(), kept.certificates.keys().copied().collect());
        drop(kept);
        let newest = states.last().copied();
        let is_kept = |instances: &[InstanceId], at: InstanceId| {
            instances.contains(&at) || newest.is_none_or(|newest| at > newest)
        };
        for file in self.disk.list()? {
            let state = Kind::State.parse(&file).is_some_and(|at| !is_kept(&states, at));
            let certificate = Kind::Certificate.parse(&file).is_some_and(|at| !certificates.contains(&at));
            if file::is_left_behind(&file) || state || certificate {
                self.disk.remove(&file)?;
            }
        }
        Ok(())
    }

    fn on_disk(&self, kind: Kind) -> Result<Vec<InstanceId>, CheckpointError> {
        let mut instances: Vec<InstanceId> = self.disk.list()?.iter().filter_map(|file| kind.parse(file)).collect();
        instances.sort_unstable();
        Ok(instances)
    }

    fn load_state(&self, instance: InstanceId) -> Result<(StateFile, Found), Unusable> {
        let Content { file, origin, bytes } = Kind::State.read(&*self.disk, self.group, instance, BYTES_MAX)?;
        let manifest = Manifest::of(&bytes)?;
        let kept = self.kept();
        let certificate = kept.certificates.get(&instance);
        if certificate.is_some_and(|stable| stable.digest() != manifest.digest()) {
            return Err(Defect::NotTheQuorums.into());
        }
        let newest = kept.certificates.last_key_value().map(|(_, stable)| stable);
        let stable = certificate.or(newest).cloned();
        drop(kept);
        let length = bytes.len() as u64;
        let (sessions, application) = split_state(bytes)?;
        let state = StateFile { file, bytes: length, manifest: Arc::new(manifest.clone()) };
        let checkpoint = Checkpoint { instance, sessions, application };
        Ok((state, Found { checkpoint, manifest, origin, stable, older: Vec::new() }))
    }

    fn load_certificate(&self, instance: InstanceId) -> Result<StableCheckpoint, Unusable> {
        let content = Kind::Certificate.read(&*self.disk, self.group, instance, CERTIFICATE_BYTES_MAX)?;
        let mut reader = Reader::new(content.bytes);
        let stable = StableCheckpoint::decode(&mut reader)?;
        reader.finish()?;
        if stable.instance() != instance {
            return Err(Defect::Name(stable.instance()).into());
        }
        Ok(stable)
    }

    /// A file that is no good is noted; a disk that fails, or belongs to another group, is an error.
    fn judge<T>(
        &self,
        kind: Kind,
        instance: InstanceId,
        loaded: Result<T, Unusable>,
    ) -> Result<Result<T, DamagedFile>, CheckpointError> {
        let file = kind.name(instance);
        match loaded {
            Ok(loaded) => Ok(Ok(loaded)),
            Err(Unusable::Defect(defect)) => Ok(Err(DamagedFile { file, reason: defect.to_string() })),
            Err(Unusable::Disk(error)) => Err(error.into()),
            Err(Unusable::OtherGroup(found)) => Err(CheckpointError::OtherGroup { file, found, expected: self.group }),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        lock(&self.kept)
    }
}

impl Kept {
    /// Keeps the newest states, and of the certificates those of kept states and the newest.
    fn forget_old(&mut self) {
        while self.states.len() > KEPT {
            self.states.pop_first();
        }
        let newest = self.certificates.last_key_value().map(|(instance, _)| *instance);
        let states = &self.states;
        self.certificates.retain(|instance, _| states.contains_key(instance) || newest == Some(*instance));
    }
}

/// The bytes of a state, and its manifest.
fn describe(checkpoint: &Checkpoint) -> Result<(Bytes, Manifest), CheckpointError> {
    let bytes = checkpoint.sessions.len() + checkpoint.application.len();
    let state = join_state(&checkpoint.sessions, &checkpoint.application);
    let manifest = Manifest::of(&state).map_err(|_: CodecError| CheckpointError::TooLarge { bytes })?;
    Ok((state, manifest))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many good states are kept: as many as the protocol gives away.
pub const KEPT: usize = CHECKPOINTS_KEPT_MAX;

/// Most bytes of a state: what a manifest can describe.
pub const BYTES_MAX: u64 = STATE_CHUNKS_MAX as u64 * STATE_CHUNK_BYTES as u64;

/// Most bytes of a certificate: a signature of every replica, and room.
const CERTIFICATE_BYTES_MAX: u64 = 64 << 10;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
