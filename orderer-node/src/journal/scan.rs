//! Reading a segment from end to end, and telling a torn write from damage.
//!
//! A commit that was under way when the power failed leaves any of its sectors behind, in any order; nobody was told of
//! it, and the journal is cut off at its first bad frame. What a later commit stands behind was durable: if that is bad,
//! it is damage. The frames themselves say which: each names how far the segment was synced when it was written.

use std::sync::Arc;

use bytes::Bytes;

use crate::disk::DiskError;
use crate::journal::frame::{HEAD_BYTES, Position};
use crate::journal::limits::SCAN_BYTES;
use crate::journal::segment::{SEGMENT_HEAD_BYTES, Segment};

/// Reads the frames of a segment in order.
#[derive(Debug)]
pub(crate) struct Scan {
    segment: Arc<Segment>,
    /// Where to stop: the end of the file, or of what is committed.
    end: u32,
    offset: u32,
    /// The frame before, or the head of the segment.
    before: u32,
    /// The checksum the next frame must follow, if the frame before was read.
    chain: Option<u32>,
    window: Vec<u8>,
    window_start: u32,
}

/// What stands at the next place.
#[derive(Debug)]
pub(crate) enum Step {
    /// A good frame.
    Frame(Position, Bytes),
    /// The end, exactly behind a frame.
    End,
    /// Something else.
    Bad(Bad),
}

/// A place where no good frame follows the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bad {
    pub(crate) offset: u32,
    pub(crate) reason: &'static str,
    /// The first byte that may be other than it was written: in a broken chain, the frame before is as suspect.
    suspect: u32,
}

impl Scan {
    /// Reads a segment from its first frame up to `end`.
    pub(crate) fn new(segment: Arc<Segment>, end: u32) -> Self {
        let chain = Some(segment.chain);
        let first = SEGMENT_HEAD_BYTES as u32;
        Self { segment, end, offset: first, before: 0, chain, window: Vec::new(), window_start: 0 }
    }

    /// Where the next frame would begin.
    pub(crate) const fn offset(&self) -> u32 {
        self.offset
    }

    /// The checksum of the last frame read, or what the first one must follow.
    pub(crate) fn chain(&self) -> u32 {
        self.chain.unwrap_or(self.segment.chain)
    }

    /// The segment.
    pub(crate) const fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Reads the next frame. After anything but a frame, the answer stays the same.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn step(&mut self) -> Result<Step, DiskError> {
        let (offset, stamp) = (self.offset, self.segment.stamp);
        let left = self.end.saturating_sub(offset) as usize;
        if left == 0 {
            return Ok(Step::End);
        }
        let bad = |reason| Ok(Step::Bad(Bad { offset, reason, suspect: offset }));
        let head = match stamp.head(self.view(offset, HEAD_BYTES.min(left))?, left.saturating_sub(HEAD_BYTES) as u64) {
            Ok(head) => head,
            Err(reason) => return bad(reason),
        };
        let bytes = HEAD_BYTES + head.length as usize;
        let payload = &self.view(offset, bytes)?[HEAD_BYTES..];
        if !stamp.is_intact(offset, head, payload) {
            return bad("the checksum of a record does not match");
        }
        let payload = Bytes::copy_from_slice(payload);
        if self.chain.is_some_and(|chain| chain != head.previous) {
            let reason = "a record does not follow the one before it";
            return Ok(Step::Bad(Bad { offset, reason, suspect: self.before }));
        }
        self.chain = Some(head.checksum);
        self.before = offset;
        self.offset += bytes as u32;
        Ok(Step::Frame(Position { segment: self.segment.number, offset, length: head.length }, payload))
    }

    /// Was the bad place durable once? True if any frame from there on was written after a sync that covered it.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn was_synced(&mut self, bad: &Bad) -> Result<bool, DiskError> {
        let (end, mark) = (self.end, self.segment.stamp.mark);
        let mut at = bad.offset;
        while at < end && (end - at) as usize >= HEAD_BYTES {
            let left = (end - at) as usize;
            let window = self.view(at, left.min(SCAN_BYTES))?;
            let heads = window.len() - HEAD_BYTES + 1;
            let Some(found) = window[..heads + mark.len() - 1].windows(mark.len()).position(|four| four == mark) else {
                at += heads as u32;
                continue;
            };
            at += found as u32;
            if self.claims_sync_beyond(bad.suspect, at)? {
                return Ok(true);
            }
            at += 1;
        }
        Ok(false)
    }

    /// Does a good frame stand at `at`, whatever it follows, and claim that the byte at `suspect` was synced before it?
    fn claims_sync_beyond(&mut self, suspect: u32, at: u32) -> Result<bool, DiskError> {
        let stamp = self.segment.stamp;
        let room = u64::from(self.end - at) - HEAD_BYTES as u64;
        let Ok(head) = stamp.head(self.view(at, HEAD_BYTES)?, room) else { return Ok(false) };
        if head.synced <= suspect {
            return Ok(false);
        }
        let frame = self.view(at, HEAD_BYTES + head.length as usize)?;
        Ok(stamp.is_intact(at, head, &frame[HEAD_BYTES..]))
    }

    /// Exactly these bytes, which must stand before the end.
    fn view(&mut self, offset: u32, bytes: usize) -> Result<&[u8], DiskError> {
        let held = u64::from(self.window_start)..u64::from(self.window_start) + self.window.len() as u64;
        if !(held.contains(&u64::from(offset)) && u64::from(offset) + bytes as u64 <= held.end) {
            let most = (self.end - offset) as usize;
            self.window.truncate(SCAN_BYTES);
            self.window.shrink_to(SCAN_BYTES);
            self.window.resize(bytes.max(SCAN_BYTES).min(most), 0);
            self.segment.file.read_at(u64::from(offset), &mut self.window)?;
            self.window_start = offset;
        }
        let start = (offset - self.window_start) as usize;
        Ok(&self.window[start..start + bytes])
    }
}
