//! The commands of a script.

use std::time::Duration;

use mod_smart::certificate::VoteKind;
use mod_smart::{Limits, ReplicaId, View};

use crate::keys::GROUP;
use crate::name::Name;
use crate::node::CrashAt;

/// One line of a script that makes something happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `group 4 checkpoint=2`, or `group 5 weights=2-2-1-1-1`: the stage, always first. `chunks=3` makes a state so large;
    /// `pace=3` lets a leader be judged by so many instances.
    Group(Box<(View, Limits, usize)>),
    /// `request a 1..66 to 0,1`: clients send requests, to all replicas if nobody is named.
    Request(Vec<Name>, Option<Vec<ReplicaId>>),
    /// `deliver 0->*`, `deliver WRITE,ACCEPT all`: what waits on these links arrives.
    Deliver(Filter),
    /// `drop 0->3`: what waits on these links is lost.
    Drop(Filter),
    /// `cut 3`, `cut 0->3`: what is sent over these links from now on is lost.
    Cut(Links),
    /// `heal`: no link is cut any more.
    Heal,
    /// `crash 1`, `crash 1 after ACCEPT`, `crash 1 before ACCEPT`.
    Crash(ReplicaId, Option<CrashAt>),
    /// `restart 1`: from its disk.
    Restart(ReplicaId),
    /// `wipe 1`: the disk is lost, and the replica starts with an empty one.
    Wipe(ReplicaId),
    /// `liar 0`: replica 0 does nothing from now on but what the script says in its name.
    Liar(ReplicaId),
    /// `say 0->1,2 PROPOSE i1 e0 [a]`: somebody sends this, signed with the key of the sender.
    Say(Links, Speech),
    /// `replay 3->1 STOPDATA r1`: the last such message that travelled on this link arrives again.
    Replay(Links, String),
    /// `wait 400ms`: time passes, and no message arrives.
    Wait(Duration),
    /// `settle`: whatever waits on the links arrives, and what follows from it, until nothing is on its way.
    /// `settle 2s`: also the timers of so much time, and statements of standing.
    Settle(Option<Duration>),
    /// `show`, `show 1`: where the replicas stand.
    Show(Vec<ReplicaId>),
    /// `why`: for what reason those who left a regency, or asked for it, did so.
    Why,
    /// `settle briefly`: any command, and of what came of it only the outcome.
    Briefly(Box<Command>),
}

/// Which messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// `WRITE`, `STOPDATA`, or about one instance `WRITE/i3`; every kind but `STATUS` if none is named.
    pub kinds: Vec<String>,
    pub links: Links,
}

/// Which links: from some replicas to some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links(pub Vec<(Side, Side)>);

/// One end of links; `None` stands for everybody.
pub type Side = Option<Vec<ReplicaId>>;

/// What a liar can be made to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Speech {
    Propose {
        instance: u64,
        epoch: u64,
        batch: Vec<Name>,
    },
    Vote {
        kind: VoteKind,
        instance: u64,
        epoch: u64,
        batch: Vec<Name>,
    },
    Stop(u64),
    /// A STOPDATA that knows of nothing.
    StopData(u64),
    /// A SYNC of STOPDATA that were sent before, each named by its sender and its regency: `SYNC r2 0/r2 2/r2 3/r1`.
    Sync(u64, Vec<(ReplicaId, u64)>),
    /// A checkpoint vote for a state that nobody has.
    Checkpoint(u64),
    /// A chunk that is none.
    Chunk(u64, u32),
}

impl Links {
    /// Is this one of them?
    pub fn has(&self, from: ReplicaId, to: ReplicaId) -> bool {
        let is_in = |side: &Side, replica| side.as_ref().is_none_or(|side| side.contains(&replica));
        self.0.iter().any(|(a, b)| is_in(a, from) && is_in(b, to))
    }

    fn parse(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self(vec![(None, None)]));
        }
        match text.split_once("->") {
            Some((from, to)) => Ok(Self(vec![(side(from)?, side(to)?)])),
            None => Ok(Self(vec![(side(text)?, None), (None, side(text)?)])),
        }
    }
}

impl Command {
    /// Reads a line.
    pub fn parse(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [rest @ .., "briefly"] => Ok(Self::Briefly(Box::new(Self::parse(&rest.join(" "))?))),
            ["group", size, options @ ..] => group(size, options).map(|parts| Self::Group(Box::new(parts))),
            ["request", words @ .., "to", who] => Ok(Self::Request(names(words)?, side(who)?)),
            ["request", words @ ..] => Ok(Self::Request(names(words)?, None)),
            ["deliver", filter @ ..] => Ok(Self::Deliver(self::filter(filter)?)),
            ["drop", filter @ ..] => Ok(Self::Drop(self::filter(filter)?)),
            ["cut", links] => Ok(Self::Cut(Links::parse(links)?)),
            ["heal"] => Ok(Self::Heal),
            ["crash", who] => Ok(Self::Crash(replica(who)?, None)),
            ["crash", who, "after", record] => Ok(Self::Crash(replica(who)?, Some(CrashAt::After((*record).into())))),
            ["crash", who, "before", record] => Ok(Self::Crash(replica(who)?, Some(CrashAt::Before((*record).into())))),
            ["restart", who] => Ok(Self::Restart(replica(who)?)),
            ["wipe", who] => Ok(Self::Wipe(replica(who)?)),
            ["liar", who] => Ok(Self::Liar(replica(who)?)),
            ["say", links, speech @ ..] => Ok(Self::Say(Links::parse(links)?, Speech::parse(speech)?)),
            ["replay", links, message @ ..] => Ok(Self::Replay(Links::parse(links)?, message.join(" "))),
            ["wait", span] => Ok(Self::Wait(duration(span)?)),
            ["settle"] => Ok(Self::Settle(None)),
            ["settle", span] => Ok(Self::Settle(Some(duration(span)?))),
            ["why"] => Ok(Self::Why),
            ["show", who @ ..] => Ok(Self::Show(who.iter().map(|who| replica(who)).collect::<Result<_, _>>()?)),
            _ => Err(format!("no such command: {line}")),
        }
    }
}

