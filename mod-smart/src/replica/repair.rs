//! Repairing what the network lost: statements of where one stands, votes and proposals sent again, bodies and batches
//! fetched.

use super::{Replica, send};
use crate::id::{Digest, Epoch, InstanceId, ReplicaId, RequestId, Time};
use crate::limits::{BATCH_REQUESTS_MAX, BODIES_PER_MESSAGE_BYTES_MAX};
use crate::message::{Message, Propose, Status};
use crate::pending::Entrance;
use crate::quorum::Voters;
use crate::record::Record;
use crate::request::Request;
use crate::seal::Sealed;
use crate::selection::Binding;
use crate::sessions::Standing;
use crate::surface::{Action, Recipients};

/// The fetching of bodies that open proposals lack.
#[derive(Debug, Default)]
pub(crate) struct Fetching {
    due: Option<Time>,
    asked: Voters,
}

impl Fetching {
    pub(crate) const fn deadline(&self) -> Option<Time> {
        self.due
    }
}

impl Replica {
    /// The link to a peer is up: say where we stand, and it will send what we lack, and ask for what it lacks.
    pub(super) fn on_connected(&mut self, peer: ReplicaId, actions: &mut Vec<Action>) {
        send(peer, Message::Status(self.status()), actions);
        self.probe(peer, actions);
    }

    pub(super) fn on_wake(&mut self, now: Time, actions: &mut Vec<Action>) {
        if now >= self.status_due {
            self.status_due = now.after(self.limits.status_interval);
            actions.push(Action::Send(Recipients::Others, Message::Status(self.status())));
        }
        if self.fetching.due.is_some_and(|due| now >= due) {
            self.fetch_again(now, actions);
        }
        self.catch_up_when_due(now, actions);
        self.transfer_when_due(now, actions);
        self.probe_when_due(now, actions);
        self.judge_leader(now, actions);
    }

    /// Fetches what is offered and neither waits here nor was ordered.
    pub(super) fn on_offer(&mut self, sender: ReplicaId, offer: &[(RequestId, Digest)], actions: &mut Vec<Action>) {
        let fresh = |id: RequestId| self.sessions.standing(id) == Standing::Fresh;
        let lacking = offer.iter().filter(|(id, digest)| fresh(*id) && self.pending.body(*digest).is_none());
        let digests: Vec<Digest> = lacking.map(|(_, digest)| *digest).collect();
        if !digests.is_empty() {
            send(sender, Message::FetchBodies(digests), actions);
        }
    }

    /// A peer says where it stands. If it is in another regency, one of us learns of the later one. If it works on the
    /// same instance, it is sent our part in it again; if it is ahead, we catch up. If it is behind, it learns so from our
    /// own status and asks.
    pub(super) fn on_status(&mut self, now: Time, sender: ReplicaId, status: Status, actions: &mut Vec<Action>) {
        if sender == self.me {
            return;
        }
        self.heard_of(now, sender, status.delivered);
        self.patience.reported(sender, status.accept_time);
        self.repair_regency(now, sender, status, actions);
        self.repair_checkpoint(sender, status, actions);
        if status.delivered != self.delivered || status.regency != self.regencies.current || !self.is_voting() {
            return;
        }
        let epoch = self.epoch();
        for (_, instance) in self.instances.range(self.delivered.next()..).take(self.limits.instances_open_max as usize)
        {
            if let Some(proposal) = instance.proposal(epoch)
                && self.leader() == self.me
                && !status.is_proposed
            {
                send(sender, Message::Propose(proposal.propose.clone()), actions);
            }
            for vote in instance.votes_of(self.me).into_iter().filter(|vote| vote.vote.epoch == epoch) {
                send(sender, Message::Vote(vote), actions);
            }
        }
    }

    /// Asks for what open instances lack, unless that is under way: of `from`, or of whoever must have it.
    pub(super) fn fetch_missing(&mut self, now: Time, from: Option<ReplicaId>, actions: &mut Vec<Action>) {
        if self.fetching.due.is_some() {
            return;
        }
        self.fetching.asked = Voters::NONE;
        match from {
            Some(from) => self.ask_for_missing(now, from, actions),
            None => self.fetch_again(now, actions),
        }
    }

    /// A decided batch lacks bodies although it was never proposed to us validly: look for them with whoever voted.
    pub(super) fn fetch_decided_bodies(&mut self, now: Time, id: InstanceId, actions: &mut Vec<Action>) {
        let pending = &self.pending;
        let Some(instance) = self.instances.get_mut(&id) else { return };
        let Some(proof) = instance.proof().cloned() else { return };
        let Some(requests) = instance.batch(proof.digest()).map(<[Digest]>::to_vec) else { return };
        if instance.proposal(proof.epoch()).is_none_or(|proposal| proposal.digest != proof.digest()) {
            instance.learn_batch(Propose { instance: id, epoch: proof.epoch(), requests });
        }
        if let Some(proposal) = instance.proposal_mut(proof.epoch()) {
            proposal.valid = true;
            let lacking = proposal.propose.requests.iter().filter(|d| pending.body(**d).is_none());
            proposal.missing = lacking.copied().collect();
        }
        self.fetch_missing(now, None, actions);
    }

