//! A small deterministic world for the core: every message is bytes, every delay and loss comes from one seed.
#![allow(dead_code, unused_imports, clippy::unwrap_used, missing_docs, clippy::missing_panics_doc)]

mod disk;
mod keys;
mod shell;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use mod_smart::{
    Answer, Client, Digest, Event, FrontendId, GroupId, InstanceId, Limits, Message, Misbehaviour, Record, Recovered,
    Regency, Replica, ReplicaId, Request, RequestId, Sealed, Sequence, SessionId, Time, View,
};

pub use disk::{Checkpoint, Checkpoints, Delivered};
pub use keys::{Name, Names};
pub use shell::Said;

pub const GROUP: GroupId = GroupId([9; 32]);

pub struct Node {
    pub replica: Option<Replica>,
    pub journal: Vec<Record>,
    pub checkpoints: Checkpoints,
    pub delivered: Delivered,
    /// What was delivered tentatively beyond that.
    pub ahead: Delivered,
    pub reports: Vec<Misbehaviour>,
    /// How often it was started: what it said to itself before a crash does not arrive after it.
    life: u64,
    /// The last life of every other node that it heard of.
    lives: BTreeMap<ReplicaId, u64>,
    /// Everything it ever signed, whatever became of its disk.
    pub said: Said,
    /// Bytes that its application adds to its state. Whoever has another number has diverged.
    pub padding: usize,
    pub skips_checkpoints: bool,
    /// What becomes of the messages it sends, if it lies.
    pub lie: Option<fn(Message) -> Option<Message>>,
}

pub struct World {
    pub view: View,
    pub limits: Limits,
    pub now: Time,
    pub nodes: Vec<Node>,
    pub held: BTreeMap<Digest, BTreeSet<ReplicaId>>,
    /// Who delivered a history tentatively, by its last instance and its requests, and in which regencies.
    pub foretold: BTreeMap<(InstanceId, Vec<Digest>), BTreeMap<ReplicaId, Regency>>,
    /// How often a node took back what it had delivered tentatively.
    pub retractions: usize,
    pub answers: Vec<(ReplicaId, RequestId, Answer)>,
    pub loss_percent: u64,
    pub cut: BTreeSet<(ReplicaId, ReplicaId)>,
    /// Chunks that were sent, by who sent them.
    pub chunks_sent: BTreeMap<ReplicaId, usize>,
    queue: BTreeMap<(Time, u64), (ReplicaId, Packet)>,
    counter: u64,
    random: u64,
}

pub enum Packet {
    Bytes(ReplicaId, Bytes),
    /// The same in a certain life of its sender: a link gives nothing of an earlier one after something of a later one.
    Sent(ReplicaId, u64, Bytes),
    Request(Bytes),
    Connected(ReplicaId),
    /// What a node tells itself, in this life.
    Own(u64, Box<Own>),
}

pub enum Own {
    Loop(Sealed<Message>),
    CheckpointWritten(Checkpoint),
    StateWritten(Checkpoint, mod_smart::StableCheckpoint),
    StateInstalled(InstanceId),
    HandOver(Regency, ReplicaId),
}

impl World {
    /// A group in which everybody remembers that it is new.
    pub fn new(view: View, limits: Limits, seed: u64) -> Self {
        let mut world = Self::empty(view, limits, seed);
        for me in world.view.replicas() {
            world.nodes[me.index()].replica = Some(Replica::new(me, world.view.clone(), world.limits.clone()));
        }
        world
    }

