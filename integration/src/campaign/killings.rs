//! Nodes are killed at random points, all at once or some of them, again and again, under load.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use fastrand::Rng;
use frontend_shim::group_settings::{GroupSettings, WrittenSettings};

use super::audit::Audit;
use super::conduct_with;
use super::figures::Figures;
use super::group::Reign;
use super::watch::Watch;
use crate::client::{Load, LoadPlan};
use crate::material::Cutting;
use crate::network::Network;
use crate::site::NodeId;

/// What to do.
#[derive(Clone, Debug)]
pub struct KillingsPlan {
    /// How often all nodes are killed. Between any two such times some of them are, one time in two.
    pub rounds: u32,
    /// Where chance begins: equal numbers make equal choices.
    pub seed: u64,
    /// To each node.
    pub load: LoadPlan,
    /// What the members agree on.
    pub settings: WrittenSettings,
}

/// Runs it.
///
/// # Errors
/// What is not as it should be.
pub async fn killings(plan: &KillingsPlan) -> anyhow::Result<Figures> {
    let with_seed = || format!("with seed {}", plan.seed);
    let drive = async |network: &mut Network, figures: &mut Figures| {
        drive(network, plan, figures).await.with_context(with_seed)
    };
    conduct_with(&Cutting::default(), &plan.settings, drive).await
}

async fn drive(network: &mut Network, plan: &KillingsPlan, figures: &mut Figures) -> anyhow::Result<()> {
    let ids = network.ids();
    figures.note_load(plan.load, ids.len());
    figures.note("settings", settled(&plan.settings)?);
    let load = Load::start(network, &ids, plan.load)?;
    let watches = Watch::all(network, &ids)?;
    let mut rng = Rng::with_seed(plan.seed);
    let mut killed = 0;
    for number in 1..=plan.rounds {
        let round = round(network, &load, &mut rng).await.with_context(|| format!("round {number}"))?;
        killed += round;
        eprintln!("round {number} of {}: {killed} SIGKILLs so far", plan.rounds);
    }
    network.wait_until_open().await?;
    load.wait_for_more(ENVELOPES_AFTER).await?;
    let outcome = load.stop().await?;
    let audit = Audit::of(network, &ids).await?;
    audit.check(&outcome, &watches)?;
    ensure!(network.pending(&ids).await == 0, "requests wait that are never ordered");

    let Reign { regency, .. } = Reign::common(network, &ids, 0).await?;
    figures.note("all nodes killed", format!("{} times; {killed} SIGKILLs in all, seed {}", plan.rounds, plan.seed));
    figures.note("regency changes", regency.to_string());
    let seen: usize = watches.iter().map(Watch::count).sum();
    figures.note("blocks", format!("{}, no fork; {seen} seen by clients before the end", audit.blocks()));
    let (acknowledged, delivered) = (outcome.acknowledged.len(), audit.envelopes());
    figures.note("acknowledged", format!("{acknowledged} envelopes, none lost; {delivered} delivered, none twice"));
    Ok(())
}

/// Some nodes perhaps, then all. Says how many were killed.
async fn round(network: &mut Network, load: &Load, rng: &mut Rng) -> anyhow::Result<usize> {
    let ids = network.ids();
    let mut killed = 0;
    // Half of the time only after the nodes have come to order again: else they are killed while they recover.
    if rng.bool() {
        network.wait_until_open().await?;
        load.wait_for_more(ENVELOPES_BETWEEN).await?;
    }
    if rng.bool() {
        pause(rng, LIFE_MAX).await;
        let count = rng.usize(1..ids.len());
        killed += kill(network, rng, count).await?;
        pause(rng, DEATH_MAX).await;
        network.start_all()?;
    }
    pause(rng, LIFE_MAX).await;
    killed += kill(network, rng, ids.len()).await?;
    network.start_all()?;
    Ok(killed)
}

/// In an order that chance determines, sometimes with a pause in between.
async fn kill(network: &mut Network, rng: &mut Rng, count: usize) -> anyhow::Result<usize> {
    let mut victims: Vec<NodeId> = network.running();
    rng.shuffle(&mut victims);
    let at_once = rng.bool();
    for id in victims.into_iter().take(count) {
        network.kill(id)?;
        if !at_once {
            pause(rng, BETWEEN_MAX).await;
        }
    }
    Ok(count)
}

async fn pause(rng: &mut Rng, most: Duration) {
    tokio::time::sleep(most.mul_f64(rng.f64())).await;
}

/// How long nodes live at most before some of them are killed.
const LIFE_MAX: Duration = Duration::from_millis(1500);
/// How long some are dead at most: long enough for a new leader.
const DEATH_MAX: Duration = Duration::from_millis(1500);
/// Between two that are killed one after another.
const BETWEEN_MAX: Duration = Duration::from_millis(100);
const ENVELOPES_BETWEEN: usize = 100;
const ENVELOPES_AFTER: usize = 300;

/// How status displays name these settings.
fn settled(settings: &WrittenSettings) -> anyhow::Result<String> {
    Ok(GroupSettings::try_from(settings.clone())?.to_string())
}
