//! `bench lan`: the LAN experiments of the thesis (6.2.6 and 6.2.7).
//!
//! Figure 6.12 is how many signatures of blocks a machine makes. Figure 6.13 is throughput over sizes of envelopes, sizes of
//! blocks, nodes and receivers, under the bound of equation 6.1: no more than signatures times envelopes in a block, and no
//! more than can be ordered. Here all nodes share one machine, and each signs every block: a node's share of the signatures is
//! the machine's divided by the nodes. What can be ordered is measured with blocks so large that signing them is nothing.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::args::{LanArgs, PayloadKind, PointArgs};
use super::console::{columns, number};
use super::load::{self, Content, Extent, LoadPlan, Outcome, Pace};
use super::machine::MachineFacts;
use super::network::{DevProcess, NetworkPlan};
use super::receivers::Receivers;
use super::table::SCHEMA;
use super::{html, signing, write_json, write_text};

/// Both figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LanReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What it ran on.
    pub machine: MachineFacts,
    /// What envelopes are, who checks them, what is on the disk when.
    pub conditions: String,
    /// Seconds of a point.
    pub seconds: u64,
    /// Figure 6.12.
    pub signing: Vec<SigningPoint>,
    /// Figure 6.13.
    pub throughput: Vec<ThroughputPoint>,
}

/// A point of figure 6.12.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SigningPoint {
    /// Threads that sign.
    pub threads: usize,
    /// Envelopes in a block, of 1 KiB each.
    pub block_envelopes: usize,
    /// Signatures a second, of all threads together.
    pub signatures_per_s: f64,
}

/// A point of figure 6.13.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThroughputPoint {
    /// Nodes.
    pub nodes: u16,
    /// Envelopes in a block at most.
    pub block_envelopes: u32,
    /// Bytes of an envelope or, if it is signed, of its payload.
    pub envelope_bytes: usize,
    /// Deliver streams over TLS, besides the one that measures.
    pub receivers: usize,
    /// Envelopes delivered a second; none if it could not be measured.
    pub delivered_per_s: Option<f64>,
    /// Mean over the nodes, microseconds.
    pub cpu_us_per_envelope: Option<f64>,
    /// Equation 6.1; none where what can be ordered could not be measured.
    pub bound_per_s: Option<f64>,
    /// What went wrong.
    pub failures: Vec<String>,
}

/// What is gone through.
struct Grid {
    nodes: &'static [u16],
    blocks: &'static [u32],
    sizes: &'static [usize],
    receivers: &'static [usize],
    seconds: u64,
}

impl Grid {
    fn of(args: &LanArgs) -> Self {
        let seconds = args.point.seconds();
        if args.point.quick {
            return Self { nodes: &[4, 7], blocks: &[10, 100], sizes: &[40, 1024], receivers: &[1, 8], seconds };
        }
        Self {
            nodes: &[4, 7, 10],
            blocks: &[10, 100],
            sizes: &[40, 200, 1024, 4096],
            receivers: &[1, 2, 4, 8, 16, 32],
            seconds,
        }
    }
}

/// Measures both figures and says what came out. Gives whether every point could be measured.
///
/// # Errors
/// Signing fails, or a file cannot be written.
pub(super) async fn run(args: &LanArgs) -> anyhow::Result<bool> {
    let grid = Grid::of(args);
    let signing = tokio::task::block_in_place(|| signing_points(grid.seconds.min(3)))?;
    let best = signing.iter().filter(|point| point.block_envelopes == 10).map(|point| point.signatures_per_s);
    let signatures_per_s = best.fold(0.0, f64::max);
    let mut throughput = Vec::new();
    for &nodes in grid.nodes {
        let share = signatures_per_s / f64::from(nodes);
        let ordering = ordering_rates(args, &grid, nodes).await;
        for &block_envelopes in grid.blocks {
            throughput.extend(
                points(args, &grid, nodes, block_envelopes, |size| bound(share, block_envelopes, ordering(size))).await,
            );
        }
    }
    let report = LanReport {
        schema: SCHEMA,
        machine: MachineFacts::this(),
        conditions: conditions(&args.point),
        seconds: grid.seconds,
        signing,
        throughput,
    };
    print!("{}", text(&report));
    if let Some(file) = &args.point.json {
        write_json(&report, file)?;
    }
    if let Some(file) = &args.point.html {
        write_text(&html::lan(&report), file)?;
    }
    Ok(report.throughput.iter().all(|point| point.failures.is_empty()))
}

