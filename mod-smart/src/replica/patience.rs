//! What accuses a leader: silence, a request left behind, or a pace that the group could beat.
//!
//! - *Stalled*: something waits and nothing was delivered for the timeout: it is offered to everybody. For twice the
//!   timeout: STOP. The clock starts anew with each delivery and each regency, so load alone accuses nobody.
//! - *Overtaken*: a request waits longer than the timeout and so many others were delivered since that a fair leader
//!   would have come to it: it is offered. As many again, and another timeout: STOP. So a leader cannot starve a client.
//! - *Slow*: over a window of instances, from the moment the leader could have proposed to the delivery, the average is
//!   far above what the votes of the group take. So a leader cannot hide just below the timeout. Over a window eight times
//!   as long it need only be above what votes explain, unless other leaders were no better. So a slow one cannot hide
//!   just below the first limit, and a group in which all leaders are slow tries each once.
//!
//! What the limits follow is measured and agreed on in [`pace`].

mod pace;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use pace::{Judged, Pace};

use super::Replica;
use crate::id::{Digest, InstanceId, Regency, ReplicaId, RequestId, Time};
use crate::limits::{BATCH_REQUESTS_MAX, Limits};
use crate::message::Message;
use crate::surface::{Action, Recipients};

/// Why a replica asked to leave a regency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopReason {
    /// Something waited and nothing was delivered, or the regency did not begin.
    Stalled,
    /// A request was left behind.
    Overtaken,
    /// Instances took far longer than the votes need.
    Slow,
    /// Enough others asked for it that one of them is correct.
    Joined,
    /// A replica that lost its disk has caught up and can speak again from the next regency on.
    Readmission,
    /// It was shown that a later regency had begun.
    Shown,
    /// The leader handed over to another replica.
    HandedOver,
}

impl std::fmt::Display for StopReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Stalled => "nothing was delivered in time",
            Self::Overtaken => "a request was left behind",
            Self::Slow => "the leader was too slow",
            Self::Joined => "others asked for it",
            Self::Readmission => "a replica that lost its disk is readmitted",
            Self::Shown => "a later regency had begun",
            Self::HandedOver => "the leader handed over",
        })
    }
}

/// The clocks and averages behind the three accusations.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    /// When something was last delivered, or the regency was entered.
    progress: Time,
    is_started: bool,
    has_offered: bool,
    /// Regencies entered since something was last delivered. Each but the first doubles the timeout, so that some leader has time enough.
    fruitless: u32,
    /// When this replica saw the WRITE certificates of open instances.
    certified: BTreeMap<InstanceId, Time>,
    /// Average of the time from there to the delivery, in nanoseconds.
    accept_time: u64,
    /// Does that average speak of the current regency?
    is_measured: bool,
    reports: BTreeMap<ReplicaId, u64>,
    pace: Pace,
    long_pace: Pace,
    /// Windows are twice as wide after each leader that was stopped for its pace, until one keeps it.
    doublings: u32,
    /// What was found out about the last leaders, each in the last regency it led: at most one for each replica.
    judged: BTreeMap<Regency, Judged>,
}

impl Patience {
    /// A regency was entered: its leader has a timeout of its own.
    pub(crate) fn entered(&mut self, now: Time) {
        self.progress = now;
        self.has_offered = false;
        self.fruitless = self.fruitless.saturating_add(1);
        self.certified.clear();
        self.is_measured = false;
        (self.pace, self.long_pace) = (Pace::beginning(now), Pace::beginning(now));
    }

    /// This replica begins to judge: what waited before is nobody's fault.
    pub(crate) const fn restart(&mut self, now: Time) {
        self.progress = now;
        self.has_offered = false;
    }

    pub(crate) fn certified(&mut self, now: Time, instance: InstanceId) {
        self.certified.entry(instance).or_insert(now);
    }

    /// An instance was voted on to its end and delivered. `waited_since`: when its oldest request came.
    pub(crate) fn voted(&mut self, now: Time, instance: InstanceId, waited_since: Time) {
        if let Some(at) = self.certified.remove(&instance) {
            let sample = now.0.saturating_sub(at.0);
            self.accept_time = if self.is_measured { self.accept_time / 8 * 7 + sample / 8 } else { sample };
            self.is_measured = true;
        }
        let could_propose = waited_since.max(self.progress);
        let taken = Duration::from_nanos(now.0.saturating_sub(could_propose.0));
        self.pace.add(taken);
        self.long_pace.add(taken);
    }

