//! Who a frontend is: the key its requests are sealed with, and the credential that ties it to a certificate.
//!
//! A frontend makes a fresh Ed25519 key at every start; its public half names the frontend. Nodes admit certificates,
//! not keys, so the key of the certificate signs a statement that names the ordering group, the frontend and the
//! certificate. Nodes show each other this credential, so it must convince whoever was not there.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey,
    VerificationAlgorithm,
};
use bytes::Bytes;
use mod_smart::codec::{CodecError, Reader, Writer};
use mod_smart::{FrontendId, GroupId, Signature, Signer};
use rustls_pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use x509_parser::oid_registry;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::stages::Stage;
use crate::tls::TlsError;
use crate::tls_identity::TlsIdentity;

/// The private key that names a frontend.
pub struct FrontendKey {
    pair: Ed25519KeyPair,
    id: FrontendId,
}

impl FrontendKey {
    /// A new key.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::Randomness)?;
        let id = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Randomness)?;
        Ok(Self { pair, id: FrontendId(id) })
    }

    /// The frontend it names.
    #[must_use]
    pub const fn id(&self) -> FrontendId {
        self.id
    }
}

impl Signer for FrontendKey {
    fn sign(&self, message: &[u8]) -> Signature {
        let mut signature = Signature([0; 64]);
        signature.0.copy_from_slice(Stage::Seal.within(|| self.pair.sign(message)).as_ref());
        signature
    }
}

impl std::fmt::Debug for FrontendKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FrontendKey({})", self.id)
    }
}

/// Did this frontend's key sign these bytes? What a node's keyring asks for each request.
#[must_use]
pub fn verify_frontend(frontend: FrontendId, message: &[u8], signature: &Signature) -> bool {
    UnparsedPublicKey::new(&ED25519, frontend.0).verify(message, &signature.0).is_ok()
}

/// Ties a frontend to the owner of a certificate, for one ordering group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The frontend.
    pub frontend: FrontendId,
    /// The certificate in DER. Whether it may have frontends is for the node to say.
    pub certificate: Bytes,
    /// The certificate's key over (group, frontend, certificate).
    pub signature: Bytes,
}

/// Why a key or credential is none.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No randomness to make a key from.
    #[error("the system gives no randomness")]
    Randomness,
    /// Our own certificate's key cannot sign.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The credential's certificate does not parse.
    #[error("the credential's certificate is malformed")]
    Certificate,
    /// The certificate's key is neither ECDSA (P-256, P-384) nor Ed25519.
    #[error("the credential's certificate has a key of a kind that is not supported")]
    KeyKind,
    /// The certificate's key did not sign this.
    #[error("the credential's signature is wrong")]
    Signature,
    /// Longer than any certificate is.
    #[error("the credential's certificate or signature is too long")]
    Size,
}

impl Credential {
    /// Signs for `frontend` with the key of our own certificate.
    ///
    /// # Errors
    /// The key is of a kind that cannot.
    pub fn issue(group: GroupId, frontend: FrontendId, identity: &TlsIdentity) -> Result<Self, KeyError> {
        let certificate = Bytes::copy_from_slice(identity.certificate());
        let signature = identity.sign(&preimage(group, frontend, &certificate))?.into();
        Ok(Self { frontend, certificate, signature })
    }

    /// Did the key of the certificate vouch for the frontend in this group? Says nothing about the certificate itself.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(&self, group: GroupId) -> Result<(), KeyError> {
        if self.certificate.len() > CERTIFICATE_BYTES_MAX || self.signature.len() > SIGNATURE_BYTES_MAX {
            return Err(KeyError::Size);
        }
        let (rest, parsed) = X509Certificate::from_der(&self.certificate).map_err(|_| KeyError::Certificate)?;
        if !rest.is_empty() {
            return Err(KeyError::Certificate);
        }
        let spki = parsed.public_key();
        let key = UnparsedPublicKey::new(algorithm_of(spki)?, &spki.subject_public_key.data);
        let preimage = preimage(group, self.frontend, &self.certificate);
        key.verify(&preimage, &self.signature).map_err(|_| KeyError::Signature)
    }

    /// The certificate as TLS knows it.
    #[must_use]
    pub fn certificate_der(&self) -> CertificateDer<'_> {
        CertificateDer::from(&self.certificate[..])
    }

    /// Appends the credential to a message.
    pub fn encode(&self, writer: &mut Writer) {
        writer.raw(&self.frontend.0);
        writer.bytes(&self.certificate);
        writer.bytes(&self.signature);
    }

    /// Takes a credential out of a message. It is not verified by that.
    ///
    /// # Errors
    /// The bytes are not one.
    pub fn decode(reader: &mut Reader) -> Result<Self, CodecError> {
        let frontend = FrontendId(reader.array()?);
        Ok(Self { frontend, certificate: reader.bytes()?, signature: reader.bytes()? })
    }
}

