//! Blocks that this node has signed before their decision, for frontends that wait for them (WHEAT, thesis 5.3.2).
//!
//! They are pushed and then forgotten: nothing here is stored, and a ledger only ever holds what is decided.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use fabric_channel::ChannelConfig;
use fabric_proto::ChannelId;
use fabric_proto::common::{BlockHeader, MetadataSignature};
use frontend_shim::group_policy::only_quorums_are_believed;
use mod_smart::{Regency, View};
use tokio::sync::watch;

/// A block with our signature that a quorum has written.
#[derive(Clone, Debug, PartialEq)]
pub struct TentativeBlock {
    /// The regency in which the quorum wrote.
    pub regency: Regency,
    /// Its header.
    pub header: BlockHeader,
    /// The hash of the header.
    pub header_hash: [u8; 32],
    /// What the signature covers beside the header.
    pub metadata_value: Bytes,
    /// Our signature.
    pub signature: MetadataSignature,
    /// The encoded `common.BlockData`.
    pub data: Bytes,
}

/// The tentative blocks of one channel, by number, each in its newest form.
#[derive(Debug, Default)]
pub struct TentativeBlocks {
    blocks: Mutex<BTreeMap<u64, Arc<TentativeBlock>>>,
    changes: watch::Sender<()>,
}

impl TentativeBlocks {
    /// Keeps a block until its number is decided. What is more than may wait is left out: its decision follows.
    pub fn put(&self, block: TentativeBlock) {
        let mut blocks = self.lock();
        let bytes: usize = blocks.values().map(|block| block.data.len()).sum();
        let is_room = blocks.len() < BLOCKS_MAX && (blocks.is_empty() || bytes + block.data.len() <= BYTES_MAX);
        if is_room || blocks.contains_key(&block.header.number) {
            blocks.insert(block.header.number, Arc::new(block));
            drop(blocks);
            self.changes.send_replace(());
        }
    }

    /// Those with this number and later ones.
    #[must_use]
    pub fn from(&self, number: u64) -> Vec<Arc<TentativeBlock>> {
        self.lock().range(number..).map(|(_, block)| Arc::clone(block)).collect()
    }

    /// Our signature over exactly this, if it was made.
    #[must_use]
    pub fn signature(&self, number: u64, header_hash: &[u8; 32], value: &Bytes) -> Option<MetadataSignature> {
        let blocks = self.lock();
        let block = blocks.get(&number)?;
        (block.header_hash == *header_hash && block.metadata_value == *value).then(|| block.signature.clone())
    }

    /// Every block up to this number is decided.
    pub fn decided(&self, number: u64) {
        let mut blocks = self.lock();
        *blocks = blocks.split_off(&number.saturating_add(1));
    }

    /// What was written need not be decided.
    pub fn retract(&self) {
        self.lock().clear();
    }

    /// Says when there is another block.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<TentativeBlock>>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In which channels blocks may be signed before they are decided: where peers believe nobody less than a quorum. Looked at
/// once for each configuration.
#[derive(Debug, Default)]
pub struct Permissions(BTreeMap<ChannelId, (u64, bool)>);

impl Permissions {
    /// May blocks of a channel with this configuration be signed before their decision?
    pub fn may_sign(&mut self, view: &View, config: &ChannelConfig) -> bool {
        let sequence = config.sequence();
        match self.0.get(config.channel_id()) {
            Some((looked_at, may_sign)) if *looked_at == sequence => *may_sign,
            _ => {
                let may_sign = only_quorums_are_believed(view, config).is_ok();
                self.0.insert(config.channel_id().clone(), (sequence, may_sign));
                may_sign
            }
        }
    }
}

/// Blocks that may wait for their decision, in a channel.
const BLOCKS_MAX: usize = 1024;

/// Bytes of them.
const BYTES_MAX: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: u64, regency: u64, bytes: usize) -> TentativeBlock {
        TentativeBlock {
            regency: Regency(regency),
            header: BlockHeader { number, ..BlockHeader::default() },
            header_hash: [number as u8; 32],
            metadata_value: Bytes::from(vec![regency as u8]),
            signature: MetadataSignature { signature: Bytes::from(vec![7; 3]), ..MetadataSignature::default() },
            data: Bytes::from(vec![0; bytes]),
        }
    }

    fn numbers(blocks: &TentativeBlocks) -> Vec<u64> {
        blocks.from(0).iter().map(|block| block.header.number).collect()
    }

    #[test]
    fn a_block_waits_until_its_number_is_decided_or_taken_back() {
        let blocks = TentativeBlocks::default();
        (1..=4).for_each(|number| blocks.put(block(number, 0, 10)));
        blocks.put(block(3, 2, 10));
        assert_eq!(blocks.from(3)[0].regency, Regency(2));
        blocks.decided(2);
        assert_eq!(numbers(&blocks), [3, 4]);
        blocks.retract();
        assert!(numbers(&blocks).is_empty());
    }

    #[test]
    fn a_signature_is_used_again_for_what_it_covers_only() {
        let blocks = TentativeBlocks::default();
        blocks.put(block(3, 2, 10));
        let value = Bytes::from(vec![2]);
        assert!(blocks.signature(3, &[3; 32], &value).is_some());
        assert!(blocks.signature(3, &[4; 32], &value).is_none());
        assert!(blocks.signature(3, &[3; 32], &Bytes::from(vec![1])).is_none());
        assert!(blocks.signature(4, &[3; 32], &value).is_none());
    }

    #[test]
    fn what_waits_is_bounded_in_number_and_in_bytes() {
        let blocks = TentativeBlocks::default();
        blocks.put(block(1, 0, BYTES_MAX + 1));
        blocks.put(block(2, 0, 1));
        assert_eq!(numbers(&blocks), [1], "one always fits");
        blocks.decided(1);
        (0..2 * BLOCKS_MAX as u64).for_each(|number| blocks.put(block(number, 0, 1)));
        assert_eq!(numbers(&blocks).len(), BLOCKS_MAX);
    }
}
