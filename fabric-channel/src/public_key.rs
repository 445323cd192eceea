//! A public key taken from a certificate, parsed once and ready to verify.
//!
//! Two uses, with different rules. *Fabric signatures* (blocks, envelopes): ECDSA over SHA-256, or SHA3-256 if the MSP
//! says so, whatever the curve, low-S only, or Ed25519 over the message itself; contract §3.3, §7.4 step 7. *Certificate signatures*: the hash
//! that the certificate names, high-S allowed; contract §7.4 step 3. SHA-1 and MD5 are refused in certificates, as
//! Go does.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::signature::{self, ParsedPublicKey, UnparsedPublicKey, VerificationAlgorithm};
use bytes::Bytes;
use thiserror::Error;
use x509_parser::oid_registry;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use crate::ecdsa_signature::{Curve, EcdsaSignature};

/// A public key and the bytes it was read from. Cloning is cheap.
#[derive(Clone)]
pub struct PublicKey(Arc<Parts>);

struct Parts {
    algorithm: KeyAlgorithm,
    spki_der: Bytes,
    /// The key as the library wants it: an uncompressed point, a PKCS#1 RSA key, or 32 octets.
    key_octets: Bytes,
    /// Parsed for Fabric signatures; absent for kinds of keys that make none.
    fabric_key: Option<ParsedPublicKey>,
}

/// Kinds of public keys that certificates of a channel carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// ECDSA over one of the NIST curves.
    Ecdsa(Curve),
    /// Ed25519, for identities only on channels with capability V3_0.
    Ed25519,
    /// RSA, for certificate authorities only.
    Rsa,
}

/// How a certificate or a revocation list is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignatureAlgorithm {
    Ecdsa(Hash),
    Ed25519,
    RsaPkcs1(Hash),
    RsaPss(Hash),
    /// Known to be refused or not known at all.
    Unsupported,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// The hash over which the members of an MSP make ECDSA signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SigningHash {
    /// Family SHA2, the default: SHA-256.
    Sha256,
    /// Family SHA3: SHA3-256.
    Sha3,
    /// A family that Fabric does not know, under which no ECDSA signature is good.
    Unknown,
}

/// Why a public key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// An algorithm or curve outside of [`KeyAlgorithm`].
    #[error("public key algorithm {0} is not supported")]
    Unsupported(String),
    /// The key does not parse under its own algorithm.
    #[error("public key is malformed")]
    Malformed,
}

/// Why a Fabric signature does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// Not two positive integers in DER.
    #[error("signature is not a DER encoded ECDSA signature")]
    Malformed,
    /// `s` is above half the order of the curve.
    #[error("signature has a high S value")]
    HighS,
    /// The mathematics does not hold.
    #[error("signature does not verify")]
    Wrong,
    /// The signer's key or hash is of a kind this implementation does not verify.
    #[error("signatures of this kind of key or hash are not supported")]
    Unsupported,
}

impl PublicKey {
    /// Parses the key of a certificate.
    pub(crate) fn from_spki(spki: &SubjectPublicKeyInfo<'_>) -> Result<Self, KeyError> {
        let algorithm = key_algorithm_of(&spki.algorithm)?;
        let key_octets = Bytes::copy_from_slice(&spki.subject_public_key.data);
        // Compressed points are legal for the library and refused by Go.
        let is_uncompressed = key_octets.first() == Some(&UNCOMPRESSED_POINT);
        if matches!(algorithm, KeyAlgorithm::Ecdsa(_)) && !is_uncompressed {
            return Err(KeyError::Malformed);
        }
        let fabric_key = match fabric_verification_of(algorithm) {
            Some(verification) => {
                Some(ParsedPublicKey::new(verification, &key_octets).map_err(|_| KeyError::Malformed)?)
            }
            None => None,
        };
        Ok(Self(Arc::new(Parts { algorithm, spki_der: Bytes::copy_from_slice(spki.raw), key_octets, fabric_key })))
    }

