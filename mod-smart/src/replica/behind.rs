//! Catching up from the decision logs of others: decisions with proofs, in order. A liar costs a retry.

use std::time::Duration;

use super::{Replica, send};
use crate::id::{InstanceId, ReplicaId, Time};
use crate::message::{DecidedBatch, Message};
use crate::record::{Decided, Record};
use crate::seal::Sealed;
use crate::surface::Action;

/// What a peer last claimed, and what we last gave it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) delivered: InstanceId,
    served: Option<(InstanceId, Time)>,
    /// When it was last answered a probe.
    probed: Option<Time>,
    /// How many chunks it was given since when.
    chunks: Option<(Time, u32)>,
}

impl Standing {
    /// May another chunk be given to this peer, of so many in an interval?
    pub(crate) fn may_serve_chunk(&mut self, now: Time, interval: Duration, count_max: u32) -> bool {
        let (since, count) = self.chunks.filter(|(since, _)| now < since.after(interval)).unwrap_or((now, 0));
        self.chunks = Some((since, count.saturating_add(1)));
        count < count_max
    }

    /// May a probe of this peer be answered again?
    pub(crate) fn may_answer_probe(&mut self, now: Time, interval: Duration) -> bool {
        let is_due = self.probed.is_none_or(|at| now >= at.after(interval));
        if is_due {
            self.probed = Some(now);
        }
        is_due
    }
}

/// Whether we are behind, since when, and whom we asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CatchingUp {
    /// When to ask, or to ask somebody else.
    due: Option<Time>,
    asked: Option<ReplicaId>,
}

impl CatchingUp {
    pub(crate) const fn deadline(&self) -> Option<Time> {
        self.due
    }

    /// Is this the replica whose answer we wait for?
    pub(crate) fn has_asked(&self, peer: ReplicaId) -> bool {
        self.asked == Some(peer)
    }

    /// An instance was delivered in the ordinary way: whatever made us think that we lag has to show itself again.
    pub(crate) const fn advanced(&mut self) {
        if self.asked.is_none() {
            self.due = None;
        }
    }
}

impl Replica {
    /// Notes what a peer claims to have delivered. Being one decision behind for a moment is the normal case: only what
    /// lasts a fetch interval is repaired here.
    pub(super) fn heard_of(&mut self, now: Time, peer: ReplicaId, delivered: InstanceId) {
        self.peers.entry(peer).or_default().delivered = delivered;
        if delivered > self.delivered && self.catching_up.due.is_none() {
            self.catching_up.due = Some(now.after(self.limits.fetch_interval));
        }
    }

    /// A peer speaks of an instance far beyond ours, so it has delivered what lies before its window.
    pub(super) fn on_far_ahead(&mut self, now: Time, peer: ReplicaId, id: InstanceId, actions: &mut Vec<Action>) {
        let delivered = InstanceId(id.0.saturating_sub(self.limits.instances_open_max));
        self.heard_of(now, peer, delivered);
        if self.catching_up.asked.is_none() {
            self.ask_for_decisions(now, peer, actions);
        }
    }

    pub(super) fn catch_up_when_due(&mut self, now: Time, actions: &mut Vec<Action>) {
        if self.catching_up.due.is_none_or(|due| now < due) {
            return;
        }
        if self.transfer.is_progressing(now) {
            self.catching_up.due = Some(now.after(self.limits.fetch_interval));
            return;
        }
        match self.next_source() {
            Some(peer) => self.ask_for_decisions(now, peer, actions),
            None => self.catching_up = CatchingUp::default(),
        }
    }

    /// We came further at one stroke: whoever is ahead still is asked for the rest.
    pub(super) fn catch_up_anew(&mut self, now: Time, actions: &mut Vec<Action>) {
        self.catching_up = CatchingUp::default();
        if let Some(peer) = self.next_source() {
            self.ask_for_decisions(now, peer, actions);
        }
    }

    /// Answers a replica that lacks decisions: with decisions, or, if they are no longer in our log, with a stable
    /// checkpoint to go on from. It is served at once when it has come further since the last time, and at most twice in a
    /// fetch interval otherwise, so that asking costs no more than answering.
    pub(super) fn on_fetch_decisions(
        &mut self,
        now: Time,
        sender: ReplicaId,
        from: InstanceId,
        actions: &mut Vec<Action>,
    ) {
        if from > self.delivered || from.0 == 0 || sender == self.me {
            return;
        }
        let pause = self.limits.fetch_interval / 2;
        let peer = self.peers.entry(sender).or_default();
        if peer.served.is_some_and(|(earlier, at)| from <= earlier && now < at.after(pause)) {
            return;
        }
        peer.served = Some((from, now));
        if from > self.checkpoints.log_start() {
            actions.push(Action::SendDecisions { to: sender, from });
        } else if let Some((stable, manifest)) = self.checkpoints.to_give().filter(|(at, _)| at.instance() >= from) {
            send(sender, Message::Stable(stable.clone(), manifest.clone()), actions);
        }
    }

    /// Decisions with proofs, checked before they came here. Those that continue our own sequence are delivered.
    pub(super) fn on_decisions(
        &mut self,
        now: Time,
        sender: ReplicaId,
        decisions: Vec<DecidedBatch>,
        actions: &mut Vec<Action>,
    ) {
        let before = self.delivered;
        for decision in decisions {
            if decision.proof.instance() == self.delivered.next() && !self.is_installing() {
                self.deliver_learnt(now, decision, actions);
            }
        }
        if self.delivered == before {
            return;
        }
        self.catching_up = CatchingUp::default();
        self.open_next(now, actions);
        self.deliver_ready(now, actions);
        if self.peers.get(&sender).is_some_and(|peer| peer.delivered > self.delivered) {
            self.ask_for_decisions(now, sender, actions);
        }
    }

    /// Bodies are made durable before the decision that names them, as in the normal case.
    fn deliver_learnt(&mut self, now: Time, decision: DecidedBatch, actions: &mut Vec<Action>) {
        for request in decision.requests.iter().filter(|request| self.pending.body(request.digest()).is_none()) {
            actions.push(Action::Persist(Record::Body(request.clone())));
        }
        let requests = decision.requests.iter().map(Sealed::digest).collect();
        let decided = Decided { proof: decision.proof, requests };
        self.deliver(now, decided, decision.requests, actions);
        self.checkpoint_if_due(actions);
    }

    fn ask_for_decisions(&mut self, now: Time, peer: ReplicaId, actions: &mut Vec<Action>) {
        self.catching_up.asked = Some(peer);
        self.catching_up.due = Some(now.after(self.limits.fetch_interval));
        send(peer, Message::FetchDecisions(self.delivered.next()), actions);
    }

    /// The next peer, in turn after the one asked last, that claims to be ahead of us.
    fn next_source(&self) -> Option<ReplicaId> {
        let ahead = || self.peers.iter().filter(|(_, peer)| peer.delivered > self.delivered).map(|(id, _)| *id);
        let after = ahead().find(|id| self.catching_up.asked.is_some_and(|asked| *id > asked));
        after.or_else(|| ahead().next())
    }
}
