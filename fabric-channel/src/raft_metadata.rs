//! Changes of the metadata of type etcdraft: options, consenters, one consenter at a time.
//!
//! Two of Fabric's rules are not here. That enough of the consenters be running is a matter of the moment, not of
//! the configuration. And a consenter that stays may have an expired certificate of any issuer with Fabric, here its
//! issuer has to be known all the same. Contract §2.6, Appendix C 4.

use std::collections::BTreeSet;

use bytes::Bytes;
use fabric_proto::etcdraft::{ConfigMetadata, Consenter, Options};
use prost::Message as _;
use thiserror::Error;

use crate::certificate::{Certificate, CertificateError};
use crate::chain::{CaTree, ChainError};
use crate::go_duration::{self, DurationError};
use crate::msps::Msps;
use crate::orderer_group::OrdererGroup;

/// Whether a new consenter's certificate may have expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiryCheck {
    /// It may: recomputation has to give the same result at any time, on every replica.
    Skip,
    /// It must be valid now. For the admission of an update, which one frontend decides once.
    At {
        /// Now, in seconds since the Unix epoch.
        now_unix_s: i64,
    },
}

/// Why a channel of type etcdraft cannot get this consensus metadata.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RaftMetadataError {
    /// A type that no orderer stands in for.
    #[error("type {0:?} cannot follow type \"etcdraft\"")]
    Type(String),
    /// Type BFT without endpoints.
    #[error("type BFT needs Endpoints of every orderer organization, {0} has none")]
    NoEndpoints(String),
    /// The present metadata is unusable, so no change can be judged.
    #[error("the present metadata of type etcdraft is empty or does not parse")]
    Present,
    /// The metadata.
    #[error("the metadata does not parse as etcdraft metadata")]
    Malformed,
    /// The options are absent.
    #[error("the options are missing")]
    NoOptions,
    /// A tick or a window of zero.
    #[error("option {0} must not be 0")]
    OptionZero(&'static str),
    /// The election timeout is too short.
    #[error("option election_tick ({election}) must be greater than heartbeat_tick ({heartbeat})")]
    ElectionTick {
        /// Ticks until an election.
        election: u32,
        /// Ticks between heartbeats.
        heartbeat: u32,
    },
    /// The tick is no duration.
    #[error("option tick_interval: {0}")]
    TickInterval(DurationError),
    /// Nobody orders.
    #[error("there are no consenters")]
    NoConsenters,
    /// A certificate does not parse.
    #[error("consenter {address}: its {what} TLS certificate: {why}")]
    Certificate {
        /// `host:port`.
        address: String,
        /// `client` or `server`.
        what: &'static str,
        /// What is wrong with it.
        why: CertificateError,
    },
    /// A certificate of nobody known.
    #[error("consenter {address}: its {what} TLS certificate is not accepted by the orderer organizations: {why}")]
    Issuer {
        /// `host:port`.
        address: String,
        /// `client` or `server`.
        what: &'static str,
        /// What is wrong with it.
        why: ChainError,
    },
    /// A new consenter's certificate is not valid now.
    #[error("consenter {address}: its {what} TLS certificate, or that of its issuer, has expired or is not yet valid")]
    Expired {
        /// `host:port`.
        address: String,
        /// `client` or `server`.
        what: &'static str,
    },
    /// Two consenters with one certificate.
    #[error("consenter {address} has a TLS certificate of another consenter")]
    Duplicate {
        /// `host:port`.
        address: String,
    },
    /// Too much at once.
    #[error(
        "only one consenter can be added, removed or replaced at a time; the update adds {added}, removes {removed}"
    )]
    SeveralChanges {
        /// New consenters.
        added: usize,
        /// Consenters that are gone.
        removed: usize,
    },
}

/// Checks the consensus metadata that is to follow that of a channel of type etcdraft. `msps` are the next ones.
pub(crate) fn check(
    current: &OrdererGroup,
    next: &OrdererGroup,
    msps: &Msps,
    expiry: ExpiryCheck,
) -> Result<(), RaftMetadataError> {
    let metadata = &next.consensus_type.metadata;
    if metadata.is_empty() {
        return Ok(());
    }
    match next.consensus_type.r#type.as_str() {
        "etcdraft" => {}
        "BFT" => return check_endpoints(next),
        other => return Err(RaftMetadataError::Type(other.to_owned())),
    }
    let old = decode_present(&current.consensus_type.metadata)?;
    let new = ConfigMetadata::decode(metadata.clone()).map_err(|_| RaftMetadataError::Malformed)?;
    check_options(new.options.as_ref())?;
    if new.consenters.is_empty() {
        return Err(RaftMetadataError::NoConsenters);
    }
    let authorities = tls_authorities(next, msps);
    new.consenters.iter().try_for_each(|consenter| check_certificates(consenter, &authorities, None))?;
    check_duplicates(&new.consenters)?;
    let added = changes(&old.consenters, &new.consenters)?;
    match (expiry, added) {
        (ExpiryCheck::At { now_unix_s }, Some(added)) => check_certificates(added, &authorities, Some(now_unix_s)),
        _ => Ok(()),
    }
}