    /// The kind of key.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.0.algorithm
    }

    /// `SubjectPublicKeyInfo` in DER, byte for byte as the certificate holds it. This is what consenters are pinned by.
    #[must_use]
    pub fn spki_der(&self) -> &Bytes {
        &self.0.spki_der
    }

    /// Verifies a Fabric signature: ECDSA with SHA-256 and low-S in DER, or Ed25519 over the message.
    ///
    /// # Errors
    /// [`SignatureError`]; anyone can send a wrong signature, so this is never our fault.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        self.verify_over(SigningHash::Sha256, message, signature)
    }

    /// As [`Self::verify`], with the hash of the signer's MSP. Ed25519 signs the message itself, so no hash concerns it.
    pub(crate) fn verify_over(
        &self,
        hash: SigningHash,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        let key = self.0.fabric_key.as_ref().ok_or(SignatureError::Unsupported)?;
        let KeyAlgorithm::Ecdsa(curve) = self.0.algorithm else {
            return key.verify_sig(message, signature).map_err(|_| SignatureError::Wrong);
        };
        let parsed = EcdsaSignature::parse(signature).ok_or(SignatureError::Malformed)?;
        if !parsed.is_low_s(curve) {
            return Err(SignatureError::HighS);
        }
        let encoded = parsed.encode();
        let outcome = match hash {
            SigningHash::Sha256 => key.verify_sig(message, &encoded),
            // The library knows these curves with SHA-2 alone. ECDSA does not ask which function made a digest, so one of
            // the same length stands in for it.
            SigningHash::Sha3 => {
                let made = digest::digest(&digest::SHA3_256, message);
                Digest::import_less_safe(made.as_ref(), &digest::SHA256)
                    .and_then(|digest| key.verify_digest_sig(&digest, &encoded))
            }
            SigningHash::Unknown => return Err(SignatureError::Unsupported),
        };
        outcome.map_err(|_| SignatureError::Wrong)
    }

    /// Verifies the signature over a certificate or a revocation list.
    pub(crate) fn has_signed(&self, algorithm: SignatureAlgorithm, to_be_signed: &[u8], signature: &[u8]) -> bool {
        let kind = self.0.algorithm;
        let Some(verification) = certificate_verification_of(kind, algorithm) else {
            return false;
        };
        // The usual hash is the one for which the key is parsed already.
        let is_parsed = matches!(algorithm, SignatureAlgorithm::Ecdsa(Hash::Sha256) | SignatureAlgorithm::Ed25519);
        let outcome = match &self.0.fabric_key {
            Some(key) if is_parsed => key.verify_sig(to_be_signed, signature),
            _ => UnparsedPublicKey::new(verification, &self.0.key_octets).verify(to_be_signed, signature),
        };
        outcome.is_ok()
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.spki_der == other.0.spki_der
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({:?})", self.0.algorithm)
    }
}

/// Reads the algorithm identifier of a certificate's or revocation list's signature.
pub(crate) fn signature_algorithm_of(identifier: &AlgorithmIdentifier<'_>) -> SignatureAlgorithm {
    let oid = &identifier.algorithm;
    if *oid == oid_registry::OID_SIG_ECDSA_WITH_SHA256 {
        SignatureAlgorithm::Ecdsa(Hash::Sha256)
    } else if *oid == oid_registry::OID_SIG_ECDSA_WITH_SHA384 {
        SignatureAlgorithm::Ecdsa(Hash::Sha384)
    } else if *oid == oid_registry::OID_SIG_ECDSA_WITH_SHA512 {
        SignatureAlgorithm::Ecdsa(Hash::Sha512)
    } else if *oid == oid_registry::OID_SIG_ED25519 {
        SignatureAlgorithm::Ed25519
    } else if *oid == oid_registry::OID_PKCS1_SHA256WITHRSA {
        SignatureAlgorithm::RsaPkcs1(Hash::Sha256)
    } else if *oid == oid_registry::OID_PKCS1_SHA384WITHRSA {
        SignatureAlgorithm::RsaPkcs1(Hash::Sha384)
    } else if *oid == oid_registry::OID_PKCS1_SHA512WITHRSA {
        SignatureAlgorithm::RsaPkcs1(Hash::Sha512)
    } else if *oid == oid_registry::OID_PKCS1_RSASSAPSS {
        pss_hash_of(identifier).map_or(SignatureAlgorithm::Unsupported, SignatureAlgorithm::RsaPss)
    } else {
        SignatureAlgorithm::Unsupported
    }
}

fn pss_hash_of(identifier: &AlgorithmIdentifier<'_>) -> Option<Hash> {
    let parameters = identifier.parameters.as_ref()?;
    let parameters = x509_parser::signature_algorithm::RsaSsaPssParams::try_from(parameters).ok()?;
    let oid = parameters.hash_algorithm_oid();
    if *oid == oid_registry::OID_NIST_HASH_SHA256 {
        Some(Hash::Sha256)
    } else if *oid == oid_registry::OID_NIST_HASH_SHA384 {
        Some(Hash::Sha384)
    } else if *oid == oid_registry::OID_NIST_HASH_SHA512 {
        Some(Hash::Sha512)
    } else {
        None
    }
}

fn key_algorithm_of(identifier: &AlgorithmIdentifier<'_>) -> Result<KeyAlgorithm, KeyError> {
    let oid = &identifier.algorithm;
    if *oid == oid_registry::OID_KEY_TYPE_EC_PUBLIC_KEY {
        return curve_of(identifier).map(KeyAlgorithm::Ecdsa);
    }
    if *oid == oid_registry::OID_SIG_ED25519 {
        return Ok(KeyAlgorithm::Ed25519);
    }
    if *oid == oid_registry::OID_PKCS1_RSAENCRYPTION {
        return Ok(KeyAlgorithm::Rsa);
    }
    Err(KeyError::Unsupported(oid.to_id_string()))
}

