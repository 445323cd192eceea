//! What is asked for on the command line ([`LoadgenArgs`]), and what it means ([`Plan`]).

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Parser;
use fabric_proto::ChannelId;
use orderer_node::client::STREAM_OUTSTANDING_MAX;

/// Load an ordering service with signed envelopes through Broadcast, receive its blocks through Deliver, and say what it cost.
#[derive(Clone, Debug, Parser)]
#[command(name = "loadgen", version)]
pub struct LoadgenArgs {
    /// The network.json of a running `orderer-node dev`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["endpoints", "unix_sockets", "tls_ca", "msp", "mspid", "channel"])]
    pub network: Option<PathBuf>,
    /// Any orderer; may be repeated
    #[arg(long = "endpoint", value_name = "HOST:PORT", requires_all = ["msp", "mspid", "channel"])]
    pub endpoints: Vec<String>,
    /// Any orderer that listens on a Unix socket; may be repeated
    #[arg(long = "unix", value_name = "PATH", requires_all = ["msp", "mspid", "channel"])]
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
    /// The channel
    #[arg(long, value_name = "NAME", value_parser = parse_channel)]
    pub channel: Option<ChannelId>,
    /// A process whose processor time is to be measured, besides those in network.json; may be repeated
    #[arg(long = "pid", value_name = "NAME=PID")]
    pub processes: Vec<NamedProcess>,
    /// Bytes of the payload's data
    #[arg(long, value_name = "BYTES", default_value_t = 200, value_parser = parse_size)]
    pub size: usize,
    /// Send so many envelopes after the warm-up
    #[arg(long, value_name = "N", conflicts_with = "seconds", value_parser = clap::value_parser!(u64).range(1..))]
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
    /// Closed loop: so many envelopes of each stream sent and not delivered [default: 50]
    #[arg(long, value_name = "N", value_parser = parse_outstanding)]
    pub outstanding: Option<NonZeroUsize>,
    /// Broadcast streams to each frontend, each on a connection of its own
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_streams)]
    pub streams: NonZeroUsize,
    /// Which frontends to send to: all, or the first N
    #[arg(long, value_name = "all|N", default_value = "all")]
    pub frontends: Frontends,
    /// Deliver streams; latencies are those of the first one
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_streams)]
    pub receivers: NonZeroUsize,
    /// Do not sign: every envelope carries the signature of the first
    #[arg(long)]
    pub unsigned: bool,
    /// Also write everything to a file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// A process by a name of the caller's choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedProcess {
    /// The name.
    pub name: String,
    /// Its number in the system.
    pub pid: u32,
}

/// Which frontends are sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frontends {
    /// All of them.
    All,
    /// So many, in the order in which they are known.
    First(NonZeroUsize),
}

/// When an envelope is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// When one of its stream has been delivered.
    ClosedLoop {
        /// Envelopes of a stream that are sent and not delivered.
        outstanding_per_stream: NonZeroUsize,
    },
    /// When it is due.
    OpenLoop {
        /// Envelopes per second, over all streams.
        rate_per_s: u32,
    },
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// So many envelopes.
    Count(u64),
    /// As many as go through in this time.
    For(Duration),
}

/// How envelopes are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signatures {
    /// Each by itself.
    Fresh,
    /// All with the signature of the first.
    Reused,
}

/// What the arguments mean, apart from whom they are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Bytes of the payload's data.
    pub data_bytes: usize,
    /// When an envelope is sent.
    pub pace: Pace,
    /// How much is measured.
    pub extent: Extent,
    /// What goes before.
    pub warmup: Duration,
    /// Broadcast streams to each frontend.
    pub streams_per_frontend: usize,
    /// Which frontends are sent to.
    pub frontends: Frontends,
    /// Deliver streams.
    pub receivers: usize,
    /// How envelopes are signed.
    pub signatures: Signatures,
}

/// Arguments that contradict each other, or what is there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgsError {
    /// Nobody to load.
    #[error(
        "whom to load? give --network DATA/network.json, or --endpoint HOST:PORT or --unix PATH with --msp, --mspid and --channel"
    )]
    NoTarget,
    /// More frontends asked for than known.
    #[error("--frontends {asked}: there are {known}")]
    Frontends {
        /// How many were asked for.
        asked: usize,
        /// How many there are.
        known: usize,
    },
}

