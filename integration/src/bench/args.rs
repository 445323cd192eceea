//! The command line of `bench`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Measure the ordering service: against its targets, as the thesis did, as it grows, and against itself.
#[derive(Clone, Debug, Parser)]
#[command(name = "bench", version)]
pub struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub command: Command,
}

/// What to measure.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// One row for each target, beside the stock orderer if FABRIC_BIN names the folder of Fabric's programs
    Targets(TargetsArgs),
    /// The LAN experiments of the thesis: signatures per second, and throughput over sizes, blocks, nodes and receivers
    Lan(LanArgs),
    /// Cost per envelope against nodes, channels, receivers and the length of the chain
    Scale(ScaleArgs),
    /// What has become worse since an earlier `bench targets`: exits with 1 if a cost per envelope has grown by more than 10 %
    Compare(CompareArgs),
}

/// Where networks live while they are measured.
#[derive(Args, Clone, Debug, Default)]
pub struct Place {
    /// Folder for journals and ledgers, on the disk to be measured [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Options of `bench targets`.
#[derive(Args, Clone, Debug)]
pub struct TargetsArgs {
    /// Only these rows, or the rows of this scenario; may be repeated
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// Runs of each, of which the median counts
    #[arg(long, value_name = "N", default_value_t = RUNS_USUAL, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub runs: u32,
    /// Seconds of a run; those of the whole system are six times as long
    #[arg(long, value_name = "SECONDS", default_value_t = SECONDS_USUAL, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// Consensus instances that may be open at once, in the rows of this service
    #[arg(long, value_name = "ALPHA", default_value_t = WINDOW_USUAL, value_parser = clap::value_parser!(u64).range(1..=32))]
    pub window: u64,
    /// Also what takes many minutes: the memory over ten million envelopes
    #[arg(long)]
    pub long: bool,
    /// Name the rows, and measure nothing
    #[arg(long)]
    pub list: bool,
    /// Also write the table to a file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Also write it as numbers between commas
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Also write a page to look at
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Where networks live.
    #[command(flatten)]
    pub place: Place,
}

/// How the points of a grid or a curve are measured.
#[derive(Args, Clone, Debug)]
pub struct PointArgs {
    /// Fewer and nearer points, three seconds each
    #[arg(long)]
    pub quick: bool,
    /// Seconds of a point [default: 10; with --quick 3]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: Option<u64>,
    /// What envelopes are
    #[arg(long, value_name = "KIND", value_enum, default_value_t)]
    pub payload: PayloadKind,
    /// Also write everything to a file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Also write a page to look at
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Consensus instances that may be open at once
    #[arg(long, value_name = "ALPHA", default_value_t = WINDOW_USUAL, value_parser = clap::value_parser!(u64).range(1..=32))]
    pub window: u64,
    /// Where networks live.
    #[command(flatten)]
    pub place: Place,
}

/// Options of `bench lan`.
#[derive(Args, Clone, Debug)]
pub struct LanArgs {
    /// How each point is measured.
    #[command(flatten)]
    pub point: PointArgs,
}

/// Options of `bench scale`.
#[derive(Args, Clone, Debug)]
pub struct ScaleArgs {
    /// Only these curves; may be repeated
    #[arg(long, value_name = "CURVE", value_enum)]
    pub only: Vec<ScaleCurve>,
    /// How each point is measured.
    #[command(flatten)]
    pub point: PointArgs,
}

impl PointArgs {
    /// Seconds of a point.
    #[must_use]
    pub fn seconds(&self) -> u64 {
        self.seconds.unwrap_or(if self.quick { 3 } else { 10 })
    }
}

/// Options of `bench compare`.
#[derive(Args, Clone, Debug)]
pub struct CompareArgs {
    /// What an earlier `bench targets --json` wrote
    #[arg(long, value_name = "FILE")]
    pub against: PathBuf,
    /// What a later one wrote; without it the same rows are measured now
    #[arg(long, value_name = "FILE")]
    pub with: Option<PathBuf>,
    /// Runs of each row, if they are measured now
    #[arg(long, value_name = "N", default_value_t = RUNS_USUAL, value_parser = clap::value_parser!(u32).range(1..=100), conflicts_with = "with")]
    pub runs: u32,
    /// Seconds of a run, if they are measured now
    #[arg(long, value_name = "SECONDS", default_value_t = SECONDS_USUAL, value_parser = clap::value_parser!(u64).range(1..=3600), conflicts_with = "with")]
    pub seconds: u64,
    /// Where networks live.
    #[command(flatten)]
    pub place: Place,
}

/// What envelopes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PayloadKind {
    /// Unsigned, of so many bytes in all, as in the thesis: the load generator is itself the frontend.
    #[default]
    Opaque,
    /// Signed by a client around a payload of so many bytes, and verified by the frontend alone.
    Real,
}

/// What a cost is drawn against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScaleCurve {
    /// How many nodes.
    Nodes,
    /// How many channels of the same nodes.
    Channels,
    /// How many Deliver streams.
    Receivers,
    /// How many blocks the chain has.
    Ledger,
}

impl Default for TargetsArgs {
    fn default() -> Self {
        Self {
            only: Vec::new(),
            runs: RUNS_USUAL,
            seconds: SECONDS_USUAL,
            window: WINDOW_USUAL,
            long: false,
            list: false,
            json: None,
            csv: None,
            html: None,
            place: Place::default(),
        }
    }
}

const RUNS_USUAL: u32 = 5;
const SECONDS_USUAL: u64 = 10;
/// The default of the service.
pub(super) const WINDOW_USUAL: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use frontend_shim::group_settings::GroupSettings;

    #[test]
    fn the_usual_window_is_that_of_the_service() {
        assert_eq!(WINDOW_USUAL, GroupSettings::default().window());
    }

    fn is_understood(line: &str) -> bool {
        BenchArgs::try_parse_from(std::iter::once("bench").chain(line.split_ascii_whitespace())).is_ok()
    }

    #[test]
    fn what_makes_sense_is_understood_and_nothing_else() {
        for line in [
            "targets",
            "targets --only idle --only latency --runs 1 --seconds 2 --json a --csv b --html c --dir /data",
            "targets --long --window 4",
            "lan --quick --json a --html b",
            "lan --payload real --window 16",
            "scale --only nodes --only ledger --html b",
            "compare --against a",
            "compare --against a --with b",
        ] {
            assert!(is_understood(line), "{line}");
        }
        for line in [
            "",
            "targets --runs 0",
            "targets --seconds 0",
            "scale --window 0",
            "lan --payload other",
            "scale --only weather",
            "compare",
            "compare --with b",
            "compare --against a --with b --runs 3",
        ] {
            assert!(!is_understood(line), "{line}");
        }
    }
}
