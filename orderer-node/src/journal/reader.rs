//! Reading decisions back, while the writer goes on.
//!
//! A reader sees what is committed and nothing else. It takes the lock of the index for moments only and reads the
//! files outside of it, so that it never holds up a commit.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mod_smart::message::DecidedBatch;
use mod_smart::record::Decided;
use mod_smart::{Digest, GroupId, InstanceId, Record, Request, Sealed};

use crate::disk::Disk;
use crate::journal::entry::Entry;
use crate::journal::error::JournalError;
use crate::journal::frame::Position;
use crate::journal::index::{Found, Index};
use crate::journal::limits::{LOCATED_MAX, SEGMENTS_OPEN_MAX};
use crate::journal::scan::{Scan, Step};
use crate::journal::segment::Segment;
use crate::journal::start::Start;

/// Reads decisions of a [`crate::journal::Journal`]. Clones share what they know; any thread may use one.
#[derive(Clone, Debug)]
pub struct JournalReader {
    shared: Arc<Shared>,
}

impl JournalReader {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The last instance whose decision is committed.
    #[must_use]
    pub fn last_decided(&self) -> Option<InstanceId> {
        self.shared.index().last()
    }

    /// Does the mark of this checkpoint stand in what is committed and kept?
    #[must_use]
    pub fn has_mark(&self, instance: InstanceId) -> bool {
        self.shared.index().has_mark(instance)
    }

    /// Committed decisions from `from` on, with their bodies, in order and without a gap. Ends before more than
    /// `count_max` decisions or `bytes_max` bytes, but gives one decision whatever its size, if `from` is decided here.
    /// What was truncated is not decided here any more.
    ///
    /// # Errors
    /// The disk fails; what was written is damaged; a body was never written; or a part of the first decision was
    /// truncated.
    pub fn read_decisions(
        &self,
        from: InstanceId,
        bytes_max: usize,
        count_max: usize,
    ) -> Result<Vec<DecidedBatch>, JournalError> {
        let mut batches = Vec::new();
        let mut bytes = 0;
        let mut instance = from;
        while batches.len() < count_max {
            let Some(position) = self.shared.find(instance)? else { break };
            let bytes_left = if batches.is_empty() { usize::MAX } else { bytes_max.saturating_sub(bytes) };
            match self.shared.read_batch(instance, position, bytes_left) {
                Ok(Some((batch, size))) => {
                    bytes += size;
                    batches.push(batch);
                }
                Ok(None) => break,
                // Whoever asks again from there learns of it.
                Err(_) if !batches.is_empty() => break,
                Err(error) => return Err(error),
            }
            instance = instance.next();
        }
        Ok(batches)
    }
}

/// Deletes what is no longer needed of a [`crate::journal::Journal`], from any thread, while the writer goes on.
#[derive(Clone, Debug)]
pub struct Truncator {
    shared: Arc<Shared>,
}

impl Truncator {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Deletes whole segments before the one in which the mark of this checkpoint stands; if that mark is not known, the
    /// newest known one before it. Gives the number of segments deleted. The caller knows that everything that recovery
    /// needs stands after the mark.
    ///
    /// # Errors
    /// The disk fails. What was to be deleted is then not part of the journal any more, or still is; both are whole.
    pub fn truncate(&self, mark: InstanceId) -> Result<u32, JournalError> {
        let shared = &self.shared;
        let _one_at_a_time = lock(&shared.truncating);
        let (from, first) = {
            let index = shared.index();
            (index.first(), index.segment_of_mark(mark).unwrap_or(index.first()))
        };
        if first <= from {
            return Ok(0);
        }
        let start = Start::at(first);
        start.write(&*shared.disk, shared.group)?;
        shared.index().forget_before(first);
        lock(&shared.open).retain(|segment| segment.number >= first);
        lock(&shared.located).clear();
        start.clear(&*shared.disk)?;
        Ok(first - from)
    }
}

