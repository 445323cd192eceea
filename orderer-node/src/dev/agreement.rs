//! Do all nodes have the same chain? Asked of each by Deliver, and checked as a peer checks it: numbers, links, data
//! hashes, and the signatures against the BlockValidation policy of the channel (contract 3.5).
//!
//! Of blocks that were there before this run, only the headers are compared: they were checked when they were new.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use fabric_channel::{BlockVerifier, ChannelConfig};
use fabric_proto::common::Block;
use tokio_util::task::AbortOnDropHandle;

use crate::client::{Content, DeliverClient, Endpoint, EnvelopeFactory, Seek};

/// What all nodes agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Agreement {
    /// Nodes asked.
    pub(super) nodes: usize,
    /// Blocks since the start.
    pub(super) blocks: u64,
    /// Envelopes in them.
    pub(super) envelopes: u64,
}

/// A stretch of the chain: blocks below `since` are old, those from there to below `height` are new.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    /// At least 1: the genesis block is always old.
    pub(super) since: u64,
    pub(super) height: u64,
}

/// The chain as one node delivers it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Reading {
    header_hashes: Vec<[u8; 32]>,
    /// In new blocks.
    envelopes: u64,
}

/// Reads the chain from every node and compares.
///
/// # Errors
/// A node does not deliver its chain, delivers a block that a peer would refuse, or another one than the others.
pub(super) async fn check(
    nodes: &[(String, Endpoint)],
    factory: &EnvelopeFactory,
    config: &ChannelConfig,
    stretch: Stretch,
) -> anyhow::Result<Agreement> {
    let readings = nodes.iter().map(|(name, endpoint)| {
        let (endpoint, factory, verifier) = (endpoint.clone(), factory.clone(), BlockVerifier::new(config));
        let reading = async move { read(&endpoint, &factory, &verifier, stretch).await };
        (name, AbortOnDropHandle::new(tokio::spawn(reading)))
    });
    let mut first: Option<(&str, Reading)> = None;
    for (name, reading) in readings.collect::<Vec<_>>() {
        let reading = reading.await?.with_context(|| format!("the chain of {name}"))?;
        match &first {
            None => first = Some((name, reading)),
            Some((first, expected)) => compare(first, expected, name, &reading)?,
        }
    }
    let (_, reading) = first.context("no node to ask")?;
    Ok(Agreement { nodes: nodes.len(), blocks: stretch.height - stretch.since, envelopes: reading.envelopes })
}

async fn read(
    endpoint: &Endpoint,
    factory: &EnvelopeFactory,
    verifier: &BlockVerifier,
    stretch: Stretch,
) -> anyhow::Result<Reading> {
    let Stretch { since, height } = stretch;
    let mut reading = Reading::default();
    let connection = endpoint.connect().await?;
    let old = Seek::range(0, since - 1).with_content(Content::HeadersWithSignatures);
    let mut blocks = DeliverClient::open(&connection, factory, old).await?;
    while let Some(block) = next(&mut blocks).await? {
        reading.on_old(&block)?;
    }
    if height > since {
        blocks.seek(Seek::range(since, height - 1)).await?;
        while let Some(block) = next(&mut blocks).await? {
            reading.on_new(&block, verifier)?;
        }
    }
    ensure!(reading.header_hashes.len() as u64 == height, "{} blocks instead of {height}", reading.header_hashes.len());
    Ok(reading)
}

/// The next block of a range that the node has: it must come soon.
async fn next(blocks: &mut DeliverClient) -> anyhow::Result<Option<Block>> {
    let next = tokio::time::timeout(BLOCK_TIMEOUT, blocks.next()).await;
    Ok(next.map_err(|_| anyhow::anyhow!("no block came within {} s", BLOCK_TIMEOUT.as_secs()))??)
}

impl Reading {
    fn next(&self) -> u64 {
        self.header_hashes.len() as u64
    }

    fn on_old(&mut self, block: &Block) -> anyhow::Result<()> {
        let (number, header) = (self.next(), block.header.as_ref().context("a block without a header")?);
        ensure!(header.number == number, "block {} came where block {number} was due", header.number);
        let previous = self.header_hashes.last().map_or(&[][..], |hash| &hash[..]);
        ensure!(header.previous_hash[..] == *previous, "block {number} does not link to the one before");
        self.header_hashes.push(header.hash());
        Ok(())
    }

    fn on_new(&mut self, block: &Block, verifier: &BlockVerifier) -> anyhow::Result<()> {
        let previous = self.header_hashes.last().map(|hash| &hash[..]);
        verifier.verify_block(block, self.next(), previous)?;
        let header = block.header.as_ref().context("a block without a header")?;
        self.header_hashes.push(header.hash());
        self.envelopes += block.entries().len() as u64;
        Ok(())
    }
}

fn compare(first: &str, expected: &Reading, other: &str, found: &Reading) -> anyhow::Result<()> {
    let hashes = expected.header_hashes.iter().zip(&found.header_hashes);
    if let Some((number, (one, two))) = hashes.enumerate().find(|(_, (one, two))| one != two) {
        bail!(
            "the chains differ: the header hash of block {number} is {} at {first} and {} at {other}",
            hex::encode(one),
            hex::encode(two),
        );
    }
    Ok(())
}

const BLOCK_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        let expected = Reading { header_hashes: vec![[1; 32], [2; 32]], envelopes: 0 };
        compare("o1", &expected, "o2", &expected.clone()).unwrap();
        let other = Reading { header_hashes: vec![[1; 32], [3; 32]], envelopes: 0 };
        let error = compare("o1", &expected, "o2", &other).unwrap_err().to_string();
        assert!(error.starts_with("the chains differ: the header hash of block 1 is 0202"), "{error}");
        assert!(error.ends_with(" at o2") && error.contains("0202 at o1 and 0303"), "{error}");
    }
}
