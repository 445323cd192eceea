//! *Attack.* All of them: for some time one liar, then another, as the seed has it.
//!
//! *Answer.* Safety does not rest on a liar's being consistent in its lies.

use mod_smart::{Message, ReplicaId, Time};

use super::Make;
use crate::sim::actor::{Actor, BlockPush, Hand};

struct Any {
    liars: Vec<Box<dyn Actor>>,
    at: usize,
    until: Time,
}

/// The kinds it is made of.
const KINDS: &[Make] = super::SINGLE;

pub(super) fn make(seed: u64) -> Box<dyn Actor> {
    let liars = (0..).zip(KINDS).map(|(at, make)| make(seed.wrapping_add(at))).collect();
    Box::new(Any { liars, at: (seed % KINDS.len() as u64) as usize, until: Time(0) })
}

impl Actor for Any {
    fn name(&self) -> &'static str {
        "any"
    }

    fn on_send(&mut self, to: ReplicaId, message: Message, hand: &mut Hand<'_>) {
        self.liars[self.at].on_send(to, message, hand);
    }

    fn on_receive(&mut self, from: ReplicaId, message: &Message, hand: &mut Hand<'_>) -> bool {
        self.liars[self.at].on_receive(from, message, hand)
    }

    fn on_tick(&mut self, hand: &mut Hand<'_>) {
        if hand.now >= self.until {
            self.at = hand.random.usize(..self.liars.len());
            let span = std::time::Duration::from_millis(hand.random.u64(50..1_500));
            self.until = hand.now.after(span);
        }
        self.liars[self.at].on_tick(hand);
    }

    fn on_push(&mut self, push: BlockPush, hand: &mut Hand<'_>) {
        self.liars[self.at].on_push(push, hand);
    }
}
