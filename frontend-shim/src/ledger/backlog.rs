//! Blocks that a node has cut and cannot store yet, because blocks before them are missing here.
//!
//! A node that took over the state of others goes on from a tip that its ledger has not reached. What it cuts from then on
//! waits here, bounded: when too much waits, the oldest is let go and the tip moves up, for the other nodes hold that
//! block as well and it can be fetched like those before it.

use std::collections::VecDeque;

use bytes::Bytes;

use super::block::StoredBlock;
use super::{LedgerError, Tip};
use crate::limits::{LEDGER_BACKLOG_BLOCKS_MAX, LEDGER_BACKLOG_BYTES_MAX};

/// What waits behind the missing blocks.
#[derive(Debug)]
pub(super) struct Backlog {
    /// The last block that has to be fetched.
    tip: Tip,
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

#[derive(Debug)]
struct Waiting {
    tip: Tip,
    encoded: Bytes,
}

impl Backlog {
    pub fn new(tip: Tip) -> Self {
        Self { tip, waiting: VecDeque::new(), bytes: 0 }
    }

    /// The last block that has to be fetched.
    pub fn tip(&self) -> Tip {
        self.tip
    }

    /// The newest block that is known of.
    pub fn newest(&self) -> Tip {
        self.waiting.back().map_or(self.tip, |waiting| waiting.tip)
    }

    /// Is this block one of those that are known of? Older ones than the tip are not remembered.
    pub fn agrees_with(&self, tip: Tip) -> bool {
        let mut known = std::iter::once(self.tip).chain(self.waiting.iter().map(|waiting| waiting.tip));
        known.find(|known| known.number == tip.number).is_none_or(|known| known == tip)
    }

    /// Takes the block after the newest one. One of those that have to be fetched was on its way when they came to be
    /// missing; it is fetched like the others.
    pub fn push(&mut self, block: &StoredBlock, encoded: Bytes, height: u64) -> Result<(), LedgerError> {
        let (number, newest) = (block.number, self.newest());
        let tip = Tip { number, header_hash: block.header.hash() };
        if number <= newest.number {
            return if self.agrees_with(tip) { Ok(()) } else { Err(LedgerError::WrongTip { number }) };
        }
        if number != newest.number + 1 {
            return Err(LedgerError::WrongNumber { number, given: number, height });
        }
        if block.header.previous_hash != newest.header_hash[..] {
            return Err(LedgerError::WrongPrevious { number });
        }
        self.bytes += encoded.len();
        self.waiting.push_back(Waiting { tip, encoded });
        while self.bytes > LEDGER_BACKLOG_BYTES_MAX || self.waiting.len() > LEDGER_BACKLOG_BLOCKS_MAX {
            let Some(oldest) = self.waiting.pop_front() else { break };
            self.bytes -= oldest.encoded.len();
            self.tip = oldest.tip;
        }
        Ok(())
    }

    /// The block that the ledger needs at this height, if it waits here.
    pub fn next(&self, height: u64) -> Option<Bytes> {
        let first = self.waiting.front().filter(|first| first.tip.number == height)?;
        Some(first.encoded.clone())
    }

    /// The block that [`Backlog::next`] gave has been stored.
    pub fn on_stored(&mut self) {
        if let Some(stored) = self.waiting.pop_front() {
            self.bytes -= stored.encoded.len();
            self.tip = stored.tip;
        }
    }
}
