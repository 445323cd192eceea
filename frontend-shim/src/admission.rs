//! Whether an envelope may be ordered: the one table of contract §1.3 and §2.1, for one envelope at a time.
//!
//! The order of the checks and the texts are those of Fabric v3, since tools match on them. Not yet checked: the
//! Writers policy and the expiry of the creator's certificate; an envelope that nobody signed is refused all the
//! same, because a peer would refuse the whole block. Config updates are not taken yet. An empty envelope is one
//! without a header, as in Fabric.

use std::sync::Arc;

use bytes::Bytes;
use fabric_channel::ConsensusState;
use fabric_proto::common::{HeaderType, Status};
use fabric_proto::{Envelope, EnvelopeError, canonical};

use crate::channels::{Channel, ChannelState, Channels};

/// An envelope that may be ordered.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Where it belongs.
    pub channel: Arc<Channel>,
    /// Its canonical form: the received bytes, unless those were spelled otherwise.
    pub envelope: Bytes,
}

/// What the client is told instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Never SUCCESS.
    pub status: Status,
    /// The text for `info`.
    pub info: String,
}

impl Refusal {
    /// A refusal with this text.
    pub fn new(status: Status, info: impl Into<String>) -> Self {
        Self { status, info: info.into() }
    }
}

/// Judges the bytes of an envelope.
///
/// # Errors
/// The answer for the client, if the envelope is not taken.
pub fn admit(channels: &Channels, bytes: Bytes) -> Result<Admitted, Refusal> {
    let envelope = Envelope::decode(bytes).map_err(reject_unreadable)?;
    let channel = channels
        .find(envelope.channel_id())
        .ok_or_else(|| Refusal::new(Status::BadRequest, "channel does not exist"))?;
    check_type(&envelope)?;
    check_maintenance(&channel)?;
    check_size(&envelope, &channel)?;
    check_signed(&envelope)?;
    check_ready(&channel)?;
    let envelope = canonical::canonicalize(envelope.bytes().clone())
        .map_err(|error| Refusal::new(Status::BadRequest, error.to_string()))?;
    Ok(Admitted { channel, envelope })
}

fn reject_unreadable(error: EnvelopeError) -> Refusal {
    Refusal::new(Status::BadRequest, format!("could not determine channel ID: {error}"))
}

fn check_type(envelope: &Envelope) -> Result<(), Refusal> {
    let info = match HeaderType::try_from(envelope.header_type()) {
        Ok(HeaderType::Config) => "message is of type that cannot be processed directly",
        Ok(HeaderType::OrdererTransaction) => "message is of type that is no longer supported",
        Ok(HeaderType::ConfigUpdate) => "config updates are not supported by this version of the ordering service yet",
        // Every other number is a normal message.
        _ => return Ok(()),
    };
    Err(Refusal::new(Status::BadRequest, info))
}

fn check_maintenance(channel: &Channel) -> Result<(), Refusal> {
    match channel.config().state() {
        ConsensusState::Normal => Ok(()),
        ConsensusState::Maintenance => {
            Err(Refusal::new(Status::ServiceUnavailable, "normal transactions are rejected: maintenance mode"))
        }
    }
}

fn check_size(envelope: &Envelope, channel: &Channel) -> Result<(), Refusal> {
    let size = envelope.size();
    let size_max = channel.config().batch_size().absolute_max_bytes;
    if size as u64 <= u64::from(size_max) {
        return Ok(());
    }
    let info = format!("message payload is {size} bytes and exceeds maximum allowed {size_max} bytes");
    Err(Refusal::new(Status::BadRequest, info))
}

fn check_signed(envelope: &Envelope) -> Result<(), Refusal> {
    match envelope.signature_header() {
        Err(EnvelopeError::MalformedSignatureHeader(error)) => {
            let info =
                format!("could not convert message to signedData: GetSignatureHeaderFromBytes failed, err {error}");
            Err(Refusal::new(Status::BadRequest, info))
        }
        Ok(header) if !header.creator.is_empty() && !envelope.signature().is_empty() => Ok(()),
        _ => Err(Refusal::new(Status::Forbidden, NOT_A_WRITER)),
    }
}

fn check_ready(channel: &Channel) -> Result<(), Refusal> {
    if channel.state() == ChannelState::Open {
        return Ok(());
    }
    let info = format!("channel {} does not take envelopes now: not connected to enough nodes", channel.id());
    Err(Refusal::new(Status::ServiceUnavailable, info))
}

/// What Fabric says to a submitter that satisfies no organization's Writers policy.
const NOT_A_WRITER: &str = "implicit policy evaluation failed - 0 sub-policies were satisfied, \
    but this policy requires 1 of the 'Writers' sub-policies to be satisfied: permission denied";