fn curve_of(identifier: &AlgorithmIdentifier<'_>) -> Result<Curve, KeyError> {
    let oid =
        identifier.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok()).ok_or(KeyError::Malformed)?;
    if oid == oid_registry::OID_EC_P256 {
        Ok(Curve::P256)
    } else if oid == oid_registry::OID_NIST_EC_P384 {
        Ok(Curve::P384)
    } else if oid == oid_registry::OID_NIST_EC_P521 {
        Ok(Curve::P521)
    } else if oid.to_id_string() == OID_CURVE_P224 {
        Ok(Curve::P224)
    } else {
        Err(KeyError::Unsupported(format!("curve {}", oid.to_id_string())))
    }
}

/// What verifies Fabric signatures under a kind of key.
fn fabric_verification_of(algorithm: KeyAlgorithm) -> Option<&'static dyn VerificationAlgorithm> {
    match algorithm {
        KeyAlgorithm::Ecdsa(Curve::P256) => Some(&signature::ECDSA_P256_SHA256_ASN1),
        KeyAlgorithm::Ecdsa(Curve::P384) => Some(&signature::ECDSA_P384_SHA256_ASN1),
        KeyAlgorithm::Ecdsa(Curve::P521) => Some(&signature::ECDSA_P521_SHA256_ASN1),
        KeyAlgorithm::Ed25519 => Some(&signature::ED25519),
        KeyAlgorithm::Ecdsa(Curve::P224) | KeyAlgorithm::Rsa => None,
    }
}

/// What verifies a certificate's signature; `None` if key and signature do not belong together or are not supported.
fn certificate_verification_of(
    key: KeyAlgorithm,
    algorithm: SignatureAlgorithm,
) -> Option<&'static dyn VerificationAlgorithm> {
    use SignatureAlgorithm as Signed;
    Some(match (key, algorithm) {
        (KeyAlgorithm::Ecdsa(Curve::P256), Signed::Ecdsa(Hash::Sha256)) => &signature::ECDSA_P256_SHA256_ASN1,
        (KeyAlgorithm::Ecdsa(Curve::P256), Signed::Ecdsa(Hash::Sha384)) => &signature::ECDSA_P256_SHA384_ASN1,
        (KeyAlgorithm::Ecdsa(Curve::P256), Signed::Ecdsa(Hash::Sha512)) => &signature::ECDSA_P256_SHA512_ASN1,
        (KeyAlgorithm::Ecdsa(Curve::P384), Signed::Ecdsa(Hash::Sha256)) => &signature::ECDSA_P384_SHA256_ASN1,
        (KeyAlgorithm::Ecdsa(Curve::P384), Signed::Ecdsa(Hash::Sha384)) => &signature::ECDSA_P384_SHA384_ASN1,
        (KeyAlgorithm::Ecdsa(Curve::P384), Signed::Ecdsa(Hash::Sha512)) => &signature::ECDSA_P384_SHA512_ASN1,
        (KeyAlgorithm::Ecdsa(Curve::P521), Signed::Ecdsa(Hash::Sha256)) => &signature::ECDSA_P521_SHA256_ASN1,
        (KeyAlgorithm::Ecdsa(Curve::P521), Signed::Ecdsa(Hash::Sha384)) => &signature::ECDSA_P521_SHA384_ASN1,
        (KeyAlgorithm::Ecdsa(Curve::P521), Signed::Ecdsa(Hash::Sha512)) => &signature::ECDSA_P521_SHA512_ASN1,
        (KeyAlgorithm::Ed25519, Signed::Ed25519) => &signature::ED25519,
        (KeyAlgorithm::Rsa, Signed::RsaPkcs1(Hash::Sha256)) => {
            &signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY
        }
        (KeyAlgorithm::Rsa, Signed::RsaPkcs1(Hash::Sha384)) => &signature::RSA_PKCS1_2048_8192_SHA384,
        (KeyAlgorithm::Rsa, Signed::RsaPkcs1(Hash::Sha512)) => {
            &signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY
        }
        (KeyAlgorithm::Rsa, Signed::RsaPss(Hash::Sha256)) => &signature::RSA_PSS_2048_8192_SHA256,
        (KeyAlgorithm::Rsa, Signed::RsaPss(Hash::Sha384)) => &signature::RSA_PSS_2048_8192_SHA384,
        (KeyAlgorithm::Rsa, Signed::RsaPss(Hash::Sha512)) => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

const UNCOMPRESSED_POINT: u8 = 0x04;
const OID_CURVE_P224: &str = "1.3.132.0.33";
