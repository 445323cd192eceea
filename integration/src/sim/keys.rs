//! Keys of the simulated world: quick to use, and as hard to forge as its liars can try.
//!
//! A signature is a keyed 64-bit checksum. A liar that holds a key signs with it; one that does not cannot, because no key
//! is ever sent. Nothing here would withstand an attacker who computes.

use mod_smart::{Client, FrontendId, Keyring, ReplicaId, Signature, Signer};

/// A private key of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(u64);

impl Key {
    fn of(domain: u64, name: u64) -> Self {
        Self(mix(mix(0x51ed_270b_7a3c_90b5 ^ domain, name), 0x0b5e_55ed))
    }

    /// The vote key of a replica.
    #[must_use]
    pub fn vote(replica: ReplicaId) -> Self {
        Self::of(1, u64::from(replica.0))
    }

    /// The key with which a replica signs blocks.
    #[must_use]
    pub fn block(replica: ReplicaId) -> Self {
        Self::of(2, u64::from(replica.0))
    }

    /// The key of a frontend.
    #[must_use]
    pub fn frontend(frontend: FrontendId) -> Self {
        Self::of(3, frontend.0.chunks(8).fold(0, |sum, chunk| mix(sum, word(chunk))))
    }
}

impl Signer for Key {
    fn sign(&self, message: &[u8]) -> Signature {
        let mut signature = [0; 64];
        signature[..8].copy_from_slice(&checksum(self.0, message).to_be_bytes());
        Signature(signature)
    }
}

/// Knows every key of the world.
#[derive(Clone, Copy, Debug)]
pub struct Keys;

impl Keyring for Keys {
    fn verify_replica(&self, replica: ReplicaId, message: &[u8], signature: &Signature) -> bool {
        Key::vote(replica).sign(message) == *signature
    }

    fn verify_client(&self, client: Client, message: &[u8], signature: &Signature) -> bool {
        let key = match client {
            Client::Replica(replica) => Key::vote(replica),
            Client::Frontend(frontend) => Key::frontend(frontend),
        };
        key.sign(message) == *signature
    }
}

/// A checksum of bytes under a key; the same on every machine.
#[must_use]
pub fn checksum(key: u64, bytes: &[u8]) -> u64 {
    let sum = bytes.chunks(8).fold(mix(key, bytes.len() as u64), |sum, chunk| mix(sum, word(chunk)));
    mix(sum, key)
}

fn word(chunk: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..chunk.len()].copy_from_slice(chunk);
    u64::from_le_bytes(word)
}

/// Folds the 128-bit product: every bit of either side reaches the result.
const fn mix(a: u64, b: u64) -> u64 {
    let product = (a ^ 0x9e37_79b9_7f4a_7c15) as u128 * (b ^ 0xd1b5_4a32_d192_ed03) as u128;
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_signs_for_its_owner_and_these_bytes_alone() {
        let signature = Key::vote(ReplicaId(1)).sign(b"some longer message");
        assert!(Keys.verify_replica(ReplicaId(1), b"some longer message", &signature));
        assert!(!Keys.verify_replica(ReplicaId(2), b"some longer message", &signature));
        assert!(!Keys.verify_replica(ReplicaId(1), b"some longer messagf", &signature));
        assert!(!Keys.verify_replica(ReplicaId(1), b"some longer message\0", &signature));
        assert_ne!(Key::block(ReplicaId(1)).sign(b"x"), Key::vote(ReplicaId(1)).sign(b"x"));
    }
}
