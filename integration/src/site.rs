//! A network as somebody outside sees it: where its nodes are reached, and what they say of themselves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use frontend_shim::status::StatusReport;
use orderer_node::client::{Endpoint, EnvelopeFactory};
use orderer_node::status::OrderingReport;

use crate::verifier::Verifier;

/// A node, by its id in the channel.
pub type NodeId = u32;

/// A network with one channel.
#[derive(Clone, Debug)]
pub struct Site {
    pub(crate) genesis: Bytes,
    pub(crate) user: EnvelopeFactory,
    pub(crate) doors: BTreeMap<NodeId, Door>,
}

/// Where one node is reached.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    /// `host:port`.
    pub(crate) address: String,
    /// The authority of its server certificate, PEM.
    pub(crate) authority: PathBuf,
    pub(crate) broadcast_socket: PathBuf,
    pub(crate) status_socket: PathBuf,
}

impl Site {
    /// All ids.
    #[must_use]
    pub fn ids(&self) -> Vec<NodeId> {
        self.doors.keys().copied().collect()
    }

    /// Where a node listens, `host:port`.
    #[must_use]
    pub fn address(&self, id: NodeId) -> String {
        self.doors.get(&id).map(|door| door.address.clone()).unwrap_or_default()
    }

    /// How clients reach a node.
    ///
    /// # Errors
    /// There is no such node, or the authority's certificate cannot be read.
    pub fn endpoint(&self, id: NodeId) -> anyhow::Result<Endpoint> {
        let door = self.door(id)?;
        Ok(Endpoint::tls(&door.address, &door.authority, None)?)
    }

    /// How programs on the same machine reach a node.
    ///
    /// # Errors
    /// There is no such node.
    pub fn unix_endpoint(&self, id: NodeId) -> anyhow::Result<Endpoint> {
        Ok(Endpoint::unix(&self.door(id)?.broadcast_socket))
    }

    /// The Unix socket of a node's status.
    ///
    /// # Errors
    /// There is no such node.
    pub fn status_socket(&self, id: NodeId) -> anyhow::Result<&Path> {
        Ok(&self.door(id)?.status_socket)
    }

    /// Somebody whom the channel knows.
    #[must_use]
    pub const fn user(&self) -> &EnvelopeFactory {
        &self.user
    }

    /// The genesis block's bytes.
    #[must_use]
    pub const fn genesis(&self) -> &Bytes {
        &self.genesis
    }

    /// A verifier that expects block 1.
    ///
    /// # Errors
    /// The genesis block is none.
    pub fn verifier(&self) -> anyhow::Result<Verifier> {
        Ok(Verifier::from_genesis(&self.genesis)?)
    }

    /// What a node says about itself.
    ///
    /// # Errors
    /// It does not answer in time.
    pub async fn status(&self, id: NodeId) -> anyhow::Result<StatusReport> {
        let socket = self.status_socket(id)?;
        let answer = tokio::time::timeout(Duration::from_secs(5), frontend_shim::status::fetch(socket)).await;
        Ok(answer.with_context(|| format!("node {id} does not answer on {}", socket.display()))??)
    }

    /// What a node says about its ordering group.
    ///
    /// # Errors
    /// It does not answer, or says nothing about it.
    pub async fn ordering(&self, id: NodeId) -> anyhow::Result<OrderingReport> {
        let report = self.status(id).await?;
        let groups: Vec<OrderingReport> = serde_json::from_value(section(&report, "ordering")?.clone())?;
        groups.into_iter().next().context("no ordering group")
    }

    /// How many blocks clients of a node can see.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn height(&self, id: NodeId) -> anyhow::Result<u64> {
        let report = self.status(id).await?;
        let channel = report.channels.iter().find(|channel| channel.id == self.user.channel().as_str());
        Ok(channel.context("the channel is not joined")?.certified_height)
    }

    /// Does a node take envelopes?
    pub async fn is_open(&self, id: NodeId) -> bool {
        let Ok(report) = self.status(id).await else { return false };
        report.channels.iter().any(|channel| channel.id == self.user.channel().as_str() && channel.state == "open")
    }

    /// Waits until a node's clients see so many blocks.
    ///
    /// # Errors
    /// It takes too long.
    pub async fn wait_for_height(&self, id: NodeId, height: u64) -> anyhow::Result<()> {
        wait_until(&format!("node {id} reaches height {height}"), async || {
            Ok(self.height(id).await.is_ok_and(|found| found >= height))
        })
        .await
    }

    /// Waits until all nodes are equally high and stay so, and nothing waits to be ordered; says how high. What still
    /// waits after a long time without a new block is not waited for: see [`Site::pending`].
    ///
    /// # Errors
    /// The heights stay different, or do not come to rest.
    pub async fn wait_until_quiet(&self, ids: &[NodeId]) -> anyhow::Result<u64> {
        let since = Instant::now();
        let (mut last, mut unchanged_since) = (BTreeMap::new(), Instant::now());
        while since.elapsed() < PATIENCE {
            let mut heights = BTreeMap::new();
            for &id in ids {
                heights.insert(id, self.height(id).await.ok());
            }
            if heights != last {
                (last, unchanged_since) = (heights, Instant::now());
            }
            let first = last.values().next().copied().flatten().context("nobody answers")?;
            let is_equal = last.values().all(|height| *height == Some(first));
            let waited = if self.pending(ids).await == 0 { QUIET_AFTER } else { STUCK_AFTER };
            if is_equal && unchanged_since.elapsed() >= waited {
                return Ok(first);
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("the nodes do not come to rest at one height: {last:?}")
    }

    /// How many requests wait to be ordered, at all of these nodes together.
    pub async fn pending(&self, ids: &[NodeId]) -> usize {
        let mut pending = 0;
        for &id in ids {
            pending += self.ordering(id).await.map_or(0, |ordering| ordering.pending_requests);
        }
        pending
    }

    fn door(&self, id: NodeId) -> anyhow::Result<&Door> {
        self.doors.get(&id).with_context(|| format!("there is no node {id}"))
    }
}

/// A section of a report.
///
/// # Errors
/// There is none of that name.
pub fn section<'a>(report: &'a StatusReport, name: &str) -> anyhow::Result<&'a serde_json::Value> {
    report.sections.get(name).with_context(|| format!("the report has no section {name}"))
}

/// Asks again and again until the answer is yes.
///
/// # Errors
/// It stays no for too long, or asking fails.
pub async fn wait_until(what: &str, mut is_so: impl AsyncFnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let since = Instant::now();
    while !is_so().await? {
        if since.elapsed() > PATIENCE {
            bail!("after {} s it is not so that {what}", PATIENCE.as_secs());
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// How long a test waits for what should take a second or two.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const POLL: Duration = Duration::from_millis(50);
/// Longer than an open cut waits to be cut by time.
const QUIET_AFTER: Duration = Duration::from_millis(700);
/// Longer than anything that a node does again and again when it waits for something.
const STUCK_AFTER: Duration = Duration::from_secs(8);
