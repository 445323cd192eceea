//! The second reading of a journal: what a replica must be shown that starts from a checkpoint.
//!
//! Streams: one record is in memory at a time. The first reading has verified everything, so an error here means that
//! the disk changed its mind.

use std::collections::BTreeSet;
use std::sync::Arc;

use mod_smart::Record;

use crate::journal::Summary;
use crate::journal::entry::Entry;
use crate::journal::error::JournalError;
use crate::journal::frame::Position;
use crate::journal::reader::Shared;
use crate::journal::scan::{Scan, Step};
use crate::journal::survey::Survey;

/// The records to show, in the order of the journal: all but the bodies that the checkpoint has settled. Ends after an error.
/// What is appended later is not shown.
#[derive(Debug)]
pub struct Replay {
    summary: Summary,
    shared: Arc<Shared>,
    /// The bodies to be shown that stand before `from`.
    early: BTreeSet<Position>,
    /// Every body from here on is shown; none if there is no such place.
    from: Option<Position>,
    /// What is read next; none at the end.
    scan: Option<Place>,
    /// The last segment, and where its records ended when it was opened.
    end: (u32, u32),
}

/// Where the reading stands.
#[derive(Debug)]
enum Place {
    Begin(u32),
    Inside(Scan),
}

impl Replay {
    pub(crate) fn new(shared: Arc<Shared>, survey: &mut Survey) -> Self {
        survey.show_waiting();
        let end = (survey.end.segment.number, survey.end.offset);
        let (early, from) = (std::mem::take(&mut survey.early), survey.from);
        Self { summary: survey.summary, shared, early, from, scan: Some(Place::Begin(survey.first)), end }
    }

    /// What the first reading found.
    #[must_use]
    pub const fn summary(&self) -> Summary {
        self.summary
    }

    fn read_next(&mut self) -> Result<Option<Record>, JournalError> {
        while let Some(mut scan) = self.next_scan()? {
            let segment = Arc::clone(scan.segment());
            match scan.step()? {
                Step::Bad(bad) => return Err(segment.damaged(bad.offset, bad.reason)),
                Step::End => self.scan = (segment.number < self.end.0).then(|| Place::Begin(segment.number + 1)),
                Step::Frame(position, payload) => {
                    self.scan = Some(Place::Inside(scan));
                    let entry = Entry::decode(payload).map_err(|error| segment.damaged(position.offset, error))?;
                    let is_settled = matches!(entry.record, Record::Body(_))
                        && self.from.is_none_or(|from| position < from)
                        && !self.early.contains(&position);
                    if !is_settled {
                        return Ok(Some(entry.record));
                    }
                }
            }
        }
        Ok(None)
    }

    fn next_scan(&mut self) -> Result<Option<Scan>, JournalError> {
        let number = match self.scan.take() {
            None => return Ok(None),
            Some(Place::Inside(scan)) => return Ok(Some(scan)),
            Some(Place::Begin(number)) => number,
        };
        let segment = self.shared.segment(number)?;
        let end = if number == self.end.0 { self.end.1 } else { segment.len()? };
        Ok(Some(Scan::new(segment, end)))
    }
}

impl Iterator for Replay {
    type Item = Result<Record, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.read_next().transpose();
        if matches!(record, Some(Err(_))) {
            self.scan = None;
        }
        record
    }
}
