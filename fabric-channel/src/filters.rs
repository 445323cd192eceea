//! Whether an envelope may be taken into a channel: the filters that Fabric applies to every one of them. And who may
//! read.
//!
//! ```text
//! empty      decided earlier: bytes without a payload are no Envelope
//! size       payload and signature against BatchSize.absolute_max_bytes
//! expiry     of the creator's certificate, only if somebody says what time it is
//! Writers    the signature, under /Channel/Writers, or /Channel/Orderer/Writers in maintenance
//! ```
//!
//! The first failure is the answer. A frontend asks at the door with its clock in hand; a replica asks without one,
//! since replicas whose clocks differ must not come to different verdicts. Nothing here looks at the type of the
//! envelope or at its data. Contract §2.1.

use std::fmt;

use fabric_proto::common::SignatureHeader;
use fabric_proto::msp::SerializedIdentity;
use fabric_proto::{Envelope, EnvelopeError};
use prost::Message as _;
use thiserror::Error;

use crate::certificate::Certificate;
use crate::config::{ChannelConfig, ConsensusState};
use crate::msps::SignedData;
use crate::policy::Policy;
use crate::policy_shortfall::Shortfall;

/// Why an envelope is not taken. Texts are those of Fabric's orderer, which clients and tests look for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FilterReject {
    /// Larger than the channel allows.
    #[error("message payload is {size} bytes and exceeds maximum allowed {size_max} bytes")]
    TooLarge {
        /// Bytes of payload and signature.
        size: usize,
        /// What the channel allows.
        size_max: u32,
    },
    /// Who signs does not say so legibly.
    #[error("could not convert message to signedData: GetSignatureHeaderFromBytes failed, err {0}")]
    SignatureHeader(String),
    /// The creator's certificate is out of date.
    #[error("broadcast client identity expired")]
    Expired,
    /// The channel does not say who may write.
    #[error("could not find policy {0}")]
    NoWritersPolicy(&'static str),
    /// The creator may not write: a wrong role, an unknown MSP, a bad or missing signature, all alike.
    #[error("{0}: permission denied")]
    NotAWriter(Unsatisfied),
}

impl FilterReject {
    /// True if the submitter lacks a permission (Fabric's status FORBIDDEN); false if the envelope itself is at fault
    /// (BAD_REQUEST).
    #[must_use]
    pub const fn is_forbidden(&self) -> bool {
        matches!(self, Self::NotAWriter(_))
    }
}

/// Why a policy is not satisfied, in Fabric's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsatisfied(Shortfall);

/// Why somebody is given no blocks. Fabric's orderer answers FORBIDDEN to all of it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReaderReject {
    /// The channel does not say who may read.
    #[error("could not find policy {0}")]
    NoReadersPolicy(&'static str),
    /// The creator of the request may not read: a wrong role, an unknown MSP, a bad or missing signature, all alike.
    #[error("{0}: permission denied")]
    NotAReader(Unsatisfied),
}

/// Judges who asks for blocks: the signature over the request, under `/Channel/Readers`, or under
/// `/Channel/Orderer/Readers` in maintenance. No clock is looked at; see [`expires_at`]. Contract 1.4.
///
/// # Errors
/// [`ReaderReject`].
pub fn check_reader(config: &ChannelConfig, request: &Envelope) -> Result<(), ReaderReject> {
    let path = if is_in_maintenance(config) { MAINTENANCE_READERS } else { READERS };
    // A header that cannot be read names nobody.
    let creator = request.signature_header().map_or(&[][..], |header| &header.creator);
    let policy = config.bundle().policies().policy(path).ok_or(ReaderReject::NoReadersPolicy(path))?;
    check_signer(config, policy, request, creator).map_err(ReaderReject::NotAReader)
}

/// The end of the creator's certificate, in seconds since 1970. What cannot be read has none; the policy judges it.
#[must_use]
pub fn expires_at(config: &ChannelConfig, creator: &[u8]) -> Option<i64> {
    // The certificate of a known creator is at hand.
    if let Ok(identity) = config.msps().deserialise(creator) {
        return Some(identity.certificate().not_after_unix_s());
    }
    let identity = SerializedIdentity::decode(creator).ok()?;
    Some(Certificate::from_pem(&identity.id_bytes).ok()?.not_after_unix_s())
}

