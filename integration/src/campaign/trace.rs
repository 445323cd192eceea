//! What is remembered of a block that was seen: enough to know it again.

use fabric_proto::common::Block;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

/// SHA-256 of a block's header, which stands for its data and for everything before it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Trace([u8; 32]);

impl Trace {
    pub(super) fn of(block: &Block) -> Self {
        Self(Sha256::digest(block.header.clone().unwrap_or_default().encode_to_vec()).into())
    }
}

impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(&self.0[..4]))
    }
}
