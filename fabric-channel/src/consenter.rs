//! The replicas of a channel as its configuration writes them.
//!
//! Two sources, one list: the `Orderers` mapping of type BFT, which carries ids and identities, and the metadata of
//! type etcdraft, which carries TLS certificates only and whose members are numbered from 1 in order. Sorted by id;
//! ids are unique and not zero. Contract §9.2, §0.2.

use std::collections::BTreeMap;

use bytes::Bytes;
use fabric_proto::common::{Consenter as MappingEntry, Orderers};
use fabric_proto::etcdraft::{ConfigMetadata, Consenter as RaftEntry};
use thiserror::Error;

use crate::certificate::{Certificate, CertificateError};
use crate::limits::CONSENTERS_MAX;
use crate::msps::Msps;
use crate::orderer_group::OrdererOrganization;

/// One replica of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consenter {
    /// Its number in the channel, from the mapping (BFT) or its position counted from 1 (etcdraft).
    pub id: u32,
    /// Host of its address for other replicas.
    pub host: String,
    /// Port of its address for other replicas.
    pub port: u16,
    /// Its organization's MSP; on etcdraft the one whose TLS authorities issued its server certificate, if there is
    /// one.
    pub msp_id: Option<String>,
    /// Its signing identity, only on type BFT.
    pub identity: Option<ConsenterIdentity>,
    /// Its TLS certificate when it connects.
    pub client_tls_cert: Certificate,
    /// Its TLS certificate when it is connected to.
    pub server_tls_cert: Certificate,
}

/// The identity by which a consenter signs blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsenterIdentity {
    /// The certificate.
    pub certificate: Certificate,
    /// The bytes of the configuration, which the BlockValidation policy repeats.
    pub pem: Bytes,
}

/// Why a consenter set is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConsentersError {
    /// Nobody orders.
    #[error("there are no consenters")]
    Empty,
    /// Too many.
    #[error("{0} consenters are more than {CONSENTERS_MAX}")]
    TooMany(usize),
    /// Ids start at 1.
    #[error("consenter at {address}: id 0 is not allowed")]
    ZeroId {
        /// `host:port`.
        address: String,
    },
    /// Two consenters with one id.
    #[error("id {id} is used twice, by {first} and {second}")]
    RepeatedId {
        /// The id.
        id: u32,
        /// `host:port` of the first.
        first: String,
        /// `host:port` of the second.
        second: String,
    },
    /// A port outside of 1 to 65535.
    #[error("consenter {id}: port {port} is not a TCP port")]
    Port {
        /// The consenter.
        id: u32,
        /// As configured.
        port: u32,
    },
    /// No host.
    #[error("consenter {id}: the host is empty")]
    NoHost {
        /// The consenter.
        id: u32,
    },
    /// An MSP that the channel does not have.
    #[error("consenter {id}: MSP {msp_id:?} is not defined on the channel")]
    UnknownMsp {
        /// The consenter.
        id: u32,
        /// As configured.
        msp_id: String,
    },
    /// A certificate.
    #[error("consenter {id}: {what}: {why}")]
    Certificate {
        /// The consenter.
        id: u32,
        /// Which certificate.
        what: &'static str,
        /// What is wrong with it.
        why: CertificateError,
    },
}

impl Consenter {
    /// The key by which other replicas recognise this one: of its identity (BFT) or of its server TLS certificate
    /// (etcdraft), as `SubjectPublicKeyInfo` in DER.
    #[must_use]
    pub fn pinned_key(&self) -> &Bytes {
        match &self.identity {
            Some(identity) => identity.certificate.spki_der(),
            None => self.server_tls_cert.spki_der(),
        }
    }

    /// `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// Reads the mapping of type BFT.
pub(crate) fn read_mapping(mapping: &Orderers, msps: &Msps) -> Result<Vec<Consenter>, ConsentersError> {
    check_count(mapping.consenter_mapping.len())?;
    let mut by_id: BTreeMap<u32, Consenter> = BTreeMap::new();
    for entry in &mapping.consenter_mapping {
        let consenter = read_mapping_entry(entry, msps)?;
        let second = consenter.address();
        if let Some(first) = by_id.insert(entry.id, consenter) {
            return Err(ConsentersError::RepeatedId { id: entry.id, first: first.address(), second });
        }
    }
    Ok(by_id.into_values().collect())
}

/// Reads the metadata of type etcdraft.
pub(crate) fn read_raft(
    metadata: &ConfigMetadata,
    organizations: &BTreeMap<String, OrdererOrganization>,
    msps: &Msps,
) -> Result<Vec<Consenter>, ConsentersError> {
    check_count(metadata.consenters.len())?;
    let ids = 1u32..;
    ids.zip(&metadata.consenters).map(|(id, entry)| read_raft_entry(id, entry, organizations, msps)).collect()
}

fn check_count(count: usize) -> Result<(), ConsentersError> {
    match count {
        0 => Err(ConsentersError::Empty),
        1..=CONSENTERS_MAX => Ok(()),
        _ => Err(ConsentersError::TooMany(count)),
    }
}

fn read_mapping_entry(entry: &MappingEntry, msps: &Msps) -> Result<Consenter, ConsentersError> {
    let id = entry.id;
    if id == 0 {
        let address = format!("{}:{}", entry.host, entry.port);
        return Err(ConsentersError::ZeroId { address });
    }
    if msps.msp(&entry.msp_id).is_none() {
        return Err(ConsentersError::UnknownMsp { id, msp_id: entry.msp_id.clone() });
    }
    let certificate = read_certificate(id, "identity", &entry.identity)?;
    Ok(Consenter {
        id,
        host: read_host(id, &entry.host)?,
        port: read_port(id, entry.port)?,
        msp_id: Some(entry.msp_id.clone()),
        identity: Some(ConsenterIdentity { certificate, pem: entry.identity.clone() }),
        client_tls_cert: read_certificate(id, "client TLS certificate", &entry.client_tls_cert)?,
        server_tls_cert: read_certificate(id, "server TLS certificate", &entry.server_tls_cert)?,
    })
}

fn read_raft_entry(
    id: u32,
    entry: &RaftEntry,
    organizations: &BTreeMap<String, OrdererOrganization>,
    msps: &Msps,
) -> Result<Consenter, ConsentersError> {
    let server_tls_cert = read_certificate(id, "server TLS certificate", &entry.server_tls_cert)?;
    let issuer = organizations
        .values()
        .find(|organization| msps.msp(&organization.msp_id).is_some_and(|msp| msp.has_issued_tls(&server_tls_cert)));
    Ok(Consenter {
        id,
        host: read_host(id, &entry.host)?,
        port: read_port(id, entry.port)?,
        msp_id: issuer.map(|organization| organization.msp_id.clone()),
        identity: None,
        client_tls_cert: read_certificate(id, "client TLS certificate", &entry.client_tls_cert)?,
        server_tls_cert,
    })
}

fn read_host(id: u32, host: &str) -> Result<String, ConsentersError> {
    if host.is_empty() {
        return Err(ConsentersError::NoHost { id });
    }
    Ok(host.to_owned())
}

fn read_port(id: u32, port: u32) -> Result<u16, ConsentersError> {
    u16::try_from(port).ok().filter(|port| *port > 0).ok_or(ConsentersError::Port { id, port })
}

fn read_certificate(id: u32, what: &'static str, pem: &[u8]) -> Result<Certificate, ConsentersError> {
    Certificate::from_pem(pem).map_err(|why| ConsentersError::Certificate { id, what, why })
}
