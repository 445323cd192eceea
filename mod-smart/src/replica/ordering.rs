//! Ordering one instance: PROPOSE, WRITE, ACCEPT (thesis, algorithms 5 and 6).

use std::collections::BTreeSet;

use super::{Replica, report};
use crate::certificate::{Proof, SignedVote, Vote, VoteKind};
use crate::id::{Digest, InstanceId, ReplicaId, Time};
use crate::instance::Progress;
use crate::message::{Message, Propose};
use crate::record::Record;
use crate::sessions::Sessions;
use crate::surface::{Action, MisbehaviourKind, Recipients, Statement};

impl Replica {
    /// The leader proposes for every open instance that has no proposal yet (Alg. 1 lines 6 to 9): what the SYNC binds
    /// it to, or what waits, or nothing, where a later instance is bound.
    pub(super) fn propose(&mut self, now: Time, actions: &mut Vec<Action>) {
        self.pipeline.waits_until = None;
        if self.leader() != self.me || !self.is_voting() {
            return;
        }
        let (epoch, open) = (self.epoch(), self.delivered.0 + 1..=self.delivered.0 + self.limits.instances_open_max);
        for id in open.map(InstanceId) {
            let instance = self.instances.get(&id);
            if let Some(proof) = instance.and_then(|instance| instance.proof()) {
                if instance.is_some_and(|instance| instance.batch(proof.digest()).is_some()) {
                    continue;
                }
                // What is decided must be known before anything fresh follows it, or a request could be proposed twice.
                return self.fetch_missing(now, None, actions);
            }
            if instance.is_some_and(|instance| instance.proposal(epoch).is_some()) {
                continue;
            }
            if self.is_bound(id) {
                match self.bound_batch(id) {
                    Some(requests) => self.propose_bound(now, Propose { instance: id, epoch, requests }, actions),
                    None => return self.fetch_missing(now, None, actions),
                }
                continue;
            }
            if self.holds_back(now, id) {
                return;
            }
            let Some(requests) = self.next_batch(id) else { return };
            if requests.is_empty() && id >= self.highest_bound() {
                return;
            }
            self.on_proposed(now, id);
            let propose = Propose { instance: id, epoch, requests };
            actions.push(Action::Persist(Record::Proposed(propose.clone())));
            self.take_proposal(now, propose.clone(), actions);
            actions.push(Action::Send(Recipients::Others, Message::Propose(propose)));
        }
    }

    /// What waits for a batch of this instance. `None` while that cannot be said, because bodies below it are missing.
    fn next_batch(&mut self, id: InstanceId) -> Option<Vec<Digest>> {
        if self.pending.is_empty() {
            return Some(Vec::new());
        }
        let epoch = self.epoch();
        let open = self.instances.iter();
        let proposed: BTreeSet<Digest> =
            open.flat_map(|(id, instance)| instance.proposed(epoch, self.binding(*id).digest())).collect();
        let later = if id == self.delivered.next() { None } else { Some(self.sessions_before(id)?) };
        Some(self.pending.next_batch(&proposed, later.as_ref().unwrap_or(&self.sessions), &self.limits))
    }

    /// The sessions as they will be when everything open below this instance is delivered: that is the state in which the
    /// followers judge a batch. What is fresh now need not be then, since a client can end a session. `None` while a body is
    /// missing.
    fn sessions_before(&self, id: InstanceId) -> Option<Sessions> {
        let (epoch, mut sessions) = (self.epoch(), self.sessions.clone());
        for (open, instance) in self.instances.range(self.delivered.next()..id) {
            let bound = instance.proof().map(Proof::digest).or_else(|| self.binding(*open).digest());
            let batch = match bound {
                Some(digest) => instance.batch(digest)?,
                None => instance.proposal(epoch).map_or(&[][..], |proposal| &proposal.propose.requests),
            };
            for digest in batch {
                sessions.order(self.pending.body(*digest)?.value().id, *open);
            }
        }
        Some(sessions)
    }

    /// Is this instance not free for any batch: bound by the SYNC, or delivered before the regency began?
    pub(super) fn is_bound(&self, id: InstanceId) -> bool {
        id <= self.base() || self.binding(id).digest().is_some()
    }

    /// The requests of the batch that this instance is bound to, if they are known here.
    fn bound_batch(&self, id: InstanceId) -> Option<Vec<Digest>> {
        let digest = self.binding(id).digest()?;
        Some(self.instances.get(&id)?.batch(digest)?.to_vec())
    }

