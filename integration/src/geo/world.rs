//! A group and its clients in virtual time: the core and the block cutter as they are, frontends' rules, and a network that is
//! nothing but distances, unless more is asked for.
//!
//! Unlike [`crate::sim`], nothing goes wrong here: what is measured is how long a request takes. Nothing reads a clock, and all
//! chance comes from one number, so a world that is run twice comes to the same hash.

mod client;
mod core_node;
mod frame;
mod future;
mod links;
mod node;
mod setup;
mod step_node;
mod view;

use std::time::Duration;

use anyhow::ensure;
use blockcutter::BundleBuilder;
use fastrand::Rng;
use mod_smart::{Client as Asker, ReplicaId, Request, RequestId, SessionId, Time};

use client::{Client, Rule};
use core_node::CoreNode;
use frame::Frame;
use future::Future;
use links::{Links, Place};
use node::{Node, Wish};
pub use setup::{Bodies, Cost, Engine, Load, Setup, Weather};
use step_node::StepNode;

use crate::sim::genesis::{channel, envelope};
use crate::sim::keys::{Key, checksum};
use crate::sim::plan::GROUP;

/// What became of a world.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// For each client, how long its requests took, in milliseconds, in the order of the answers.
    pub latencies: Vec<Vec<f64>>,
    /// Requests that were not answered: those in a block that was never full.
    pub unanswered: usize,
    /// Equal for equal runs.
    pub hash: u64,
}

/// Lives one world to its end.
///
/// # Errors
/// The deployment is none that its engine knows, or something happened that cannot in a world without faults.
pub fn run(setup: &Setup) -> anyhow::Result<Outcome> {
    let mut world = World::new(setup)?;
    world.live();
    world.into_outcome()
}

struct World<'a> {
    setup: &'a Setup,
    now: Time,
    future: Future<Happening>,
    links: Links,
    nodes: Vec<Box<dyn Node>>,
    clients: Vec<Client>,
    /// Until when each place works.
    busy: Vec<Time>,
    /// For when each place is to be woken, if it is.
    waking: Vec<Option<Time>>,
    random: Rng,
    envelopes: u64,
    hash: u64,
}

enum Happening {
    /// A frame comes out of a link.
    Arrive(Place, Place, Frame),
    /// A place has read a frame.
    Read(Place, Place, Frame),
    Wake(Place),
    Synced(Place),
    /// A client asks.
    Ask(usize),
}

impl<'a> World<'a> {
    fn new(setup: &'a Setup) -> anyhow::Result<Self> {
        let n = setup.deployment.n();
        ensure!(!setup.clients.is_empty() && setup.clients.len() <= CLIENTS_MAX, "1 to {CLIENTS_MAX} clients");
        let mut random = Rng::with_seed(setup.seed);
        let sites: Vec<_> = setup.deployment.replicas.iter().chain(&setup.clients).copied().collect();
        let links = Links::new(&setup.matrix, &sites, setup.weather, Rng::with_seed(random.u64(..)));
        let is_in_order = setup.engine == Engine::Core;
        let view = if is_in_order { Some(view::view_of(&setup.deployment)?) } else { None };
        let rule = Rule::of(&setup.deployment, view);
        let new_client = |number| Client::new(number, rule.clone(), n, is_in_order);
        let clients: Vec<Client> = (0..setup.clients.len()).map(new_client).collect();
        let mut world = Self {
            nodes: nodes(setup, &clients)?,
            clients,
            busy: vec![Time(0); sites.len()],
            waking: vec![None; sites.len()],
            setup,
            now: Time(0),
            future: Future::new(),
            links,
            random,
            envelopes: 0,
            hash: 0,
        };
        world.begin();
        Ok(world)
    }

