//! What is to be done ([`Plan`]): the meaning of the arguments, apart from whom they are about.

use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use orderer_node::client::STREAM_OUTSTANDING_MAX;

use super::args::LoadgenArgs;
use super::mix::Mix;
use super::timeline::Event;

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
        /// How long it takes to reach that, from nothing; before the warm-up.
        ramp: Duration,
    },
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// So many envelopes.
    Count(u64),
    /// As many as go through in this time.
    For(Duration),
    /// What is in a file.
    File,
}

/// How envelopes are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signatures {
    /// Each by itself.
    Fresh,
    /// All with the signature of the first.
    Reused,
}

/// What is sent, and through what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Envelopes of a client, through Broadcast.
    Transactions {
        /// Bytes of the payload's data.
        data_bytes: usize,
        /// How they are signed.
        signatures: Signatures,
    },
    /// Envelopes from a file, through Broadcast.
    File,
    /// Unsigned ones, through frontends of this process.
    Opaque {
        /// Bytes of a whole envelope.
        envelope_bytes: usize,
    },
}

/// What the arguments mean, apart from whom they are about.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What is sent, and through what.
    pub content: Content,
    /// What else is sent among it.
    pub mix: Mix,
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
    /// Deliver streams of each channel.
    pub receivers: usize,
    /// From one tick of the time line to the next.
    pub tick: Duration,
    /// What is to be marked in the time line.
    pub events: Vec<Event>,
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
    /// More in flight than a stream takes.
    #[error("--outstanding {0}: a Broadcast stream takes {STREAM_OUTSTANDING_MAX} at most; use more --streams")]
    Outstanding(usize),
    /// A file is for one channel.
    #[error(
        "--from: the envelopes of a file are of one channel, and {0} channels are to be loaded; name one with --channel"
    )]
    Channels(usize),
}

impl LoadgenArgs {
    /// What they mean.
    ///
    /// # Errors
    /// They contradict each other.
    pub fn plan(&self) -> Result<Plan, ArgsError> {
        let content = match (self.opaque, &self.from) {
            (Some(envelope_bytes), _) => Content::Opaque { envelope_bytes },
            (None, Some(_)) => Content::File,
            (None, None) => Content::Transactions {
                data_bytes: self.size,
                signatures: if self.unsigned { Signatures::Reused } else { Signatures::Fresh },
            },
        };
        let is_direct = matches!(content, Content::Opaque { .. });
        let extent = match (self.count, self.seconds) {
            (Some(count), _) => Extent::Count(count),
            (None, None) if content == Content::File => Extent::File,
            (None, seconds) => Extent::For(Duration::from_secs(seconds.unwrap_or(SECONDS_USUAL))),
        };
        Ok(Plan {
            content,
            mix: self.mix.unwrap_or(Mix::PLAIN),
            pace: self.pace(is_direct)?,
            extent,
            warmup: Duration::from_secs(self.warmup),
            streams_per_frontend: self.streams.get(),
            frontends: self.frontends.unwrap_or(if is_direct { ONE_FRONTEND } else { Frontends::All }),
            receivers: self.receivers.unwrap_or(if is_direct { 0 } else { 1 }),
            tick: Duration::from_millis(self.tick_ms),
            events: self.events.clone(),
        })
    }

    fn pace(&self, is_direct: bool) -> Result<Pace, ArgsError> {
        if let Some(rate_per_s) = self.rate {
            return Ok(Pace::OpenLoop { rate_per_s, ramp: Duration::from_secs(self.ramp) });
        }
        let usual = if is_direct { OUTSTANDING_DIRECT_USUAL } else { OUTSTANDING_USUAL };
        let outstanding_per_stream = self.outstanding.unwrap_or(usual);
        if !is_direct && outstanding_per_stream.get() > STREAM_OUTSTANDING_MAX {
            return Err(ArgsError::Outstanding(outstanding_per_stream.get()));
        }
        Ok(Pace::ClosedLoop { outstanding_per_stream })
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

    /// How many frontends of this process, in front of so many nodes: `all` is one for each.
    #[must_use]
    pub const fn direct(self, nodes: usize) -> usize {
        match self {
            Self::All => nodes,
            Self::First(asked) => asked.get(),
        }
    }
}

impl FromStr for Frontends {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse::<NonZeroUsize>()) {
            ("all", _) => Ok(Self::All),
            (_, Ok(count)) if count.get() <= FRONTENDS_MAX => Ok(Self::First(count)),
            (_, Ok(_)) => Err(format!("more than {FRONTENDS_MAX}")),
            _ => Err("neither `all` nor a number of frontends".to_owned()),
        }
    }
}

