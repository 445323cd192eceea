//! A replica whose disk was lost says nothing until it has passed whatever it may have signed before.
//!
//! It asks all where the group stands. Two quorums, each with itself in it, answer two questions. *How far can I have
//! voted?* A vote for instance `i` implies that the voter had delivered `i - alpha`; a quorum accepted that one, and each
//! of its members had delivered `alpha` less. So the highest delivery among a quorum of answers plus twice `alpha` lies at or
//! beyond every vote. *Which regencies can I have entered?* Whoever enters a regency has a quorum that wanted it, and a correct
//! member of that never wants less again. So the highest regency wanted among a quorum of answers is no lower. Any quorum
//! will do, so the one with the lowest claims counts, and a liar gains nothing by a high one.
//!
//! That is not needed for a member that comes for the first time: if every other one has been here since its own first
//! start and never heard it say anything, there is nothing to contradict.
//!
//! Where replicas only crash an ACCEPT follows from a proposal alone, and no quorum that wrote stands behind it: who never voted
//! proves nothing then. One replica at a time may have lost its disk; it hears so many that the rest with it are no quorum, or
//! all of them know of nothing at all.
//!
//! The replica speaks again when it has delivered the first, holds a stable checkpoint from there, and is in a later regency
//! than the second. If that is all that it lacks, it asks for one, and correct replicas grant it: rarely, because a liar may
//! ask as well. `PROTOCOL.md` has the argument for safety.

use std::collections::{BTreeMap, BTreeSet};

use super::patience::StopReason;
use super::{Replica, send};
use crate::id::{InstanceId, Regency, ReplicaId, Time};
use crate::instance::Instance;
use crate::limits::BATCH_REQUESTS_MAX;
use crate::message::{Message, ProbeReply, Status};
use crate::quorum::{View, Voters};
use crate::record::{Record, Silence, Until};
use crate::surface::{Action, Recipients};

/// Whether this replica may speak, and whom it helped to speak again.
#[derive(Debug, Default)]
pub(crate) struct Probation {
    /// None if it may.
    silent: Option<Silent>,
    /// When it last asked for a regency on behalf of another replica.
    granted: BTreeMap<ReplicaId, Time>,
    /// Who was silent when it was last heard.
    forgetful: BTreeSet<ReplicaId>,
    /// When it last told another replica what waits here.
    offered: BTreeMap<ReplicaId, Time>,
    /// Who said here what it would have to remember, since this replica started.
    heard: Voters,
    /// Is this not the first start of this replica, so that more may have been heard before?
    has_past: bool,
}

/// What a silent replica knows.
#[derive(Debug)]
struct Silent {
    silence: Silence,
    /// What was known before the last restart. It still holds.
    known: Option<Until>,
    answers: BTreeMap<ReplicaId, Answered>,
    /// When the first question was asked.
    since: Option<Time>,
    /// When to ask those again that did not answer.
    due: Time,
}

/// An answer to the current probe.
#[derive(Clone, Copy, Debug)]
struct Answered {
    is_pristine: bool,
    is_stranger: bool,
    delivered: InstanceId,
    wants: Regency,
}

impl Probation {
    /// A replica that must be silent, or need not.
    pub(crate) fn recover(silence: Option<Silence>, has_past: bool) -> Self {
        let silent = silence.map(|silence| Silent {
            silence,
            known: silence.until,
            answers: BTreeMap::new(),
            since: None,
            due: Time(0),
        });
        Self { silent, has_past, ..Self::default() }
    }

    /// Notes that somebody speaks who is not silent.
    pub(crate) fn hear(&mut self, sender: ReplicaId, message: &Message) {
        let speaks = match message {
            Message::Status(status) => !status.is_silent,
            Message::Propose(_) | Message::Vote(_) | Message::StopData(_) | Message::Checkpoint(_) => true,
            _ => false,
        };
        if speaks {
            self.heard.insert(sender);
        }
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.silent.as_ref().map(|silent| silent.due)
    }

    /// What the journal must hold of it.
    pub(crate) fn record(&self) -> Option<Record> {
        self.silent.as_ref().map(|silent| Record::Silent(silent.silence))
    }
}

