//! *Attack.* Makes one replica decide and nobody else know. Its votes go to a single favourite in each instance; when the votes
//! it has heard and those of the other liars are a quorum, it hands the favourite the finished decision. As leader it
//! proposes to barely a quorum.
//!
//! *Answer.* This is the case the synchronization phase exists for: a decision known to one replica implies that a quorum
//! holds the certificate, and binds every later regency. Slower replicas are repaired by statements of standing.

use mod_smart::certificate::{Vote, VoteKind};
use mod_smart::message::DecidedBatch;
use mod_smart::{Digest, InstanceId, Message, ReplicaId, Request, Sealed, Voters};

use super::forge;
use super::memory::Memory;
use crate::sim::actor::{Actor, Hand};
use crate::sim::keys::checksum;

#[derive(Debug, Default)]
struct Whisperer {
    memory: Memory,
}

pub(super) fn make(_seed: u64) -> Box<dyn Actor> {
    Box::new(Whisperer::default())
}

impl Actor for Whisperer {
    fn name(&self) -> &'static str {
        "whisperer"
    }

    fn on_send(&mut self, to: ReplicaId, message: Message, hand: &mut Hand<'_>) {
        self.memory.hear(&message);
        let is_let_in = match &message {
            Message::Vote(signed) => to == favourite(signed.vote.instance, hand),
            Message::Propose(propose) => is_in_bare_quorum(to, propose.instance, hand),
            _ => true,
        };
        if is_let_in || to == hand.me || hand.coalition.contains(to) {
            hand.send(to, message);
        }
    }

    fn on_receive(&mut self, _from: ReplicaId, message: &Message, hand: &mut Hand<'_>) -> bool {
        self.memory.hear(message);
        if let Message::Vote(signed) = message
            && signed.vote.kind == VoteKind::Accept
        {
            self.whisper(signed.vote, hand);
        }
        true
    }
}

impl Whisperer {
    /// Completes a proof with the signatures of the liars.
    fn whisper(&self, vote: Vote, hand: &mut Hand<'_>) {
        let mut signatures = self.memory.signatures(vote);
        signatures.extend(forge::votes_of_coalition(vote, hand));
        if !forge::is_quorum(&signatures, hand.view) {
            return;
        }
        // A batch of one request can be found by trying; larger ones the favourite has to know already.
        let is_batch = |request: &&Sealed<Request>| Digest::of_batch(&[request.digest()]) == vote.digest;
        let request = hand.requests.iter().find(is_batch).cloned();
        let to = favourite(vote.instance, hand);
        if let (Some(request), Some(proof)) = (request, forge::proof(vote, &signatures)) {
            hand.send(to, Message::Decisions(vec![DecidedBatch { proof, requests: vec![request] }]));
        }
        hand.send(to, forge::vote(vote, hand));
    }
}

/// The honest replica that hears everything about an instance.
fn favourite(instance: InstanceId, hand: &Hand<'_>) -> ReplicaId {
    let honest: Vec<ReplicaId> = hand.view.replicas().filter(|replica| !hand.coalition.contains(*replica)).collect();
    let at = checksum(0xfa7, &instance.0.to_be_bytes()) as usize % honest.len().max(1);
    honest.get(at).copied().unwrap_or(hand.me)
}

/// The favourite and as many after it as make a quorum with the liars.
fn is_in_bare_quorum(to: ReplicaId, instance: InstanceId, hand: &Hand<'_>) -> bool {
    let n = hand.view.n() as u16;
    let first = favourite(instance, hand);
    let mut told: Voters = hand.coalition;
    for step in 0..n {
        if hand.view.is_quorum(told) {
            break;
        }
        told.insert(ReplicaId((first.0 + step) % n));
    }
    told.contains(to)
}
