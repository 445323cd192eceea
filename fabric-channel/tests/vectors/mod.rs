//! Blocks made by real Fabric programs; see `tests/data/README.md`.

#![allow(dead_code, reason = "each test program uses some of them")]

use fabric_channel::{BlockVerifier, ChannelConfig};
use fabric_proto::common::Block;
use prost::Message as _;

/// Decodes `tests/data/<name>.block`.
pub fn block(name: &str) -> Block {
    let path = format!("{}/tests/data/{name}.block", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    Block::decode(&bytes[..]).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The configuration in a configuration block.
pub fn config(name: &str) -> ChannelConfig {
    ChannelConfig::from_block(&block(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The verifier of the configuration in a configuration block.
pub fn verifier(name: &str) -> BlockVerifier {
    BlockVerifier::new(&config(name))
}

/// The header hash of a block.
pub fn header_hash(block: &Block) -> [u8; 32] {
    block.header.as_ref().map(|header| header.hash()).unwrap_or_else(|| panic!("no header"))
}
