//! *Attack.* A leader that orders everything but the requests of one client, fast enough that nobody can call it silent.
//!
//! *Known from* the fairness attacks of Aardvark and Prime (see the slow leader).
//!
//! *Answer.* Each replica watches the requests that wait with it: one that many others have overtaken is offered to all,
//! and if that does not help the leader is stopped. It does not matter what the leader's batches look like.

use std::collections::{BTreeMap, BTreeSet};

use mod_smart::certificate::Vote;
use mod_smart::message::Propose;
use mod_smart::{Client, Digest, Epoch, InstanceId, Message, ReplicaId, Request, Sealed};

use super::forge;
use crate::sim::actor::{Actor, Hand};

#[derive(Debug, Default)]
struct Censor {
    victim: Option<Client>,
    /// What was really proposed, where it is not what the honest replica inside proposed.
    proposed: BTreeMap<(InstanceId, Epoch), Vec<Digest>>,
}

/// Proposals that are remembered.
const PROPOSED_MAX: usize = 64;

pub(super) fn make(_seed: u64) -> Box<dyn Actor> {
    Box::new(Censor::default())
}

impl Actor for Censor {
    fn name(&self) -> &'static str {
        "censor"
    }

    fn on_send(&mut self, to: ReplicaId, message: Message, hand: &mut Hand<'_>) {
        match message {
            Message::Propose(propose) => self.propose(to, propose, hand),
            Message::Vote(signed) if forge::is_own_vote(&signed, hand) => {
                let Vote { instance, epoch, digest, .. } = signed.vote;
                let really = self.proposed.get(&(instance, epoch)).map(|batch| Digest::of_batch(batch));
                hand.send(to, forge::vote(Vote { digest: really.unwrap_or(digest), ..signed.vote }, hand));
            }
            // Nor does it help anybody else to the bodies.
            Message::Bodies(requests) => {
                let kept = requests.into_iter().filter(|request| Some(request.value().id.client) != self.victim);
                hand.send(to, Message::Bodies(kept.collect()));
            }
            message => hand.send(to, message),
        }
    }
}

impl Censor {
    fn propose(&mut self, to: ReplicaId, propose: Propose, hand: &mut Hand<'_>) {
        let is_frontend = |request: &&Sealed<Request>| matches!(request.value().id.client, Client::Frontend(_));
        let first = hand.requests.iter().find(is_frontend).map(|request| request.value().id.client);
        self.victim = self.victim.or(first);
        let of_victim = hand.requests.iter().filter(|request| Some(request.value().id.client) == self.victim);
        let left_out: BTreeSet<Digest> = of_victim.map(Sealed::<Request>::digest).collect();
        let at = (propose.instance, propose.epoch);
        let passed = || propose.requests.iter().copied().filter(|digest| !left_out.contains(digest)).collect();
        let requests = self.proposed.entry(at).or_insert_with(passed).clone();
        if self.proposed.len() > PROPOSED_MAX {
            self.proposed.pop_first();
        }
        if !requests.is_empty() {
            hand.send(to, Message::Propose(Propose { requests, ..propose }));
        }
    }
}
