//! Each node in turn gives the lead to the next one, under load, by the command that an operator has.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use super::audit::Audit;
use super::conduct;
use super::figures::Figures;
use super::group::Reign;
use super::watch::Watch;
use crate::binary::orderer_node;
use crate::client::{Load, LoadPlan};
use crate::material::Cutting;
use crate::network::Network;
use crate::site::{NodeId, wait_until};

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct HandOverPlan {
    /// How many leaders give the lead away. Of one leader one a minute is obeyed: no more than there are nodes.
    pub rounds: u32,
    /// To each node.
    pub load: LoadPlan,
    /// The longest time without a block at any frontend, in any round.
    pub gap_max: Duration,
}

/// Runs it.
///
/// # Errors
/// What is not as it should be.
pub async fn hand_over(plan: &HandOverPlan) -> anyhow::Result<Figures> {
    conduct(&Cutting::default(), async |network, figures| drive(network, plan, figures).await).await
}

async fn drive(network: &Network, plan: &HandOverPlan, figures: &mut Figures) -> anyhow::Result<()> {
    let ids = network.ids();
    figures.note_load(plan.load, ids.len());
    let load = Load::start(network, &ids, plan.load)?;
    let watches = Watch::all(network, &ids)?;
    let (mut gaps, mut taken) = (Vec::new(), Vec::new());
    for number in 1..=plan.rounds {
        load.wait_for_more(ENVELOPES_BEFORE).await?;
        let (gap, led_after) = round(network, &ids, &watches).await.with_context(|| format!("round {number}"))?;
        eprintln!("round {number} of {}: {gap:?} without a block", plan.rounds);
        gaps.push(gap);
        taken.push(led_after);
    }
    let outcome = load.stop().await?;
    let audit = Audit::of(network, &ids).await?;
    audit.check(&outcome, &watches)?;
    for &id in &ids {
        let accused = network.ordering(id).await?.misbehaviour;
        ensure!(accused.is_empty(), "nobody has misbehaved, and node {id} says {accused:?}");
    }

    figures.note("hand-overs", plan.rounds.to_string());
    figures.note_times("longest without a block", &gaps);
    figures.note_times("led after", &taken);
    let (acknowledged, blocks) = (outcome.acknowledged.len(), audit.blocks());
    figures.note("acknowledged", format!("{acknowledged} envelopes, none lost, none twice, in {blocks} blocks"));
    let most = gaps.into_iter().max().unwrap_or_default();
    ensure!(most <= plan.gap_max, "{most:?} without a block, at most {:?} is allowed", plan.gap_max);
    Ok(())
}

/// How long no block came, and after how long all nodes followed the named one.
async fn round(network: &Network, ids: &[NodeId], watches: &[Watch]) -> anyhow::Result<(Duration, Duration)> {
    let before = Reign::common(network, ids, 0).await?;
    let next = before.leader % ids.len() as NodeId + 1;
    refuses(network, next, before.leader).await?;

    let since = Instant::now();
    let said = ask(network.status_socket(before.leader)?, next).await?;
    ensure!(said.status.success(), "the leader refuses: {}", String::from_utf8_lossy(&said.stderr));
    let after = Reign::common(network, ids, before.regency + 1).await?;
    ensure!(after.leader == next, "node {} leads instead of node {next}", after.leader);
    let led_after = since.elapsed();
    let ordering_since = Instant::now();
    wait_until("blocks come at every frontend", async || {
        Ok(watches.iter().all(|watch| watch.count_since(ordering_since) >= BLOCKS_AWAITED))
    })
    .await?;
    let gap = watches.iter().map(|watch| watch.longest_gap(since, Instant::now())).max().unwrap_or_default();
    Ok((gap, led_after))
}

/// Who does not lead says who does, and nothing comes of it.
async fn refuses(network: &Network, id: NodeId, leader: NodeId) -> anyhow::Result<()> {
    let other = network.ids().into_iter().find(|other| *other != id && *other != leader).context("there are four")?;
    let said = ask(network.status_socket(other)?, id).await?;
    let why = String::from_utf8_lossy(&said.stderr).into_owned();
    if said.status.success() || !why.contains(&format!("consenter {leader} does")) {
        bail!("node {other} does not lead, and is asked for a hand-over: {}, {why}", said.status);
    }
    Ok(())
}

async fn ask(socket: &Path, to: NodeId) -> anyhow::Result<Output> {
    let mut command = Command::new(orderer_node()?);
    command.arg("hand-over").arg("--to").arg(to.to_string()).arg("--socket").arg(socket);
    Ok(tokio::task::spawn_blocking(move || command.output()).await??)
}

const ENVELOPES_BEFORE: usize = 200;
const BLOCKS_AWAITED: usize = 5;
