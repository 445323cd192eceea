//! Authentication: only what has been checked enters the core.
//!
//! [`Sealed`] can be made in this crate alone, by functions that check. Every signature covers a domain that names the
//! kind of statement and the ordering group, then the statement: one list, in [`Domain`].

use bytes::Bytes;

use crate::codec::CodecError;
use crate::id::{Client, Digest, GroupId, ReplicaId};

/// A value whose origin was checked, with the bytes it arrived as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed<M> {
    value: M,
    seal: Seal,
    bytes: Bytes,
}

/// How the origin of a sealed value is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seal {
    /// It came over an authenticated link; whatever a third party must be convinced of is signed inside.
    Link {
        /// The replica at the other end.
        sender: ReplicaId,
    },
    /// A client's signature over this digest.
    Request {
        /// Digest of the request.
        digest: Digest,
    },
}

impl<M> Sealed<M> {
    pub(crate) const fn assemble(value: M, seal: Seal, bytes: Bytes) -> Self {
        Self { value, seal, bytes }
    }

    /// The value.
    #[must_use]
    pub const fn value(&self) -> &M {
        &self.value
    }

    /// The bytes it was decoded from, or that encode it.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// How its origin is known.
    #[must_use]
    pub const fn seal(&self) -> &Seal {
        &self.seal
    }

    pub(crate) fn into_value(self) -> M {
        self.value
    }
}

/// An Ed25519 signature, or whatever 64 bytes a [`Keyring`] takes for one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl std::fmt::Debug for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02x}{:02x}..", self.0[0], self.0[1])
    }
}

/// The public keys the core's messages are checked with. The node has real ones; the simulator has its own.
pub trait Keyring {
    /// Did this replica's vote key sign these bytes?
    fn verify_replica(&self, replica: ReplicaId, message: &[u8], signature: &Signature) -> bool;

    /// Did this client sign these bytes, and is it one we serve?
    fn verify_client(&self, client: Client, message: &[u8], signature: &Signature) -> bool;
}

/// A private key.
pub trait Signer {
    /// Signs these bytes.
    fn sign(&self, message: &[u8]) -> Signature;
}

/// Why something that arrived does not enter the core. Somebody else's fault, or nobody's: counted, never fatal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// It does not decode.
    #[error("malformed: {0}")]
    Malformed(#[from] CodecError),
    /// A signature does not verify.
    #[error("wrong signature")]
    Signature,
    /// A vote shown by another replica than the voter, or a sender that is no member of the view.
    #[error("sender is not who may say this")]
    Sender,
    /// A certificate or proof without a quorum of distinct valid votes.
    #[error("certificate without a quorum")]
    Certificate,
    /// A decision whose requests do not hash to the digest its proof names.
    #[error("decision does not match its proof")]
    Decision,
}

/// The kinds of statement that are signed in this protocol. No two kinds share a preimage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// A client's request.
    Request,
    /// A WRITE vote.
    Write,
    /// An ACCEPT vote.
    Accept,
    /// A STOPDATA.
    StopData,
    /// A checkpoint vote.
    Checkpoint,
}

impl Domain {
    /// The bytes a signature covers: a fixed prefix, the kind, the group, and the parts, each of fixed length for its kind.
    #[must_use]
    pub fn preimage(self, group: GroupId, parts: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(b"mod-smart seal 1");
        bytes.push(match self {
            Self::Request => 1,
            Self::Write => 2,
            Self::Accept => 3,
            Self::StopData => 4,
            Self::Checkpoint => 5,
        });
        bytes.extend_from_slice(&group.0);
        for part in parts {
            bytes.extend_from_slice(part);
        }
        bytes
    }
}
