//! `wan latency`: what clients of each site wait, beside what messages cost at least.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use futures::future::try_join_all;

use super::args::LatencyArgs;
use super::layout::Layout;
use super::load::{Load, LoadPlan};
use super::network::{Door, Reign, WanNetwork};
use super::outcome::{LatencyOutcome, SiteLatency};
use super::write_json;
use crate::loadgen::Report;

/// Medians by site.
type Laboratory = BTreeMap<String, f64>;

/// Runs it.
///
/// # Errors
/// It cannot be measured.
pub(super) async fn run(args: &LatencyArgs) -> anyhow::Result<Vec<String>> {
    let layout = Layout::of(&args.setting)?;
    let laboratory = args.against.as_deref().map(read_laboratory).transpose()?.unwrap_or_default();
    let mut runs = Vec::new();
    let mut failures = Vec::new();
    let mut setting = String::new();
    for number in 1..=args.runs {
        eprintln!("run {number} of {}", args.runs);
        let (description, sites) = measure(args, &layout, &laboratory, &mut failures).await?;
        setting = description;
        runs.push(sites);
    }
    let outcome = LatencyOutcome { conditions: describe(args, &setting), sites: middle(runs) };
    print!("{}", table(&outcome));
    failures.extend(outcome.sites.iter().filter_map(|site| judge(site, args.within)));
    if let Some(file) = &args.json {
        write_json(&outcome, file)?;
    }
    Ok(failures)
}

/// One network, from beginning to end: how it is set up, and what was measured at each site.
async fn measure(
    args: &LatencyArgs,
    layout: &Layout,
    laboratory: &Laboratory,
    failures: &mut Vec<String>,
) -> anyhow::Result<(String, Vec<SiteLatency>)> {
    let block = if args.rate.is_some() { args.block } else { 1 };
    let network = WanNetwork::start(&args.setting, layout, block).await?;
    let (ids, doors) = (network.nodes.ids(), network.doors());
    let plan = LoadPlan {
        rate_per_s: args.rate.map(|rate| rate.div_ceil(doors.len() as u32)),
        payload_bytes: args.size,
        seconds: args.seconds,
        warmup_s: WARMUP_S,
        tick_ms: 1000,
    };
    let mut sites = Vec::new();
    let mut judged = |door: &Door, report: &Report, (before, after): (Reign, Reign)| {
        let place = layout.matrix.site(&door.site).context("a frontend is at a site of the matrix")?;
        failures.extend(report.failures.iter().map(|failure| format!("{}: {failure}", door.site)));
        sites.push(SiteLatency {
            site: door.site.clone(),
            leader: layout.names()[after.leader].to_owned(),
            regency_changes: after.regency - before.regency,
            latency: report.latency,
            acknowledgement: report.acknowledgement,
            floor_ms: layout.floor_ms(after.leader, place)?,
            laboratory_ms: laboratory.get(&door.site).copied(),
        });
        anyhow::Ok(())
    };
    tokio::time::sleep(SETTLE).await;
    if args.rate.is_some() {
        let before = network.reign(&ids).await?;
        let loads = doors.iter().map(|door| Load::start(door, &plan, network.folder()));
        let loads = loads.collect::<anyhow::Result<Vec<_>>>()?;
        let reports = try_join_all(loads.into_iter().map(Load::finish)).await?;
        let after = network.reign(&ids).await?;
        for (door, report) in doors.iter().zip(&reports) {
            judged(door, report, (before, after))?;
        }
        return Ok((network.description.clone(), sites));
    }
    for door in &doors {
        let before = network.reign(&ids).await?;
        let report = Load::start(door, &plan, network.folder())?.finish().await?;
        let after = network.reign(&ids).await?;
        judged(door, &report, (before, after))?;
        eprintln!("{}: p50 {:.1} ms", door.site, report.latency.p50_ms);
    }
    Ok((network.description.clone(), sites))
}

