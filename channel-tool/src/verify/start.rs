//! Where a verification begins: at the genesis block, or at a block that is trusted for its hash.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use fabric_channel::ChannelConfig;
use fabric_proto::block::data_hash;
use fabric_proto::common::{Block, BlockHeader};
use fabric_proto::metadata::last_config_index;

use super::chain::Chain;
use super::read_block;

/// A block that somebody trusts.
#[derive(Debug)]
pub(super) struct Trusted {
    pub(super) number: u64,
    hash: [u8; 32],
}

impl Trusted {
    /// Reads `N:HASH`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':').and_then(|(number, hash)| {
            let hash = <[u8; 32]>::try_from(hex::decode(hash).ok()?).ok()?;
            Some(Self { number: number.parse().ok()?, hash })
        });
        parts.ok_or_else(|| format!("--from-trusted {text:?}: a block number, a colon and 64 hex digits are expected"))
    }
}

/// The files may hold block 0 too; then it has to be the genesis block.
pub(super) fn from_genesis(genesis: &Block, files: &BTreeMap<u64, PathBuf>) -> anyhow::Result<Chain> {
    let header = checked_header(genesis).context("the genesis block")?;
    ensure!(header.number == 0, "the genesis block has number {}; with --from-trusted it may", header.number);
    if let Some(path) = files.get(&0) {
        let found = read_block(path)?;
        ensure!(found.header == genesis.header && found.data == genesis.data, "block 0 is not the genesis block");
    }
    let config = ChannelConfig::from_block(genesis).context("the genesis block")?;
    Ok(Chain::new(config, 0, 0, header.hash()))
}

/// `governing` holds the configuration in force at the trusted block, unless that brings one itself.
pub(super) fn from_trusted(
    governing: &Block,
    trusted: &Trusted,
    files: &BTreeMap<u64, PathBuf>,
) -> anyhow::Result<Chain> {
    let number = trusted.number;
    let path = files.get(&number).with_context(|| format!("the trusted block {number} is not among the files"))?;
    let block = read_block(path)?;
    let header = checked_header(&block).with_context(|| format!("the trusted block {number}"))?;
    ensure!(
        header.hash() == trusted.hash,
        "block {number} has header hash {}, which is not the trusted one",
        hex::encode(header.hash())
    );
    let governing = if block.is_config() { &block } else { governing };
    let config_number = checked_header(governing).context("the block of --genesis")?.number;
    let named = last_config_index(&block).with_context(|| format!("the trusted block {number}"))?;
    ensure!(
        named == config_number,
        "block {number} is governed by configuration block {named}: --genesis has to be that one, not block {config_number}"
    );
    let config = ChannelConfig::from_block(governing).context("the configuration block")?;
    Ok(Chain::new(config, config_number, number, header.hash()))
}

/// A header that belongs to the data.
fn checked_header(block: &Block) -> anyhow::Result<&BlockHeader> {
    let header = block.header.as_ref().context("no header")?;
    ensure!(
        data_hash(block.entries())[..] == header.data_hash[..],
        "the data hash in the header is not that of the data"
    );
    Ok(header)
}
