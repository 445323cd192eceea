//! One Deliver request: what is checked before a position is looked at, in the order of contract §1.4.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use fabric_proto::common::{ChannelHeader, Status};
use fabric_proto::orderer::SeekInfo;
use fabric_proto::orderer::seek_info::SeekErrorResponse;
use fabric_proto::{Envelope, EnvelopeError};
use prost::Message;
use sha2::{Digest as _, Sha256};

use super::access::AccessReject;
use crate::authentication::Timing;
use crate::channels::{Channel, Channels};
use crate::limits::DELIVER_REQUEST_BYTES_MAX;
use crate::service::ThrottledAs;

/// What is known of the connection a request came over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConnection {
    /// Where the client is, for log lines.
    pub address: String,
    /// How its requests are tied to its TLS certificate.
    pub binding: TlsBinding,
    /// Whom its envelopes count for where clients are slowed down; nobody without a certificate that was verified.
    pub throttled_as: Option<ThrottledAs>,
}

impl ClientConnection {
    /// A connection whose requests need no binding.
    #[must_use]
    pub fn unbound(address: impl Into<String>) -> Self {
        Self { address: address.into(), binding: TlsBinding::NotRequired, throttled_as: None }
    }

    /// A connection over TLS at a listener that requires certificates of clients and has verified this one, given in DER.
    #[must_use]
    pub fn over_tls(address: impl Into<String>, certificate: &[u8]) -> Self {
        Self {
            address: address.into(),
            binding: TlsBinding::Required { certificate_hash: Sha256::digest(certificate).into() },
            throttled_as: Some(ThrottledAs::holder_of(certificate)),
        }
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
#[derive(Debug, thiserror::Error)]
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
    #[error("{0} bytes are too many")]
    TooLarge(usize),
    #[error(transparent)]
    Access(#[from] AccessReject),
    #[error("the range begins or ends nowhere: {}", .0.as_str_name())]
    Position(Status),
}

impl RequestReject {
    /// The status that ends the stream.
    pub fn status(&self) -> Status {
        match self {
            Self::UnknownChannel => Status::NotFound,
            Self::Unavailable => Status::ServiceUnavailable,
            Self::Access(reject) => reject.status(),
            Self::Position(status) => *status,
            _ => Status::BadRequest,
        }
    }
}

/// True if the client wants nothing from a channel that is in error; unknown numbers are taken as this.
pub(super) fn is_strict(seek: &SeekInfo) -> bool {
    seek.error_response != i32::from(SeekErrorResponse::BestEffort)
}

/// The first checks: the envelope, its times and bindings, and the channel that it names.
pub(super) fn open(
    request: Bytes,
    channels: &Channels,
    client: &ClientConnection,
    timing: &Timing,
) -> Result<(Envelope, Arc<Channel>), RequestReject> {
    if request.len() > DELIVER_REQUEST_BYTES_MAX {
        return Err(RequestReject::TooLarge(request.len()));
    }
    let envelope = Envelope::decode(request).map_err(RequestReject::Unreadable)?;
    if let Err(error @ EnvelopeError::MalformedSignatureHeader(_)) = envelope.signature_header() {
        return Err(RequestReject::Unreadable(error.clone()));
    }
    check_timestamp(envelope.channel_header(), timing.clock.now(), timing.authentication.time_window)?;
    check_binding(envelope.channel_header(), client.binding)?;
    let channel = channels.find(envelope.channel_id()).ok_or(RequestReject::UnknownChannel)?;
    Ok((envelope, channel))
}

/// The next ones: what is sought, and whether the channel is in a state to serve it.
pub(super) fn seek(envelope: &Envelope, channel: &Channel) -> Result<SeekInfo, RequestReject> {
    let seek = SeekInfo::decode(envelope.data().clone()).map_err(RequestReject::SeekInfo)?;
    if !channel.state().is_served(is_strict(&seek)) {
        return Err(RequestReject::Unavailable);
    }
    Ok(seek)
}

fn check_timestamp(header: &ChannelHeader, now: SystemTime, window: Duration) -> Result<(), RequestReject> {
    let timestamp = header.timestamp.as_ref().ok_or(RequestReject::NoTimestamp)?;
    let theirs = i128::from(timestamp.seconds) * NANOS_PER_SECOND + i128::from(timestamp.nanos);
    let ours = match now.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    };
    if (ours - theirs).unsigned_abs() > window.as_nanos() {
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

const NANOS_PER_SECOND: i128 = 1_000_000_000;
