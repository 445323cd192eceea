//! Campaigns: what happens to four real nodes that are killed, stopped, wiped and starved, judged from outside.
//!
//! Each is one function with a plan. The test command runs it with a small plan, the `campaign` program with a large
//! one; both say what they measured. Whatever a campaign is about, at its end all nodes must have one chain, every
//! block of it verified, with everything in it that was acknowledged to a client, nothing twice and nothing that a client
//! ever saw otherwise.

mod absent;
mod args;
mod audit;
mod figures;
mod group;
mod hand_over;
mod killings;
mod leader;
mod quiet;
mod trace;
mod watch;
mod wiped;

use frontend_shim::group_settings::WrittenSettings;

use crate::material::Cutting;
use crate::network::Network;

pub use absent::{AbsentPlan, absent};
pub use args::CampaignArgs;
pub(crate) use audit::Audit;
pub use figures::Figures;
pub use hand_over::{HandOverPlan, hand_over};
pub use killings::{KillingsPlan, killings};
pub use leader::{LeaderFault, LeaderPlan, leader};
pub use quiet::{QuietPlan, quiet};
pub(crate) use watch::Watch;
pub use wiped::{WipedPlan, wiped};

/// Runs a campaign on a network of its own, which says what it saw if something is not as it should be.
async fn conduct(
    cutting: &Cutting,
    drive: impl AsyncFnOnce(&mut Network, &mut Figures) -> anyhow::Result<()>,
) -> anyhow::Result<Figures> {
    conduct_with(cutting, &WrittenSettings::default(), drive).await
}

/// The same with these settings of the group.
async fn conduct_with(
    cutting: &Cutting,
    settings: &WrittenSettings,
    drive: impl AsyncFnOnce(&mut Network, &mut Figures) -> anyhow::Result<()>,
) -> anyhow::Result<Figures> {
    let mut network = Network::start_with(cutting, settings).await?;
    let mut figures = Figures::under(cutting);
    let outcome = drive(&mut network, &mut figures).await;
    network.judged(outcome)?;
    Ok(figures)
}
