//! An X.509 certificate, parsed once.
//!
//! Owns the reading of PEM and DER, the facts that MSP rules ask about, and *sanitising*: a certificate whose own
//! ECDSA signature has a high S value is rewritten to the low one, because identities are compared and hashed by
//! their bytes and anyone can flip `s`. Contract §7.4 steps 1 to 3. Chains are built in `chain.rs`; nothing here
//! trusts anything.
//!
//! What counts as malformed follows Go's parser where peers would notice: trailing bytes, a negative serial number,
//! differing inner and outer signature algorithms, a repeated extension, a known extension that does not parse.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::certificate_extensions::Extensions;
use crate::der;
use crate::ecdsa_signature::EcdsaSignature;
use crate::pem_block;
use crate::public_key::{KeyAlgorithm, KeyError, PublicKey, SignatureAlgorithm, signature_algorithm_of};

/// One certificate with its original bytes. Cloning is cheap; equality is equality of the DER.
#[derive(Clone)]
pub struct Certificate(Arc<Parts>);

struct Parts {
    der: Bytes,
    to_be_signed: Bytes,
    signature_algorithm: SignatureAlgorithm,
    signature: Bytes,
    issuer_der: Bytes,
    subject_der: Bytes,
    subject_text: String,
    common_name: Option<String>,
    organizational_units: Vec<String>,
    serial: Bytes,
    version: u32,
    not_before_unix_s: i64,
    not_after_unix_s: i64,
    public_key: PublicKey,
    extensions: Extensions,
}

