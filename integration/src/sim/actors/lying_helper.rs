//! *Attack.* Answers whoever lags with something else: bent chunks of a state, other batches than those asked for, bodies of
//! other requests, decisions with other requests or gaps, a stable checkpoint that nobody signed, a probe's answer that
//! denies what was voted.
//!
//! *Known as* hole 7: state transfer that takes the leader or the regency from one reply.
//!
//! *Answer.* Everything a helper gives is checked against a digest or a proof that a quorum signed: chunks against the
//! manifest, a manifest against the certificate, a batch against its digest, decisions against their ACCEPTs. A lie costs a
//! retry with somebody else. A probe believes the furthest proven standing of a quorum.

use bytes::Bytes;
use mod_smart::message::{DecidedBatch, ProbeReply};
use mod_smart::{Evidence, Message, Regency, ReplicaId};

use super::forge;
use super::memory::Memory;
use crate::sim::actor::{Actor, Hand};

#[derive(Debug, Default)]
struct LyingHelper {
    memory: Memory,
}

pub(super) fn make(_seed: u64) -> Box<dyn Actor> {
    Box::new(LyingHelper::default())
}

impl Actor for LyingHelper {
    fn name(&self) -> &'static str {
        "lying-helper"
    }

    fn on_send(&mut self, to: ReplicaId, message: Message, hand: &mut Hand<'_>) {
        let lie = match message {
            Message::Chunk(instance, index, chunk) => {
                let index = if hand.random.bool() { index } else { index.wrapping_add(1) };
                Some(Message::Chunk(instance, index, bend(&chunk, hand)))
            }
            Message::Batch(instance, mut requests) => {
                requests.push(forge::invented_digest(hand));
                Some(Message::Batch(instance, requests))
            }
            Message::Bodies(requests) if requests.len() > 1 => Some(Message::Bodies(requests[1..].to_vec())),
            Message::Bodies(_) => None,
            Message::Decisions(decisions) => Some(Message::Decisions(retell(decisions, hand))),
            Message::Stable(checkpoint, manifest) => {
                let lie = forge::invented_manifest(hand).filter(|_| hand.random.bool());
                Some(Message::Stable(checkpoint, lie.unwrap_or(manifest)))
            }
            Message::ProbeReply(reply) => Some(Message::ProbeReply(ProbeReply {
                is_pristine: true,
                delivered: Evidence::Start,
                wants: Regency(0),
                ..reply
            })),
            // Votes for a state that nobody has.
            Message::Checkpoint(mut signed) => {
                signed.vote.digest = forge::invented_digest(hand);
                Some(Message::Checkpoint(signed.vote.sign(hand.group, hand.me, &hand.key())))
            }
            message => Some(message),
        };
        lie.into_iter().for_each(|message| hand.send(to, message));
    }

    fn on_receive(&mut self, from: ReplicaId, message: &Message, hand: &mut Hand<'_>) -> bool {
        self.memory.hear(message);
        // Whoever asks hears of checkpoints that are not stable, by the signatures of those who are not enough.
        if matches!(message, Message::FetchDecisions(_) | Message::FetchChunk(..) | Message::Probe(_))
            && let Some((vote, signatures)) = self.memory.newest_checkpoint()
            && let Some(checkpoint) = forge::stable(vote, signatures)
            && let Some(manifest) = forge::invented_manifest(hand)
        {
            hand.send(from, Message::Stable(checkpoint, manifest));
        }
        true
    }
}

/// One byte is not what it was.
fn bend(chunk: &Bytes, hand: &mut Hand<'_>) -> Bytes {
    let mut bytes = chunk.to_vec();
    if !bytes.is_empty() {
        let at = hand.random.usize(..bytes.len());
        bytes[at] ^= hand.random.u8(1..);
    }
    bytes.into()
}

/// Decisions with a hole, in another order, or with a request less under the same proof.
fn retell(mut decisions: Vec<DecidedBatch>, hand: &mut Hand<'_>) -> Vec<DecidedBatch> {
    if decisions.is_empty() {
        return decisions;
    }
    let at = hand.random.usize(..decisions.len());
    match hand.random.u8(..3) {
        0 => drop(decisions.remove(at)),
        1 => decisions.reverse(),
        _ => drop(decisions[at].requests.pop()),
    }
    decisions
}
