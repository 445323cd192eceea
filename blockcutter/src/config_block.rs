//! A block that configures a channel, and what the chain of the channel takes from it.
//!
//! Reading the same bytes gives the same verdict on every replica and at any time: no certificate is compared with a
//! clock on the way.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fabric_channel::{ChannelConfig, ConfigError, ConsensusType};
use fabric_proto::ChannelId;
use fabric_proto::block::data_hash;
use fabric_proto::common::{Block, BlockData, BlockHeader};
use fabric_proto::metadata::block_metadata;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::limits::CONFIG_BLOCK_BYTES_MAX;

/// A marshalled config block, taken apart. Its parts share the memory of the bytes it was read from.
#[derive(Clone, Debug)]
pub struct ConfigBlock {
    /// The block, byte for byte.
    pub encoded: Bytes,
    /// Its header.
    pub header: BlockHeader,
    /// The configuration it brings.
    pub config: Arc<ChannelConfig>,
}

/// Why bytes cannot configure a channel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigBlockReject {
    /// Longer than any config block may be.
    #[error("a config block of {bytes} bytes is longer than {CONFIG_BLOCK_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The bytes are not a block.
    #[error("malformed block: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// The block has no header.
    #[error("the block has no header")]
    NoHeader,
    /// The block does not bring a configuration that this service can order under.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration is another channel's.
    #[error("the block configures the channel {named}")]
    OtherChannel {
        /// The name in it.
        named: ChannelId,
    },
    /// A channel opens with block 0.
    #[error("the block has number {0}, a channel opens with block 0")]
    NotTheFirst(u64),
    /// A chain cannot be taken up before its last config block, or at block 0, where it would begin.
    #[error("a chain that is at block {tip} cannot be taken up with config block {number}")]
    OtherTip {
        /// The number of the config block.
        number: u64,
        /// The number of the last block.
        tip: u64,
    },
    /// One envelope twice among those ordered last.
    #[error("an envelope is named twice among those ordered last")]
    OrderedTwice,
    /// Block 0 follows nothing.
    #[error("block 0 names a previous block")]
    PreviousHash,
    /// The header does not belong to the data.
    #[error("the data hash in the header is not that of the data")]
    DataHash,
}

impl ConfigBlock {
    /// Reads a config block with any number.
    ///
    /// # Errors
    /// The bytes cannot configure a channel.
    pub fn decode(encoded: Bytes) -> Result<Self, ConfigBlockReject> {
        Self::decode_known(encoded, |_| None)
    }

    /// The same where some configurations are known by the digest of the envelope that brought them: reading the
    /// certificates of many organisations takes longer than all else.
    pub(crate) fn decode_known(
        encoded: Bytes,
        known: impl FnOnce(&[u8; 32]) -> Option<Arc<ChannelConfig>>,
    ) -> Result<Self, ConfigBlockReject> {
        check_length(&encoded)?;
        let block = Block::decode(encoded.clone())?;
        let config = match block.entries() {
            [envelope] => known(&Sha256::digest(envelope).into()),
            _ => None,
        };
        let config = config.map_or_else(|| ChannelConfig::from_block(&block).map(Arc::new), Ok)?;
        let data_hash = data_hash(block.entries());
        let header = block.header.ok_or(ConfigBlockReject::NoHeader)?;
        if header.data_hash != data_hash.as_slice() {
            return Err(ConfigBlockReject::DataHash);
        }
        Ok(Self { encoded, header, config })
    }

    /// Reads a config block of this channel, with any number.
    ///
    /// # Errors
    /// The bytes cannot configure this channel.
    pub fn of_channel(channel: &ChannelId, encoded: Bytes) -> Result<Self, ConfigBlockReject> {
        let block = Self::decode(encoded)?;
        let named = block.config.channel_id();
        if named != channel {
            return Err(ConfigBlockReject::OtherChannel { named: named.clone() });
        }
        Ok(block)
    }

    /// Reads the block with which `channel` is to open.
    ///
    /// # Errors
    /// The bytes cannot open this channel.
    pub fn genesis(channel: &ChannelId, encoded: Bytes) -> Result<Self, ConfigBlockReject> {
        let block = Self::of_channel(channel, encoded)?;
        if block.header.number != 0 {
            return Err(ConfigBlockReject::NotTheFirst(block.header.number));
        }
        if !block.header.previous_hash.is_empty() {
            return Err(ConfigBlockReject::PreviousHash);
        }
        Ok(block)
    }
}

/// A config block as the state of a group keeps it: marshalled, naming itself as the last config block, without
/// signatures. These differ from node to node, everything else does not.
#[must_use]
pub fn without_signatures(header: BlockHeader, data: Vec<Bytes>) -> Bytes {
    let metadata = block_metadata(header.number, Bytes::new(), Vec::new());
    let block = Block { header: Some(header), data: Some(BlockData { data }), metadata: Some(metadata) };
    block.encode_to_vec().into()
}

/// May a config block be as long as this one?
///
/// # Errors
/// It may not.
pub(crate) fn check_length(encoded: &Bytes) -> Result<(), ConfigBlockReject> {
    let bytes = encoded.len();
    if bytes > CONFIG_BLOCK_BYTES_MAX { Err(ConfigBlockReject::TooLong { bytes }) } else { Ok(()) }
}

/// How long a cut may stay open under this configuration.
///
/// On a channel of type BFT Fabric looks at `RequestBatchMaxInterval` and not at `BatchTimeout`; whoever has set
/// either expects not to wait longer, so the shorter one counts there (contract section 4).
#[must_use]
pub fn cut_timeout(config: &ChannelConfig) -> Duration {
    let timeout = config.batch_timeout();
    match config.consensus() {
        ConsensusType::Bft { options } => timeout.min(options.request_batch_max_interval),
        ConsensusType::EtcdRaft { .. } => timeout,
    }
}
