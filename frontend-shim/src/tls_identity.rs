//! Our own certificate and its private key, and certificates of authorities, as they lie in PEM files.
//!
//! An error names the file and what is wrong with it: these are the mistakes an operator makes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::tls::{Spki, TlsError};

/// A certificate chain and the private key of its first certificate. Cloning is cheap.
#[derive(Clone)]
pub struct TlsIdentity(Arc<CertifiedKey>);

/// Where something in PEM came from, for error texts.
#[derive(Debug, Clone)]
enum Origin {
    File(PathBuf),
    Memory(&'static str),
}

impl TlsIdentity {
    /// Reads a chain (leaf first) and a private key (PKCS#8, SEC1 or PKCS#1) from PEM files.
    ///
    /// # Errors
    /// A file that cannot be read, holds no such thing, or a key that is not the certificate's.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let (chain_pem, key_pem) = (read(certificate)?, read(key)?);
        Self::parse(&chain_pem, &Origin::File(certificate.into()), &key_pem, &Origin::File(key.into()))
    }

    /// The same from memory.
    ///
    /// # Errors
    /// See [`TlsIdentity::load`].
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        Self::parse(chain, &Origin::Memory("certificate"), key, &Origin::Memory("private key"))
    }

    fn parse(chain: &[u8], chain_origin: &Origin, key: &[u8], key_origin: &Origin) -> Result<Self, TlsError> {
        let chain = certificates_in(chain, chain_origin)?;
        let key =
            PrivateKeyDer::from_pem_slice(key).map_err(|e| key_origin.wrong(format!("no PEM private key: {e}")))?;
        let signing = any_supported_type(&key).map_err(|e| key_origin.wrong(e.to_string()))?;
        let identity = CertifiedKey::new(chain, signing);
        identity.keys_match().map_err(|e| {
            key_origin.wrong(format!("the private key does not belong to the certificate in {chain_origin}: {e}"))
        })?;
        Ok(Self(Arc::new(identity)))
    }

    /// The certificates, leaf first.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.cert
    }

    /// The first certificate of the chain.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.0.cert[0]
    }

    /// The public key of the first certificate.
    ///
    /// # Errors
    /// The certificate does not parse.
    pub fn spki(&self) -> Result<Spki, TlsError> {
        Spki::of_certificate(self.certificate())
    }

    /// Signs a message with the private key: ECDSA with the hash that fits the curve, or Ed25519.
    ///
    /// # Errors
    /// The key is of another kind.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, TlsError> {
        let signer = self.0.key.choose_scheme(&SIGNATURE_SCHEMES).ok_or(TlsError::KeyKind)?;
        Ok(signer.sign(message)?)
    }

    pub(crate) fn certified_key(&self) -> Arc<CertifiedKey> {
        self.0.clone()
    }

    pub(crate) fn signing_key(&self) -> &Arc<dyn SigningKey> {
        &self.0.key
    }
}

impl std::fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TlsIdentity({:?})", self.signing_key().algorithm())
    }
}

impl Origin {
    fn wrong(&self, reason: String) -> TlsError {
        TlsError::Material { origin: self.to_string(), reason }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Memory(what) => write!(f, "the given {what}"),
        }
    }
}

/// Reads every certificate of a PEM file.
///
/// # Errors
/// The file cannot be read, or holds no certificate.
pub fn load_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    certificates_in(&read(path)?, &Origin::File(path.into()))
}

/// Reads every certificate of PEM text in memory.
///
/// # Errors
/// There is none, or it is damaged.
pub fn parse_certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    certificates_in(pem, &Origin::Memory("certificate"))
}

fn certificates_in(pem: &[u8], origin: &Origin) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|e| origin.wrong(format!("damaged PEM: {e}")))?;
    if certificates.is_empty() {
        return Err(origin.wrong("no PEM certificate in it".to_owned()));
    }
    for certificate in &certificates {
        Spki::of_certificate(certificate).map_err(|e| origin.wrong(e.to_string()))?;
    }
    Ok(certificates)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Unreadable { path: path.into(), source })
}

const SIGNATURE_SCHEMES: [SignatureScheme; 3] =
    [SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ECDSA_NISTP384_SHA384, SignatureScheme::ED25519];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn pem_pair() -> (String, String) {
        let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        (pair.cert.pem(), pair.signing_key.serialize_pem())
    }

    #[test]
    fn a_pair_that_belongs_together_loads() {
        let (certificate, key) = pem_pair();
        let identity = TlsIdentity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
        assert_eq!(identity.chain().len(), 1);
        assert!(!identity.sign(b"message").unwrap().is_empty());
    }

    #[test]
    fn a_sec1_key_loads_too() {
        let (certificate, key) = pem_pair();
        let pkcs8 = p256_sec1_of(&key);
        assert!(pkcs8.contains("EC PRIVATE KEY"));
        TlsIdentity::from_pem(certificate.as_bytes(), pkcs8.as_bytes()).unwrap();
    }

    /// Takes the SEC1 structure out of the PKCS#8 one: the last OCTET STRING of the latter.
    fn p256_sec1_of(pkcs8_pem: &str) -> String {
        let pkcs8 = rustls_pki_types::PrivatePkcs8KeyDer::from_pem_slice(pkcs8_pem.as_bytes()).unwrap();
        let der = pkcs8.secret_pkcs8_der();
        let at = der.windows(3).position(|w| w == [2, 1, 1]).unwrap() - 2;
        pem::encode(&pem::Pem::new("EC PRIVATE KEY", &der[at..]))
    }

    #[test]
    fn mistakes_are_named_with_their_file() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = pem_pair();
        let (cert_path, key_path) = (dir.path().join("server.crt"), dir.path().join("server.key"));
        let error = |cert: &str, key: &str| {
            std::fs::write(&cert_path, cert).unwrap();
            std::fs::write(&key_path, key).unwrap();
            TlsIdentity::load(&cert_path, &key_path).unwrap_err().to_string()
        };
        assert!(error(&key, &key).contains("server.crt: no PEM certificate in it"));
        assert!(error(&certificate, &certificate).contains("server.key: no PEM private key"));
        assert!(error(&certificate, &pem_pair().1).contains("does not belong to the certificate in"));
        assert!(error(&certificate[..certificate.len() - 30], &key).contains("server.crt: damaged PEM"));
        let missing = TlsIdentity::load(&dir.path().join("none.crt"), &key_path).unwrap_err().to_string();
        assert!(missing.contains("none.crt"), "{missing}");
    }
}
