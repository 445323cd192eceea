//! A segment: one file of the journal, its name, its head, and reading from it.
//!
//! ```text
//! magic 8 | version u32 | group 32 | number u32 | mark 4 | chain u32 | checksum u32 | frames
//! ```
//!
//! `chain` is the checksum of the last frame of the segment before, so that the chain of records runs through all
//! segments. A segment is durable with its name before the first frame is written to it.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use mod_smart::GroupId;

use crate::disk::{Disk, DiskError, DiskFile};
use crate::journal::error::JournalError;
use crate::journal::frame::{HEAD_BYTES, Position, Stamp};
use crate::journal::limits::RECORD_BYTES_MAX;

/// An open segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: u32,
    pub(crate) stamp: Stamp,
    /// What the first frame must follow.
    pub(crate) chain: u32,
    pub(crate) file: Arc<dyn DiskFile>,
}

impl Segment {
    /// Makes the file and writes the head. Not durable yet.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn create(disk: &dyn Disk, number: u32, group: GroupId, chain: u32) -> Result<Self, DiskError> {
        Self::begin(disk.create(&name(number))?, number, group, chain)
    }

    /// Writes the head into an empty file.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn begin(file: Arc<dyn DiskFile>, number: u32, group: GroupId, chain: u32) -> Result<Self, DiskError> {
        let mark = random_mark();
        let mut head = Vec::with_capacity(SEGMENT_HEAD_BYTES);
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&VERSION.to_be_bytes());
        head.extend_from_slice(&group.0);
        head.extend_from_slice(&number.to_be_bytes());
        head.extend_from_slice(&mark);
        head.extend_from_slice(&chain.to_be_bytes());
        let seed = crc32c::crc32c(&head);
        head.extend_from_slice(&seed.to_be_bytes());
        file.write_at(0, &head)?;
        Ok(Self { number, stamp: Stamp { mark, seed }, chain, file })
    }

    /// Opens a segment and checks its head.
    ///
    /// # Errors
    /// The disk fails, or the head is damaged or another's.
    pub(crate) fn open(disk: &dyn Disk, number: u32, group: GroupId) -> Result<Self, JournalError> {
        let file = disk.open(&name(number))?;
        let damaged = |reason: &str| JournalError::Damaged { segment: number, offset: 0, reason: reason.to_owned() };
        if file.len()? < SEGMENT_HEAD_BYTES as u64 {
            return Err(damaged("the head of the segment is cut short"));
        }
        let mut head = [0; SEGMENT_HEAD_BYTES];
        file.read_at(0, &mut head)?;
        let field = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        if head[..8] != *MAGIC {
            return Err(damaged("it does not begin as a segment of a journal"));
        }
        let seed = crc32c::crc32c(&head[..SEGMENT_HEAD_BYTES - 4]);
        if seed != field(SEGMENT_HEAD_BYTES - 4) {
            return Err(damaged("the checksum of the head of the segment does not match"));
        }
        // Only now: a flipped bit must not pass for another program's version.
        if field(8) != VERSION {
            return Err(JournalError::Version { segment: number, found: field(8), expected: VERSION });
        }
        let mut found = GroupId([0; 32]);
        found.0.copy_from_slice(&head[12..44]);
        if found != group {
            return Err(JournalError::OtherGroup { segment: number, found, expected: group });
        }
        if field(44) != number {
            return Err(damaged("it is another segment under a wrong name"));
        }
        let stamp = Stamp { mark: field(48).to_be_bytes(), seed };
        Ok(Self { number, stamp, chain: field(52), file })
    }

    /// Reads one record whose position is known.
    ///
    /// # Errors
    /// The disk fails, or what stands there is not that record.
    pub(crate) fn read(&self, position: Position) -> Result<Bytes, JournalError> {
        let damaged = |reason| self.damaged(position.offset, reason);
        // Positions are read from records, too: nothing is made room for that the file cannot hold.
        let end = u64::from(position.offset) + HEAD_BYTES as u64 + u64::from(position.length);
        if position.length as usize > RECORD_BYTES_MAX || end > self.file.len()? {
            return Err(damaged("the length of a record is out of range"));
        }
        let mut frame = vec![0; HEAD_BYTES + position.length as usize];
        self.file.read_at(u64::from(position.offset), &mut frame)?;
        let head = self.stamp.head(&frame, u64::from(position.length)).map_err(damaged)?;
        if !self.stamp.is_intact(position.offset, head, &frame[HEAD_BYTES..]) {
            return Err(damaged("the checksum of a record does not match"));
        }
        Ok(Bytes::from(frame).slice(HEAD_BYTES..))
    }

    /// Bytes of the file. A segment longer than positions can say is not ours.
    ///
    /// # Errors
    /// The disk fails, or the file is too long.
    pub(crate) fn len(&self) -> Result<u32, JournalError> {
        let bytes = self.file.len()?;
        u32::try_from(bytes).map_err(|_| self.damaged(u32::MAX, "the segment is longer than any that was written"))
    }

    pub(crate) fn damaged(&self, offset: u32, reason: impl ToString) -> JournalError {
        JournalError::Damaged { segment: self.number, offset: u64::from(offset), reason: reason.to_string() }
    }
}

/// The file name of a segment.
pub(crate) fn name(number: u32) -> String {
    format!("journal-{number:06}.log")
}

/// The numbers of the segments on a disk, whether they belong to the journal or not, in order.
///
/// # Errors
/// The disk fails.
pub(crate) fn numbers(disk: &dyn Disk) -> Result<Vec<u32>, DiskError> {
    let mut numbers: Vec<u32> = disk.list()?.iter().filter_map(|file| parse(file)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The numbers of the segments of a journal that begins with segment `first`, without a gap. None if there is none.
///
/// # Errors
/// One is missing, or the disk fails.
pub(crate) fn range(disk: &dyn Disk, first: u32) -> Result<Option<RangeInclusive<u32>>, JournalError> {
    let numbers = numbers(disk)?.into_iter().filter(|number| *number >= first);
    let mut last = None;
    for (expected, found) in (first..=u32::MAX).zip(numbers) {
        if expected != found {
            return Err(JournalError::SegmentMissing { segment: expected });
        }
        last = Some(found);
    }
    Ok(last.map(|last| first..=last))
}

fn parse(file: &str) -> Option<u32> {
    let number = file.strip_prefix("journal-")?.strip_suffix(".log")?.parse().ok()?;
    (name(number) == file).then_some(number)
}

/// Only has to be unknown to those who write requests. The keys of the standard hasher come from the system's
/// randomness.
fn random_mark() -> [u8; 4] {
    let random = RandomState::new().build_hasher().finish();
    ((random >> 32) as u32 ^ random as u32).to_be_bytes()
}

/// Bytes before the first frame.
pub(crate) const SEGMENT_HEAD_BYTES: usize = 60;

const MAGIC: &[u8; 8] = b"bftjrnl\n";
const VERSION: u32 = 1;
