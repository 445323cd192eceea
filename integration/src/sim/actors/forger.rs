//! *Attack.* Writes what others should have signed: garbage, bent bytes, votes in another's name, signatures used again for
//! another kind, epoch or instance, certificates and proofs filled up with repeated or foreign signatures, STOPDATA with such
//! certificates inside, SYNCs of one replica's STOPDATA or of another regency's, requests of clients that never asked.
//!
//! *Known as* holes 4 (certificates verified without instance, group, epoch or message type), 5 (an epoch in a collect
//! that is not bounded by the regency being left) and 2 (support counted over messages instead of replicas).
//!
//! *Answer.* All of it is refused at the door: bytes become messages only through one decoder that knows every limit and
//! checks every signature against a preimage that names group, kind, instance, epoch and digest.

use bytes::Bytes;
use mod_smart::certificate::{Vote, VoteKind};
use mod_smart::message::DecidedBatch;
use mod_smart::synchronization::{Claim, SignedStopData};
use mod_smart::{
    Client, Digest, Epoch, Evidence, GroupId, InstanceId, Message, Regency, ReplicaId, Request, RequestId, Sealed,
    Sequence, SessionId, StopData, Sync,
};

use super::forge::{self, Signatures};
use super::memory::Memory;
use crate::sim::actor::{Actor, Hand};

#[derive(Debug, Default)]
struct Forger {
    memory: Memory,
    /// Something real, to be bent.
    sample: Option<Bytes>,
}

pub(super) fn make(_seed: u64) -> Box<dyn Actor> {
    Box::new(Forger::default())
}

impl Actor for Forger {
    fn name(&self) -> &'static str {
        "forger"
    }

    fn on_send(&mut self, to: ReplicaId, message: Message, hand: &mut Hand<'_>) {
        self.memory.hear(&message);
        self.sample = Some(message.encode());
        if let Message::StopData(honest) = &message
            && hand.random.bool()
            && let Some(bent) = self.bent_stop_data(honest, hand)
        {
            return hand.send(to, Message::StopData(bent));
        }
        hand.send(to, message);
    }

    fn on_receive(&mut self, _from: ReplicaId, message: &Message, hand: &mut Hand<'_>) -> bool {
        self.memory.hear(message);
        if let Message::Vote(signed) = message
            && hand.random.u8(..8) == 0
        {
            self.pass_off(signed.vote, hand);
        }
        true
    }

    fn on_tick(&mut self, hand: &mut Hand<'_>) {
        let Some(to) = forge::somebody(hand).filter(|_| hand.random.u8(..4) == 0) else { return };
        match hand.random.u8(..10) {
            0 => send_garbage(to, hand),
            1 => self.send_bent(to, hand),
            2 => self.send_false_vote(to, hand),
            3 => self.send_false_decision(to, hand),
            4 => self.send_false_stop_data(to, hand),
            5 | 6 => self.send_false_sync(to, hand),
            7 => self.send_false_checkpoint(to, hand),
            8 => send_false_request(to, hand),
            _ => self.send_foreign_vote(to, hand),
        }
    }
}

impl Forger {
    /// One of the newest votes heard, and who was heard to cast it.
    fn heard(&self, hand: &mut Hand<'_>) -> Option<(Vote, Signatures)> {
        let recent: Vec<_> = self.memory.votes().rev().take(16).map(|(vote, s)| (vote, s.clone())).collect();
        hand.random.choice(recent)
    }

    /// A real message with a few bytes changed, cut off somewhere.
    fn send_bent(&self, to: ReplicaId, hand: &mut Hand<'_>) {
        let Some(mut bytes) = self.sample.as_ref().map(|sample| sample.to_vec()) else { return };
        for _ in 0..hand.random.u8(1..4) {
            let at = hand.random.usize(..bytes.len());
            bytes[at] = hand.random.u8(..);
        }
        if hand.random.bool() {
            bytes.truncate(hand.random.usize(..=bytes.len()));
        }
        hand.send_bytes(to, bytes.into());
    }

