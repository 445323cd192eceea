//! Votes, and the quorums of them that convince a third party: the WRITE certificate and the proof of a decision
//! (*External Provability*, thesis 3.5.2).

use crate::codec::{CodecError, Reader, Writer};
use crate::id::{Digest, Epoch, GroupId, InstanceId, ReplicaId};
use crate::quorum::{REPLICAS_MAX, View, Voters};
use crate::seal::{Domain, Keyring, Reject, Signature, Signer};

/// The two votes of VP-Consensus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VoteKind {
    /// "I saw this digest proposed and hold its bodies durably."
    Write,
    /// "A quorum wrote it."
    Accept,
}

/// What a vote says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vote {
    /// WRITE or ACCEPT.
    pub kind: VoteKind,
    /// In which instance.
    pub instance: InstanceId,
    /// In which epoch of it.
    pub epoch: Epoch,
    /// For which batch.
    pub digest: Digest,
}

/// A vote under the vote key of the replica that cast it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedVote {
    /// What it says.
    pub vote: Vote,
    /// Who says it.
    pub voter: ReplicaId,
    /// The voter's signature.
    pub signature: Signature,
}

impl Vote {
    /// Signs this vote as `voter`.
    #[must_use]
    pub fn sign(self, group: GroupId, voter: ReplicaId, signer: &dyn Signer) -> SignedVote {
        SignedVote { vote: self, voter, signature: signer.sign(&self.preimage(group)) }
    }

    fn preimage(self, group: GroupId) -> Vec<u8> {
        let domain = match self.kind {
            VoteKind::Write => Domain::Write,
            VoteKind::Accept => Domain::Accept,
        };
        domain.preimage(group, &[&self.instance.0.to_be_bytes(), &self.epoch.0.to_be_bytes(), &self.digest.0])
    }

    pub(crate) fn encode(self, writer: &mut Writer) {
        writer.u8(match self.kind {
            VoteKind::Write => 0,
            VoteKind::Accept => 1,
        });
        writer.u64(self.instance.0);
        writer.u64(self.epoch.0);
        writer.raw(&self.digest.0);
    }

    pub(crate) fn decode(reader: &mut Reader) -> Result<Self, CodecError> {
        let kind = match reader.u8()? {
            0 => VoteKind::Write,
            1 => VoteKind::Accept,
            tag => return Err(CodecError::Tag(tag)),
        };
        Ok(Self { kind, instance: reader.instance()?, epoch: reader.epoch()?, digest: reader.digest()? })
    }
}

impl SignedVote {
    /// Checks the signature.
    ///
    /// # Errors
    /// The voter is no member, or did not sign this.
    pub fn verify(&self, view: &View, keyring: &dyn Keyring) -> Result<(), Reject> {
        if !view.has(self.voter) {
            return Err(Reject::Sender);
        }
        if !keyring.verify_replica(self.voter, &self.vote.preimage(view.group()), &self.signature) {
            return Err(Reject::Signature);
        }
        Ok(())
    }
}

/// A quorum of WRITEs for one (instance, epoch, digest). Binds the instance for every later regency. Where replicas only
/// crash it holds no vote: the word of whoever shows it is enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteCertificate(Votes);

/// A quorum of ACCEPTs for one (instance, epoch, digest): the batch is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof(Votes);

/// Equal votes of distinct replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Votes {
    instance: InstanceId,
    epoch: Epoch,
    digest: Digest,
    signatures: Vec<(ReplicaId, Signature)>,
}

impl Votes {
    fn collect(instance: InstanceId, epoch: Epoch, digest: Digest, votes: &[SignedVote]) -> Self {
        let signatures = votes.iter().map(|v| (v.voter, v.signature)).collect();
        Self { instance, epoch, digest, signatures }
    }

    /// Distinct voters only: a signature shown twice weighs once, and one bad signature spoils the set, because a
    /// correct replica never puts one in. How many votes of its kind are enough is for the view to say.
    fn verify(&self, kind: VoteKind, view: &View, keyring: &dyn Keyring) -> Result<(), Reject> {
        let vote = Vote { kind, instance: self.instance, epoch: self.epoch, digest: self.digest };
        let mut voters = Voters::NONE;
        for &(voter, signature) in &self.signatures {
            SignedVote { vote, voter, signature }.verify(view, keyring)?;
            voters.insert(voter);
        }
        let is_enough = match kind {
            VoteKind::Write => view.is_certificate(voters),
            VoteKind::Accept => view.is_quorum(voters),
        };
        if is_enough { Ok(()) } else { Err(Reject::Certificate) }
    }

    fn encode(&self, writer: &mut Writer) {
        writer.u64(self.instance.0);
        writer.u64(self.epoch.0);
        writer.raw(&self.digest.0);
        writer.count(self.signatures.len());
        for (voter, signature) in &self.signatures {
            writer.u16(voter.0);
            writer.raw(&signature.0);
        }
    }

    fn decode(reader: &mut Reader) -> Result<Self, CodecError> {
        let (instance, epoch, digest) = (reader.instance()?, reader.epoch()?, reader.digest()?);
        let signatures = reader.list(REPLICAS_MAX, 66, |reader| Ok((reader.replica()?, Signature(reader.array()?))))?;
        Ok(Self { instance, epoch, digest, signatures })
    }
}

macro_rules! certificate {
    ($name:ident, $kind:expr) => {
        impl $name {
            /// Puts equal votes together; the caller knows that they are valid, equal and a quorum.
            #[must_use]
            pub(crate) fn collect(instance: InstanceId, epoch: Epoch, digest: Digest, votes: &[SignedVote]) -> Self {
                Self(Votes::collect(instance, epoch, digest, votes))
            }

            /// The instance it is about.
            #[must_use]
            pub const fn instance(&self) -> InstanceId {
                self.0.instance
            }

            /// The epoch it was reached in.
            #[must_use]
            pub const fn epoch(&self) -> Epoch {
                self.0.epoch
            }

            /// The batch it is for.
            #[must_use]
            pub const fn digest(&self) -> Digest {
                self.0.digest
            }

            /// Who voted.
            #[must_use]
            pub fn voters(&self) -> Voters {
                self.0.signatures.iter().map(|(voter, _)| *voter).collect()
            }

            /// Checks every signature and the quorum.
            ///
            /// # Errors
            /// A wrong signature, a voter who is no member, or too little weight.
            pub fn verify(&self, view: &View, keyring: &dyn Keyring) -> Result<(), Reject> {
                self.0.verify($kind, view, keyring)
            }

            pub(crate) fn encode(&self, writer: &mut Writer) {
                self.0.encode(writer);
            }

            pub(crate) fn decode(reader: &mut Reader) -> Result<Self, CodecError> {
                Ok(Self(Votes::decode(reader)?))
            }
        }
    };
}

certificate!(WriteCertificate, VoteKind::Write);
certificate!(Proof, VoteKind::Accept);
