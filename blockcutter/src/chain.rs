//! The chain of one channel: what is open, and the tip that the next block will name.
//!
//! Invariants: the next block has the number after the tip's; replicas are noted as askers only while a cut is open, and
//! only for its number; every envelope that entered a cut was noted in the de-duplication memory at that moment; a config
//! block is the last one cut under its predecessor's rules and the first to name itself as last config.
//!
//! Sources: contract sections 3.1 to 3.3 and 4; cutting by time, protocol.md, Normal phase.

use std::time::Duration;

use bytes::Bytes;
use fabric_channel::BatchSize;
use fabric_proto::block::{data_hash, header_hash};
use fabric_proto::common::{Block, BlockData, BlockHeader};
use fabric_proto::metadata::{block_metadata, metadata_value};
use fabric_proto::{ChannelId, Envelope};
use mod_smart::{ReplicaId, View, Voters};
use prost::Message as _;

use crate::asks::{GenesisDigest, genesis_digest};
use crate::config_block::{ConfigBlock, ConfigBlockReject};
use crate::cutter::{Cuts, Cutter};
use crate::ordered::OrderedDigests;
use crate::output::{CutBlock, SkipReason};

/// One channel's chain and what is about to be chained.
#[derive(Clone, Debug)]
pub struct Chain {
    pub(crate) channel: ChannelId,
    /// The latest config block, marshalled; the genesis block at first.
    pub(crate) config_block: Bytes,
    pub(crate) config_sequence: u64,
    pub(crate) batch_size: BatchSize,
    pub(crate) batch_timeout: Duration,
    pub(crate) genesis: GenesisDigest,
    pub(crate) tip: Tip,
    pub(crate) last_config: u64,
    pub(crate) cutter: Cutter<Bytes>,
    pub(crate) askers: Voters,
    pub(crate) ordered: OrderedDigests,
}

/// The last block of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Its number.
    pub number: u64,
    /// The hash of its header.
    pub header_hash: [u8; 32],
}

/// A cut that may still grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenCut {
    /// The block it will become.
    pub number: u64,
    /// How many envelopes it holds, at least one.
    pub envelopes: usize,
    /// Their sizes added up: payloads and signatures.
    pub bytes: u64,
    /// How long it may stay open.
    pub timeout: Duration,
}

impl Chain {
    /// The chain that begins with this block and shares its memory.
    #[must_use]
    pub fn open(genesis: &ConfigBlock) -> Self {
        let number = genesis.header.number;
        Self {
            channel: genesis.config.channel_id().clone(),
            config_block: genesis.encoded.clone(),
            config_sequence: genesis.config.sequence(),
            batch_size: genesis.batch_size(),
            batch_timeout: genesis.batch_timeout(),
            genesis: genesis_digest(&genesis.encoded),
            tip: Tip { number, header_hash: genesis.header.hash() },
            last_config: number,
            cutter: Cutter::new(genesis.batch_size()),
            askers: Voters::NONE,
            ordered: OrderedDigests::default(),
        }
    }

    /// The chain with its configuration and nothing else of its past: what was ordered, its last blocks and its open cut are
    /// for whoever reads a state to fill in.
    pub(crate) fn only_configured(&self) -> Self {
        Self {
            channel: self.channel.clone(),
            config_block: self.config_block.clone(),
            config_sequence: self.config_sequence,
            batch_size: self.batch_size,
            batch_timeout: self.batch_timeout,
            genesis: self.genesis,
            tip: self.tip,
            last_config: self.last_config,
            cutter: Cutter::new(self.batch_size),
            askers: Voters::NONE,
            ordered: OrderedDigests::default(),
        }
    }

    /// The last block.
    #[must_use]
    pub const fn tip(&self) -> Tip {
        self.tip
    }

    /// The number of the last config block.
    #[must_use]
    pub const fn last_config(&self) -> u64 {
        self.last_config
    }

    /// How many config updates the channel has seen.
    #[must_use]
    pub const fn config_sequence(&self) -> u64 {
        self.config_sequence
    }

    /// The last config block, marshalled, without signatures unless it is the genesis block as it was given.
    #[must_use]
    pub const fn config_block(&self) -> &Bytes {
        &self.config_block
    }

    /// SHA-256 of the genesis block's bytes.
    #[must_use]
    pub const fn genesis(&self) -> GenesisDigest {
        self.genesis
    }

    /// What is open, if anything is.
    #[must_use]
    pub fn open_cut(&self) -> Option<OpenCut> {
        self.cutter.is_open().then(|| OpenCut {
            number: self.next_number(),
            envelopes: self.cutter.open().len(),
            bytes: self.cutter.open_bytes(),
            timeout: self.batch_timeout,
        })
    }

