//! What a run came to, in numbers: at its end, and over its course.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;
use std::time::Duration;

use mod_smart::replica::StopReason;
use mod_smart::{Client, Decision, FaultModel, InstanceId, Message, Regency, ReplicaId, Time, View};

use super::checkers::Observation;

/// Figures of one run, or of many added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Instances that somebody correct was given.
    pub decisions: u64,
    /// The highest regency that somebody correct entered: leaders that were replaced.
    pub regency_changes: u64,
    /// Runs with at least one of these.
    pub runs_with_regency_change: u64,
    /// Requests that were made, and acknowledged.
    pub requests: u64,
    /// See `requests`.
    pub acknowledged: u64,
    /// Requests that found no room at a frontend.
    pub refused: u64,
    /// Envelopes in requests.
    pub envelopes: u64,
    /// Blocks certified, over all frontends.
    pub certified: u64,
    /// Blocks signed before their decision, over all replicas.
    pub foretold: u64,
    /// Times that a replica took back what was tentative.
    pub retractions: u64,
    /// Checkpoints saved, over all replicas.
    pub checkpoints: u64,
    /// States taken over from others.
    pub transfers: u64,
    /// Chunks of states given away.
    pub chunks: u64,
    /// Replicas that were silenced by the loss of their disk and speak again.
    pub readmitted: u64,
    /// Processes that started again.
    pub restarts: u64,
    /// Journals that ended in a torn write.
    pub torn: u64,
    /// Disks that lost what they had reported to be synced.
    pub syncs_lost: u64,
    /// Messages that were refused at the door.
    pub rejected: u64,
    /// Misbehaviour that replicas reported.
    pub reports: u64,
    /// Messages that the network lost.
    pub messages_lost: u64,
    /// Messages that the network repeated.
    pub messages_repeated: u64,
    /// Faults by kind; liars count once each.
    pub faults: BTreeMap<&'static str, u64>,
    /// What liars tried to smuggle into the chain, by kind.
    pub tricks: BTreeMap<&'static str, u64>,
    /// Configurations that came into force.
    pub configurations: u64,
    /// Hand-overs that a leader asked for.
    pub hand_overs: u64,
    /// Worlds by what is special about them.
    pub worlds: BTreeMap<&'static str, u64>,
    /// Virtual time in nanoseconds.
    pub time: u64,
    /// Of that, from the end of the faults until all was well.
    pub settling: u64,
    /// The longest that took.
    pub settling_max: u64,
    /// The most that was planned at any time.
    pub queue_max: usize,
    /// Events.
    pub events: u64,
    last: InstanceId,
    regency: Regency,
}

impl Counts {
    pub(super) fn on_delivered(&mut self, decision: &Decision) {
        if decision.instance > self.last {
            self.last = decision.instance;
            self.decisions += 1;
        }
    }

    pub(super) fn on_regency(&mut self, regency: Regency) {
        if regency > self.regency {
            self.regency_changes += regency.0 - self.regency.0;
            self.regency = regency;
            self.runs_with_regency_change = 1;
        }
    }

    pub(super) fn fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }

    pub(super) fn liars(&mut self, count: u64) {
        if count > 0 {
            *self.faults.entry("liar").or_default() += count;
        }
    }

    /// What is special about a world.
    pub(super) fn world(&mut self, view: &View, alpha: u64) {
        let weights: BTreeSet<_> = view.replicas().map(|one| view.weight(one)).collect();
        let is_weighted = weights.len() > 1;
        let is_special = [
            ("crash-only", view.fault_model() == FaultModel::Crash),
            ("weighted", is_weighted),
            ("window above 1", alpha > 1),
            ("order of leaders", view.replicas().any(|one| view.leader(Regency(one.0.into())) != one)),
        ];
        for (what, _) in is_special.into_iter().filter(|(_, is_so)| *is_so) {
            *self.worlds.entry(what).or_default() += 1;
        }
    }

    pub(super) fn trick(&mut self, kind: &'static str) {
        *self.tricks.entry(kind).or_default() += 1;
    }

    /// All faults.
    #[must_use]
    pub fn faults_total(&self) -> u64 {
        self.faults.values().sum()
    }
}

