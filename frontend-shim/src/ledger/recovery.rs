//! Opening a ledger: every segment is read once from front to back, and the index is rebuilt from what it says.
//!
//! A torn tail of the last segment is cut off and reported. Anything else that is wrong stops the opening with the name
//! of the file and the offset: to go on would mean to forget blocks that were durable (contract §8).

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use tracing::warn;

use super::block::decode_header;
use super::files::{Files, Position, explain};
use super::index::{Entry, Index};
use super::segment::{self, BadRecord, FORMAT_VERSION, HEAD_BYTES, Head, HeadError, Kind, Record, Scanner};
use super::{LedgerError, Tip};

/// Reads the ledger in `dir`, which may be empty.
pub(super) fn recover(dir: &Path, segment_bytes: u64) -> Result<(Files, Index), LedgerError> {
    let mut index = Index::default();
    let Some(last) = last_segment(dir)? else {
        let (head, file) = begin(dir, 0)?;
        return Ok((Files::new(dir.to_owned(), segment_bytes, head, file, HEAD_BYTES as u64), index));
    };
    for number in 0..last {
        let path = segment::segment_path(dir, number);
        let mut file = open(&path)?;
        let len = file_len(&file, &path)?;
        read_head(&mut file, &path, number)?;
        let (end, bad) = read_records(file, &path, number, len, &mut index)?;
        if let Some(bad) = bad {
            return Err(explain(bad, &path, end));
        }
    }
    let (head, file, len) = recover_last(dir, last, &mut index)?;
    Ok((Files::new(dir.to_owned(), segment_bytes, head, file, len), index))
}

fn recover_last(dir: &Path, number: u32, index: &mut Index) -> Result<(Head, File, u64), LedgerError> {
    let path = segment::segment_path(dir, number);
    let mut file = open(&path)?;
    let len = file_len(&file, &path)?;
    if len < HEAD_BYTES as u64 {
        // The crash came while the segment was begun: its head is made durable before anything is written behind it.
        let (head, file) = begin(dir, number)?;
        return Ok((head, file, HEAD_BYTES as u64));
    }
    let head = read_head(&mut file, &path, number)?;
    let again = file.try_clone().map_err(|source| io_error(&path, source))?;
    let (end, bad) = read_records(again, &path, number, len, index)?;
    let Some(bad) = bad else {
        return Ok((head, file, len));
    };
    if let BadRecord::Invalid(_) = bad {
        file.seek(SeekFrom::Start(end)).map_err(|source| io_error(&path, source))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail).map_err(|source| io_error(&path, source))?;
        if segment::synced_up_to(&tail, &head) <= end {
            cut_tail(&file, &path, end, len)?;
            return Ok((head, file, end));
        }
    }
    Err(explain(bad, &path, end))
}

fn cut_tail(file: &File, path: &Path, end: u64, len: u64) -> Result<(), LedgerError> {
    let bytes = len - end;
    warn!(file = %path.display(), offset = end, bytes, "cut off the torn tail that a crash left in a ledger");
    file.set_len(end).and_then(|()| file.sync_all()).map_err(|source| io_error(path, source))
}

/// Reads records into the index until the end or the first bad one, and says where that was.
fn read_records(
    file: File,
    path: &Path,
    segment: u32,
    len: u64,
    index: &mut Index,
) -> Result<(u64, Option<BadRecord>), LedgerError> {
    let mut scanner = Scanner::new(BufReader::with_capacity(READ_BYTES, file), len);
    loop {
        let offset = scanner.offset();
        match scanner.next() {
            Ok(Some((record, len))) => {
                let position = Position { segment, offset: offset as u32, len: len as u32 };
                let taken = take(index, record, position);
                taken.map_err(|what| LedgerError::Damaged { file: path.to_owned(), offset, what })?;
            }
            Ok(None) => return Ok((offset, None)),
            Err(bad) => return Ok((offset, Some(bad))),
        }
    }
}

/// Enters a record into the index. Blocks must be in order and chained; a certificate must follow its block.
fn take(index: &mut Index, record: Record, position: Position) -> Result<(), &'static str> {
    match record.kind {
        Kind::Synced => Ok(()),
        Kind::Certificate if record.number < index.height() => {
            index.certify(record.number, position);
            Ok(())
        }
        Kind::Certificate => Err("a certificate without its block"),
        Kind::Block => {
            let header = decode_header(&record.payload).map_err(|_| "a block that does not parse")?;
            let previous = index.tip().map(|tip| tip.header_hash);
            if header.number != index.height() || record.number != index.height() {
                return Err("a block with the wrong number");
            }
            if previous.is_some_and(|previous| previous[..] != header.previous_hash[..]) {
                return Err("a block that does not follow the one before it");
            }
            let tip = Tip { number: header.number, header_hash: header.hash() };
            index.append(Entry::new(position), tip);
            Ok(())
        }
    }
}

/// The greatest number of a segment in `dir`; those below must all be there.
fn last_segment(dir: &Path) -> Result<Option<u32>, LedgerError> {
    let entries = fs::read_dir(dir).map_err(|source| io_error(dir, source))?;
    let mut numbers = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|source| io_error(dir, source))?;
        numbers.extend(entry.file_name().to_str().and_then(segment::segment_number));
    }
    numbers.sort_unstable();
    match numbers.iter().zip(0..).find(|(found, wanted)| **found != *wanted) {
        Some((_, missing)) => {
            let file = segment::segment_path(dir, missing);
            Err(LedgerError::Damaged { file, offset: 0, what: "it is missing, and a later segment is there" })
        }
        None => Ok(numbers.last().copied()),
    }
}

fn read_head(file: &mut File, path: &Path, number: u32) -> Result<Head, LedgerError> {
    let mut bytes = [0; HEAD_BYTES];
    file.read_exact(&mut bytes).map_err(|source| io_error(path, source))?;
    let damaged = |what| LedgerError::Damaged { file: path.to_owned(), offset: 0, what };
    match Head::decode(&bytes) {
        Ok(head) if head.number == number => Ok(head),
        Ok(_) => Err(damaged("the head of another segment")),
        Err(HeadError::NotASegment) => Err(damaged("not the head of a segment")),
        Err(HeadError::Checksum) => Err(damaged("a head with a wrong checksum")),
        Err(HeadError::Version(found)) => {
            Err(LedgerError::Version { file: path.to_owned(), found, known: FORMAT_VERSION })
        }
    }
}

fn begin(dir: &Path, number: u32) -> Result<(Head, File), LedgerError> {
    let create = || {
        let head = Head::new(number)?;
        let file = segment::create_segment(dir, &head)?;
        Ok((head, file))
    };
    create().map_err(|source| io_error(&segment::segment_path(dir, number), source))
}

fn open(path: &Path) -> Result<File, LedgerError> {
    OpenOptions::new().read(true).write(true).open(path).map_err(|source| io_error(path, source))
}

fn file_len(file: &File, path: &Path) -> Result<u64, LedgerError> {
    Ok(file.metadata().map_err(|source| io_error(path, source))?.len())
}

fn io_error(path: &Path, source: io::Error) -> LedgerError {
    LedgerError::Io { path: PathBuf::from(path), source }
}

/// Size of the reads while a segment is scanned.
const READ_BYTES: usize = 1024 * 1024;