/// Why bytes are not a certificate that Fabric reads.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// No complete PEM block.
    #[error("not a PEM encoded certificate")]
    NotPem,
    /// Not the DER of one X.509 certificate; the text says which part.
    #[error("malformed certificate: {0}")]
    Malformed(String),
    /// The public key is not usable.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Certificate {
    /// Reads the first PEM block of `pem`, whatever its label, as Fabric does.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        let der = pem_block::first_block(pem).ok_or(CertificateError::NotPem)?;
        Self::from_der(&der)
    }

    /// Reads one certificate; bytes after it are an error.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let (rest, parsed) =
            X509Certificate::from_der(der).map_err(|error| CertificateError::Malformed(error.to_string()))?;
        if !rest.is_empty() {
            return Err(malformed("bytes after the certificate"));
        }
        if parsed.signature_algorithm != parsed.tbs_certificate.signature {
            return Err(malformed("inner and outer signature algorithms differ"));
        }
        if parsed.raw_serial().first().is_some_and(|octet| octet & 0x80 != 0) {
            return Err(malformed("negative serial number"));
        }
        Self::from_parsed(der, &parsed)
    }

    fn from_parsed(der: &[u8], parsed: &X509Certificate<'_>) -> Result<Self, CertificateError> {
        let copy = Bytes::copy_from_slice;
        let mut organizational_units = Vec::new();
        for attribute in parsed.subject().iter_organizational_unit() {
            let text = attribute.as_str().map_err(|_| malformed("organizational unit is not text"))?;
            organizational_units.push(text.to_owned());
        }
        let common_name =
            parsed.subject().iter_common_name().last().and_then(|attribute| attribute.as_str().ok()).map(str::to_owned);
        Ok(Self(Arc::new(Parts {
            der: copy(der),
            to_be_signed: copy(parsed.tbs_certificate.as_ref()),
            signature_algorithm: signature_algorithm_of(&parsed.signature_algorithm),
            signature: copy(&parsed.signature_value.data),
            issuer_der: copy(parsed.issuer().as_raw()),
            subject_der: copy(parsed.subject().as_raw()),
            subject_text: parsed.subject().to_string(),
            common_name,
            organizational_units,
            serial: copy(der::strip_leading_zeros(parsed.raw_serial())),
            version: parsed.version().0,
            not_before_unix_s: parsed.validity().not_before.timestamp(),
            not_after_unix_s: parsed.validity().not_after.timestamp(),
            public_key: PublicKey::from_spki(parsed.public_key())?,
            extensions: Extensions::read(parsed)?,
        })))
    }

    /// The certificate as it was read, or as sanitising rewrote it.
    #[must_use]
    pub fn der(&self) -> &Bytes {
        &self.0.der
    }

    /// The certificate as one PEM block.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem_block::certificate_block(&self.0.der)
    }

    /// The distinguished name of the subject in DER.
    #[must_use]
    pub fn subject_der(&self) -> &Bytes {
        &self.0.subject_der
    }

    /// The distinguished name of the issuer in DER.
    #[must_use]
    pub fn issuer_der(&self) -> &Bytes {
        &self.0.issuer_der
    }

    /// The subject for people to read, for example in an error.
    #[must_use]
    pub fn subject_text(&self) -> &str {
        &self.0.subject_text
    }

    /// `SubjectPublicKeyInfo` in DER: what a consenter is pinned by.
    #[must_use]
    pub fn spki_der(&self) -> &Bytes {
        self.0.public_key.spki_der()
    }

    /// The public key, ready to verify.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.0.public_key
    }

    /// The organizational units of the subject, in order.
    #[must_use]
    pub fn organizational_units(&self) -> &[String] {
        &self.0.organizational_units
    }

    /// Start of validity in seconds since the Unix epoch.
    #[must_use]
    pub fn not_before_unix_s(&self) -> i64 {
        self.0.not_before_unix_s
    }

    /// End of validity in seconds since the Unix epoch. Expiry never decides about a block (contract §2.6).
    #[must_use]
    pub fn not_after_unix_s(&self) -> i64 {
        self.0.not_after_unix_s
    }

    /// True if the basic constraints say that this is a certificate authority.
    #[must_use]
    pub fn is_ca(&self) -> bool {
        self.0.extensions.is_ca
    }

    /// The subject key identifier, if the extension is present.
    #[must_use]
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.0.extensions.subject_key_id.as_deref()
    }

    /// The authority key identifier, if the extension is present.
    #[must_use]
    pub fn authority_key_id(&self) -> Option<&[u8]> {
        self.0.extensions.authority_key_id.as_deref()
    }

    /// The serial number, big-endian without leading zeros.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        &self.0.serial
    }

    pub(crate) fn common_name(&self) -> Option<&str> {
        self.0.common_name.as_deref()
    }

    pub(crate) fn extensions(&self) -> &Extensions {
        &self.0.extensions
    }

    /// True if this certificate's own signature is an ECDSA one, the only kind that is sanitised.
    pub(crate) fn is_ecdsa_signed(&self) -> bool {
        matches!(self.0.signature_algorithm, SignatureAlgorithm::Ecdsa(_))
    }

    /// True if `issuer` may sign certificates and has signed this one. Names and validity are not looked at.
    pub(crate) fn is_signed_by(&self, issuer: &Self) -> bool {
        issuer.may_sign_certificates()
            && issuer.public_key().has_signed(self.0.signature_algorithm, &self.0.to_be_signed, &self.0.signature)
    }

    fn may_sign_certificates(&self) -> bool {
        let extensions = &self.0.extensions;
        let has_constraints = extensions.has_basic_constraints;
        let constraints_allow = if self.0.version == VERSION_3 {
            has_constraints && extensions.is_ca
        } else {
            !has_constraints || extensions.is_ca
        };
        constraints_allow && extensions.may_sign_certificates
    }

    /// The same certificate with a low-S signature; itself if it already has one. `issuer` must have signed it.
    pub(crate) fn sanitised_by(&self, issuer: &Self) -> Result<Self, CertificateError> {
        let KeyAlgorithm::Ecdsa(curve) = issuer.public_key().algorithm() else {
            return Ok(self.clone());
        };
        let low = EcdsaSignature::parse(&self.0.signature)
            .and_then(|signature| signature.encode_low_s(curve))
            .ok_or_else(|| malformed("signature is not a DER encoded ECDSA signature"))?;
        if low[..] == self.0.signature[..] {
            return Ok(self.clone());
        }
        Self::from_der(&self.with_signature(&low)?)
    }

    /// The DER of this certificate with another signature value.
    fn with_signature(&self, signature: &[u8]) -> Result<Vec<u8>, CertificateError> {
        let frame = || malformed("frame of the certificate");
        let outer = der::read_tagged(&self.0.der, der::SEQUENCE).ok_or_else(frame)?;
        let to_be_signed = der::read(outer.content).ok_or_else(frame)?;
        let algorithm = der::read(to_be_signed.rest).ok_or_else(frame)?;
        let mut bit_string = Vec::with_capacity(signature.len() + 1);
        bit_string.push(0);
        bit_string.extend_from_slice(signature);
        let content = [to_be_signed.raw, algorithm.raw, &der::write(der::BIT_STRING, &bit_string)].concat();
        Ok(der::write(der::SEQUENCE, &content))
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Certificate({})", self.0.subject_text)
    }
}

pub(crate) fn malformed(what: &str) -> CertificateError {
    CertificateError::Malformed(what.to_owned())
}

/// Version 3 as X.509 counts, from zero.
const VERSION_3: u32 = 2;
