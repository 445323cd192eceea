//! `bench scale`: processor time per envelope per node against nodes, channels, receivers and the length of the chain.
//!
//! Each curve comes with a straight line through its points: flat, or linear with a slope that is said. All processes are real
//! and share this machine; what one of them waits for another is no processor time.

use serde::{Deserialize, Serialize};

use super::args::{PayloadKind, PointArgs, ScaleArgs, ScaleCurve};
use super::console::{columns, number};
use super::lan::conditions;
use super::load::{self, Extent, LoadPlan, Outcome};
use super::machine::MachineFacts;
use super::network::{DevProcess, NetworkPlan};
use super::numbers::Line;
use super::receivers::Receivers;
use super::table::SCHEMA;
use super::{html, write_json, write_text};

/// All curves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScaleReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What it ran on.
    pub machine: MachineFacts,
    /// What envelopes are, who checks them, what is on the disk when.
    pub conditions: String,
    /// Seconds of a point.
    pub seconds: u64,
    /// In the order in which they were measured.
    pub curves: Vec<Curve>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// What x is.
    pub against: String,
    /// What else holds for its points.
    pub conditions: String,
    /// By x.
    pub points: Vec<ScalePoint>,
    /// Through the points that could be measured; none through less than two.
    pub line: Option<Line>,
}

/// One measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScalePoint {
    /// How many.
    pub x: f64,
    /// Mean over the nodes, microseconds; none if it could not be measured.
    pub cpu_us_per_envelope: Option<f64>,
    /// Envelopes delivered a second.
    pub delivered_per_s: Option<f64>,
    /// What went wrong.
    pub failures: Vec<String>,
}

/// Measures the curves and says what came out. Gives whether every point could be measured.
///
/// # Errors
/// A file cannot be written.
pub(super) async fn run(args: &ScaleArgs) -> anyhow::Result<bool> {
    let mut curves = Vec::new();
    for curve in CURVES {
        if args.only.is_empty() || args.only.contains(&curve) {
            curves.push(measure(args, curve).await);
        }
    }
    let report = ScaleReport {
        schema: SCHEMA,
        machine: MachineFacts::this(),
        conditions: conditions(&args.point),
        seconds: args.point.seconds(),
        curves,
    };
    print!("{}", text(&report));
    if let Some(file) = &args.point.json {
        write_json(&report, file)?;
    }
    if let Some(file) = &args.point.html {
        write_text(&html::scale(&report), file)?;
    }
    let mut points = report.curves.iter().flat_map(|curve| &curve.points);
    Ok(points.all(|point| point.failures.is_empty()))
}

async fn measure(args: &ScaleArgs, curve: ScaleCurve) -> Curve {
    let mut points = Vec::new();
    // One network for all lengths: it grows.
    let mut growing = None;
    for &x in values(curve, args.point.quick) {
        eprintln!("{} {x}", against(curve));
        let outcome = match curve {
            ScaleCurve::Nodes => with_nodes(args, x).await,
            ScaleCurve::Channels => with_channels(args, x).await,
            ScaleCurve::Receivers => with_receivers(args, x).await,
            ScaleCurve::Ledger => with_ledger(args, x, &mut growing).await,
        };
        let mut point =
            ScalePoint { x: x as f64, cpu_us_per_envelope: None, delivered_per_s: None, failures: Vec::new() };
        match outcome {
            Ok(outcome) => {
                point.cpu_us_per_envelope = outcome.node_cost();
                point.delivered_per_s = Some(outcome.delivered_per_s());
                point.failures = outcome.report.failures;
            }
            Err(error) => point.failures.push(format!("{error:#}")),
        }
        points.push(point);
    }
    let line = fit(&points);
    Curve { against: against(curve).to_owned(), conditions: conditions_of(curve).to_owned(), points, line }
}

async fn with_nodes(args: &ScaleArgs, nodes: u64) -> anyhow::Result<Outcome> {
    let network = start(args, NetworkPlan { nodes: u16::try_from(nodes)?, ..args.point.network() }).await?;
    load_it(args, &network, Extent::Seconds(args.point.seconds())).await
}

