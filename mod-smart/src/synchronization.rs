//! What the synchronization phase says: STOPDATA, and SYNC, which is nothing but enough of them (thesis, algorithm 3).
//!
//! A STOPDATA is signed and names the regency that its sender enters, so it cannot be shown again in another one. A SYNC is
//! transferable: whoever sees one knows that its regency began, what every instance is bound to in it, and may jump
//! there over any number of regencies. The leader adds no signature of its own: only it was sent the parts.

use crate::certificate::{Proof, WriteCertificate};
use crate::checkpoint::StableCheckpoint;
use crate::codec::{CodecError, Reader, Writer};
use crate::id::{GroupId, InstanceId, Regency, ReplicaId};
use crate::limits::INSTANCES_OPEN_MAX;
use crate::quorum::{REPLICAS_MAX, View, Voters};
use crate::seal::{Domain, Keyring, Reject, Signature, Signer};

/// Why everybody must believe that an instance was delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Evidence {
    /// Nothing was delivered yet: there is nothing to believe.
    #[default]
    Start,
    /// The proof of the decision.
    Decision(Proof),
    /// A quorum signed the state after it.
    Checkpoint(StableCheckpoint),
}

impl Evidence {
    /// The last delivered instance.
    #[must_use]
    pub const fn instance(&self) -> InstanceId {
        match self {
            Self::Start => InstanceId(0),
            Self::Decision(proof) => proof.instance(),
            Self::Checkpoint(checkpoint) => checkpoint.instance(),
        }
    }

    /// Checks it.
    ///
    /// # Errors
    /// A signature or the quorum is missing, or instance 0 claims to have been decided.
    pub fn verify(&self, view: &View, keyring: &dyn Keyring) -> Result<(), Reject> {
        match self {
            Self::Start => Ok(()),
            _ if self.instance().0 == 0 => Err(Reject::Certificate),
            Self::Decision(proof) => proof.verify(view, keyring),
            Self::Checkpoint(checkpoint) => checkpoint.verify(view, keyring),
        }
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Start => writer.u8(0),
            Self::Decision(proof) => {
                writer.u8(1);
                proof.encode(writer);
            }
            Self::Checkpoint(checkpoint) => {
                writer.u8(2);
                checkpoint.encode(writer);
            }
        }
    }

    pub(crate) fn decode(reader: &mut Reader) -> Result<Self, CodecError> {
        Ok(match reader.u8()? {
            0 => Self::Start,
            1 => Self::Decision(Proof::decode(reader)?),
            2 => Self::Checkpoint(StableCheckpoint::decode(reader)?),
            tag => return Err(CodecError::Tag(tag)),
        })
    }
}

/// What a replica knows of an instance after its last delivered one. Knowing nothing has no claim: it is not written as
/// a certificate of epoch 0, which is an epoch like any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The WRITE certificate of the highest epoch it holds.
    Written(WriteCertificate),
    /// The proof of a decision that it could not deliver yet.
    Decided(Proof),
}

impl Claim {
    /// The instance it is about.
    #[must_use]
    pub const fn instance(&self) -> InstanceId {
        match self {
            Self::Written(certificate) => certificate.instance(),
            Self::Decided(proof) => proof.instance(),
        }
    }

    /// Could it be known when this regency was entered? A certificate of a later one must not bind what was left; a
    /// decision is one in whatever epoch it was made, and others may have decided before this replica entered.
    fn is_before(&self, regency: Regency) -> bool {
        match self {
            Self::Written(certificate) => certificate.epoch() < regency.into(),
            Self::Decided(_) => true,
        }
    }
}

/// STOPDATA: where its sender stood when it entered a regency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopData {
    /// The regency being entered.
    pub regency: Regency,
    /// The last delivered instance, with the reason to believe it.
    pub delivered: Evidence,
    /// What is known of the open instances after it, at most one claim for each, in order.
    pub claims: Vec<Claim>,
}

/// A STOPDATA under the vote key of its sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedStopData {
    /// What it says.
    pub data: StopData,
    /// Who says it.
    pub sender: ReplicaId,
    /// The sender's signature.
    pub signature: Signature,
}

impl StopData {
    /// Signs it as `sender`.
    #[must_use]
    pub fn sign(self, group: GroupId, sender: ReplicaId, signer: &dyn Signer) -> SignedStopData {
        let signature = signer.sign(&self.preimage(group));
        SignedStopData { data: self, sender, signature }
    }

    fn preimage(&self, group: GroupId) -> Vec<u8> {
        let mut writer = Writer::with_capacity(512);
        self.encode(&mut writer);
        Domain::StopData.preimage(group, &[&writer.finish()])
    }

    /// Epochs below the regency, instances in order and inside the widest window, and everything under its signatures.
    fn verify(&self, view: &View, keyring: &dyn Keyring) -> Result<(), Reject> {
        self.delivered.verify(view, keyring)?;
        let mut above = self.delivered.instance();
        let end = above.0.saturating_add(INSTANCES_OPEN_MAX as u64);
        for claim in &self.claims {
            if claim.instance() <= above || claim.instance().0 > end || !claim.is_before(self.regency) {
                return Err(Reject::Certificate);
            }
            above = claim.instance();
            match claim {
                Claim::Written(certificate) => certificate.verify(view, keyring)?,
                Claim::Decided(proof) => proof.verify(view, keyring)?,
            }
        }
        Ok(())
    }

