//! The replicas of a channel, on either consensus type.

use std::fmt;

use bytes::Bytes;
use fabric_proto::orderer::ConsensusType;
use prost::Message as _;

use super::{EditError, bft_consenters, raft_consenters};
use crate::config_tree::ConfigTree;

/// One replica to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConsenter {
    /// Its id, only on type BFT; without one it gets the number after the greatest in use.
    pub id: Option<u32>,
    /// Where other replicas reach it.
    pub host: String,
    /// Where other replicas reach it.
    pub port: u16,
    /// Its organization's MSP, only on type BFT.
    pub msp_id: Option<String>,
    /// Its signing certificate in PEM, only on type BFT.
    pub identity_pem: Option<Bytes>,
    /// Its TLS certificate when it connects, PEM.
    pub client_tls_cert_pem: Bytes,
    /// Its TLS certificate when it is connected to, PEM.
    pub server_tls_cert_pem: Bytes,
}

/// What becomes different about a replica; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsenterEdit {
    /// Where other replicas reach it.
    pub host: Option<String>,
    /// Where other replicas reach it.
    pub port: Option<u16>,
    /// Its organization's MSP, only on type BFT.
    pub msp_id: Option<String>,
    /// Its signing certificate in PEM, only on type BFT.
    pub identity_pem: Option<Bytes>,
    /// Its TLS certificate when it connects, PEM.
    pub client_tls_cert_pem: Option<Bytes>,
    /// Its TLS certificate when it is connected to, PEM.
    pub server_tls_cert_pem: Option<Bytes>,
}

/// Which replica is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsenterSelector {
    /// By its id; on type etcdraft by its position, counted from 1.
    Id(u32),
    /// By `host:port`.
    Address(String),
}

/// Adds a replica. On type BFT the policy BlockValidation follows.
///
/// # Errors
/// [`EditError`].
pub fn add_consenter(tree: &mut ConfigTree, consenter: &NewConsenter) -> Result<(), EditError> {
    match consensus_type(tree)? {
        Kind::Bft => bft_consenters::add(tree, consenter),
        Kind::EtcdRaft => raft_consenters::add(tree, consenter),
    }
}

/// Removes a replica. On type BFT the policy BlockValidation follows.
///
/// # Errors
/// [`EditError`].
pub fn remove_consenter(tree: &mut ConfigTree, which: &ConsenterSelector) -> Result<(), EditError> {
    match consensus_type(tree)? {
        Kind::Bft => bft_consenters::remove(tree, which),
        Kind::EtcdRaft => raft_consenters::remove(tree, which),
    }
}

/// Changes a replica: other certificates, another address, or a new machine in its place. On type BFT the policy
/// BlockValidation follows.
///
/// # Errors
/// [`EditError`].
pub fn replace_consenter(
    tree: &mut ConfigTree,
    which: &ConsenterSelector,
    edit: &ConsenterEdit,
) -> Result<(), EditError> {
    match consensus_type(tree)? {
        Kind::Bft => bft_consenters::replace(tree, which, edit),
        Kind::EtcdRaft => raft_consenters::replace(tree, which, edit),
    }
}

enum Kind {
    Bft,
    EtcdRaft,
}

fn consensus_type(tree: &ConfigTree) -> Result<Kind, EditError> {
    let orderer = tree.group("Orderer").ok_or_else(|| EditError::Missing("/Channel/Orderer".to_owned()))?;
    let value = orderer.values.get("ConsensusType").ok_or_else(|| EditError::Missing(PATH.to_owned()))?;
    let message = ConsensusType::decode(value.value.clone()).map_err(|_| EditError::Malformed(PATH.to_owned()))?;
    match message.r#type.as_str() {
        "BFT" => Ok(Kind::Bft),
        "etcdraft" => Ok(Kind::EtcdRaft),
        other => Err(EditError::ConsensusType(other.to_owned())),
    }
}

/// The position of the one that is meant among consenters given as (id, address).
pub(super) fn position(which: &ConsenterSelector, consenters: &[(u32, String)]) -> Result<usize, EditError> {
    let is_meant = |(id, address): &(u32, String)| match which {
        ConsenterSelector::Id(wanted) => id == wanted,
        ConsenterSelector::Address(wanted) => address == wanted,
    };
    let mut found = (0..).zip(consenters).filter(|(_, consenter)| is_meant(consenter)).map(|(position, _)| position);
    match (found.next(), found.next()) {
        (Some(position), None) => Ok(position),
        (Some(_), Some(_)) => Err(EditError::AmbiguousConsenter(which.to_string())),
        (None, _) => {
            let present: Vec<String> = consenters.iter().map(|(id, address)| format!("{id} at {address}")).collect();
            Err(EditError::UnknownConsenter { wanted: which.to_string(), present: present.join(", ") })
        }
    }
}

impl fmt::Display for ConsenterSelector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(formatter, "{id}"),
            Self::Address(address) => formatter.write_str(address),
        }
    }
}

const PATH: &str = "/Channel/Orderer/ConsensusType";