    fn begin(&mut self) {
        for place in 0..self.nodes.len() {
            self.plan_wake(place);
        }
        let clients = self.clients.len() as u64;
        for client in 0..self.clients.len() {
            let start = self.setup.warm_up / 2;
            let start = match self.setup.load {
                Load::Turns(every) => start + every.mul_f64(client as f64 / clients as f64),
                Load::Closed(_) | Load::Open(_) => start + Duration::from_micros(self.random.u64(..STARTS_WITHIN_US)),
            };
            let count = if let Load::Closed(outstanding) = self.setup.load { outstanding } else { 1 };
            for _ in 0..count {
                self.future.at(Time(0).after(start), Happening::Ask(client));
            }
        }
    }

    fn live(&mut self) {
        let end = Time(0).after(self.setup.lasts + ANSWERED_WITHIN);
        while let Some((at, happening)) = self.future.pop().filter(|(at, _)| *at < end) {
            self.now = at;
            match happening {
                Happening::Arrive(from, to, frame) => self.arrive(from, to, frame),
                Happening::Read(from, to, frame) => self.read(from, to, frame),
                Happening::Wake(place) => self.wake(place),
                Happening::Synced(place) => {
                    let mut wishes = Vec::new();
                    self.nodes[place].synced(at, &mut wishes);
                    self.grant(place, wishes);
                }
                Happening::Ask(client) => self.ask(client),
            }
        }
    }

    /// A place reads what has come when it has read all that came before.
    fn arrive(&mut self, from: Place, to: Place, frame: Frame) {
        let cost = &self.setup.cost;
        let takes = cost.message + cost.verify * frame.signatures() + cost.envelope * frame.envelopes();
        if takes.is_zero() {
            return self.read(from, to, frame);
        }
        self.busy[to] = self.busy[to].max(self.now).after(takes);
        self.future.at(self.busy[to], Happening::Read(from, to, frame));
    }

    fn read(&mut self, from: Place, to: Place, frame: Frame) {
        self.hash = checksum(self.hash, &[self.now.0, from as u64, to as u64].map(u64::to_be_bytes).concat());
        let Some(node) = self.nodes.get_mut(to) else { return self.client_hears(from, to, frame) };
        let mut wishes = Vec::new();
        node.hear(self.now, from, frame, &mut wishes);
        self.grant(to, wishes);
    }

    fn client_hears(&mut self, from: Place, to: Place, frame: Frame) {
        let number = to - self.nodes.len();
        let Frame::Push(push) = frame else { return };
        let answered = self.clients[number].on_push(from, push, self.now);
        if let Load::Closed(_) = self.setup.load {
            for _ in 0..answered {
                self.ask(number);
            }
        }
        self.plan_wake(to);
    }

    fn wake(&mut self, place: Place) {
        self.waking[place] = None;
        if let Some(node) = self.nodes.get_mut(place) {
            let mut wishes = Vec::new();
            if node.deadline().is_some_and(|deadline| deadline <= self.now) {
                node.wake(self.now, &mut wishes);
            }
            return self.grant(place, wishes);
        }
        let asked = self.clients[place - self.nodes.len()].on_wake(self.now);
        let wish = asked.map(|(replica, number)| Wish::Send(replica, Frame::FetchBody(number)));
        self.grant(place, wish.into_iter().collect());
    }

    fn plan_wake(&mut self, place: Place) {
        let deadline = match self.nodes.get(place) {
            Some(node) => node.deadline(),
            None => self.clients[place - self.nodes.len()].deadline(),
        };
        let Some(deadline) = deadline.map(|deadline| deadline.max(self.now)) else { return };
        if self.waking[place].is_none_or(|planned| deadline < planned) {
            self.waking[place] = Some(deadline);
            self.future.at(deadline, Happening::Wake(place));
        }
    }