    fn encode(&self, writer: &mut Writer) {
        writer.u64(self.regency.0);
        self.delivered.encode(writer);
        writer.count(self.claims.len());
        for claim in &self.claims {
            match claim {
                Claim::Written(certificate) => {
                    writer.u8(1);
                    certificate.encode(writer);
                }
                Claim::Decided(proof) => {
                    writer.u8(2);
                    proof.encode(writer);
                }
            }
        }
    }

    fn decode(reader: &mut Reader) -> Result<Self, CodecError> {
        let (regency, delivered) = (reader.regency()?, Evidence::decode(reader)?);
        let claims = reader.list(INSTANCES_OPEN_MAX, 53, |reader| match reader.u8()? {
            1 => Ok(Claim::Written(WriteCertificate::decode(reader)?)),
            2 => Ok(Claim::Decided(Proof::decode(reader)?)),
            tag => Err(CodecError::Tag(tag)),
        })?;
        Ok(Self { regency, delivered, claims })
    }
}

impl SignedStopData {
    /// Checks the signature and everything inside.
    ///
    /// # Errors
    /// The sender is no member or did not sign this, or a claim is not what it says.
    pub fn verify(&self, view: &View, keyring: &dyn Keyring) -> Result<(), Reject> {
        if !view.has(self.sender) || self.data.regency.0 == 0 {
            return Err(Reject::Sender);
        }
        if !keyring.verify_replica(self.sender, &self.data.preimage(view.group()), &self.signature) {
            return Err(Reject::Signature);
        }
        self.data.verify(view, keyring)
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        self.data.encode(writer);
        writer.u16(self.sender.0);
        writer.raw(&self.signature.0);
    }

    pub(crate) fn decode(reader: &mut Reader) -> Result<Self, CodecError> {
        let data = StopData::decode(reader)?;
        Ok(Self { data, sender: reader.replica()?, signature: Signature(reader.array()?) })
    }
}

/// SYNC: the STOPDATA of as many replicas as one may wait for, all of one regency. Proves that the regency began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    /// The regency that begins.
    pub regency: Regency,
    /// What the replicas said when they entered it, in the order of the view.
    pub collects: Vec<SignedStopData>,
}

impl Sync {
    /// Checks every STOPDATA, that all of them are of this regency, and that enough distinct replicas are heard.
    ///
    /// # Errors
    /// Something of it is not so.
    pub fn verify(&self, view: &View, keyring: &dyn Keyring) -> Result<(), Reject> {
        let mut heard = Voters::NONE;
        for collect in &self.collects {
            if collect.data.regency != self.regency || !heard.insert(collect.sender) {
                return Err(Reject::Certificate);
            }
            collect.verify(view, keyring)?;
        }
        if view.is_all_correct(heard) { Ok(()) } else { Err(Reject::Certificate) }
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.u64(self.regency.0);
        writer.count(self.collects.len());
        for collect in &self.collects {
            collect.encode(writer);
        }
    }

