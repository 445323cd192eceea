//! Signing as Fabric signs: ECDSA over P-256 and SHA-256, in DER, with the smaller of the two `s` values (contract 7.5).
//!
//! A node signs its blocks with this, and whoever admits configuration updates signs the CONFIG envelopes around them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use bytes::Bytes;
use fabric_channel::Certificate;
use fabric_channel::config_transaction::{EnvelopeSigner, SignError};
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

    /// The key pair itself.
    #[must_use]
    pub const fn pair(&self) -> &EcdsaKeyPair {
        &self.pair
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(P-256)")
    }
}

/// An identity of an MSP with its private key. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct SigningIdentity {
    msp_id: String,
    certificate: Certificate,
    serialised: Bytes,
    key: Arc<SigningKey>,
}

impl SigningIdentity {
    /// The identity of the owner of a certificate, in its sanitised form, that belongs to this MSP.
    #[must_use]
    pub fn new(msp_id: &str, certificate: Certificate, key: Arc<SigningKey>) -> Self {
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

/// Nothing can fail: a parsed key signs.
impl EnvelopeSigner for SigningIdentity {
    fn creator(&self) -> Bytes {
        self.serialised.clone()
    }

    fn sign(&self, payload: &[u8]) -> Result<Bytes, SignError> {
        Ok(self.key.sign(payload).into())
    }
}