    /// An ordinary envelope of this channel, admitted, has its turn.
    ///
    /// # Errors
    /// It is larger than the channel allows, or was ordered lately.
    pub fn on_envelope(&mut self, envelope: &Envelope) -> Result<Vec<CutBlock>, SkipReason> {
        let size = envelope.size() as u64;
        let size_max = self.batch_size.absolute_max_bytes;
        if size > u64::from(size_max) {
            return Err(SkipReason::TooLarge { size, size_max });
        }
        self.remember(envelope)?;
        // A copy: an envelope that waits must not keep alive the whole body that brought it.
        let cuts = self.cutter.on_envelope(size, Bytes::copy_from_slice(envelope.bytes()));
        Ok(self.chain_all(cuts))
    }

    /// A CONFIG envelope of this channel has its turn. It cuts what is open and becomes a block of its own, after which its
    /// batch size and timeout apply.
    ///
    /// # Errors
    /// It was ordered lately, or does not bring the next configuration of this channel. The chain is as it was then.
    pub fn on_config(&mut self, envelope: &Envelope) -> Result<Vec<CutBlock>, SkipReason> {
        if self.ordered.contains(&envelope.digest()) {
            return Err(SkipReason::Duplicate);
        }
        let config = self.next_config(envelope)?;
        self.remember(envelope)?;
        let cuts = self.cutter.on_config(Bytes::copy_from_slice(envelope.bytes()));
        let mut blocks = self.chain_all(cuts);
        if let Some(block) = blocks.last_mut() {
            self.enter_config(&config, block);
        }
        Ok(blocks)
    }

    /// A replica's timer for this number has fired there. Once one of those who say so must be correct, the cut is made.
    ///
    /// # Errors
    /// The number is not the open one.
    pub fn on_cut_ask(&mut self, view: &View, replica: ReplicaId, number: u64) -> Result<Option<CutBlock>, SkipReason> {
        if !self.cutter.is_open() || number != self.next_number() {
            return Err(SkipReason::NotOpenCut(number));
        }
        self.askers.insert(replica);
        if !view.is_any_correct(self.askers) {
            return Ok(None);
        }
        let cuts = self.cutter.on_timeout();
        Ok(self.chain_all(cuts).pop())
    }

    fn next_number(&self) -> u64 {
        // Saturates: no chain reaches 2^64 blocks.
        self.tip.number.saturating_add(1)
    }

    fn remember(&mut self, envelope: &Envelope) -> Result<(), SkipReason> {
        if self.ordered.insert(envelope.digest()) { Ok(()) } else { Err(SkipReason::Duplicate) }
    }

    fn chain_all(&mut self, cuts: Cuts<Bytes>) -> Vec<CutBlock> {
        cuts.into_iter().map(|data| self.chain(data)).collect()
    }

    /// Makes the next block of this data.
    fn chain(&mut self, data: Vec<Bytes>) -> CutBlock {
        assert!(!data.is_empty(), "an empty block");
        let number = self.next_number();
        let previous_hash = self.tip.header_hash;
        let data_hash = data_hash(&data);
        let header_hash = header_hash(number, &previous_hash, &data_hash);
        self.tip = Tip { number, header_hash };
        self.askers = Voters::NONE;
        CutBlock {
            channel: self.channel.clone(),
            header: BlockHeader {
                number,
                previous_hash: Bytes::copy_from_slice(&previous_hash),
                data_hash: Bytes::copy_from_slice(&data_hash),
            },
            header_hash,
            data,
            metadata_value: metadata_value(self.last_config, Bytes::new()),
            last_config: self.last_config,
            is_config: false,
        }
    }

    /// Reads a CONFIG envelope in a block as long as the one that it will stand in can become. Its number is not known yet,
    /// since what is open has to be cut first, and nothing that is read depends on it.
    fn next_config(&self, envelope: &Envelope) -> Result<ConfigBlock, ConfigBlockReject> {
        let data = vec![envelope.bytes().clone()];
        let header = BlockHeader {
            number: u64::MAX,
            previous_hash: Bytes::copy_from_slice(&self.tip.header_hash),
            data_hash: Bytes::copy_from_slice(&data_hash(&data)),
        };
        let block = ConfigBlock::of_channel(&self.channel, encode_block(header, data, u64::MAX))?;
        let (expected, found) = (self.config_sequence.saturating_add(1), block.config.sequence());
        if found != expected {
            return Err(ConfigBlockReject::Sequence { expected, found });
        }
        Ok(block)
    }

    /// Turns the block just cut into the config block that it is, and puts its configuration in force.
    fn enter_config(&mut self, config: &ConfigBlock, block: &mut CutBlock) {
        let number = block.header.number;
        block.is_config = true;
        block.last_config = number;
        block.metadata_value = metadata_value(number, Bytes::new());
        self.last_config = number;
        self.config_block = encode_block(block.header.clone(), block.data.clone(), number);
        self.config_sequence = config.config.sequence();
        self.batch_size = config.batch_size();
        self.batch_timeout = config.batch_timeout();
        self.cutter.set_batch_size(self.batch_size);
    }
}

fn encode_block(header: BlockHeader, data: Vec<Bytes>, last_config: u64) -> Bytes {
    let block = Block {
        header: Some(header),
        data: Some(BlockData { data }),
        metadata: Some(block_metadata(last_config, Bytes::new(), Vec::new())),
    };
    block.encode_to_vec().into()
}
