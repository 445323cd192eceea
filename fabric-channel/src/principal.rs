//! What a leaf of a signature policy asks of a signer.
//!
//! A principal is compiled once against the MSPs of the channel; asking whether an identity satisfies it is then
//! only comparing. A principal that can never be satisfied (malformed, unknown role, not known at this MSP level)
//! is no error: Fabric lets such policies stand, and so do we. Contract §2.8, §7.4 (principals), Appendix C 14.

use std::fmt;

use bytes::Bytes;
use fabric_proto::msp::msp_identity_anonymity::MspIdentityAnonymityType;
use fabric_proto::msp::msp_principal::Classification;
use fabric_proto::msp::msp_role::MspRoleType;
use fabric_proto::msp::{CombinedPrincipal, MspIdentityAnonymity, MspPrincipal, MspRole, OrganizationUnit};
use prost::Message as _;

use crate::identity::{Identity, IdentityKey};
use crate::limits::POLICY_DEPTH_MAX;
use crate::msp::MspVersion;
use crate::msps::Msps;

/// A compiled principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A role within an MSP.
    Role {
        /// The MSP ID.
        msp_id: String,
        /// The role.
        role: Role,
    },
    /// A valid identity that carries an organizational unit.
    OrganizationalUnit {
        /// The MSP ID.
        msp_id: String,
        /// The unit.
        name: String,
        /// The chain that has to vouch for the unit.
        certifiers: Bytes,
    },
    /// Exactly this identity, while it is valid.
    Identity(IdentityKey),
    /// Any identity that is not anonymous; every X.509 identity, even an invalid one.
    Nominal,
    /// All of these.
    All(Vec<Principal>),
    /// Nobody.
    Never,
}

/// Roles that principals name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Any valid identity of the MSP.
    Member,
    /// Listed as an admin, or marked as one by its organizational unit.
    Admin,
    /// Marked as a client.
    Client,
    /// Marked as a peer.
    Peer,
    /// Marked as an orderer.
    Orderer,
}

impl Principal {
    /// Compiles a principal as it stands in a policy.
    #[must_use]
    pub fn compile(principal: &MspPrincipal, msps: &Msps) -> Self {
        Self::compile_at(principal, msps, 0)
    }

    fn compile_at(principal: &MspPrincipal, msps: &Msps, depth: usize) -> Self {
        let bytes = &principal.principal;
        let Ok(classification) = Classification::try_from(principal.principal_classification) else {
            return Self::Never;
        };
        let compiled = match classification {
            Classification::Role => compile_role(bytes),
            Classification::OrganizationUnit => compile_unit(bytes),
            Classification::Identity => compile_identity(bytes, msps),
            Classification::Anonymity => compile_anonymity(bytes, msps),
            Classification::Combined => compile_combined(bytes, msps, depth),
        };
        compiled.unwrap_or(Self::Never)
    }

    /// True if the identity satisfies this principal.
    #[must_use]
    pub fn is_satisfied_by(&self, identity: &Identity) -> bool {
        match self {
            Self::Role { msp_id, role } => identity.msp_id() == msp_id && role.is_held_by(identity),
            Self::OrganizationalUnit { msp_id, name, certifiers } => {
                identity.msp_id() == msp_id
                    && identity.roles().member
                    && identity.units().iter().any(|unit| unit.name() == name && unit.certifiers() == certifiers)
            }
            Self::Identity(key) => identity.key() == key && identity.roles().member,
            Self::Nominal => true,
            Self::All(parts) => parts.iter().all(|part| part.is_satisfied_by(identity)),
            Self::Never => false,
        }
    }
}

/// In words, for errors: `an admin of Org1MSP`.
impl fmt::Display for Principal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role { msp_id, role } => write!(formatter, "{role} of {msp_id}"),
            Self::OrganizationalUnit { msp_id, name, .. } => {
                write!(formatter, "a member of {msp_id} in the unit {name:?}")
            }
            Self::Identity(key) => write!(formatter, "exactly the identity {key}"),
            Self::Nominal => formatter.write_str("anybody with a certificate"),
            Self::All(parts) => {
                formatter.write_str("one who is all of (")?;
                for (position, part) in parts.iter().enumerate() {
                    let separator = if position > 0 { ", " } else { "" };
                    write!(formatter, "{separator}{part}")?;
                }
                formatter.write_str(")")
            }
            Self::Never => formatter.write_str("nobody (a principal that cannot be satisfied)"),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Member => "a member",
            Self::Admin => "an admin",
            Self::Client => "a client",
            Self::Peer => "a peer",
            Self::Orderer => "an orderer",
        })
    }
}

impl Role {
    fn is_held_by(self, identity: &Identity) -> bool {
        let roles = identity.roles();
        match self {
            Self::Member => roles.member,
            Self::Admin => roles.admin,
            Self::Client => roles.client,
            Self::Peer => roles.peer,
            Self::Orderer => roles.orderer,
        }
    }
}

fn compile_role(bytes: &Bytes) -> Option<Principal> {
    let named = MspRole::decode(bytes.clone()).ok()?;
    let role = match MspRoleType::try_from(named.role).ok()? {
        MspRoleType::Member => Role::Member,
        MspRoleType::Admin => Role::Admin,
        MspRoleType::Client => Role::Client,
        MspRoleType::Peer => Role::Peer,
        MspRoleType::Orderer => Role::Orderer,
    };
    Some(Principal::Role { msp_id: named.msp_identifier, role })
}

fn compile_unit(bytes: &Bytes) -> Option<Principal> {
    let unit = OrganizationUnit::decode(bytes.clone()).ok()?;
    Some(Principal::OrganizationalUnit {
        msp_id: unit.msp_identifier,
        name: unit.organizational_unit_identifier,
        certifiers: unit.certifiers_identifier,
    })
}

fn compile_identity(bytes: &Bytes, msps: &Msps) -> Option<Principal> {
    let identity = msps.deserialise(bytes).ok()?;
    Some(Principal::Identity(identity.key().clone()))
}

fn compile_anonymity(bytes: &Bytes, msps: &Msps) -> Option<Principal> {
    if msps.version() < MspVersion::V1_3 {
        return None;
    }
    let anonymity = MspIdentityAnonymity::decode(bytes.clone()).ok()?;
    match MspIdentityAnonymityType::try_from(anonymity.anonymity_type).ok()? {
        MspIdentityAnonymityType::Nominal => Some(Principal::Nominal),
        MspIdentityAnonymityType::Anonymous => None,
    }
}

fn compile_combined(bytes: &Bytes, msps: &Msps, depth: usize) -> Option<Principal> {
    if msps.version() < MspVersion::V1_3 || depth >= POLICY_DEPTH_MAX {
        return None;
    }
    let combined = CombinedPrincipal::decode(bytes.clone()).ok()?;
    if combined.principals.is_empty() {
        return None;
    }
    let parts = combined.principals.iter().map(|part| Principal::compile_at(part, msps, depth + 1)).collect();
    Some(Principal::All(parts))
}
