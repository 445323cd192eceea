//! Repairing what the network lost: statements of where one stands, votes and proposals sent again, bodies fetched.

use super::{Replica, send};
use crate::id::{Digest, InstanceId, ReplicaId, RequestId, Time};
use crate::limits::{BATCH_REQUESTS_MAX, BODIES_PER_MESSAGE_BYTES_MAX};
use crate::message::{Message, Status};
use crate::pending::Entrance;
use crate::quorum::Voters;
use crate::record::Record;
use crate::request::Request;
use crate::seal::Sealed;
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
        self.offer_old_requests(now, actions);
    }

    /// Requests that wait too long are offered to everybody: a correct leader that never got them will propose them now.
    /// Offers name digests, so they cost little even when waiting is nobody's fault but the load's.
    fn offer_old_requests(&mut self, now: Time, actions: &mut Vec<Action>) {
        let timeout = u64::try_from(self.limits.request_timeout.as_nanos()).unwrap_or(u64::MAX);
        let Some(since) = now.0.checked_sub(timeout).map(Time) else { return };
        let old = self.pending.take_old(since, now, BATCH_REQUESTS_MAX);
        if !old.is_empty() {
            actions.push(Action::Send(Recipients::Others, Message::Offer(old)));
        }
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

    /// A peer says where it stands. If it works on the same instance, it is sent our part in it again; if it is ahead,
    /// we catch up. If it is behind, it learns so from our own status and asks.
    pub(super) fn on_status(&mut self, now: Time, sender: ReplicaId, status: Status, actions: &mut Vec<Action>) {
        self.heard_of(now, sender, status.delivered);
        if status.delivered != self.delivered || sender == self.me {
            return;
        }
        let epoch = self.epoch();
        for (_, instance) in self.instances.range(self.delivered.next()..).take(self.limits.instances_open_max as usize)
        {
            if let Some(proposal) = instance.proposal(epoch)
                && self.leader() == self.me
                && !status.proposed
            {
                send(sender, Message::Propose(proposal.propose.clone()), actions);
            }
            for vote in instance.votes_of(self.me) {
                send(sender, Message::Vote(vote), actions);
            }
        }
    }

    /// Asks for the bodies that open proposals lack, unless that is under way.
    pub(super) fn fetch_bodies(&mut self, now: Time, from: ReplicaId, actions: &mut Vec<Action>) {
        if self.fetching.due.is_some() {
            return;
        }
        self.fetching.asked = Voters::NONE;
        self.ask_for_bodies(now, from, actions);
    }

    /// A decided batch lacks bodies although it was never proposed to us validly: look for them with whoever voted.
    pub(super) fn fetch_decided_bodies(&mut self, now: Time, id: InstanceId, actions: &mut Vec<Action>) {
        let pending = &self.pending;
        let Some(instance) = self.instances.get_mut(&id) else { return };
        let Some(proof) = instance.proof().cloned() else { return };
        if let Some(proposal) = instance.proposal_mut(proof.epoch())
            && proposal.digest == proof.digest()
        {
            proposal.valid = true;
            let lacking = proposal.propose.requests.iter().filter(|d| pending.body(**d).is_none());
            proposal.missing = lacking.copied().collect();
        }
        let voters = self.instances.get(&id).map_or(Voters::NONE, |i| i.voters(proof.epoch(), proof.digest()));
        if let Some(voter) = voters.iter().find(|r| *r != self.me) {
            self.fetch_bodies(now, voter, actions);
        }
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
        let epoch = self.epoch();
        let mut holders = Voters::NONE;
        for instance in self.instances.values() {
            if let Some(proposal) = instance.proposal(epoch).filter(|p| !p.missing.is_empty()) {
                holders = holders.iter().chain(instance.voters(epoch, proposal.digest).iter()).collect();
            }
        }
        holders.insert(self.leader());
        let next = holders.iter().find(|r| *r != self.me && !self.fetching.asked.contains(*r));
        let again = || holders.iter().find(|r| *r != self.me);
        if next.is_none() {
            self.fetching.asked = Voters::NONE;
        }
        if let Some(from) = next.or_else(again) {
            self.ask_for_bodies(now, from, actions);
        }
    }

    fn ask_for_bodies(&mut self, now: Time, from: ReplicaId, actions: &mut Vec<Action>) {
        let missing = self.instances.values().flat_map(|instance| instance.missing());
        let missing: Vec<Digest> = missing.take(BATCH_REQUESTS_MAX).collect();
        if missing.is_empty() {
            return;
        }
        self.fetching.asked.insert(from);
        self.fetching.due = Some(now.after(self.limits.fetch_interval));
        send(from, Message::FetchBodies(missing), actions);
    }
}
