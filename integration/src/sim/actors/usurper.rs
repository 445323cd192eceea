//! *Attack.* Lets one replica decide and has the others decide otherwise. Its ACCEPTs go to one favourite alone, which decides by
//! itself whenever somebody is missing. Then it takes over: in a regency that it leads it proposes another batch for
//! what a quorum wrote before, to all but the favourite. It does not wait for its turn, either: while an instance is being
//! decided it shows a SYNC for the regency it would lead next, put together from STOPDATA of earlier regencies, which know
//! nothing of what was written since.
//!
//! *Known as* hole 3 (STOPDATA not bound to the regency being entered), hole 2 (support counted over messages), and the
//! selection that nobody recomputes.
//!
//! *Answer.* A SYNC holds distinct STOPDATA of a quorum, each of which names the regency under its sender's signature. Whoever
//! has it computes what the leader is bound to, and writes for nothing else.

use std::collections::BTreeMap;

use mod_smart::certificate::{SignedVote, Vote, VoteKind};
use mod_smart::message::Propose;
use mod_smart::synchronization::SignedStopData;
use mod_smart::{Digest, Epoch, InstanceId, Message, Regency, ReplicaId, Sync};

use super::forge;
use super::memory::Memory;
use super::sides::other_batch;
use crate::sim::actor::{Actor, Hand};

#[derive(Debug, Default)]
struct Usurper {
    memory: Memory,
    /// Where it tried last.
    tried: InstanceId,
}

pub(super) fn make(_seed: u64) -> Box<dyn Actor> {
    Box::new(Usurper::default())
}

impl Actor for Usurper {
    fn name(&self) -> &'static str {
        "usurper"
    }

    fn on_send(&mut self, to: ReplicaId, message: Message, hand: &mut Hand<'_>) {
        self.memory.hear(&message);
        let is_favourite = to == favourite(hand);
        match message {
            Message::Propose(propose) if !is_favourite && self.was_written_before(&propose) => {
                let requests = other_batch(&propose.requests, hand);
                self.push_through(to, Propose { requests, ..propose }, hand);
            }
            Message::Vote(signed)
                if signed.vote.kind == VoteKind::Accept && forge::is_own_vote(&signed, hand) && !is_favourite => {}
            message => hand.send(to, message),
        }
    }

    fn on_receive(&mut self, _from: ReplicaId, message: &Message, hand: &mut Hand<'_>) -> bool {
        self.memory.hear(message);
        if let Message::Vote(SignedVote { vote, .. }) = message
            && vote.kind == VoteKind::Accept
            && vote.instance > self.tried
            && hand.random.u8(..4) == 0
        {
            self.usurp(*vote, hand);
        }
        true
    }
}

/// Who is to decide alone: the next in the circle that is no liar.
fn favourite(hand: &Hand<'_>) -> ReplicaId {
    let n = hand.view.n() as u16;
    let circle = (1..n).map(|ahead| ReplicaId((hand.me.0 + ahead) % n));
    circle.into_iter().find(|replica| !hand.coalition.contains(*replica)).unwrap_or(hand.me)
}

impl Usurper {
    /// Have votes for this instance been heard in an earlier epoch?
    fn was_written_before(&self, propose: &Propose) -> bool {
        let mut votes = self.memory.votes().map(|(vote, _)| vote);
        votes.any(|vote| vote.instance == propose.instance && vote.epoch < propose.epoch)
    }

    /// A proposal and every vote for it that liars have.
    fn push_through(&self, to: ReplicaId, propose: Propose, hand: &mut Hand<'_>) {
        let (instance, epoch, digest) = (propose.instance, propose.epoch, Digest::of_batch(&propose.requests));
        hand.send(to, Message::Propose(propose));
        for kind in [VoteKind::Write, VoteKind::Accept] {
            let vote = Vote { kind, instance, epoch, digest };
            for (voter, signature) in forge::votes_of_coalition(vote, hand) {
                hand.send(to, Message::Vote(SignedVote { vote, voter, signature }));
            }
        }
    }

    fn usurp(&mut self, vote: Vote, hand: &mut Hand<'_>) {
        let ours = |regency: &Regency| hand.view.leader(*regency) == hand.me;
        let coming = (1..=hand.view.n() as u64).map(|ahead| Regency(self.memory.regency.0 + ahead));
        let Some(regency) = coming.into_iter().find(ours) else { return };
        let mut oldest: BTreeMap<ReplicaId, SignedStopData> = BTreeMap::new();
        for collect in self.memory.collects() {
            oldest.entry(collect.sender).or_insert_with(|| collect.clone());
        }
        if !hand.view.is_quorum(oldest.keys().copied().collect()) {
            return;
        }
        self.tried = vote.instance;
        let sync = Sync { regency, collects: oldest.into_values().collect() };
        let known = self.memory.batch(vote.digest).unwrap_or_default().to_vec();
        let requests = other_batch(&known, hand);
        let propose = Propose { instance: vote.instance, epoch: Epoch(regency.0), requests };
        let favourite = favourite(hand);
        for to in hand.others().into_iter().filter(|to| *to != favourite) {
            hand.send(to, Message::Sync(sync.clone()));
            self.push_through(to, propose.clone(), hand);
        }
    }
}
