//! What is asked for on the command line. [`LoadgenArgs::plan`] says what it means.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};
use fabric_proto::ChannelId;
use orderer_node::client::OUTSTANDING_MAX;

use super::mix::Mix;
use super::plan::Frontends;
use super::timeline::Event;

/// The whole command line: a load, or something else.
#[derive(Clone, Debug, Parser)]
#[command(name = "loadgen", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// Something else than a load.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// A load.
    #[command(flatten)]
    pub load: LoadgenArgs,
}

/// What else there is.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Sign envelopes and write them to a file, for --from
    Sign(SignArgs),
    /// Make one page of what one or several loads have written with --json
    Report(ReportArgs),
}

/// What to make a page of.
#[derive(Args, Clone, Debug)]
pub struct ReportArgs {
    /// What loads have written with --json
    #[arg(value_name = "RUN.json", required = true)]
    pub runs: Vec<PathBuf>,
    /// The page to write, HTML
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// What to sign.
#[derive(Args, Clone, Debug)]
pub struct SignArgs {
    /// The network.json of an `orderer-node dev`: its client and its channel
    #[arg(long, value_name = "FILE", conflicts_with_all = ["msp", "mspid"], required_unless_present = "msp")]
    pub network: Option<PathBuf>,
    /// The client's MSP folder
    #[arg(long, value_name = "DIR", requires_all = ["mspid", "channel"])]
    pub msp: Option<PathBuf>,
    /// The MSP ID of its organisation
    #[arg(long, value_name = "ID", requires = "msp")]
    pub mspid: Option<String>,
    /// The channel
    #[arg(long, value_name = "NAME", value_parser = parse_channel)]
    pub channel: Option<ChannelId>,
    /// Envelopes
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: u64,
    /// Bytes of the payload's data
    #[arg(long, value_name = "BYTES", default_value_t = 200, value_parser = parse_size)]
    pub size: usize,
    /// Do not sign: every envelope carries the signature of the first
    #[arg(long)]
    pub unsigned: bool,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// Load an ordering service with signed envelopes through Broadcast, receive its blocks through Deliver, and say what it cost
#[derive(Clone, Debug, Parser)]
#[command(name = "loadgen", version)]
pub struct LoadgenArgs {
    /// The network.json of a running `orderer-node dev`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["endpoints", "unix_sockets", "tls_ca", "msp", "mspid"])]
    pub network: Option<PathBuf>,
    /// Any orderer; may be repeated
    #[arg(long = "endpoint", value_name = "HOST:PORT", requires_all = ["msp", "mspid", "channels"])]
    pub endpoints: Vec<String>,
    /// Any orderer that listens on a Unix socket; may be repeated
    #[arg(long = "unix", value_name = "PATH", requires_all = ["msp", "mspid", "channels"])]
    pub unix_sockets: Vec<PathBuf>,
    /// Authorities of the endpoints' server certificates, PEM; without it they are spoken to in the clear
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// The client's MSP folder
    #[arg(long, value_name = "DIR")]
    pub msp: Option<PathBuf>,
    /// The MSP ID of its organisation
    #[arg(long, value_name = "ID")]
    pub mspid: Option<String>,
    /// A channel; may be repeated: the load is spread evenly. Of a network.json all, unless some are named
    #[arg(long = "channel", value_name = "NAME", value_parser = parse_channel)]
    pub channels: Vec<ChannelId>,
    /// A process whose processor time is to be measured, besides those in network.json; may be repeated
    #[arg(long = "pid", value_name = "NAME=PID")]
    pub processes: Vec<NamedProcess>,
    /// Bytes of the payload's data
    #[arg(long, value_name = "BYTES", default_value_t = 200, value_parser = parse_size)]
    pub size: usize,
    /// Be a frontend: send unsigned envelopes of so many bytes in all straight to the nodes, which must have
    /// `verification = "frontends"`
    #[arg(
        long,
        value_name = "BYTES",
        requires = "network",
        conflicts_with_all = ["endpoints", "unix_sockets", "size", "unsigned", "mix", "from"],
        value_parser = parse_opaque
    )]
    pub opaque: Option<usize>,
    /// Send what `loadgen sign` has written, to its end unless --count or --for say less
    #[arg(long, value_name = "FILE", conflicts_with_all = ["size", "unsigned"])]
    pub from: Option<PathBuf>,
    /// Shares in percent, as signed=90,unsigned=5,duplicate=5. Duplicates are sent again to another frontend
    #[arg(long, value_name = "SHARES", conflicts_with = "unsigned")]
    pub mix: Option<Mix>,
    /// Send so many envelopes after the warm-up
    #[arg(short = 'n', long, value_name = "N", conflicts_with = "seconds", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Measure for so long after the warm-up [default: 10]
    #[arg(long = "for", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: Option<u64>,
    /// Load without measuring for so long first
    #[arg(long, value_name = "SECONDS", default_value_t = 1)]
    pub warmup: u64,
    /// Open loop: so many envelopes per second, whatever becomes of the ones before
    #[arg(long, value_name = "R", conflicts_with = "outstanding", value_parser = clap::value_parser!(u32).range(1..=RATE_MAX))]
    pub rate: Option<u32>,
    /// Open loop: reach the rate in so long, in a straight line from nothing; the warm-up comes after it
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 0,
        requires = "rate",
        conflicts_with = "outstanding",
        value_parser = clap::value_parser!(u64).range(..=RAMP_MAX)
    )]
    pub ramp: u64,
    /// Open loop at several rates, one after the other, each measured by itself
    #[arg(
        long,
        value_name = "R,R,...",
        value_delimiter = ',',
        conflicts_with_all = ["rate", "outstanding", "from", "csv"],
        value_parser = clap::value_parser!(u32).range(1..=RATE_MAX)
    )]
    pub rates: Vec<u32>,
    /// Closed loop: so many envelopes of each stream sent and not delivered [default: 50; with --opaque 2000]
    #[arg(long, value_name = "N", value_parser = parse_outstanding)]
    pub outstanding: Option<NonZeroUsize>,
    /// Broadcast streams to each frontend, each on a connection of its own
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_streams)]
    pub streams: NonZeroUsize,
    /// Which frontends to send to: all, or the first N [default: all]; with --opaque how many to be [default: 1]
    #[arg(long, value_name = "all|N")]
    pub frontends: Option<Frontends>,
    /// Deliver streams of each channel; latencies are those of the first one [default: 1]. With --opaque they come besides the
    /// frontends, which measure [default: 0]
    #[arg(long, value_name = "N", value_parser = parse_receivers)]
    pub receivers: Option<usize>,
    /// Do not sign: every envelope carries the signature of the first
    #[arg(long)]
    pub unsigned: bool,
    /// From one tick of the time line to the next
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(10..=3_600_000))]
    pub tick_ms: u64,
    /// Mark something in the time line, so many seconds after the load began; may be repeated
    #[arg(long = "event", value_name = "SECONDS=TEXT", value_parser = parse_event)]
    pub events: Vec<Event>,
    /// Also write everything to a file, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Also write the time line to a file, as CSV
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
}

