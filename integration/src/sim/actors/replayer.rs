//! *Attack.* Keeps everything it ever said or heard, and says it again later: to others, in later regencies, in any order,
//! much delayed, and old proposals under a new epoch.
//!
//! *Answer.* Whatever a message says is tied to its instance, epoch, regency and sender under a signature, or asks for
//! something that may be asked twice. What was counted is not counted again; what is past is not looked at.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use mod_smart::message::Propose;
use mod_smart::{Epoch, Message, Regency, ReplicaId};

use super::forge;
use crate::sim::actor::{Actor, Hand};

#[derive(Debug, Default)]
struct Replayer {
    /// Bytes, since most of it is never decoded again.
    heard: VecDeque<Bytes>,
    proposals: VecDeque<Propose>,
    regency: Regency,
}

/// Messages it keeps; which one makes room is left to chance, so that some grow old.
const HEARD_MAX: usize = 256;

pub(super) fn make(_seed: u64) -> Box<dyn Actor> {
    Box::new(Replayer::default())
}

impl Actor for Replayer {
    fn name(&self) -> &'static str {
        "replayer"
    }

    fn on_send(&mut self, to: ReplicaId, message: Message, hand: &mut Hand<'_>) {
        self.keep(&message, hand);
        if hand.random.u8(..8) == 0 {
            let delay = Duration::from_millis(hand.random.u64(1..2_000));
            hand.send_later(delay, to, message.clone());
        }
        hand.send(to, message);
    }

    fn on_receive(&mut self, _from: ReplicaId, message: &Message, hand: &mut Hand<'_>) -> bool {
        self.keep(message, hand);
        true
    }

    fn on_tick(&mut self, hand: &mut Hand<'_>) {
        if hand.random.bool() {
            return;
        }
        let (Some(to), Some(old)) = (forge::somebody(hand), pick(&self.heard, hand)) else { return };
        hand.send_bytes(to, old);
        if let Some(old) = pick(&self.proposals, hand).filter(|_| hand.random.u8(..8) == 0) {
            let anew = Propose { epoch: Epoch(self.regency.0), ..old };
            hand.send(to, Message::Propose(anew));
        }
    }
}

impl Replayer {
    fn keep(&mut self, message: &Message, hand: &mut Hand<'_>) {
        self.regency = forge::regency_of(message).unwrap_or_default().max(self.regency);
        if let Message::Propose(propose) = message {
            keep(&mut self.proposals, propose.clone(), hand);
        }
        keep(&mut self.heard, message.encode(), hand);
    }
}

fn keep<T>(kept: &mut VecDeque<T>, new: T, hand: &mut Hand<'_>) {
    if kept.len() < HEARD_MAX {
        kept.push_back(new);
    } else if hand.random.u8(..4) == 0 {
        let at = hand.random.usize(..HEARD_MAX);
        kept[at] = new;
    }
}

fn pick<T: Clone>(kept: &VecDeque<T>, hand: &mut Hand<'_>) -> Option<T> {
    if kept.is_empty() { None } else { kept.get(hand.random.usize(..kept.len())).cloned() }
}