    /// Something new was delivered, in whatever way.
    pub(crate) fn progressed(&mut self, now: Time, instance: InstanceId) {
        self.progress = now;
        self.has_offered = false;
        self.fruitless = 0;
        self.certified.retain(|at, _| *at > instance);
    }

    /// The average time from a certificate to the delivery, in nanoseconds.
    pub(crate) const fn accept_time(&self) -> u64 {
        self.accept_time
    }

    pub(crate) fn reported(&mut self, peer: ReplicaId, accept_time: u64) {
        self.reports.insert(peer, accept_time);
    }
}

impl Replica {
    /// The shell's clock and the times in a recovered state have nothing in common: all clocks start with the first event.
    pub(super) const fn start_clocks(&mut self, now: Time) {
        if !self.patience.is_started {
            self.patience.is_started = true;
            self.patience.progress = now;
            (self.patience.pace.since, self.patience.long_pace.since) = (now, now);
        }
    }

    /// How long a request may wait before it is offered, and half of how long before the leader is stopped.
    pub(super) fn timeout(&self) -> Duration {
        let Limits { request_timeout: floor, request_timeout_max: cap, .. } = self.limits;
        let measured = self.trusted_accept_time().saturating_mul(ACCEPT_TIMES_PER_TIMEOUT);
        let floor = floor.max(self.limits.decision_time);
        let base = measured.clamp(floor, cap.max(floor));
        base.saturating_mul(1 << self.patience.fruitless.saturating_sub(1).min(FRUITLESS_MAX)).min(cap.max(floor))
    }

    /// Since when the leader owes something, if it does.
    fn owed_since(&self) -> Option<Time> {
        if !self.regencies.is_synced() {
            return Some(self.patience.progress);
        }
        self.pending.oldest().map(|since| since.max(self.patience.progress))
    }

    pub(super) fn patience_deadline(&self) -> Option<Time> {
        let since = self.owed_since()?;
        let has_stopped = self.regencies.wants(self.me) > self.regencies.current;
        // Who lags learns from the others that it may judge again.
        if has_stopped || self.is_silent() || (self.patience.has_offered && self.is_known_to_lag()) {
            return None;
        }
        let timeouts = if self.patience.has_offered { 2 } else { 1 };
        Some(since.after(self.timeout() * timeouts))
    }

    /// Looks at the three accusations.
    pub(super) fn judge_leader(&mut self, now: Time, actions: &mut Vec<Action>) {
        let timeout = self.timeout();
        if let Some(since) = self.owed_since() {
            if now >= since.after(timeout) && !self.patience.has_offered {
                self.patience.has_offered = true;
                self.offer(self.pending.eldest(BATCH_REQUESTS_MAX), actions);
            }
            if now >= since.after(timeout * 2) && !self.is_known_to_lag() {
                return self.stop(now, StopReason::Stalled, actions);
            }
        }
        let (offered, left_behind) = self.pending.take_overtaken(now, timeout, BATCH_REQUESTS_MAX);
        self.offer(offered, actions);
        if left_behind {
            return self.stop(now, StopReason::Overtaken, actions);
        }
        if self.is_leader_slow(now) {
            self.stop(now, StopReason::Slow, actions);
        }
    }

    /// Requests that wait too long are offered to everybody: a correct leader that never got them will propose them now.
    /// Offers name digests; what a receiver lacks it fetches.
    fn offer(&self, requests: Vec<(RequestId, Digest)>, actions: &mut Vec<Action>) {
        self.offer_to(Recipients::Others, requests, actions);
    }

    pub(super) fn offer_to(&self, to: Recipients, requests: Vec<(RequestId, Digest)>, actions: &mut Vec<Action>) {
        if !requests.is_empty() {
            actions.push(Action::Send(to, Message::Offer(requests)));
        }
    }

    /// One correct replica at least has delivered more than this one can hold open: the others make progress, and what
    /// stands still is this replica.
    fn is_known_to_lag(&self) -> bool {
        let end = self.delivered.0 + self.limits.instances_open_max;
        let ahead = self.peers.iter().filter(|(_, peer)| peer.delivered.0 > end).map(|(id, _)| *id).collect();
        self.view.is_any_correct(ahead)
    }
}

/// A decision is three message delays, of which the accept time is one; a timeout leaves room for several decisions.
const ACCEPT_TIMES_PER_TIMEOUT: u32 = 16;

/// The timeout doubles at most so many times.
const FRUITLESS_MAX: u32 = 6;
