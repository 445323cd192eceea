//! What campaigns ask of the ordering group, and do with it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use orderer_node::client::{DeliverClient, Seek};
use prost::Message as _;
use serde_json::Value;

use crate::network::Network;
use crate::site::{NodeId, PATIENCE, POLL, Site, section, wait_until};

/// The regency that nodes are in, and who leads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reign {
    pub(super) regency: u64,
    pub(super) leader: NodeId,
}

impl Reign {
    /// As one node sees it.
    pub(super) async fn at(site: &Site, id: NodeId) -> anyhow::Result<Self> {
        let ordering = site.ordering(id).await?;
        Ok(Self { regency: ordering.regency, leader: NodeId::from(ordering.leader) + 1 })
    }

    /// Waits until all these nodes see the same, at least this regency.
    ///
    /// # Errors
    /// They do not come to that in time.
    pub(super) async fn common(site: &Site, ids: &[NodeId], regency_min: u64) -> anyhow::Result<Self> {
        let since = Instant::now();
        loop {
            let mut found = Vec::new();
            for &id in ids {
                found.push(Self::at(site, id).await.ok());
            }
            match found.first().copied().flatten() {
                Some(first) if first.regency >= regency_min && found.iter().all(|it| *it == Some(first)) => {
                    return Ok(first);
                }
                _ if since.elapsed() > PATIENCE => {
                    bail!("nodes {ids:?} do not come to a common regency of at least {regency_min}: {found:?}")
                }
                _ => tokio::time::sleep(POLL).await,
            }
        }
    }
}

/// Waits until a node that was away has all blocks that `other` has now, and takes envelopes.
///
/// # Errors
/// It does not come to that in time.
pub(super) async fn catches_up(site: &Site, id: NodeId, other: NodeId) -> anyhow::Result<()> {
    let missed = site.height(other).await?;
    site.wait_for_height(id, missed).await?;
    wait_until(&format!("node {id} takes envelopes"), async || Ok(site.is_open(id).await)).await
}

/// Waits until every node has a link to every other one: before that, one that is killed is not the only one that the
/// others do not hear.
///
/// # Errors
/// It does not come to that in time.
pub(super) async fn all_linked(site: &Site) -> anyhow::Result<()> {
    wait_until("all nodes have links to each other", async || {
        for id in site.ids() {
            let report = site.status(id).await?;
            let peers = section(&report, "mesh")?.get(0).and_then(Value::as_array).context("no counters of a mesh")?;
            if !peers.iter().all(|peer| peer["connected"] == Value::Bool(true)) {
                return Ok(false);
            }
        }
        Ok(true)
    })
    .await
}

/// Shows, under load, that a node takes part again: without a follower that is killed for it no block comes to be, unless
/// this node votes for and signs it. The follower is started again and catches up.
///
/// # Errors
/// No block comes, or it is signed by others.
pub(super) async fn takes_part(network: &mut Network, id: NodeId) -> anyhow::Result<()> {
    all_linked(network).await?;
    let ids = network.ids();
    let leader = Reign::common(network, &ids, 0).await?.leader;
    let killed = ids.iter().copied().find(|it| *it != id && *it != leader).context("there are four nodes")?;
    network.kill(killed)?;
    let running: BTreeSet<NodeId> = network.running().into_iter().collect();
    // What was decided before may still become blocks that the follower has signed.
    tokio::time::sleep(UNDERWAY).await;
    let height = network.height(leader).await?;
    network.wait_for_height(leader, height + BLOCKS_AWAITED).await.with_context(|| {
        format!("node {id} came back, and without node {killed} nothing is ordered: it does not vote")
    })?;
    let signers = signers_of(network, leader, height + BLOCKS_AWAITED - 1).await?;
    ensure!(signers == running, "of {running:?} only {signers:?} have signed a block");
    network.start_node(killed)?;
    catches_up(network, killed, leader).await?;
    all_linked(network).await
}

/// Who has signed a block, as a node delivers it.
async fn signers_of(site: &Site, id: NodeId, number: u64) -> anyhow::Result<BTreeSet<NodeId>> {
    let connection = site.endpoint(id)?.connect().await?;
    let mut stream = DeliverClient::open(&connection, site.user(), Seek::range(number, number)).await?;
    let block = stream.next().await?.context("Deliver gives no block")?;
    Ok(site.verifier()?.verify_apart(&block.encode_to_vec())?.signers)
}

const UNDERWAY: Duration = Duration::from_millis(500);
const BLOCKS_AWAITED: u64 = 5;
