//! The statement that ties a vote key to a consenter.
//!
//! It names group, replica and vote key, and is signed by the key that the channel configuration names for the consenter:
//! its enrolment identity (type BFT) or its server TLS certificate (type etcdraft). It stands alone, so it can be passed
//! on by anybody.
//!
//! The vote key does not sign it. A liar could bind another replica's vote key as its own; all it gains is that votes of
//! that replica count for itself as well, and a liar may vote as it likes anyway.

use bytes::Bytes;
use fabric_channel::PublicKey;
use mod_smart::codec::{CodecError, Reader, Writer};
use mod_smart::{GroupId, ReplicaId};

use super::{SigningKey, VoteKey, VotePublicKey};

/// "In this group, votes of this replica are signed with this key."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoteBinding {
    /// The ordering group.
    pub group: GroupId,
    /// The replica.
    pub replica: ReplicaId,
    /// Its vote key.
    pub vote_key: VotePublicKey,
    /// The pinned key's Fabric signature over the three.
    pub signature: Bytes,
}

/// Why a binding is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BindingReject {
    /// It was made for another ordering group.
    #[error("the vote key binding is for group {0}")]
    Group(GroupId),
    /// It names another replica.
    #[error("the vote key binding is of replica {0}")]
    Replica(ReplicaId),
    /// The pinned key did not sign it.
    #[error("the vote key binding of replica {0} is not signed by the key that the channel configuration names")]
    Signature(ReplicaId),
}

impl VoteBinding {
    /// Binds a vote key with the key that the channel configuration names for this replica.
    #[must_use]
    pub fn sign(group: GroupId, replica: ReplicaId, vote_key: &VoteKey, pinned: &SigningKey) -> Self {
        let vote_key = vote_key.public();
        let signature = pinned.sign(&preimage(group, replica, vote_key)).into();
        Self { group, replica, vote_key, signature }
    }

    /// Does the pinned key of `replica` say this, in `group`?
    ///
    /// # Errors
    /// It says something else, or somebody else says it.
    pub fn verify(&self, group: GroupId, replica: ReplicaId, pinned: &PublicKey) -> Result<(), BindingReject> {
        if self.group != group {
            return Err(BindingReject::Group(self.group));
        }
        if self.replica != replica {
            return Err(BindingReject::Replica(self.replica));
        }
        pinned
            .verify(&preimage(group, replica, self.vote_key), &self.signature)
            .map_err(|_| BindingReject::Signature(replica))
    }

    /// Appends the binding to a message.
    pub fn encode(&self, writer: &mut Writer) {
        writer.raw(&self.group.0);
        writer.u16(self.replica.0);
        writer.raw(&self.vote_key.0);
        writer.bytes(&self.signature);
    }

    /// Takes a binding out of a message. It is not verified by that.
    ///
    /// # Errors
    /// The bytes are not one.
    pub fn decode(reader: &mut Reader) -> Result<Self, CodecError> {
        let group = GroupId(reader.array()?);
        let replica = ReplicaId(reader.u16()?);
        let vote_key = VotePublicKey(reader.array()?);
        let signature = reader.bytes()?;
        if signature.len() > SIGNATURE_BYTES_MAX {
            return Err(CodecError::Count(signature.len() as u64));
        }
        // Bindings live as long as the node; the frame they came in must not.
        Ok(Self { group, replica, vote_key, signature: Bytes::copy_from_slice(&signature) })
    }
}

fn preimage(group: GroupId, replica: ReplicaId, vote_key: VotePublicKey) -> Vec<u8> {
    let mut preimage = b"orderer-node vote binding 1".to_vec();
    preimage.extend_from_slice(&group.0);
    preimage.extend_from_slice(&replica.0.to_be_bytes());
    preimage.extend_from_slice(&vote_key.0);
    preimage
}

/// Longer than any signature of a kind of key that a channel can name.
const SIGNATURE_BYTES_MAX: usize = 160;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::keys::test_authority::pinned;

    const GROUP: GroupId = GroupId([7; 32]);

    #[test]
    fn a_binding_verifies_and_survives_its_bytes() {
        let (key, public) = pinned();
        let binding = VoteBinding::sign(GROUP, ReplicaId(2), &VoteKey::derive(&key), &key);
        let mut writer = Writer::default();
        binding.encode(&mut writer);
        let mut reader = Reader::new(writer.finish());
        let copy = VoteBinding::decode(&mut reader).unwrap();
        reader.finish().unwrap();
        assert_eq!(copy, binding);
        assert_eq!(copy.verify(GROUP, ReplicaId(2), &public), Ok(()));
    }

    #[test]
    fn nothing_of_a_binding_can_be_exchanged() {
        let ((key, public), (other, other_public)) = (pinned(), pinned());
        let good = VoteBinding::sign(GROUP, ReplicaId(2), &VoteKey::derive(&key), &key);
        let forged = BindingReject::Signature(ReplicaId(2));
        assert_eq!(good.verify(GroupId([8; 32]), ReplicaId(2), &public), Err(BindingReject::Group(GROUP)));
        assert_eq!(good.verify(GROUP, ReplicaId(1), &public), Err(BindingReject::Replica(ReplicaId(2))));
        assert_eq!(good.verify(GROUP, ReplicaId(2), &other_public), Err(forged));
        let another_key = VoteBinding { vote_key: VoteKey::derive(&other).public(), ..good.clone() };
        assert_eq!(another_key.verify(GROUP, ReplicaId(2), &public), Err(forged));
        let another_group = VoteBinding { group: GroupId([8; 32]), ..good.clone() };
        assert_eq!(another_group.verify(GroupId([8; 32]), ReplicaId(2), &public), Err(forged));
        let another_replica = VoteBinding { replica: ReplicaId(1), ..good };
        assert_eq!(another_replica.verify(GROUP, ReplicaId(1), &public), Err(BindingReject::Signature(ReplicaId(1))));
    }

    #[test]
    fn an_overlong_signature_does_not_decode() {
        let mut writer = Writer::default();
        writer.raw(&[0; 66]);
        writer.bytes(&[0; SIGNATURE_BYTES_MAX + 1]);
        assert_eq!(VoteBinding::decode(&mut Reader::new(writer.finish())), Err(CodecError::Count(161)));
    }
}
