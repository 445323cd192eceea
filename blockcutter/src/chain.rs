//! The chain of one channel: what is open, and the tip that the next block will name.
//!
//! Invariants: the next block has the number after the tip's; replicas are noted as askers only while a cut is open, and
//! only for its number; every envelope that entered a cut was noted in the de-duplication memory at that moment; a config
//! block is the last one cut under its predecessor's rules and the first to name itself as last config.
//!
//! Sources: contract sections 3.1 to 3.3 and 4; cutting by time, protocol.md, Normal phase.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fabric_channel::{ChannelConfig, config_transaction, consenter_set};
use fabric_proto::block::{data_hash, header_hash};
use fabric_proto::common::BlockHeader;
use fabric_proto::metadata::{metadata_value, ordered_by};
use fabric_proto::{ChannelId, Envelope};
use mod_smart::{InstanceId, ReplicaId, View, Voters};

use crate::admission::{EnvelopeReject, Verification, permit};
use crate::config_block::{ConfigBlock, check_length, cut_timeout, without_signatures};
use crate::cutter::{Cuts, Cutter};
use crate::ordered::OrderedDigests;
use crate::output::{CutBlock, SkipReason};

/// One channel's chain and what is about to be chained.
#[derive(Clone, Debug)]
pub struct Chain {
    pub(crate) channel: ChannelId,
    /// The latest config block, marshalled; the genesis block at first.
    pub(crate) config_block: Bytes,
    /// What it configures.
    pub(crate) config: Arc<ChannelConfig>,
    /// The block after which this group orders the channel: its first one, unless others ordered it before.
    pub(crate) opened_at: Tip,
    pub(crate) tip: Tip,
    pub(crate) last_config: u64,
    pub(crate) cutter: Cutter<Bytes>,
    pub(crate) askers: Voters,
    pub(crate) ordered: OrderedDigests,
    /// Did the last config block give the channel to other nodes? Nothing is ordered here any more then.
    pub(crate) is_moved: bool,
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
        let tip = Tip { number: genesis.header.number, header_hash: genesis.header.hash() };
        Self::take_up(genesis, tip, OrderedDigests::default())
    }

    /// The chain that others made up to this tip, with its last config block, whose memory it shares, and what was ordered
    /// last.
    #[must_use]
    pub fn take_up(last_config: &ConfigBlock, tip: Tip, ordered: OrderedDigests) -> Self {
        Self {
            channel: last_config.config.channel_id().clone(),
            config_block: last_config.encoded.clone(),
            config: Arc::clone(&last_config.config),
            opened_at: tip,
            tip,
            last_config: last_config.header.number,
            cutter: Cutter::new(last_config.config.batch_size()),
            askers: Voters::NONE,
            ordered,
            is_moved: false,
        }
    }

    /// The chain with its configuration and nothing else of its past: what was ordered, its last blocks and its open cut are
    /// for whoever reads a state to fill in.
    pub(crate) fn only_configured(&self) -> Self {
        Self {
            channel: self.channel.clone(),
            config_block: self.config_block.clone(),
            config: Arc::clone(&self.config),
            opened_at: self.opened_at,
            tip: self.tip,
            last_config: self.last_config,
            cutter: Cutter::new(self.config.batch_size()),
            askers: Voters::NONE,
            ordered: OrderedDigests::default(),
            is_moved: self.is_moved,
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

    /// The configuration in force.
    #[must_use]
    pub const fn config(&self) -> &Arc<ChannelConfig> {
        &self.config
    }

    /// The last config block, marshalled, without signatures unless it is the genesis block as it was given.
    #[must_use]
    pub const fn config_block(&self) -> &Bytes {
        &self.config_block
    }

    /// The block after which this group orders the channel.
    #[must_use]
    pub const fn opened_at(&self) -> Tip {
        self.opened_at
    }

    /// Did the last config block give the channel to other nodes? The chain ends with it in this group.
    #[must_use]
    pub const fn is_moved(&self) -> bool {
        self.is_moved
    }

    /// What is open, if anything is.
    #[must_use]
    pub fn open_cut(&self) -> Option<OpenCut> {
        self.cutter.is_open().then(|| OpenCut {
            number: self.next_number(),
            envelopes: self.cutter.open().len(),
            bytes: self.cutter.open_bytes(),
            timeout: cut_timeout(&self.config),
        })
    }

    /// An ordinary envelope of this channel, admitted under the configuration of this sequence, has its turn. If that is in
    /// force, a quorum has seen that it permits the envelope; if not, the envelope is judged now.
    ///
    /// # Errors
    /// It is larger than the channel allows, was ordered lately, or is not permitted any more; or the channel has moved.
    pub fn on_envelope(
        &mut self,
        at: InstanceId,
        envelope: &Envelope,
        sequence: u64,
    ) -> Result<Vec<CutBlock>, SkipReason> {
        if self.is_moved {
            return Err(SkipReason::Moved);
        }
        let size = envelope.size() as u64;
        let size_max = self.config.batch_size().absolute_max_bytes;
        if size > u64::from(size_max) {
            return Err(SkipReason::TooLarge { size, size_max });
        }
        if sequence != self.config.sequence() {
            if self.ordered.contains(&envelope.digest()) {
                return Err(SkipReason::Duplicate);
            }
            permit(&self.config, envelope, Verification::Full)?;
        }
        self.remember(envelope)?;
        // A copy: an envelope that waits must not keep alive the whole body that brought it.
        let cuts = self.cutter.on_envelope(size, Bytes::copy_from_slice(envelope.bytes()));
        Ok(self.chain_all(at, cuts))
    }

    /// A CONFIG envelope of this channel has its turn, which leads on from the configuration of this sequence. It is
    /// computed again from its own update, whoever has vouched for it: a wrong one would stop every peer. It cuts what is
    /// open and becomes a block of its own, after which its batch size and timeout apply.
    ///
    /// # Errors
    /// It was ordered lately, or does not bring the next configuration of this channel, or the channel has moved. The chain
    /// is as it was then.
    pub fn on_config(
        &mut self,
        at: InstanceId,
        envelope: &Envelope,
        sequence: u64,
    ) -> Result<Vec<CutBlock>, SkipReason> {
        if self.is_moved {
            return Err(SkipReason::Moved);
        }
        if self.ordered.contains(&envelope.digest()) {
            return Err(SkipReason::Duplicate);
        }
        let current = self.config.sequence();
        if sequence != current {
            return Err(SkipReason::OtherSequence { current, found: sequence });
        }
        let config = self.next_config(envelope)?;
        self.remember(envelope)?;
        let cuts = self.cutter.on_config(Bytes::copy_from_slice(envelope.bytes()));
        let mut blocks = self.chain_all(at, cuts);
        if let Some(block) = blocks.last_mut() {
            self.enter_config(config, block);
        }
        Ok(blocks)
    }

    /// A replica's timer for this number has fired there. Once one of those who say so must be correct, the cut is made.
    ///
    /// # Errors
    /// The number is not the open one.
    pub fn on_cut_ask(
        &mut self,
        at: InstanceId,
        view: &View,
        replica: ReplicaId,
        number: u64,
    ) -> Result<Option<CutBlock>, SkipReason> {
        if !self.cutter.is_open() || number != self.next_number() {
            return Err(SkipReason::NotOpenCut(number));
        }
        self.askers.insert(replica);
        if !view.is_any_correct(self.askers) {
            return Ok(None);
        }
        let cuts = self.cutter.on_timeout();
        Ok(self.chain_all(at, cuts).pop())
    }

    fn next_number(&self) -> u64 {
        // Saturates: no chain reaches 2^64 blocks.
        self.tip.number.saturating_add(1)
    }

    fn remember(&mut self, envelope: &Envelope) -> Result<(), SkipReason> {
        if self.ordered.insert(envelope.digest()) { Ok(()) } else { Err(SkipReason::Duplicate) }
    }

    fn chain_all(&mut self, at: InstanceId, cuts: Cuts<Bytes>) -> Vec<CutBlock> {
        cuts.into_iter().map(|data| self.chain(at, data)).collect()
    }

    /// Makes the next block of this data. What signatures cover names the instance that completed it: signatures that were
    /// made before anything was decided must not add up with those over the same header in another instance.
    fn chain(&mut self, at: InstanceId, data: Vec<Bytes>) -> CutBlock {
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
            metadata_value: metadata_value(self.last_config, ordered_by(at.0)),
            last_config: self.last_config,
            ordered_by: at,
            is_config: false,
        }
    }

    /// The configuration that a CONFIG envelope brings, in a block that can be kept. Its number is not known yet, since what
    /// is open has to be cut first, so the longest one stands for it.
    fn next_config(&self, envelope: &Envelope) -> Result<Arc<ChannelConfig>, SkipReason> {
        let config = config_transaction::verify(&self.config, envelope).map_err(EnvelopeReject::from)?;
        let hash = Bytes::copy_from_slice(&self.tip.header_hash);
        let header = BlockHeader { number: u64::MAX, previous_hash: hash.clone(), data_hash: hash };
        check_length(&without_signatures(header, vec![envelope.bytes().clone()]))?;
        Ok(config)
    }

    /// Turns the block just cut into the config block that it is, and puts its configuration in force. If other nodes are to
    /// go on, they are to remember what was ordered, and nobody here.
    fn enter_config(&mut self, config: Arc<ChannelConfig>, block: &mut CutBlock) {
        let number = block.header.number;
        block.is_config = true;
        block.last_config = number;
        block.metadata_value = metadata_value(number, ordered_by(block.ordered_by.0));
        self.last_config = number;
        self.config_block = without_signatures(block.header.clone(), block.data.clone());
        self.cutter.set_batch_size(config.batch_size());
        if !consenter_set::is_same(&self.config, &config) {
            self.is_moved = true;
            self.ordered = OrderedDigests::default();
        }
        self.config = config;
    }
}
