//! An identity of a channel: a certificate that an MSP has read and judged.
//!
//! Judging happens once, when the identity is read; everything afterwards (verifying signatures, satisfying
//! principals) only looks at the result. Invariant: the certificate is sanitised, so equal identities have equal
//! identifiers. Contract §7.4.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use fabric_proto::msp::SerializedIdentity;
use prost::Message as _;
use thiserror::Error;

use crate::certificate::{Certificate, CertificateError};
use crate::chain::{ChainError, SanitiseError};
use crate::crl::CrlError;
use crate::node_ous::OuIdentifier;
use crate::public_key::{SignatureError, SigningHash};

/// An identity. Cloning is cheap; equality is equality of MSP and sanitised certificate.
#[derive(Clone)]
pub struct Identity(Arc<Parts>);

struct Parts {
    key: IdentityKey,
    certificate: Certificate,
    judgement: Result<(), InvalidIdentity>,
    units: Vec<OuIdentifier>,
    roles: Roles,
    signing_hash: SigningHash,
}

/// What tells identities apart: the MSP and the hash of the sanitised certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdentityKey {
    msp_id: String,
    identifier: Bytes,
}

/// The roles an identity holds in its MSP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Roles {
    pub(crate) member: bool,
    pub(crate) admin: bool,
    pub(crate) client: bool,
    pub(crate) peer: bool,
    pub(crate) orderer: bool,
}

/// Why bytes are not an identity of the channel at all.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdentityError {
    /// Not a `SerializedIdentity` message.
    #[error("malformed serialized identity")]
    Malformed,
    /// The MSP is not part of the channel.
    #[error("MSP {0:?} is not defined on the channel")]
    UnknownMsp(String),
    /// The MSP is of a type whose identities cannot be read here.
    #[error("identities of MSP {0:?} are of an unsupported type")]
    UnsupportedMsp(String),
    /// The certificate does not parse.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The certificate is not one of this MSP.
    #[error("certificate is not accepted: {0}")]
    Chain(ChainError),
}

/// Why an identity (or a certificate authority of an MSP) is not valid.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidIdentity {
    /// The kind of public key is not allowed for identities on this channel.
    #[error("its public key algorithm is not allowed on this channel")]
    KeyAlgorithm,
    /// A certificate authority posing as an identity.
    #[error("a certificate authority cannot be an identity")]
    CertificateAuthority,
    /// There is no single chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Its issuer has issued another certificate authority.
    #[error("its issuer also issues certificate authorities and may not issue identities")]
    IssuerIsInternal,
    /// Listed in a revocation list of its issuer.
    #[error("it has been revoked")]
    Revoked,
    /// A revocation list that cannot be applied.
    #[error(transparent)]
    RevocationList(#[from] CrlError),
    /// The MSP demands organizational units and there are none.
    #[error("it has no organizational unit, which its MSP demands")]
    NoOrganizationalUnit,
    /// None of its units is listed by the MSP.
    #[error("none of its organizational units is listed by its MSP")]
    UnitNotInMsp,
    /// No role unit.
    #[error("it has no organizational unit that marks a client, peer, admin or orderer")]
    NoRole,
    /// More than one role unit.
    #[error("it has more than one organizational unit that marks a role")]
    SeveralRoles,
    /// A role unit under the wrong chain.
    #[error("another certificate authority must vouch for its role")]
    CertifierMismatch,
    /// In a list of authorities without being one.
    #[error("it is not a certificate authority")]
    NotAnAuthority,
    /// A certificate authority without subject key identifier.
    #[error("it has no subject key identifier")]
    NoSubjectKeyId,
    /// An admin certificate with the wrong role unit.
    #[error("it is neither a client nor an admin by its organizational unit")]
    AdminWithoutRole,
}

impl From<SanitiseError> for IdentityError {
    fn from(error: SanitiseError) -> Self {
        match error {
            SanitiseError::Chain(error) => Self::Chain(error),
            SanitiseError::RootNotSelfSigned => Self::Chain(ChainError::UnknownAuthority),
            SanitiseError::Certificate(error) => Self::Certificate(error),
        }
    }
}

impl Identity {
    pub(crate) fn new(
        msp_id: String,
        identifier: &[u8],
        roles: Roles,
        units: Vec<OuIdentifier>,
        judgement: Result<(), InvalidIdentity>,
        signing_hash: SigningHash,
        certificate: Certificate,
    ) -> Self {
        let identifier = Bytes::copy_from_slice(identifier);
        Self(Arc::new(Parts {
            key: IdentityKey { msp_id, identifier },
            certificate,
            judgement,
            units,
            roles,
            signing_hash,
        }))
    }

    /// What tells this identity apart from others.
    #[must_use]
    pub fn key(&self) -> &IdentityKey {
        &self.0.key
    }

    /// The MSP it belongs to.
    #[must_use]
    pub fn msp_id(&self) -> &str {
        &self.0.key.msp_id
    }

    /// The sanitised certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.0.certificate
    }

    /// Whether the MSP accepts it, decided when it was read.
    ///
    /// # Errors
    /// [`InvalidIdentity`], the first rule it breaks.
    pub fn validity(&self) -> Result<(), InvalidIdentity> {
        self.0.judgement.clone()
    }

    /// Its organizational units with the chain that vouches for them; empty if there is no chain.
    #[must_use]
    pub fn units(&self) -> &[OuIdentifier] {
        &self.0.units
    }

    pub(crate) fn roles(&self) -> Roles {
        self.0.roles
    }

    /// Verifies a Fabric signature by this identity. Says nothing about the validity of the identity.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        self.0.certificate.public_key().verify_over(self.0.signing_hash, message, signature)
    }

    /// What the identity takes in memory, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        COPIES_OF_DER * self.0.certificate.der().len() + PARSED_BYTES
    }

    /// The identity as a `SerializedIdentity` message around the sanitised certificate.
    #[must_use]
    pub fn serialise(&self) -> Bytes {
        serialise(self.msp_id(), self.0.certificate.to_pem().as_bytes())
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for Identity {}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Identity({} {:?})", self.0.key.msp_id, self.0.certificate.subject_text())
    }
}

/// MSP and subject, for people to read.
impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {:?}", self.0.key.msp_id, self.0.certificate.subject_text())
    }
}

/// MSP and the first octets of the identifier.
impl fmt::Display for IdentityKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}#", self.msp_id)?;
        self.identifier.iter().take(IDENTIFIER_OCTETS_SHOWN).try_for_each(|octet| write!(formatter, "{octet:02x}"))
    }
}

impl IdentityKey {
    /// The MSP ID.
    #[must_use]
    pub fn msp_id(&self) -> &str {
        &self.msp_id
    }

    /// Hash of the sanitised certificate, SHA-256 unless the MSP names another function.
    #[must_use]
    pub fn identifier(&self) -> &[u8] {
        &self.identifier
    }
}

/// A `SerializedIdentity` message from its two parts: what creators and IDENTITY principals are made of.
#[must_use]
pub fn serialise(msp_id: &str, certificate_pem: &[u8]) -> Bytes {
    let message = SerializedIdentity { mspid: msp_id.to_owned(), id_bytes: Bytes::copy_from_slice(certificate_pem) };
    message.encode_to_vec().into()
}

/// A certificate is kept whole and once more in parts; names, units and extensions as texts beside it.
const COPIES_OF_DER: usize = 3;
/// The parsed key, and the frames of all that.
const PARSED_BYTES: usize = 2048;
const IDENTIFIER_OCTETS_SHOWN: usize = 8;
