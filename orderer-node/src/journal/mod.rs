//! The journal: what this replica has said, promised and decided, durable before anybody hears of it.
//!
//! Records ([`mod_smart::Record`]) are appended to segments, `journal-000000.log` and so on. [`Journal::append`] collects,
//! [`Journal::commit`] makes everything collected durable with one write and one sync (group commit). A journal has one
//! writer; [`JournalReader`]s give decisions to replicas that lack them, and [`Truncator`]s delete the segments before a
//! checkpoint's mark, both from any thread. [`set_aside`] moves a damaged journal out of the way, whole.
//!
//! Invariants:
//! - A commit lies in one segment, and a segment is durable in full before the next one is made.
//! - Nothing that was durable is ever changed or overwritten, and removed only in whole segments from the front, after
//!   `journal.start` says durably that they are no part of the journal. Only what follows the last durable byte of the last
//!   segment can be cut off, when the journal is opened.
//! - A body stands before every record that refers to it. A decision carries the positions of its bodies.
//! - After a failed write or sync nothing more is taken: what the disk holds is unknown until it is read again.
//! - Memory is bounded by [`limits`], whatever the length of the journal.
//!
//! One thing cannot be told apart from the files: damage to the very last commit looks like a commit that was torn by a
//! loss of power.

mod bodies;
mod entry;
mod error;
mod frame;
mod index;
pub mod limits;
mod reader;
mod replay;
mod scan;
mod segment;
mod start;
mod survey;

use std::sync::Arc;
use std::time::{Duration, Instant};

use mod_smart::{GroupId, InstanceId, Record};

use crate::disk::{Disk, DiskError};
use bodies::Bodies;
use frame::{HEAD_BYTES, Position};
use index::Index;
use limits::{BUFFER_BYTES_MAX, RECORD_BYTES_MAX};
use reader::Shared;
use segment::Segment;
use survey::{End, Survey, make_durable};

pub use error::JournalError;
pub use reader::{JournalReader, Truncator};
pub use replay::Replay;
pub use start::set_aside;

/// The writer of a journal.
#[derive(Debug)]
pub struct Journal {
    disk: Arc<dyn Disk>,
    group: GroupId,
    options: JournalOptions,
    shared: Arc<Shared>,
    bodies: Bodies,
    segment: Arc<Segment>,
    /// Checksum of the last frame.
    chain: u32,
    /// How far the segment is synced, committed and written: `synced <= committed <= written`. The first two differ only
    /// without durability.
    synced: u32,
    committed: u32,
    written: u32,
    /// Frames that follow `written`.
    buffer: Vec<u8>,
    /// What readers learn of at the commit.
    decided: Vec<(InstanceId, Position)>,
    marks: Vec<(InstanceId, u32)>,
    commit: Commit,
    is_stopped: bool,
}

/// How a journal is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalOptions {
    /// Is a commit durable?
    pub durability: Durability,
    /// Bytes after which a segment takes no further commit.
    pub segment_bytes: u32,
    /// See [`limits::BODIES_WAITING_MAX`].
    pub bodies_waiting_max: usize,
    /// See [`limits::BODIES_RECENT_MAX`].
    pub bodies_recent_max: usize,
    /// See [`limits::DECISIONS_INDEXED_MAX`].
    pub decisions_indexed_max: usize,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Full,
            segment_bytes: limits::SEGMENT_BYTES,
            bodies_waiting_max: limits::BODIES_WAITING_MAX,
            bodies_recent_max: limits::BODIES_RECENT_MAX,
            decisions_indexed_max: limits::DECISIONS_INDEXED_MAX,
        }
    }
}

/// What a commit promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Everything in it survives a loss of power.
    #[default]
    Full,
    /// Nothing is synced: for comparison only. A loss of power can leave a journal that does not open.
    None,
}

/// What one commit wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// Records.
    pub records: u64,
    /// Bytes, frames included.
    pub bytes: u64,
    /// How long the sync took, if there was one.
    pub sync: Option<Duration>,
}

