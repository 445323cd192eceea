//! Deliver streams that take what comes and throw it away: what many peers are to the nodes.
//!
//! They run in this process, so that what they use is counted neither with the nodes nor with the load.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::Context as _;
use orderer_node::client::{Content, DeliverClient, Position, Seek};
use tokio_util::task::AbortOnDropHandle;

use super::network::DevProcess;

/// So many streams, spread over the nodes. They end when this is dropped.
pub(super) struct Receivers {
    streams: Vec<AbortOnDropHandle<()>>,
    blocks: Arc<AtomicU64>,
    broken: Arc<AtomicU64>,
}

impl Receivers {
    /// Opens them, each on a connection of its own, from the newest block on.
    ///
    /// # Errors
    /// A node does not let one in.
    pub(super) async fn open(network: &DevProcess, count: usize) -> anyhow::Result<Self> {
        let (endpoints, user) = (network.node_endpoints()?, network.user()?);
        let (blocks, broken) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let mut streams = Vec::with_capacity(count);
        for endpoint in endpoints.iter().cycle().take(count) {
            let connection = endpoint.connect().await.context("a Deliver stream")?;
            let seek = Seek { from: Position::Newest, to: Position::Never, content: Content::Blocks };
            let mut stream = DeliverClient::open(&connection, &user, seek).await.context("a Deliver stream")?;
            let (blocks, broken) = (Arc::clone(&blocks), Arc::clone(&broken));
            streams.push(AbortOnDropHandle::new(tokio::spawn(async move {
                while let Ok(Some(_)) = stream.next().await {
                    blocks.fetch_add(1, Relaxed);
                }
                broken.fetch_add(1, Relaxed);
            })));
        }
        Ok(Self { streams, blocks, broken })
    }

    /// What should not have been.
    pub(super) fn failure(&self) -> Option<String> {
        let (blocks, broken) = (self.blocks.load(Relaxed), self.broken.load(Relaxed));
        let count = self.streams.len();
        if broken > 0 {
            return Some(format!("{broken} of {count} Deliver streams have ended"));
        }
        (count > 0 && blocks == 0).then(|| format!("no block has come over {count} Deliver streams"))
    }
}
