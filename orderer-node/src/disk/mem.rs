//! A disk in memory that loses what was not synced, for tests and simulation.
//!
//! Every file has two contents, what a reader sees and what would survive a loss of power; so has the list of names. A
//! crash puts the second in place of the first, except for the parts a caller picks to survive, sector by sector: disks
//! write back in any order.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskError, DiskFile};

/// Files in memory. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemDisk {
    state: Arc<Mutex<State>>,
}

/// Something that was not synced when the power failed, and may have reached the disk all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsynced<'a> {
    /// That this name was created, removed or given to another file.
    Name(&'a str),
    /// The 512 bytes of this file from this offset on.
    Sector(&'a str, u64),
}

impl MemDisk {
    /// Loss of power: nothing survives but what was synced. Files opened before are dead; failures end.
    pub fn crash(&self) {
        self.crash_torn(&mut |_| false);
    }

    /// Loss of power in which the caller picks what survives of what was not synced. Asked for names first, then for
    /// sectors file by file, in order.
    pub fn crash_torn(&self, survives: &mut dyn FnMut(Unsynced<'_>) -> bool) {
        let mut state = self.state();
        state.generation += 1;
        state.failure = None;
        state.crash_names(survives);
        let names: Vec<(String, u64)> = state.names.iter().map(|(name, id)| (name.clone(), *id)).collect();
        state.files.retain(|id, _| names.iter().any(|(_, named)| named == id));
        for (name, id) in names {
            if let Some(content) = state.files.get_mut(&id) {
                content.crash(&mut |offset| survives(Unsynced::Sector(&name, offset)));
            }
        }
    }

    /// Lets so many changes (creations, writes, truncations, syncs, renames, removals) succeed and fails all after
    /// them, until [`MemDisk::heal`] or a crash. A write that fails leaves half of its bytes
    /// behind.
    pub fn fail_after(&self, changes: u64, kind: io::ErrorKind) {
        self.state().failure = Some(Failure { changes_left: changes, kind, lasts: true });
    }

    /// Lets so many changes succeed and fails the one after them, like [`MemDisk::fail_after`], and none later.
    pub fn fail_once_after(&self, changes: u64, kind: io::ErrorKind) {
        self.state().failure = Some(Failure { changes_left: changes, kind, lasts: false });
    }

    /// Ends the failures.
    pub fn heal(&self) {
        self.state().failure = None;
    }

    /// How many syncs, of files and of names, have succeeded.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// What a reader of this file sees, if there is one.
    #[must_use]
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        state.files.get(state.names.get(name)?).map(|content| content.live.clone())
    }

    /// Puts this content under this name, synced: damage, or a disk that was put together by hand.
    pub fn plant(&self, name: &str, bytes: &[u8]) {
        let mut state = self.state();
        let id = state.next_id();
        state.files.insert(id, Content { live: bytes.to_vec(), synced: bytes.to_vec(), dirty_from: bytes.len() });
        state.names.insert(name.to_owned(), id);
        state.names_synced.insert(name.to_owned(), id);
    }

    /// A second disk with the same content, in which everything counts as synced.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let copy = Self::default();
        let state = self.state();
        for (name, id) in &state.names {
            copy.plant(name, &state.files[id].live);
        }
        drop(state);
        copy
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, name: &str, id: u64, generation: u64) -> Arc<dyn DiskFile> {
        Arc::new(MemFile { disk: self.clone(), name: name.to_owned(), id, generation })
    }
}

impl Disk for MemDisk {
    fn list(&self) -> Result<Vec<String>, DiskError> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> Result<Arc<dyn DiskFile>, DiskError> {
        let mut state = self.state();
        if state.names.contains_key(name) {
            return Err(fault("create", name, io::ErrorKind::AlreadyExists));
        }
        state.change("create", name)?;
        let id = state.next_id();
        state.files.insert(id, Content::default());
        state.names.insert(name.to_owned(), id);
        Ok(self.file(name, id, state.generation))
    }

    fn open(&self, name: &str) -> Result<Arc<dyn DiskFile>, DiskError> {
        let state = self.state();
        let id = state.names.get(name).ok_or_else(|| fault("open", name, io::ErrorKind::NotFound))?;
        Ok(self.file(name, *id, state.generation))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let mut state = self.state();
        state.change("rename", from)?;
        let id = state.names.remove(from).ok_or_else(|| fault("rename", from, io::ErrorKind::NotFound))?;
        state.names.insert(to.to_owned(), id);
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        let mut state = self.state();
        state.change("remove", name)?;
        state.names.remove(name);
        Ok(())
    }

    fn sync_names(&self) -> Result<(), DiskError> {
        let mut state = self.state();
        state.change("sync", ".")?;
        state.syncs += 1;
        state.names_synced = state.names.clone();
        Ok(())
    }
}

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<String, u64>,
    names_synced: BTreeMap<String, u64>,
    files: BTreeMap<u64, Content>,
    files_made: u64,
    /// Counts crashes.
    generation: u64,
    failure: Option<Failure>,
    syncs: u64,
}