/// What was found when the journal was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Segments.
    pub segments: u64,
    /// Records.
    pub records: u64,
    /// Bytes of records, without frames.
    pub bytes: u64,
    /// What was cut off at the end.
    pub torn: Option<Torn>,
}

/// An end that was torn by a loss of power. Nobody was told of what stood there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    /// Number of the segment.
    pub segment: u32,
    /// Where it was cut off.
    pub offset: u64,
    /// How many bytes were lost.
    pub bytes: u64,
}

impl Journal {
    /// Opens the journal of a group, or begins it. All of it is read and verified; a torn end is cut off and noted in
    /// the summary. The [`Replay`] shows what a replica needs that starts from the checkpoint after instance `after`:
    /// in the order of the journal, every body that may still be ordered and all records that are no bodies.
    ///
    /// # Errors
    /// The disk fails; the journal is damaged ([`JournalError::is_damage`]), and then nothing was changed; or it is
    /// another group's or another version's.
    pub fn open(
        disk: Arc<dyn Disk>,
        group: GroupId,
        options: JournalOptions,
        after: InstanceId,
    ) -> Result<(Self, Replay), JournalError> {
        let mut survey = Survey::of(&*disk, group, options, after)?;
        let index = std::mem::replace(&mut survey.index, Index::new(0, 0));
        let shared = Arc::new(Shared::new(Arc::clone(&disk), group, index));
        for (instance, digest, place) in std::mem::take(&mut survey.forgotten) {
            match shared.locate(digest, place)? {
                Some(body) => survey.show_early(body),
                // What was truncated may have held it; whether that matters is for the replica to say.
                None if survey.first > 0 => {}
                None => return Err(JournalError::BodyMissing { instance, digest }),
            }
        }
        let replay = Replay::new(Arc::clone(&shared), &mut survey);
        let End { segment, offset, chain } = survey.end;
        let synced = if options.durability == Durability::Full { offset } else { 0 };
        let journal = Self {
            disk,
            group,
            options,
            shared,
            bodies: survey.bodies,
            segment,
            chain,
            synced,
            committed: offset,
            written: offset,
            buffer: Vec::new(),
            decided: Vec::new(),
            marks: Vec::new(),
            commit: Commit::default(),
            is_stopped: false,
        };
        Ok((journal, replay))
    }

    /// A reader of what is committed.
    #[must_use]
    pub fn reader(&self) -> JournalReader {
        JournalReader::new(Arc::clone(&self.shared))
    }

    /// Deletes what is no longer needed.
    #[must_use]
    pub fn truncator(&self) -> Truncator {
        Truncator::new(Arc::clone(&self.shared))
    }

    /// What its commits promise.
    #[must_use]
    pub const fn durability(&self) -> Durability {
        self.options.durability
    }

    /// Bytes appended since the last commit.
    #[must_use]
    pub const fn uncommitted_bytes(&self) -> u64 {
        self.commit.bytes
    }