/// A process by a name of the caller's choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedProcess {
    /// The name.
    pub name: String,
    /// Its number in the system.
    pub pid: u32,
}

impl FromStr for NamedProcess {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, pid) =
            text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("not of the form NAME=PID")?;
        let pid = pid.parse().map_err(|_| format!("`{pid}` is not the number of a process"))?;
        Ok(Self { name: name.to_owned(), pid })
    }
}

fn parse_channel(text: &str) -> Result<ChannelId, String> {
    ChannelId::new(text).map_err(|error| error.to_string())
}

fn parse_size(text: &str) -> Result<usize, String> {
    parse_number(text, 0, SIZE_MAX)
}

fn parse_outstanding(text: &str) -> Result<NonZeroUsize, String> {
    parse_positive(text, OUTSTANDING_MAX)
}

fn parse_opaque(text: &str) -> Result<usize, String> {
    parse_number(text, 1, OPAQUE_MAX)
}

fn parse_receivers(text: &str) -> Result<usize, String> {
    parse_number(text, 1, STREAMS_MAX)
}

fn parse_event(text: &str) -> Result<Event, String> {
    let (seconds, what) = text.split_once('=').ok_or("not of the form SECONDS=TEXT")?;
    let at_s = seconds.parse().ok().filter(|at_s: &f64| at_s.is_finite() && *at_s >= 0.0);
    let at_s = at_s.ok_or_else(|| format!("`{seconds}` is not a number of seconds"))?;
    Ok(Event { at_s, what: what.to_owned() })
}

fn parse_streams(text: &str) -> Result<NonZeroUsize, String> {
    parse_positive(text, STREAMS_MAX)
}

fn parse_positive(text: &str, max: usize) -> Result<NonZeroUsize, String> {
    let number = parse_number(text, 1, max)?;
    NonZeroUsize::new(number).ok_or_else(|| "not positive".to_owned())
}