    /// A group whose members were never started.
    pub fn empty(view: View, limits: Limits, seed: u64) -> Self {
        let node = |_| Node {
            replica: None,
            journal: Vec::new(),
            checkpoints: Checkpoints::default(),
            delivered: Vec::new(),
            ahead: Vec::new(),
            reports: Vec::new(),
            life: 0,
            lives: BTreeMap::new(),
            said: Said::default(),
            padding: 100,
            skips_checkpoints: false,
            lie: None,
        };
        Self {
            nodes: view.replicas().map(node).collect(),
            view,
            limits,
            now: Time(0),
            held: BTreeMap::new(),
            foretold: BTreeMap::new(),
            retractions: 0,
            answers: Vec::new(),
            loss_percent: 0,
            cut: BTreeSet::new(),
            chunks_sent: BTreeMap::new(),
            queue: BTreeMap::new(),
            counter: 0,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }

    pub fn flat(n: usize, seed: u64) -> Self {
        Self::new(View::flat(GROUP, n).unwrap(), Limits::default(), seed)
    }

    pub fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    pub fn request(client: u8, sequence: u64) -> Sealed<Request> {
        Self::request_in_session(client, 1, sequence)
    }

    pub fn request_in_session(client: u8, session: u64, sequence: u64) -> Sealed<Request> {
        let client = Client::Frontend(FrontendId([client; 32]));
        let id = RequestId { client, session: SessionId(session), sequence: Sequence(sequence) };
        Request { id, body: Bytes::from(format!("body {client} {session} {sequence}")) }.seal(GROUP, &Name(client))
    }

    /// A replica asks, as a client of its own, that the leader of this regency be followed by another.
    pub fn hand_over(client: u16, regency: u64, to: u16) -> Sealed<Request> {
        let client = Client::Replica(ReplicaId(client));
        let id = RequestId { client, session: SessionId(1 + regency), sequence: Sequence(1) };
        Request { id, body: Bytes::from(format!("hand over {regency} to {to}")) }.seal(GROUP, &Name(client))
    }

    /// A client sends a request to these replicas.
    pub fn submit_to(&mut self, request: &Sealed<Request>, replicas: impl IntoIterator<Item = u16>) {
        for to in replicas {
            self.post(ReplicaId(to), Packet::Request(request.bytes().clone()));
        }
    }

    pub fn submit(&mut self, request: &Sealed<Request>) {
        self.submit_to(request, 0..self.view.n() as u16);
    }

    pub fn post(&mut self, to: ReplicaId, packet: Packet) {
        let delay = Duration::from_micros(100 + self.random(2_000));
        self.counter += 1;
        self.queue.insert((self.now.after(delay), self.counter), (to, packet));
    }

    fn tell_itself(&mut self, me: ReplicaId, own: Own) {
        self.post(me, Packet::Own(self.nodes[me.index()].life, Box::new(own)));
    }

    pub fn node(&self, node: u16) -> &Node {
        &self.nodes[usize::from(node)]
    }

    pub fn replica(&self, node: u16) -> &Replica {
        self.node(node).replica.as_ref().unwrap()
    }

    /// Decisions as a node that keeps them gives them away.
    pub fn decisions(&self, node: u16, from: InstanceId, count: usize) -> Vec<mod_smart::message::DecidedBatch> {
        disk::read_decisions(&self.node(node).journal, from, count)
    }

    pub fn crash(&mut self, node: u16) {
        self.nodes[usize::from(node)].replica = None;
    }

    /// Starts a node from its newest checkpoint and its journal.
    pub fn restart(&mut self, node: u16) {
        let mut recovered = self.begin_life(node);
        let mut actions = Vec::new();
        for record in self.node(node).journal.clone() {
            let copy = Record::decode(record.encode()).unwrap();
            assert_eq!(copy, record, "a record survives its bytes");
            recovered.replay(copy, &mut actions).unwrap();
        }
        self.perform(ReplicaId(node), actions);
        let mut actions = Vec::new();
        let replica = recovered.finish(&mut actions);
        self.live(node, replica, actions);
    }

    /// Starts a node that finds no journal on its disk: it is new, or something was lost.
    pub fn start_silent(&mut self, node: u16) {
        let recovered = self.begin_life(node);
        self.nodes[usize::from(node)].journal.clear();
        self.nodes[usize::from(node)].said.forget();
        let nonce = 1 + self.random(u64::MAX - 1);
        let mut actions = Vec::new();
        let replica = recovered.finish_silent(nonce, &mut actions);
        self.live(node, replica, actions);
    }

    /// Everything on the disk of a node is gone.
    pub fn wipe(&mut self, node: u16) {
        self.crash(node);
        let me = &mut self.nodes[usize::from(node)];
        me.journal.clear();
        me.checkpoints = Checkpoints::default();
        for holders in self.held.values_mut() {
            holders.remove(&ReplicaId(node));
        }
    }

    fn begin_life(&mut self, node: u16) -> Recovered {
        let (view, limits) = (self.view.clone(), self.limits.clone());
        let me = &mut self.nodes[usize::from(node)];
        me.life += 1;
        let newest = me.checkpoints.newest();
        me.ahead.clear();
        me.delivered = newest.map(|newest| disk::restore(newest.application.clone())).unwrap_or_default();
        Recovered::new(ReplicaId(node), view, limits, me.checkpoints.restored()).unwrap()
    }

    fn live(&mut self, node: u16, replica: Replica, actions: Vec<mod_smart::Action>) {
        let me = ReplicaId(node);
        self.nodes[me.index()].replica = Some(replica);
        self.perform(me, actions);
        for peer in self.view.replicas().filter(|peer| *peer != me) {
            self.post(me, Packet::Connected(peer));
            self.post(peer, Packet::Connected(me));
        }
    }

    /// Runs for so long.
    pub fn run(&mut self, span: Duration) {
        self.run_until(span, |_| false);
    }

    /// Runs for so long, or until something is so. Says whether it became so.
    pub fn run_until(&mut self, span: Duration, is_so: impl Fn(&Self) -> bool) -> bool {
        let end = self.now.after(span);
        let mut steps = 0_u64;
        loop {
            if is_so(self) {
                return true;
            }
            steps += 1;
            assert!(steps < 5_000_000, "the world does not come to rest at {:?}", self.now);
            let packet = self.queue.first_key_value().map(|((at, _), _)| *at);
            let wake = self.nodes.iter().filter_map(|n| n.replica.as_ref()).map(Replica::deadline).min();
            let next = [packet, wake].into_iter().flatten().min().map(|at| at.max(self.now));
            let Some(next) = next.filter(|at| *at <= end) else {
                self.now = end;
                return false;
            };
            self.now = next;
            if packet.is_some_and(|at| at <= next) {
                let (_, (to, packet)) = self.queue.pop_first().unwrap();
                self.arrive(to, packet);
            } else {
                for id in self.view.clone().replicas() {
                    let due = self.nodes[id.index()].replica.as_ref().is_some_and(|r| r.deadline() <= next);
                    if due {
                        self.handle(id, Event::Wake);
                    }
                }
            }
        }
    }

    fn arrive(&mut self, to: ReplicaId, packet: Packet) {
        if self.nodes[to.index()].replica.is_none() {
            return;
        }
        let event = match packet {
            Packet::Sent(from, life, bytes) => {
                let last = self.nodes[to.index()].lives.entry(from).or_default();
                if life < *last {
                    return;
                }
                *last = life;
                return self.arrive(to, Packet::Bytes(from, bytes));
            }
            Packet::Bytes(from, bytes) => {
                Event::Message(Sealed::<Message>::open(bytes, from, &self.view, &Names).expect("only good bytes here"))
            }
            Packet::Request(bytes) => Event::Request(Sealed::<Request>::open(bytes, GROUP, &Names).unwrap()),
            Packet::Connected(peer) => Event::Connected(peer),
            Packet::Own(life, own) if life == self.nodes[to.index()].life => self.do_own(to, *own),
            Packet::Own(..) => return,
        };
        self.handle(to, event);
    }

    pub fn handle(&mut self, id: ReplicaId, event: Event) {
        let mut actions = Vec::new();
        let replica = self.nodes[id.index()].replica.as_mut().unwrap();
        replica.handle(self.now, event, &mut actions);
        replica.invariants().unwrap();
        self.perform(id, actions);
    }

    /// No two replicas delivered different batches for one instance, and nothing was delivered twice.
    pub fn check_safety(&self) {
        let mut decided: BTreeMap<InstanceId, &Vec<Digest>> = BTreeMap::new();
        for node in &self.nodes {
            let mut seen = BTreeSet::new();
            for (at, (instance, digests)) in node.delivered.iter().enumerate() {
                assert_eq!(instance.0, at as u64 + 1, "delivery is in order and without gaps");
                assert!(digests.iter().all(|digest| seen.insert(*digest)), "a request is delivered twice");
                assert_eq!(*decided.entry(*instance).or_insert(digests), digests, "a fork at {instance}");
            }
        }
    }

    /// A history that a quorum delivered tentatively, in whatever regencies, is the history: a peer that is shown the
    /// signatures of all of them sees no regency.
    pub fn check_finality(&self) {
        let longest = self.nodes.iter().map(|node| &node.delivered).max_by_key(|delivered| delivered.len()).unwrap();
        let history = |upto: InstanceId| longest.iter().take(upto.0 as usize).flat_map(|(_, digests)| digests.clone());
        for ((instance, foretold), by) in &self.foretold {
            let voters = by.keys().copied().collect();
            if self.view.is_quorum(voters) && instance.0 <= longest.len() as u64 {
                assert!(
                    history(*instance).eq(foretold.iter().copied()),
                    "{instance} was final, and is another: {by:?}"
                );
            }
        }
    }

    pub fn delivered(&self, node: u16) -> Vec<Digest> {
        self.nodes[usize::from(node)].delivered.iter().flat_map(|(_, digests)| digests.clone()).collect()
    }

    /// Everything that `f + 1` replicas promised to hold was delivered by all that run.
    pub fn check_promises(&self) {
        let any_correct = self.view.f() + 1;
        for (node, _) in self.nodes.iter().enumerate().filter(|(_, state)| state.replica.is_some()) {
            let delivered: BTreeSet<Digest> = self.delivered(node as u16).into_iter().collect();
            for (digest, holders) in &self.held {
                let promised = holders.len() >= any_correct;
                assert!(!promised || delivered.contains(digest), "replica {node} lacks {digest}");
            }
        }
    }
}
