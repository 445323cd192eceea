//! The stage: replicas, the links between them, and a clock that the script moves.
//!
//! A message waits on its link until the script lets it arrive. What a replica says to itself arrives at once, and so does
//! what its disk answers. Statements of standing (STATUS) wait aside, only the newest one of each link, until they are named.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use mod_smart::certificate::Vote;
use mod_smart::checkpoint::CheckpointVote;
use mod_smart::message::Propose;
use mod_smart::{
    Action, Digest, Epoch, Event, Evidence, InstanceId, Limits, Message, Recipients, Regency, Replica, ReplicaId,
    Request, Sealed, StopData, Sync, Time, View,
};

use crate::command::{Command, Filter, Links, Speech};
use crate::keys::{GROUP, Key, Keys};
use crate::name::Name;
use crate::node::Node;
use crate::notation::{Notation, replicas};
use crate::trace::{Cause, Scene, Step, Trace};

/// Everything there is.
#[derive(Debug)]
pub struct Stage {
    view: View,
    limits: Limits,
    now: Time,
    nodes: Vec<Node>,
    links: BTreeMap<Link, VecDeque<Parcel>>,
    statuses: BTreeMap<Link, Parcel>,
    cut: BTreeSet<Link>,
    /// Everything that was ever sent, for whoever repeats it.
    sent: Vec<(Link, Parcel)>,
    notation: Notation,
    trace: Trace,
}

type Link = (ReplicaId, ReplicaId);

/// A message on its way.
#[derive(Clone, Debug)]
struct Parcel {
    name: String,
    bytes: Bytes,
}

impl Parcel {
    /// Is it of one of these kinds? `WRITE`, or only the one about an instance: `WRITE/i3`.
    fn is(&self, kinds: &[String]) -> bool {
        let mut words = self.name.split(' ');
        let (kind, instance) = (words.next(), words.next());
        kinds.iter().any(|wanted| match wanted.split_once('/') {
            Some((name, about)) => kind == Some(name) && instance == Some(about),
            None => kind == Some(wanted.as_str()),
        })
    }
}

/// Enough for every script; a script that needs more does not come to rest.
const STEPS_MAX: usize = 20_000;

impl Stage {
    /// A group at the beginning of its life, with states of so many chunks.
    pub fn new(view: View, limits: Limits, chunks: usize) -> Self {
        let nodes = view.replicas().map(|me| Node::new(me, &view, &limits, chunks)).collect();
        let pairs = view.replicas().flat_map(|from| view.replicas().map(move |to| (from, to)));
        let links = pairs.filter(|(from, to)| from != to).map(|link| (link, VecDeque::new())).collect();
        Self {
            view,
            limits,
            now: Time(0),
            nodes,
            links,
            statuses: BTreeMap::new(),
            cut: BTreeSet::new(),
            sent: Vec::new(),
            notation: Notation::new(),
            trace: Trace::default(),
        }
    }

    /// Does what a command says. Returns what came of it, in lines.
    pub fn run(&mut self, command: Command) -> Result<Vec<String>, String> {
        if let Command::Briefly(command) = command {
            self.perform_command(*command)?;
            return Ok(std::mem::take(&mut self.trace).into_brief_lines());
        }
        self.perform_command(command)?;
        Ok(std::mem::take(&mut self.trace).into_lines())
    }

    fn perform_command(&mut self, command: Command) -> Result<(), String> {
        match command {
            Command::Briefly(_) => return Err("brief is brief enough".to_owned()),
            Command::Group(_) => return Err("a script has one group, in its first line".to_owned()),
            Command::Request(names, to) => self.submit(&names, to),
            Command::Deliver(filter) => drop(self.deliver(&filter)),
            Command::Drop(filter) => drop(self.take(&filter)),
            Command::Cut(links) => self.cut.extend(self.links.keys().filter(|(from, to)| links.has(*from, *to))),
            Command::Heal => self.cut.clear(),
            Command::Crash(who, None) | Command::Liar(who) => self.node(who).crash(),
            Command::Crash(who, at) => self.node(who).crash_at = at,
            Command::Restart(who) => self.restart(who),
            Command::Wipe(who) => self.wipe(who),
            Command::Say(links, speech) => self.say(&links, &speech)?,
            Command::Replay(links, name) => self.replay(&links, &name)?,
            Command::Wait(span) => self.wait(span),
            Command::Settle(span) => self.settle(span),
            Command::HandOver(regency, to) => {
                let running: Vec<_> =
                    self.nodes.iter().filter(|node| node.replica.is_some()).map(|node| node.me).collect();
                for who in running {
                    let cause = ("deliver", format!("the hand-over of r{regency} to {to}"));
                    self.handle(who, cause, Event::HandOver { regency: Regency(regency), to });
                }
            }
            Command::Show(who) => self.show(&who),
            Command::Why => self.tell_why(),
        }
        self.check_agreement();
        Ok(())
    }

