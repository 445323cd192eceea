//! The blocks and envelopes of two real networks, by name.
#![allow(dead_code, clippy::unwrap_used)]

use bytes::Bytes;
use fabric_proto::{Envelope, common};
use prost::Message;

/// Which network made the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// Channel `bftch`, type BFT, four consenters.
    Bft,
    /// Channel `raftch`, type etcdraft, three consenters.
    Raft,
}

impl Run {
    pub const ALL: [Self; 2] = [Self::Bft, Self::Raft];

    pub fn folder(self) -> &'static str {
        match self {
            Self::Bft => "bft",
            Self::Raft => "raft",
        }
    }

    pub fn block_names(self) -> &'static [&'static str] {
        match self {
            Self::Bft => &["chain_0", "chain_1", "chain_2", "chain_3", "chain_4", "block_12", "config_13"],
            Self::Raft => &["block_0", "block_1", "block_2", "block_6"],
        }
    }

    /// Its blocks that carry orderers' signatures.
    pub fn signed_block_names(self) -> &'static [&'static str] {
        &self.block_names()[1..]
    }

    pub fn block(self, name: &str) -> common::Block {
        common::Block::decode(block_bytes(self, name)).unwrap()
    }

    /// The channel group of block 0, and of the config block where there is another one.
    pub fn channel_groups(self) -> Vec<common::ConfigGroup> {
        let names = self.block_names();
        let blocks = names.iter().map(|name| self.block(name)).filter(common::Block::is_config);
        blocks.map(|block| channel_group(&block)).collect()
    }
}

/// All blocks of both networks with their names.
pub fn blocks() -> impl Iterator<Item = (String, common::Block)> {
    Run::ALL.into_iter().flat_map(|run| {
        let names = run.block_names().iter();
        names.map(move |name| (format!("{}/{name}", run.folder()), run.block(name)))
    })
}

pub fn block_bytes(run: Run, name: &str) -> Bytes {
    read(&format!("{}/{name}.block", run.folder()))
}

/// An envelope submitted to the BFT network.
pub fn envelope_bytes(name: &str) -> Bytes {
    read(&format!("bft/{name}.pb"))
}

pub fn read(path: &str) -> Bytes {
    let path = format!("{}/tests/data/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}")).into()
}

fn channel_group(block: &common::Block) -> common::ConfigGroup {
    let envelope = Envelope::decode(block.entries()[0].clone()).unwrap();
    let config = common::ConfigEnvelope::decode(envelope.data().clone()).unwrap();
    config.config.unwrap().channel_group.unwrap()
}