impl AddAssign<&Self> for Counts {
    fn add_assign(&mut self, other: &Self) {
        self.decisions += other.decisions;
        self.regency_changes += other.regency_changes;
        self.runs_with_regency_change += other.runs_with_regency_change;
        self.requests += other.requests;
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.envelopes += other.envelopes;
        self.certified += other.certified;
        self.checkpoints += other.checkpoints;
        self.transfers += other.transfers;
        self.chunks += other.chunks;
        self.foretold += other.foretold;
        self.retractions += other.retractions;
        self.readmitted += other.readmitted;
        self.restarts += other.restarts;
        self.torn += other.torn;
        self.syncs_lost += other.syncs_lost;
        self.rejected += other.rejected;
        self.reports += other.reports;
        self.messages_lost += other.messages_lost;
        self.messages_repeated += other.messages_repeated;
        for (kind, count) in &other.tricks {
            *self.tricks.entry(kind).or_default() += count;
        }
        self.configurations += other.configurations;
        self.hand_overs += other.hand_overs;
        for (kind, count) in &other.worlds {
            *self.worlds.entry(kind).or_default() += count;
        }
        for (kind, count) in &other.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        self.time += other.time;
        self.settling += other.settling;
        self.settling_max = self.settling_max.max(other.settling_max);
        self.queue_max = self.queue_max.max(other.queue_max);
        self.events += other.events;
    }
}

/// What was delivered when, and who asked for another leader.
#[derive(Clone, Debug)]
pub struct Course {
    interval: Duration,
    /// Clients' requests that somebody correct was given first in each interval from the beginning on.
    delivered: Vec<u64>,
    last: InstanceId,
    /// Why each replica last asked for another regency, as it says itself.
    reasons: BTreeMap<ReplicaId, StopReason>,
    /// Who asked for which regency: when, and why.
    asked: BTreeMap<(Regency, ReplicaId), (Time, StopReason)>,
    /// When somebody correct first was in a regency.
    entered: BTreeMap<Regency, Time>,
}

impl Course {
    pub(super) const fn new(interval: Duration) -> Self {
        Self {
            interval,
            delivered: Vec::new(),
            last: InstanceId(0),
            reasons: BTreeMap::new(),
            asked: BTreeMap::new(),
            entered: BTreeMap::new(),
        }
    }

    pub(super) fn observe(&mut self, now: Time, seen: &Observation<'_>) {
        match seen {
            Observation::Delivered(_, decision) if decision.instance > self.last => {
                self.last = decision.instance;
                let at = (u128::from(now.0) / self.interval.as_nanos()) as usize;
                if self.delivered.len() <= at {
                    self.delivered.resize(at + 1, 0);
                }
                let is_clients = |client| matches!(client, Client::Frontend(_));
                let requests = decision.requests.iter().filter(|request| is_clients(request.value().id.client));
                self.delivered[at] += requests.count() as u64;
            }
            Observation::Stepped(id, replica) => {
                if let Some(reason) = replica.last_stop_reason() {
                    self.reasons.insert(*id, reason);
                }
                self.entered.entry(replica.regency()).or_insert(now);
            }
            Observation::Sent(id, Message::Stop(regency)) => {
                if let Some(reason) = self.reasons.get(id) {
                    self.asked.entry((*regency, *id)).or_insert((now, *reason));
                }
            }
            _ => {}
        }
    }

    /// Requests delivered per second between two times, rounded to whole intervals.
    #[must_use]
    pub fn rate(&self, from: Duration, to: Duration) -> f64 {
        let at = |time: Duration| (time.as_nanos() / self.interval.as_nanos()) as usize;
        let (from, to) = (at(from), at(to));
        let delivered: u64 = self.delivered.iter().skip(from).take(to.saturating_sub(from)).sum();
        delivered as f64 / (self.interval.as_secs_f64() * to.saturating_sub(from).max(1) as f64)
    }

    /// When somebody correct first was in this regency.
    #[must_use]
    pub fn entered(&self, regency: Regency) -> Option<Duration> {
        self.entered.get(&regency).map(|at| Duration::from_nanos(at.0))
    }

    /// Who of the correct replicas asked for another regency: for which one, when, and why.
    pub fn asked(&self) -> impl Iterator<Item = (Regency, ReplicaId, Duration, StopReason)> {
        self.asked.iter().map(|((regency, id), (at, reason))| (*regency, *id, Duration::from_nanos(at.0), *reason))
    }
}
