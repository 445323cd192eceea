//! `channel verify`: a chain of blocks, offline, as a peer verifies it.
//!
//! Each block has to follow from the last, and to satisfy the BlockValidation policy of the configuration in force.
//! A configuration block is recomputed from the update in it, and its configuration is in force from the next block
//! on. Beyond what peers refuse, a block has to name the latest configuration block, by which nodes that join find
//! their configuration. Contract §2.3, §3.5.

mod chain;
mod start;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use fabric_proto::common::Block;
use prost::Message as _;

use crate::arguments::VerifyArgs;
use crate::failure::usage;
use crate::files;
use crate::words::line;
use chain::Chain;

/// Verifies all blocks in order of their numbers and reports the tip, or the first fault.
pub(crate) fn run(arguments: &VerifyArgs, report: &mut String) -> anyhow::Result<()> {
    let trusted = arguments.from_trusted.as_deref().map(start::Trusted::parse).transpose().map_err(usage)?;
    let files = by_number(&arguments.blocks)?;
    let genesis = read_block(&arguments.genesis).context("the genesis block")?;
    let (mut chain, first) = match trusted {
        None => (start::from_genesis(&genesis, &files)?, 1),
        Some(trusted) => {
            let first = trusted.number.checked_add(1).context("the trusted block cannot be the last of all numbers")?;
            (start::from_trusted(&genesis, &trusted, &files)?, first)
        }
    };
    let mut verdict = Ok(());
    for (position, (number, path)) in (first..).zip(files.range(first..)) {
        if *number != position {
            verdict = Err(anyhow::anyhow!("block {position} is missing, the next one at hand is {number}"));
            break;
        }
        verdict = read_block(path).and_then(|block| chain.append(&block));
        if verdict.is_err() {
            break;
        }
    }
    describe(&chain, report);
    verdict
}

fn describe(chain: &Chain, report: &mut String) {
    line!(report, "channel        {}", chain.channel_id());
    line!(report, "blocks         {} good", chain.blocks);
    line!(report, "config blocks  {} (sequence {})", chain.config_blocks, chain.sequence());
    line!(report, "last           block {}, header hash {}", chain.number, hex::encode(chain.hash));
}

/// Files by the number of the block in them.
fn by_number(paths: &[PathBuf]) -> anyhow::Result<BTreeMap<u64, PathBuf>> {
    let mut files = BTreeMap::new();
    for path in paths {
        let found = if path.is_dir() { block_files(path)? } else { vec![path.clone()] };
        for path in found {
            let block = read_block(&path)?;
            let number = block.header.with_context(|| format!("{}: a block without header", path.display()))?.number;
            if let Some(other) = files.insert(number, path.clone()) {
                bail!("block {number} is there twice: {} and {}", other.display(), path.display());
            }
        }
    }
    if files.is_empty() {
        bail!("there are no blocks (in folders, files ending in .block are taken)");
    }
    Ok(files)
}

fn block_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry.with_context(|| folder.display().to_string())?.path();
        if path.extension().is_some_and(|extension| extension == "block") {
            files.push(path);
        }
    }
    Ok(files)
}

fn read_block(path: &Path) -> anyhow::Result<Block> {
    let bytes = files::read(path)?;
    Block::decode(bytes).with_context(|| format!("{}: not a block", path.display()))
}
