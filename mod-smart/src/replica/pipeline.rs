//! When a leader proposes one more instance while others are open.
//!
//! A window lets decisions overlap, which pays where messages take long. Where they do not, an instance for every few requests
//! costs votes and syncs that one larger batch would have saved. So proposals are spread over the time that a decision
//! takes: with a window of `alpha`, one `alpha`-th of it apart, and never closer than a pause that is nothing across
//! continents and much within a room. A full batch waits for nobody. How long a decision takes is what the leader has seen of
//! its own proposals lately.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Replica;
use crate::id::{InstanceId, Time};

/// The leader's own rhythm.
#[derive(Debug, Default)]
pub(crate) struct Pipeline {
    /// When the open instances were proposed.
    proposed: BTreeMap<InstanceId, Time>,
    /// When the last one was.
    last: Time,
    /// The average time from a proposal to its delivery, if there was one.
    decision_time: Option<Duration>,
    /// Something waits for the next time that a proposal may be made.
    pub(super) waits_until: Option<Time>,
}

impl Pipeline {
    /// An instance was delivered.
    pub(crate) fn on_delivered(&mut self, now: Time, id: InstanceId) {
        let Some(at) = self.proposed.remove(&id) else { return };
        self.proposed = self.proposed.split_off(&id);
        let sample = Duration::from_nanos(now.0.saturating_sub(at.0));
        self.decision_time = Some(self.decision_time.map_or(sample, |known| known / 8 * 7 + sample / 8));
    }

    /// Another regency: what was proposed in the one before tells nothing of this one.
    pub(crate) fn entered(&mut self) {
        self.proposed.clear();
    }
}

impl Replica {
    /// A batch was proposed that was not bound before.
    pub(super) fn on_proposed(&mut self, now: Time, id: InstanceId) {
        self.pipeline.proposed.insert(id, now);
        self.pipeline.last = now;
    }

    /// Must this instance wait, with those before it under way and perhaps more requests coming?
    pub(super) fn holds_back(&mut self, now: Time, id: InstanceId) -> bool {
        if id == self.delivered.next() {
            return false;
        }
        let epoch = self.epoch();
        let open = self.instances.range(..id).filter_map(|(_, instance)| instance.proposal(epoch));
        let under_way: usize = open.map(|proposal| proposal.propose.requests.len()).sum();
        let waiting = self.pending.size().0.saturating_sub(under_way);
        if waiting == 0 {
            return id >= self.highest_bound();
        }
        let due = self.pipeline.last.after(self.pause());
        if waiting >= self.limits.batch_requests_max || now >= due || id < self.highest_bound() {
            return false;
        }
        self.pipeline.waits_until = Some(due);
        true
    }

    /// When something that waits may be proposed.
    pub(super) const fn pipeline_deadline(&self) -> Option<Time> {
        self.pipeline.waits_until
    }

    fn pause(&self) -> Duration {
        let decision = self.pipeline.decision_time.unwrap_or_default();
        let share = decision / u32::try_from(self.limits.instances_open_max).unwrap_or(u32::MAX);
        share.clamp(PAUSE_MIN, PAUSE_MAX)
    }
}

/// Proposals closer than this cost more than they gain.
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// A slow decision does not make the next ones slow.
const PAUSE_MAX: Duration = Duration::from_millis(100);
