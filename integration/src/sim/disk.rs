//! A disk that can lie about what it has synced.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fastrand::Rng;
use orderer_node::disk::{Disk, DiskError, DiskFile, MemDisk, Unsynced};

/// A disk in memory whose syncs may do nothing for a while. Clones share everything.
#[derive(Clone, Debug, Default)]
pub(super) struct SimDisk {
    memory: MemDisk,
    is_lying: Arc<AtomicBool>,
}

impl SimDisk {
    /// From now on a sync reports success and does nothing, until the next loss of power.
    pub fn begin_lying(&self) {
        self.is_lying.store(true, Ordering::Relaxed);
    }

    pub fn is_lying(&self) -> bool {
        self.is_lying.load(Ordering::Relaxed)
    }

    /// What is written and not synced is lost, sector by sector or not, as chance has it.
    pub fn lose_power(&self, random: &mut Rng) {
        // A disk that held back a sync held it back entirely: what it had said to be durable is lost from some point on.
        let odds = if self.is_lying() { 0 } else { [0, 0, 128, 230, 255][random.usize(..5)] };
        self.memory.crash_torn(&mut |_: Unsynced<'_>| random.u8(..) < odds);
        self.is_lying.store(false, Ordering::Relaxed);
    }

    /// What happens to bytes before they are lost or kept; see [`MemDisk`].
    pub const fn memory(&self) -> &MemDisk {
        &self.memory
    }

    /// Changes one byte of what is on the disk. Says in which file.
    pub fn corrupt(&self, random: &mut Rng) -> Option<String> {
        let (name, mut content) = self.pick(random)?;
        let at = random.usize(..content.len());
        content[at] ^= 1 << random.u8(..8);
        self.memory.plant(&name, &content);
        Some(name)
    }

    /// A sector stands where another one belongs. Says in which file.
    pub fn misdirect(&self, random: &mut Rng) -> Option<String> {
        let (name, mut content) = self.pick(random)?;
        let sectors = content.len() / SECTOR_BYTES;
        if sectors < 2 {
            return None;
        }
        let (from, to) = (random.usize(..sectors) * SECTOR_BYTES, random.usize(..sectors) * SECTOR_BYTES);
        let before = content.clone();
        content.copy_within(from..from + SECTOR_BYTES, to);
        if content == before {
            return None;
        }
        self.memory.plant(&name, &content);
        Some(name)
    }

    fn pick(&self, random: &mut Rng) -> Option<(String, Vec<u8>)> {
        let names = self.memory.list().ok()?;
        let name = names.get(random.usize(..names.len().max(1)))?.clone();
        let content = self.memory.content(&name)?;
        (!content.is_empty()).then_some((name, content))
    }

    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(SimFile { file, is_lying: Arc::clone(&self.is_lying) })
    }
}

impl Disk for SimDisk {
    fn list(&self) -> Result<Vec<String>, DiskError> {
        self.memory.list()
    }

    fn create(&self, name: &str) -> Result<Arc<dyn DiskFile>, DiskError> {
        Ok(self.file(self.memory.create(name)?))
    }

    fn open(&self, name: &str) -> Result<Arc<dyn DiskFile>, DiskError> {
        Ok(self.file(self.memory.open(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.memory.rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.memory.remove(name)
    }

    fn sync_names(&self) -> Result<(), DiskError> {
        if self.is_lying() { Ok(()) } else { self.memory.sync_names() }
    }
}

#[derive(Debug)]
struct SimFile {
    file: Arc<dyn DiskFile>,
    is_lying: Arc<AtomicBool>,
}

impl DiskFile for SimFile {
    fn len(&self) -> Result<u64, DiskError> {
        self.file.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.file.write_at(offset, bytes)
    }

    fn truncate(&self, bytes: u64) -> Result<(), DiskError> {
        self.file.truncate(bytes)
    }

    fn sync(&self) -> Result<(), DiskError> {
        if self.is_lying.load(Ordering::Relaxed) { Ok(()) } else { self.file.sync() }
    }
}

const SECTOR_BYTES: usize = 512;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_lying_disk_loses_what_it_said_to_be_durable_and_an_honest_one_does_not() {
        for lies in [false, true] {
            let disk = SimDisk::default();
            let file = disk.create("file").unwrap();
            disk.sync_names().unwrap();
            if lies {
                disk.begin_lying();
            }
            file.write_at(0, b"promise").unwrap();
            file.sync().unwrap();
            disk.lose_power(&mut Rng::with_seed(1));
            assert_eq!(disk.memory().content("file").unwrap().is_empty(), lies);
            assert!(!disk.is_lying());
        }
    }
}