async fn with_channels(args: &ScaleArgs, channels: u64) -> anyhow::Result<Outcome> {
    let network = start(args, NetworkPlan { channels: u16::try_from(channels)?, ..args.point.network() }).await?;
    load_it(args, &network, Extent::Seconds(args.point.seconds())).await
}

async fn with_receivers(args: &ScaleArgs, count: u64) -> anyhow::Result<Outcome> {
    let network = start(args, args.point.network()).await?;
    let receivers = Receivers::open(&network, usize::try_from(count)?).await?;
    let mut outcome = load_it(args, &network, Extent::Seconds(args.point.seconds())).await?;
    outcome.report.failures.extend(receivers.failure());
    Ok(outcome)
}

/// Lengthens the chain with blocks of one envelope until it has `blocks`, and measures then.
///
/// Whatever `--payload` says, envelopes are signed and go through a frontend that keeps its ledger: one in the load generator
/// would begin with an empty one each time, and fetch the whole chain first.
async fn with_ledger(args: &ScaleArgs, blocks: u64, growing: &mut Option<DevProcess>) -> anyhow::Result<Outcome> {
    let kept = ScaleArgs { point: PointArgs { payload: PayloadKind::Real, ..args.point.clone() }, ..args.clone() };
    let network = match growing {
        Some(network) => network,
        None => growing.insert(start(&kept, NetworkPlan { block_envelopes_max: 1, ..kept.point.network() }).await?),
    };
    let height = network.height().await?;
    if height < blocks {
        load_it(&kept, network, Extent::Count(blocks - height)).await?;
    }
    load_it(&kept, network, Extent::Seconds(args.point.seconds())).await
}

async fn start(args: &ScaleArgs, plan: NetworkPlan) -> anyhow::Result<DevProcess> {
    DevProcess::start(&plan, &args.point.place).await
}

async fn load_it(args: &ScaleArgs, network: &DevProcess, extent: Extent) -> anyhow::Result<Outcome> {
    let load = LoadPlan { extent, ..args.point.payload.busy_load(ENVELOPE_BYTES) };
    load::run(&network.target()?, &load, network.folder()).await
}

fn fit(points: &[ScalePoint]) -> Option<Line> {
    let measured = points.iter().filter(|point| point.failures.is_empty());
    let measured: Vec<_> = measured.filter_map(|point| Some((point.x, point.cpu_us_per_envelope?))).collect();
    Line::fit(&measured)
}

const fn values(curve: ScaleCurve, is_quick: bool) -> &'static [u64] {
    match (curve, is_quick) {
        (ScaleCurve::Nodes, true) => &[4, 7, 10],
        (ScaleCurve::Nodes, false) => &[4, 7, 10, 16, 31],
        (ScaleCurve::Channels, true) => &[1, 4, 16],
        (ScaleCurve::Channels, false) => &[1, 10, 30, 100],
        (ScaleCurve::Receivers, true) => &[1, 16, 64],
        (ScaleCurve::Receivers, false) => &[1, 10, 100, 300, 1000],
        (ScaleCurve::Ledger, true) => &[0, 5_000, 20_000],
        (ScaleCurve::Ledger, false) => &[0, 10_000, 100_000, 1_000_000],
    }
}

const fn against(curve: ScaleCurve) -> &'static str {
    match curve {
        ScaleCurve::Nodes => "nodes",
        ScaleCurve::Channels => "channels",
        ScaleCurve::Receivers => "receivers",
        ScaleCurve::Ledger => "blocks",
    }
}

const fn conditions_of(curve: ScaleCurve) -> &'static str {
    match curve {
        ScaleCurve::Nodes => "one channel, blocks of 100; a process for each node",
        ScaleCurve::Channels => "four nodes, blocks of 100, the load spread over all channels",
        ScaleCurve::Receivers => {
            "four nodes, blocks of 100; Deliver streams over TLS, spread over the nodes, besides the load's own"
        }
        ScaleCurve::Ledger => {
            "four nodes, signed envelopes in blocks of one, so that a chain is long soon; one frontend of its own; the chain has so many blocks before"
        }
    }
}