    /// A vote that somebody else cast, under our name or theirs, as another kind, or in another epoch.
    fn send_false_vote(&self, to: ReplicaId, hand: &mut Hand<'_>) {
        let Some((vote, signatures)) = self.heard(hand) else { return };
        let Some((voter, signature)) = signatures.into_iter().next() else { return };
        let Message::Vote(mut signed) = forge::vote(vote, hand) else { return };
        signed.signature = signature;
        match hand.random.u8(..4) {
            0 => {}
            1 => signed.voter = voter,
            2 => signed.vote.kind = other_kind(vote.kind),
            _ => signed.vote.epoch = vote.epoch.next(),
        }
        hand.send(to, Message::Vote(signed));
    }

    /// Our own good signature, made for another group.
    fn send_foreign_vote(&self, to: ReplicaId, hand: &mut Hand<'_>) {
        let Some((vote, _)) = self.heard(hand) else { return };
        hand.send(to, Message::Vote(vote.sign(GroupId([0; 32]), hand.me, &hand.key())));
    }

    /// Real votes of a quorum, and the batch they are for, as the proof of a decision: WRITEs for ACCEPTs, or the votes of this
    /// instance for the next.
    fn pass_off(&self, vote: Vote, hand: &mut Hand<'_>) {
        let signatures = self.memory.signatures(vote);
        if !forge::is_quorum(&signatures, hand.view) {
            return;
        }
        let Some(batch) = self.memory.batch(vote.digest) else { return };
        let request = |digest: &Digest| hand.requests.iter().find(|request| request.digest() == *digest).cloned();
        let Some(requests) = batch.iter().map(request).collect::<Option<Vec<_>>>() else { return };
        let instance = match vote.kind {
            VoteKind::Write => vote.instance,
            VoteKind::Accept => vote.instance.next(),
        };
        let Some(proof) = forge::proof(Vote { kind: VoteKind::Accept, instance, ..vote }, &signatures) else { return };
        for to in hand.others() {
            let requests = requests.clone();
            hand.send(to, Message::Decisions(vec![DecidedBatch { proof: proof.clone(), requests }]));
        }
    }

    /// A proof that consists of WRITEs, of the liars' votes, and of signatures of another instance.
    fn send_false_decision(&self, to: ReplicaId, hand: &mut Hand<'_>) {
        let Some((vote, signatures)) = self.heard(hand) else { return };
        let Some(request) = hand.requests.last().cloned() else { return };
        let digest = Digest::of_batch(&[request.digest()]);
        let ours = Vote { kind: VoteKind::Accept, digest, ..vote };
        let all = complete(ours, signatures, hand);
        if let Some(proof) = forge::proof(ours, &all) {
            hand.send(to, Message::Decisions(vec![DecidedBatch { proof, requests: vec![request] }]));
        }
    }

    /// A well signed STOPDATA with a certificate that is none, or one of an epoch that cannot be.
    fn false_stop_data(&self, hand: &mut Hand<'_>) -> Option<SignedStopData> {
        let (vote, signatures) = self.heard(hand)?;
        let regency = Regency(self.memory.regency.0 + hand.random.u64(1..3));
        let digest = forge::invented_digest(hand);
        let epoch = Epoch(regency.0.saturating_sub(hand.random.u64(..2)));
        let ours = Vote { kind: VoteKind::Write, digest, epoch, ..vote };
        let claim = Claim::Written(forge::certificate(ours, &complete(ours, signatures.clone(), hand))?);
        let accept = Vote { kind: VoteKind::Accept, ..ours };
        let delivered = forge::proof(accept, &complete(accept, signatures, hand)).map(Evidence::Decision);
        let data = match delivered.filter(|_| hand.random.bool()) {
            Some(delivered) => StopData { regency, delivered, claims: Vec::new() },
            None => StopData { regency, delivered: Evidence::Start, claims: vec![claim] },
        };
        Some(data.sign(hand.group, hand.me, &hand.key()))
    }