/// What the writer and the readers of one journal share.
#[derive(Debug)]
pub(crate) struct Shared {
    disk: Arc<dyn Disk>,
    group: GroupId,
    index: Mutex<Index>,
    truncating: Mutex<()>,
    /// Segments that were read lately, the latest last.
    open: Mutex<VecDeque<Arc<Segment>>>,
    /// What long searches have found, or not found, before a place.
    located: Mutex<BTreeMap<Digest, (Position, Option<Position>)>>,
}

impl Shared {
    pub(crate) fn new(disk: Arc<dyn Disk>, group: GroupId, index: Index) -> Self {
        let (truncating, open, located) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { disk, group, index: Mutex::new(index), truncating, open, located }
    }

    pub(crate) fn index(&self) -> MutexGuard<'_, Index> {
        lock(&self.index)
    }

    /// A segment, opened if it is not open.
    ///
    /// # Errors
    /// The disk fails, its head is damaged, or it is not kept any more.
    pub(crate) fn segment(&self, number: u32) -> Result<Arc<Segment>, JournalError> {
        self.check_kept(number)?;
        match self.open_segment(number) {
            Ok(segment) => Ok(segment),
            // It may have been deleted at this moment, and that says more than a file that is not there.
            Err(error) => Err(self.check_kept(number).err().unwrap_or(error)),
        }
    }

    fn check_kept(&self, number: u32) -> Result<(), JournalError> {
        let first = self.index().first();
        if number < first { Err(JournalError::NotKept { first }) } else { Ok(()) }
    }

    fn open_segment(&self, number: u32) -> Result<Arc<Segment>, JournalError> {
        let mut open = lock(&self.open);
        if let Some(at) = open.iter().position(|segment| segment.number == number)
            && let Some(segment) = open.remove(at)
        {
            open.push_back(Arc::clone(&segment));
            return Ok(segment);
        }
        let segment = Arc::new(Segment::open(&*self.disk, number, self.group)?);
        if open.len() == SEGMENTS_OPEN_MAX {
            open.pop_front();
        }
        open.push_back(Arc::clone(&segment));
        Ok(segment)
    }

    /// Reads the record at a position.
    pub(crate) fn read(&self, position: Position) -> Result<Entry, JournalError> {
        let segment = self.segment(position.segment)?;
        let payload = segment.read(position)?;
        Entry::decode(payload).map_err(|error| segment.damaged(position.offset, error))
    }

    /// The newest body of this digest that stands before a place. Reads the journal backwards: for what the writer has
    /// forgotten.
    pub(crate) fn locate(&self, digest: Digest, before: Position) -> Result<Option<Position>, JournalError> {
        let known = lock(&self.located).get(&digest).copied();
        match known {
            Some((_, Some(body))) if body < before => return Ok(Some(body)),
            Some((sought, None)) if before <= sought => return Ok(None),
            _ => {}
        }
        let mut found = None;
        for number in (0..=before.segment).rev() {
            let scanned = self.scan(number, |position, entry| match &entry.record {
                Record::Body(request) if position < before && request.digest() == digest => found = Some(position),
                _ => {}
            });
            match scanned {
                Ok(()) if found.is_none() => {}
                Ok(()) | Err(JournalError::NotKept { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        let mut located = lock(&self.located);
        if located.len() == LOCATED_MAX {
            located.clear();
        }
        located.insert(digest, (before, found));
        Ok(found)
    }

    fn find(&self, instance: InstanceId) -> Result<Option<Position>, JournalError> {
        let mut read = Vec::new();
        loop {
            let found = self.index().find(instance, &read);
            let number = match found {
                Found::At(position) => return Ok(Some(position)),
                Found::Nowhere => return Ok(None),
                Found::Within(number) => number,
            };
            let mut decided = BTreeMap::new();
            let scanned = self.scan(number, |position, entry| {
                if let Record::Decided(record) = &entry.record {
                    decided.entry(record.proof.instance()).or_insert(position);
                }
            });
            match scanned {
                Ok(()) => self.index().on_loaded(number, decided),
                Err(JournalError::NotKept { .. }) => {}
                Err(error) => return Err(error),
            }
            read.push(number);
        }
    }

    /// A decision with its bodies, and how many bytes they are; none if these are more than `bytes_max`.
    fn read_batch(
        &self,
        instance: InstanceId,
        position: Position,
        bytes_max: usize,
    ) -> Result<Option<(DecidedBatch, usize)>, JournalError> {
        let (decided, bodies) = self.read_decided(instance, position)?;
        let bytes = position.length as usize + bodies.iter().map(|body| body.length as usize).sum::<usize>();
        if bytes > bytes_max {
            return Ok(None);
        }
        let requests = decided.requests.iter().zip(bodies).map(|(digest, at)| self.read_body(*digest, at));
        let requests = requests.collect::<Result<_, _>>()?;
        Ok(Some((DecidedBatch { requests, proof: decided.proof }, bytes)))
    }

    fn read_decided(&self, instance: InstanceId, position: Position) -> Result<(Decided, Vec<Position>), JournalError> {
        let entry = self.read(position)?;
        let decided = match entry.record {
            Record::Decided(decided) if decided.proof.instance() == instance => decided,
            _ => return Err(self.misplaced(position, "another record stands where a decision was written")),
        };
        let mut bodies = Vec::with_capacity(entry.bodies.len());
        for (&digest, body) in decided.requests.iter().zip(entry.bodies) {
            let body = if body.is_some() { body } else { self.locate(digest, position)? };
            bodies.push(body.ok_or_else(|| self.missing(instance, digest))?);
        }
        Ok((decided, bodies))
    }

    fn read_body(&self, digest: Digest, position: Position) -> Result<Sealed<Request>, JournalError> {
        match self.read(position)?.record {
            Record::Body(request) if request.digest() == digest => Ok(request),
            _ => Err(self.misplaced(position, "another record stands where a body was written")),
        }
    }

    /// Why a body is nowhere: in a journal that was never truncated it should be.
    fn missing(&self, instance: InstanceId, digest: Digest) -> JournalError {
        match self.index().first() {
            0 => JournalError::BodyMissing { instance, digest },
            first => JournalError::NotKept { first },
        }
    }

    fn misplaced(&self, position: Position, reason: &str) -> JournalError {
        let Position { segment, offset, .. } = position;
        JournalError::Damaged { segment, offset: u64::from(offset), reason: reason.to_owned() }
    }

    /// Shows every committed record of a segment.
    fn scan(&self, number: u32, mut show: impl FnMut(Position, Entry)) -> Result<(), JournalError> {
        let segment = self.segment(number)?;
        let (last, end) = self.index().committed;
        let end = if number == last { end } else { segment.len()? };
        let mut scan = Scan::new(Arc::clone(&segment), end);
        loop {
            match scan.step()? {
                Step::End => return Ok(()),
                Step::Bad(bad) => return Err(segment.damaged(bad.offset, bad.reason)),
                Step::Frame(position, payload) => {
                    let entry = Entry::decode(payload).map_err(|error| segment.damaged(position.offset, error))?;
                    show(position, entry);
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::disk::MemDisk;
    use crate::journal::tests::fixture::{body, commit, digest, open};

    #[test]
    fn a_search_finds_the_newest_body_before_a_place_whatever_was_sought_earlier() {
        let (mut journal, ..) = open(&MemDisk::default());
        let mut ends = vec![journal.committed];
        for number in [1, 2, 1, 2] {
            commit(&mut journal, &[body(number)]);
            ends.push(journal.committed);
        }
        let shared = journal.reader().shared;
        let locate = |number, end: usize| {
            let before = Position { segment: 0, offset: ends[end], length: 0 };
            shared.locate(digest(number), before).unwrap().map(|body| body.offset)
        };
        assert_eq!(locate(1, 0), None);
        assert_eq!(locate(1, 4), Some(ends[2]));
        assert_eq!(locate(1, 2), Some(ends[0]));
        assert_eq!(locate(1, 0), None);
        assert_eq!(locate(2, 1), None);
        assert_eq!(locate(2, 2), Some(ends[1]));
        assert_eq!(locate(3, 4), None);
    }
}
