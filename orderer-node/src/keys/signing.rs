//! Signing as Fabric signs: ECDSA over P-256 and SHA-256, in DER, with the smaller of the two `s` values (contract 7.5).

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use bytes::Bytes;
use fabric_channel::Certificate;
use fabric_proto::low_s::{Curve, to_low_s};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;

/// A P-256 private key.
pub struct SigningKey {
    pair: EcdsaKeyPair,
    spki_der: Vec<u8>,
}

/// Why something is not a [`SigningKey`].
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No PEM block with a private key.
    #[error("no private key in PEM")]
    NotPem,
    /// A private key of another kind.
    #[error("the private key is not an ECDSA P-256 key in PKCS#8 or SEC 1")]
    Kind,
}

impl SigningKey {
    /// Reads the first private key of a PEM file.
    ///
    /// # Errors
    /// The file cannot be read, or holds no such key.
    pub fn load(path: &Path) -> Result<Self, SigningKeyError> {
        let pem =
            std::fs::read(path).map_err(|source| SigningKeyError::Unreadable { path: path.to_owned(), source })?;
        Self::from_pem(&pem)
    }

    /// Reads the first private key of PEM text: PKCS#8 or SEC 1.
    ///
    /// # Errors
    /// There is none, or it is no P-256 key.
    pub fn from_pem(pem: &[u8]) -> Result<Self, SigningKeyError> {
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| SigningKeyError::NotPem)?;
        let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, key.secret_der())
            .map_err(|_| SigningKeyError::Kind)?;
        let spki_der = pair.public_key().as_der().map_err(|_| SigningKeyError::Kind)?.as_ref().to_vec();
        Ok(Self { pair, spki_der })
    }

    /// Signs a message: its SHA-256, in DER, low-S. Two signatures of one message differ.
    ///
    /// # Panics
    /// The system has no randomness or no memory left.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature = self
            .pair
            .sign(&SystemRandom::new(), message)
            .expect("a parsed key signs unless the system lacks randomness or memory");
        to_low_s(Curve::P256, signature.as_ref()).expect("the library writes DER with integers below the order")
    }

    /// The public key as `SubjectPublicKeyInfo` in DER.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// Is this the private key of that certificate?
    #[must_use]
    pub fn is_key_of(&self, certificate: &Certificate) -> bool {
        certificate.spki_der() == &self.spki_der[..]
    }

    pub(super) const fn pair(&self) -> &EcdsaKeyPair {
        &self.pair
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(P-256)")
    }
}

/// The identity this node signs blocks with. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct SigningIdentity {
    msp_id: String,
    certificate: Certificate,
    serialised: Bytes,
    key: Arc<SigningKey>,
}

impl SigningIdentity {
    /// The identity of the owner of a certificate, in its sanitised form, that belongs to this MSP.
    pub(super) fn new(msp_id: &str, certificate: Certificate, key: Arc<SigningKey>) -> Self {
        let serialised = fabric_channel::serialise(msp_id, certificate.to_pem().as_bytes());
        Self { msp_id: msp_id.to_owned(), certificate, serialised, key }
    }

    /// Signs a message; see [`SigningKey::sign`].
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.key.sign(message)
    }

    /// The identity as a `SerializedIdentity` message: MSP ID and certificate in PEM. What creators are made of.
    #[must_use]
    pub const fn serialised(&self) -> &Bytes {
        &self.serialised
    }

    /// The MSP it belongs to.
    #[must_use]
    pub fn msp_id(&self) -> &str {
        &self.msp_id
    }

    /// Its certificate, sanitised.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Its private key.
    #[must_use]
    pub const fn key(&self) -> &Arc<SigningKey> {
        &self.key
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use p256::ecdsa::signature::Verifier as _;
    use p256::ecdsa::{Signature, VerifyingKey};
    use p256::pkcs8::DecodePublicKey as _;

    use super::*;

    const TLS_KEY: &[u8] = include_bytes!("../../tests/data/tls/server.key");
    const TLS_CERTIFICATE: &[u8] = include_bytes!("../../tests/data/tls/server.crt");

    #[test]
    fn two_hundred_signatures_are_low_s_and_verify_with_another_library() {
        let key = SigningKey::from_pem(TLS_KEY).unwrap();
        let other = VerifyingKey::from_public_key_der(key.spki_der()).unwrap();
        for number in 0..200_u32 {
            let message = number.to_be_bytes();
            let der = key.sign(&message);
            let signature = Signature::from_der(&der).unwrap();
            assert_eq!(signature.normalize_s(), signature, "high s");
            other.verify(&message, &signature).unwrap();
            assert!(other.verify(b"another", &signature).is_err());
        }
    }

    #[test]
    fn a_key_knows_its_certificate() {
        let key = SigningKey::from_pem(TLS_KEY).unwrap();
        let certificate = Certificate::from_pem(TLS_CERTIFICATE).unwrap();
        assert!(key.is_key_of(&certificate));
        let stranger = rcgen::KeyPair::generate().unwrap();
        assert!(!SigningKey::from_pem(stranger.serialize_pem().as_bytes()).unwrap().is_key_of(&certificate));
    }

    #[test]
    fn sec1_keys_load_and_other_kinds_are_refused() {
        let secret = p256::SecretKey::from_slice(&[7; 32]).unwrap();
        let sec1 = secret.to_sec1_pem(p256::pkcs8::LineEnding::LF).unwrap();
        let with_parameters =
            format!("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{}", *sec1);
        SigningKey::from_pem(with_parameters.as_bytes()).unwrap();
        let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        assert!(matches!(SigningKey::from_pem(p384.serialize_pem().as_bytes()), Err(SigningKeyError::Kind)));
        assert!(matches!(SigningKey::from_pem(TLS_CERTIFICATE), Err(SigningKeyError::NotPem)));
    }
}
