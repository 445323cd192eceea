//! Load that goes on whatever happens to the nodes, and what became of every envelope of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use fabric_proto::common::Status;
use orderer_node::client::{BroadcastClient, Endpoint, EnvelopeFactory, Pending};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::{Key, key_of, occurrences};
use crate::site::{NodeId, Site, wait_until};
use crate::verifier::VerifiedBlock;

/// One stream to each of the endpoints, opened again when it ends.
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
    unavailable: BTreeMap<NodeId, u64>,
}

/// What load to make.
#[derive(Clone, Copy, Debug)]
pub struct LoadPlan {
    /// Envelopes per second to each endpoint. What falls due while a stream is not open is left out.
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
                id,
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

    /// How many envelopes a node has answered with SERVICE_UNAVAILABLE so far.
    #[must_use]
    pub fn unavailable(&self, id: NodeId) -> u64 {
        lock(&self.record).unavailable.get(&id).copied().unwrap_or_default()
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
        self.check_occurrences(&occurrences(chain))
    }

    /// The same, of a chain of which only is known how often each envelope is in it.
    ///
    /// # Errors
    /// What is wrong with the chain.
    pub fn check_occurrences(&self, found: &BTreeMap<Key, usize>) -> anyhow::Result<()> {
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
    id: NodeId,
    endpoint: Endpoint,
    user: EnvelopeFactory,
    plan: LoadPlan,
    record: Arc<Mutex<Record>>,
    stop: CancellationToken,
}

impl Lane {
    async fn run(self) {
        while !self.stop.is_cancelled() {
            if let Ok(connection) = self.endpoint.connect().await {
                self.drive(&BroadcastClient::open(&connection)).await;
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }

    /// Until the stream ends, or the load.
    async fn drive(&self, client: &BroadcastClient) {
        let mut answers = JoinSet::new();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (since, mut sent) = (Instant::now(), 0);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                Some(answered) = answers.join_next() => if !matches!(answered, Ok(true)) { break },
                _ = tick.tick() => {
                    let due = (since.elapsed().as_secs_f64() * f64::from(self.plan.rate_per_s)) as u64;
                    // One at a time: what has been answered meanwhile must be taken, and the end noticed.
                    if sent < due {
                        sent += 1;
                        tick.reset_immediately();
                        let Some(answer) = self.submit(client).await else { break };
                        answers.spawn(answer);
                    }
                }
            }
        }
        let rest = async { while answers.join_next().await.is_some() {} };
        // A node that was stopped never answers.
        drop(tokio::time::timeout(ANSWERS_AWAITED, rest).await);
    }

    /// Sends one envelope. None when the stream or the load has ended.
    async fn submit(&self, client: &BroadcastClient) -> Option<impl Future<Output = bool> + Send + 'static> {
        let envelope = self.user.transaction_of_size(self.plan.data_bytes);
        let key = key_of(&envelope);
        lock(&self.record).sent.insert(key);
        // A node that does not answer leaves no room for more.
        let pending = tokio::select! {
            () = self.stop.cancelled() => None,
            pending = client.submit(envelope) => pending.ok(),
        };
        pending.map(|pending| note(pending, key, self.id, Arc::clone(&self.record)))
    }
}

/// Notes what became of an envelope; says whether the stream goes on.
async fn note(pending: Pending, key: Key, id: NodeId, record: Arc<Mutex<Record>>) -> bool {
    let Ok(answer) = pending.answer().await else { return false };
    let mut record = lock(&record);
    match answer.status {
        Status::Success => {
            record.acknowledged.insert(key);
            return true;
        }
        Status::ServiceUnavailable => *record.unavailable.entry(id).or_default() += 1,
        other => record.refused.push(format!("{}: {}", other.as_str_name(), answer.info)),
    }
    false
}

fn lock(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How finely the rate is kept.
const TICK: Duration = Duration::from_millis(5);
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);
const ANSWERS_AWAITED: Duration = Duration::from_secs(2);
