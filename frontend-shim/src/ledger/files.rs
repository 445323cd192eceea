//! The segment files of one ledger as one growing sequence of records.
//!
//! Records are written at positions, so a write that failed half-way is overwritten by the next one. After a failed
//! sync nobody knows what is on the disk: everything that follows is refused until the ledger is opened again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::LedgerError;
use super::segment::{self, BadRecord, Head, Kind, Record};
use crate::limits::LEDGER_OPEN_FILES_MAX;

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub segment: u32,
    pub offset: u32,
    pub len: u32,
}

#[derive(Debug)]
pub(super) struct Files {
    dir: PathBuf,
    segment_bytes: u64,
    head: Head,
    tail: Arc<File>,
    tail_len: u64,
    /// Length of the tail when it was last made durable.
    synced_len: u64,
    has_failed: bool,
    open: BTreeMap<u32, Arc<File>>,
}

impl Files {
    /// Goes on after `tail_len` bytes of the last segment.
    pub fn new(dir: PathBuf, segment_bytes: u64, head: Head, tail: File, tail_len: u64) -> Self {
        Self {
            dir,
            segment_bytes,
            head,
            tail: Arc::new(tail),
            tail_len,
            synced_len: tail_len,
            has_failed: false,
            open: BTreeMap::new(),
        }
    }

    /// Writes a record; it is durable after the next sync.
    pub fn append(&mut self, kind: Kind, number: u64, payload: &[u8]) -> Result<Position, LedgerError> {
        self.refuse_after_failure()?;
        if self.tail_len >= self.segment_bytes {
            self.begin_segment()?;
        }
        let bytes = segment::encode_record(kind, number, payload);
        self.tail.write_all_at(&bytes, self.tail_len).map_err(|source| self.fault(source))?;
        // Both fit: the limits bound a segment below 4 GiB.
        let position = Position { segment: self.head.number, offset: self.tail_len as u32, len: bytes.len() as u32 };
        self.tail_len += bytes.len() as u64;
        Ok(position)
    }

    /// The file of a segment, opened if need be, and its path for errors.
    pub fn file(&mut self, number: u32) -> Result<(Arc<File>, PathBuf), LedgerError> {
        let path = segment::segment_path(&self.dir, number);
        if number == self.head.number {
            return Ok((Arc::clone(&self.tail), path));
        }
        if let Some(file) = self.open.get(&number) {
            return Ok((Arc::clone(file), path));
        }
        let opened = File::open(&path).map_err(|source| LedgerError::Io { path: path.clone(), source })?;
        let file = Arc::new(opened);
        if self.open.len() >= LEDGER_OPEN_FILES_MAX {
            self.open.pop_first();
        }
        self.open.insert(number, Arc::clone(&file));
        Ok((file, path))
    }

    /// What has to be synced; `None` if everything is durable.
    pub fn begin_sync(&self) -> Result<Option<SyncStep>, LedgerError> {
        self.refuse_after_failure()?;
        let is_dirty = self.tail_len > self.synced_len;
        Ok(is_dirty.then(|| SyncStep { file: Arc::clone(&self.tail), segment: self.head.number, len: self.tail_len }))
    }

    /// Notes how a sync went, and writes the statement that the recovery relies on.
    pub fn end_sync(&mut self, step: &SyncStep, result: io::Result<()>) -> Result<(), LedgerError> {
        if let Err(source) = result {
            self.has_failed = true;
            return Err(self.fault(source));
        }
        // A segment that was left meanwhile was synced then.
        if step.segment != self.head.number {
            return Ok(());
        }
        self.synced_len = step.len;
        // A full segment is synced when it is left, and no tail of it is ever forgiven: it needs no statement.
        if self.tail_len >= self.segment_bytes {
            return Ok(());
        }
        let had_appends = self.tail_len > step.len;
        self.append(Kind::Synced, step.len, &self.head.salt.clone())?;
        if !had_appends {
            // The statement itself need not be durable: it alone does not make the ledger dirty.
            self.synced_len = self.tail_len;
        }
        Ok(())
    }

    fn begin_segment(&mut self) -> Result<(), LedgerError> {
        if let Err(source) = self.tail.sync_data() {
            self.has_failed = true;
            return Err(self.fault(source));
        }
        let create = || {
            let head = Head::new(self.head.number + 1)?;
            Ok((segment::create_segment(&self.dir, &head)?, head))
        };
        let (file, head) = create().map_err(|source| self.fault(source))?;
        self.head = head;
        self.tail = Arc::new(file);
        self.tail_len = segment::HEAD_BYTES as u64;
        self.synced_len = self.tail_len;
        Ok(())
    }

    fn refuse_after_failure(&self) -> Result<(), LedgerError> {
        if self.has_failed { Err(LedgerError::SyncFailed { dir: self.dir.clone() }) } else { Ok(()) }
    }

    fn fault(&self, source: io::Error) -> LedgerError {
        LedgerError::Io { path: segment::segment_path(&self.dir, self.head.number), source }
    }
}

/// A sync that can run without the ledger's lock.
#[derive(Debug)]
pub(super) struct SyncStep {
    file: Arc<File>,
    segment: u32,
    len: u64,
}

impl SyncStep {
    pub fn run(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Reads the record at a place that the index gave.
pub(super) fn read_at(file: &File, path: &Path, position: Position) -> Result<Record, LedgerError> {
    let result = segment::read_record(file, position.offset.into(), position.len as usize);
    result.map_err(|bad| explain(bad, path, position.offset.into()))
}

/// Reads the first bytes of a record's payload, unchecked.
pub(super) fn read_start_at(
    file: &File,
    path: &Path,
    position: Position,
    bytes_max: usize,
) -> Result<Bytes, LedgerError> {
    let payload_bytes = (position.len as usize).saturating_sub(segment::RECORD_OVERHEAD_BYTES);
    let mut start = vec![0; payload_bytes.min(bytes_max)];
    let offset = u64::from(position.offset) + segment::RECORD_OVERHEAD_BYTES as u64;
    file.read_exact_at(&mut start, offset).map_err(|source| LedgerError::Io { path: path.to_owned(), source })?;
    Ok(start.into())
}

/// Turns a bad record into the error that names its place.
pub(super) fn explain(bad: BadRecord, path: &Path, offset: u64) -> LedgerError {
    match bad {
        BadRecord::Io(source) => LedgerError::Io { path: path.to_owned(), source },
        BadRecord::Invalid(what) => LedgerError::Damaged { file: path.to_owned(), offset, what },
    }
}