/// For each site the run with the middle median.
fn middle(runs: Vec<Vec<SiteLatency>>) -> Vec<SiteLatency> {
    let count = runs.first().map_or(0, Vec::len);
    let of_site = |at: usize| {
        let mut of_site: Vec<&SiteLatency> = runs.iter().filter_map(|run| run.get(at)).collect();
        of_site.sort_by(|one, other| one.latency.p50_ms.total_cmp(&other.latency.p50_ms));
        of_site.get(of_site.len() / 2).map(|middle| (*middle).clone())
    };
    (0..count).filter_map(of_site).collect()
}

fn describe(args: &LatencyArgs, setting: &str) -> String {
    let load = match args.rate {
        Some(rate) => format!("open loop at {rate} envelopes/s over all sites, blocks of {}", args.block),
        None => "closed loop, one envelope on its way, one site after the other, blocks of 1".to_owned(),
    };
    let LatencyArgs { size, seconds, runs, .. } = args;
    format!("{setting}; {load}, payload {size} B, {seconds} s, {runs} runs")
}

fn table(outcome: &LatencyOutcome) -> String {
    let mut text = format!("{}\n", outcome.conditions);
    text += &format!(
        "{:<14} {:<12} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10} {:>7}  {}\n",
        "site", "leader", "count", "p50 ms", "p90 ms", "p99 ms", "floor", "laboratory", "off %", "regency changes"
    );
    for site in &outcome.sites {
        let laboratory = site.laboratory_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"));
        let latency = &site.latency;
        text += &format!(
            "{:<14} {:<12} {:>8} {:>8.1} {:>8.1} {:>8.1} {:>8.1} {:>10} {:>7.1}  {}\n",
            site.site,
            site.leader,
            latency.count,
            latency.p50_ms,
            latency.p90_ms,
            latency.p99_ms,
            site.floor_ms,
            laboratory,
            site.off_percent(),
            site.regency_changes
        );
    }
    text
}

fn judge(site: &SiteLatency, within: Option<f64>) -> Option<String> {
    let off = site.off_percent();
    let (name, p50, expected) = (&site.site, site.latency.p50_ms, site.expected_ms());
    within
        .filter(|within| off.abs() > *within)
        .map(|_| format!("{name}: p50 {p50:.1} ms is {off:.1} % from {expected:.1} ms"))
}

fn read_laboratory(file: &Path) -> anyhow::Result<Laboratory> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not an object of sites and ms", file.display()))
}

const WARMUP_S: u64 = 3;
/// Links have just come to stand.
const SETTLE: Duration = Duration::from_secs(2);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::loadgen::Percentiles;

    fn site(p50_ms: f64, laboratory_ms: Option<f64>) -> SiteLatency {
        let latency = Percentiles { count: 9, p50_ms, ..Percentiles::default() };
        SiteLatency {
            site: "Oregon".to_owned(),
            leader: "Ireland".to_owned(),
            regency_changes: 0,
            latency,
            acknowledgement: latency,
            floor_ms: 400.0,
            laboratory_ms,
        }
    }

    #[test]
    fn the_middle_run_counts() {
        let runs = [420.0, 900.0, 410.0].map(|p50| vec![site(p50, None)]).to_vec();
        assert!((middle(runs)[0].latency.p50_ms - 420.0).abs() < 1e-9);
        assert!(middle(Vec::new()).is_empty());
    }

    #[test]
    fn a_median_is_judged_by_the_laboratory_or_else_by_the_floor() {
        assert_eq!(judge(&site(418.0, None), Some(5.0)), None);
        let error = judge(&site(424.0, Some(403.0)), Some(5.0)).unwrap();
        assert_eq!(error, "Oregon: p50 424.0 ms is 5.2 % from 403.0 ms");
        assert_eq!(judge(&site(9999.0, None), None), None);
        let text = table(&LatencyOutcome { conditions: "c".to_owned(), sites: vec![site(424.0, Some(403.0))] });
        assert!(text.contains("424.0") && text.contains("403.0") && text.contains("5.2"), "{text}");
    }
}