fn text(report: &ScaleReport) -> String {
    let mut text = format!("machine: {}\n{}; {} s a point\n", report.machine, report.conditions, report.seconds);
    for Curve { against, conditions, points, line } in &report.curves {
        text += &format!("\nagainst {against} ({conditions})\n");
        let header = [against.as_str(), "CPU us/envelope/node", "on the line", "envelopes/s"].map(str::to_owned);
        let or_none = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), number);
        let row = |point: &ScalePoint| {
            let on_line = or_none(line.map(|line| line.at(point.x)));
            [format!("{}", point.x), or_none(point.cpu_us_per_envelope), on_line, or_none(point.delivered_per_s)]
        };
        text += &columns(&std::iter::once(header).chain(points.iter().map(row)).collect::<Vec<_>>());
        text += &describe(*line, against);
        for (point, failure) in
            points.iter().flat_map(|point| point.failures.iter().map(move |failure| (point, failure)))
        {
            text += &format!("FAILED: {} {against}: {failure}\n", point.x);
        }
    }
    text
}

/// The slope for one more, or for a thousand more of what there are many of.
pub(super) fn describe(line: Option<Line>, against: &str) -> String {
    let Some(Line { slope, intercept, r_squared }) = line else { return "too few points for a line\n".to_owned() };
    let is_long = against == self::against(ScaleCurve::Ledger);
    let (slope, more) = if is_long { (1000.0 * slope, "1000 ") } else { (slope, "one of the ") };
    let (intercept, slope) = (number(intercept), number(slope));
    format!("line: {intercept} us + {slope} us for each {more}{against} (r^2 = {r_squared:.2})\n")
}

const CURVES: [ScaleCurve; 4] = [ScaleCurve::Nodes, ScaleCurve::Channels, ScaleCurve::Receivers, ScaleCurve::Ledger];
/// Small envelopes, which show what an envelope costs beside its bytes.
const ENVELOPE_BYTES: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn point(x: f64, cost: Option<f64>) -> ScalePoint {
        let failures = if cost.is_none() { vec!["no network".to_owned()] } else { Vec::new() };
        ScalePoint { x, cpu_us_per_envelope: cost, delivered_per_s: cost.map(|_| 1000.0), failures }
    }

    #[test]
    fn every_curve_has_points_enough_for_a_line_and_begins_where_quick_does() {
        for curve in CURVES {
            let (quick, full) = (values(curve, true), values(curve, false));
            assert!(quick.len() >= 3 && quick.is_sorted() && full.is_sorted(), "{curve:?}");
            assert_eq!(quick.first(), full.first(), "{curve:?}");
            assert!(quick.last() <= full.last(), "{curve:?}");
        }
    }

    #[test]
    fn the_line_goes_through_what_was_measured() {
        let points = [point(4.0, Some(10.0)), point(7.0, Some(16.0)), point(10.0, None)];
        let line = fit(&points);
        assert!(line.is_some_and(|line| (line.slope - 2.0).abs() < 1e-9), "{line:?}");
        assert_eq!(fit(&points[1..]), None);
    }

    #[test]
    fn a_curve_is_told_with_its_slope_and_what_failed() {
        let points = vec![point(0.0, Some(10.0)), point(1000.0, Some(12.0)), point(2000.0, None)];
        let curve =
            Curve { against: "blocks".to_owned(), conditions: "four nodes".to_owned(), line: fit(&points), points };
        let report = ScaleReport {
            schema: SCHEMA,
            machine: MachineFacts::default(),
            conditions: "unsigned".to_owned(),
            seconds: 3,
            curves: vec![curve],
        };
        let text = text(&report);
        for part in
            ["line: 10.0 us + 2.00 us for each 1000 blocks (r^2 = 1.00)", "FAILED: 2000 blocks: no network", "14.0"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