    /// A bound batch is proposed again as it is: it was valid when a quorum wrote it, and nothing about it can have become
    /// too old since. Its bodies may still have to be fetched.
    fn propose_bound(&mut self, now: Time, propose: Propose, actions: &mut Vec<Action>) {
        let id = propose.instance;
        actions.push(Action::Persist(Record::Proposed(propose.clone())));
        actions.push(Action::Send(Recipients::Others, Message::Propose(propose.clone())));
        if let Some(instance) = self.instance_mut(id)
            && instance.propose(propose).is_ok()
        {
            self.examine(now, id, actions);
        }
    }

    /// PROPOSE from the leader (Alg. 6 lines 1 to 5). Only the leader of the epoch may propose, and only once.
    pub(super) fn on_propose(&mut self, now: Time, sender: ReplicaId, propose: Propose, actions: &mut Vec<Action>) {
        let (id, epoch) = (propose.instance, propose.epoch);
        if id <= self.delivered || epoch != self.epoch() {
            return;
        }
        if sender != self.leader() {
            return report(sender, MisbehaviourKind::NotLeader, actions);
        }
        if self.is_far_ahead(id) {
            self.on_far_ahead(now, sender, id, actions);
        }
        let Some(instance) = self.instance_mut(id) else { return };
        if instance.propose(propose).is_err() {
            return report(sender, MisbehaviourKind::Equivocation, actions);
        }
        if self.is_open(id) {
            self.examine(now, id, actions);
            self.deliver_ready(now, actions);
        }
    }

    /// Instances came into the window, or a regency began: what arrived early for them is looked at now.
    pub(crate) fn open_next(&mut self, now: Time, actions: &mut Vec<Action>) {
        let epoch = self.epoch();
        for id in (self.delivered.0 + 1..=self.delivered.0 + self.limits.instances_open_max).map(InstanceId) {
            self.examine(now, id, actions);
            if self.instances.get(&id).is_some_and(|instance| instance.certificate(epoch).is_some()) {
                self.accept(now, id, actions);
            }
        }
    }

    /// A vote (Alg. 6 lines 6 to 14). Its signature was checked before it came here. Votes of a regency that was left
    /// count for nothing any more.
    pub(super) fn on_vote(&mut self, now: Time, vote: SignedVote, actions: &mut Vec<Action>) {
        let id = vote.vote.instance;
        if vote.vote.kind == VoteKind::Write && !self.view.has_writes() {
            return;
        }
        if id <= self.delivered || vote.vote.epoch < self.epoch() {
            return;
        }
        if vote.vote.epoch > self.epoch() {
            return self.keep_early(vote);
        }
        if self.is_far_ahead(id) {
            self.on_far_ahead(now, vote.voter, id, actions);
        }
        let view = self.view.clone();
        let Some(instance) = self.instance_mut(id) else { return };
        match instance.count(vote, &view) {
            Progress::None => {}
            Progress::Double => report(vote.voter, MisbehaviourKind::DoubleVote, actions),
            Progress::Certified if self.is_open(id) => self.accept(now, id, actions),
            Progress::Certified => {}
            Progress::Decided => self.deliver_ready(now, actions),
        }
    }

    /// Looks at the proposal of an open instance: may it be proposed, is the batch valid, is every body here? Then this
    /// replica writes.
    pub(super) fn examine(&mut self, now: Time, id: InstanceId, actions: &mut Vec<Action>) {
        let epoch = self.epoch();
        let Some(proposal) = self.instances.get(&id).and_then(|instance| instance.proposal(epoch)) else { return };
        if proposal.valid || !self.is_voting() {
            return;
        }
        if self.is_bound_otherwise(id, proposal.digest) {
            return self.reject_unbound(actions);
        }
        let requests = proposal.propose.requests.clone();
        if !self.is_valid(id, &requests) {
            return self.reject_invalid(id, actions);
        }
        let missing: BTreeSet<Digest> = requests.into_iter().filter(|d| self.pending.body(*d).is_none()).collect();
        let complete = missing.is_empty();
        if let Some(proposal) = self.instances.get_mut(&id).and_then(|instance| instance.proposal_mut(epoch)) {
            proposal.valid = true;
            proposal.missing = missing;
        }
        if complete {
            self.write(now, id, actions);
        } else {
            self.fetch_missing(now, Some(self.leader()), actions);
        }
    }

    /// The predicate gamma: a batch is not empty, within its bounds, names nothing twice, and nothing in it was ordered
    /// before or lies outside its client's window. A function of the batch and the delivered state; bodies that are not
    /// here are looked at when they come. Which requests *wait* here plays no part.
    ///
    /// A batch that the SYNC binds was valid when a quorum wrote it: nothing that depends on the state since is asked of
    /// it. An empty batch fills an instance below a bound one.
    fn is_valid(&self, id: InstanceId, requests: &[Digest]) -> bool {
        if self.is_bound(id) {
            return true;
        }
        if requests.is_empty() {
            return id < self.highest_bound();
        }
        let distinct: BTreeSet<&Digest> = requests.iter().collect();
        if requests.len() > self.limits.batch_requests_max || distinct.len() != requests.len() {
            return false;
        }
        let bodies = || requests.iter().filter_map(|digest| self.pending.body(*digest));
        let bytes: usize = bodies().map(|request| request.bytes().len()).sum();
        let mut ids = BTreeSet::new();
        bodies().all(|request| self.is_fresh(request) && ids.insert(request.value().id))
            && (requests.len() == 1 || bytes <= self.limits.batch_bytes_max)
    }

