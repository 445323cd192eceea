//! Keys of the stage: a signature is a hash of the signer's name and the message. Enough to tell who signed.

use mod_smart::{Client, GroupId, Keyring, ReplicaId, Signature, Signer};
use sha2::{Digest as _, Sha256};

/// The ordering group of every script.
pub const GROUP: GroupId = GroupId([9; 32]);

/// The private key of a replica or a client.
pub struct Key(pub Client);

impl Key {
    /// The vote key of a replica.
    pub const fn vote(replica: ReplicaId) -> Self {
        Self(Client::Replica(replica))
    }
}

impl Signer for Key {
    fn sign(&self, message: &[u8]) -> Signature {
        let half: [u8; 32] =
            Sha256::new().chain_update(format!("{:?}", self.0)).chain_update(message).finalize().into();
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&half);
        Signature(signature)
    }
}

/// Knows every key.
pub struct Keys;

impl Keyring for Keys {
    fn verify_replica(&self, replica: ReplicaId, message: &[u8], signature: &Signature) -> bool {
        Key::vote(replica).sign(message) == *signature
    }

    fn verify_client(&self, client: Client, message: &[u8], signature: &Signature) -> bool {
        Key(client).sign(message) == *signature
    }
}