/// Judges an envelope (ordinary, CONFIG_UPDATE or CONFIG) against a configuration by the filters of contract 2.1, in
/// Fabric's order: size, expiry, Writers. `now` is in seconds since 1970; without it no certificate has expired.
///
/// # Errors
/// [`FilterReject`], the first filter that refuses.
pub fn check(config: &ChannelConfig, envelope: &Envelope, now: Option<i64>) -> Result<(), FilterReject> {
    check_size(config, envelope)?;
    let nobody = SignatureHeader::default();
    let signer = match envelope.signature_header() {
        Ok(header) => header,
        // Fabric reads an absent header as one that names nobody.
        Err(EnvelopeError::MalformedSignatureHeader(error)) => {
            return Err(FilterReject::SignatureHeader(error.to_string()));
        }
        Err(_) => &nobody,
    };
    if let Some(now) = now
        && has_expiry(config)
        && expires_at(config, &signer.creator).is_some_and(|end| end <= now)
    {
        return Err(FilterReject::Expired);
    }
    check_writer(config, envelope, &signer.creator)
}

/// True while ordinary envelopes are refused and only orderer organizations may write: the state is maintenance, and
/// the orderers have agreed on knowing it.
#[must_use]
pub fn is_in_maintenance(config: &ChannelConfig) -> bool {
    let knows_it = config.bundle().orderer().is_some_and(|orderer| orderer.capabilities.has_maintenance());
    knows_it && config.state() == ConsensusState::Maintenance
}

/// The size filter alone.
///
/// # Errors
/// [`FilterReject::TooLarge`].
pub fn check_size(config: &ChannelConfig, envelope: &Envelope) -> Result<(), FilterReject> {
    let (size, size_max) = (envelope.size(), config.batch_size().absolute_max_bytes);
    if size as u64 > u64::from(size_max) {
        return Err(FilterReject::TooLarge { size, size_max });
    }
    Ok(())
}

/// From V1_1: expired certificates are refused.
fn has_expiry(config: &ChannelConfig) -> bool {
    let has_any = |names: &[&str]| {
        let orderer = config.bundle().orderer();
        orderer.is_some_and(|orderer| orderer.capabilities.names().any(|name| names.contains(&name)))
    };
    has_any(&["V1_1", "V1_4_2", "V2_0"])
}

fn check_writer(config: &ChannelConfig, envelope: &Envelope, creator: &[u8]) -> Result<(), FilterReject> {
    let path = if is_in_maintenance(config) { MAINTENANCE_WRITERS } else { WRITERS };
    let policy = config.bundle().policies().policy(path).ok_or(FilterReject::NoWritersPolicy(path))?;
    check_signer(config, policy, envelope, creator).map_err(FilterReject::NotAWriter)
}

fn check_signer(
    config: &ChannelConfig,
    policy: &Policy,
    envelope: &Envelope,
    creator: &[u8],
) -> Result<(), Unsatisfied> {
    let signed = SignedData { data: envelope.payload(), identity: creator, signature: envelope.signature() };
    let signers = config.msps().distinct_signers(&[signed]);
    if policy.is_satisfied_by(&signers) {
        return Ok(());
    }
    Err(Unsatisfied(policy.shortfall(&signers)))
}

impl fmt::Display for Unsatisfied {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Shortfall::Rule(_) => formatter.write_str("signature set did not satisfy policy"),
            Shortfall::SubPolicies { sub_policy, needed, satisfied, .. } => write!(
                formatter,
                "implicit policy evaluation failed - {} sub-policies were satisfied, but this policy requires {needed} \
                 of the '{sub_policy}' sub-policies to be satisfied",
                satisfied.len()
            ),
        }
    }
}

const WRITERS: &str = "/Channel/Writers";
const MAINTENANCE_WRITERS: &str = "/Channel/Orderer/Writers";
const READERS: &str = "/Channel/Readers";
const MAINTENANCE_READERS: &str = "/Channel/Orderer/Readers";