fn preimage(group: GroupId, frontend: FrontendId, certificate: &[u8]) -> Vec<u8> {
    let mut preimage = b"ordering frontend credential 1".to_vec();
    preimage.extend_from_slice(&group.0);
    preimage.extend_from_slice(&frontend.0);
    preimage.extend_from_slice(&Sha256::digest(certificate));
    preimage
}

fn algorithm_of(spki: &SubjectPublicKeyInfo<'_>) -> Result<&'static dyn VerificationAlgorithm, KeyError> {
    let algorithm = &spki.algorithm;
    if algorithm.algorithm == oid_registry::OID_SIG_ED25519 {
        return Ok(&ED25519);
    }
    if algorithm.algorithm != oid_registry::OID_KEY_TYPE_EC_PUBLIC_KEY {
        return Err(KeyError::KeyKind);
    }
    match algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok()) {
        Some(curve) if curve == oid_registry::OID_EC_P256 => Ok(&ECDSA_P256_SHA256_ASN1),
        Some(curve) if curve == oid_registry::OID_NIST_EC_P384 => Ok(&ECDSA_P384_SHA384_ASN1),
        _ => Err(KeyError::KeyKind),
    }
}

const CERTIFICATE_BYTES_MAX: usize = 16 << 10;
const SIGNATURE_BYTES_MAX: usize = 256;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId([7; 32]);

    fn identity(algorithm: &'static rcgen::SignatureAlgorithm) -> TlsIdentity {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        TlsIdentity::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap()
    }

    fn read_back(credential: &Credential) -> Credential {
        let mut writer = Writer::default();
        credential.encode(&mut writer);
        let mut reader = Reader::new(writer.finish());
        let copy = Credential::decode(&mut reader).unwrap();
        reader.finish().unwrap();
        copy
    }

    #[test]
    fn a_credential_verifies_in_its_group_and_survives_its_bytes() {
        let frontend = FrontendKey::generate().unwrap().id();
        for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
            let credential = Credential::issue(GROUP, frontend, &identity(algorithm)).unwrap();
            let copy = read_back(&credential);
            assert_eq!(copy, credential);
            copy.verify(GROUP).unwrap();
        }
    }

    #[test]
    fn nothing_of_a_credential_can_be_exchanged() {
        let (mine, other) = (identity(&rcgen::PKCS_ECDSA_P256_SHA256), identity(&rcgen::PKCS_ECDSA_P256_SHA256));
        let frontend = FrontendKey::generate().unwrap().id();
        let good = Credential::issue(GROUP, frontend, &mine).unwrap();
        assert!(matches!(good.verify(GroupId([8; 32])), Err(KeyError::Signature)));
        let stolen = Credential { frontend: FrontendId([1; 32]), ..good.clone() };
        assert!(matches!(stolen.verify(GROUP), Err(KeyError::Signature)));
        let borrowed = Credential { certificate: Bytes::copy_from_slice(other.certificate()), ..good.clone() };
        assert!(matches!(borrowed.verify(GROUP), Err(KeyError::Signature)));
        let mut long = good.certificate.to_vec();
        long.push(0);
        let long = Credential { certificate: long.into(), ..good.clone() };
        assert!(matches!(long.verify(GROUP), Err(KeyError::Certificate)));
        let garbage = Credential { certificate: Bytes::from_static(b"garbage"), ..good };
        assert!(matches!(garbage.verify(GROUP), Err(KeyError::Certificate)));
    }

    #[test]
    fn requests_are_sealed_with_the_key_that_names_the_frontend() {
        let (key, other) = (FrontendKey::generate().unwrap(), FrontendKey::generate().unwrap());
        let signature = key.sign(b"request");
        assert!(verify_frontend(key.id(), b"request", &signature));
        assert!(!verify_frontend(key.id(), b"another", &signature));
        assert!(!verify_frontend(other.id(), b"request", &signature));
        assert!(!verify_frontend(FrontendId([0xff; 32]), b"request", &signature));
    }
}
