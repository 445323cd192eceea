//! One member of an ordering group: Mod-SMaRt (thesis, algorithms 1 to 4) over VP-Consensus.
//!
//! A replica owns its parts, which are plain values that do not know it; this file moves data between them. It is total:
//! no event fails, blocks or panics. Files of its `impl`: this one holds the surface and delivery; `replica/` holds
//! one file for each conversation: ordering an instance, judging and changing the leader, repairing links and bodies,
//! handing over, catching up, checkpoints, taking over a state, coming back with a lost disk.

mod behind;
mod checkpoints;
mod hand_over;
mod ordering;
mod patience;
mod pipeline;
pub(crate) mod probation;
mod repair;
pub(crate) mod synchronization;
mod tentative;
mod transfer;

use std::collections::BTreeMap;

use crate::id::{Digest, Epoch, InstanceId, Regency, ReplicaId, Time};
use crate::instance::{Instance, Instances};
use crate::limits::Limits;
use crate::message::{Message, Status};
use crate::pending::{Entrance, Pending};
use crate::quorum::View;
use crate::record::{Decided, Record};
use crate::request::Request;
use crate::seal::Sealed;
use crate::sessions::{Sessions, Standing};
use crate::surface::{Action, Answer, Decision, Event, Misbehaviour, MisbehaviourKind, Recipients};

use crate::synchronization::Evidence;

pub use crate::recovery::{Recovered, RecoveryError, Restored};
pub use patience::StopReason;

/// A replica of an ordering group.
#[derive(Debug)]
pub struct Replica {
    pub(crate) me: ReplicaId,
    pub(crate) view: View,
    pub(crate) limits: Limits,
    pub(crate) regencies: synchronization::Regencies,
    /// The last delivered instance.
    pub(crate) delivered: InstanceId,
    /// Why others must believe that.
    pub(crate) delivered_by: Evidence,
    pub(crate) instances: Instances,
    pub(crate) pending: Pending,
    pub(crate) ahead: tentative::Ahead,
    pub(crate) sessions: Sessions,
    pub(crate) peers: BTreeMap<ReplicaId, behind::Standing>,
    pub(crate) catching_up: behind::CatchingUp,
    pub(crate) fetching: repair::Fetching,
    pub(crate) patience: patience::Patience,
    pub(crate) pipeline: pipeline::Pipeline,
    pub(crate) checkpoints: checkpoints::Checkpoints,
    pub(crate) transfer: transfer::Transfer,
    pub(crate) probation: probation::Probation,
    pub(crate) hand_overs: hand_over::HandOvers,
    pub(crate) status_due: Time,
}

impl Replica {
    /// A replica at the beginning of its group's life.
    ///
    /// # Panics
    /// `me` is no member of the view, or a limit contradicts another: a mistake of the program, not of its input.
    #[must_use]
    pub fn new(me: ReplicaId, view: View, limits: Limits) -> Self {
        assert!(view.has(me), "a replica is a member of its view");
        assert!(limits.instances_open_max >= 1 && limits.batch_requests_max >= 1 && limits.checkpoint_interval >= 1);
        assert!(limits.batch_requests_max <= crate::limits::BATCH_REQUESTS_MAX);
        assert!(limits.instances_open_max <= crate::limits::INSTANCES_OPEN_MAX as u64);
        Self {
            sessions: Sessions::new(limits.session_window),
            pending: Pending::new(limits.instances_open_max),
            me,
            view,
            limits,
            regencies: synchronization::Regencies::default(),
            delivered: InstanceId(0),
            delivered_by: Evidence::Start,
            instances: Instances::new(),
            ahead: tentative::Ahead::default(),
            peers: BTreeMap::new(),
            catching_up: behind::CatchingUp::default(),
            fetching: repair::Fetching::default(),
            patience: patience::Patience::default(),
            pipeline: pipeline::Pipeline::default(),
            checkpoints: checkpoints::Checkpoints::default(),
            transfer: transfer::Transfer::default(),
            probation: probation::Probation::default(),
            hand_overs: hand_over::HandOvers::default(),
            status_due: Time(0),
        }
    }

