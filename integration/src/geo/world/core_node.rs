//! A replica of the service: the core, its actions in order with barriers, and the block cutter.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use blockcutter::{Ahead, CutBlock, Ordering, Output};
use frontend_shim::frame::body_source;
use mod_smart::message::DecidedBatch;
use mod_smart::{Action, Decision, Event, FrontendId, InstanceId, Message, Recipients, Replica, ReplicaId, Time, View};

use super::frame::{Frame, Push, Standing};
use super::links::Place;
use super::node::{Node, Wish};
use super::setup::{Bodies, Cost, Setup};
use super::view::limits_of;
use crate::sim::keys::Key;
use crate::sim::plan::GROUP;

/// A replica; its number is its place.
pub(super) struct CoreNode {
    me: ReplicaId,
    view: View,
    replica: Replica,
    ordering: Ordering,
    ahead: Ahead,
    bodies: Bodies,
    /// Who is told of blocks.
    clients: Vec<FrontendId>,
    cost: Cost,
    /// What the replica says to itself.
    own: VecDeque<Event>,
    /// What waits for the disk: how many records, and what follows them.
    waiting: VecDeque<(usize, Vec<Action>)>,
    syncing: Vec<Action>,
    is_syncing: bool,
    /// The last blocks as they were pushed, for clients that lack a body.
    blocks: BTreeMap<u64, Push>,
    /// The last decisions, for replicas that a late message has left behind.
    decisions: BTreeMap<InstanceId, DecidedBatch>,
    complaint: Option<String>,
}

impl CoreNode {
    pub fn new((me, view): (ReplicaId, View), ordering: Ordering, clients: Vec<FrontendId>, setup: &Setup) -> Self {
        let mut ahead = Ahead::default();
        ahead.on_delivered(InstanceId(0));
        Self {
            me,
            replica: Replica::new(me, view.clone(), limits_of(setup)),
            view,
            ordering,
            ahead,
            bodies: setup.bodies,
            clients,
            cost: setup.cost,
            own: VecDeque::new(),
            waiting: VecDeque::new(),
            syncing: Vec::new(),
            is_syncing: false,
            blocks: BTreeMap::new(),
            decisions: BTreeMap::new(),
            complaint: None,
        }
    }

    fn work(&mut self, now: Time, wishes: &mut Vec<Wish>) {
        loop {
            while !self.is_syncing
                && let Some((records, actions)) = self.waiting.pop_front()
            {
                if records == 0 || self.cost.sync.is_zero() {
                    self.perform_all(actions, wishes);
                    continue;
                }
                // One sync covers everything that waits.
                self.syncing = actions;
                self.syncing.extend(self.waiting.drain(..).flat_map(|(_, actions)| actions));
                self.is_syncing = true;
                wishes.push(Wish::Sync);
            }
            let Some(event) = self.own.pop_front() else { return };
            let mut actions = Vec::new();
            self.replica.handle(now, event, &mut actions);
            self.enqueue(actions);
        }
    }

    /// What comes before the first record waits for none of this run.
    fn enqueue(&mut self, mut actions: Vec<Action>) {
        let is_record = |action: &Action| matches!(action, Action::Persist(_));
        let barrier = actions.iter().position(is_record).unwrap_or(actions.len());
        let mut held = actions.split_off(barrier);
        let count = held.len();
        held.retain(|action| !is_record(action));
        let records = count - held.len();
        self.waiting.extend([(0, actions), (records, held)].into_iter().filter(|(n, then)| *n > 0 || !then.is_empty()));
    }

    fn perform_all(&mut self, actions: Vec<Action>, wishes: &mut Vec<Wish>) {
        for action in actions {
            match action {
                Action::Sign(to, statement) => {
                    wishes.push(Wish::Worked(self.cost.sign));
                    let message = statement.sign(GROUP, self.me, &Key::vote(self.me));
                    self.send(to, message, wishes);
                }
                Action::Send(to, message) => self.send(to, message, wishes),
                Action::Deliver(decision) => self.deliver(&decision, wishes),
                Action::DeliverTentatively(tentative) => {
                    let blocks = self.ahead.execute(&self.ordering, &tentative);
                    self.push_all(blocks, Standing::Tentative(tentative.regency), wishes);
                }
                Action::Retract => self.ahead.retract(),
                Action::Report(misbehaviour) => {
                    self.complain(format!("{} accuses {}: {}", self.me, misbehaviour.replica, misbehaviour.kind));
                }
                Action::SendDecisions { to, from } => {
                    let known = self.decisions.range(from..).map(|(_, batch)| batch.clone());
                    let batches: Vec<DecidedBatch> = known.take(DECISIONS_SENT_MAX).collect();
                    self.send(Recipients::One(to), Message::Decisions(batches), wishes);
                }
                // Clients of this world ask once and wait for blocks. Nothing is ever restarted, so records are only
                // waited for; and nobody falls so far behind that it takes over a state.
                Action::Answer(..)
                | Action::Persist(_)
                | Action::TakeCheckpoint { .. }
                | Action::KeepStable(_)
                | Action::Truncate(_)
                | Action::SendChunk { .. }
                | Action::InstallState { .. } => {}
            }
        }
    }

