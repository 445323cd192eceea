//! Which blocks an operator may join a channel with, as far as the block alone tells (contract §5, join-block rules).
//!
//! The block is not verified: the operator vouches for it, and the chain that is fetched has to meet it later. What is
//! looked for is whether a channel for applications can be made of it at all. The texts are those that Fabric's tools and
//! tests know.

use fabric_proto::common::Block;
use thiserror::Error;

use crate::bundle::Bundle;
use crate::config::{ConfigError, bundle_of};

/// Why no channel can be joined with a block.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JoinBlockError {
    /// Anything but exactly one CONFIG envelope in it.
    #[error("block is not a config block")]
    NotAConfigBlock,
    /// Blocks have metadata, genesis blocks too.
    #[error("invalid block: does not have metadata")]
    NoMetadata,
    /// Damaged.
    #[error("invalid block: Header.DataHash is different from Hash(block.Data)")]
    DataHash,
    /// Its configuration is not valid for anybody.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A system channel.
    #[error("invalid config: contains consortiums: system channel not supported")]
    Consortiums,
    /// A channel for nobody.
    #[error("invalid config: must contain application config")]
    NoApplication,
}

/// The configuration in a block that a channel may be joined with. Whether this service can order the channel is asked
/// by [`crate::ChannelConfig::from_bundle`].
///
/// # Errors
/// [`JoinBlockError`].
pub fn read(block: &Block) -> Result<Bundle, JoinBlockError> {
    if !block.is_config() {
        return Err(JoinBlockError::NotAConfigBlock);
    }
    if block.metadata.as_ref().is_none_or(|metadata| metadata.metadata.is_empty()) {
        return Err(JoinBlockError::NoMetadata);
    }
    let hash = block.data.as_ref().map(fabric_proto::common::BlockData::hash);
    let named = block.header.as_ref().map(|header| &header.data_hash[..]);
    if hash.as_ref().map(<[u8; 32]>::as_slice) != named {
        return Err(JoinBlockError::DataHash);
    }
    let bundle = bundle_of(block)?;
    if bundle.consortiums().is_some() {
        return Err(JoinBlockError::Consortiums);
    }
    if bundle.application().is_none() {
        return Err(JoinBlockError::NoApplication);
    }
    Ok(bundle)
}
