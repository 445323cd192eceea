//! What is on its way from one source into the ledger: asks that wait for their answers, and blocks that are being judged,
//! with the bounds of both. No connection and no ledger here.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use frontend_shim::block_reading::BLOCKS_MAX;
use futures::stream::{FuturesOrdered, StreamExt as _};
use futures::{FutureExt as _, future::BoxFuture};
use tokio::time::Instant;

use super::limits::{
    ASKED_AT_ONCE_BYTES, ASKED_BYTES_MAX, ASKS_AHEAD_MAX, JUDGED_BLOCKS_MAX, JUDGED_BYTES_MAX, STORED_AT_ONCE_MAX,
};
use super::store::{Judged, Refused, Rules};

/// What came of judging a block.
pub(super) type Judgement = Result<Judged, Refused>;

/// The blocks on their way.
pub(super) struct Flow {
    /// The rules in force for the block that is stored next.
    pub(super) rules: Arc<Rules>,
    /// The blocks that were asked for, the oldest ask first; none of those before has all come.
    asks: VecDeque<Range<u64>>,
    /// The first block that was not asked for.
    unasked: u64,
    /// The block that comes next.
    coming: u64,
    /// When the source came to the oldest ask, and until when it may take over it.
    began: Instant,
    until: Instant,
    /// In the order of their numbers.
    judging: FuturesOrdered<BoxFuture<'static, Judgement>>,
    judging_bytes: usize,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    /// Blocks that came.
    pub(super) blocks: u64,
    /// Since the source came to the ask.
    pub(super) time: Duration,
    /// Other asks have to be made instead of those that wait: they leave out what this answer lacked.
    pub(super) is_cut_short: bool,
}

impl Flow {
    /// Nothing on its way yet; the ledger lacks the blocks from `from` on.
    pub(super) fn new(from: u64, rules: Arc<Rules>) -> Self {
        let now = Instant::now();
        Self {
            rules,
            asks: VecDeque::new(),
            unasked: from,
            coming: from,
            began: now,
            until: now,
            judging: FuturesOrdered::new(),
            judging_bytes: 0,
        }
    }

    /// The blocks to ask for next, `top` being the last: none while enough is asked for. Recent blocks had so many bytes.
    pub(super) fn next_ask(&self, top: u64, block_bytes: usize) -> Option<Range<u64>> {
        let asked_bytes = usize::try_from(self.unasked - self.coming).unwrap_or(usize::MAX).saturating_mul(block_bytes);
        let has_room = self.asks.len() < ASKS_AHEAD_MAX && asked_bytes < ASKED_BYTES_MAX;
        if self.unasked > top || !(self.asks.is_empty() || has_room) {
            return None;
        }
        let count = (ASKED_AT_ONCE_BYTES / block_bytes.max(1)).clamp(1, BLOCKS_MAX);
        Some(self.unasked..(top + 1).min(self.unasked + count as u64))
    }

    /// The source was asked for these blocks, and may take so long over the answer once it comes to it.
    pub(super) fn on_asked(&mut self, blocks: Range<u64>, now: Instant, patience: Duration) {
        if self.asks.is_empty() {
            (self.began, self.until) = (now, now + patience);
        }
        self.unasked = blocks.end;
        self.asks.push_back(blocks);
    }

    /// Does nothing wait for an answer?
    pub(super) fn is_answered(&self) -> bool {
        self.asks.is_empty()
    }

    /// Is anything on its way?
    pub(super) fn is_under_way(&self) -> bool {
        !self.asks.is_empty() || !self.judging.is_empty()
    }

    /// Until when the source has time for the answer that it is at.
    pub(super) const fn until(&self) -> Instant {
        self.until
    }

    /// We kept the source waiting for so long.
    pub(super) fn forgive(&mut self, time: Duration) {
        self.until += time;
    }

    /// Has a part of the answer come?
    pub(super) fn has_begun(&self) -> bool {
        self.asks.front().is_some_and(|blocks| self.coming > blocks.start)
    }

    /// May another block come?
    pub(super) fn has_room(&self) -> bool {
        self.judging.len() < JUDGED_BLOCKS_MAX && self.judging_bytes < JUDGED_BYTES_MAX
    }

    /// Is this the block that must come now?
    pub(super) fn awaits(&self, number: u64) -> bool {
        number == self.coming && self.asks.front().is_some_and(|blocks| blocks.contains(&number))
    }

    /// The awaited block has come; a body of so many bytes, which is being judged.
    pub(super) fn on_block(&mut self, bytes: usize, judging: BoxFuture<'static, Judgement>) {
        self.coming += 1;
        self.judging_bytes += bytes;
        self.judging.push_back(judging);
    }

    /// The answer is said to end before this block. `None` if that is not where it is.
    pub(super) fn on_end(&mut self, end: u64, now: Instant, patience: Duration) -> Option<Answered> {
        let blocks = self.asks.pop_front().filter(|_| end == self.coming)?;
        let is_short = self.coming < blocks.end;
        let answered = Answered {
            blocks: self.coming - blocks.start,
            time: now - self.began,
            is_cut_short: is_short && !self.asks.is_empty(),
        };
        if is_short {
            self.asks.clear();
            self.unasked = self.coming;
        }
        (self.began, self.until) = (now, now + patience);
        Some(answered)
    }

    /// What came of the next block in order; `None` if none is being judged. Cancel-safe.
    pub(super) async fn judged(&mut self) -> Option<Judgement> {
        let judged = self.judging.next().await?;
        self.on_judged(&judged);
        Some(judged)
    }

    /// The block that was judged, with those after it that are ready too, up to one that is refused.
    pub(super) fn ready(&mut self, first: Judgement) -> (Vec<Judged>, Option<Refused>) {
        let (mut blocks, mut next) = (Vec::new(), Some(first));
        while let Some(judgement) = next {
            match judgement {
                Ok(judged) => blocks.push(judged),
                Err(refused) => return (blocks, Some(refused)),
            }
            next = match blocks.len() < STORED_AT_ONCE_MAX {
                true => self.judging.next().now_or_never().flatten(),
                false => None,
            };
            if let Some(judgement) = &next {
                self.on_judged(judgement);
            }
        }
        (blocks, None)
    }

    /// A block was not stored, so nothing after it can be.
    pub(super) fn forget(&mut self) {
        self.judging = FuturesOrdered::new();
    }

    fn on_judged(&mut self, judgement: &Judgement) {
        // After one that is refused nothing more is taken in, so its bytes need not be known.
        self.judging_bytes -= judgement.as_ref().map_or(0, Judged::bytes);
    }
}