    fn send(&mut self, to: Recipients, message: Message, wishes: &mut Vec<Wish>) {
        if to == Recipients::All || to == Recipients::One(self.me) {
            self.own.push_back(Event::Message(message.clone().loop_back(self.me)));
        }
        let size = message.encode().len();
        let frame = Frame::Message(Rc::new(message), size);
        for peer in self.view.replicas().filter(|peer| *peer != self.me) {
            if !matches!(to, Recipients::One(one) if one != peer) {
                wishes.push(Wish::Send(peer.index(), frame.clone()));
            }
        }
    }

    fn deliver(&mut self, decision: &Decision, wishes: &mut Vec<Wish>) {
        let mut outputs = Vec::new();
        for request in &decision.requests {
            let request = request.value();
            self.ordering.apply(decision.instance, request.id.client, &request.body, &mut outputs);
        }
        self.ahead.on_delivered(decision.instance);
        if decision.skipped > 0 {
            self.complain(format!("{} requests were ordered twice", decision.skipped));
        }
        let batch = DecidedBatch { proof: decision.proof.clone(), requests: decision.requests.clone() };
        self.decisions.insert(decision.instance, batch);
        while self.decisions.len() > DECISIONS_KEPT {
            self.decisions.pop_first();
        }
        let mut blocks = Vec::new();
        for output in outputs {
            match output {
                Output::Block(block) => blocks.push(block),
                Output::Skipped { reason, .. } => self.complain(format!("an envelope was skipped: {reason}")),
                // Blocks are cut by their size alone: the load of a world does not pause.
                _ => {}
            }
        }
        self.push_all(blocks, Standing::Decided, wishes);
    }

    fn push_all(&mut self, blocks: Vec<CutBlock>, standing: Standing, wishes: &mut Vec<Wish>) {
        for block in blocks {
            wishes.push(Wish::Worked(self.cost.sign));
            let whole = Push::new(block, standing);
            for (client, id) in self.clients.iter().enumerate() {
                let is_source = body_source(*id, whole.number, &self.view) == self.me;
                let push = match self.bodies {
                    Bodies::Everybody => whole.clone(),
                    Bodies::InTurn if is_source => whole.clone(),
                    Bodies::InTurn => Push { data: None, ..whole.clone() },
                    Bodies::Embedded => Push { is_data_free: true, ..whole.clone() },
                };
                wishes.push(Wish::Send(self.view.n() + client, Frame::Push(push)));
            }
            self.blocks.insert(whole.number, whole);
        }
        while self.blocks.len() > BLOCKS_KEPT {
            self.blocks.pop_first();
        }
    }

    fn complain(&mut self, what: String) {
        self.complaint.get_or_insert(what);
    }
}

impl Node for CoreNode {
    fn hear(&mut self, now: Time, from: Place, frame: Frame, wishes: &mut Vec<Wish>) {
        match frame {
            Frame::Request(request) => self.own.push_back(Event::Request(request)),
            Frame::Message(message, _) => {
                let message = Rc::unwrap_or_clone(message);
                self.own.push_back(Event::Message(message.loop_back(ReplicaId(from as u16))));
            }
            Frame::FetchBody(number) => {
                let known = self.blocks.get(&number).cloned();
                wishes.extend(known.map(|push| Wish::Send(from, Frame::Push(push))));
            }
            Frame::Step(..) | Frame::Push(_) => {}
        }
        self.work(now, wishes);
    }

    fn synced(&mut self, now: Time, wishes: &mut Vec<Wish>) {
        self.is_syncing = false;
        let actions = std::mem::take(&mut self.syncing);
        self.perform_all(actions, wishes);
        self.work(now, wishes);
    }

    fn deadline(&self) -> Option<Time> {
        Some(self.replica.deadline())
    }

    fn wake(&mut self, now: Time, wishes: &mut Vec<Wish>) {
        self.own.push_back(Event::Wake);
        self.work(now, wishes);
    }

    fn complaint(&self) -> Option<String> {
        let moved = self.replica.regency() != mod_smart::Regency(0);
        let moved = moved.then(|| format!("{} is in regency {}", self.me, self.replica.regency()));
        self.complaint.clone().or(moved)
    }
}

/// A client that lacks a body asks within seconds.
const BLOCKS_KEPT: usize = 4_096;

/// Who lags by seconds finds here what it lacks.
const DECISIONS_KEPT: usize = 1_024;
const DECISIONS_SENT_MAX: usize = 64;
