//! The first reading of a journal: everything is verified, a torn end is cut off, and the index is built.
//!
//! The survey also finds out which bodies a replica that starts from a checkpoint must be shown: those that no decision up
//! to the checkpoint has settled. They may stand anywhere. All other records are shown whatever they are about.

use std::collections::BTreeSet;
use std::sync::Arc;

use mod_smart::{Digest, GroupId, InstanceId, Record};

use crate::disk::Disk;
use crate::journal::bodies::Bodies;
use crate::journal::entry::{self, Entry};
use crate::journal::error::JournalError;
use crate::journal::frame::Position;
use crate::journal::index::Index;
use crate::journal::scan::{Bad, Scan, Step};
use crate::journal::segment::{self, SEGMENT_HEAD_BYTES, Segment};
use crate::journal::start::Start;
use crate::journal::{Durability, JournalOptions, Summary, Torn};

/// What the first reading found.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) summary: Summary,
    pub(crate) bodies: Bodies,
    pub(crate) index: Index,
    pub(crate) end: End,
    /// Bodies to show that stand before `from`.
    pub(crate) early: BTreeSet<Position>,
    /// The first record about an instance after the checkpoint: every body from here on is shown.
    pub(crate) from: Option<Position>,
    /// Bodies of decisions after the checkpoint whose positions were forgotten, with the place of the decision.
    pub(crate) forgotten: Vec<(InstanceId, Digest, Position)>,
    pub(crate) after: InstanceId,
    /// The first segment.
    pub(crate) first: u32,
    options: JournalOptions,
}

/// Where the journal ends: the writer goes on from here.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) segment: Arc<Segment>,
    pub(crate) offset: u32,
    pub(crate) chain: u32,
}

impl Survey {
    /// Reads the whole journal; begins one if there is none.
    ///
    /// # Errors
    /// The disk fails, or the journal is damaged.
    pub(crate) fn of(
        disk: &dyn Disk,
        group: GroupId,
        options: JournalOptions,
        after: InstanceId,
    ) -> Result<Self, JournalError> {
        let start = Start::read(disk, group)?;
        let numbers = segment::range(disk, start.first)?;
        start.clear(disk)?;
        let Some(numbers) = numbers else {
            let segment = Segment::create(disk, start.first, group, 0)?;
            make_durable(disk, &segment, options)?;
            return Ok(Self::new(options, after, End::at_begin(segment)));
        };
        let (first, last) = (*numbers.start(), *numbers.end());
        let open = |number, chain| match number == last {
            true => open_last(disk, number, group, chain),
            false => Ok((Segment::open(disk, number, group)?, None)),
        };
        let (segment, torn) = open(first, 0)?;
        let mut survey = Self::new(options, after, End::at_begin(segment));
        survey.summary.torn = torn;
        for number in numbers.skip(1) {
            survey.read_whole()?;
            let (segment, torn) = open(number, survey.end.chain)?;
            survey.enter(End::at_begin(segment))?;
            survey.summary.torn = torn;
        }
        survey.read_last(disk)?;
        Ok(survey)
    }

    fn new(options: JournalOptions, after: InstanceId, end: End) -> Self {
        let first = end.segment.number;
        Self {
            summary: Summary { segments: 1, ..Summary::default() },
            bodies: Bodies::default(),
            index: Index::new(options.decisions_indexed_max, first),
            end,
            early: BTreeSet::new(),
            from: None,
            forgotten: Vec::new(),
            after,
            first,
            options,
        }
    }

    /// Goes on to the next segment, which must follow the one before.
    fn enter(&mut self, next: End) -> Result<(), JournalError> {
        if next.chain != self.end.chain {
            let reason = "the next segment does not follow the last record of this one";
            return Err(self.end.segment.damaged(self.end.offset, reason));
        }
        self.end = next;
        self.summary.segments += 1;
        Ok(())
    }

    /// Reads a segment that others follow: it was durable in full before they were made.
    fn read_whole(&mut self) -> Result<(), JournalError> {
        if let Some(bad) = self.read()? {
            return Err(self.end.segment.damaged(bad.offset, bad.reason));
        }
        // What was read may stand in the system's cache only; the replica will act on it, so it must be durable.
        if self.options.durability == Durability::Full {
            self.end.segment.file.sync()?;
        }
        Ok(())
    }

