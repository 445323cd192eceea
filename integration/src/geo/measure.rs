//! One deployment under one load, as the command line describes it.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;

use super::args::{MeasureArgs, sites};
use super::deployment::{Deployment, Pattern};
use super::experiments::{Conditions, engine_of};
use super::finding::{Finding, distributions};
use super::floor::floor;
use super::matrix::Matrix;
use super::stats::{p50, percentile};
use super::world::{self, Load, Setup, Weather};
use crate::page::Table;

/// Measures it.
///
/// # Errors
/// The arguments make no sense, or the world went wrong.
pub fn measure(conditions: &Conditions, args: &MeasureArgs) -> anyhow::Result<Finding> {
    let matrix = args.place.matrix()?;
    let clients = args.place.client_sites(&matrix)?;
    let deployment = deployment(args, &matrix)?.with_signatures(args.signatures);
    let n = deployment.n();
    ensure!(args.signatures <= n, "{n} replicas cannot give {} signatures", args.signatures);
    let calm = Setup::calm(matrix.clone(), deployment.clone(), clients.clone());
    let setup = Setup {
        load: load(args, clients.len())?.unwrap_or(calm.load),
        envelope_bytes: args.bytes as usize,
        block_envelopes: args.block,
        window: conditions.window,
        bodies: args.bodies,
        engine: engine_of(&deployment),
        weather: if args.calm { Weather::CALM } else { conditions.weather },
        cost: conditions.cost,
        lasts: calm.warm_up + Duration::from_secs(args.seconds),
        seed: conditions.seed,
        ..calm
    };
    let outcome = world::run(&setup)?;
    let title = format!("{}, {} executions", deployment.describe(&matrix), deployment.pattern.name());
    let mut finding = Finding::new("measure", &title, "One deployment under one load.");
    let mut table = Table::new(&["Client", "Floor (ms)", "Requests", "p50 (ms)", "p90 (ms)", "p99 (ms)"]);
    let mut data = Vec::new();
    for (client, values) in clients.iter().zip(&outcome.latencies) {
        let floor = floor(&deployment, &matrix, *client, &[]).context("a group with a quorum")?;
        let [p50, p90, p99] = [p50(values), percentile(values, 0.9), percentile(values, 0.99)];
        let numbers = [floor, values.len() as f64, p50, p90, p99];
        let name = matrix.name(*client);
        let texts = numbers.iter().zip([1, 0, 1, 1, 1]).map(|(value, decimals)| format!("{value:.decimals$}"));
        table.rows.push([name.to_owned()].into_iter().chain(texts).collect());
        let n = values.len();
        data.push(
            json!({"client": name, "floor_ms": floor, "requests": n, "p50_ms": p50, "p90_ms": p90, "p99_ms": p99}),
        );
    }
    finding.tables.push(table);
    let series = clients.iter().zip(&outcome.latencies).map(|(client, values)| (matrix.name(*client), &values[..]));
    finding.charts.push(distributions("By client", series));
    finding.data = data.into();
    Ok(finding)
}

fn deployment(args: &MeasureArgs, matrix: &Matrix) -> anyhow::Result<Deployment> {
    let replicas = sites(matrix, &args.replicas)?;
    if args.heavy.is_empty() {
        return Ok(Deployment::flat(replicas, args.pattern));
    }
    let heavy = sites(matrix, &args.heavy)?;
    let place = |site| replicas.iter().position(|replica| *replica == site);
    let heavy: Option<Vec<usize>> = heavy.into_iter().map(place).collect();
    let heavy = heavy.context("a heavy site has no replica")?;
    let (least, heavy_expected) =
        if args.pattern == Pattern::Crash { (2 * args.f + 1, args.f) } else { (3 * args.f + 1, 2 * args.f) };
    ensure!(args.f >= 1 && replicas.len() >= least, "f = {} takes {least} replicas at least", args.f);
    ensure!(heavy.len() == heavy_expected, "f = {} takes exactly {heavy_expected} heavy replicas", args.f);
    Ok(Deployment::weighted(replicas, heavy, args.f, args.pattern))
}

/// None if clients take turns.
fn load(args: &MeasureArgs, clients: usize) -> anyhow::Result<Option<Load>> {
    if let Some(rate) = args.rate {
        ensure!((0.001..=1e6).contains(&rate), "--rate is within 0.001 to 1,000,000");
        return Ok(Some(Load::Open(rate / clients as f64)));
    }
    let Some(outstanding) = args.outstanding else { return Ok(None) };
    ensure!((1..=100_000).contains(&outstanding), "--outstanding is within 1 to 100,000");
    Ok(Some(Load::Closed(outstanding)))
}