    /// Hears one event and appends what to do about it, in order.
    pub fn handle(&mut self, now: Time, event: Event, actions: &mut Vec<Action>) {
        self.start_clocks(now);
        match event {
            Event::Request(request) => self.on_request(now, &request, actions),
            Event::Message(message) => self.on_message(now, message, actions),
            Event::Connected(peer) => self.on_connected(peer, actions),
            Event::CheckpointTaken { instance, manifest } => self.on_checkpoint_taken(instance, manifest, actions),
            Event::StateInstalled(instance) => self.on_state_installed(now, instance, actions),
            Event::HandOver { regency, to } => self.on_hand_over(now, regency, to, actions),
            Event::Wake => self.on_wake(now, actions),
        }
        self.end_silence_if_due(now, actions);
        self.deliver_tentatively(actions);
        self.propose(now, actions);
        debug_assert!(self.invariants().is_ok(), "{:?}", self.invariants());
    }

    /// When the replica wants to be woken. A pure function of its state: nothing is ever cancelled.
    #[must_use]
    pub fn deadline(&self) -> Time {
        let fetch = self.fetching.deadline();
        let behind = self.catching_up.deadline();
        let others =
            [self.pipeline_deadline(), self.patience_deadline(), self.transfer.deadline(), self.probation.deadline()];
        [fetch, behind].into_iter().chain(others).flatten().fold(self.status_due, Time::min)
    }

    /// The last delivered instance.
    #[must_use]
    pub const fn delivered(&self) -> InstanceId {
        self.delivered
    }

    /// The regency this replica is in.
    #[must_use]
    pub const fn regency(&self) -> Regency {
        self.regencies.current
    }

