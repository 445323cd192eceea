//! What can be asked of the laboratory on the command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::deployment::Pattern;
use super::experiments::Conditions;
use super::matrix::{Matrix, Site};
use super::plan::Goal;
use super::world::{Bodies, Cost, Weather};

/// What a request costs between continents: predicted, simulated, planned. Time is virtual.
#[derive(Clone, Debug, Parser)]
pub struct GeoArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: GeoCommand,
    /// Writes a page with tables and charts.
    #[arg(long, global = true, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Writes the figures for programs.
    #[arg(long, global = true, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// What the world is like.
    #[command(flatten)]
    pub world: WorldArgs,
}

/// What the laboratory can do.
#[derive(Clone, Debug, Subcommand)]
pub enum GeoCommand {
    /// Fewer communication steps (thesis 5.2.2).
    Steps,
    /// Fewer replies (thesis 5.2.3).
    Replies,
    /// Smaller quorums by a spare replica (thesis 5.2.4).
    Quorum,
    /// Where the leader is (thesis 5.2.5, table 5.6).
    Leader,
    /// WHEAT against BFT-SMaRt (table 5.8).
    Wheat,
    /// The ordering service at four frontends (thesis 6.2.8).
    Ordering,
    /// Where to put leader, weights and spare replicas.
    Plan(PlanArgs),
    /// One deployment under one load.
    Measure(MeasureArgs),
    /// Every experiment, and the plan on table 5.7.
    All,
}

/// What the world is like.
#[derive(Clone, Debug, Args)]
pub struct WorldArgs {
    /// All chance comes from here.
    #[arg(long, global = true, default_value_t = 1)]
    pub seed: u64,
    /// Requests of each client behind a figure with jitter.
    #[arg(long, global = true, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub requests: u32,
    /// Instances that may be open at once, where more than one may.
    #[arg(long, global = true, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=32))]
    pub window: u64,
    /// Of the deviations of the matrix, so much is there where there is jitter.
    #[arg(long, global = true, default_value_t = 1.0)]
    pub jitter: f64,
    /// Of all messages, so many are lost once, where there is jitter: 0.001 is one of a thousand.
    #[arg(long, global = true, default_value_t = 0.0)]
    pub loss: f64,
    /// Megabits a second that a place sends, where there is jitter.
    #[arg(long, global = true)]
    pub mbit: Option<f64>,
    /// Each direction takes half of its own round trip. Floors stay those of the mean of both.
    #[arg(long, global = true)]
    pub each_direction: bool,
    /// Work costs time, as measured on the machine of BENCHMARKS.md.
    #[arg(long, global = true)]
    pub cpu: bool,
    /// A sync of the disk takes so many microseconds.
    #[arg(long, global = true)]
    pub sync_us: Option<u64>,
}

/// Which distances, and where clients are.
#[derive(Clone, Debug, Args)]
pub struct PlaceArgs {
    /// A file of round trips (`site,A,B` and a line of milliseconds for each site), or `table-5.7`.
    #[arg(long, default_value = TABLE_5_7)]
    pub rtt: String,
    /// Sites with clients, with commas between them; every site if none is named.
    #[arg(long, value_delimiter = ',')]
    pub clients: Vec<String>,
}

/// One deployment under one load.
#[derive(Clone, Debug, Args)]
pub struct MeasureArgs {
    /// Distances and clients.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Sites of the replicas, with commas between them, the leader first.
    #[arg(long, value_delimiter = ',', required = true)]
    pub replicas: Vec<String>,
    /// Sites of the replicas whose votes weigh more; all weigh the same if none is named.
    #[arg(long, value_delimiter = ',')]
    pub heavy: Vec<String>,
    /// Which messages a request costs.
    #[arg(long, value_enum, default_value_t = Pattern::Tentative)]
    pub pattern: Pattern,
    /// How many replicas may fail, where votes weigh more; as many as the group tolerates otherwise.
    #[arg(long, default_value_t = 1)]
    pub f: usize,
    /// Each client has so many requests outstanding; one at a time of all clients if neither this nor a rate is said.
    #[arg(long, conflicts_with = "rate")]
    pub outstanding: Option<usize>,
    /// All clients together ask so often in a second, at random times.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Envelopes in a block.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub block: u32,
    /// Bytes of an envelope.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub bytes: u32,
    /// Virtual seconds that are measured.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub seconds: u64,
    /// Signatures that the channel wants of a block, if more than the heads of any quorum; one of type BFT wants 4 of 5.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub signatures: usize,
    /// Who sends the envelopes of a block.
    #[arg(long, value_enum, default_value_t = Bodies::Everybody)]
    pub bodies: Bodies,
    /// Without jitter, loss and bandwidth.
    #[arg(long)]
    pub calm: bool,
}

