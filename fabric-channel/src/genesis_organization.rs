//! The organizations of a new channel: their MSP definitions and the policies that configtxgen's sample profiles
//! give them.

use std::collections::BTreeMap;

use bytes::Bytes;
use fabric_proto::common::implicit_meta_policy::Rule;
use fabric_proto::common::{ImplicitMetaPolicy, Policy, policy};
use fabric_proto::msp::msp_principal::Classification;
use fabric_proto::msp::msp_role::MspRoleType;
use fabric_proto::msp::{
    FabricCryptoConfig, FabricMspConfig, FabricNodeOUs, FabricOuIdentifier, MspConfig, MspPrincipal, MspRole,
};
use prost::Message as _;

use crate::block_policy::{n_out_of, signature_policy, signed_by};

/// An organization that runs orderers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrdererOrganizationProfile {
    /// Name of its group.
    pub name: String,
    /// Its MSP.
    pub msp: MspMaterial,
    /// Where clients and peers reach its orderers, `host:port`; at least one.
    pub endpoints: Vec<String>,
}

/// An organization that runs peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationOrganizationProfile {
    /// Name of its group.
    pub name: String,
    /// Its MSP.
    pub msp: MspMaterial,
    /// Host and port of the peers that other organizations contact first.
    pub anchor_peers: Vec<(String, u16)>,
}

/// The certificates that define an MSP, all PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MspMaterial {
    /// The MSP ID.
    pub msp_id: String,
    /// Root certificates; at least one.
    pub root_certs: Vec<Bytes>,
    /// Intermediate certificates.
    pub intermediate_certs: Vec<Bytes>,
    /// Certificates of administrators, beside those marked by an organizational unit.
    pub admins: Vec<Bytes>,
    /// Revocation lists.
    pub revocation_lists: Vec<Bytes>,
    /// Root certificates for TLS.
    pub tls_root_certs: Vec<Bytes>,
    /// Intermediate certificates for TLS.
    pub tls_intermediate_certs: Vec<Bytes>,
    /// The authority that vouches for the units `client`, `peer`, `admin` and `orderer`; without it there are no
    /// node OUs.
    pub node_ou_certifier: Option<Bytes>,
}

/// How many child groups an implicit meta policy asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum MetaRule {
    Any,
    Majority,
}

impl OrdererOrganizationProfile {
    pub(crate) fn policies(&self) -> BTreeMap<&'static str, Policy> {
        use MspRoleType::{Admin, Client, Orderer, Peer};
        let any_of = |roles: &[MspRoleType]| any_role(&self.msp.msp_id, roles);
        BTreeMap::from([
            ("Readers", any_of(&[Admin, Orderer, Client])),
            ("Writers", any_of(&[Admin, Orderer, Client])),
            ("Admins", any_of(&[Admin])),
            ("Endorsement", any_of(&[Peer])),
        ])
    }
}

impl ApplicationOrganizationProfile {
    pub(crate) fn policies(&self) -> BTreeMap<&'static str, Policy> {
        use MspRoleType::{Admin, Client, Peer};
        let any_of = |roles: &[MspRoleType]| any_role(&self.msp.msp_id, roles);
        BTreeMap::from([
            ("Readers", any_of(&[Admin, Peer, Client])),
            ("Writers", any_of(&[Admin, Client])),
            ("Admins", any_of(&[Admin])),
            ("Endorsement", any_of(&[Peer])),
        ])
    }
}

impl MspMaterial {
    /// The value MSP of an organization's group.
    #[must_use]
    pub fn definition(&self) -> MspConfig {
        let config = FabricMspConfig {
            name: self.msp_id.clone(),
            root_certs: self.root_certs.clone(),
            intermediate_certs: self.intermediate_certs.clone(),
            admins: self.admins.clone(),
            revocation_list: self.revocation_lists.clone(),
            signing_identity: None,
            organizational_unit_identifiers: Vec::new(),
            crypto_config: Some(FabricCryptoConfig {
                signature_hash_family: "SHA2".to_owned(),
                identity_identifier_hash_function: "SHA256".to_owned(),
            }),
            tls_root_certs: self.tls_root_certs.clone(),
            tls_intermediate_certs: self.tls_intermediate_certs.clone(),
            fabric_node_ous: self.node_ou_certifier.as_ref().map(node_ous),
        };
        MspConfig { r#type: 0, config: config.encode_to_vec().into() }
    }
}

/// A policy over the policies of the same kind in all child groups.
pub(crate) fn implicit_meta(rule: MetaRule, sub_policy: &str) -> Policy {
    let rule = match rule {
        MetaRule::Any => Rule::Any,
        MetaRule::Majority => Rule::Majority,
    };
    let message = ImplicitMetaPolicy { sub_policy: sub_policy.to_owned(), rule: rule.into() };
    Policy { r#type: policy::PolicyType::ImplicitMeta.into(), value: message.encode_to_vec().into() }
}

/// One signature by an identity that holds one of the roles.
fn any_role(msp_id: &str, roles: &[MspRoleType]) -> Policy {
    let principal = |role: &MspRoleType| MspPrincipal {
        principal_classification: Classification::Role.into(),
        principal: MspRole { msp_identifier: msp_id.to_owned(), role: (*role).into() }.encode_to_vec().into(),
    };
    let rules = (0..roles.len() as i32).map(signed_by).collect();
    signature_policy(n_out_of(1, rules), roles.iter().map(principal).collect())
}

fn node_ous(certifier: &Bytes) -> FabricNodeOUs {
    let unit = |name: &str| {
        Some(FabricOuIdentifier { certificate: certifier.clone(), organizational_unit_identifier: name.to_owned() })
    };
    FabricNodeOUs {
        enable: true,
        client_ou_identifier: unit("client"),
        peer_ou_identifier: unit("peer"),
        admin_ou_identifier: unit("admin"),
        orderer_ou_identifier: unit("orderer"),
    }
}
