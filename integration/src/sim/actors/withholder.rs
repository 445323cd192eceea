//! *Attack.* Proposes what nobody can vote for: digests of requests whose bodies it gives to nobody, or to one replica only;
//! and when it is asked for a body or a batch that it does hold it gives nothing.
//!
//! *Answer.* A WRITE says that every body is durable at its sender, so what nobody can fetch gets no certificate, and a leader
//! that proposes it is as good as silent. What is certified a quorum holds, and `f + 1` of them will give it.

use std::collections::BTreeMap;

use mod_smart::message::Propose;
use mod_smart::{
    Client, Digest, Epoch, InstanceId, Message, ReplicaId, Request, RequestId, Sealed, Sequence, SessionId,
};

use crate::sim::actor::{Actor, Hand};

#[derive(Debug, Default)]
struct Withholder {
    /// The requests of its own that it has put into batches.
    own: BTreeMap<(InstanceId, Epoch), Sealed<Request>>,
    sequence: u64,
    /// How many replicas get the body.
    gives_to: usize,
}

/// Own requests that are remembered.
const OWN_MAX: usize = 32;

pub(super) fn make(seed: u64) -> Box<dyn Actor> {
    Box::new(Withholder { gives_to: (seed % 3) as usize, ..Withholder::default() })
}

impl Actor for Withholder {
    fn name(&self) -> &'static str {
        "withholder"
    }

    fn on_send(&mut self, to: ReplicaId, message: Message, hand: &mut Hand<'_>) {
        match message {
            Message::Propose(propose) if propose.instance.0 % 4 != 0 => self.propose(to, propose, hand),
            Message::Bodies(_) | Message::Batch(..) => {}
            message => hand.send(to, message),
        }
    }
}

impl Withholder {
    /// The batch with one request more, which only a few replicas will ever see.
    fn propose(&mut self, to: ReplicaId, mut propose: Propose, hand: &mut Hand<'_>) {
        let at = (propose.instance, propose.epoch);
        if !self.own.contains_key(&at) {
            self.sequence += 1;
            let request = own_request(self.sequence, hand);
            self.own.insert(at, request);
            if self.own.len() > OWN_MAX {
                self.own.pop_first();
            }
        }
        let Some(secret) = self.own.get(&at) else { return };
        let digest: Digest = secret.digest();
        if hand.others().iter().take(self.gives_to).any(|friend| *friend == to) {
            hand.send(to, Message::Bodies(vec![secret.clone()]));
        }
        propose.requests.push(digest);
        hand.send(to, Message::Propose(propose));
    }
}

/// A request that asks for nothing: its body is an empty list of commands.
fn own_request(sequence: u64, hand: &Hand<'_>) -> Sealed<Request> {
    let id = RequestId { client: Client::Replica(hand.me), session: SessionId(1 << 61), sequence: Sequence(sequence) };
    Request { id, body: bytes::Bytes::new() }.seal(hand.group, &hand.key())
}
