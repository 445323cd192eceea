//! *Attack.* Silence: always from some moment on, only while leading, towards some replicas, in turns, or in everything
//! that helps others.
//!
//! *Answer.* Nothing waits for more than `n - f` replicas. A leader that is silent while requests wait is stopped after
//! twice the request timeout; what one helper does not answer is asked of the next one.

use mod_smart::{Message, ReplicaId, Time};

use super::sides::{Side, side};
use crate::sim::actor::{Actor, BlockPush, Hand};

/// What it keeps to itself.
#[derive(Clone, Copy, Debug)]
enum Silence {
    /// Everything from this time on.
    Since(Time),
    /// What leaders say.
    Leading,
    /// Everything towards one half.
    Towards,
    /// Everything, for a second of every two.
    Turns,
    /// Answers.
    Unhelpful,
}

#[derive(Debug)]
struct Mute(Silence);

pub(super) fn make(seed: u64) -> Box<dyn Actor> {
    Box::new(Mute(match seed % 6 {
        0 => Silence::Since(Time(0)),
        1 => Silence::Since(Time(0).after(std::time::Duration::from_millis(seed / 6 % 6_000))),
        2 => Silence::Leading,
        3 => Silence::Towards,
        4 => Silence::Turns,
        _ => Silence::Unhelpful,
    }))
}

impl Actor for Mute {
    fn name(&self) -> &'static str {
        "mute"
    }

    fn on_send(&mut self, to: ReplicaId, message: Message, hand: &mut Hand<'_>) {
        let is_silent = match self.0 {
            Silence::Since(time) => hand.now >= time,
            Silence::Leading => matches!(message, Message::Propose(_) | Message::Sync(_)),
            Silence::Towards => side(Default::default(), Default::default(), to) == Side::Back,
            Silence::Turns => hand.now.0 / SECOND % 2 == 1,
            Silence::Unhelpful => is_help(&message),
        };
        if !is_silent || to == hand.me {
            hand.send(to, message);
        }
    }

    fn on_push(&mut self, push: BlockPush, hand: &mut Hand<'_>) {
        let is_silent = match self.0 {
            Silence::Since(time) => hand.now >= time,
            Silence::Turns => hand.now.0 / SECOND % 2 == 1,
            Silence::Towards => push.frontend % 2 == 1,
            Silence::Leading | Silence::Unhelpful => false,
        };
        if !is_silent {
            hand.push(push);
        }
    }
}

const fn is_help(message: &Message) -> bool {
    matches!(
        message,
        Message::Bodies(_)
            | Message::Decisions(_)
            | Message::Batch(..)
            | Message::Chunk(..)
            | Message::Stable(..)
            | Message::ProbeReply(_)
            | Message::Offer(_)
    )
}

const SECOND: u64 = 1_000_000_000;