impl Silent {
    /// What the answers come to. A group that tolerates no fault may stay without one for ever: it lost too much.
    fn until(&self, me: ReplicaId, view: &View, instances_open_max: u64) -> Option<Until> {
        // A group that has delivered something has begun, whatever those say that know of nothing.
        let has_begun = self.answers.values().any(|answer| answer.delivered.0 > 0);
        let passed = |answer: &Answered| match answer.is_pristine && !has_begun && view.has_writes() {
            true => 0,
            false => answer.delivered.0.saturating_add(2 * instances_open_max),
        };
        let answers = || self.answers.iter();
        let delivered = lowest_of_quorum(me, view, answers().map(|(id, answer)| (passed(answer), *id)).collect());
        let regency = lowest_of_quorum(me, view, answers().map(|(id, answer)| (answer.wants.0, *id)).collect());
        let told = delivered.zip(regency);
        let told = told.map(|(at, in_)| Until { delivered: InstanceId(at), regency: Regency(in_) });
        match (told, self.known) {
            (Some(told), Some(known)) => {
                Some(Until { delivered: told.delivered.min(known.delivered), regency: told.regency.min(known.regency) })
            }
            (told, known) => told.or(known),
        }
    }

    /// Has every other member of the group answered that it never heard this one? Or, where replicas only crash, that it knows
    /// of nothing that anybody said? Then whatever this one may have said is lost with those who heard it.
    fn is_newcomer(&self, view: &View) -> bool {
        let all = |is_so: fn(&Answered) -> bool| self.answers.values().all(is_so);
        let knows_nothing = |answer: &Answered| answer.is_pristine && answer.wants.0 == 0;
        self.answers.len() + 1 == view.n()
            && (all(|answer| answer.is_stranger) || !view.has_writes() && all(knows_nothing))
    }
}

/// The smallest number for which those who name it or less are, with this replica, a quorum.
fn lowest_of_quorum(me: ReplicaId, view: &View, mut named: Vec<(u64, ReplicaId)>) -> Option<u64> {
    named.sort_unstable();
    let mut voters: Voters = [me].into_iter().collect();
    named.into_iter().find_map(|(number, replica)| {
        voters.insert(replica);
        view.is_quorum_of_witnesses(voters).then_some(number)
    })
}