const ONE_FRONTEND: Frontends = Frontends::First(NonZeroUsize::MIN);
/// What four frontends with one stream each together keep under way then, 200 envelopes, fills blocks of 100.
const OUTSTANDING_USUAL: NonZeroUsize = NonZeroUsize::new(50).expect("not zero");
/// Twenty blocks of 100: enough that a frontend of this process never waits for the nodes.
const OUTSTANDING_DIRECT_USUAL: NonZeroUsize = NonZeroUsize::new(2000).expect("not zero");
const SECONDS_USUAL: u64 = 10;
const FRONTENDS_MAX: usize = 1_000;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn plan(line: &str) -> Result<Plan, ArgsError> {
        let args = std::iter::once("loadgen").chain(line.split_ascii_whitespace());
        LoadgenArgs::try_parse_from(args).unwrap().plan()
    }

    fn usual() -> Plan {
        Plan {
            content: Content::Transactions { data_bytes: 200, signatures: Signatures::Fresh },
            mix: Mix::PLAIN,
            pace: Pace::ClosedLoop { outstanding_per_stream: OUTSTANDING_USUAL },
            extent: Extent::For(Duration::from_secs(10)),
            warmup: Duration::from_secs(1),
            streams_per_frontend: 1,
            frontends: Frontends::All,
            receivers: 1,
            tick: Duration::from_secs(1),
            events: Vec::new(),
        }
    }

    #[test]
    fn what_is_not_said_has_a_meaning() {
        assert_eq!(plan("--network n.json"), Ok(usual()));
        let direct = Plan {
            content: Content::Opaque { envelope_bytes: 40 },
            pace: Pace::ClosedLoop { outstanding_per_stream: OUTSTANDING_DIRECT_USUAL },
            frontends: ONE_FRONTEND,
            receivers: 0,
            ..usual()
        };
        assert_eq!(plan("--network n.json --opaque 40"), Ok(direct));
        let file = Plan { content: Content::File, extent: Extent::File, ..usual() };
        assert_eq!(plan("--network n.json --from f"), Ok(file));
    }

    #[test]
    fn what_is_said_is_done() {
        let line = "--network n.json --size 4096 -n 7 --warmup 0 --rate 300 --ramp 5 --streams 2 --frontends 1 --receivers 3 \
                    --tick-ms 100 --event 2.5=killed --mix signed=90,duplicate=10";
        let expected = Plan {
            content: Content::Transactions { data_bytes: 4096, signatures: Signatures::Fresh },
            mix: Mix { signed: 90, unsigned: 0, duplicate: 10 },
            pace: Pace::OpenLoop { rate_per_s: 300, ramp: Duration::from_secs(5) },
            extent: Extent::Count(7),
            warmup: Duration::ZERO,
            streams_per_frontend: 2,
            frontends: ONE_FRONTEND,
            receivers: 3,
            tick: Duration::from_millis(100),
            events: vec![Event { at_s: 2.5, what: "killed".to_owned() }],
        };
        assert_eq!(plan(line), Ok(expected));
    }

    #[test]
    fn a_stream_takes_only_so_much() {
        assert_eq!(plan("--network n --outstanding 4097"), Err(ArgsError::Outstanding(4097)));
        assert!(plan("--network n --outstanding 4096").is_ok());
        assert!(plan("--network n --outstanding 4097 --opaque 40").is_ok());
    }

    #[test]
    fn more_frontends_than_there_are_is_an_error() {
        let frontends = |text: &str| text.parse::<Frontends>().unwrap();
        assert_eq!(frontends("all").of(4), Ok(4));
        assert_eq!(frontends("4").of(4), Ok(4));
        assert_eq!(frontends("1").of(4), Ok(1));
        let error = frontends("5").of(4).unwrap_err();
        assert_eq!(error.to_string(), "--frontends 5: there are 4");
        assert_eq!((frontends("all").direct(4), frontends("5").direct(4)), (4, 5));
    }
}