    pub(crate) fn decode(reader: &mut Reader) -> Result<Self, CodecError> {
        let regency = reader.regency()?;
        Ok(Self { regency, collects: reader.list(REPLICAS_MAX, 79, SignedStopData::decode)? })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::certificate::{Vote, VoteKind};
    use crate::id::{Client, Digest, Epoch};
    use crate::selection::Binding;

    /// A signature is the first bytes of what was signed and the name of who did: nobody here forges.
    struct Name(ReplicaId);
    struct Names;

    impl Signer for Name {
        fn sign(&self, message: &[u8]) -> Signature {
            let mut signature = [0; 64];
            let tail = &message[message.len().saturating_sub(62)..];
            signature[..tail.len()].copy_from_slice(tail);
            signature[62..].copy_from_slice(&self.0.0.to_be_bytes());
            Signature(signature)
        }
    }

    impl Keyring for Names {
        fn verify_replica(&self, replica: ReplicaId, message: &[u8], signature: &Signature) -> bool {
            Name(replica).sign(message) == *signature
        }

        fn verify_client(&self, _: Client, _: &[u8], _: &Signature) -> bool {
            false
        }
    }

    const GROUP: GroupId = GroupId([3; 32]);
    const DIGEST: Digest = Digest([5; 32]);

    fn votes_of(kind: VoteKind, epoch: Epoch) -> Vec<crate::certificate::SignedVote> {
        let vote = Vote { kind, instance: InstanceId(1), epoch, digest: DIGEST };
        [0, 1, 2].map(ReplicaId).map(|voter| vote.sign(GROUP, voter, &Name(voter))).to_vec()
    }

    fn collect(sender: u16, regency: u64, claims: Vec<Claim>) -> SignedStopData {
        let data = StopData { regency: Regency(regency), delivered: Evidence::Start, claims };
        data.sign(GROUP, ReplicaId(sender), &Name(ReplicaId(sender)))
    }

    fn written(epoch: u64) -> Claim {
        let votes = votes_of(VoteKind::Write, Epoch(epoch));
        Claim::Written(WriteCertificate::collect(InstanceId(1), Epoch(epoch), DIGEST, &votes))
    }

    fn decided(epoch: u64) -> Claim {
        let votes = votes_of(VoteKind::Accept, Epoch(epoch));
        Claim::Decided(Proof::collect(InstanceId(1), Epoch(epoch), DIGEST, &votes))
    }

    /// Published hole 6: what binds where replicas only crash is nothing where anybody may lie.
    #[test]
    fn a_certificate_without_a_quorum_of_votes_binds_only_where_replicas_only_crash() {
        let certificate = |votes: usize| {
            let votes = &votes_of(VoteKind::Write, Epoch(1))[..votes];
            Claim::Written(WriteCertificate::collect(InstanceId(1), Epoch(1), DIGEST, votes))
        };
        let proof = |votes: usize| {
            let votes = &votes_of(VoteKind::Accept, Epoch(1))[..votes];
            Claim::Decided(Proof::collect(InstanceId(1), Epoch(1), DIGEST, votes))
        };
        let (flat, crash_only) = (View::flat(GROUP, 4).unwrap(), View::crash_only(GROUP, 4).unwrap());
        let verify = |claim, view| collect(0, 2, vec![claim]).verify(view, &Names);
        for votes in 0..3 {
            assert_eq!(verify(certificate(votes), &flat), Err(Reject::Certificate), "{votes} votes");
            assert_eq!(verify(certificate(votes), &crash_only), Ok(()), "{votes} votes");
            assert_eq!(verify(proof(votes), &flat), Err(Reject::Certificate), "{votes} votes");
            assert_eq!(verify(proof(votes), &crash_only), Err(Reject::Certificate), "{votes} votes");
        }
        assert_eq!(verify(certificate(3), &flat), Ok(()));
    }

    /// Published hole 5. And found by the simulator: a replica that enters a regency late may have learnt of a decision of
    /// that very regency; its STOPDATA was refused by everybody.
    #[test]
    fn a_certificate_of_the_regency_being_entered_is_refused_and_a_decision_of_it_is_not() {
        let view = View::flat(GROUP, 4).unwrap();
        let verify = |claim| collect(0, 2, vec![claim]).verify(&view, &Names);
        assert_eq!(verify(written(1)), Ok(()));
        assert_eq!(verify(written(2)), Err(Reject::Certificate));
        assert_eq!(verify(written(3)), Err(Reject::Certificate));
        assert_eq!(verify(decided(2)), Ok(()));
    }

    /// Published hole 4.
    #[test]
    fn a_claim_whose_certificate_holds_one_wrong_signature_is_refused() {
        let view = View::flat(GROUP, 4).unwrap();
        let mut votes = votes_of(VoteKind::Write, Epoch(1));
        votes[1].signature = votes[0].signature;
        let claim = Claim::Written(WriteCertificate::collect(InstanceId(1), Epoch(1), DIGEST, &votes));
        assert_eq!(collect(0, 2, vec![claim]).verify(&view, &Names), Err(Reject::Signature));
    }

    /// What was certified later was certified by replicas that knew of what had been certified before.
    #[test]
    fn of_several_certificates_the_one_of_the_highest_epoch_binds_and_a_decision_before_all() {
        let of = |claims: [Claim; 3]| {
            let collects: Vec<SignedStopData> =
                (0..).zip(claims).map(|(sender, claim)| collect(sender, 9, vec![claim])).collect();
            match crate::selection::binding(InstanceId(1), &collects) {
                Binding::Written(certificate) => (certificate.epoch().0, false),
                Binding::Decided(proof) => (proof.epoch().0, true),
                Binding::Unbound => unreachable!("three claims bind"),
            }
        };
        assert_eq!(of([written(2), written(5), written(3)]), (5, false));
        assert_eq!(of([written(5), written(0), written(0)]), (5, false));
        assert_eq!(of([written(5), decided(2), written(3)]), (2, true));
    }

    /// Published holes 2 and 3.
    #[test]
    fn a_sync_is_distinct_replicas_that_entered_this_regency() {
        let view = View::flat(GROUP, 4).unwrap();
        let verify = |collects| Sync { regency: Regency(2), collects }.verify(&view, &Names);
        let right = || vec![collect(0, 2, vec![]), collect(1, 2, vec![written(0)]), collect(2, 2, vec![])];
        assert_eq!(verify(right()), Ok(()));
        let mut repeated = right();
        repeated[2] = repeated[0].clone();
        assert_eq!(verify(repeated), Err(Reject::Certificate));
        let mut old = right();
        old[1] = collect(1, 1, vec![]);
        assert_eq!(verify(old), Err(Reject::Certificate));
        assert_eq!(verify(right()[..2].to_vec()), Err(Reject::Certificate));
        let mut relabelled = right();
        relabelled[1].data.claims.clear();
        assert_eq!(verify(relabelled), Err(Reject::Signature));
    }
}
