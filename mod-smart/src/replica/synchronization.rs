//! The synchronization phase (thesis, algorithms 3 and 4): STOP, STOPDATA, SYNC, and what a regency begins with.
//!
//! A replica *wants* a regency when it asks the others to leave every earlier one. It *enters* a regency when a quorum
//! wants it: from then on it votes for nothing of an earlier one, and says in its STOPDATA where it stood. The regency
//! *begins* with its SYNC. Wanting is not leaving: until a quorum agrees, a replica goes on in the regency it is in.

use std::collections::BTreeMap;

use super::patience::StopReason;
use super::{Replica, report, send};
use crate::certificate::{SignedVote, WriteCertificate};
use crate::id::{Digest, InstanceId, Regency, ReplicaId, Time};
use crate::message::{Message, Status};
use crate::quorum::Voters;
use crate::record::Record;
use crate::selection::{self, Binding};
use crate::surface::{Action, MisbehaviourKind, Recipients, Statement};
use crate::synchronization::{Claim, Evidence, SignedStopData, StopData, Sync};

/// Where this replica stands in the sequence of regencies.
#[derive(Debug, Default)]
pub(crate) struct Regencies {
    /// The regency this replica is in.
    pub(crate) current: Regency,
    /// The SYNC of the newest regency that began here. None in the first, which needs none.
    pub(crate) sync: Option<Sync>,
    /// The highest regency every replica asked for, this one among them.
    stops: BTreeMap<ReplicaId, Regency>,
    /// The newest STOPDATA of every replica, for regencies that this one leads.
    collects: BTreeMap<ReplicaId, SignedStopData>,
    /// Votes of regencies that did not begin here yet: of each sender those of one regency.
    early: BTreeMap<ReplicaId, Vec<SignedVote>>,
    /// Why the last change was asked for here.
    pub(crate) reason: Option<StopReason>,
}

impl Regencies {
    /// Continues from the journal.
    pub(crate) fn recover(wanted: Regency, entered: Regency, sync: Option<Sync>, me: ReplicaId) -> Self {
        let begun = sync.as_ref().map_or(Regency(0), |sync| sync.regency);
        let current = entered.max(begun);
        let stops = BTreeMap::from([(me, wanted.max(current))]);
        Self { current, sync, stops, ..Self::default() }
    }

    /// Has the current regency begun here?
    pub(crate) fn is_synced(&self) -> bool {
        self.begun() == self.current
    }

    /// The highest regency this replica asked for, as far as the others know.
    pub(crate) fn wants(&self, replica: ReplicaId) -> Regency {
        self.stops.get(&replica).copied().unwrap_or_default()
    }

    /// A replica lost its disk: it does not stand by what it asked for.
    pub(crate) fn forget_stop(&mut self, replica: ReplicaId) {
        self.stops.remove(&replica);
    }

    fn begun(&self) -> Regency {
        self.sync.as_ref().map_or(Regency(0), |sync| sync.regency)
    }

    fn collects(&self) -> &[SignedStopData] {
        self.sync.as_ref().map_or(&[], |sync| &sync.collects)
    }

    /// Those who want this regency or a later one.
    fn wanting(&self, regency: Regency) -> Voters {
        self.stops.iter().filter(|(_, wanted)| **wanted >= regency).map(|(replica, _)| *replica).collect()
    }

    /// The highest regency among those wanted for which `enough` of the replicas are.
    fn highest_wanted(&self, enough: impl Fn(Voters) -> bool) -> Regency {
        let wanted = self.stops.values().copied().filter(|wanted| enough(self.wanting(*wanted)));
        wanted.max().unwrap_or_default()
    }
}

impl Replica {
    /// Asks the others to leave the current regency. Asking again says nothing new; the statement of standing repeats it.
    pub(super) fn stop(&mut self, now: Time, reason: StopReason, actions: &mut Vec<Action>) {
        let next = self.regencies.current.next();
        if self.is_silent() || self.regencies.wants(self.me) >= next {
            return;
        }
        self.regencies.reason = Some(reason);
        self.want(next, actions);
        self.follow_stops(now, actions);
    }

    /// STOP of another replica (Alg. 3 lines 5 to 10).
    pub(super) fn on_stop(&mut self, now: Time, sender: ReplicaId, wanted: Regency, actions: &mut Vec<Action>) {
        let known = self.regencies.stops.entry(sender).or_default();
        if wanted > *known {
            *known = wanted;
            self.follow_stops(now, actions);
        }
    }

    /// At `f + 1` heads one of them is correct and has a reason: this replica joins. At a quorum the regency is entered.
    pub(super) fn follow_stops(&mut self, now: Time, actions: &mut Vec<Action>) {
        let view = self.view.clone();
        let joined = self.regencies.highest_wanted(|voters| view.is_any_correct(voters));
        if joined > self.regencies.wants(self.me) && !self.is_silent() {
            self.regencies.reason = Some(StopReason::Joined);
            self.want(joined, actions);
        }
        let entered = self.regencies.highest_wanted(|voters| view.is_quorum(voters));
        if entered > self.regencies.current {
            self.enter(now, entered, actions);
        }
    }

