//! Certificate revocation lists of an MSP.
//!
//! A list counts against a certificate if its authority key identifier names the certificate's issuer *and* that
//! issuer has signed it; a list with a wrong signature is passed over, not an error. Dates in the list are not
//! looked at. Contract §7.3, §7.4 step 4.

use std::collections::BTreeSet;

use bytes::Bytes;
use thiserror::Error;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::certificate::Certificate;
use crate::der;
use crate::pem_block;
use crate::public_key::{SignatureAlgorithm, signature_algorithm_of};

/// One revocation list.
#[derive(Debug, Clone)]
pub(crate) struct RevocationList {
    /// Absent if the list has no authority key identifier, which makes every validation against it fail, as in Fabric.
    authority_key_id: Option<Bytes>,
    revoked_serials: BTreeSet<Bytes>,
    to_be_signed: Bytes,
    signature_algorithm: SignatureAlgorithm,
    signature: Bytes,
}

/// Why a revocation list is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CrlError {
    /// Neither PEM nor DER of a revocation list.
    #[error("malformed certificate revocation list")]
    Malformed,
    /// No authority key identifier.
    #[error("certificate revocation list has no authority key identifier")]
    NoAuthorityKeyId,
}

impl RevocationList {
    /// Reads a list from DER or, if it starts like one, from a PEM block.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, CrlError> {
        if bytes.starts_with(PEM_PREFIX)
            && let Some(der) = pem_block::first_block(bytes)
        {
            return Self::parse_der(&der);
        }
        Self::parse_der(bytes)
    }

    fn parse_der(der: &[u8]) -> Result<Self, CrlError> {
        let (rest, list) = CertificateRevocationList::from_der(der).map_err(|_| CrlError::Malformed)?;
        if !rest.is_empty() {
            return Err(CrlError::Malformed);
        }
        let authority_key_id = list.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(identifier) => {
                let id = identifier.key_identifier.as_ref();
                Some(id.map_or(Bytes::new(), |id| Bytes::copy_from_slice(id.0)))
            }
            _ => None,
        });
        Ok(Self {
            authority_key_id,
            revoked_serials: list
                .iter_revoked_certificates()
                .map(|entry| Bytes::copy_from_slice(der::strip_leading_zeros(entry.raw_serial())))
                .collect(),
            to_be_signed: Bytes::copy_from_slice(list.tbs_cert_list.as_ref()),
            signature_algorithm: signature_algorithm_of(&list.signature_algorithm),
            signature: Bytes::copy_from_slice(&list.signature_value.data),
        })
    }

    /// True if this list revokes `certificate`, which `issuer` has issued.
    pub(crate) fn revokes(&self, certificate: &Certificate, issuer: &Certificate) -> Result<bool, CrlError> {
        let authority = self.authority_key_id.as_deref().ok_or(CrlError::NoAuthorityKeyId)?;
        Ok(issuer.subject_key_id() == Some(authority)
            && self.revoked_serials.contains(certificate.serial())
            && issuer.public_key().has_signed(self.signature_algorithm, &self.to_be_signed, &self.signature))
    }
}

const PEM_PREFIX: &[u8] = b"-----BEGIN X509 CRL";
