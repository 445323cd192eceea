//! *Attack.* A leader that does everything right and nothing in time: each PROPOSE leaves just before anybody would lose
//! patience.
//!
//! *Known from* Amir et al., *Byzantine replication under attack* (2008), and Clement et al., *Making Byzantine fault
//! tolerant systems tolerate Byzantine faults* (2009).
//!
//! *Answer.* The pace of a leader is compared with what the votes of the group take; one that is far slower over a window of
//! instances is stopped.

use std::time::Duration;

use mod_smart::{Message, ReplicaId};

use crate::sim::actor::{Actor, Hand};

#[derive(Debug)]
struct SlowLeader {
    delay: Duration,
    /// Does it hold SYNC back, too?
    holds_sync: bool,
}

pub(super) fn make(seed: u64) -> Box<dyn Actor> {
    let delay = Duration::from_millis(40 + seed % 350);
    Box::new(SlowLeader { delay, holds_sync: (seed / 350).is_multiple_of(4) })
}

impl Actor for SlowLeader {
    fn name(&self) -> &'static str {
        "slow-leader"
    }

    fn on_send(&mut self, to: ReplicaId, message: Message, hand: &mut Hand<'_>) {
        match message {
            Message::Propose(_) => hand.send_later(self.delay, to, message),
            Message::Sync(_) if self.holds_sync => hand.send_later(self.delay, to, message),
            message => hand.send(to, message),
        }
    }
}