    /// Does what a place wants. What it sends leaves when it has done the work before it.
    fn grant(&mut self, place: Place, wishes: Vec<Wish>) {
        for wish in wishes {
            match wish {
                Wish::Worked(takes) => self.work(place, takes),
                Wish::Send(to, frame) => {
                    self.work(place, self.setup.cost.message);
                    let at = self.links.arrival(self.busy[place].max(self.now), place, to, frame.size());
                    self.future.at(at, Happening::Arrive(place, to, frame));
                }
                Wish::Sync => self.future.at(self.now.after(self.setup.cost.sync), Happening::Synced(place)),
            }
        }
        self.plan_wake(place);
    }

    fn work(&mut self, place: Place, takes: Duration) {
        if !takes.is_zero() {
            self.busy[place] = self.busy[place].max(self.now).after(takes);
        }
    }

    /// A client sends one envelope to every replica, and plans the next one.
    fn ask(&mut self, number: usize) {
        if self.now >= Time(0).after(self.setup.lasts) {
            return;
        }
        match self.setup.load {
            Load::Turns(every) => self.future.at(self.now.after(every), Happening::Ask(number)),
            Load::Open(rate) => {
                let wait = Duration::from_secs_f64(-(1.0 - self.random.f64()).ln() / rate);
                self.future.at(self.now.after(wait), Happening::Ask(number));
            }
            Load::Closed(_) => {}
        }
        self.envelopes += 1;
        let envelope = envelope(self.envelopes, self.setup.envelope_bytes);
        let client = &mut self.clients[number];
        client.on_asked(envelope.clone(), self.now);
        let body = match self.setup.engine {
            Engine::Steps => envelope,
            Engine::Core => {
                let mut bundle = BundleBuilder::new();
                bundle.push(&channel(), 0, envelope);
                bundle.finish()
            }
        };
        let id = RequestId { client: Asker::Frontend(client.id), session: SessionId(1), sequence: client.sequence };
        client.sequence = client.sequence.next();
        let request = Request { id, body }.seal(GROUP, &Key::frontend(client.id));
        let mut wishes = vec![Wish::Worked(self.setup.cost.sign)];
        wishes.extend((0..self.nodes.len()).map(|to| Wish::Send(to, Frame::Request(request.clone()))));
        self.grant(self.nodes.len() + number, wishes);
    }

    fn into_outcome(self) -> anyhow::Result<Outcome> {
        if let Some(complaint) = self.nodes.iter().find_map(|node| node.complaint()) {
            anyhow::bail!("a world without faults went wrong: {complaint}");
        }
        let unanswered = self.clients.iter().map(Client::outstanding).sum();
        ensure!(
            unanswered < self.setup.block_envelopes as usize,
            "{unanswered} requests were not answered within {ANSWERED_WITHIN:?}: more was asked than the group orders"
        );
        let from = Time(0).after(self.setup.warm_up);
        let measured = |client: Client| {
            let answered = client.answered.into_iter().filter(|(asked, _)| *asked >= from);
            answered.map(|(_, took)| took.as_secs_f64() * 1e3).collect()
        };
        Ok(Outcome { latencies: self.clients.into_iter().map(measured).collect(), unanswered, hash: self.hash })
    }
}

fn nodes(setup: &Setup, clients: &[Client]) -> anyhow::Result<Vec<Box<dyn Node>>> {
    let n = setup.deployment.n();
    if setup.engine == Engine::Steps {
        let node = |me| Box::new(StepNode::new(me, &setup.deployment, setup.cost.sign)) as Box<dyn Node>;
        return Ok((0..n).map(node).collect());
    }
    let view = view::view_of(&setup.deployment)?;
    let application = view::application_of(setup, &view)?;
    let ids: Vec<_> = clients.iter().map(|client| client.id).collect();
    let node = |me: ReplicaId| {
        Box::new(CoreNode::new((me, view.clone()), application.clone(), ids.clone(), setup)) as Box<dyn Node>
    };
    Ok(view.replicas().map(node).collect())
}

const CLIENTS_MAX: usize = 64;
const STARTS_WITHIN_US: u64 = 20_000;

/// After the last request, what is under way comes to its end within this time.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);
