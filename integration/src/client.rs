//! What tests do as Fabric's clients do: envelopes in by Broadcast, chains out by Deliver.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use fabric_proto::common::Status;
use orderer_node::dev::load::{BroadcastClient, DeliverClient, Endpoint, EnvelopeFactory, Pending, Seek};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::site::{NodeId, Site, wait_until};
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

/// Load that goes on whatever happens to the nodes: one stream to each of the endpoints, opened again when it ends.
#[derive(Debug)]
pub struct Load {
    record: Arc<Mutex<Record>>,
    stop: CancellationToken,
    lanes: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Record {
    sent: BTreeSet<Key>,
    acknowledged: BTreeSet<Key>,
    refused: Vec<String>,
}

/// What load to make.
#[derive(Clone, Copy, Debug)]
pub struct LoadPlan {
    /// Envelopes per second to each endpoint.
    pub rate_per_s: u32,
    /// Bytes of data in an envelope.
    pub data_bytes: usize,
}

impl Load {
    /// Starts it.
    ///
    /// # Errors
    /// An endpoint has no name.
    pub fn start(site: &Site, ids: &[NodeId], plan: LoadPlan) -> anyhow::Result<Self> {
        let (record, stop) = (Arc::<Mutex<Record>>::default(), CancellationToken::new());
        let mut lanes = Vec::new();
        for &id in ids {
            let lane = Lane {
                endpoint: site.endpoint(id)?,
                user: site.user().clone(),
                plan,
                record: Arc::clone(&record),
                stop: stop.clone(),
            };
            lanes.push(tokio::spawn(lane.run()));
        }
        Ok(Self { record, stop, lanes })
    }

    /// How many envelopes were answered with SUCCESS so far.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        lock(&self.record).acknowledged.len()
    }

    /// Waits until so many more envelopes have been answered with SUCCESS.
    ///
    /// # Errors
    /// It takes too long.
    pub async fn wait_for_more(&self, count: usize) -> anyhow::Result<()> {
        let wanted = self.acknowledged() + count;
        wait_until("envelopes are acknowledged", async || Ok(self.acknowledged() >= wanted)).await
    }

    /// Sends no more, and waits for the answers that come soon.
    ///
    /// # Errors
    /// Envelopes were refused for good, which no correct node does here.
    pub async fn stop(self) -> anyhow::Result<Outcome> {
        self.stop.cancel();
        for lane in self.lanes {
            lane.await?;
        }
        let mut record = lock(&self.record);
        if let Some(refusal) = record.refused.first() {
            bail!("{} envelopes were refused, the first with {refusal}", record.refused.len());
        }
        Ok(Outcome { sent: std::mem::take(&mut record.sent), acknowledged: std::mem::take(&mut record.acknowledged) })
    }
}

/// What became of a load.
#[derive(Debug)]
pub struct Outcome {
    /// Every envelope that was given to a stream.
    pub sent: BTreeSet<Key>,
    /// Those that were answered with SUCCESS.
    pub acknowledged: BTreeSet<Key>,
}

impl Outcome {
    /// Everything acknowledged must be in the chain, nothing twice, and nothing that was not sent.
    ///
    /// # Errors
    /// What is wrong with the chain.
    pub fn check(&self, chain: &[VerifiedBlock]) -> anyhow::Result<()> {
        let found = occurrences(chain);
        let lost = self.acknowledged.iter().filter(|key| !found.contains_key(*key)).count();
        ensure!(lost == 0, "{lost} of {} acknowledged envelopes are in no block", self.acknowledged.len());
        let repeated = found.values().filter(|count| **count > 1).count();
        ensure!(repeated == 0, "{repeated} envelopes are in the chain more than once");
        let strange = found.keys().filter(|key| !self.sent.contains(*key)).count();
        ensure!(strange == 0, "{strange} envelopes in the chain were never sent");
        Ok(())
    }
}

struct Lane {
    endpoint: Endpoint,
    user: EnvelopeFactory,
    plan: LoadPlan,
    record: Arc<Mutex<Record>>,
    stop: CancellationToken,
}

impl Lane {
    async fn run(self) {
        let mut due = tokio::time::interval(Duration::from_secs(1) / self.plan.rate_per_s);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !self.stop.is_cancelled() {
            if let Ok(connection) = self.endpoint.connect().await {
                self.drive(&BroadcastClient::open(&connection), &mut due).await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Until the stream ends, or the load.
    async fn drive(&self, client: &BroadcastClient, due: &mut tokio::time::Interval) {
        let mut answers = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                Some(answered) = answers.join_next() => if !matches!(answered, Ok(true)) { break },
                _ = due.tick() => {
                    let envelope = self.user.transaction_of_size(self.plan.data_bytes);
                    let key = key_of(&envelope);
                    lock(&self.record).sent.insert(key);
                    let Ok(pending) = client.submit(envelope).await else { break };
                    answers.spawn(note(pending, key, Arc::clone(&self.record)));
                }
            }
        }
        let rest = async { while answers.join_next().await.is_some() {} };
        // A node that was stopped never answers.
        drop(tokio::time::timeout(ANSWERS_AWAITED, rest).await);
    }
}

/// Notes what became of an envelope; says whether the stream goes on.
async fn note(pending: Pending, key: Key, record: Arc<Mutex<Record>>) -> bool {
    let Ok(answer) = pending.answer().await else { return false };
    let mut record = lock(&record);
    match answer.status {
        Status::Success => {
            record.acknowledged.insert(key);
            return true;
        }
        Status::ServiceUnavailable => {}
        other => record.refused.push(format!("{}: {}", other.as_str_name(), answer.info)),
    }
    false
}

fn lock(record: &Mutex<Record>) -> std::sync::MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

const ANSWERS_AWAITED: Duration = Duration::from_secs(2);
