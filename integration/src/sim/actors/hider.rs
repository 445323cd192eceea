//! *Attack.* Makes the group forget. Its STOPDATA hides the certificates and deliveries that it knows of. As leader it picks
//! the STOPDATA that know least, puts in those of all liars signed anew and empty, and shows one such SYNC to one half of the
//! group and another to the other half; then it proposes what suits each.
//!
//! *Known from* the selection rules that fall to it: an else-branch that adopts an unproven last decision, heads counted where
//! weight is meant (AWARE's `unbound`, delta >= 2), "no certificate" encoded as epoch 0. Holes 1, 2 and 11 of the list that
//! `PROTOCOL.md` answers.
//!
//! *Answer.* A decision means that a quorum held the certificate durably, and any `n - f` STOPDATA meet it in a correct
//! replica that does not hide it; so every valid SYNC of a regency binds what was decided, whoever chose its parts.

use mod_smart::synchronization::SignedStopData;
use mod_smart::{Epoch, Evidence, InstanceId, Message, Regency, ReplicaId, StopData, Sync, Voters};

use super::equivocator::Equivocator;
use super::forge;
use super::memory::Memory;
use super::sides::{Side, side};
use crate::sim::actor::{Actor, Hand};

#[derive(Debug)]
struct Hider {
    memory: Memory,
    proposer: Equivocator,
    /// Does it show two SYNCs?
    is_two_faced: bool,
}

pub(super) fn make(seed: u64) -> Box<dyn Actor> {
    let is_two_faced = seed.is_multiple_of(2);
    Box::new(Hider { memory: Memory::default(), proposer: Equivocator::default(), is_two_faced })
}

impl Actor for Hider {
    fn name(&self) -> &'static str {
        "hider"
    }

    fn on_send(&mut self, to: ReplicaId, message: Message, hand: &mut Hand<'_>) {
        self.memory.hear(&message);
        match message {
            Message::StopData(signed) => {
                let hidden = hide(signed.data.regency, hand.me, hand).unwrap_or(signed);
                hand.send(to, Message::StopData(hidden));
            }
            Message::Sync(sync) => self.show(to, sync, hand),
            Message::Propose(propose) if self.is_two_faced => self.proposer.propose(to, propose, hand),
            Message::Vote(signed) if self.is_two_faced && forge::is_own_vote(&signed, hand) => {
                self.proposer.vote(to, signed.vote, hand);
            }
            message => hand.send(to, message),
        }
    }

    fn on_receive(&mut self, _from: ReplicaId, message: &Message, _hand: &mut Hand<'_>) -> bool {
        self.memory.hear(message);
        true
    }
}

impl Hider {
    /// Shows the SYNC that knows least instead of the one that was put together honestly.
    fn show(&self, to: ReplicaId, sync: Sync, hand: &mut Hand<'_>) {
        let is_front = side(InstanceId(0), Epoch(sync.regency.0), to) == Side::Front;
        if self.is_two_faced && is_front {
            return hand.send(to, Message::Sync(sync));
        }
        let mut known: Vec<SignedStopData> =
            hand.coalition.iter().filter_map(|liar| hide(sync.regency, liar, hand)).collect();
        known.extend(self.memory.collects_of(sync.regency).cloned());
        known.extend(sync.collects.iter().cloned());
        known.sort_by_key(|collect| (collect.data.delivered.instance(), collect.data.claims.len()));
        let mut heard = Voters::NONE;
        let mut collects = Vec::new();
        for collect in known {
            if !hand.view.is_all_correct(heard) && heard.insert(collect.sender) {
                collects.push(collect);
            }
        }
        collects.sort_by_key(|collect| collect.sender);
        hand.send(to, Message::Sync(Sync { regency: sync.regency, collects }));
    }
}

/// A STOPDATA of a liar that knows of nothing. `None` if the replica is honest: its key is not to be had.
fn hide(regency: Regency, liar: ReplicaId, hand: &Hand<'_>) -> Option<SignedStopData> {
    let nothing = StopData { regency, delivered: Evidence::Start, claims: Vec::new() };
    hand.key_of(liar).map(|key| nothing.sign(hand.group, liar, &key))
}
