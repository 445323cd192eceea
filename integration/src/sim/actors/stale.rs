//! *Attack.* Lives in the past: says again what it said before, where something new is asked of it. Old STOPDATA and SYNC,
//! old votes, old statements of standing, and a fresh STOPDATA that tells only what it knew long ago.
//!
//! *Known as* hole 3 (STOPDATA not bound to its regency, replayed to hide a later WRITE) and hole 9 (an old leader that keeps
//! believing in its regency).
//!
//! *Answer.* STOPDATA and SYNC name their regency under every signature and count in it alone; votes of past epochs are not
//! counted; knowing less than one could is the right of any one of the `n - f` that are waited for.

use std::collections::VecDeque;
use std::mem::discriminant;

use mod_smart::{Message, ReplicaId, StopData};

use crate::sim::actor::{Actor, Hand};

#[derive(Debug)]
struct Stale {
    said: VecDeque<Message>,
    /// What it knew when it first had to say so.
    knew: Option<StopData>,
    /// How often in a hundred it speaks of the past.
    percent: u8,
}

/// Messages that it can repeat.
const SAID_MAX: usize = 128;

pub(super) fn make(seed: u64) -> Box<dyn Actor> {
    Box::new(Stale { said: VecDeque::new(), knew: None, percent: [20, 50, 90][(seed % 3) as usize] })
}

impl Actor for Stale {
    fn name(&self) -> &'static str {
        "stale"
    }

    fn on_send(&mut self, to: ReplicaId, message: Message, hand: &mut Hand<'_>) {
        let old = self.said.iter().find(|old| discriminant(*old) == discriminant(&message)).cloned();
        let speaks_of_the_past = hand.random.u8(..100) < self.percent && to != hand.me;
        match (&message, old) {
            (Message::StopData(signed), old) if speaks_of_the_past => {
                let knew = self.knew.get_or_insert_with(|| signed.data.clone()).clone();
                let fresh = StopData { regency: signed.data.regency, ..knew };
                old.into_iter().for_each(|old| hand.send(to, old));
                hand.send(to, Message::StopData(fresh.sign(hand.group, hand.me, &hand.key())));
            }
            (_, Some(old)) if speaks_of_the_past => hand.send(to, old),
            _ => hand.send(to, message.clone()),
        }
        self.remember(message);
    }
}

impl Stale {
    /// The oldest of each kind stay longest; fetches and bodies say nothing about the past.
    fn remember(&mut self, message: Message) {
        let is_statement = matches!(
            message,
            Message::StopData(_)
                | Message::Sync(_)
                | Message::Vote(_)
                | Message::Status(_)
                | Message::Propose(_)
                | Message::Checkpoint(_)
                | Message::Stop(_)
                | Message::Stable(..)
        );
        let same = |old: &&Message| discriminant(*old) == discriminant(&message);
        if is_statement && self.said.iter().filter(same).count() < SAID_MAX / 8 {
            self.said.push_back(message);
        } else if is_statement && self.said.len() == SAID_MAX {
            self.said.pop_front();
        }
    }
}
