//! Named files of one directory, and what can go wrong with them.
//!
//! Everything durable in this crate goes through [`Disk`], so that a simulator can put [`MemDisk`] in its place and take
//! away whatever was not synced. Two promises hold for every implementation: bytes of a file are durable after
//! [`DiskFile::sync`], and names (creations, renames, removals) are durable after [`Disk::sync_names`]. Nothing else is.

mod mem;

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use mem::{MemDisk, Unsynced};

/// One flat directory of named files. Names never contain a slash.
pub trait Disk: fmt::Debug + Send + Sync {
    /// The names that exist, in order.
    ///
    /// # Errors
    /// The directory cannot be read.
    fn list(&self) -> Result<Vec<String>, DiskError>;

    /// Makes an empty file under a name that does not exist yet.
    ///
    /// # Errors
    /// The name exists, or the file cannot be made.
    fn create(&self, name: &str) -> Result<Arc<dyn DiskFile>, DiskError>;

    /// Opens a file that exists.
    ///
    /// # Errors
    /// It does not, or may not be opened.
    fn open(&self, name: &str) -> Result<Arc<dyn DiskFile>, DiskError>;

    /// Gives a file another name, in place of whatever stood under it.
    ///
    /// # Errors
    /// There is no such file, or the directory cannot be written.
    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError>;

    /// Removes a name. That it does not exist is fine.
    ///
    /// # Errors
    /// The directory cannot be written.
    fn remove(&self, name: &str) -> Result<(), DiskError>;

    /// Makes creations, renames and removals durable.
    ///
    /// # Errors
    /// The directory cannot be synced.
    fn sync_names(&self) -> Result<(), DiskError>;
}

/// An open file. Reading at a position needs no lock against writing elsewhere.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Bytes in the file.
    ///
    /// # Errors
    /// The file cannot be examined.
    fn len(&self) -> Result<u64, DiskError>;

    /// Is nothing in the file?
    ///
    /// # Errors
    /// The file cannot be examined.
    fn is_empty(&self) -> Result<bool, DiskError> {
        Ok(self.len()? == 0)
    }

    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    /// The file ends before the buffer is full, or cannot be read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError>;

    /// Writes all of `bytes` at `offset`. After an error any part of them may have been written.
    ///
    /// # Errors
    /// The disk is full, or cannot be written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError>;

    /// Cuts the file off at `bytes`.
    ///
    /// # Errors
    /// The file cannot be written.
    fn truncate(&self, bytes: u64) -> Result<(), DiskError>;

    /// Makes what was written durable, with the length. After an error it is unknown what is.
    ///
    /// # Errors
    /// The disk did not confirm.
    fn sync(&self) -> Result<(), DiskError>;
}

/// The environment failed: what was tried, on which path, and what the system said.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}: {source}", path.display())]
pub struct DiskError {
    /// What was tried, as a verb.
    pub operation: &'static str,
    /// On what.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

/// A directory of the file system, held by this process alone.
#[derive(Debug)]
pub struct DirDisk {
    root: PathBuf,
    /// Locked as long as this lives: two processes with one journal would vote twice.
    _lock: File,
}

impl DirDisk {
    /// Opens the directory, after making it if need be, and locks it against other processes.
    ///
    /// # Errors
    /// It cannot be made or written, or another process holds it.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, DiskError> {
        let root = root.into();
        let absent: Vec<PathBuf> = root.ancestors().take_while(|path| !path.exists()).map(Path::to_owned).collect();
        fs::create_dir_all(&root).map_err(fault("create", &root))?;
        for parent in absent.iter().filter_map(|path| path.parent()) {
            sync_directory(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?;
        }
        let path = root.join(LOCK_NAME);
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(fault("open", &path))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => fault("lock", &path)(io::Error::other("another process holds this directory")),
            TryLockError::Error(error) => fault("lock", &path)(error),
        })?;
        Ok(Self { root, _lock: lock })
    }

    /// Where the files are.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn open_with(&self, name: &str, options: &OpenOptions) -> Result<Arc<dyn DiskFile>, DiskError> {
        let path = self.root.join(name);
        let file = options.open(&path).map_err(fault("open", &path))?;
        Ok(Arc::new(DirFile { path, file }))
    }
}