    /// Takes a record into the next commit.
    ///
    /// # Errors
    /// The record is too large, and was not taken; the disk failed, and the journal has stopped; or it had stopped.
    pub fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        self.guarded(|journal| journal.try_append(record))
    }

    /// Makes everything appended durable. Without anything appended it does nothing.
    ///
    /// # Errors
    /// The disk failed: nothing of this commit may be acted upon, and the journal has stopped. Or it had stopped.
    pub fn commit(&mut self) -> Result<Commit, JournalError> {
        self.guarded(Self::try_commit)
    }

    fn guarded<T>(&mut self, run: impl FnOnce(&mut Self) -> Result<T, JournalError>) -> Result<T, JournalError> {
        if self.is_stopped {
            return Err(JournalError::Stopped);
        }
        let result = run(self);
        if let Err(JournalError::Disk(_)) = &result {
            self.stop();
        }
        result
    }

    fn try_append(&mut self, record: &Record) -> Result<(), JournalError> {
        if self.commit.records == 0 && self.committed >= self.options.segment_bytes {
            self.roll()?;
        }
        let encoded = record.encode();
        let requests = if let Record::Decided(decided) = record { decided.requests.len() } else { 0 };
        let size = entry::size(requests, &encoded);
        let offset = self.written as usize + self.buffer.len();
        if size > RECORD_BYTES_MAX || offset + HEAD_BYTES + size > u32::MAX as usize {
            return Err(JournalError::TooLarge { bytes: size });
        }
        let position = Position { segment: self.segment.number, offset: offset as u32, length: size as u32 };
        let bodies = self.on_record(record, position);
        let head = self.segment.stamp.push(&mut self.buffer, position.offset, self.chain, self.synced, |buffer| {
            entry::push(buffer, &bodies, &encoded);
        });
        self.chain = head.checksum;
        self.commit.records += 1;
        self.commit.bytes += (HEAD_BYTES + size) as u64;
        if self.buffer.len() >= BUFFER_BYTES_MAX {
            self.write()?;
        }
        Ok(())
    }

    /// Keeps the positions of bodies; gives those of a decision.
    fn on_record(&mut self, record: &Record, position: Position) -> Vec<Option<Position>> {
        let mut bodies = Vec::new();
        match record {
            Record::Body(request) => self.bodies.on_body(request.digest(), position),
            Record::Decided(decided) => {
                bodies.extend(decided.requests.iter().map(|digest| self.bodies.on_decided(*digest)));
                self.decided.push((decided.proof.instance(), position));
            }
            Record::Mark(instance) => self.marks.push((*instance, position.segment)),
            _ => {}
        }
        self.bodies.bound(self.options.bodies_waiting_max, self.options.bodies_recent_max);
        bodies
    }

    fn try_commit(&mut self) -> Result<Commit, JournalError> {
        if self.commit.records == 0 {
            return Ok(Commit::default());
        }
        self.write()?;
        if self.options.durability == Durability::Full {
            let start = Instant::now();
            self.segment.file.sync()?;
            self.commit.sync = Some(start.elapsed());
            self.synced = self.written;
        }
        self.committed = self.written;
        let mut index = self.shared.index();
        index.committed = (self.segment.number, self.committed);
        for (instance, position) in self.decided.drain(..) {
            index.on_decided(instance, position);
        }
        for (instance, segment) in self.marks.drain(..) {
            index.on_mark(instance, segment);
        }
        Ok(std::mem::take(&mut self.commit))
    }

    fn write(&mut self) -> Result<(), DiskError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.segment.file.write_at(u64::from(self.written), &self.buffer)?;
        self.written += self.buffer.len() as u32;
        self.buffer.clear();
        self.buffer.shrink_to(2 * BUFFER_BYTES_MAX);
        Ok(())
    }

    /// Goes on in a new segment, which is durable with its name before it takes a record.
    fn roll(&mut self) -> Result<(), JournalError> {
        let number = self.segment.number.checked_add(1).ok_or(JournalError::Full)?;
        let segment = Segment::create(&*self.disk, number, self.group, self.chain)?;
        make_durable(&*self.disk, &segment, self.options)?;
        let End { segment, offset, chain } = End::at_begin(segment);
        (self.segment, self.chain) = (segment, chain);
        (self.committed, self.written) = (offset, offset);
        self.synced = if self.options.durability == Durability::Full { offset } else { 0 };
        Ok(())
    }

    /// A failed sync can leave bytes in the system's cache that never reached the disk, and a later reading would take
    /// them for durable. Nobody acted on them, so they are taken away if the disk lets us.
    fn stop(&mut self) {
        self.is_stopped = true;
        if let Err(error) = self.segment.file.truncate(u64::from(self.committed)) {
            tracing::warn!(%error, "what a failed commit wrote could not be taken back");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