#[derive(Debug)]
struct Failure {
    changes_left: u64,
    kind: io::ErrorKind,
    lasts: bool,
}

impl State {
    fn next_id(&mut self) -> u64 {
        self.files_made += 1;
        self.files_made
    }

    fn change(&mut self, operation: &'static str, name: &str) -> Result<(), DiskError> {
        let Some(failure) = &mut self.failure else { return Ok(()) };
        if failure.changes_left > 0 {
            failure.changes_left -= 1;
            return Ok(());
        }
        let error = fault(operation, name, failure.kind);
        if !failure.lasts {
            self.failure = None;
        }
        Err(error)
    }

    fn crash_names(&mut self, survives: &mut dyn FnMut(Unsynced<'_>) -> bool) {
        let both: Vec<String> = self.names.keys().chain(self.names_synced.keys()).cloned().collect();
        for name in both {
            let (live, synced) = (self.names.get(&name).copied(), self.names_synced.get(&name).copied());
            if live == synced || !survives(Unsynced::Name(&name)) {
                continue;
            }
            match live {
                Some(id) => self.names_synced.insert(name, id),
                None => self.names_synced.remove(&name),
            };
        }
        self.names = self.names_synced.clone();
    }
}

/// What a reader sees and what would survive. Both agree before `dirty_from`.
#[derive(Debug, Default)]
struct Content {
    live: Vec<u8>,
    synced: Vec<u8>,
    dirty_from: usize,
}

impl Content {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        self.dirty_from = self.dirty_from.min(offset).min(self.live.len());
        if self.live.len() < end {
            self.live.resize(end, 0);
        }
        self.live[offset..end].copy_from_slice(bytes);
    }

    fn truncate(&mut self, bytes: usize) {
        self.dirty_from = self.dirty_from.min(bytes).min(self.live.len());
        self.live.resize(bytes, 0);
    }

    fn sync(&mut self) {
        self.synced.truncate(self.dirty_from);
        self.synced.extend_from_slice(&self.live[self.dirty_from..]);
        self.dirty_from = self.live.len();
    }

    fn crash(&mut self, survives: &mut dyn FnMut(u64) -> bool) {
        let first = self.dirty_from / SECTOR_BYTES * SECTOR_BYTES;
        for start in (first..self.live.len()).step_by(SECTOR_BYTES) {
            let end = self.live.len().min(start + SECTOR_BYTES);
            let same = self.synced.get(start..end) == Some(&self.live[start..end]);
            if same || !survives(start as u64) {
                continue;
            }
            if self.synced.len() < end {
                self.synced.resize(end, 0);
            }
            self.synced[start..end].copy_from_slice(&self.live[start..end]);
        }
        self.live.clone_from(&self.synced);
        self.dirty_from = self.live.len();
    }
}

/// A file of a [`MemDisk`], of the life in which it was opened.
#[derive(Debug)]
struct MemFile {
    disk: MemDisk,
    name: String,
    id: u64,
    generation: u64,
}

impl MemFile {
    fn with<T>(
        &self,
        operation: &'static str,
        run: impl FnOnce(&mut State, &Self) -> Result<T, DiskError>,
    ) -> Result<T, DiskError> {
        let mut state = self.disk.state();
        if state.generation != self.generation {
            return Err(fault(operation, &self.name, io::ErrorKind::BrokenPipe));
        }
        run(&mut state, self)
    }
}

impl DiskFile for MemFile {
    fn len(&self) -> Result<u64, DiskError> {
        self.with("examine", |state, file| Ok(state.files[&file.id].live.len() as u64))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        self.with("read", |state, file| {
            let start = offset as usize;
            let bytes = state.files[&file.id].live.get(start..start + buffer.len());
            buffer.copy_from_slice(bytes.ok_or_else(|| fault("read", &file.name, io::ErrorKind::UnexpectedEof))?);
            Ok(())
        })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.with("write", |state, file| {
            let result = state.change("write", &file.name);
            let written = if result.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
            if let Some(content) = state.files.get_mut(&file.id) {
                content.write(offset as usize, written);
            }
            result
        })
    }

    fn truncate(&self, bytes: u64) -> Result<(), DiskError> {
        self.with("truncate", |state, file| {
            state.change("truncate", &file.name)?;
            if let Some(content) = state.files.get_mut(&file.id) {
                content.truncate(bytes as usize);
            }
            Ok(())
        })
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.with("sync", |state, file| {
            state.change("sync", &file.name)?;
            state.syncs += 1;
            if let Some(content) = state.files.get_mut(&file.id) {
                content.sync();
            }
            Ok(())
        })
    }
}

fn fault(operation: &'static str, name: &str, kind: io::ErrorKind) -> DiskError {
    DiskError { operation, path: PathBuf::from(name), source: kind.into() }
}

const SECTOR_BYTES: usize = 512;