impl LoadgenArgs {
    /// What they mean.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let outstanding_per_stream = self.outstanding.unwrap_or(OUTSTANDING_USUAL);
        let pace =
            self.rate.map_or(Pace::ClosedLoop { outstanding_per_stream }, |rate_per_s| Pace::OpenLoop { rate_per_s });
        let seconds = self.seconds.unwrap_or(SECONDS_USUAL);
        Plan {
            data_bytes: self.size,
            pace,
            extent: self.count.map_or(Extent::For(Duration::from_secs(seconds)), Extent::Count),
            warmup: Duration::from_secs(self.warmup),
            streams_per_frontend: self.streams.get(),
            frontends: self.frontends,
            receivers: self.receivers.get(),
            signatures: if self.unsigned { Signatures::Reused } else { Signatures::Fresh },
        }
    }
}

impl Frontends {
    /// How many of `known`.
    ///
    /// # Errors
    /// [`ArgsError::Frontends`].
    pub fn of(self, known: usize) -> Result<usize, ArgsError> {
        match self {
            Self::All => Ok(known),
            Self::First(asked) if asked.get() <= known => Ok(asked.get()),
            Self::First(asked) => Err(ArgsError::Frontends { asked: asked.get(), known }),
        }
    }
}

impl FromStr for Frontends {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("all", _) => Ok(Self::All),
            (_, Ok(count)) => Ok(Self::First(count)),
            _ => Err("neither `all` nor a number of frontends".to_owned()),
        }
    }
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
    parse_positive(text, STREAM_OUTSTANDING_MAX)
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

/// What four frontends with one stream each together keep under way then, 200 envelopes, fills blocks of 100.
const OUTSTANDING_USUAL: NonZeroUsize = NonZeroUsize::new(50).expect("not zero");
const SECONDS_USUAL: u64 = 10;
/// More than one machine can send.
const RATE_MAX: i64 = 1_000_000;
/// Far more than any channel takes.
const SIZE_MAX: usize = 64 << 20;
const STREAMS_MAX: usize = 10_000;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    fn parse(line: &str) -> Result<LoadgenArgs, clap::Error> {
        LoadgenArgs::try_parse_from(std::iter::once("loadgen").chain(line.split_ascii_whitespace()))
    }

    #[test]
    fn what_is_not_said_has_a_meaning() {
        let plan = parse("--network n.json").unwrap().plan();
        let expected = Plan {
            data_bytes: 200,
            pace: Pace::ClosedLoop { outstanding_per_stream: OUTSTANDING_USUAL },
            extent: Extent::For(Duration::from_secs(10)),
            warmup: Duration::from_secs(1),
            streams_per_frontend: 1,
            frontends: Frontends::All,
            receivers: 1,
            signatures: Signatures::Fresh,
        };
        assert_eq!(plan, expected);
    }

    #[test]
    fn what_is_said_is_done() {
        let line = "--network n.json --size 4096 --count 7 --warmup 0 --rate 300 --streams 2 --frontends 1 --receivers 3 --unsigned";
        let plan = parse(line).unwrap().plan();
        let expected = Plan {
            data_bytes: 4096,
            pace: Pace::OpenLoop { rate_per_s: 300 },
            extent: Extent::Count(7),
            warmup: Duration::ZERO,
            streams_per_frontend: 2,
            frontends: Frontends::First(NonZeroUsize::MIN),
            receivers: 3,
            signatures: Signatures::Reused,
        };
        assert_eq!(plan, expected);
        let any =
            parse("--endpoint a:1 --endpoint b:2 --unix s --tls-ca c --msp m --mspid Org1MSP --channel c --pid o=7")
                .unwrap();
        assert_eq!((any.endpoints.len(), any.unix_sockets.len()), (2, 1));
        assert_eq!(any.processes, [NamedProcess { name: "o".to_owned(), pid: 7 }]);
    }

    #[test]
    fn contradictions_are_refused() {
        for line in [
            "--network n --count 5 --for 5",
            "--network n --rate 5 --outstanding 5",
            "--network n --endpoint a:1 --msp m --mspid O --channel c",
            "--network n --unix s --msp m --mspid O --channel c",
            "--network n --channel c",
        ] {
            assert_eq!(parse(line).unwrap_err().kind(), ErrorKind::ArgumentConflict, "{line}");
        }
        for line in
            ["--endpoint a:1 --mspid O --channel c", "--endpoint a:1 --msp m --channel c", "--unix s --msp m --mspid O"]
        {
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
            "--outstanding 4097",
            "--streams 0",
            "--receivers 0",
            "--frontends 0",
            "--frontends some",
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

    #[test]
    fn more_frontends_than_there_are_is_an_error() {
        let frontends = |text: &str| text.parse::<Frontends>().unwrap();
        assert_eq!(frontends("all").of(4), Ok(4));
        assert_eq!(frontends("4").of(4), Ok(4));
        assert_eq!(frontends("1").of(4), Ok(1));
        let error = frontends("5").of(4).unwrap_err();
        assert_eq!(error.to_string(), "--frontends 5: there are 4");
    }
}
