//! Why an update is refused, in words that say what to do about it.

use std::fmt;

use thiserror::Error;

use super::authorisation::Unauthorised;
use super::element::{ElementKey, ElementKind};
use crate::config_tree::TreeError;
use crate::limits::UPDATE_SIGNATURES_MAX;

/// Why an update is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UpdateError {
    /// Another kind of envelope.
    #[error("the envelope is of header type {header_type}, not CONFIG_UPDATE (2)")]
    NotAnUpdate {
        /// The type in the header.
        header_type: i32,
    },
    /// The data of the envelope.
    #[error("the data of the envelope does not parse as a signed configuration update")]
    MalformedData,
    /// The update itself.
    #[error("the configuration update: {0}")]
    Malformed(#[from] TreeError),
    /// For another channel.
    #[error("the update is for channel {named:?}, not for {channel:?}")]
    WrongChannel {
        /// The channel in the update.
        named: String,
        /// The channel it was sent to.
        channel: String,
    },
    /// A name that no element may have.
    #[error("the {set} has a {kind} with the name {name:?} in {group}: names are made of a-z, A-Z, 0-9, '.' and '-'")]
    IllegalName {
        /// Which set.
        set: UpdateSet,
        /// What has that name.
        kind: ElementKind,
        /// The group it stands in.
        group: String,
        /// The name.
        name: String,
    },
    /// The author saw an element that does not exist.
    #[error("the update was made from a configuration with {element}, which this channel does not have")]
    ReadUnknown {
        /// The element.
        element: ElementKey,
    },
    /// The author saw another version.
    #[error(
        "the update was made when {element} had version {version}, it has version {current} now: make it anew from \
         the latest configuration"
    )]
    ReadVersion {
        /// The element.
        element: ElementKey,
        /// The version in the read set.
        version: u64,
        /// The version in the configuration.
        current: u64,
    },
    /// Too many signatures.
    #[error("the update has {0} signatures, more than {UPDATE_SIGNATURES_MAX}")]
    TooManySignatures(usize),
    /// A signature that does not say who made it.
    #[error("the header of signature {index} does not parse")]
    MalformedSignatureHeader {
        /// Position, from zero.
        index: usize,
    },
    /// The sets are equal.
    #[error("the update changes nothing: no version in its write set differs from the read set")]
    EmptyDelta,
    /// A changed element without mod_policy.
    #[error("{element}: the update leaves its mod_policy empty")]
    ModPolicyEmpty {
        /// The element.
        element: ElementKey,
    },
    /// A changed element whose mod_policy cannot be a policy path.
    #[error("{element}: its new mod_policy {mod_policy:?} is no path of a policy, because of the part {part:?}")]
    ModPolicyIllegal {
        /// The element.
        element: ElementKey,
        /// The policy it shall have.
        mod_policy: String,
        /// The first part that is no legal name.
        part: String,
    },
    /// A new element that does not begin at version zero.
    #[error("{element} does not exist yet and must begin with version 0, not {version}")]
    NewElementVersion {
        /// The element.
        element: ElementKey,
        /// The version in the write set.
        version: u64,
    },
    /// A changed element that does not go one version up.
    #[error(
        "{element} has version {current}; a change must give it version {}, not {version}",
        .current.wrapping_add(1)
    )]
    WrongVersion {
        /// The element.
        element: ElementKey,
        /// The version in the write set.
        version: u64,
        /// The version in the configuration.
        current: u64,
    },
    /// The element's present mod_policy names no policy, so nobody can change it.
    #[error(
        "{element} cannot be changed: its mod_policy {mod_policy:?} names no policy of this channel; change the group \
         that lists it instead"
    )]
    ModPolicyMissing {
        /// The element.
        element: ElementKey,
        /// The policy it has.
        mod_policy: String,
    },
    /// Signatures are missing.
    #[error(transparent)]
    NotAuthorised(Box<Unauthorised>),
}

/// One of the two sets of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateSet {
    /// What the author saw.
    Read,
    /// What shall be.
    Write,
}

impl UpdateError {
    /// Where Fabric's orderer says that an update failed; clients and scripts look for these words.
    #[must_use]
    pub fn step(&self) -> &'static str {
        match self {
            Self::NotAnUpdate { .. } | Self::MalformedData => "error converting envelope to config update",
            Self::IllegalName { set: UpdateSet::Read, .. } => "error authorizing update: error mapping ReadSet",
            Self::IllegalName { set: UpdateSet::Write, .. } => "error authorizing update: error mapping WriteSet",
            Self::ReadUnknown { .. } | Self::ReadVersion { .. } => "error authorizing update: error validating ReadSet",
            Self::Malformed(_)
            | Self::WrongChannel { .. }
            | Self::TooManySignatures(_)
            | Self::MalformedSignatureHeader { .. } => "error authorizing update",
            Self::EmptyDelta
            | Self::ModPolicyEmpty { .. }
            | Self::ModPolicyIllegal { .. }
            | Self::NewElementVersion { .. }
            | Self::WrongVersion { .. }
            | Self::ModPolicyMissing { .. }
            | Self::NotAuthorised(_) => "error authorizing update: error validating DeltaSet",
        }
    }
}

impl fmt::Display for UpdateSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Read => "read set",
            Self::Write => "write set",
        })
    }
}