    pub(super) fn want(&mut self, regency: Regency, actions: &mut Vec<Action>) {
        self.regencies.stops.insert(self.me, regency);
        actions.push(Action::Persist(Record::Stopped(regency)));
        actions.push(Action::Send(Recipients::Others, Message::Stop(regency)));
    }

    /// A quorum left every earlier regency (Alg. 3 line 11). What was seen of them is reported to the new leader.
    fn enter(&mut self, now: Time, regency: Regency, actions: &mut Vec<Action>) {
        assert!(regency > self.regencies.current, "regencies only grow");
        self.move_to(now, regency);
        self.retract(actions);
        actions.push(Action::Persist(Record::Entered(regency)));
        self.report_standing(actions);
        self.begin_when_enough(now, actions);
    }

    fn move_to(&mut self, now: Time, regency: Regency) {
        self.regencies.current = regency;
        let wanted = self.regencies.stops.entry(self.me).or_default();
        *wanted = regency.max(*wanted);
        self.patience.entered(now);
        self.pipeline.entered();
        let epoch = self.epoch();
        for instance in self.instances.values_mut() {
            instance.leave(epoch);
        }
        self.regencies.collects.retain(|_, collect| collect.data.regency >= regency);
        self.count_early();
    }

    /// Says STOPDATA to the leader of the current regency. It is computed anew each time: what it tells is durable, and
    /// grows only.
    pub(crate) fn report_standing(&mut self, actions: &mut Vec<Action>) {
        if self.is_silent() {
            return;
        }
        let mut claims = Vec::new();
        let open = self.delivered.next()..=InstanceId(self.delivered.0 + self.limits.instances_open_max);
        let epoch = self.epoch();
        for (_, instance) in self.instances.range(open) {
            if let Some(proof) = instance.proof() {
                claims.push(Claim::Decided(proof.clone()));
            } else if let Some(certificate) = instance.highest_certificate().filter(|c| c.epoch() < epoch) {
                if !instance.has_accepted(certificate.epoch()) {
                    actions.push(Action::Persist(Record::Certified(certificate.clone())));
                }
                claims.push(Claim::Written(certificate.clone()));
            }
        }
        let data = StopData { regency: self.regencies.current, delivered: self.delivered_by.clone(), claims };
        actions.push(Action::Sign(Recipients::One(self.leader()), Statement::StopData(data)));
    }

    /// STOPDATA for a regency that this replica leads (Alg. 3 lines 12 to 16). It was checked before it came here.
    pub(super) fn on_stop_data(&mut self, now: Time, collect: SignedStopData, actions: &mut Vec<Action>) {
        let (sender, regency) = (collect.sender, collect.data.regency);
        if self.view.leader(regency) != self.me || regency < self.regencies.current || self.is_silent() {
            return;
        }
        if regency == self.regencies.current && self.regencies.is_synced() {
            if let Some(sync) = self.regencies.sync.clone().filter(|_| sender != self.me) {
                send(sender, Message::Sync(sync), actions);
            }
            return;
        }
        let known = self.regencies.collects.get(&sender);
        if known.is_some_and(|known| known.data.regency > regency) {
            return;
        }
        self.regencies.collects.insert(sender, collect);
        self.begin_when_enough(now, actions);
    }

    /// As many STOPDATA as one may wait for are a SYNC, whether or not the STOPs before them were seen.
    fn begin_when_enough(&mut self, now: Time, actions: &mut Vec<Action>) {
        let heard = |regency: Regency| -> Voters {
            let collects = self.regencies.collects.iter();
            collects.filter(|(_, collect)| collect.data.regency == regency).map(|(sender, _)| *sender).collect()
        };
        let regencies = self.regencies.collects.values().map(|collect| collect.data.regency);
        let begins = regencies.filter(|regency| self.view.is_all_correct(heard(*regency))).max();
        let Some(regency) = begins.filter(|regency| *regency > self.regencies.begun()) else { return };
        let collects = std::mem::take(&mut self.regencies.collects).into_values();
        let collects = collects.filter(|collect| collect.data.regency == regency).collect();
        let sync = Sync { regency, collects };
        self.begin(now, sync, Recipients::Others, actions);
    }

    /// SYNC (Alg. 4): whoever shows it, its parts prove that the regency began.
    pub(super) fn on_sync(&mut self, now: Time, sync: Sync, actions: &mut Vec<Action>) {
        if sync.regency >= self.regencies.current && sync.regency > self.regencies.begun() {
            self.begin(now, sync, Recipients::One(self.me), actions);
        }
    }

    /// The regency begins. Every replica computes from the same parts what each instance is bound to.
    fn begin(&mut self, now: Time, sync: Sync, announce_to: Recipients, actions: &mut Vec<Action>) {
        actions.push(Action::Persist(Record::Synced(sync.clone())));
        if sync.regency > self.regencies.current {
            if self.regencies.wants(self.me) < sync.regency {
                self.regencies.reason = Some(StopReason::Shown);
            }
            self.move_to(now, sync.regency);
            self.retract(actions);
        }
        if announce_to == Recipients::Others {
            actions.push(Action::Send(announce_to, Message::Sync(sync.clone())));
        }
        for collect in &sync.collects {
            self.heard_of(now, collect.sender, collect.data.delivered.instance());
        }
        self.regencies.sync = Some(sync);
        self.adopt_proofs();
        actions.push(Action::Send(Recipients::Others, Message::Status(self.status())));
        self.open_next(now, actions);
        self.deliver_ready(now, actions);
    }