    /// Has that regency begun here, or does its SYNC still fail to come?
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.regencies.is_synced()
    }

    /// Why this replica last asked for another regency, or was led into it.
    #[must_use]
    pub const fn last_stop_reason(&self) -> Option<StopReason> {
        self.regencies.reason
    }

    /// Who leads that regency.
    #[must_use]
    pub fn leader(&self) -> ReplicaId {
        self.view.leader(self.regencies.current)
    }

    /// How many requests wait, and how many bytes they are.
    #[must_use]
    pub fn pending(&self) -> (usize, usize) {
        self.pending.size()
    }

    /// Since when the request that waits longest has waited.
    #[must_use]
    pub fn oldest_pending(&self) -> Option<Time> {
        self.pending.oldest()
    }

    /// Is a state being taken over that the log no longer leads to?
    #[must_use]
    pub fn is_transferring(&self) -> bool {
        self.transfer.deadline().is_some() || self.is_installing()
    }

    /// The highest instance another replica claims to have delivered; a hint for status displays only.
    #[must_use]
    pub fn highest_claimed(&self) -> InstanceId {
        self.peers.values().map(|peer| peer.delivered).max().unwrap_or_default().max(self.delivered)
    }

    /// Checks the relations between the parts. Run after each event in tests and simulation.
    ///
    /// # Errors
    /// Names the relation that does not hold.
    pub fn invariants(&self) -> Result<(), &'static str> {
        let first = self.instances.first_key_value().map(|(id, _)| *id);
        if first.is_some_and(|id| id <= self.delivered) {
            return Err("a delivered instance is still open");
        }
        let last = self.instances.last_key_value().map(|(id, _)| *id);
        if last.is_some_and(|id| {
            id.0 > self.delivered.0 + self.limits.instances_open_max + self.limits.instances_early_max
        }) {
            return Err("an instance is kept beyond the early ones");
        }
        if self.pending.size().1 > self.limits.pending_bytes_max {
            return Err("more bytes wait than may");
        }
        Ok(())
    }

    fn on_message(&mut self, now: Time, message: Sealed<Message>, actions: &mut Vec<Action>) {
        let sender = message.sender();
        self.probation.hear(sender, message.value());
        match message.into_value() {
            Message::Propose(propose) => self.on_propose(now, sender, propose, actions),
            Message::Vote(vote) => self.on_vote(now, vote, actions),
            Message::Status(status) => self.on_status(now, sender, status, actions),
            Message::FetchBodies(digests) => self.on_fetch_bodies(sender, &digests, actions),
            Message::Bodies(requests) => self.on_bodies(now, &requests, actions),
            Message::FetchBatch(instance, digest) => self.on_fetch_batch(sender, instance, digest, actions),
            Message::Batch(instance, requests) => self.on_batch(now, instance, requests, actions),
            Message::Stop(regency) => self.on_stop(now, sender, regency, actions),
            Message::StopData(collect) => self.on_stop_data(now, collect, actions),
            Message::Sync(sync) => self.on_sync(now, sync, actions),
            Message::Checkpoint(signed) => self.on_checkpoint(signed, actions),
            Message::Stable(checkpoint, manifest) => self.on_stable(now, sender, checkpoint, manifest, actions),
            Message::FetchChunk(instance, index) => self.on_fetch_chunk(now, sender, (instance, index), actions),
            Message::Chunk(instance, index, chunk) => self.on_chunk(now, sender, (instance, index), chunk, actions),
            Message::Probe(nonce) => self.on_probe(now, sender, nonce, actions),
            Message::ProbeReply(reply) => self.on_probe_reply(sender, &reply, actions),
            Message::Offer(requests) => self.on_offer(sender, &requests, actions),
            Message::FetchDecisions(from) => self.on_fetch_decisions(now, sender, from, actions),
            Message::Decisions(decisions) => self.on_decisions(now, sender, decisions, actions),
        }
    }

    /// Alg. 1 lines 3 to 5: a request joins the pending ones; its client learns what became of it. The body is made
    /// durable first, so an answer of `Held` is a promise that survives a crash.
    fn on_request(&mut self, now: Time, request: &Sealed<Request>, actions: &mut Vec<Action>) {
        let digest = request.digest();
        let entrance = if self.is_missing(digest) { Entrance::Needed } else { Entrance::Asked };
        let answer = match self.pending.admit(now, request, entrance, &self.sessions, &self.limits) {
            Ok(new) => {
                if new {
                    actions.push(Action::Persist(Record::Body(request.clone())));
                    self.supply(now, digest, actions);
                }
                Answer::Held
            }
            Err(answer) => answer,
        };
        actions.push(Action::Answer(request.value().id, digest, answer));
    }

    /// Delivers what is decided and complete, in instance order (Alg. 1 lines 15 to 20).
    pub(crate) fn deliver_ready(&mut self, now: Time, actions: &mut Vec<Action>) {
        while !self.is_installing() {
            let next = self.delivered.next();
            let Some(instance) = self.instances.get(&next) else { return };
            let Some(proof) = instance.proof().cloned() else { return };
            let Some(requests) = instance.batch(proof.digest()).map(<[Digest]>::to_vec) else {
                return self.fetch_missing(now, None, actions);
            };
            let bodies: Option<Vec<Sealed<Request>>> =
                requests.iter().map(|digest| self.pending.body(*digest).cloned()).collect();
            let Some(bodies) = bodies else {
                return self.fetch_decided_bodies(now, next, actions);
            };
            if let Some(waited_since) = requests.iter().filter_map(|digest| self.pending.since(*digest)).min() {
                self.patience.voted(now, next, waited_since);
            }
            self.deliver(now, Decided { proof, requests }, bodies, actions);
            self.checkpoint_if_due(actions);
            self.catching_up.advanced();
            self.adopt_proofs();
            self.open_next(now, actions);
        }
    }

    /// Gives the application one decision, and keeps its record. Delivery need not wait for the record: the ACCEPTs of a
    /// quorum are durable, so after any crash the same batch is decided again. What a checkpoint stands in for is durable
    /// before it. The requests of a batch that were ordered before are left out by a rule that depends on the delivered
    /// sequence alone.
    pub(crate) fn deliver(
        &mut self,
        now: Time,
        decided: Decided,
        bodies: Vec<Sealed<Request>>,
        actions: &mut Vec<Action>,
    ) {
        let instance = decided.proof.instance();
        assert_eq!(instance, self.delivered.next(), "decisions are delivered in order and without gaps");
        let count = bodies.len();
        let mut requests = Vec::with_capacity(count);
        for request in bodies {
            let id = request.value().id;
            self.pending.remove(id);
            self.pending.ordered.keep(request.clone());
            if self.sessions.order(id, instance) {
                requests.push(request);
            }
        }
        self.pending.ordered.delivered(instance);
        if !requests.is_empty() {
            self.patience.progressed(now, instance);
        }
        self.settle(instance, decided.proof.digest(), actions);
        self.set_delivered(Evidence::Decision(decided.proof.clone()));
        self.instances.remove(&instance);
        self.pipeline.on_delivered(now, instance);
        let skipped = count - requests.len();
        let (epoch, proof) = (decided.proof.epoch(), decided.proof.clone());
        actions.push(Action::Deliver(Decision { instance, epoch, proof, requests, skipped }));
        actions.push(Action::Persist(Record::Decided(decided)));
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.regencies.current.into()
    }

    pub(crate) fn status(&self) -> Status {
        let open = self.instances.get(&self.delivered.next());
        Status {
            regency: self.regencies.current,
            delivered: self.delivered,
            is_proposed: open.is_some_and(|instance| instance.proposal(self.epoch()).is_some()),
            is_synced: self.regencies.is_synced(),
            wants: self.regencies.wants(self.me),
            is_silent: self.is_silent(),
            accept_time: self.patience.accept_time(),
            stable: self.checkpoints.stable_instance(),
        }
    }

    /// May this replica vote and propose: has its regency begun, and is nothing of its past unknown?
    pub(crate) fn is_voting(&self) -> bool {
        self.regencies.is_synced() && !self.is_silent() && !self.is_installing()
    }

    /// May this instance be voted on now?
    pub(crate) fn is_open(&self, instance: InstanceId) -> bool {
        instance > self.delivered && instance.0 - self.delivered.0 <= self.limits.instances_open_max
    }

    /// The instance with this number, if it is open or early enough to be kept.
    pub(crate) fn instance_mut(&mut self, id: InstanceId) -> Option<&mut Instance> {
        let kept = self.limits.instances_open_max + self.limits.instances_early_max;
        if id <= self.delivered || id.0 - self.delivered.0 > kept {
            return None;
        }
        Some(self.instances.entry(id).or_default())
    }

    /// Does whoever speaks of this instance show that it delivered long ago what is open here? Long enough to be sure, early
    /// enough to find what is missing in the logs of the others, which hold a checkpoint interval at least.
    pub(crate) fn is_far_ahead(&self, id: InstanceId) -> bool {
        let early = (self.limits.instances_early_max / 2).min(self.limits.checkpoint_interval / 2);
        id.0 > self.delivered.0 + self.limits.instances_open_max + early
    }

    fn is_missing(&self, digest: Digest) -> bool {
        self.instances.values().any(|instance| instance.missing().contains(&digest))
    }

    pub(crate) fn is_fresh(&self, request: &Sealed<Request>) -> bool {
        self.sessions.standing(request.value().id) == Standing::Fresh
    }
}

pub(crate) fn report(replica: ReplicaId, kind: MisbehaviourKind, actions: &mut Vec<Action>) {
    actions.push(Action::Report(Misbehaviour { replica, kind }));
}

pub(crate) fn send(to: ReplicaId, message: Message, actions: &mut Vec<Action>) {
    actions.push(Action::Send(Recipients::One(to), message));
}
