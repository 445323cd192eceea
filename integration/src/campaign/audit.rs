//! The chains of all nodes, verified block by block as they come, without keeping them.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use orderer_node::client::{DeliverClient, Seek};
use prost::Message as _;
use tokio::task::JoinSet;

use super::trace::Trace;
use super::watch::Watch;
use crate::client::{Key, Outcome, key_of};
use crate::site::{NodeId, Site};

/// The one chain of several nodes.
#[derive(Debug)]
pub(crate) struct Audit {
    traces: Vec<Trace>,
    occurrences: BTreeMap<Key, usize>,
}

impl Audit {
    /// Waits until the nodes are quiet, then verifies the chain of each from the genesis block on. All must be equal.
    ///
    /// # Errors
    /// What is not as it should be.
    pub(crate) async fn of(site: &Site, ids: &[NodeId]) -> anyhow::Result<Self> {
        let height = site.wait_until_quiet(ids).await?;
        let mut audits = JoinSet::new();
        for &id in ids {
            let site = site.clone();
            audits.spawn(async move {
                let chain = Self::of_node(&site, id, height).await.with_context(|| format!("node {id}"))?;
                anyhow::Ok((id, chain))
            });
        }
        let mut first: Option<(NodeId, Self)> = None;
        while let Some(audit) = audits.join_next().await {
            let (id, chain) = audit??;
            match &first {
                None => first = Some((id, chain)),
                Some((other, one)) => chain.compare(one).with_context(|| format!("nodes {other} and {id}"))?,
            }
        }
        first.map(|(_, chain)| chain).context("no node was asked")
    }

    /// What the campaign asks for in the end: everything acknowledged is there, once, and whatever a client saw.
    ///
    /// # Errors
    /// What is not as it should be.
    pub(super) fn check(&self, outcome: &Outcome, watches: &[Watch]) -> anyhow::Result<()> {
        outcome.check_occurrences(&self.occurrences)?;
        watches.iter().try_for_each(|watch| watch.check(self))
    }

    /// Blocks, without the genesis block.
    pub(crate) const fn blocks(&self) -> usize {
        self.traces.len()
    }

    /// Envelopes in them.
    pub(crate) fn envelopes(&self) -> usize {
        self.occurrences.values().sum()
    }

    /// Of a block, by its number.
    pub(super) fn trace(&self, number: usize) -> Option<Trace> {
        self.traces.get(number.checked_sub(1)?).copied()
    }

    async fn of_node(site: &Site, id: NodeId, height: u64) -> anyhow::Result<Self> {
        let connection = site.endpoint(id)?.connect().await?;
        let mut audit = Self { traces: Vec::new(), occurrences: BTreeMap::new() };
        let mut verifier = site.verifier()?;
        if height <= 1 {
            return Ok(audit);
        }
        let mut stream = DeliverClient::open(&connection, site.user(), Seek::range(1, height - 1)).await?;
        while let Some(block) =
            tokio::time::timeout(BLOCK_PATIENCE, stream.next()).await.context("Deliver gives no block")??
        {
            let encoded = block.encode_to_vec();
            // Signatures take a while: the other nodes' chains are verified meanwhile.
            let verified = tokio::task::block_in_place(|| verifier.verify_next(&encoded));
            let verified = verified.with_context(|| format!("block {}", verifier.next()))?;
            audit.traces.push(Trace::of(&block));
            for envelope in &verified.envelopes {
                *audit.occurrences.entry(key_of(envelope)).or_default() += 1;
            }
        }
        ensure!(audit.blocks() as u64 == height - 1, "{} blocks of {}", audit.blocks(), height - 1);
        Ok(audit)
    }

    fn compare(&self, other: &Self) -> anyhow::Result<()> {
        ensure!(self.blocks() == other.blocks(), "{} blocks and {}", self.blocks(), other.blocks());
        let differs = self.traces.iter().zip(&other.traces).position(|(one, other)| one != other);
        ensure!(differs.is_none(), "block {} has two headers: a fork", differs.unwrap_or_default() + 1);
        Ok(())
    }
}

/// How long Deliver may take for the next block, all of which are there.
const BLOCK_PATIENCE: Duration = Duration::from_secs(60);
