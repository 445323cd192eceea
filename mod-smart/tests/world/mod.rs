//! A small deterministic world for the core: every message is bytes, every delay and loss comes from one seed.
#![allow(dead_code, clippy::type_complexity, clippy::unwrap_used, missing_docs, clippy::missing_panics_doc)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use mod_smart::message::DecidedBatch;
use mod_smart::{
    Action, Answer, Client, Digest, Event, FrontendId, GroupId, InstanceId, Keyring, Limits, Message, Misbehaviour,
    Recipients, Record, Recovered, Replica, ReplicaId, Request, RequestId, Sealed, Sequence, SessionId, Signature,
    Signer, Time, View,
};
use sha2::Digest as _;

pub const GROUP: GroupId = GroupId([9; 32]);

/// Signs with a hash of the name: enough to tell who signed, and nobody here forges on purpose.
#[derive(Clone, Copy)]
pub struct Name(pub Client);

impl Signer for Name {
    fn sign(&self, message: &[u8]) -> Signature {
        let mut hash = sha2::Sha256::new();
        hash.update(format!("{:?}", self.0));
        hash.update(message);
        let half: [u8; 32] = hash.finalize().into();
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&half);
        Signature(signature)
    }
}

pub struct Names;

impl Keyring for Names {
    fn verify_replica(&self, replica: ReplicaId, message: &[u8], signature: &Signature) -> bool {
        Name(Client::Replica(replica)).sign(message) == *signature
    }

    fn verify_client(&self, client: Client, message: &[u8], signature: &Signature) -> bool {
        Name(client).sign(message) == *signature
    }
}

pub struct Node {
    pub replica: Option<Replica>,
    pub journal: Vec<Record>,
    pub checkpoint: Option<(InstanceId, Bytes, Vec<(InstanceId, Vec<Digest>)>)>,
    pub delivered: Vec<(InstanceId, Vec<Digest>)>,
    pub reports: Vec<Misbehaviour>,
}

pub struct World {
    pub view: View,
    pub limits: Limits,
    pub now: Time,
    pub nodes: Vec<Node>,
    pub held: BTreeMap<Digest, BTreeSet<ReplicaId>>,
    pub answers: Vec<(ReplicaId, RequestId, Answer)>,
    pub loss_percent: u64,
    pub cut: BTreeSet<(ReplicaId, ReplicaId)>,
    queue: BTreeMap<(Time, u64), (ReplicaId, Packet)>,
    counter: u64,
    random: u64,
}

pub enum Packet {
    Bytes(ReplicaId, Bytes),
    Loop(Sealed<Message>),
    Request(Bytes),
    Connected(ReplicaId),
}

