//! Nothing happens for a long time under half the load that the network can carry, while another program takes a processor.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::Parser as _;

use super::audit::Audit;
use super::conduct;
use super::figures::Figures;
use super::group::Reign;
use crate::loadgen::{self, LoadgenArgs, Report};
use crate::material::{self, Cutting};
use crate::network::{CHANNEL, Network};
use crate::process::Process;
use crate::site::Site;

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct QuietPlan {
    /// For how long.
    pub time: Duration,
    /// For how long to measure what the network can carry.
    pub calibration: Duration,
}

/// Runs it.
///
/// # Errors
/// What is not as it should be: any change of regency.
pub async fn quiet(plan: &QuietPlan) -> anyhow::Result<Figures> {
    let cutting = Cutting { message_count_max: 100, ..Cutting::default() };
    conduct(&cutting, async |network, figures| drive(network, plan, figures).await).await
}

async fn drive(network: &mut Network, plan: &QuietPlan, figures: &mut Figures) -> anyhow::Result<()> {
    let ids = network.ids();
    let carried = load(network, plan.calibration, &[]).await?.rates.delivered_per_s;
    let half = (carried / 2.0) as u32;
    ensure!(half > 0, "the network carries nothing");
    let before = Reign::common(network, &ids, 0).await?;
    figures.note("full load", format!("{carried:.0} envelopes/s, regency {} behind it", before.regency));

    let (folder, mut shell) = (tempfile::tempdir()?, Command::new("sh"));
    shell.args(["-c", "while :; do :; done"]);
    let busy = Process::start("a program that is busy", &mut shell, &folder.path().join("busy.log"))?;
    let (rate, process) = (half.to_string(), format!("other={}", busy.id()));
    let half_load = ["--rate", &rate, "--pid", &process];
    let site: Site = (**network).clone();
    let watching = async {
        let since = Instant::now();
        loop {
            for &id in &ids {
                // A node that has no time to answer is asked again.
                if let Ok(now) = Reign::at(&site, id).await
                    && now != before
                {
                    bail!("after {:.1} s node {id} went from {before:?} to {now:?}", since.elapsed().as_secs_f64());
                }
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let report = tokio::select! {
        report = load(network, plan.time, &half_load) => report?,
        changed = watching => changed?,
    };
    drop(busy);
    let after = Reign::common(network, &ids, 0).await?;
    ensure!(after == before, "{before:?} became {after:?}");
    let audit = Audit::of(network, &ids).await?;

    let Report { rates, latency, nodes, counts, .. } = &report;
    figures.note("half load", format!("{half} envelopes/s for {:.0} s, open loop", report.window_s));
    let other = nodes.iter().find(|node| node.name == "other").context("the other program was measured")?;
    figures.note("the other program", format!("had {:.2} processors", other.processors));
    figures.note("delivered", format!("{:.0} envelopes/s, {:.0} blocks/s", rates.delivered_per_s, rates.blocks_per_s));
    let (p50, p99, most) = (latency.p50_ms, latency.p99_ms, latency.max_ms);
    figures.note("latency", format!("p50 {p50:.0} p99 {p99:.0} max {most:.0} ms"));
    figures.note("regency changes", "0");
    let (acknowledged, blocks) = (counts.acknowledged, audit.blocks());
    figures.note("acknowledged", format!("{acknowledged} envelopes, none lost, none twice, in {blocks} blocks"));
    ensure!(counts.refused == 0, "{} envelopes were refused", counts.refused);
    let least = f64::from(half) * LEAST_SHARE;
    ensure!(rates.delivered_per_s >= least, "only {:.0} envelopes/s were delivered", rates.delivered_per_s);
    Ok(())
}

/// Loads all nodes with the load generator: as much as they take, unless more is said.
async fn load(site: &Site, time: Duration, more: &[&str]) -> anyhow::Result<Report> {
    let (seconds, addresses) = (time.as_secs().max(1).to_string(), site.ids().into_iter().map(|id| site.address(id)));
    let (authority, msp) = (material::tls_authority(), material::user_msp());
    let mut line = vec!["loadgen".to_owned(), "--for".to_owned(), seconds];
    line.extend(addresses.flat_map(|address| ["--endpoint".to_owned(), address]));
    line.extend([
        "--tls-ca".to_owned(),
        authority.display().to_string(),
        "--msp".to_owned(),
        msp.display().to_string(),
    ]);
    line.extend(["--mspid", material::PEER_MSP_ID, "--channel", CHANNEL].map(str::to_owned));
    line.extend(more.iter().map(|word| (*word).to_owned()));
    let report = loadgen::run(&LoadgenArgs::try_parse_from(line)?).await?;
    ensure!(report.failures.is_empty(), "the load generator: {}", report.failures.join("; "));
    Ok(report)
}

/// What must be delivered of what was due.
const LEAST_SHARE: f64 = 0.95;
