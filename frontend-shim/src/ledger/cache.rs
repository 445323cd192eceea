//! The newest blocks in memory, and blocks that streams hold anyway.
//!
//! Bounded in bytes; the lowest numbers leave first. A block that left is still found as long as some stream holds it,
//! so that many readers of one old block share it.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use super::block::StoredBlock;

#[derive(Debug)]
pub(super) struct Cache {
    newest: BTreeMap<u64, Arc<StoredBlock>>,
    /// What `newest` weighs.
    bytes: usize,
    bytes_max: usize,
    held: BTreeMap<u64, Weak<StoredBlock>>,
    held_checked_at: usize,
}

impl Cache {
    pub fn new(bytes_max: usize) -> Self {
        Self { newest: BTreeMap::new(), bytes: 0, bytes_max, held: BTreeMap::new(), held_checked_at: HELD_MIN }
    }

    pub fn find(&self, number: u64) -> Option<Arc<StoredBlock>> {
        let newest = self.newest.get(&number).cloned();
        newest.or_else(|| self.held.get(&number)?.upgrade())
    }

    /// Takes a block in the place of any older form of it.
    pub fn insert(&mut self, block: &Arc<StoredBlock>) {
        self.hold(block);
        self.bytes += weight(block);
        if let Some(replaced) = self.newest.insert(block.number, Arc::clone(block)) {
            self.bytes -= weight(&replaced);
        }
        while self.bytes > self.bytes_max
            && let Some((_, oldest)) = self.newest.pop_first()
        {
            self.bytes -= weight(&oldest);
        }
    }

    /// Notes the block without keeping it alive. Dead notes are swept whenever their number has doubled.
    fn hold(&mut self, block: &Arc<StoredBlock>) {
        self.held.insert(block.number, Arc::downgrade(block));
        if self.held.len() < self.held_checked_at {
            return;
        }
        self.held.retain(|_, block| block.strong_count() > 0);
        self.held_checked_at = (self.held.len() * 2).max(HELD_MIN);
    }
}

/// What a block costs in memory: its pieces, its message once somebody has wanted that, and what hangs around them.
fn weight(block: &StoredBlock) -> usize {
    2 * block.encoded_len() + BLOCK_OVERHEAD_BYTES
}

/// Decoded header, positions, counters and the map's entry, rounded up.
const BLOCK_OVERHEAD_BYTES: usize = 512;
/// Notes that are never worth a sweep.
const HELD_MIN: usize = 1024;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fabric_proto::common::{Block, BlockData, BlockHeader};
    use prost::Message;

    use super::*;

    fn block(number: u64, size: usize) -> Arc<StoredBlock> {
        let block = Block {
            header: Some(BlockHeader { number, previous_hash: vec![0; 32].into(), data_hash: vec![0; 32].into() }),
            data: Some(BlockData { data: vec![vec![0; size].into()] }),
            metadata: None,
        };
        StoredBlock::decode(&block.encode_to_vec().into()).unwrap()
    }

    #[test]
    fn the_lowest_numbers_leave_first_and_the_bound_holds() {
        let mut cache = Cache::new(50_000);
        for number in 1..100 {
            cache.insert(&block(number, 4_500));
            assert!(cache.bytes <= 50_000);
        }
        assert!(cache.find(99).is_some() && cache.find(96).is_some());
        assert!(cache.find(90).is_none());
        // An old block that is read again does not displace a newer one.
        cache.insert(&block(3, 4_500));
        assert!(cache.find(3).is_none() && cache.find(96).is_some());
    }

    #[test]
    fn a_block_larger_than_the_cache_is_not_kept() {
        let mut cache = Cache::new(1_000);
        cache.insert(&block(1, 10_000));
        assert_eq!((cache.bytes, cache.find(1).is_none()), (0, true));
    }

    #[test]
    fn what_somebody_holds_is_shared() {
        let mut cache = Cache::new(1_000);
        let held = block(1, 10_000);
        cache.insert(&held);
        assert!(Arc::ptr_eq(&cache.find(1).unwrap(), &held));
        drop(held);
        assert!(cache.find(1).is_none());
    }

    #[test]
    fn a_new_form_replaces_the_old_one() {
        let mut cache = Cache::new(100_000);
        cache.insert(&block(1, 10));
        let (before, newer) = (cache.bytes, block(1, 20));
        cache.insert(&newer);
        assert!(Arc::ptr_eq(&cache.find(1).unwrap(), &newer));
        assert!(cache.bytes < 2 * before);
    }

    #[test]
    fn notes_of_blocks_that_are_gone_are_swept() {
        let mut cache = Cache::new(0);
        for number in 0..10_000 {
            cache.insert(&block(number, 1));
        }
        assert!(cache.held.len() <= HELD_MIN);
    }
}
