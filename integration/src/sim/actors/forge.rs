//! What liars make together: votes under their own keys, and certificates from whatever signatures they hold.
//!
//! A correct replica lets nobody make a certificate but from a quorum's signatures. A liar puts any signatures together and
//! hopes that somebody does not look.

use std::collections::BTreeMap;

use bytes::Bytes;
use mod_smart::certificate::{SignedVote, Vote};
use mod_smart::checkpoint::CheckpointVote;
use mod_smart::codec::Writer;
use mod_smart::{
    Digest, Manifest, Message, Proof, Record, Regency, ReplicaId, Signature, StableCheckpoint, View, Voters,
    WriteCertificate,
};

use crate::sim::actor::Hand;

/// Who signed a statement.
pub(super) type Signatures = BTreeMap<ReplicaId, Signature>;

/// This vote under the liar's own key, as a message.
pub(super) fn vote(vote: Vote, hand: &Hand<'_>) -> Message {
    Message::Vote(vote.sign(hand.group, hand.me, &hand.key()))
}

/// This vote under the keys of all liars.
pub(super) fn votes_of_coalition(vote: Vote, hand: &Hand<'_>) -> Signatures {
    let sign = |liar| hand.key_of(liar).map(|key| (liar, vote.sign(hand.group, liar, &key).signature));
    hand.coalition.iter().filter_map(sign).collect()
}

/// Are these signatures of a quorum, if they are good?
pub(super) fn is_quorum(signatures: &Signatures, view: &View) -> bool {
    view.is_quorum(signatures.keys().copied().collect::<Voters>())
}

/// These signatures as a WRITE certificate, good or bad.
pub(super) fn certificate(vote: Vote, signatures: &Signatures) -> Option<WriteCertificate> {
    match Record::decode(votes_record(CERTIFIED, vote, signatures)) {
        Ok(Record::Certified(certificate)) => Some(certificate),
        _ => None,
    }
}

/// These signatures as the proof of a decision, good or bad.
pub(super) fn proof(vote: Vote, signatures: &Signatures) -> Option<Proof> {
    match Record::decode(votes_record(DECIDED, vote, signatures)) {
        Ok(Record::Decided(decided)) => Some(decided.proof),
        _ => None,
    }
}

/// These signatures as a stable checkpoint, good or bad.
pub(super) fn stable(vote: CheckpointVote, signatures: &Signatures) -> Option<StableCheckpoint> {
    let mut writer = Writer::default();
    writer.u8(STABLE);
    writer.u64(vote.instance.0);
    writer.raw(&vote.digest.0);
    write_signatures(&mut writer, signatures);
    match Record::decode(writer.finish()) {
        Ok(Record::Stable(checkpoint)) => Some(checkpoint),
        _ => None,
    }
}

/// The manifest of a state that nobody has.
pub(super) fn invented_manifest(hand: &mut Hand<'_>) -> Option<Manifest> {
    let bytes: Vec<u8> = (0..hand.random.usize(1..400)).map(|_| hand.random.u8(..)).collect();
    Manifest::of(&bytes).ok()
}

/// A digest of nothing.
pub(super) fn invented_digest(hand: &mut Hand<'_>) -> Digest {
    let mut digest = [0; 32];
    hand.random.fill(&mut digest);
    Digest(digest)
}

/// Has this voter to do with a message of this kind at all? A vote leaves under its voter's name only.
pub(super) fn is_own_vote(signed: &SignedVote, hand: &Hand<'_>) -> bool {
    signed.voter == hand.me
}

/// One of the others.
pub(super) fn somebody(hand: &mut Hand<'_>) -> Option<ReplicaId> {
    let others = hand.others();
    hand.random.choice(others)
}

/// The regency that a message shows its sender to be in, if it shows one.
pub(super) fn regency_of(message: &Message) -> Option<Regency> {
    match message {
        Message::Status(status) => Some(status.regency),
        Message::Propose(propose) => Some(Regency(propose.epoch.0)),
        Message::StopData(signed) => Some(signed.data.regency),
        Message::Sync(sync) => Some(sync.regency),
        _ => None,
    }
}

fn votes_record(tag: u8, vote: Vote, signatures: &Signatures) -> Bytes {
    let mut writer = Writer::default();
    writer.u8(tag);
    writer.u64(vote.instance.0);
    writer.u64(vote.epoch.0);
    writer.raw(&vote.digest.0);
    write_signatures(&mut writer, signatures);
    if tag == DECIDED {
        writer.count(0);
    }
    writer.finish()
}

fn write_signatures(writer: &mut Writer, signatures: &Signatures) {
    writer.count(signatures.len());
    for (voter, signature) in signatures {
        writer.u16(voter.0);
        writer.raw(&signature.0);
    }
}

/// Journal records that consist of a certificate: certificates have no other way in from outside their crate.
const CERTIFIED: u8 = 4;
const DECIDED: u8 = 5;
const STABLE: u8 = 10;

#[cfg(test)]
mod tests {
    use mod_smart::certificate::VoteKind;
    use mod_smart::{Epoch, GroupId, InstanceId};

    use super::*;
    use crate::sim::keys::{Key, Keys};

    #[test]
    fn what_is_put_together_is_as_good_as_its_signatures() {
        let group = GroupId([1; 32]);
        let view = View::flat(group, 4).expect("four replicas");
        let write = Vote { kind: VoteKind::Write, instance: InstanceId(3), epoch: Epoch(2), digest: Digest([5; 32]) };
        let accept = Vote { kind: VoteKind::Accept, ..write };
        let state = CheckpointVote { instance: InstanceId(3), digest: Digest([6; 32]) };
        let sign = |vote: Vote, count| -> Signatures {
            let signed = |id| (ReplicaId(id), vote.sign(group, ReplicaId(id), &Key::vote(ReplicaId(id))).signature);
            (0..count).map(signed).collect()
        };
        let verify = |count| certificate(write, &sign(write, count)).map(|made| made.verify(&view, &Keys).is_ok());
        assert_eq!((verify(3), verify(2)), (Some(true), Some(false)));
        let verify = |vote| proof(accept, &sign(vote, 3)).map(|made| made.verify(&view, &Keys).is_ok());
        assert_eq!((verify(accept), verify(write)), (Some(true), Some(false)));
        let signed = |id| {
            let id = ReplicaId(id);
            (id, state.sign(group, id, &Key::vote(id)).signature)
        };
        let verify = |count| stable(state, &(0..count).map(signed).collect()).map(|s| s.verify(&view, &Keys).is_ok());
        assert_eq!((verify(3), verify(2)), (Some(true), Some(false)));
    }
}
