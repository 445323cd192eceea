//! What is asked for on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Real processes under emulated wide-area delays
#[derive(Clone, Debug, Parser)]
#[command(name = "wan", version)]
pub struct WanArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Measure what clients of each site wait for their envelopes
    Latency(LatencyArgs),
    /// Kill the node of the leader's site under load, then that of another, and see what clients of each site see
    Faults(FaultsArgs),
}

/// How the network is set up.
#[derive(Args, Clone, Debug)]
pub struct SettingArgs {
    /// Round-trip times: table-5.7, or a CSV file
    #[arg(long = "matrix", value_name = "MATRIX", default_value = "table-5.7")]
    pub matrix: String,
    /// The sites of the nodes; the first leads at the beginning [default: all of the matrix, in its order]
    #[arg(long, value_name = "SITE,...", value_delimiter = ',')]
    pub sites: Vec<String>,
    /// The sites of the frontends, each with clients [default: those of the nodes]
    #[arg(long, value_name = "SITE,...", value_delimiter = ',')]
    pub clients: Vec<String>,
    /// Delays vary, with the deviations of the matrix
    #[arg(long)]
    pub jitter: bool,
    /// What one process can send to another, in 10^6 bits per second [default: no bound]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub mbps: Option<u32>,
    /// Consensus instances open at once [default: the nodes' own]
    #[arg(long, value_name = "N")]
    pub window: Option<u16>,
    /// Replicas beyond 3f + 1, which weights make use of
    #[arg(long, value_name = "N", requires = "heavy")]
    pub delta: Option<u16>,
    /// Nodes of the larger weight, by their numbers from 1
    #[arg(long, value_name = "ID,...", value_delimiter = ',', requires = "delta")]
    pub heavy: Vec<u16>,
    /// Nodes that lead first, in this order, by their numbers
    #[arg(long, value_name = "ID,...", value_delimiter = ',')]
    pub leaders: Vec<u16>,
    /// Blocks are signed after the WRITE quorum
    #[arg(long)]
    pub tentative: bool,
    /// Who verifies the signatures of clients: full, or frontends
    #[arg(long, value_name = "WHO", default_value = "frontends")]
    pub verification: String,
    /// A further argument of `orderer-node dev`, as --dev=--log=warn; may be repeated
    #[arg(long = "dev", value_name = "ARGUMENT", allow_hyphen_values = true)]
    pub dev: Vec<String>,
    /// Where the networks live for as long as they run [default: the system's folder for temporary files]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// How latencies are measured.
#[derive(Args, Clone, Debug)]
pub struct LatencyArgs {
    /// The network.
    #[command(flatten)]
    pub setting: SettingArgs,
    /// Open loop at so many envelopes a second over all sites, in blocks of --block [default: closed loop, one site after the
    /// other with one envelope on its way, in blocks of one]
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: Option<u32>,
    /// Envelopes in a block, under --rate
    #[arg(long, value_name = "COUNT", default_value_t = 10, requires = "rate", value_parser = clap::value_parser!(u32).range(1..))]
    pub block: u32,
    /// Bytes of an envelope's payload
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    pub size: u32,
    /// Measure for so long: each site in closed loop, all of them in open loop
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: u64,
    /// How often; the run with the middle latency counts, for each site by itself
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=99))]
    pub runs: u16,
    /// Medians of the laboratory to print beside: a JSON object of sites and milliseconds
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// Fail if the median of a site is further from the laboratory's, or else from the floor
    #[arg(long, value_name = "PERCENT")]
    pub within: Option<f64>,
    /// Also write everything to a file, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// What happens to the network, and when.
#[derive(Args, Clone, Debug)]
pub struct FaultsArgs {
    /// The network.
    #[command(flatten)]
    pub setting: SettingArgs,
    /// Envelopes a second at each site
    #[arg(long, value_name = "R", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rate: u32,
    /// Envelopes in a block
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub block: u32,
    /// From one event to the next: kill, restart, kill, restart, end
    #[arg(long, value_name = "SECONDS", default_value_t = 36, value_parser = clap::value_parser!(u64).range(5..=3600))]
    pub step: u64,
    /// The site whose node is killed second [default: one of the heavy nodes, or the next that does not lead]
    #[arg(long, value_name = "SITE")]
    pub second: Option<String>,
    /// Longest time without a block that is allowed
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    pub outage_max: f64,
    /// The page to write, HTML
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Also write everything to a file, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}