    fn submit(&mut self, names: &[Name], to: Option<Vec<ReplicaId>>) {
        for name in names {
            let bytes = name.request().bytes().clone();
            for who in to.clone().unwrap_or_else(|| self.view.replicas().collect()) {
                let opened = Sealed::<Request>::open(bytes.clone(), GROUP, &Keys).expect("a client's own request");
                self.handle(who, ("hear", format!("request {name}")), Event::Request(opened));
            }
        }
    }

    /// What waits now arrives: one message of each link in turn. Says how many there were.
    fn deliver(&mut self, filter: &Filter) -> usize {
        let mut taken = self.take(filter);
        let count = taken.values().map(VecDeque::len).sum();
        while !taken.is_empty() {
            for ((from, to), parcels) in &mut taken {
                if let Some(parcel) = parcels.pop_front() {
                    self.arrive(*from, *to, parcel);
                }
            }
            taken.retain(|_, parcels| !parcels.is_empty());
        }
        count
    }

    fn take(&mut self, filter: &Filter) -> BTreeMap<Link, VecDeque<Parcel>> {
        let mut taken = BTreeMap::new();
        for (&(from, to), parcels) in &mut self.links {
            if filter.links.has(from, to) {
                let is_wanted = |parcel: &Parcel| filter.kinds.is_empty() || parcel.is(&filter.kinds);
                let (wanted, rest) = std::mem::take(parcels).into_iter().partition(is_wanted);
                *parcels = rest;
                taken.insert((from, to), wanted);
            }
        }
        let named: Vec<Link> =
            self.statuses.iter().filter(|(_, s)| s.is(&filter.kinds)).map(|(link, _)| *link).collect();
        for link in named.into_iter().filter(|(from, to)| filter.links.has(*from, *to)) {
            taken.entry(link).or_default().extend(self.statuses.remove(&link));
        }
        taken
    }

    fn arrive(&mut self, from: ReplicaId, to: ReplicaId, parcel: Parcel) {
        if self.node(to).replica.is_none() {
            return;
        }
        match Sealed::<Message>::open(parcel.bytes, from, &self.view, &Keys) {
            Ok(message) => self.handle(to, ("hear", format!("{} from {from}", parcel.name)), Event::Message(message)),
            Err(reject) => self.trace.note(to, ("refuse", format!("{} from {from}: {reject}", parcel.name))),
        }
    }

    fn handle(&mut self, who: ReplicaId, cause: Cause, event: Event) {
        let mut steps = Vec::new();
        let mut events = VecDeque::from([(cause, event)]);
        while let Some((cause, event)) = events.pop_front() {
            let now = self.now;
            let mut actions = Vec::new();
            let Some(replica) = self.node(who).replica.as_mut() else { break };
            replica.handle(now, event, &mut actions);
            replica.invariants().expect("the parts of a replica fit");
            let (effects, own) = self.perform(who, actions);
            steps.push(Step { cause, effects });
            events.extend(own);
        }
        self.trace.push(Scene { replica: who, steps });
    }

    /// Does what a replica wants done. Returns it in words, and what the replica hears at once because of it.
    fn perform(&mut self, who: ReplicaId, actions: Vec<Action>) -> (Vec<String>, Vec<(Cause, Event)>) {
        let done = self.nodes[who.index()].perform(actions, &mut self.notation);
        for (to, message) in done.sent {
            let parcel = Parcel { name: self.notation.message(&message), bytes: message.encode() };
            for peer in self.view.replicas().filter(|peer| *peer != who) {
                if matches!(to, Recipients::All | Recipients::Others) || to == Recipients::One(peer) {
                    self.post(who, peer, parcel.clone());
                }
            }
        }
        let mut cause = |event: &Event| match event {
            Event::Message(message) => ("hear", format!("its own {}", self.notation.message(message.value()))),
            Event::CheckpointTaken { instance, .. } => ("store", format!("checkpoint i{instance}")),
            _ => ("store", "the state".to_owned()),
        };
        (done.effects, done.own.into_iter().map(|event| (cause(&event), event)).collect())
    }