/// What the planner is asked.
#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    /// Distances and clients.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// How many replicas may fail.
    #[arg(long, default_value_t = 1)]
    pub f: usize,
    /// Spare replicas beyond what that needs.
    #[arg(long, default_value_t = 1)]
    pub delta: usize,
    /// What may go wrong with a replica.
    #[arg(long, value_enum, default_value_t = Mode::Bft)]
    pub mode: Mode,
    /// Blocks leave after decisions only: for channels that do not allow tentative signatures.
    #[arg(long, conflicts_with = "mode")]
    pub decided: bool,
    /// Signatures that the channel wants of a block, if more than the heads of any quorum; one of type BFT wants 4 of 5.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub signatures: usize,
    /// What is to be small.
    #[arg(long, value_enum, default_value_t = Goal::Mean)]
    pub goal: Goal,
}

/// What may go wrong with a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Anything: it may lie.
    Bft,
    /// It may stop.
    Cft,
}

/// The name of the matrix that is built in.
pub const TABLE_5_7: &str = "table-5.7";

impl WorldArgs {
    /// As experiments take it.
    ///
    /// # Errors
    /// A number makes no sense.
    pub fn conditions(&self) -> anyhow::Result<Conditions> {
        ensure!((0.0..=10.0).contains(&self.jitter), "--jitter is within 0 to 10");
        ensure!((0.0..=1.0).contains(&self.loss), "--loss is within 0 to 1");
        ensure!(self.mbit.is_none_or(|mbit| mbit > 0.0 && mbit.is_finite()), "--mbit is above 0");
        let cost = if self.cpu { Cost::measured() } else { Cost::default() };
        let sync = self.sync_us.map_or(cost.sync, Duration::from_micros);
        Ok(Conditions {
            weather: Weather {
                jitter: self.jitter,
                loss: self.loss,
                mbit: self.mbit,
                is_directed: self.each_direction,
            },
            cost: Cost { sync, ..cost },
            window: self.window,
            requests: self.requests,
            seed: self.seed,
        })
    }
}

impl PlaceArgs {
    /// The matrix.
    ///
    /// # Errors
    /// The file cannot be read or is none.
    pub fn matrix(&self) -> anyhow::Result<Matrix> {
        Matrix::find(&self.rtt)
    }

    /// Where clients are.
    ///
    /// # Errors
    /// A site is not in the matrix.
    pub fn client_sites(&self, matrix: &Matrix) -> anyhow::Result<Vec<Site>> {
        if self.clients.is_empty() { Ok(matrix.sites().collect()) } else { sites(matrix, &self.clients) }
    }
}

/// The sites of these names.
///
/// # Errors
/// Names what is in no matrix.
pub fn sites<T: AsRef<str>>(matrix: &Matrix, names: &[T]) -> anyhow::Result<Vec<Site>> {
    let known = || matrix.sites().map(|site| matrix.name(site)).collect::<Vec<_>>().join(", ");
    let site = |name: &str| matrix.site(name).with_context(|| format!("no site is called {name}: {}", known()));
    names.iter().map(|name| site(name.as_ref())).collect()
}

impl PlanArgs {
    /// Which messages a request costs.
    #[must_use]
    pub const fn pattern(&self) -> Pattern {
        match (self.mode, self.decided) {
            (Mode::Cft, _) => Pattern::Crash,
            (Mode::Bft, true) => Pattern::Standard,
            (Mode::Bft, false) => Pattern::Tentative,
        }
    }
}
