//! What a run came to, in numbers.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use mod_smart::{Decision, InstanceId, Regency};

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
    /// Envelopes in requests.
    pub envelopes: u64,
    /// Blocks certified, over all frontends.
    pub certified: u64,
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
        self.envelopes += other.envelopes;
        self.certified += other.certified;
        self.checkpoints += other.checkpoints;
        self.transfers += other.transfers;
        self.chunks += other.chunks;
        self.readmitted += other.readmitted;
        self.restarts += other.restarts;
        self.torn += other.torn;
        self.syncs_lost += other.syncs_lost;
        self.rejected += other.rejected;
        self.reports += other.reports;
        self.messages_lost += other.messages_lost;
        self.messages_repeated += other.messages_repeated;
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
