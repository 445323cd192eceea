//! The leader goes silent under load, is replaced, and comes back.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use mod_smart::Limits;

use super::audit::Audit;
use super::conduct;
use super::figures::Figures;
use super::group::{Reign, catches_up, takes_part};
use super::watch::Watch;
use crate::client::{Load, LoadPlan};
use crate::material::Cutting;
use crate::network::Network;
use crate::site::{NodeId, wait_until};

/// How it goes silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaderFault {
    /// SIGKILL; its connections break. It comes back by a new start.
    Kill,
    /// SIGSTOP; its connections stand. It comes back with SIGCONT, and has not noticed anything.
    Stop,
}

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct LeaderPlan {
    /// How the leader goes silent.
    pub fault: LeaderFault,
    /// How many leaders, one after another.
    pub rounds: u32,
    /// How long it stays away after the others order again.
    pub away: Duration,
    /// To each node.
    pub load: LoadPlan,
    /// The longest time without a block at any frontend that goes on, in any round.
    pub gap_max: Duration,
    /// And in the median of all rounds.
    pub gap_median_max: Duration,
}

impl LeaderPlan {
    /// What the project promises: twice the request timeout, plus one second.
    #[must_use]
    pub fn promise() -> Duration {
        2 * Limits::default().request_timeout + Duration::from_secs(1)
    }
}

/// Runs it.
///
/// # Errors
/// What is not as it should be.
pub async fn leader(plan: &LeaderPlan) -> anyhow::Result<Figures> {
    conduct(&Cutting::default(), async |network, figures| drive(network, plan, figures).await).await
}

async fn drive(network: &mut Network, plan: &LeaderPlan, figures: &mut Figures) -> anyhow::Result<()> {
    let ids = network.ids();
    figures.note_load(plan.load, ids.len());
    let load = Load::start(network, &ids, plan.load)?;
    let watches = Watch::all(network, &ids)?;
    let mut rounds = Vec::new();
    for number in 1..=plan.rounds {
        load.wait_for_more(ENVELOPES_BEFORE).await?;
        let round = round(network, plan, &load, &watches).await.with_context(|| format!("round {number}"))?;
        eprintln!("round {number} of {}: {:?} without a block", plan.rounds, round.gap);
        rounds.push(round);
    }
    let outcome = load.stop().await?;
    let audit = Audit::of(network, &ids).await?;
    audit.check(&outcome, &watches)?;

    let mut gaps: Vec<Duration> = rounds.iter().map(|round| round.gap).collect();
    let name = match plan.fault {
        LeaderFault::Kill => "leaders killed",
        LeaderFault::Stop => "leaders stopped",
    };
    figures.note(name, format!("{}, each away for {:.1} s more", plan.rounds, plan.away.as_secs_f64()));
    figures.note_times("longest without a block", &gaps);
    figures.note_times("rejoined after", &rounds.iter().map(|round| round.rejoined).collect::<Vec<_>>());
    let changes: u64 = rounds.iter().map(|round| round.changes).sum();
    figures.note("regency changes", changes.to_string());
    let (acknowledged, blocks) = (outcome.acknowledged.len(), audit.blocks());
    figures.note("acknowledged", format!("{acknowledged} envelopes, none lost, none twice, in {blocks} blocks"));

    gaps.sort();
    let (most, median) = (gaps.last().copied().unwrap_or_default(), gaps.get(gaps.len() / 2).copied());
    ensure!(most <= plan.gap_max, "{most:?} without a block, at most {:?} is allowed", plan.gap_max);
    ensure!(median.is_none_or(|it| it <= plan.gap_median_max), "{median:?} without a block in the median");
    Ok(())
}

struct Round {
    gap: Duration,
    rejoined: Duration,
    changes: u64,
}

async fn round(network: &mut Network, plan: &LeaderPlan, load: &Load, watches: &[Watch]) -> anyhow::Result<Round> {
    let ids = network.ids();
    let before = Reign::common(network, &ids, 0).await?;
    let silent = before.leader;
    let others: Vec<NodeId> = ids.iter().copied().filter(|id| *id != silent).collect();
    let refused = |others: &[NodeId]| others.iter().map(|&id| load.unavailable(id)).sum::<u64>();
    let refused_before = refused(&others);

    let since = Instant::now();
    match plan.fault {
        LeaderFault::Kill => network.kill(silent)?,
        LeaderFault::Stop => network.node(silent)?.pause()?,
    }
    let after = Reign::common(network, &others, before.regency + 1).await?;
    let at_others: Vec<&Watch> = watches.iter().filter(|watch| watch.id() != silent).collect();
    let ordering_since = Instant::now();
    wait_until("blocks come at every other frontend", async || {
        Ok(at_others.iter().all(|watch| watch.count_since(ordering_since) >= BLOCKS_AWAITED))
    })
    .await?;
    tokio::time::sleep(plan.away).await;
    let gap = at_others.iter().map(|watch| watch.longest_gap(since, Instant::now())).max().unwrap_or_default();
    ensure!(refused(&others) == refused_before, "clients of other frontends were told SERVICE_UNAVAILABLE");

    let back_since = Instant::now();
    match plan.fault {
        LeaderFault::Kill => network.start_node(silent)?,
        LeaderFault::Stop => network.node(silent)?.resume()?,
    }
    catches_up(network, silent, after.leader).await?;
    let rejoined = Reign::common(network, &ids, after.regency).await?;
    ensure!(rejoined == after, "the return of node {silent} changed {after:?} to {rejoined:?}");
    let returned = back_since.elapsed();
    takes_part(network, silent).await?;
    let last = Reign::common(network, &ids, after.regency).await?;
    ensure!(last == after, "after node {silent} came back {after:?} changed to {last:?}");
    Ok(Round { gap, rejoined: returned, changes: after.regency - before.regency })
}

const ENVELOPES_BEFORE: usize = 200;
const BLOCKS_AWAITED: usize = 5;
