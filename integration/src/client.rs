//! What tests do as Fabric's clients do: envelopes in by Broadcast, chains out by Deliver.

mod load;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use fabric_proto::common::Status;
use orderer_node::client::{BroadcastClient, DeliverClient, Endpoint, EnvelopeFactory, Seek};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

pub use self::load::{Load, LoadPlan, Outcome};
use crate::site::{NodeId, Site};
use crate::verifier::VerifiedBlock;

/// What an envelope is recognised by: SHA-256 of its bytes.
pub type Key = [u8; 32];

/// The key of an envelope.
#[must_use]
pub fn key_of(envelope: &[u8]) -> Key {
    Sha256::digest(envelope).into()
}

/// Sends envelopes on one stream, all at once, and insists on SUCCESS for each.
///
/// # Errors
/// The connection fails, or an answer is another one.
pub async fn broadcast(endpoint: &Endpoint, envelopes: impl IntoIterator<Item = Bytes>) -> anyhow::Result<()> {
    let client = BroadcastClient::open(&endpoint.connect().await?);
    let mut pending = Vec::new();
    for envelope in envelopes {
        pending.push(client.submit(envelope).await?);
    }
    for pending in pending {
        let answer = pending.answer().await?;
        ensure!(answer.status == Status::Success, "{}: {answer:?}", endpoint.name());
    }
    Ok(())
}

/// What a node answers to one envelope.
///
/// # Errors
/// It does not answer.
pub async fn answer(endpoint: &Endpoint, envelope: Bytes) -> anyhow::Result<(Status, String)> {
    let client = BroadcastClient::open(&endpoint.connect().await?);
    let answer = client.submit(envelope).await?.answer().await?;
    Ok((answer.status, answer.info))
}

/// The encoded blocks below `height`.
///
/// # Errors
/// The stream fails or ends early.
pub async fn blocks(endpoint: &Endpoint, user: &EnvelopeFactory, height: u64) -> anyhow::Result<Vec<Vec<u8>>> {
    let connection = endpoint.connect().await?;
    let mut stream = DeliverClient::open(&connection, user, Seek::range(0, height - 1)).await?;
    let mut blocks = Vec::new();
    let reading = async {
        while let Some(block) = stream.next().await? {
            blocks.push(block.encode_to_vec());
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(60), reading).await.context("Deliver takes too long")??;
    ensure!(blocks.len() as u64 == height, "{} blocks of {height}", blocks.len());
    Ok(blocks)
}

/// The chain of a node below `height`, each block of it verified.
///
/// # Errors
/// It cannot be had, or a block does not verify.
pub async fn verified_chain(site: &Site, id: NodeId, height: u64) -> anyhow::Result<Vec<VerifiedBlock>> {
    let blocks = blocks(&site.endpoint(id)?, site.user(), height).await?;
    ensure!(blocks.first().is_some_and(|genesis| *genesis == *site.genesis()), "block 0 is not the genesis block");
    let mut verifier = site.verifier()?;
    let verify = |block: &Vec<u8>| verifier.verify_next(block).with_context(|| format!("node {id}"));
    blocks[1..].iter().map(verify).collect()
}

/// Waits until the nodes are quiet, and gives their one chain: verified at each of them, and equal in everything but
/// whose signatures it carries.
///
/// # Errors
/// What is not as it should be.
pub async fn one_chain(site: &Site, ids: &[NodeId]) -> anyhow::Result<Vec<VerifiedBlock>> {
    let height = site.wait_until_quiet(ids).await?;
    let mut chain: Option<Vec<VerifiedBlock>> = None;
    for &id in ids {
        let found = verified_chain(site, id, height).await?;
        match &chain {
            None => chain = Some(found),
            Some(first) => assert_same(first, &found).with_context(|| format!("nodes {} and {id}", ids[0]))?,
        }
    }
    chain.context("no node was asked")
}

/// Headers, data and metadata values must be equal; which consenters' signatures there are may differ.
///
/// # Errors
/// The first difference.
pub fn assert_same(one: &[VerifiedBlock], other: &[VerifiedBlock]) -> anyhow::Result<()> {
    ensure!(one.len() == other.len(), "{} blocks and {}", one.len(), other.len());
    for (a, b) in one.iter().zip(other) {
        ensure!(a.header_hash == b.header_hash, "block {} has two headers: a fork", a.number);
        ensure!(a.metadata_value == b.metadata_value, "block {} has two metadata values", a.number);
        ensure!(a.envelopes == b.envelopes, "block {} has two bodies", a.number);
    }
    Ok(())
}

/// How often each envelope is in a chain.
#[must_use]
pub fn occurrences(chain: &[VerifiedBlock]) -> BTreeMap<Key, usize> {
    let mut counts = BTreeMap::new();
    for envelope in chain.iter().flat_map(|block| &block.envelopes) {
        *counts.entry(key_of(envelope)).or_default() += 1;
    }
    counts
}
