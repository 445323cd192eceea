//! A client that follows the chain of one node, and notes what came when.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::ensure;
use orderer_node::client::{DeliverClient, Endpoint, EnvelopeFactory, Seek};
use tokio_util::task::AbortOnDropHandle;

use super::audit::Audit;
use super::trace::Trace;
use crate::site::{NodeId, Site};

/// It follows until it is dropped, through every end of the node.
#[derive(Debug)]
pub(crate) struct Watch {
    id: NodeId,
    seen: Arc<Mutex<Vec<Seen>>>,
    _task: AbortOnDropHandle<()>,
}

/// Of block 1 and those that follow it.
#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Instant,
    trace: Trace,
}

impl Watch {
    /// Begins with block 1.
    ///
    /// # Errors
    /// There is no such node.
    pub(super) fn start(site: &Site, id: NodeId) -> anyhow::Result<Self> {
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let task = tokio::spawn(follow(site.endpoint(id)?, site.user().clone(), Arc::clone(&seen)));
        Ok(Self { id, seen, _task: AbortOnDropHandle::new(task) })
    }

    /// One for each node.
    ///
    /// # Errors
    /// There is no such node.
    pub(crate) fn all(site: &Site, ids: &[NodeId]) -> anyhow::Result<Vec<Self>> {
        ids.iter().map(|&id| Self::start(site, id)).collect()
    }

    /// Of which node.
    pub(super) const fn id(&self) -> NodeId {
        self.id
    }

    /// How many blocks have come.
    pub(super) fn count(&self) -> usize {
        lock(&self.seen).len()
    }

    /// How many came from this moment on.
    pub(super) fn count_since(&self, since: Instant) -> usize {
        lock(&self.seen).iter().rev().take_while(|seen| seen.at >= since).count()
    }

    /// The longest time without a block between two moments.
    pub(crate) fn longest_gap(&self, from: Instant, until: Instant) -> Duration {
        let mut arrivals: Vec<Instant> =
            lock(&self.seen).iter().map(|seen| seen.at).filter(|at| (from..until).contains(at)).collect();
        arrivals.insert(0, from);
        arrivals.push(until);
        arrivals.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    /// Whatever came must be what is in the chain.
    ///
    /// # Errors
    /// The first block that is not.
    pub(crate) fn check(&self, audit: &Audit) -> anyhow::Result<()> {
        for (at, seen) in lock(&self.seen).iter().enumerate() {
            let (number, found) = (at + 1, audit.trace(at + 1));
            let id = self.id;
            ensure!(
                found == Some(seen.trace),
                "node {id} delivered block {number} as {:?}, it is {found:?}",
                seen.trace
            );
        }
        Ok(())
    }
}

async fn follow(endpoint: Endpoint, user: EnvelopeFactory, seen: Arc<Mutex<Vec<Seen>>>) {
    loop {
        if let Ok(connection) = endpoint.connect().await {
            let next = lock(&seen).len() as u64 + 1;
            if let Ok(mut stream) = DeliverClient::open(&connection, &user, Seek::from(next)).await {
                while let Ok(Some(block)) = stream.next().await {
                    lock(&seen).push(Seen { at: Instant::now(), trace: Trace::of(&block) });
                }
            }
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

fn lock(seen: &Mutex<Vec<Seen>>) -> MutexGuard<'_, Vec<Seen>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

const RECONNECT_PAUSE: Duration = Duration::from_millis(50);