    fn post(&mut self, from: ReplicaId, to: ReplicaId, parcel: Parcel) {
        if self.cut.contains(&(from, to)) {
            return;
        }
        self.sent.push(((from, to), parcel.clone()));
        if parcel.name.starts_with("STATUS") {
            self.statuses.insert((from, to), parcel);
        } else {
            self.links.entry((from, to)).or_default().push_back(parcel);
        }
    }

    fn restart(&mut self, who: ReplicaId) {
        let (view, limits) = (self.view.clone(), self.limits.clone());
        let said = self.node(who).restart(&view, &limits);
        self.start(who, ("restart", String::new()), said);
    }

    fn wipe(&mut self, who: ReplicaId) {
        let (view, limits) = (self.view.clone(), self.limits.clone());
        let said = self.node(who).restart_empty(&view, &limits, 1);
        self.start(who, ("restart", "with an empty disk".to_owned()), said);
    }

    /// What the replica says first; then its links come up.
    fn start(&mut self, who: ReplicaId, cause: Cause, said: Vec<Action>) {
        let (effects, own) = self.perform(who, said);
        self.trace.push(Scene { replica: who, steps: vec![Step { cause, effects }] });
        for (cause, event) in own {
            self.handle(who, cause, event);
        }
        for peer in self.view.replicas().filter(|peer| *peer != who).collect::<Vec<_>>() {
            self.handle(who, ("connect", format!("to {peer}")), Event::Connected(peer));
            self.handle(peer, ("connect", format!("to {who}")), Event::Connected(who));
        }
    }

    fn say(&mut self, links: &Links, speech: &Speech) -> Result<(), String> {
        let pairs: Vec<Link> = self.links.keys().copied().filter(|(from, to)| links.has(*from, *to)).collect();
        for (from, to) in pairs {
            let message = match speech {
                Speech::Sync(regency, parts) => self.sync_of(*regency, parts, from)?,
                speech => speech.message(from),
            };
            let parcel = Parcel { name: self.notation.message(&message), bytes: message.encode() };
            self.post(from, to, parcel);
        }
        Ok(())
    }

    /// A SYNC as a liar puts it together: of STOPDATA that it was sent, whenever that was, and of one of its own that
    /// tells of nothing.
    fn sync_of(&self, regency: u64, parts: &[(ReplicaId, u64)], liar: ReplicaId) -> Result<Message, String> {
        let collect = |(sender, named): &(ReplicaId, u64)| {
            if *sender == liar {
                return Ok(nothing(*named).sign(GROUP, liar, &Key::vote(liar)));
            }
            let sent = self.sent.iter().rev().filter(|((from, _), _)| from == sender);
            let opened = sent.filter_map(|(_, parcel)| {
                Sealed::<Message>::open(parcel.bytes.clone(), *sender, &self.view, &Keys).ok()
            });
            let mut signed = opened.filter_map(|message| match message.value() {
                Message::StopData(signed) if signed.data.regency.0 == *named => Some(signed.clone()),
                _ => None,
            });
            signed.next().ok_or(format!("{sender} sent no STOPDATA r{named}"))
        };
        let collects = parts.iter().map(collect).collect::<Result<_, String>>()?;
        Ok(Message::Sync(Sync { regency: Regency(regency), collects }))
    }

    fn replay(&mut self, links: &Links, name: &str) -> Result<(), String> {
        let is_meant = |(link, parcel): &&(Link, Parcel)| links.has(link.0, link.1) && parcel.name.starts_with(name);
        let (link, parcel) = self.sent.iter().rev().find(is_meant).cloned().ok_or(format!("nobody sent {name}"))?;
        self.arrive(link.0, link.1, parcel);
        Ok(())
    }

    fn wait(&mut self, span: Duration) {
        let end = self.now.after(span);
        for _ in 0..STEPS_MAX {
            if !self.wake_next(end) {
                self.now = end;
                return;
            }
        }
        panic!("somebody wants to be woken for ever: {:?}", self.nodes);
    }