    /// Our own proposal: recorded as a follower would, without a detour over the network, since it is durable before
    /// anything that follows from it leaves.
    fn take_proposal(&mut self, now: Time, propose: Propose, actions: &mut Vec<Action>) {
        let (id, epoch) = (propose.instance, propose.epoch);
        let Some(instance) = self.instance_mut(id) else { return };
        if instance.propose(propose).is_err() {
            return;
        }
        if let Some(proposal) = instance.proposal_mut(epoch) {
            proposal.valid = true;
        }
        self.write(now, id, actions);
    }

    /// Bodies came: proposals that waited for nothing else are examined again, now that all of them can be seen.
    pub(super) fn supply(&mut self, now: Time, digest: Digest, actions: &mut Vec<Action>) {
        let epoch = self.epoch();
        let waiting: Vec<InstanceId> =
            self.instances.iter_mut().filter_map(|(id, instance)| instance.supply(digest).then_some(*id)).collect();
        let is_voting = self.is_voting();
        for id in waiting.into_iter().filter(|_| is_voting) {
            let Some(proposal) = self.instances.get(&id).and_then(|instance| instance.proposal(epoch)) else {
                continue;
            };
            if !proposal.valid || !proposal.missing.is_empty() {
                continue;
            }
            if self.is_valid(id, &proposal.propose.requests.clone()) {
                self.write(now, id, actions);
            } else {
                self.reject_invalid(id, actions);
            }
        }
        self.deliver_ready(now, actions);
    }

    /// An invalid batch convicts its leader only when everything before it is delivered here. Until then a client's window may
    /// still move with what the leader has delivered already; the batch is looked at again after each delivery.
    fn reject_invalid(&mut self, id: InstanceId, actions: &mut Vec<Action>) {
        if id == self.delivered.next() {
            return report(self.leader(), MisbehaviourKind::InvalidBatch, actions);
        }
        let epoch = self.epoch();
        if let Some(proposal) = self.instances.get_mut(&id).and_then(|instance| instance.proposal_mut(epoch)) {
            proposal.valid = false;
        }
    }

    /// Casts WRITE: every body is in the journal by an earlier action, and so are the batch and this vote before it
    /// leaves. Whoever wrote a batch can tell a later leader what it was. Where nobody lies that is enough to accept it.
    fn write(&mut self, now: Time, id: InstanceId, actions: &mut Vec<Action>) {
        let epoch = self.epoch();
        let (leads, is_open) = (self.leader() == self.me, self.is_open(id));
        let has_writes = self.view.has_writes();
        let Some(instance) = self.instances.get_mut(&id).filter(|_| is_open) else { return };
        let Some(proposal) = instance.proposal(epoch) else { return };
        let (digest, propose) = (proposal.digest, proposal.propose.clone());
        let is_new = match has_writes {
            true => instance.write_once(epoch, digest),
            false => instance.certify_unvoted(id, epoch, digest),
        };
        if is_new && !leads {
            actions.push(Action::Persist(Record::Proposed(propose)));
        }
        if !has_writes {
            self.accept(now, id, actions);
        } else if is_new {
            cast(Vote { kind: VoteKind::Write, instance: id, epoch, digest }, actions);
        }
    }

    /// A quorum wrote: the certificate is made durable and ACCEPT is cast. It binds the instance for later regencies.
    fn accept(&mut self, now: Time, id: InstanceId, actions: &mut Vec<Action>) {
        let epoch = self.epoch();
        if !self.is_voting() {
            return;
        }
        let Some(instance) = self.instances.get_mut(&id) else { return };
        let Some(certificate) = instance.certificate(epoch).cloned() else { return };
        let digest = certificate.digest();
        if instance.accept_once(epoch, digest) {
            actions.push(Action::Persist(Record::Certified(certificate)));
            cast(Vote { kind: VoteKind::Accept, instance: id, epoch, digest }, actions);
            self.patience.certified(now, id);
        }
    }
}

/// Makes a vote durable, then has it signed and sent to everybody, ourselves included.
pub(crate) fn cast(vote: Vote, actions: &mut Vec<Action>) {
    actions.push(Action::Persist(Record::Voted(vote)));
    actions.push(Action::Sign(Recipients::All, Statement::Vote(vote)));
}
