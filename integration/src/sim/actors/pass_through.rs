//! Tells no lie: a world in which every liar is one of these must behave like one without liars.

use mod_smart::{Message, ReplicaId};

use crate::sim::actor::{Actor, Hand};

struct PassThrough;

pub(super) fn make(_seed: u64) -> Box<dyn Actor> {
    Box::new(PassThrough)
}

impl Actor for PassThrough {
    fn name(&self) -> &'static str {
        "pass-through"
    }

    fn on_send(&mut self, to: ReplicaId, message: Message, hand: &mut Hand<'_>) {
        hand.send(to, message);
    }
}