    /// Reads the last segment, and cuts it off where a torn commit begins.
    fn read_last(&mut self, disk: &dyn Disk) -> Result<(), JournalError> {
        if let Some(bad) = self.read()? {
            let segment = &self.end.segment;
            let bytes = segment.file.len()? - u64::from(bad.offset);
            segment.file.truncate(u64::from(bad.offset))?;
            self.summary.torn = Some(Torn { segment: segment.number, offset: u64::from(bad.offset), bytes });
        }
        make_durable(disk, &self.end.segment, self.options)
    }

    /// Reads the segment at whose begin the survey stands, up to its end or to where a torn commit may begin.
    ///
    /// # Errors
    /// The disk fails, or the segment is damaged where it was durable.
    fn read(&mut self) -> Result<Option<Bad>, JournalError> {
        let segment = Arc::clone(&self.end.segment);
        let mut scan = Scan::new(Arc::clone(&segment), segment.len()?);
        let bad = loop {
            match scan.step()? {
                Step::End => break None,
                Step::Bad(bad) => break Some(bad),
                Step::Frame(position, payload) => {
                    self.summary.records += 1;
                    self.summary.bytes += payload.len() as u64;
                    let entry = Entry::decode(payload).map_err(|error| segment.damaged(position.offset, error))?;
                    self.on_entry(position, entry);
                }
            }
        };
        (self.end.offset, self.end.chain) = (scan.offset(), scan.chain());
        self.index.committed = (segment.number, self.end.offset);
        match bad {
            Some(bad) if scan.was_synced(&bad)? => Err(segment.damaged(bad.offset, bad.reason)),
            bad => Ok(bad),
        }
    }

    fn on_entry(&mut self, position: Position, entry: Entry) {
        if self.from.is_none() && entry::instance(&entry.record).is_some_and(|instance| instance > self.after) {
            self.from = Some(position);
        }
        match entry.record {
            Record::Body(request) => self.bodies.on_body(request.digest(), position),
            Record::Decided(decided) => {
                let instance = decided.proof.instance();
                self.index.on_decided(instance, position);
                for (digest, body) in decided.requests.into_iter().zip(entry.bodies) {
                    let known = self.bodies.on_decided(digest);
                    if instance <= self.after {
                        continue;
                    }
                    match body.or(known) {
                        Some(body) => self.show_early(body),
                        None => self.forgotten.push((instance, digest, position)),
                    }
                }
                self.bodies.bound(usize::MAX, self.options.bodies_recent_max);
            }
            Record::Mark(instance) => self.index.on_mark(instance, position.segment),
            _ => {}
        }
    }

    /// Marks a body to be shown, unless it will be shown anyway.
    pub(crate) fn show_early(&mut self, body: Position) {
        if self.from.is_none_or(|from| body < from) {
            self.early.insert(body);
        }
    }

    /// Ends the reading: what is still undecided is shown too.
    pub(crate) fn show_waiting(&mut self) {
        let waiting: Vec<Position> = self.bodies.waiting().collect();
        for body in waiting {
            self.show_early(body);
        }
    }
}

impl End {
    /// The begin of a segment.
    pub(crate) fn at_begin(segment: Segment) -> Self {
        let chain = segment.chain;
        Self { segment: Arc::new(segment), offset: SEGMENT_HEAD_BYTES as u32, chain }
    }
}

/// Opens the last segment. If the power failed while it was made, it has no head and no frames, and is made again.
fn open_last(
    disk: &dyn Disk,
    number: u32,
    group: GroupId,
    chain: u32,
) -> Result<(Segment, Option<Torn>), JournalError> {
    let file = disk.open(&segment::name(number))?;
    let bytes = file.len()?;
    let mut head = vec![0; SEGMENT_HEAD_BYTES.min(bytes as usize)];
    file.read_at(0, &mut head)?;
    let is_short = bytes < SEGMENT_HEAD_BYTES as u64;
    let is_blank = bytes == SEGMENT_HEAD_BYTES as u64 && head.iter().all(|byte| *byte == 0);
    if !is_short && !is_blank {
        return Ok((Segment::open(disk, number, group)?, None));
    }
    file.truncate(0)?;
    Ok((Segment::begin(file, number, group, chain)?, Some(Torn { segment: number, offset: 0, bytes })))
}

/// Makes a segment durable, with its name.
///
/// # Errors
/// The disk fails.
pub(crate) fn make_durable(disk: &dyn Disk, segment: &Segment, options: JournalOptions) -> Result<(), JournalError> {
    if options.durability == Durability::Full {
        segment.file.sync()?;
        disk.sync_names()?;
    }
    Ok(())
}
