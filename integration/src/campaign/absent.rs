//! A node is down for thousands of blocks and catches up while the others keep ordering.

use std::time::{Duration, Instant};

use anyhow::{bail, ensure};

use super::audit::Audit;
use super::conduct;
use super::figures::Figures;
use super::group::{Reign, takes_part};
use super::watch::Watch;
use crate::client::{Load, LoadPlan};
use crate::material::Cutting;
use crate::network::Network;
use crate::site::{NodeId, POLL, wait_until};

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct AbsentPlan {
    /// Blocks that it misses.
    pub blocks: u64,
    /// Envelopes in a block at most.
    pub message_count_max: u32,
    /// To each of the other nodes, while it is away and while it catches up.
    pub load: LoadPlan,
    /// Memory that it may have in use meanwhile, bytes.
    pub resident_bytes_max: u64,
    /// How long catching up may take.
    pub patience: Duration,
}

/// Runs it.
///
/// # Errors
/// What is not as it should be.
pub async fn absent(plan: &AbsentPlan) -> anyhow::Result<Figures> {
    let cutting = Cutting { message_count_max: plan.message_count_max, ..Cutting::default() };
    conduct(&cutting, async |network, figures| drive(network, plan, figures).await).await
}

async fn drive(network: &mut Network, plan: &AbsentPlan, figures: &mut Figures) -> anyhow::Result<()> {
    let ids = network.ids();
    let before = Reign::common(network, &ids, 0).await?;
    let (leader, absent) = (before.leader, ids.iter().copied().rfind(|id| *id != before.leader).unwrap_or_default());
    let others: Vec<NodeId> = ids.iter().copied().filter(|id| *id != absent).collect();
    figures.note_load(plan.load, others.len());
    let load = Load::start(network, &others, plan.load)?;
    load.wait_for_more(100).await?;
    network.kill(absent)?;
    let since = Instant::now();
    let missed = network.height(leader).await? + plan.blocks;
    while network.height(leader).await? < missed {
        ensure!(since.elapsed() < plan.patience, "no {} blocks within {:?}", plan.blocks, plan.patience);
        tokio::time::sleep(POLL).await;
    }
    let away = since.elapsed();

    let watch = Watch::start(network, leader)?;
    let height_before = network.height(leader).await?;
    wait_until("the client has every block", async || Ok(watch.count() as u64 + 1 >= height_before)).await?;
    let ordered_before = network.height(leader).await?;
    let since = Instant::now();
    network.start_node(absent)?;
    let resident_max = follow(network, absent, leader, plan).await?;
    let caught_up = since.elapsed();
    let ordered = network.height(leader).await? - ordered_before;
    let gap = watch.longest_gap(since, Instant::now());
    let mut resident = Vec::new();
    for &id in &others {
        resident.push(mib(network.node(id)?.resident_bytes()?));
    }
    let after = Reign::common(network, &ids, before.regency).await?;
    ensure!(after == before, "while node {absent} caught up {before:?} changed to {after:?}");
    takes_part(network, absent).await?;
    let outcome = load.stop().await?;
    let audit = Audit::of(network, &ids).await?;
    audit.check(&outcome, &[watch])?;

    let per_s = |blocks: u64, time: Duration| format!("{:.0} blocks/s", blocks as f64 / time.as_secs_f64());
    let (blocks, away_s) = (plan.blocks, away.as_secs_f64());
    figures.note("missed", format!("{blocks} blocks in {away_s:.1} s, {}", per_s(blocks, away)));
    let caught_up_s = caught_up.as_secs_f64();
    figures.note("caught up", format!("in {caught_up_s:.1} s, {}", per_s(blocks + ordered, caught_up)));
    figures.note("memory of the absent", format!("at most {} MiB meanwhile", mib(resident_max)));
    figures.note("memory of the others", format!("{resident:?} MiB then"));
    let (pace, gap) = (per_s(ordered, caught_up), gap.as_millis());
    figures.note("the others meanwhile", format!("{pace}, at most {gap} ms without a block"));
    let (acknowledged, blocks) = (outcome.acknowledged.len(), audit.blocks());
    figures.note("acknowledged", format!("{acknowledged} envelopes, none lost, none twice, in {blocks} blocks"));
    let limit = plan.resident_bytes_max;
    ensure!(resident_max <= limit, "node {absent} had {} MiB in use", mib(resident_max));
    Ok(())
}

/// Until it is as high as the leader, who goes on. Gives the most memory it had in use, bytes.
async fn follow(network: &mut Network, absent: NodeId, leader: NodeId, plan: &AbsentPlan) -> anyhow::Result<u64> {
    let (since, mut resident_max) = (Instant::now(), 0);
    loop {
        resident_max = resident_max.max(network.node(absent)?.resident_bytes()?);
        let (height, wanted) = (network.height(absent).await.unwrap_or_default(), network.height(leader).await?);
        if height + BLOCKS_BEHIND >= wanted {
            return Ok(resident_max);
        }
        if since.elapsed() > plan.patience {
            bail!("after {:?} node {absent} has {height} blocks of {wanted}", plan.patience);
        }
        tokio::time::sleep(POLL).await;
    }
}

const fn mib(bytes: u64) -> u64 {
    bytes >> 20
}

/// Blocks that come to be while one asks.
const BLOCKS_BEHIND: u64 = 100;
