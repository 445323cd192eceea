//! *Attack.* Speaks before it can know: ACCEPT without a certificate, votes for batches that nobody proposed, votes and
//! proposals for instances and epochs that have not begun, two votes at once.
//!
//! *Answer.* A vote is one signature towards a quorum and nothing more, and the first of a kind stands. What comes early waits
//! in a few slots of its sender; a proposal counts from the leader of its epoch only.

use mod_smart::certificate::{Vote, VoteKind};
use mod_smart::message::Propose;
use mod_smart::{Epoch, InstanceId, Message, ReplicaId};

use super::forge;
use super::sides::other_batch;
use crate::sim::actor::{Actor, Hand};

#[derive(Debug, Default)]
struct Hasty {
    last: Option<Vote>,
}

pub(super) fn make(_seed: u64) -> Box<dyn Actor> {
    Box::new(Hasty::default())
}

impl Actor for Hasty {
    fn name(&self) -> &'static str {
        "hasty"
    }

    fn on_send(&mut self, to: ReplicaId, message: Message, hand: &mut Hand<'_>) {
        if let Message::Vote(signed) = &message
            && forge::is_own_vote(signed, hand)
        {
            self.last = Some(signed.vote);
            if signed.vote.kind == VoteKind::Write {
                hand.send(to, forge::vote(Vote { kind: VoteKind::Accept, ..signed.vote }, hand));
            }
        }
        hand.send(to, message);
    }

    fn on_receive(&mut self, from: ReplicaId, message: &Message, hand: &mut Hand<'_>) -> bool {
        // Agrees with whoever votes, before its own honest replica has an opinion, and with the opposite as well.
        if let Message::Vote(signed) = message
            && hand.random.u8(..3) == 0
        {
            hand.send(from, forge::vote(signed.vote, hand));
            let digest = forge::invented_digest(hand);
            hand.send(from, forge::vote(Vote { digest, ..signed.vote }, hand));
        }
        if let Message::Propose(propose) = message
            && hand.random.u8(..8) == 0
        {
            self.propose_too(propose, hand);
        }
        true
    }

    fn on_tick(&mut self, hand: &mut Hand<'_>) {
        let Some(last) = self.last.filter(|_| hand.random.u8(..6) == 0) else { return };
        let Some(to) = forge::somebody(hand) else { return };
        let kind = if hand.random.bool() { VoteKind::Write } else { VoteKind::Accept };
        let instance = InstanceId(last.instance.0 + hand.random.u64(..12));
        let epoch = Epoch(last.epoch.0 + hand.random.u64(..3));
        let digest = forge::invented_digest(hand);
        hand.send(to, forge::vote(Vote { kind, instance, epoch, digest }, hand));
    }
}

impl Hasty {
    /// Proposes as if it led: now, in the next instance, in the next epoch.
    fn propose_too(&self, propose: &Propose, hand: &mut Hand<'_>) {
        let requests = other_batch(&propose.requests, hand);
        let instance = InstanceId(propose.instance.0 + hand.random.u64(..3));
        let epoch = Epoch(propose.epoch.0 + hand.random.u64(..3));
        for to in hand.others() {
            hand.send(to, Message::Propose(Propose { instance, epoch, requests: requests.clone() }));
        }
    }
}
