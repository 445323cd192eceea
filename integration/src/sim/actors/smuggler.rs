//! *Attack.* Has ordered what the rules of the channel forbid. When it leads, it puts a request of its own in the place of one
//! that waits: an envelope that no writer signed, a configuration that nobody authorised, one that is not what its update
//! leads to, and more ([`Contraband`]). It votes for it, and hands the body to whoever asks.
//!
//! *Known from* ordering services whose nodes trust the leader's configuration transactions: peers that compute them again
//! stop at the block.
//!
//! *Answer.* A replica holds no body that the configuration in force does not permit, so it never writes for a batch with one
//! in it. What is missing stays missing, and the leader's time runs out.

use std::collections::BTreeMap;

use mod_smart::certificate::{SignedVote, Vote, VoteKind};
use mod_smart::message::Propose;
use mod_smart::{
    Client, Digest, Epoch, InstanceId, Message, ReplicaId, Request, RequestId, Sealed, Sequence, SessionId,
};

use super::forge;
use crate::sim::actor::{Actor, Hand};
use crate::sim::contraband::Contraband;

#[derive(Debug, Default)]
struct Smuggler {
    /// Which kind is next.
    kind: usize,
    made: u64,
    /// What was proposed in the place of what the honest replica inside proposed.
    proposed: BTreeMap<(InstanceId, Epoch), Vec<Digest>>,
    bodies: BTreeMap<Digest, Sealed<Request>>,
}

/// Each costs the group a leader, and the seed real time.
const MADE_MAX: u64 = 12;

pub(super) fn make(seed: u64) -> Box<dyn Actor> {
    let kind = (seed % Contraband::ALL.len() as u64) as usize;
    Box::new(Smuggler { kind, ..Smuggler::default() })
}

impl Actor for Smuggler {
    fn name(&self) -> &'static str {
        "smuggler"
    }

    fn on_send(&mut self, to: ReplicaId, message: Message, hand: &mut Hand<'_>) {
        match message {
            Message::Propose(propose) => {
                let requests = self.batch(&propose, hand);
                hand.send(to, Message::Propose(Propose { requests, ..propose }));
            }
            Message::Vote(signed) if forge::is_own_vote(&signed, hand) => {
                let Vote { instance, epoch, digest, .. } = signed.vote;
                let really = self.proposed.get(&(instance, epoch)).map_or(digest, |batch| Digest::of_batch(batch));
                self.push_through(to, Vote { digest: really, ..signed.vote }, hand);
            }
            message => hand.send(to, message),
        }
    }

    fn on_receive(&mut self, from: ReplicaId, message: &Message, hand: &mut Hand<'_>) -> bool {
        if let Message::FetchBodies(wanted) = message {
            let bodies: Vec<_> = wanted.iter().filter_map(|digest| self.bodies.get(digest).cloned()).collect();
            if !bodies.is_empty() {
                hand.send(from, Message::Bodies(bodies));
            }
        }
        true
    }
}

impl Smuggler {
    /// What is really proposed: the same to all.
    fn batch(&mut self, propose: &Propose, hand: &mut Hand<'_>) -> Vec<Digest> {
        let at = (propose.instance, propose.epoch);
        if let Some(batch) = self.proposed.get(&at) {
            return batch.clone();
        }
        if self.made == MADE_MAX || propose.requests.is_empty() || hand.random.bool() {
            return propose.requests.clone();
        }
        let Some(body) = self.load(hand) else { return propose.requests.clone() };
        let digest = body.digest();
        for to in hand.others() {
            hand.send(to, Message::Bodies(vec![body.clone()]));
        }
        self.bodies.insert(digest, body);
        let mut batch = propose.requests.clone();
        batch[0] = digest;
        self.proposed.insert(at, batch.clone());
        batch
    }

    /// The next thing to be smuggled, as a request of this liar.
    fn load(&mut self, hand: &mut Hand<'_>) -> Option<Sealed<Request>> {
        let kind = Contraband::ALL[self.kind % Contraband::ALL.len()];
        self.kind += 1;
        self.made += 1;
        let number = (1 << 50) + hand.random.u64(..1 << 40);
        let body = kind.body(hand.configurations, number)?;
        hand.tricks.push(kind.name());
        // A session far above those of the honest replica inside.
        let (session, sequence) = (SessionId((1 << 60) + u64::from(hand.me.0)), Sequence(self.made));
        let id = RequestId { client: Client::Replica(hand.me), session, sequence };
        Some(Request { id, body }.seal(hand.group, &hand.key()))
    }

    /// The votes of all liars.
    fn push_through(&self, to: ReplicaId, vote: Vote, hand: &mut Hand<'_>) {
        let is_ours = self.proposed.contains_key(&(vote.instance, vote.epoch)) && vote.kind == VoteKind::Write;
        let votes = if is_ours { forge::votes_of_coalition(vote, hand) } else { Default::default() };
        for (voter, signature) in votes {
            if voter == hand.me {
                continue;
            }
            hand.send(to, Message::Vote(SignedVote { vote, voter, signature }));
        }
        let own = forge::vote(vote, hand);
        hand.send(to, own);
    }
}
