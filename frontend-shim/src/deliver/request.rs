//! One Deliver request: what is checked before a position is looked at, in the order of contract §1.4.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use fabric_proto::common::{ChannelHeader, Status};
use fabric_proto::msp::SerializedIdentity;
use fabric_proto::orderer::SeekInfo;
use fabric_proto::orderer::seek_info::SeekErrorResponse;
use fabric_proto::{Envelope, EnvelopeError};
use prost::Message;

use crate::channels::{Channel, Channels};
use crate::limits::TIMESTAMP_WINDOW;

/// What is known of the connection a request came over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConnection {
    /// Where the client is, for log lines.
    pub address: String,
    /// How its requests are tied to its TLS certificate.
    pub binding: TlsBinding,
}

impl ClientConnection {
    /// A connection whose requests need no binding.
    #[must_use]
    pub fn unbound(address: impl Into<String>) -> Self {
        Self { address: address.into(), binding: TlsBinding::NotRequired }
    }
}

/// Whether requests must name the client's TLS certificate (contract §1.4: only with mutual TLS).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsBinding {
    /// No TLS, or the listener does not require client certificates.
    NotRequired,
    /// The listener requires client certificates; this is SHA-256 of the DER of the client's.
    Required {
        /// What requests must carry as `tls_cert_hash`.
        certificate_hash: [u8; 32],
    },
}

/// Why a request is not served.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RequestReject {
    #[error("{0}")]
    Unreadable(EnvelopeError),
    #[error("the channel header has no timestamp")]
    NoTimestamp,
    #[error("the timestamp is too far from the clock here")]
    Timestamp,
    #[error("tls_cert_hash is not that of the client's certificate")]
    Binding,
    #[error("unknown channel")]
    UnknownChannel,
    #[error("the seek info does not parse: {0}")]
    SeekInfo(prost::DecodeError),
    #[error("the channel is in error")]
    Unavailable,
    #[error("nobody claims to have signed it")]
    NoIdentity,
}

impl RequestReject {
    /// The status that ends the stream.
    pub fn status(&self) -> Status {
        match self {
            Self::UnknownChannel => Status::NotFound,
            Self::Unavailable => Status::ServiceUnavailable,
            Self::NoIdentity => Status::Forbidden,
            _ => Status::BadRequest,
        }
    }
}

/// A request that may be served.
#[derive(Debug)]
pub(super) struct Request {
    pub channel: Arc<Channel>,
    pub seek: SeekInfo,
}

impl Request {
    /// True if the client wants nothing from a channel that is in error; unknown numbers are taken as this.
    pub fn is_strict(&self) -> bool {
        self.seek.error_response != i32::from(SeekErrorResponse::BestEffort)
    }
}

/// Checks everything about a request but its positions.
pub(super) fn accept(
    request: Bytes,
    channels: &Channels,
    client: &ClientConnection,
    now: SystemTime,
) -> Result<Request, RequestReject> {
    let envelope = Envelope::decode(request).map_err(RequestReject::Unreadable)?;
    if let Err(error @ EnvelopeError::MalformedSignatureHeader(_)) = envelope.signature_header() {
        return Err(RequestReject::Unreadable(error.clone()));
    }
    check_timestamp(envelope.channel_header(), now)?;
    check_binding(envelope.channel_header(), client.binding)?;
    let channel = channels.find(envelope.channel_id()).ok_or(RequestReject::UnknownChannel)?;
    let seek = SeekInfo::decode(envelope.data().clone()).map_err(RequestReject::SeekInfo)?;
    let request = Request { channel, seek };
    if !request.channel.state().is_served(request.is_strict()) {
        return Err(RequestReject::Unavailable);
    }
    check_identity(&envelope)?;
    Ok(request)
}

fn check_timestamp(header: &ChannelHeader, now: SystemTime) -> Result<(), RequestReject> {
    let timestamp = header.timestamp.as_ref().ok_or(RequestReject::NoTimestamp)?;
    let theirs = i128::from(timestamp.seconds) * NANOS_PER_SECOND + i128::from(timestamp.nanos);
    let ours = match now.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    };
    if (ours - theirs).unsigned_abs() > TIMESTAMP_WINDOW.as_nanos() {
        return Err(RequestReject::Timestamp);
    }
    Ok(())
}

fn check_binding(header: &ChannelHeader, binding: TlsBinding) -> Result<(), RequestReject> {
    match binding {
        TlsBinding::Required { certificate_hash } if header.tls_cert_hash != certificate_hash[..] => {
            Err(RequestReject::Binding)
        }
        _ => Ok(()),
    }
}

/// No policy can be satisfied by a request without a signature or without an identity that reads as one.
fn check_identity(envelope: &Envelope) -> Result<(), RequestReject> {
    let header = envelope.signature_header().map_err(|_| RequestReject::NoIdentity)?;
    let identity = SerializedIdentity::decode(header.creator.clone()).map_err(|_| RequestReject::NoIdentity)?;
    if envelope.signature().is_empty() || identity.mspid.is_empty() || identity.id_bytes.is_empty() {
        return Err(RequestReject::NoIdentity);
    }
    Ok(())
}

const NANOS_PER_SECOND: i128 = 1_000_000_000;
