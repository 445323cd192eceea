//! A node loses its disk, and comes back with nothing but its configuration, its keys and the genesis block.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::audit::Audit;
use super::conduct;
use super::figures::Figures;
use super::group::{Reign, catches_up, takes_part};
use super::watch::Watch;
use crate::client::{Load, LoadPlan};
use crate::material::Cutting;
use crate::network::Network;

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct WipedPlan {
    /// How many nodes, one after another, each another follower.
    pub rounds: u32,
    /// Blocks that there are when the first disk is lost.
    pub blocks_before: u64,
    /// To each node.
    pub load: LoadPlan,
}

/// Runs it.
///
/// # Errors
/// What is not as it should be.
pub async fn wiped(plan: &WipedPlan) -> anyhow::Result<Figures> {
    conduct(&Cutting::default(), async |network, figures| drive(network, plan, figures).await).await
}

async fn drive(network: &mut Network, plan: &WipedPlan, figures: &mut Figures) -> anyhow::Result<()> {
    let ids = network.ids();
    figures.note_load(plan.load, ids.len());
    let load = Load::start(network, &ids, plan.load)?;
    let watches = Watch::all(network, &ids)?;
    network.wait_for_height(1, plan.blocks_before).await?;
    let (mut caught_up, mut readmitted, mut changes) = (Vec::new(), Vec::new(), 0);
    for number in 0..plan.rounds {
        let round = round(network, number as usize).await.with_context(|| format!("round {}", number + 1))?;
        eprintln!("round {} of {}: votes again after {:?}", number + 1, plan.rounds, round.readmitted);
        caught_up.push(round.caught_up);
        readmitted.push(round.readmitted);
        changes += round.changes;
    }
    let outcome = load.stop().await?;
    let audit = Audit::of(network, &ids).await?;
    audit.check(&outcome, &watches)?;
    figures.note("disks lost", format!("{}, the first at height {}", plan.rounds, plan.blocks_before));
    figures.note_times("all blocks back after", &caught_up);
    figures.note_times("votes again after", &readmitted);
    figures.note("regency changes", changes.to_string());
    let (acknowledged, blocks) = (outcome.acknowledged.len(), audit.blocks());
    figures.note("acknowledged", format!("{acknowledged} envelopes, none lost, none twice, in {blocks} blocks"));
    Ok(())
}

struct Round {
    caught_up: Duration,
    readmitted: Duration,
    changes: u64,
}

async fn round(network: &mut Network, number: usize) -> anyhow::Result<Round> {
    let ids = network.ids();
    let before = Reign::common(network, &ids, 0).await?;
    let followers = ids.iter().copied().filter(|id| *id != before.leader);
    let wiped = followers.rev().cycle().nth(number).context("there are four nodes")?;
    network.kill(wiped)?;
    network.wipe(wiped)?;
    let since = Instant::now();
    network.start_node(wiped)?;
    catches_up(network, wiped, before.leader).await?;
    let caught_up = since.elapsed();

    // It is taken back by a change of regency, behind which nothing counts that it may have said before.
    let after = Reign::common(network, &ids, before.regency + 1).await?;
    let readmitted = since.elapsed();
    takes_part(network, wiped).await?;
    let last = Reign::common(network, &ids, after.regency).await?;
    let changes = last.regency - before.regency;
    ensure!(changes <= 1, "the return of node {wiped} cost {changes} regency changes");
    Ok(Round { caught_up, readmitted, changes })
}
