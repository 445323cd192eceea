//! How slow a leader may be, and what that is measured by.
//!
//! The measure is the *accept time*: from a WRITE certificate to the delivery, as the replicas report it to each other. The
//! `f + 1`-th smallest report counts: at least one correct replica sees no less. That is not enough against a leader that
//! lies: if it keeps one correct replica waiting and its own ACCEPT back, a quorum has to wait, and everybody but the one
//! sees votes that take long. So what is measured under a leader raises its own limits only so far; beyond that it takes
//! what was measured under `f` others, which with it are `f + 1`, so that one of them is correct.

use std::time::Duration;

use crate::id::{Regency, ReplicaId, Time};
use crate::quorum::Voters;
use crate::replica::Replica;

/// The pace of the current leader over a window of instances.
#[derive(Debug, Default)]
pub(super) struct Pace {
    pub(super) since: Time,
    instances: u64,
    total: Duration,
}

/// What was measured in a regency.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) accept_time: Duration,
    /// Average over the last long window.
    pub(super) pace: Option<Duration>,
}

impl Pace {
    pub(super) fn beginning(now: Time) -> Self {
        Self { since: now, ..Self::default() }
    }

    pub(super) fn add(&mut self, taken: Duration) {
        self.instances += 1;
        self.total += taken;
    }

    /// The average, if the window is over; then the next one begins.
    fn end(&mut self, now: Time, instances: u64) -> Option<Duration> {
        if self.instances < instances || now < self.since.after(PACE_TIME_MIN) {
            return None;
        }
        let ended = std::mem::replace(self, Self::beginning(now));
        Some(ended.total / u32::try_from(ended.instances).unwrap_or(u32::MAX))
    }
}

impl Replica {
    /// The time from a certificate to the delivery that the group agrees on.
    fn agreed_accept_time(&self) -> Duration {
        let own = Duration::from_nanos(self.patience.accept_time);
        let reports = self.patience.reports.iter().map(|(peer, time)| (Duration::from_nanos(*time), *peer));
        self.confirmed(reports.chain([(own, self.me)]), Voters::NONE).unwrap_or(own)
    }

    /// As much of that as does not rest on the word of the leader that is judged by it.
    pub(super) fn trusted_accept_time(&self) -> Duration {
        let agreed = self.agreed_accept_time();
        let leader = [self.leader()].into_iter().collect();
        if self.view.is_any_correct(leader) {
            return agreed;
        }
        let others = self.judged_others().map(|(leader, judged)| (judged.accept_time, leader));
        agreed.min(self.confirmed(others, leader).unwrap_or_default().max(ACCEPT_TIME_UNSHOWN_MAX))
    }

    /// The least time that a correct replica answers for, if these were heard already: one of the witnesses up to it is.
    fn confirmed(&self, times: impl Iterator<Item = (Duration, ReplicaId)>, mut heard: Voters) -> Option<Duration> {
        let mut times: Vec<_> = times.collect();
        times.sort_unstable();
        let is_last = |witness| heard.insert(witness) && self.view.is_any_correct(heard);
        times.iter().map(|(_, witness)| *witness).position(is_last).map(|at| times[at].0)
    }

    /// The other replicas' last regencies, as far as they were judged in them.
    fn judged_others(&self) -> impl Iterator<Item = (ReplicaId, &Judged)> {
        let current = self.regencies.current;
        let oldest = Regency(current.0.saturating_sub(self.view.n() as u64 - 1));
        self.patience.judged.range(oldest..current).map(|(regency, judged)| (self.view.leader(*regency), judged))
    }

    /// Looks at the windows that have ended.
    pub(super) fn is_leader_slow(&mut self, now: Time) -> bool {
        let (regency, agreed, fine) = (self.regencies.current, self.agreed_accept_time(), self.fine_limit());
        let floor = self.limits.pace_floor.max(self.allowed());
        let coarse = self.trusted_accept_time().saturating_mul(ACCEPT_TIMES_PER_INSTANCE).max(floor);
        let leads = self.leader() == self.me;
        let patience = &mut self.patience;
        let window = self.limits.pace_window << patience.doublings.min(PACE_DOUBLINGS_MAX);
        let mut is_slow = false;
        if let Some(average) = patience.pace.end(now, window) {
            is_slow = average > coarse && !leads;
            patience.doublings = if is_slow { patience.doublings + 1 } else { 0 };
            patience.judged.entry(regency).or_default().accept_time = agreed;
        }
        if let Some(average) = patience.long_pace.end(now, self.limits.pace_window * WINDOWS_PER_LONG_WINDOW) {
            is_slow |= average > fine && !leads;
            let judged = Judged { accept_time: agreed, pace: Some(average) };
            patience.judged.insert(regency, judged);
        }
        while patience.judged.len() > self.view.n() {
            patience.judged.pop_first();
        }
        is_slow
    }

    /// What the operators allow every leader: a third more than what they say that a decision takes.
    fn allowed(&self) -> Duration {
        self.limits.decision_time / 3 * 4
    }

    /// What an instance may take on average over a long window: as much as votes explain, or, once everybody had a turn, a
    /// third more than under the best of the others.
    fn fine_limit(&self) -> Duration {
        let fair = self.trusted_accept_time().saturating_mul(ACCEPT_TIMES_PER_FAIR_INSTANCE);
        let floor = self.limits.pace_floor.saturating_mul(2).max(self.allowed());
        let had_all_turns = self.regencies.current.0 + 1 >= self.view.n() as u64;
        let best = self.judged_others().filter_map(|(_, judged)| judged.pace).min().filter(|_| had_all_turns);
        fair.max(floor).max(best.map_or(Duration::ZERO, |best| best / 3 * 4))
    }
}

/// An instance whose leader takes several times what the three phases need is slow.
const ACCEPT_TIMES_PER_INSTANCE: u32 = 12;

/// The three phases of a fair instance, and one more for the leader's own delivery and sync, and for what the network does.
const ACCEPT_TIMES_PER_FAIR_INSTANCE: u32 = 4;

/// A window in which little may be said against a leader is longer than one in which much is.
const WINDOWS_PER_LONG_WINDOW: u64 = 8;

/// An accept time up to this one is believed under any leader: that of a group that is spread over a continent or two.
const ACCEPT_TIME_UNSHOWN_MAX: Duration = Duration::from_millis(50);

const PACE_DOUBLINGS_MAX: u32 = 8;

/// A shorter time says nothing about a leader.
const PACE_TIME_MIN: Duration = Duration::from_secs(1);
