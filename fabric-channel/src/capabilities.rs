//! Capabilities: names that say which behaviour a channel's members have agreed on.
//!
//! A name that is not known here means that somebody may rely on rules we do not follow, so an orderer refuses the
//! channel (contract §2.7); whether a *bundle* is valid does not depend on it, because Fabric separates the two.

use std::collections::BTreeSet;

use fabric_proto::common::Capabilities as CapabilitiesMessage;

use crate::msp::MspVersion;

/// Capabilities of the channel group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelCapabilities(BTreeSet<String>);

/// Capabilities of the orderer group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrdererCapabilities(BTreeSet<String>);

/// Capabilities of the application group. The orderer need not understand them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApplicationCapabilities(BTreeSet<String>);

impl ChannelCapabilities {
    pub(crate) fn new(message: CapabilitiesMessage) -> Self {
        Self(message.capabilities.into_keys().collect())
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The first name that is not known.
    #[must_use]
    pub fn unknown(&self) -> Option<&str> {
        first_unknown(&self.0, &["V1_1", "V1_3", "V1_4_2", "V1_4_3", "V2_0", "V3_0"])
    }

    /// The MSP behaviour that these capabilities ask for.
    #[must_use]
    pub fn msp_version(&self) -> MspVersion {
        if self.0.contains("V3_0") {
            MspVersion::V3_0
        } else if self.has_any(&["V1_4_3", "V2_0"]) {
            MspVersion::V1_4_3
        } else if self.has_any(&["V1_3", "V1_4_2"]) {
            MspVersion::V1_3
        } else if self.0.contains("V1_1") {
            MspVersion::V1_1
        } else {
            MspVersion::V1_0
        }
    }

    /// V3_0: type BFT, signatures by consenter id, Ed25519, endpoints only per organization.
    #[must_use]
    pub fn has_bft(&self) -> bool {
        self.0.contains("V3_0")
    }

    /// From V1_4_2: orderer organizations may name their own endpoints.
    #[must_use]
    pub fn has_org_endpoints(&self) -> bool {
        self.has_any(&["V1_4_2", "V1_4_3", "V2_0", "V3_0"])
    }

    /// From V1_4_2: the consensus type may change, step by step and in maintenance.
    #[must_use]
    pub fn has_type_migration(&self) -> bool {
        self.has_any(&["V1_4_2", "V1_4_3", "V2_0", "V3_0"])
    }

    fn has_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.0.contains(*name))
    }
}

impl OrdererCapabilities {
    pub(crate) fn new(message: CapabilitiesMessage) -> Self {
        Self(message.capabilities.into_keys().collect())
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The first name that is not known.
    #[must_use]
    pub fn unknown(&self) -> Option<&str> {
        first_unknown(&self.0, &["V1_1", "V1_4_2", "V2_0"])
    }

    /// From V1_4_2: the channel may be put into maintenance.
    #[must_use]
    pub fn has_maintenance(&self) -> bool {
        ["V1_4_2", "V2_0"].iter().any(|name| self.0.contains(*name))
    }
}

impl ApplicationCapabilities {
    pub(crate) fn new(message: CapabilitiesMessage) -> Self {
        Self(message.capabilities.into_keys().collect())
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// From V1_2: the application group may carry access control lists.
    #[must_use]
    pub fn has_acls(&self) -> bool {
        ["V1_2", "V1_3", "V1_4_2", "V2_0", "V2_5"].iter().any(|name| self.0.contains(*name))
    }
}

fn first_unknown<'a>(names: &'a BTreeSet<String>, known: &[&str]) -> Option<&'a str> {
    names.iter().map(String::as_str).find(|name| !known.contains(name))
}