fn parse_number(text: &str, min: usize, max: usize) -> Result<usize, String> {
    let number = text.parse().map_err(|_| "not a number".to_owned())?;
    if (min..=max).contains(&number) { Ok(number) } else { Err(format!("not between {min} and {max}")) }
}

/// More than one machine can send.
const RATE_MAX: i64 = 1_000_000;
/// Far more than any channel takes.
const SIZE_MAX: usize = 64 << 20;
/// A tenth of the longest message: envelopes travel in bundles.
const OPAQUE_MAX: usize = 10 << 20;
const STREAMS_MAX: usize = 10_000;
const RAMP_MAX: u64 = 86_400;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    fn parse(line: &str) -> Result<LoadgenArgs, clap::Error> {
        LoadgenArgs::try_parse_from(std::iter::once("loadgen").chain(line.split_ascii_whitespace()))
    }

    #[test]
    fn any_orderer_may_be_named() {
        let any = parse(
            "--endpoint a:1 --endpoint b:2 --unix s --tls-ca c --msp m --mspid Org1MSP --channel c --channel d --pid o=7",
        )
        .unwrap();
        assert_eq!((any.endpoints.len(), any.unix_sockets.len(), any.channels.len()), (2, 1, 2));
        assert_eq!(any.processes, [NamedProcess { name: "o".to_owned(), pid: 7 }]);
        assert_eq!(parse("--network n --rates 500,1000,2000 --for 10 --ramp 2").unwrap().rates, [500, 1000, 2000]);
    }

    #[test]
    fn signing_is_a_command_of_its_own() {
        let cli = |line: &str| Cli::try_parse_from(std::iter::once("loadgen").chain(line.split_ascii_whitespace()));
        let parsed = cli("sign --network n -n 5 --size 40 --out f").unwrap();
        assert!(matches!(parsed.command, Some(Command::Sign(SignArgs { count: 5, size: 40, .. }))), "{parsed:?}");
        assert!(cli("sign --msp m --mspid O --channel c -n 5 --out f").is_ok());
        for line in [
            "sign -n 5 --out f",
            "sign --msp m --mspid O -n 5 --out f",
            "sign --network n --out f",
            "sign --network n -n 5",
        ] {
            assert_eq!(cli(line).unwrap_err().kind(), ErrorKind::MissingRequiredArgument, "{line}");
        }
        assert!(cli("--network n --for 5").unwrap().command.is_none());
    }

    #[test]
    fn contradictions_are_refused() {
        for line in [
            "--network n --count 5 --for 5",
            "--network n --rate 5 --outstanding 5",
            "--network n --endpoint a:1 --msp m --mspid O --channel c",
            "--network n --unix s --msp m --mspid O --channel c",
            "--endpoint a:1 --msp m --mspid O --channel c --opaque 40",
            "--network n --rate 5 --ramp 5 --outstanding 5",
            "--network n --opaque 40 --size 200",
            "--network n --opaque 40 --mix signed=100",
            "--network n --mix signed=100 --unsigned",
            "--network n --from f --size 5",
            "--network n --rates 5,6 --rate 5",
        ] {
            assert_eq!(parse(line).unwrap_err().kind(), ErrorKind::ArgumentConflict, "{line}");
        }
        for line in [
            "--endpoint a:1 --mspid O --channel c",
            "--endpoint a:1 --msp m --channel c",
            "--unix s --msp m --mspid O",
            "--opaque 40",
            "--network n --ramp 5",
        ] {
            assert_eq!(parse(line).unwrap_err().kind(), ErrorKind::MissingRequiredArgument, "{line}");
        }
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        for option in [
            "--size -1",
            "--size 99999999999",
            "--count 0",
            "--for 0",
            "--for x",
            "--rate 0",
            "--rate 1000001",
            "--outstanding 0",
            "--outstanding 200001",
            "--streams 0",
            "--receivers 0",
            "--frontends 0",
            "--frontends some",
            "--frontends 1001",
            "--opaque 0",
            "--mix signed=50",
            "--tick-ms 9",
            "--event x",
            "--event x=y",
            "--event -1=y",
            "--rates 5,x",
            "--ramp x",
            "--pid 7",
            "--pid =7",
            "--pid o=x",
        ] {
            let kind = parse(&format!("--network n {option}")).unwrap_err().kind();
            assert!(matches!(kind, ErrorKind::ValueValidation | ErrorKind::UnknownArgument), "{option}: {kind:?}");
        }
        let channel = parse("--endpoint a:1 --msp m --mspid O --channel Not_A_Name").unwrap_err();
        assert_eq!(channel.kind(), ErrorKind::ValueValidation);
    }
}