/// Equation 6.1.
fn bound(signatures_per_s: f64, block_envelopes: u32, ordering_per_s: Option<f64>) -> Option<f64> {
    Some(ordering_per_s?.min(signatures_per_s * f64::from(block_envelopes)))
}

fn signing_points(seconds: u64) -> anyhow::Result<Vec<SigningPoint>> {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let mut points = Vec::new();
    for block_envelopes in [10, 100] {
        // One thread more than there are processors shows where it ends.
        for threads in 1..=processors + 1 {
            let duration = Duration::from_secs(seconds);
            let signatures_per_s = signing::signatures_per_s(threads, block_envelopes, SIGNED_BYTES, duration)?;
            points.push(SigningPoint { threads, block_envelopes, signatures_per_s });
        }
    }
    Ok(points)
}

/// What so many nodes can order, by the size of envelopes.
async fn ordering_rates(args: &LanArgs, grid: &Grid, nodes: u16) -> impl Fn(usize) -> Option<f64> {
    let alone = Grid { receivers: &[0], ..*grid };
    let measured = points(args, &alone, nodes, ORDERING_BLOCK, |_| None).await;
    // A point in which not one block came in time says nothing about what can be ordered.
    move |size| measured.iter().find(|point| point.envelope_bytes == size)?.delivered_per_s.filter(|rate| *rate > 0.0)
}

/// All sizes and receivers on one network.
async fn points(
    args: &LanArgs,
    grid: &Grid,
    nodes: u16,
    block_envelopes: u32,
    bound_of: impl Fn(usize) -> Option<f64>,
) -> Vec<ThroughputPoint> {
    let plan = NetworkPlan { nodes, block_envelopes_max: block_envelopes, ..args.point.network() };
    let network = DevProcess::start(&plan, &args.point.place).await;
    let mut measured = Vec::new();
    for &envelope_bytes in grid.sizes {
        for &receivers in grid.receivers {
            eprintln!("n = {nodes}, blocks of {block_envelopes}, {envelope_bytes} B, {receivers} receivers");
            let outcome = match &network {
                Ok(network) => point(args, network, envelope_bytes, receivers, grid.seconds).await,
                Err(error) => Err(anyhow::anyhow!("{error:#}")),
            };
            let mut point = ThroughputPoint {
                nodes,
                block_envelopes,
                envelope_bytes,
                receivers,
                delivered_per_s: None,
                cpu_us_per_envelope: None,
                bound_per_s: bound_of(envelope_bytes),
                failures: Vec::new(),
            };
            match outcome {
                Ok(outcome) => {
                    point.delivered_per_s = Some(outcome.delivered_per_s());
                    point.cpu_us_per_envelope = outcome.node_cost();
                    point.failures = outcome.report.failures;
                }
                Err(error) => point.failures.push(format!("{error:#}")),
            }
            measured.push(point);
        }
    }
    measured
}

async fn point(
    args: &LanArgs,
    network: &DevProcess,
    bytes: usize,
    receivers: usize,
    seconds: u64,
) -> anyhow::Result<Outcome> {
    let receivers = Receivers::open(network, receivers).await?;
    let load = LoadPlan { extent: Extent::Seconds(seconds), ..args.point.payload.busy_load(bytes) };
    let mut outcome = load::run(&network.target()?, &load, network.folder()).await?;
    outcome.report.failures.extend(receivers.failure());
    Ok(outcome)
}

impl PayloadKind {
    /// A load under which nodes do not wait.
    pub(super) const fn busy_load(self, bytes: usize) -> LoadPlan {
        let (content, streams, outstanding) = match self {
            Self::Opaque => (Content::Opaque(bytes), 1, OPAQUE_OUTSTANDING),
            Self::Real => (Content::Real(bytes), REAL_STREAMS, REAL_OUTSTANDING),
        };
        LoadPlan { content, streams, pace: Pace::Outstanding(outstanding), ..LoadPlan::USUAL }
    }
}

impl PointArgs {
    /// The network for it. Who verifies signed envelopes is no node, whose cost would fall with the number of nodes.
    pub(super) const fn network(&self) -> NetworkPlan {
        let frontends = match self.payload {
            PayloadKind::Opaque => NetworkPlan::USUAL.frontends,
            PayloadKind::Real => 1,
        };
        NetworkPlan { frontends, window: self.window, ..NetworkPlan::USUAL }
    }
}

/// What holds for every point.
pub(super) fn conditions(point: &PointArgs) -> String {
    let envelopes = match point.payload {
        PayloadKind::Opaque => "unsigned envelopes, submitted by the load generator as a frontend of its own",
        PayloadKind::Real => "envelopes signed by a client, verified by one frontend that is a process of its own",
    };
    let window = point.window;
    format!(
        "{envelopes}; window alpha {window}; journals synced to disk; all nodes, the load and the receivers on this machine"
    )
}

