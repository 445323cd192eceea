//! Signatures that are hashes of names: enough to tell who signed, and nobody here forges on purpose.

use mod_smart::{Client, Keyring, ReplicaId, Signature, Signer};
use sha2::Digest as _;

/// Signs as this client or replica.
#[derive(Clone, Copy)]
pub struct Name(pub Client);

impl Signer for Name {
    fn sign(&self, message: &[u8]) -> Signature {
        let mut hash = sha2::Sha256::new();
        hash.update(format!("{:?}", self.0));
        hash.update(message);
        let half: [u8; 32] = hash.finalize().into();
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&half);
        Signature(signature)
    }
}

pub struct Names;

impl Keyring for Names {
    fn verify_replica(&self, replica: ReplicaId, message: &[u8], signature: &Signature) -> bool {
        Name(Client::Replica(replica)).sign(message) == *signature
    }

    fn verify_client(&self, client: Client, message: &[u8], signature: &Signature) -> bool {
        Name(client).sign(message) == *signature
    }
}
