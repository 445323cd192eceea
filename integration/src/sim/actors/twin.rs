//! *Attack.* One replica with two faces. To one half of the group it is the honest replica it seems to be. To the other
//! half it is another one, of the opinion of whoever it speaks to: it echoes their votes back, proposes other batches to
//! them, and knows nothing when they lead.
//!
//! *Known from* Bano et al., *Twins: BFT systems made robust* (2021): two copies of one replica, with its keys.
//!
//! *Answer.* The same as to equivocation. A replica weighs once in each quorum, whatever it says elsewhere; what both halves
//! hold meets in a correct replica of any quorum.

use std::collections::BTreeSet;

use mod_smart::certificate::Vote;
use mod_smart::{Epoch, Evidence, InstanceId, Message, ReplicaId, StopData};

use super::equivocator::Equivocator;
use super::forge;
use super::memory::Memory;
use super::sides::{Side, side};
use crate::sim::actor::{Actor, Hand};

#[derive(Debug, Default)]
struct Twin {
    memory: Memory,
    proposer: Equivocator,
    echoed: BTreeSet<Vote>,
}

/// Votes that are not echoed twice.
const ECHOED_MAX: usize = 256;

pub(super) fn make(_seed: u64) -> Box<dyn Actor> {
    Box::new(Twin::default())
}

impl Actor for Twin {
    fn name(&self) -> &'static str {
        "twin"
    }

    fn on_send(&mut self, to: ReplicaId, message: Message, hand: &mut Hand<'_>) {
        self.memory.hear(&message);
        if self.face(to) == Side::Front || to == hand.me {
            return hand.send(to, message);
        }
        match message {
            Message::Propose(propose) => self.proposer.propose(to, propose, hand),
            // The second face votes when it is spoken to.
            Message::Vote(signed) if forge::is_own_vote(&signed, hand) => {}
            Message::StopData(signed) => {
                let nothing = StopData { delivered: Evidence::Start, claims: Vec::new(), ..signed.data };
                hand.send(to, Message::StopData(nothing.sign(hand.group, hand.me, &hand.key())));
            }
            message => hand.send(to, message),
        }
    }

    fn on_receive(&mut self, from: ReplicaId, message: &Message, hand: &mut Hand<'_>) -> bool {
        self.memory.hear(message);
        let Message::Vote(signed) = message else { return true };
        // Other liars echo, too: what an honest replica says first is said again, once.
        if self.face(from) == Side::Back && !hand.coalition.contains(from) && self.echoed.insert(signed.vote) {
            self.echo(signed.vote, hand);
        }
        while self.echoed.len() > ECHOED_MAX {
            self.echoed.pop_first();
        }
        true
    }
}

impl Twin {
    /// The halves stay the same in a regency, so each hears a consistent story.
    fn face(&self, replica: ReplicaId) -> Side {
        side(InstanceId(0), Epoch(self.memory.regency.0), replica)
    }

    /// Agrees with a replica of the second half, so that all of it hears.
    fn echo(&self, vote: Vote, hand: &mut Hand<'_>) {
        for to in hand.others() {
            if self.face(to) == Side::Back {
                hand.send(to, forge::vote(vote, hand));
            }
        }
    }
}
