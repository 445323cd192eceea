//! *Attack.* A storm of STOPs: it asks for the next regency all the time, sometimes for one a thousand later, and answers
//! every STOP of another with one more, hoping that it is always the one head that was missing. When it leads it does not
//! begin the regency.
//!
//! *Answer.* `f + 1` heads are needed before anybody joins, and one of them is correct and has a reason of its own; the
//! highest regency that `f + 1` ask for counts, so nobody is led further than a correct replica wants to go.

use mod_smart::{Message, Regency, ReplicaId};

use super::memory::Memory;
use crate::sim::actor::{Actor, Hand};

#[derive(Debug, Default)]
struct Stopper {
    memory: Memory,
    begins_nothing: bool,
}

pub(super) fn make(seed: u64) -> Box<dyn Actor> {
    Box::new(Stopper { memory: Memory::default(), begins_nothing: seed.is_multiple_of(2) })
}

impl Actor for Stopper {
    fn name(&self) -> &'static str {
        "stopper"
    }

    fn on_send(&mut self, to: ReplicaId, message: Message, hand: &mut Hand<'_>) {
        self.memory.hear(&message);
        if !(self.begins_nothing && matches!(message, Message::Sync(_))) {
            hand.send(to, message);
        }
    }

    fn on_receive(&mut self, _from: ReplicaId, message: &Message, hand: &mut Hand<'_>) -> bool {
        self.memory.hear(message);
        if let Message::Stop(regency) = message {
            shout(*regency, hand);
        }
        true
    }

    fn on_tick(&mut self, hand: &mut Hand<'_>) {
        let further = match hand.random.u8(..40) {
            0 => 1_000,
            1..=5 => 1,
            _ => return,
        };
        shout(Regency(self.memory.regency.0.saturating_add(further)), hand);
    }
}

fn shout(regency: Regency, hand: &mut Hand<'_>) {
    for to in hand.others() {
        hand.send(to, Message::Stop(regency));
    }
}