    /// Moves the clock to the next deadline, if there is one before `end`, and wakes whoever set it.
    fn wake_next(&mut self, end: Time) -> bool {
        let deadline = |node: &Node| node.replica.as_ref().map(Replica::deadline);
        let Some(next) = self.nodes.iter().filter_map(deadline).min().filter(|at| *at <= end) else { return false };
        self.now = self.now.max(next);
        for who in self.view.replicas() {
            if deadline(self.node(who)).is_some_and(|at| at <= self.now) {
                let at = Duration::from_nanos(self.now.0);
                self.handle(who, ("wake", format!("at {at:?}")), Event::Wake);
            }
        }
        true
    }

    fn settle(&mut self, span: Option<Duration>) {
        let everything = || Filter { kinds: Vec::new(), links: Links(vec![(None, None)]) };
        let end = self.now.after(span.unwrap_or_default());
        for _ in 0..STEPS_MAX {
            let statuses = Filter { kinds: vec!["STATUS".to_owned()], ..everything() };
            if self.deliver(&everything()) > 0 || span.is_some() && self.deliver(&statuses) > 0 {
                continue;
            }
            if span.is_none() || !self.wake_next(end) {
                self.now = end;
                return;
            }
        }
        panic!("the stage does not come to rest: {:?}", self.nodes);
    }

    fn show(&mut self, who: &[ReplicaId]) {
        let all: Vec<ReplicaId> = self.view.replicas().collect();
        for replica in if who.is_empty() { all } else { who.to_vec() } {
            let node = &self.nodes[replica.index()];
            let Some(core) = &node.replica else {
                self.trace.note(replica, ("stand", "aside, not running".to_owned()));
                continue;
            };
            let (regency, leader) = (core.regency(), core.leader());
            let (delivered, batch) = (core.delivered(), self.notation.requests(&node.delivered));
            let standing = format!("at i{delivered} [{batch}] in r{regency} under {leader}");
            self.trace.note(replica, ("stand", standing));
        }
    }

    fn tell_why(&mut self) {
        for node in &self.nodes {
            if let Some(reason) = node.replica.as_ref().and_then(Replica::last_stop_reason) {
                self.trace.note(node.me, ("stop", format!("because {reason}")));
            }
        }
    }

    /// Nobody delivered anything but the beginning of what the others delivered.
    fn check_agreement(&self) {
        for one in &self.nodes {
            for other in &self.nodes {
                let common = one.delivered.len().min(other.delivered.len());
                let is_equal = one.delivered[..common] == other.delivered[..common];
                assert!(is_equal, "a fork between {}", replicas(&[one.me, other.me]));
            }
        }
    }

    fn node(&mut self, who: ReplicaId) -> &mut Node {
        &mut self.nodes[who.index()]
    }
}

impl Speech {
    fn message(&self, from: ReplicaId) -> Message {
        let digests = |batch: &[Name]| batch.iter().map(|name| name.request().digest()).collect::<Vec<Digest>>();
        let key = Key::vote(from);
        match self {
            Self::Propose { instance, epoch, batch } => {
                let (instance, epoch) = (InstanceId(*instance), Epoch(*epoch));
                Message::Propose(Propose { instance, epoch, requests: digests(batch) })
            }
            Self::Vote { kind, instance, epoch, batch } => {
                let digest = Digest::of_batch(&digests(batch));
                let vote = Vote { kind: *kind, instance: InstanceId(*instance), epoch: Epoch(*epoch), digest };
                Message::Vote(vote.sign(GROUP, from, &key))
            }
            Self::Stop(regency) => Message::Stop(Regency(*regency)),
            Self::StopData(regency) => Message::StopData(nothing(*regency).sign(GROUP, from, &key)),
            Self::Sync(..) => unreachable!("needs what was sent before"),
            Self::Chunk(instance, index) => Message::Chunk(InstanceId(*instance), *index, Bytes::from_static(b"a lie")),
            Self::Checkpoint(instance) => {
                let vote = CheckpointVote { instance: InstanceId(*instance), digest: Digest([7; 32]) };
                Message::Checkpoint(vote.sign(GROUP, from, &key))
            }
        }
    }
}

const fn nothing(regency: u64) -> StopData {
    StopData { regency: Regency(regency), delivered: Evidence::Start, claims: Vec::new() }
}
