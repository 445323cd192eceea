//! Clients that keep a channel busy.

use std::time::{Duration, Instant};

use bytes::Bytes;
use integration::client::broadcast;
use integration::site::PATIENCE;
use orderer_node::client::{Endpoint, EnvelopeFactory};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::orderers::Orderers;

/// They send one envelope after the other, each again until it is taken.
pub struct Clients {
    enough: CancellationToken,
    tasks: Vec<JoinHandle<Vec<Bytes>>>,
}

impl Clients {
    /// One at each of these nodes.
    pub fn of(orderers: &Orderers, ids: &[u16]) -> Self {
        Self::with(orderers, ids.iter().map(|&id| vec![orderers.endpoint(id)]).collect())
    }

    /// So many that begin with one of these nodes each, and go on to the next one whenever one does not take an envelope.
    pub fn wandering(orderers: &Orderers, ids: &[u16], count: usize) -> Self {
        let from =
            |first: usize| ids.iter().cycle().skip(first).take(ids.len()).map(|&id| orderers.endpoint(id)).collect();
        Self::with(orderers, (0..count).map(from).collect())
    }

    fn with(orderers: &Orderers, endpoints: Vec<Vec<Endpoint>>) -> Self {
        let enough = CancellationToken::new();
        let start = |endpoints| tokio::spawn(keep_sending(endpoints, orderers.user.clone(), enough.clone()));
        Self { tasks: endpoints.into_iter().map(start).collect(), enough }
    }

    /// What was taken of them.
    pub async fn stop(self) -> Vec<Bytes> {
        self.enough.cancel();
        let mut taken = Vec::new();
        for task in self.tasks {
            taken.extend(task.await.unwrap());
        }
        taken
    }
}

async fn keep_sending(endpoints: Vec<Endpoint>, user: EnvelopeFactory, enough: CancellationToken) -> Vec<Bytes> {
    let (mut taken, mut at) = (Vec::new(), 0);
    while !enough.is_cancelled() {
        let (envelope, since) = (user.transaction_of_size(10), Instant::now());
        while let Err(error) = broadcast(&endpoints[at], [envelope.clone()]).await {
            assert!(since.elapsed() < PATIENCE, "{}: {error:#}", endpoints[at].name());
            at = (at + 1) % endpoints.len();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        taken.push(envelope);
    }
    taken
}
