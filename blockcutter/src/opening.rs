//! How a channel begins in a group: with its genesis block, or at the tip of a chain that others ordered so far.
//!
//! The second way is how a channel comes to the group of its new consenters (protocol.md, Succession). All that goes along is
//! a function of the chain: its last config block, its tip, and the digests of the envelopes ordered last. So every member
//! that holds the chain asks for the same thing, whether it was among those who ordered it or not.

use bytes::Bytes;
use fabric_proto::ChannelId;
use sha2::{Digest as _, Sha256};

use crate::asks::{GenesisDigest, genesis_digest};
use crate::chain::{Chain, Tip};
use crate::config_block::{ConfigBlock, ConfigBlockReject};
use crate::ordered::{EnvelopeDigest, OrderedDigests};
use crate::output::Output;

/// What a replica asks for.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    Genesis(Bytes),
    AtTip { config_block: Bytes, tip: Tip, ordered: Vec<EnvelopeDigest> },
}

/// What a replica asks for, read. Keeps nothing of the memory of the body that brought it.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    block: ConfigBlock,
    /// None for the beginning of a chain.
    at_tip: Option<(Tip, OrderedDigests)>,
}

impl Way {
    /// What replicas have to agree on.
    pub(crate) fn digest(&self) -> GenesisDigest {
        match self {
            Self::Genesis(genesis) => genesis_digest(genesis),
            Self::AtTip { config_block, tip, ordered } => {
                let mut hash = Sha256::new();
                hash.update(b"take up a channel 1");
                hash.update(genesis_digest(config_block));
                hash.update(tip.number.to_be_bytes());
                hash.update(tip.header_hash);
                for digest in ordered {
                    hash.update(digest);
                }
                hash.finalize().into()
            }
        }
    }

    pub(crate) fn read(self, channel: &ChannelId) -> Result<Opening, ConfigBlockReject> {
        match self {
            Self::Genesis(genesis) => {
                let block = ConfigBlock::genesis(channel, Bytes::copy_from_slice(&genesis))?;
                Ok(Opening { block, at_tip: None })
            }
            Self::AtTip { config_block, tip, ordered } => {
                Opening::at_tip(channel, Bytes::copy_from_slice(&config_block), tip, ordered)
            }
        }
    }
}

impl Opening {
    /// # Errors
    /// The parts do not fit each other or the channel.
    pub(crate) fn at_tip(
        channel: &ChannelId,
        config_block: Bytes,
        tip: Tip,
        ordered: Vec<EnvelopeDigest>,
    ) -> Result<Self, ConfigBlockReject> {
        let block = ConfigBlock::of_channel(channel, config_block)?;
        let number = block.header.number;
        let is_the_tip = tip.number == number;
        if tip.number == 0 || tip.number < number || (is_the_tip && tip.header_hash != block.header.hash()) {
            return Err(ConfigBlockReject::OtherTip { number, tip: tip.number });
        }
        let mut digests = OrderedDigests::default();
        for digest in ordered {
            if !digests.insert(digest) {
                return Err(ConfigBlockReject::OrderedTwice);
            }
        }
        Ok(Self { block, at_tip: Some((tip, digests)) })
    }

    /// The block after which the group orders the channel.
    pub(crate) fn tip(&self) -> Tip {
        match &self.at_tip {
            Some((tip, _)) => *tip,
            None => Tip { number: self.block.header.number, header_hash: self.block.header.hash() },
        }
    }

    /// The chain that begins so, and what is to be told of it.
    pub(crate) fn open(self) -> (Chain, Output) {
        let Self { block, at_tip } = self;
        let (channel, config) = (block.config.channel_id().clone(), block.config.clone());
        match at_tip {
            None => (Chain::open(&block), Output::Opened { channel, genesis: block.encoded, config }),
            Some((tip, ordered)) => (Chain::take_up(&block, tip, ordered), Output::TakenUp { channel, tip, config }),
        }
    }
}