impl World {
    pub fn new(view: View, limits: Limits, seed: u64) -> Self {
        let nodes = view
            .replicas()
            .map(|me| Node {
                replica: Some(Replica::new(me, view.clone(), limits.clone())),
                journal: Vec::new(),
                checkpoint: None,
                delivered: Vec::new(),
                reports: Vec::new(),
            })
            .collect();
        Self {
            view,
            limits,
            now: Time(0),
            nodes,
            held: BTreeMap::new(),
            answers: Vec::new(),
            loss_percent: 0,
            cut: BTreeSet::new(),
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
        let client = Client::Frontend(FrontendId([client; 32]));
        let id = RequestId { client, session: SessionId(1), sequence: Sequence(sequence) };
        Request { id, body: Bytes::from(format!("body {client} {sequence}")) }.seal(GROUP, &Name(client))
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

    pub fn crash(&mut self, node: u16) {
        self.nodes[usize::from(node)].replica = None;
    }

    pub fn restart(&mut self, node: u16) {
        let me = ReplicaId(node);
        let at = usize::from(node);
        let checkpoint = self.nodes[at].checkpoint.clone();
        let core = checkpoint.as_ref().map(|(instance, sessions, _)| (*instance, sessions.clone()));
        self.nodes[at].delivered = checkpoint.map(|(_, _, delivered)| delivered).unwrap_or_default();
        let mut recovered = Recovered::new(me, self.view.clone(), self.limits.clone(), core).unwrap();
        let mut actions = Vec::new();
        for record in self.nodes[at].journal.clone() {
            let copy = Record::decode(record.encode()).unwrap();
            assert_eq!(copy, record, "a record survives its bytes");
            recovered.replay(copy, &mut actions).unwrap();
        }
        let replica = recovered.finish(&mut actions);
        self.nodes[at].replica = Some(replica);
        self.perform(me, actions);
        for peer in self.view.replicas().filter(|peer| *peer != me) {
            self.post(me, Packet::Connected(peer));
            self.post(peer, Packet::Connected(me));
        }
    }

    /// Runs for so long.
    pub fn run(&mut self, span: Duration) {
        let end = self.now.after(span);
        let mut steps = 0_u64;
        loop {
            steps += 1;
            assert!(steps < 5_000_000, "the world does not come to rest: {:?}", self.nodes[0].replica);
            let packet = self.queue.first_key_value().map(|((at, _), _)| *at);
            let wake = self.nodes.iter().filter_map(|n| n.replica.as_ref()).map(Replica::deadline).min();
            let next = [packet, wake].into_iter().flatten().min().map(|at| at.max(self.now));
            let Some(next) = next.filter(|at| *at <= end) else {
                self.now = end;
                return;
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
            Packet::Bytes(from, bytes) => {
                Event::Message(Sealed::<Message>::open(bytes, from, &self.view, &Names).expect("only good bytes here"))
            }
            Packet::Loop(message) => Event::Message(message),
            Packet::Request(bytes) => Event::Request(Sealed::<Request>::open(bytes, GROUP, &Names).unwrap()),
            Packet::Connected(peer) => Event::Connected(peer),
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

    fn perform(&mut self, me: ReplicaId, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Persist(record) => self.nodes[me.index()].journal.push(record),
                Action::Vote(vote) => {
                    let durable = self.nodes[me.index()].journal.contains(&Record::Voted(vote));
                    assert!(durable, "a vote leaves before it is durable");
                    let signed = Message::Vote(vote.sign(GROUP, me, &Name(Client::Replica(me))));
                    self.post(me, Packet::Loop(signed.clone().loop_back(me)));
                    self.send(me, Recipients::Others, &signed);
                }
                Action::Send(to, message) => self.send(me, to, &message),
                Action::Answer(id, digest, answer) => {
                    if answer == Answer::Held {
                        self.held.entry(digest).or_default().insert(me);
                    }
                    self.answers.push((me, id, answer));
                }
                Action::Deliver(decision) => {
                    decision.proof.verify(&self.view, &Names).unwrap();
                    let digests = decision.requests.iter().map(Sealed::<Request>::digest).collect();
                    self.nodes[me.index()].delivered.push((decision.instance, digests));
                }
                Action::SendDecisions { to, from } => {
                    let decisions = self.read_decisions(me, from, 20);
                    self.send(me, Recipients::One(to), &Message::Decisions(decisions));
                }
                Action::TakeCheckpoint { instance, sessions } => {
                    let node = &mut self.nodes[me.index()];
                    node.checkpoint = Some((instance, sessions, node.delivered.clone()));
                }
                Action::Report(misbehaviour) => self.nodes[me.index()].reports.push(misbehaviour),
            }
        }
    }

    fn send(&mut self, me: ReplicaId, to: Recipients, message: &Message) {
        let bytes = message.encode();
        for peer in self.view.clone().replicas() {
            let wanted = match to {
                Recipients::Others => peer != me,
                Recipients::One(one) => peer == one,
            };
            if wanted && !self.cut.contains(&(me, peer)) && self.random(100) >= self.loss_percent {
                self.post(peer, Packet::Bytes(me, bytes.clone()));
            }
        }
    }

    fn read_decisions(&self, me: ReplicaId, from: InstanceId, count: usize) -> Vec<DecidedBatch> {
        let mut bodies = BTreeMap::new();
        let mut decisions = Vec::new();
        for record in &self.nodes[me.index()].journal {
            match record {
                Record::Body(request) => {
                    bodies.insert(request.digest(), request.clone());
                }
                Record::Decided(decided) if decided.proof.instance() >= from && decisions.len() < count => {
                    let requests = decided.requests.iter().map(|digest| bodies[digest].clone()).collect();
                    decisions.push(DecidedBatch { proof: decided.proof.clone(), requests });
                }
                _ => {}
            }
        }
        decisions
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

    pub fn delivered(&self, node: u16) -> Vec<Digest> {
        self.nodes[usize::from(node)].delivered.iter().flat_map(|(_, digests)| digests.clone()).collect()
    }

    /// Everything that `f + 1` replicas promised to hold was delivered by all that run.
    pub fn check_promises(&self) {
        let any_correct = self.view.f() + 1;
        for (node, state) in self.nodes.iter().enumerate().filter(|(_, state)| state.replica.is_some()) {
            let delivered: BTreeSet<Digest> = self.delivered(node as u16).into_iter().collect();
            for (digest, holders) in &self.held {
                let promised = holders.len() >= any_correct;
                assert!(!promised || delivered.contains(digest), "replica {node} lacks {digest}: {:?}", state.replica);
            }
        }
    }
}