fn text(report: &LanReport) -> String {
    let mut text = format!("machine: {}\n{}; {} s a point\n\n", report.machine, report.conditions, report.seconds);
    text += "figure 6.12: signatures of blocks\n";
    let header = ["threads", "envelopes in a block", "signatures/s"].map(str::to_owned);
    let line = |point: &SigningPoint| {
        [point.threads.to_string(), point.block_envelopes.to_string(), number(point.signatures_per_s)]
    };
    text += &columns(&std::iter::once(header).chain(report.signing.iter().map(line)).collect::<Vec<_>>());
    text += "\nfigure 6.13: throughput\n";
    let header = ["nodes", "block", "bytes", "receivers", "envelopes/s", "bound (6.1)", "CPU us/envelope/node"]
        .map(str::to_owned);
    let or_none = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), number);
    let line = |point: &ThroughputPoint| {
        [
            point.nodes.to_string(),
            point.block_envelopes.to_string(),
            point.envelope_bytes.to_string(),
            point.receivers.to_string(),
            or_none(point.delivered_per_s),
            or_none(point.bound_per_s),
            or_none(point.cpu_us_per_envelope),
        ]
    };
    text += &columns(&std::iter::once(header).chain(report.throughput.iter().map(line)).collect::<Vec<_>>());
    for point in &report.throughput {
        for failure in &point.failures {
            let ThroughputPoint { nodes, block_envelopes, envelope_bytes, receivers, .. } = point;
            text += &format!(
                "FAILED: n = {nodes}, blocks of {block_envelopes}, {envelope_bytes} B, {receivers} receivers: {failure}\n"
            );
        }
    }
    text
}

/// Of an envelope in a block that is signed; signing costs the same whatever it is, hashing hardly more.
const SIGNED_BYTES: usize = 1024;
/// Envelopes of a block whose signature is nothing beside them.
const ORDERING_BLOCK: u32 = 400;
const OPAQUE_OUTSTANDING: usize = 4000;
const REAL_STREAMS: usize = 4;
const REAL_OUTSTANDING: usize = 500;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::Parser as _;

    use super::super::args::{BenchArgs, Command};
    use super::*;

    fn grid(line: &str) -> Grid {
        let args = BenchArgs::try_parse_from(["bench", "lan"].into_iter().chain(line.split_ascii_whitespace()));
        let Command::Lan(args) = args.unwrap().command else { panic!("{line}") };
        Grid::of(&args)
    }

    #[test]
    fn the_grid_is_that_of_the_thesis_and_quick_a_part_of_it() {
        let (full, quick) = (grid(""), grid("--quick"));
        assert_eq!(
            (full.nodes, full.blocks, full.sizes),
            (&[4, 7, 10][..], &[10, 100][..], &[40, 200, 1024, 4096][..])
        );
        assert_eq!((full.receivers, full.seconds, quick.seconds), (&[1, 2, 4, 8, 16, 32][..], 10, 3));
        assert!(quick.nodes.iter().all(|nodes| full.nodes.contains(nodes)));
        assert!(quick.sizes.iter().all(|size| full.sizes.contains(size)));
        assert_eq!(grid("--quick --seconds 7").seconds, 7);
    }

    #[test]
    fn equation_6_1_is_the_lesser_of_both() {
        assert_eq!(bound(2000.0, 10, Some(50_000.0)), Some(20_000.0));
        assert_eq!(bound(2000.0, 100, Some(50_000.0)), Some(50_000.0));
        assert_eq!(bound(2000.0, 100, None), None);
    }

    #[test]
    fn points_without_figures_are_told_with_the_reason() {
        let point = ThroughputPoint {
            nodes: 4,
            block_envelopes: 10,
            envelope_bytes: 40,
            receivers: 32,
            delivered_per_s: None,
            cpu_us_per_envelope: None,
            bound_per_s: Some(123.0),
            failures: vec!["no network".to_owned()],
        };
        let report = LanReport {
            schema: SCHEMA,
            machine: MachineFacts::default(),
            conditions: "unsigned".to_owned(),
            seconds: 3,
            signing: vec![SigningPoint { threads: 2, block_envelopes: 10, signatures_per_s: 61_234.0 }],
            throughput: vec![point],
        };
        let text = text(&report);
        for part in ["61234", "none", "123", "FAILED: n = 4, blocks of 10, 40 B, 32 receivers: no network"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
