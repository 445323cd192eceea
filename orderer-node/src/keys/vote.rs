//! The key a replica signs its votes with: Ed25519, because every WRITE and ACCEPT is signed and verified by everybody.
//!
//! It is derived, not stored: the private key that the channel configuration pins gives the same vote key at every start
//! and after a restore from the operator's backup, and changes exactly when the group does. Nobody who holds the vote
//! key learns the private key it came from.

use std::fmt;

use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use frontend_shim::stages::Stage;
use mod_smart::{Signature, Signer};
use sha2::{Digest as _, Sha256};

use super::SigningKey;

/// A vote key.
pub struct VoteKey {
    pair: Ed25519KeyPair,
    public: VotePublicKey,
}

/// What verifies the votes of a replica.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VotePublicKey(pub [u8; 32]);

impl VoteKey {
    /// The vote key of the owner of `pinned`. Give it the key by which the channel configuration knows this replica.
    ///
    /// # Panics
    /// The system has no memory left.
    #[must_use]
    pub fn derive(pinned: &SigningKey) -> Self {
        // The scalar and not the file: the same key in PKCS#8 and in SEC 1 must give the same vote key.
        let scalar: EcPrivateKeyBin<'_> =
            pinned.pair().private_key().as_be_bytes().expect("a parsed key has a private scalar");
        let mut hash = Sha256::new();
        hash.update(DOMAIN);
        hash.update(scalar.as_ref());
        let pair = Ed25519KeyPair::from_seed_unchecked(&hash.finalize()).expect("any 32 bytes are an Ed25519 seed");
        let mut public = VotePublicKey([0; 32]);
        public.0.copy_from_slice(pair.public_key().as_ref());
        Self { pair, public }
    }

    /// What verifies it.
    #[must_use]
    pub const fn public(&self) -> VotePublicKey {
        self.public
    }
}

impl Signer for VoteKey {
    fn sign(&self, message: &[u8]) -> Signature {
        let mut signature = Signature([0; 64]);
        signature.0.copy_from_slice(Stage::SignVote.within(|| self.pair.sign(message)).as_ref());
        signature
    }
}

impl fmt::Debug for VoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VoteKey({})", self.public)
    }
}

impl fmt::Display for VotePublicKey {
    /// The first eight hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0[..4]))
    }
}

impl fmt::Debug for VotePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VotePublicKey({self})")
    }
}

const DOMAIN: &[u8] = b"orderer-node vote key 1";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use p256::pkcs8::{EncodePrivateKey as _, LineEnding};

    use super::*;

    fn key(secret: &p256::SecretKey) -> VoteKey {
        let pem = secret.to_pkcs8_pem(LineEnding::LF).unwrap();
        VoteKey::derive(&SigningKey::from_pem(pem.as_bytes()).unwrap())
    }

    #[test]
    fn the_same_private_key_gives_the_same_vote_key_in_every_encoding() {
        let secret = p256::SecretKey::from_slice(&[7; 32]).unwrap();
        let sec1 = secret.to_sec1_pem(LineEnding::LF).unwrap();
        let from_sec1 = VoteKey::derive(&SigningKey::from_pem(sec1.as_bytes()).unwrap());
        assert_eq!(from_sec1.public(), key(&secret).public());
        assert_ne!(key(&p256::SecretKey::from_slice(&[8; 32]).unwrap()).public(), key(&secret).public());
    }

    /// Pins the derivation: a change of it would make every group's bindings contradict themselves.
    #[test]
    fn the_derivation_does_not_change() {
        let seed = Sha256::new().chain_update(DOMAIN).chain_update([7; 32]).finalize();
        let expected = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let derived = key(&p256::SecretKey::from_slice(&[7; 32]).unwrap());
        assert_eq!(derived.public().0, expected.public_key().as_ref());
        assert_eq!(derived.public().to_string(), "44bd90b3");
    }
}