    /// Tells what a batch consists of, to whoever holds a certificate or a proof for it.
    pub(super) fn on_fetch_batch(
        &mut self,
        sender: ReplicaId,
        id: InstanceId,
        digest: Digest,
        actions: &mut Vec<Action>,
    ) {
        if let Some(requests) = self.instances.get(&id).and_then(|instance| instance.batch(digest)) {
            send(sender, Message::Batch(id, requests.to_vec()), actions);
        }
    }

    /// A batch that we asked for: only one that a certificate or a proof names is of use.
    pub(super) fn on_batch(&mut self, now: Time, id: InstanceId, requests: Vec<Digest>, actions: &mut Vec<Action>) {
        let digest = Digest::of_batch(&requests);
        let wanted = self.wanted_batches().into_iter().find(|wanted| wanted.instance == id && wanted.digest == digest);
        let Some(Wanted { epoch, .. }) = wanted else { return };
        let Some(instance) = self.instance_mut(id) else { return };
        instance.learn_batch(Propose { instance: id, epoch, requests });
        self.fetching.due = None;
        self.deliver_ready(now, actions);
    }

    /// The batches that open instances are bound to, or were decided to be, and that are not known here.
    fn wanted_batches(&self) -> Vec<Wanted> {
        let open = (self.delivered.0 + 1..=self.delivered.0 + self.limits.instances_open_max).map(InstanceId);
        let leads = self.leader() == self.me;
        let mut wanted = Vec::new();
        for id in open {
            let known = self.instances.get(&id);
            let bound = match (known.and_then(|instance| instance.proof()), self.binding(id)) {
                (Some(proof), _) => Some((proof.epoch(), proof.digest(), proof.voters())),
                (None, Binding::Written(written)) if leads => {
                    Some((written.epoch(), written.digest(), self.holders_of(written)))
                }
                _ => None,
            };
            if let Some((epoch, digest, holders)) = bound
                && known.and_then(|instance| instance.batch(digest)).is_none()
            {
                wanted.push(Wanted { instance: id, epoch, digest, holders });
            }
        }
        wanted
    }

    pub(super) fn on_fetch_bodies(&mut self, sender: ReplicaId, digests: &[Digest], actions: &mut Vec<Action>) {
        let mut bytes = 0;
        let mut bodies = Vec::new();
        for request in digests.iter().filter_map(|digest| self.pending.body(*digest)) {
            bytes += request.bytes().len();
            if bytes > BODIES_PER_MESSAGE_BYTES_MAX && !bodies.is_empty() {
                break;
            }
            bodies.push(request.clone());
        }
        if !bodies.is_empty() {
            send(sender, Message::Bodies(bodies), actions);
        }
    }

    /// Bodies that we asked for, for a proposal or after an offer. Their clients' seals were checked; what no proposal
    /// lacks comes in like any request, within its client's share.
    pub(super) fn on_bodies(&mut self, now: Time, requests: &[Sealed<Request>], actions: &mut Vec<Action>) {
        for request in requests {
            let digest = request.digest();
            let entrance = if self.is_missing(digest) { Entrance::Needed } else { Entrance::Asked };
            let admitted = self.pending.admit(now, request, entrance, &self.sessions, &self.limits);
            if admitted == Ok(true) {
                actions.push(Action::Persist(Record::Body(request.clone())));
                self.supply(now, digest, actions);
            }
        }
    }

    fn fetch_again(&mut self, now: Time, actions: &mut Vec<Action>) {
        self.fetching.due = None;
        let mut holders = Voters::NONE;
        for instance in self.instances.values() {
            for proposal in instance.incomplete() {
                let voters = instance.voters(proposal.propose.epoch, proposal.digest);
                holders = holders.iter().chain(voters.iter()).collect();
            }
        }
        for wanted in self.wanted_batches() {
            holders = holders.iter().chain(wanted.holders.iter()).collect();
        }
        holders.insert(self.leader());
        let next = holders.iter().find(|r| *r != self.me && !self.fetching.asked.contains(*r));
        // Everybody was asked. What a quorum wrote, some replica holds, whoever it is: another round asks all.
        if next.is_none() {
            self.fetching.asked = Voters::NONE;
            holders = self.view.replicas().collect();
        }
        let again = || holders.iter().find(|r| *r != self.me);
        if let Some(from) = next.or_else(again) {
            self.ask_for_missing(now, from, actions);
        }
    }

    fn ask_for_missing(&mut self, now: Time, from: ReplicaId, actions: &mut Vec<Action>) {
        let missing = self.instances.values().flat_map(|instance| instance.missing());
        let missing: Vec<Digest> = missing.take(BATCH_REQUESTS_MAX).collect();
        let wanted = self.wanted_batches();
        if missing.is_empty() && wanted.is_empty() {
            return;
        }
        self.fetching.asked.insert(from);
        self.fetching.due = Some(now.after(self.limits.fetch_interval));
        if !missing.is_empty() {
            send(from, Message::FetchBodies(missing), actions);
        }
        for Wanted { instance, digest, .. } in wanted {
            send(from, Message::FetchBatch(instance, digest), actions);
        }
    }
}

/// A batch that is known by its digest only.
struct Wanted {
    instance: InstanceId,
    epoch: Epoch,
    digest: Digest,
    /// Who wrote or accepted it.
    holders: Voters,
}
