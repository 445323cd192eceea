//! Checkpoints: the state after an instance, signed by a quorum, and the chunks it is given away in.
//!
//! The *state* is the core's windows and the application's snapshot as one byte string. Its digest is the digest of its
//! [`Manifest`]: the digests of its chunks. So a joiner that holds a [`StableCheckpoint`] and a manifest can take every
//! chunk from another replica and check it alone.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::codec::{CodecError, Reader, Writer};
use crate::id::{Digest, GroupId, InstanceId, ReplicaId};
use crate::limits::{STATE_CHUNK_BYTES, STATE_CHUNKS_MAX};
use crate::quorum::{REPLICAS_MAX, View, Voters};
use crate::seal::{Domain, Keyring, Reject, Signature, Signer};

/// "After this instance my state has this digest."
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CheckpointVote {
    /// The instance after which the state was taken.
    pub instance: InstanceId,
    /// Digest of the state's manifest.
    pub digest: Digest,
}

/// A checkpoint vote under the vote key of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What it says.
    pub vote: CheckpointVote,
    /// Who says it.
    pub voter: ReplicaId,
    /// The voter's signature.
    pub signature: Signature,
}

impl CheckpointVote {
    /// Signs this vote as `voter`.
    #[must_use]
    pub fn sign(self, group: GroupId, voter: ReplicaId, signer: &dyn Signer) -> SignedCheckpoint {
        SignedCheckpoint { vote: self, voter, signature: signer.sign(&self.preimage(group)) }
    }

    fn preimage(self, group: GroupId) -> Vec<u8> {
        Domain::Checkpoint.preimage(group, &[&self.instance.0.to_be_bytes(), &self.digest.0])
    }

    pub(crate) fn encode(self, writer: &mut Writer) {
        writer.u64(self.instance.0);
        writer.raw(&self.digest.0);
    }

    pub(crate) fn decode(reader: &mut Reader) -> Result<Self, CodecError> {
        Ok(Self { instance: reader.instance()?, digest: reader.digest()? })
    }
}

impl SignedCheckpoint {
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

    pub(crate) fn encode(&self, writer: &mut Writer) {
        self.vote.encode(writer);
        writer.u16(self.voter.0);
        writer.raw(&self.signature.0);
    }

    pub(crate) fn decode(reader: &mut Reader) -> Result<Self, CodecError> {
        let vote = CheckpointVote::decode(reader)?;
        Ok(Self { vote, voter: reader.replica()?, signature: Signature(reader.array()?) })
    }
}

/// A quorum of equal checkpoint votes: the state after the instance, for whoever comes later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StableCheckpoint {
    vote: CheckpointVote,
    signatures: Vec<(ReplicaId, Signature)>,
}

impl StableCheckpoint {
    /// Puts equal votes together; the caller knows that they are valid, equal and a quorum.
    #[must_use]
    pub(crate) fn collect(vote: CheckpointVote, votes: &[SignedCheckpoint]) -> Self {
        Self { vote, signatures: votes.iter().map(|v| (v.voter, v.signature)).collect() }
    }

    /// The instance after which the state was taken.
    #[must_use]
    pub const fn instance(&self) -> InstanceId {
        self.vote.instance
    }

    /// Digest of the state's manifest.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.vote.digest
    }

    /// Checks every signature and the quorum.
    ///
    /// # Errors
    /// A wrong signature, a voter who is no member, or too little weight.
    pub fn verify(&self, view: &View, keyring: &dyn Keyring) -> Result<(), Reject> {
        let mut voters = Voters::NONE;
        for &(voter, signature) in &self.signatures {
            SignedCheckpoint { vote: self.vote, voter, signature }.verify(view, keyring)?;
            voters.insert(voter);
        }
        if view.is_quorum(voters) { Ok(()) } else { Err(Reject::Certificate) }
    }

    /// The bytes of the certificate.
    pub fn encode(&self, writer: &mut Writer) {
        self.vote.encode(writer);
        writer.count(self.signatures.len());
        for (voter, signature) in &self.signatures {
            writer.u16(voter.0);
            writer.raw(&signature.0);
        }
    }

    /// Reads a certificate; it is not checked.
    ///
    /// # Errors
    /// The bytes are not one.
    pub fn decode(reader: &mut Reader) -> Result<Self, CodecError> {
        let vote = CheckpointVote::decode(reader)?;
        let signatures = reader.list(REPLICAS_MAX, 66, |reader| Ok((reader.replica()?, Signature(reader.array()?))))?;
        Ok(Self { vote, signatures })
    }
}

/// The parts of a state and their digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    bytes_total: u64,
    chunks: Vec<Digest>,
}

impl Manifest {
    /// The manifest of a state.
    ///
    /// # Errors
    /// The state is larger than [`STATE_CHUNKS_MAX`] chunks.
    pub fn of(state: &[u8]) -> Result<Self, CodecError> {
        let chunks: Vec<Digest> = state.chunks(STATE_CHUNK_BYTES).map(digest_of_chunk).collect();
        if chunks.len() > STATE_CHUNKS_MAX {
            return Err(CodecError::Count(chunks.len() as u64));
        }
        Ok(Self { bytes_total: state.len() as u64, chunks })
    }

    /// What checkpoint votes carry.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hash = Sha256::new();
        hash.update(b"mod-smart state 1");
        hash.update(self.bytes_total.to_be_bytes());
        for chunk in &self.chunks {
            hash.update(chunk.0);
        }
        Digest(hash.finalize().into())
    }

    /// How many chunks there are.
    #[must_use]
    pub fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// The digest of the chunk with this number.
    #[must_use]
    pub fn chunk(&self, index: u32) -> Option<Digest> {
        self.chunks.get(index as usize).copied()
    }

    /// Is this the chunk with this number?
    #[must_use]
    pub fn has(&self, index: u32, chunk: &[u8]) -> bool {
        self.chunk(index).is_some_and(|expected| expected == digest_of_chunk(chunk))
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.u64(self.bytes_total);
        writer.count(self.chunks.len());
        for chunk in &self.chunks {
            writer.raw(&chunk.0);
        }
    }

    pub(crate) fn decode(reader: &mut Reader) -> Result<Self, CodecError> {
        Ok(Self { bytes_total: reader.u64()?, chunks: reader.list(STATE_CHUNKS_MAX, 32, Reader::digest)? })
    }
}

/// The chunk of a state with this number.
#[must_use]
pub fn chunk(state: &Bytes, index: u32) -> Option<Bytes> {
    let start = (index as usize).checked_mul(STATE_CHUNK_BYTES)?;
    (start < state.len()).then(|| state.slice(start..state.len().min(start + STATE_CHUNK_BYTES)))
}

/// Puts a state together: the core's windows, and the application's snapshot.
#[must_use]
pub fn join_state(sessions: &Bytes, application: &Bytes) -> Bytes {
    let mut writer = Writer::with_capacity(sessions.len() + application.len() + 8);
    writer.bytes(sessions);
    writer.bytes(application);
    writer.finish()
}

/// Takes a state apart again: the core's windows, and the application's snapshot.
///
/// # Errors
/// The bytes are not a state.
pub fn split_state(state: Bytes) -> Result<(Bytes, Bytes), CodecError> {
    let mut reader = Reader::new(state);
    let (sessions, application) = (reader.bytes()?, reader.bytes()?);
    reader.finish()?;
    Ok((sessions, application))
}

fn digest_of_chunk(chunk: &[u8]) -> Digest {
    Digest(Sha256::new().chain_update(b"mod-smart chunk 1").chain_update(chunk).finalize().into())
}