    /// Decisions that the SYNC proves are decisions here, too; their batches are fetched if they are not known.
    pub(crate) fn adopt_proofs(&mut self) {
        let first = self.delivered.next();
        for id in (first.0..first.0 + self.limits.instances_open_max).map(InstanceId) {
            if let Binding::Decided(proof) = self.binding(id) {
                let proof = proof.clone();
                if let Some(instance) = self.instance_mut(id) {
                    instance.adopt(proof);
                }
            }
        }
    }

    /// What the current regency's SYNC binds this instance to.
    pub(super) fn binding(&self, instance: InstanceId) -> Binding<'_> {
        if !self.regencies.is_synced() {
            return Binding::Unbound;
        }
        selection::binding(instance, self.regencies.collects())
    }

    /// Who can tell what the batch of a certificate is that the current regency's SYNC holds.
    pub(super) fn holders_of(&self, written: &WriteCertificate) -> Voters {
        selection::holders(written, self.regencies.collects())
    }

    /// The last instance that was delivered when the current regency began: nothing up to it may be proposed again.
    pub(super) fn base(&self) -> InstanceId {
        selection::last_delivered(self.regencies.collects()).instance()
    }

    /// Up to here instances may be filled with empty batches, because a later one is bound.
    pub(super) fn highest_bound(&self) -> InstanceId {
        selection::highest_bound(self.regencies.collects())
    }

    /// May this batch be proposed for this instance in the current regency?
    pub(super) fn is_bound_otherwise(&self, instance: InstanceId, digest: Digest) -> bool {
        match self.binding(instance).digest() {
            Some(bound) => bound != digest,
            None => instance <= self.base(),
        }
    }

    /// A vote of a regency that did not begin here yet waits for it. One owner, one regency for each sender, and no more
    /// than its votes for the instances that are open or early.
    pub(super) fn keep_early(&mut self, vote: SignedVote) {
        let kept_max = 2 * (self.limits.instances_open_max + self.limits.instances_early_max) as usize;
        let kept = self.regencies.early.entry(vote.voter).or_default();
        let known = kept.first().map(|earlier| earlier.vote.epoch);
        if known.is_some_and(|epoch| epoch < vote.vote.epoch) {
            kept.clear();
        } else if known.is_some_and(|epoch| epoch > vote.vote.epoch) || kept.len() >= kept_max {
            return;
        }
        if !kept.iter().any(|earlier| earlier.vote == vote.vote) {
            kept.push(vote);
        }
    }

    /// The votes of the regency just entered are counted; those of earlier ones are forgotten.
    fn count_early(&mut self) {
        let epoch = self.epoch();
        let view = self.view.clone();
        let (due, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.regencies.early)
            .into_iter()
            .filter(|(_, votes)| votes.first().is_some_and(|vote| vote.vote.epoch >= epoch))
            .partition(|(_, votes)| votes.first().is_some_and(|vote| vote.vote.epoch == epoch));
        self.regencies.early = rest.into_iter().collect();
        for vote in due.into_iter().flat_map(|(_, votes)| votes) {
            if let Some(instance) = self.instance_mut(vote.vote.instance) {
                let _ = instance.count(vote, &view);
            }
        }
    }

    /// A peer says which regency it is in. It is told what it lacks: our STOP, our STOPDATA, or the SYNC.
    pub(super) fn repair_regency(&mut self, now: Time, sender: ReplicaId, status: Status, actions: &mut Vec<Action>) {
        self.offer_to_forgetful(now, sender, status, actions);
        self.on_stop(now, sender, status.wants.max(status.regency), actions);
        self.grant_regency(now, sender, status, actions);
        let (current, synced) = (self.regencies.current, self.regencies.is_synced());
        let is_behind = status.regency < current || (status.regency == current && !status.is_synced);
        if is_behind
            && let Some(sync) = self.regencies.sync.clone()
            && (sync.regency > status.regency || (sync.regency == status.regency && !status.is_synced))
        {
            send(sender, Message::Sync(sync), actions);
        }
        let wants = self.regencies.wants(self.me);
        if status.wants < wants && status.regency < wants && !self.is_silent() {
            send(sender, Message::Stop(wants), actions);
        }
        if !synced && self.leader() == sender && status.regency <= current {
            self.report_standing(actions);
        }
    }

    /// A proposal that contradicts the SYNC: the leader can see as well as we do what is bound.
    pub(super) fn reject_unbound(&self, actions: &mut Vec<Action>) {
        report(self.leader(), MisbehaviourKind::UnboundProposal, actions);
    }

    /// What this replica reports as its last delivery.
    pub(super) fn set_delivered(&mut self, evidence: Evidence) {
        self.delivered = evidence.instance();
        self.delivered_by = evidence;
    }
}