impl Replica {
    /// Must this replica stay silent: no vote, no proposal, no STOP, no STOPDATA, no checkpoint vote?
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.probation.silent.is_some()
    }

    /// Tells a replica whose disk was lost where we stand.
    pub(super) fn on_probe(&mut self, now: Time, sender: ReplicaId, nonce: u64, actions: &mut Vec<Action>) {
        let interval = self.limits.fetch_interval / 2;
        if sender == self.me || !self.peers.entry(sender).or_default().may_answer_probe(now, interval) {
            return;
        }
        // It does not remember what it wanted, so that counts for nothing any more.
        self.regencies.forget_stop(sender);
        let wants = self.regencies.wants(self.me).max(self.regencies.current);
        let reply = ProbeReply {
            nonce,
            is_pristine: self.is_pristine(),
            is_stranger: !self.probation.has_past && !self.probation.heard.contains(sender),
            delivered: self.delivered_by.clone(),
            wants,
        };
        send(sender, Message::ProbeReply(reply), actions);
    }

    /// Nothing was delivered here, and this replica never voted. What others say plays no part: behind an ACCEPT that the
    /// asker may have forgotten stands a quorum that wrote, and what a correct member of it wrote is in its journal. Where
    /// replicas only crash nothing stands behind it, so nothing may have been heard of any instance either.
    fn is_pristine(&self) -> bool {
        let is_untouched = match self.view.has_writes() {
            true => !self.instances.values().any(Instance::has_voted),
            false => self.instances.is_empty(),
        };
        self.delivered.0 == 0 && is_untouched
    }

    pub(super) fn on_probe_reply(&mut self, sender: ReplicaId, reply: &ProbeReply, actions: &mut Vec<Action>) {
        let (me, open_max) = (self.me, self.limits.instances_open_max);
        let Some(silent) = self.probation.silent.as_mut().filter(|silent| silent.silence.nonce == reply.nonce) else {
            return;
        };
        let answered = Answered {
            is_pristine: reply.is_pristine && reply.delivered.instance().0 == 0,
            is_stranger: reply.is_stranger,
            delivered: reply.delivered.instance(),
            wants: reply.wants,
        };
        // The first answer counts: a later one names no less.
        silent.answers.entry(sender).or_insert(answered);
        let until = silent.until(me, &self.view, open_max);
        if until != silent.silence.until {
            silent.silence.until = until;
            actions.push(Action::Persist(Record::Silent(silent.silence)));
        }
    }

    /// Asks a peer whose link came up, without waiting for the next round: members of a new group start at different times.
    pub(super) fn probe(&self, peer: ReplicaId, actions: &mut Vec<Action>) {
        let asking = self.probation.silent.as_ref().filter(|silent| !silent.answers.contains_key(&peer));
        if let Some(silent) = asking {
            send(peer, Message::Probe(silent.silence.nonce), actions);
        }
    }

    pub(super) fn probe_when_due(&mut self, now: Time, actions: &mut Vec<Action>) {
        let others = self.view.replicas().filter(|replica| *replica != self.me);
        let Some(silent) = self.probation.silent.as_mut().filter(|silent| now >= silent.due) else { return };
        silent.since.get_or_insert(now);
        silent.due = now.after(self.limits.status_interval);
        for replica in others.filter(|replica| !silent.answers.contains_key(replica)) {
            send(replica, Message::Probe(silent.silence.nonce), actions);
        }
    }

    /// Ends the silence when nothing stands against it any more. Called after each event.
    pub(super) fn end_silence_if_due(&mut self, now: Time, actions: &mut Vec<Action>) {
        let Some(silent) = &self.probation.silent else { return };
        if silent.is_newcomer(&self.view) {
            return self.end_silence(now, actions);
        }
        let Some(until) = silent.silence.until else { return };
        if self.delivered < until.delivered || self.checkpoints.stable_instance() < until.delivered {
            return;
        }
        if self.regencies.current > until.regency {
            return self.end_silence(now, actions);
        }
        let is_founding = until.delivered.0 == 0 && silent.answers.len() + 1 < self.view.n();
        let is_waiting = silent.since.is_none_or(|since| now < since.after(self.limits.founding_patience));
        let wish = until.regency.next();
        if (!is_founding || !is_waiting) && wish <= self.farthest_regency() && self.regencies.wants(self.me) < wish {
            self.regencies.reason = Some(StopReason::Readmission);
            self.want(wish, actions);
            self.follow_stops(now, actions);
            // Alone it may be a quorum: then the regency was entered with this.
            self.end_silence_if_due(now, actions);
        }
    }

    /// From here on this replica speaks: first where it stands, if the regency it is in did not begin yet.
    fn end_silence(&mut self, now: Time, actions: &mut Vec<Action>) {
        self.probation.silent = None;
        actions.push(Action::Persist(Record::Readmitted));
        self.patience.restart(now);
        if !self.regencies.is_synced() {
            self.report_standing(actions);
        }
        actions.push(Action::Send(Recipients::Others, Message::Status(self.status())));
        self.open_next(now, actions);
        self.deliver_ready(now, actions);
    }

    /// A silent replica asks for a later regency, to speak from there on. Nothing proves that it needs it, so each
    /// replica is granted this once in a long while.
    pub(super) fn grant_regency(&mut self, now: Time, sender: ReplicaId, status: Status, actions: &mut Vec<Action>) {
        let current = self.regencies.current;
        if !status.is_silent || status.wants <= current || self.is_silent() || !self.regencies.is_synced() {
            return;
        }
        let interval = self.limits.readmission_interval;
        let is_granted = self.probation.granted.get(&sender).is_some_and(|at| now < at.after(interval));
        if is_granted || self.regencies.wants(self.me) > current {
            return;
        }
        self.probation.granted.insert(sender, now);
        self.regencies.reason = Some(StopReason::Readmission);
        self.want(status.wants.min(self.farthest_regency()), actions);
        self.follow_stops(now, actions);
    }

    /// A replica that was silent and speaks again once said of some requests that it holds them, and forgot. Whoever holds them
    /// too offers them, so that it holds them again: or the next disk that is lost may be the last one.
    pub(super) fn offer_to_forgetful(
        &mut self,
        now: Time,
        sender: ReplicaId,
        status: Status,
        actions: &mut Vec<Action>,
    ) {
        if status.is_silent {
            self.probation.forgetful.insert(sender);
            return;
        }
        let interval = self.limits.readmission_interval;
        let is_offered = self.probation.offered.get(&sender).is_some_and(|at| now < at.after(interval));
        if is_offered || !self.probation.forgetful.remove(&sender) {
            return;
        }
        self.probation.offered.insert(sender, now);
        self.offer_to(Recipients::One(sender), self.pending.eldest(BATCH_REQUESTS_MAX), actions);
    }

    /// No correct replica wants a regency beyond this one on its own: a liar cannot use up the numbers.
    fn farthest_regency(&self) -> Regency {
        Regency(self.regencies.current.0.saturating_add(2 * self.view.n() as u64))
    }
}
