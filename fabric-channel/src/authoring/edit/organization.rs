//! Organizations: those that run peers and those that run orderers.

use std::collections::BTreeMap;

use fabric_proto::common::{ConfigGroup, ConfigPolicy, ConfigValue, OrdererAddresses, Policy};
use fabric_proto::msp::MspConfig;
use fabric_proto::protos::{AnchorPeer, AnchorPeers};
use prost::Message;

use super::{ADMINS, EditError, edit_value, group_mut, path_of};
use crate::config_tree::{ConfigTree, Group};
use crate::genesis_organization::{ApplicationOrganizationProfile, MspMaterial, OrdererOrganizationProfile};

/// On which side of a channel an organization stands. One organization may stand on both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrganizationSide {
    /// It runs peers.
    Application,
    /// It runs orderers.
    Orderer,
}

impl OrganizationSide {
    fn group(self) -> &'static str {
        match self {
            Self::Application => "Application",
            Self::Orderer => "Orderer",
        }
    }
}

/// Adds an organization under a name.
///
/// # Errors
/// [`EditError`] if the name is taken or there is no such side.
pub fn add_organization(
    tree: &mut ConfigTree,
    side: OrganizationSide,
    name: &str,
    definition: Group,
) -> Result<(), EditError> {
    let organizations = &mut group_mut(tree, &[side.group()])?.groups;
    if organizations.contains_key(name) {
        return Err(EditError::Exists(path_of(&[side.group(), name])));
    }
    organizations.insert(name.to_owned(), definition);
    Ok(())
}

/// Removes an organization.
///
/// # Errors
/// [`EditError`] if it is not there.
pub fn remove_organization(tree: &mut ConfigTree, side: OrganizationSide, name: &str) -> Result<(), EditError> {
    let organizations = &mut group_mut(tree, &[side.group()])?.groups;
    let missing = || EditError::Missing(path_of(&[side.group(), name]));
    organizations.remove(name).map(drop).ok_or_else(missing)
}

/// The addresses, `host:port`, at which clients find an organization's orderers.
///
/// # Errors
/// [`EditError`] if there is no such organization of orderers, or its value does not parse.
pub fn endpoints(tree: &ConfigTree, organization: &str) -> Result<Vec<String>, EditError> {
    let path = || path_of(&["Orderer", organization]);
    let orderer = tree.group("Orderer").and_then(|orderer| orderer.groups.get(organization));
    let group = orderer.ok_or_else(|| EditError::Missing(path()))?;
    let Some(value) = group.values.get(ENDPOINTS) else {
        return Ok(Vec::new());
    };
    let message = OrdererAddresses::decode(value.value.clone());
    Ok(message.map_err(|_| EditError::Malformed(path() + "/" + ENDPOINTS))?.addresses)
}

/// Sets the addresses at which clients find an organization's orderers.
///
/// # Errors
/// As for [`endpoints`].
pub fn set_endpoints(tree: &mut ConfigTree, organization: &str, addresses: &[String]) -> Result<(), EditError> {
    let names = ["Orderer", organization];
    let group = group_mut(tree, &names)?;
    edit_value(group, &path_of(&names), ENDPOINTS, |fields| {
        fields.set_contents(1, addresses);
        Ok(())
    })
}

/// The definition of an organization that runs peers, with the policies that Fabric's sample profiles give it.
#[must_use]
pub fn application_organization(msp_id: &str, msp: &MspConfig, anchor_peers: &[(String, u16)]) -> Group {
    let profile =
        ApplicationOrganizationProfile { name: String::new(), msp: named(msp_id), anchor_peers: anchor_peers.to_vec() };
    let mut group = definition(profile.policies(), msp);
    if !anchor_peers.is_empty() {
        let peer = |(host, port): &(String, u16)| AnchorPeer { host: host.clone(), port: (*port).into() };
        let message = AnchorPeers { anchor_peers: anchor_peers.iter().map(peer).collect() };
        group.values.insert("AnchorPeers".to_owned(), value(&message));
    }
    Group::from(&group)
}

/// The definition of an organization that runs orderers, with the policies that Fabric's sample profiles give it.
#[must_use]
pub fn orderer_organization(msp_id: &str, msp: &MspConfig, endpoints: &[String]) -> Group {
    let profile = OrdererOrganizationProfile { name: String::new(), msp: named(msp_id), endpoints: endpoints.to_vec() };
    let mut group = definition(profile.policies(), msp);
    if !endpoints.is_empty() {
        let message = OrdererAddresses { addresses: endpoints.to_vec() };
        group.values.insert(ENDPOINTS.to_owned(), value(&message));
    }
    Group::from(&group)
}

fn named(msp_id: &str) -> MspMaterial {
    MspMaterial { msp_id: msp_id.to_owned(), ..MspMaterial::default() }
}

fn definition(policies: BTreeMap<&'static str, Policy>, msp: &MspConfig) -> ConfigGroup {
    let entry = |policy| ConfigPolicy { version: 0, policy: Some(policy), mod_policy: ADMINS.to_owned() };
    ConfigGroup {
        version: 0,
        groups: BTreeMap::new(),
        values: BTreeMap::from([("MSP".to_owned(), value(msp))]),
        policies: policies.into_iter().map(|(name, policy)| (name.to_owned(), entry(policy))).collect(),
        mod_policy: ADMINS.to_owned(),
    }
}

fn value(message: &impl Message) -> ConfigValue {
    ConfigValue { version: 0, value: message.encode_to_vec().into(), mod_policy: ADMINS.to_owned() }
}

const ENDPOINTS: &str = "Endpoints";