fn check_endpoints(next: &OrdererGroup) -> Result<(), RaftMetadataError> {
    let silent = next.organizations.iter().find(|(_, organization)| organization.endpoints.is_empty());
    silent.map_or(Ok(()), |(name, _)| Err(RaftMetadataError::NoEndpoints(name.clone())))
}

fn decode_present(metadata: &Bytes) -> Result<ConfigMetadata, RaftMetadataError> {
    if metadata.is_empty() {
        return Err(RaftMetadataError::Present);
    }
    ConfigMetadata::decode(metadata.clone()).map_err(|_| RaftMetadataError::Present)
}

fn check_options(options: Option<&Options>) -> Result<(), RaftMetadataError> {
    let options = options.ok_or(RaftMetadataError::NoOptions)?;
    for (value, name) in [
        (options.heartbeat_tick, "heartbeat_tick"),
        (options.election_tick, "election_tick"),
        (options.max_inflight_blocks, "max_inflight_blocks"),
    ] {
        if value == 0 {
            return Err(RaftMetadataError::OptionZero(name));
        }
    }
    let (election, heartbeat) = (options.election_tick, options.heartbeat_tick);
    if election <= heartbeat {
        return Err(RaftMetadataError::ElectionTick { election, heartbeat });
    }
    // A negative interval passes, as in Fabric; what an orderer makes of it is judged elsewhere.
    let magnitude = options.tick_interval.strip_prefix('-').filter(|rest| !rest.starts_with(['+', '-']));
    go_duration::parse_positive(magnitude.unwrap_or(&options.tick_interval))
        .map_err(RaftMetadataError::TickInterval)?;
    Ok(())
}

/// The TLS authorities of all orderer organizations together.
fn tls_authorities(orderer: &OrdererGroup, msps: &Msps) -> CaTree {
    let organizations = orderer.organizations.values().filter_map(|organization| msps.msp(&organization.msp_id));
    let (mut roots, mut intermediates) = (Vec::new(), Vec::new());
    for msp in organizations {
        roots.extend_from_slice(msp.tls_roots());
        intermediates.extend_from_slice(msp.tls_intermediates());
    }
    CaTree::new(roots, intermediates)
}

fn check_certificates(
    consenter: &Consenter,
    authorities: &CaTree,
    now_unix_s: Option<i64>,
) -> Result<(), RaftMetadataError> {
    for (pem, what) in [(&consenter.client_tls_cert, "client"), (&consenter.server_tls_cert, "server")] {
        let certificate = Certificate::from_pem(pem).map_err(|why| {
            let address = address(consenter);
            RaftMetadataError::Certificate { address, what, why }
        })?;
        authorities.check_tls(&certificate, now_unix_s).map_err(|why| {
            let address = address(consenter);
            match why {
                ChainError::OutsideOfValidity => RaftMetadataError::Expired { address, what },
                why => RaftMetadataError::Issuer { address, what, why },
            }
        })?;
    }
    Ok(())
}

/// No certificate, client or server, stands in two consenters.
fn check_duplicates(consenters: &[Consenter]) -> Result<(), RaftMetadataError> {
    let mut seen: BTreeSet<&Bytes> = BTreeSet::new();
    for consenter in consenters {
        let certificates = [&consenter.server_tls_cert, &consenter.client_tls_cert];
        if certificates.iter().any(|certificate| seen.contains(certificate)) {
            return Err(RaftMetadataError::Duplicate { address: address(consenter) });
        }
        seen.extend(certificates);
    }
    Ok(())
}

/// The added consenter, if there is one. Consenters are known by their client certificates; one that goes while
/// another comes is a replacement.
fn changes<'a>(old: &[Consenter], new: &'a [Consenter]) -> Result<Option<&'a Consenter>, RaftMetadataError> {
    let is_in = |consenters: &[Consenter], wanted: &Consenter| {
        consenters.iter().any(|consenter| consenter.client_tls_cert == wanted.client_tls_cert)
    };
    let mut added = new.iter().filter(|consenter| !is_in(old, consenter));
    let first = added.next();
    let added = usize::from(first.is_some()) + added.count();
    let removed = old.iter().filter(|consenter| !is_in(new, consenter)).count();
    if added > 1 || removed > 1 {
        return Err(RaftMetadataError::SeveralChanges { added, removed });
    }
    Ok(first)
}

fn address(consenter: &Consenter) -> String {
    format!("{}:{}", consenter.host, consenter.port)
}
