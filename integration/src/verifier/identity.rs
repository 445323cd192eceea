//! Certificates and ECDSA of the verifier, on the `p256` crate: not the library that nodes sign with.

use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::parse_x509_pem;

use super::Flaw;

/// The public key of a certificate in PEM.
pub(super) fn key_of(certificate_pem: &[u8]) -> Result<VerifyingKey, Flaw> {
    with_certificate(certificate_pem, |certificate| {
        let point = &certificate.public_key().subject_public_key.data;
        VerifyingKey::from_sec1_bytes(point).map_err(|_| Flaw::Certificate)
    })
}

/// Did `authority_pem` sign the certificate?
pub(super) fn is_issued_by(certificate_pem: &[u8], authority_pem: &[u8]) -> Result<bool, Flaw> {
    let authority = key_of(authority_pem)?;
    with_certificate(certificate_pem, |certificate| {
        let signature = Signature::from_der(&certificate.signature_value.data).map_err(|_| Flaw::Certificate)?;
        Ok(authority.verify(certificate.tbs_certificate.as_ref(), &signature).is_ok())
    })
}

/// Is this a signature of the message as Fabric accepts it: DER, and the smaller of the two possible `s`?
pub(super) fn is_signed(key: &VerifyingKey, message: &[u8], signature_der: &[u8]) -> bool {
    let Ok(signature) = Signature::from_der(signature_der) else { return false };
    signature.normalize_s() == signature && key.verify(message, &signature).is_ok()
}

fn with_certificate<T>(
    certificate_pem: &[u8],
    read: impl FnOnce(&X509Certificate<'_>) -> Result<T, Flaw>,
) -> Result<T, Flaw> {
    let (_, pem) = parse_x509_pem(certificate_pem).map_err(|_| Flaw::Certificate)?;
    let certificate = pem.parse_x509().map_err(|_| Flaw::Certificate)?;
    read(&certificate)
}
