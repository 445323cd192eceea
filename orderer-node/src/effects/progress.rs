//! A replica whose disk was lost may speak again once the group has made some decisions more and a checkpoint (PROTOCOL.md, A
//! lost disk). Where nobody sends anything it asks for these decisions itself: as a client, which it may be like any other
//! replica, with requests that do nothing. One at a time, so it adds no load to a group that has work.

use std::time::Duration;

use mod_smart::{InstanceId, Regency, ReplicaId};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::replica_task::ReplicaStanding;

/// When to ask for a decision for its own sake.
#[derive(Debug)]
pub struct Progress {
    standing: watch::Receiver<ReplicaStanding>,
    /// How far the replica was when it last asked.
    asked_at: Option<InstanceId>,
    due: Instant,
}

impl Progress {
    /// Looks at this replica.
    #[must_use]
    pub fn new(standing: watch::Receiver<ReplicaStanding>) -> Self {
        Self { standing, asked_at: None, due: Instant::now() + LOOKED_AFTER }
    }

    /// Who leads, and which regency.
    pub fn leader(&self) -> (ReplicaId, Regency) {
        let standing = self.standing.borrow();
        (standing.leader, standing.regency)
    }

    /// When to look.
    #[must_use]
    pub const fn due(&self) -> Instant {
        self.due
    }

    /// Is a decision wanted now that nobody has asked for yet? A group that begins has nothing to catch up with.
    pub fn is_wanted(&mut self) -> bool {
        let now = Instant::now();
        if now < self.due {
            return false;
        }
        let ReplicaStanding { is_silent, delivered, .. } = *self.standing.borrow();
        let is_waiting = is_silent && delivered.0 > 0;
        self.due = now + if is_waiting { ASKED_AFTER } else { LOOKED_AFTER };
        is_waiting && self.asked_at.replace(delivered) != Some(delivered)
    }
}

/// How long a group may be quiet before it is made to go on.
const ASKED_AFTER: Duration = Duration::from_millis(20);

const LOOKED_AFTER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_decision_is_asked_for_once_and_only_by_a_replica_that_waits_in_a_group_that_has_begun() {
        let (sender, standing) = watch::channel(ReplicaStanding::default());
        let mut progress = Progress::new(standing);
        let mut look = |is_silent, delivered| {
            sender.send_modify(|standing| {
                (standing.is_silent, standing.delivered) = (is_silent, InstanceId(delivered));
            });
            progress.due = Instant::now();
            progress.is_wanted()
        };
        assert!(!look(true, 0), "the group begins");
        assert!(!look(false, 7));
        assert_eq!([look(true, 7), look(true, 7), look(true, 8)], [true, false, true]);
        progress.due = Instant::now() + LOOKED_AFTER;
        assert!(!progress.is_wanted(), "not due");
    }
}