impl Speech {
    fn parse(words: &[&str]) -> Result<Self, String> {
        match words {
            ["PROPOSE", i, e, batch @ ..] => {
                Ok(Self::Propose { instance: number('i', i)?, epoch: number('e', e)?, batch: self::batch(batch)? })
            }
            [kind @ ("WRITE" | "ACCEPT"), i, e, batch @ ..] => {
                let kind = if *kind == "WRITE" { VoteKind::Write } else { VoteKind::Accept };
                let (instance, epoch) = (number('i', i)?, number('e', e)?);
                Ok(Self::Vote { kind, instance, epoch, batch: self::batch(batch)? })
            }
            ["STOP", r] => Ok(Self::Stop(number('r', r)?)),
            ["STOPDATA", r] => Ok(Self::StopData(number('r', r)?)),
            ["SYNC", r, parts @ ..] => {
                let part = |part: &&str| {
                    let (sender, regency) = part.split_once('/').ok_or_else(|| format!("not SENDER/rN: {part}"))?;
                    Ok((replica(sender)?, number('r', regency)?))
                };
                Ok(Self::Sync(number('r', r)?, parts.iter().map(part).collect::<Result<_, String>>()?))
            }
            ["CHUNK", i, index] => Ok(Self::Chunk(number('i', i)?, number('#', index)? as u32)),
            ["CHECKPOINT", i] => Ok(Self::Checkpoint(number('i', i)?)),
            _ => Err(format!("nobody can say {}", words.join(" "))),
        }
    }
}

fn group(size: &str, options: &[&str]) -> Result<(View, Limits, usize), String> {
    let n: usize = size.parse().map_err(|_| format!("not a number of replicas: {size}"))?;
    let mut view = View::flat(GROUP, n).map_err(|error| error.to_string())?;
    let (mut limits, mut chunks) = (Limits::default(), 1);
    for option in options {
        let (name, value) = option.split_once('=').ok_or_else(|| format!("not name=value: {option}"))?;
        let count = || value.parse::<u64>().map_err(|_| format!("not a number: {value}"));
        match name {
            "weights" => view = weighted(n, value)?,
            "checkpoint" => limits.checkpoint_interval = count()?,
            "window" => limits.instances_open_max = count()?,
            "pace" => limits.pace_window = count()?,
            "batch" => limits.batch_requests_max = count()? as usize,
            "chunks" => chunks = count()? as usize,
            "tentative" => limits.tentative = value == "yes",
            _ => return Err(format!("a group has no {name}")),
        }
    }
    Ok((view, limits, chunks))
}

/// `2-2-1-1-1`: whoever weighs more than the last one is heavy.
fn weighted(n: usize, weights: &str) -> Result<View, String> {
    let weights: Vec<&str> = weights.split('-').collect();
    let heavy = (0..).zip(&weights).filter(|(_, weight)| Some(*weight) != weights.last()).map(|(at, _)| ReplicaId(at));
    let heavy: mod_smart::Voters = heavy.collect();
    let f = heavy.len() / 2;
    let delta = n.checked_sub(3 * f + 1).filter(|_| weights.len() == n).ok_or("weights do not fit the group")?;
    View::weighted(GROUP, f, delta, heavy).map_err(|error| error.to_string())
}

fn filter(words: &[&str]) -> Result<Filter, String> {
    match words {
        [links] => Ok(Filter { kinds: Vec::new(), links: Links::parse(links)? }),
        [kinds, links] => {
            Ok(Filter { kinds: kinds.split(',').map(str::to_owned).collect(), links: Links::parse(links)? })
        }
        _ => Err(format!("not [KINDS] LINKS: {}", words.join(" "))),
    }
}

fn side(text: &str) -> Result<Side, String> {
    if text == "*" { Ok(None) } else { text.split(',').map(replica).collect::<Result<_, _>>().map(Some) }
}

fn replica(text: &str) -> Result<ReplicaId, String> {
    text.parse().map(ReplicaId).map_err(|_| format!("not a replica: {text}"))
}

fn number(prefix: char, text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix(prefix).and_then(|digits| digits.parse().ok());
    digits.ok_or_else(|| format!("expected {prefix}N, found {text}"))
}

fn batch(words: &[&str]) -> Result<Vec<Name>, String> {
    let text = words.join(" ");
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    names(&inner.ok_or_else(|| format!("not a batch: {text}"))?.split_whitespace().collect::<Vec<_>>())
}

fn names(words: &[&str]) -> Result<Vec<Name>, String> {
    let names: Vec<Vec<Name>> = words.iter().map(|word| Name::parse(word)).collect::<Result<_, _>>()?;
    Ok(names.concat())
}

fn duration(text: &str) -> Result<Duration, String> {
    let parse = |digits: &str| digits.parse::<u64>().map_err(|_| format!("not a time: {text}"));
    match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(digits), _) => parse(digits).map(Duration::from_millis),
        (None, Some(digits)) => parse(digits).map(Duration::from_secs),
        (None, None) => Err(format!("a time ends with ms or s: {text}")),
    }
}
