//! Where the journal begins: which segments belong to it, and which do not any more.
//!
//! ```text
//! magic 8 | version u32 | group 32 | first u32 | aside u32 | checksum u32
//! ```
//!
//! The file `journal.start` is replaced as a whole, durably, *before* any segment is deleted or renamed. So whatever part of
//! a truncation survives a loss of power, every reader agrees on what the journal is: the segments from `first` on. If
//! one of those is not there, it was lost. What has a smaller number is left over, and is cleared away when the journal is
//! opened: segments from `aside` up to `first` are a damaged journal on its way aside, all before them were truncated.
//! Without the file the journal begins with segment 0.

use mod_smart::GroupId;

use crate::disk::{Disk, DiskError};
use crate::journal::error::JournalError;
use crate::journal::limits::DAMAGED_KEPT_MAX;
use crate::journal::segment;

/// The first segment of a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Start {
    /// Number of the first segment.
    pub(crate) first: u32,
    /// Segments from this one up to `first` are kept for whoever wants to know what became of them.
    pub(crate) aside: u32,
}

impl Start {
    /// The journal begins here, and what lies before it was truncated.
    pub(crate) const fn at(first: u32) -> Self {
        Self { first, aside: first }
    }

    /// Reads the start of the journal on this disk.
    ///
    /// # Errors
    /// The disk fails, or the file is damaged or another group's or version's.
    pub(crate) fn read(disk: &dyn Disk, group: GroupId) -> Result<Self, JournalError> {
        if !disk.list()?.iter().any(|name| name == START_NAME) {
            return Ok(Self::default());
        }
        let file = disk.open(START_NAME)?;
        let damaged = |reason: &str| JournalError::StartDamaged { reason: reason.to_owned() };
        if file.len()? != START_BYTES as u64 {
            return Err(damaged("it has a wrong length"));
        }
        let mut bytes = [0; START_BYTES];
        file.read_at(0, &mut bytes)?;
        let field = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if bytes[..8] != *MAGIC {
            return Err(damaged("it does not begin as the start of a journal"));
        }
        if crc32c::crc32c(&bytes[..START_BYTES - 4]) != field(START_BYTES - 4) {
            return Err(damaged("its checksum does not match"));
        }
        if field(8) != VERSION {
            return Err(JournalError::StartVersion { found: field(8), expected: VERSION });
        }
        if bytes[12..44] != group.0 {
            return Err(JournalError::StartOfOtherGroup { expected: group });
        }
        let start = Self { first: field(44), aside: field(48) };
        if start.aside > start.first {
            return Err(damaged("it contradicts itself"));
        }
        Ok(start)
    }

    /// Makes this the start of the journal. Durable in full or not at all.
    ///
    /// # Errors
    /// The disk fails: then the old start counts, or this one does already.
    pub(crate) fn write(self, disk: &dyn Disk, group: GroupId) -> Result<(), DiskError> {
        let mut bytes = Vec::with_capacity(START_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&group.0);
        bytes.extend_from_slice(&self.first.to_be_bytes());
        bytes.extend_from_slice(&self.aside.to_be_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
        disk.remove(TEMPORARY_NAME)?;
        let file = disk.create(TEMPORARY_NAME)?;
        file.write_at(0, &bytes)?;
        file.sync()?;
        disk.rename(TEMPORARY_NAME, START_NAME)?;
        disk.sync_names()
    }

    /// Clears away the segments before the first one. May be interrupted anywhere and done again.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn clear(self, disk: &dyn Disk) -> Result<(), DiskError> {
        let mut is_changed = false;
        for number in segment::numbers(disk)?.into_iter().filter(|number| *number < self.first) {
            let name = segment::name(number);
            if number < self.aside {
                disk.remove(&name)?;
            } else {
                disk.rename(&name, &format!("{}{name}", prefix(self.first)))?;
            }
            is_changed = true;
        }
        is_changed |= forget_damaged(disk)?;
        if is_changed { disk.sync_names() } else { Ok(()) }
    }
}

/// Moves a journal aside whole, as the damaged one it was found to be: the next opening begins an empty one. Only the
/// newest [`DAMAGED_KEPT_MAX`] of these are kept. Gives the first words of the new names of its segments.
///
/// # Errors
/// The disk fails. The damaged journal is then still in its place, or not part of the journal any more.
pub fn set_aside(disk: &dyn Disk, group: GroupId) -> Result<String, JournalError> {
    let begin = Start::read(disk, group).map_or(0, |start| start.first);
    let numbers: Vec<u32> = segment::numbers(disk)?.into_iter().filter(|number| *number >= begin).collect();
    let aside = numbers.first().copied().unwrap_or(begin);
    let first = numbers.last().map_or(Some(begin), |last| last.checked_add(1)).ok_or(JournalError::Full)?;
    let start = Start { first, aside };
    start.write(disk, group)?;
    start.clear(disk)?;
    Ok(prefix(first))
}

/// Deletes all but the newest journals that were moved aside.
fn forget_damaged(disk: &dyn Disk) -> Result<bool, DiskError> {
    let names = disk.list()?;
    let mut kept: Vec<u32> = names.iter().filter_map(|name| incident(name)).collect();
    kept.sort_unstable();
    kept.dedup();
    let surplus = kept.len().saturating_sub(DAMAGED_KEPT_MAX);
    let old = &kept[..surplus];
    for name in names.iter().filter(|name| incident(name).is_some_and(|incident| old.contains(&incident))) {
        disk.remove(name)?;
    }
    Ok(surplus > 0)
}

fn prefix(incident: u32) -> String {
    format!("damaged-{incident:06}-")
}

/// Which damaged journal this file belonged to, named by the segment with which the next one began.
fn incident(name: &str) -> Option<u32> {
    name.strip_prefix("damaged-")?.split_once('-')?.0.parse().ok()
}

const START_NAME: &str = "journal.start";
const TEMPORARY_NAME: &str = "journal.start.new";
const MAGIC: &[u8; 8] = b"bftjrns\n";
const VERSION: u32 = 1;
const START_BYTES: usize = 8 + 4 + 32 + 4 + 4 + 4;