impl Disk for DirDisk {
    fn list(&self) -> Result<Vec<String>, DiskError> {
        let failed = || fault("list", &self.root);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(failed())? {
            let name = entry.map_err(failed())?.file_name();
            names.extend(name.to_str().filter(|name| *name != LOCK_NAME).map(str::to_owned));
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create(&self, name: &str) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.open_with(name, OpenOptions::new().read(true).write(true).create_new(true))
    }

    fn open(&self, name: &str) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.open_with(name, OpenOptions::new().read(true).write(true))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let path = self.root.join(from);
        fs::rename(&path, self.root.join(to)).map_err(fault("rename", &path))
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        let path = self.root.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fault("remove", &path)(error)),
            _ => Ok(()),
        }
    }

    fn sync_names(&self) -> Result<(), DiskError> {
        sync_directory(&self.root)
    }
}

/// A file of a [`DirDisk`].
#[derive(Debug)]
struct DirFile {
    path: PathBuf,
    file: File,
}

impl DiskFile for DirFile {
    fn len(&self) -> Result<u64, DiskError> {
        self.file.metadata().map(|metadata| metadata.len()).map_err(fault("examine", &self.path))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        self.file.read_exact_at(buffer, offset).map_err(fault("read", &self.path))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.file.write_all_at(bytes, offset).map_err(fault("write", &self.path))
    }

    fn truncate(&self, bytes: u64) -> Result<(), DiskError> {
        self.file.set_len(bytes).map_err(fault("truncate", &self.path))
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.file.sync_data().map_err(fault("sync", &self.path))
    }
}

fn sync_directory(path: &Path) -> Result<(), DiskError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(fault("sync", path))
}

fn fault(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DiskError {
    move |source| DiskError { operation, path: path.to_owned(), source }
}

const LOCK_NAME: &str = "lock";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The contract, on both implementations: the simulator must not be kinder or harsher than the file system.
    fn keeps_the_contract(disk: &dyn Disk) {
        let file = disk.create("one").unwrap();
        assert!(disk.create("one").is_err(), "an existing file is never taken over");
        assert!(disk.open("two").is_err());
        file.write_at(0, b"hello").unwrap();
        file.write_at(8, b"world").unwrap();
        file.sync().unwrap();
        let mut buffer = [0; 13];
        disk.open("one").unwrap().read_at(0, &mut buffer).unwrap();
        assert_eq!(&buffer, b"hello\0\0\0world");
        assert!(file.read_at(9, &mut [0; 5]).is_err(), "a short read is an error");
        file.truncate(5).unwrap();
        assert_eq!(file.len().unwrap(), 5);
        disk.create("three").unwrap();
        disk.rename("one", "three").unwrap();
        disk.remove("one").unwrap();
        disk.sync_names().unwrap();
        assert_eq!(disk.list().unwrap(), ["three"]);
        assert_eq!(disk.open("three").unwrap().len().unwrap(), 5);
    }

    #[test]
    fn directory_and_memory_keep_one_contract() {
        let root = tempfile::tempdir().unwrap();
        keeps_the_contract(&DirDisk::open(root.path().join("deep/er")).unwrap());
        keeps_the_contract(&MemDisk::default());
    }

    #[test]
    fn a_directory_has_one_owner_and_errors_name_the_path() {
        let root = tempfile::tempdir().unwrap();
        let disk = DirDisk::open(root.path()).unwrap();
        let error = DirDisk::open(root.path()).unwrap_err().to_string();
        assert!(error.contains("another process") && error.contains(root.path().to_str().unwrap()), "{error}");
        let error = disk.open("absent").unwrap_err().to_string();
        assert!(error.starts_with("cannot open") && error.contains("absent"), "{error}");
        drop(disk);
        DirDisk::open(root.path()).unwrap();
    }
}
