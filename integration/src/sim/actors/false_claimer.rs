//! *Attack.* Statements of standing that are not true: regencies, instances and wishes far away, decision times that would
//! stretch every timeout or shrink it to nothing, "I wait for the SYNC" to be sent it again and again, "I am silent" to have
//! the group change its leader for a readmission that nobody needs.
//!
//! *Answer.* No claim of one replica moves anything: regencies need a SYNC, wishes count as one head, deliveries come with
//! proofs, the `f + 1`-th smallest decision time counts, a readmission is granted once in a long interval.

use mod_smart::message::Status;
use mod_smart::{InstanceId, Message, Regency, ReplicaId};

use super::forge;
use crate::sim::actor::{Actor, Hand};

#[derive(Debug, Default)]
struct FalseClaimer {
    last: Option<Status>,
}

pub(super) fn make(_seed: u64) -> Box<dyn Actor> {
    Box::new(FalseClaimer::default())
}

impl Actor for FalseClaimer {
    fn name(&self) -> &'static str {
        "false-claimer"
    }

    fn on_send(&mut self, to: ReplicaId, message: Message, hand: &mut Hand<'_>) {
        match message {
            Message::Status(status) => {
                self.last = Some(status);
                let claim = invent(status, hand);
                hand.send(to, Message::Status(claim));
            }
            message => hand.send(to, message),
        }
    }

    fn on_tick(&mut self, hand: &mut Hand<'_>) {
        if let Some(status) = self.last
            && hand.random.u8(..4) == 0
            && let Some(to) = forge::somebody(hand)
        {
            let claim = invent(status, hand);
            hand.send(to, Message::Status(claim));
            // Asking is claiming, too: "I stand at the beginning", "I have everything but this".
            let from = InstanceId(hand.random.u64(..=status.delivered.0.saturating_add(3)));
            hand.send(to, Message::FetchDecisions(from));
        }
    }
}

/// A statement in which one or two things are not so.
fn invent(mut status: Status, hand: &mut Hand<'_>) -> Status {
    for _ in 0..hand.random.u8(1..=2) {
        let far = hand.random.choice([0, 1, 2, 40, 1 << 40, u64::MAX]).unwrap_or_default();
        match hand.random.u8(..7) {
            0 => status.regency = Regency(status.regency.0.saturating_add(far)),
            1 => status.delivered = InstanceId(status.delivered.0.saturating_add(far)),
            2 => status.delivered = InstanceId(status.delivered.0.saturating_sub(far)),
            3 => status.wants = Regency(status.wants.0.saturating_add(far)),
            4 => status.accept_time = [0, 1, 10_000_000_000, u64::MAX][hand.random.usize(..4)],
            5 => status.is_silent = true,
            _ => (status.is_synced, status.is_proposed) = (hand.random.bool(), hand.random.bool()),
        }
    }
    status
}