    /// Our own STOPDATA, in its place and time, with a certificate or a proof inside that is none, for an instance that is open:
    /// invented, or made of signatures that stand under something else.
    fn bent_stop_data(&self, honest: &SignedStopData, hand: &mut Hand<'_>) -> Option<SignedStopData> {
        let (heard, signatures) = self.heard(hand)?;
        let data = &honest.data;
        let instance = InstanceId(data.delivered.instance().0 + hand.random.u64(1..3));
        let digest = if hand.random.bool() { heard.digest } else { forge::invented_digest(hand) };
        let epoch = if hand.random.bool() { heard.epoch } else { Epoch(data.regency.0.saturating_sub(1)) };
        let vote = Vote { kind: VoteKind::Write, instance, epoch, digest };
        let bent = if hand.random.bool() {
            let accept = Vote { kind: VoteKind::Accept, ..vote };
            let proof = forge::proof(accept, &complete(accept, signatures, hand))?;
            StopData { regency: data.regency, delivered: Evidence::Decision(proof), claims: Vec::new() }
        } else {
            let certificate = forge::certificate(vote, &complete(vote, signatures, hand))?;
            StopData { claims: vec![Claim::Written(certificate)], ..data.clone() }
        };
        Some(bent.sign(hand.group, hand.me, &hand.key()))
    }

    fn send_false_stop_data(&self, to: ReplicaId, hand: &mut Hand<'_>) {
        if let Some(signed) = self.false_stop_data(hand) {
            hand.send(to, Message::StopData(signed));
        }
    }

    /// A SYNC without enough distinct replicas: one of them many times, those of several regencies, or the honest names
    /// over the liars' signatures.
    fn send_false_sync(&self, to: ReplicaId, hand: &mut Hand<'_>) {
        let regency = Regency(self.memory.regency.0 + 1);
        let nothing = StopData { regency, delivered: Evidence::Start, claims: Vec::new() };
        let own = nothing.sign(hand.group, hand.me, &hand.key());
        let n = hand.view.n();
        let collects = match hand.random.u8(..3) {
            0 => vec![own; n],
            1 => self.memory.collects().rev().take(n).cloned().chain([own]).collect(),
            _ => hand.view.replicas().map(|sender| SignedStopData { sender, ..own.clone() }).collect(),
        };
        hand.send(to, Message::Sync(Sync { regency, collects }));
    }

    /// A stable checkpoint of the liars' signatures, alone or among honest ones that were given for another, and a manifest that
    /// fits it.
    fn send_false_checkpoint(&self, to: ReplicaId, hand: &mut Hand<'_>) {
        let Some(manifest) = forge::invented_manifest(hand) else { return };
        let Some((mut vote, signatures)) = self.memory.newest_checkpoint().map(|(v, s)| (v, s.clone())) else { return };
        vote.digest = manifest.digest();
        let mut all = signatures;
        if hand.random.bool() {
            all.clear();
            vote.instance = InstanceId(vote.instance.0 + hand.random.choice([0, 20, 1000]).unwrap_or_default());
        }
        for liar in hand.coalition.iter() {
            if let Some(key) = hand.key_of(liar) {
                all.insert(liar, vote.sign(hand.group, liar, &key).signature);
            }
        }
        if let Some(checkpoint) = forge::stable(vote, &all) {
            hand.send(to, Message::Stable(checkpoint, manifest));
        }
    }
}

/// The liars' good signatures, and for everybody else whatever is at hand.
fn complete(vote: Vote, heard: Signatures, hand: &Hand<'_>) -> Signatures {
    let mut all = forge::votes_of_coalition(vote, hand);
    let own = vote.sign(hand.group, hand.me, &hand.key()).signature;
    for replica in hand.view.replicas() {
        all.entry(replica).or_insert_with(|| heard.get(&replica).copied().unwrap_or(own));
    }
    all
}

/// A request in the name of a frontend, which never asked for it.
fn send_false_request(to: ReplicaId, hand: &mut Hand<'_>) {
    let Some(seen) = hand.requests.last().map(|request| request.value().clone()) else { return };
    let Client::Frontend(_) = seen.id.client else { return };
    let id = RequestId { session: SessionId(seen.id.session.0), sequence: Sequence(seen.id.sequence.0 + 1), ..seen.id };
    let forged: Sealed<Request> = Request { id, body: seen.body }.seal(hand.group, &hand.key());
    hand.send(to, Message::Bodies(vec![forged]));
}

fn send_garbage(to: ReplicaId, hand: &mut Hand<'_>) {
    let length = hand.random.usize(..300);
    let garbage = (0..length).map(|_| hand.random.u8(..)).collect();
    hand.send_bytes(to, garbage);
}

const fn other_kind(kind: VoteKind) -> VoteKind {
    match kind {
        VoteKind::Write => VoteKind::Accept,
        VoteKind::Accept => VoteKind::Write,
    }
}
