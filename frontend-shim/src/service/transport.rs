//! What the operator may choose about connections and messages of clients: Fabric's `General.MaxRecvMsgSize`, `MaxSendMsgSize`,
//! `ConnectionTimeout` and `Keepalive` (contract §1.2).

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{Stream, StreamExt};
use tonic::Code;

use crate::limits::{KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, MESSAGE_BYTES_MAX, PREFACE_TIMEOUT};

/// Bounds of the connections of clients. The default is Fabric's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportLimits {
    /// Bytes of one message from a client. More than [`MESSAGE_BYTES_MAX`] is of no effect.
    pub receive_bytes_max: usize,
    /// Bytes of one message to a client; one that would be longer ends its stream. No message has more than
    /// [`MESSAGE_BYTES_MAX`] and a little.
    pub send_bytes_max: usize,
    /// How long a new connection may stay silent.
    pub preface_timeout: Duration,
    /// How long a connection may be idle before the client is asked whether it is still there.
    pub keepalive_interval: Duration,
    /// How long the client has to answer that.
    pub keepalive_timeout: Duration,
}

impl Default for TransportLimits {
    fn default() -> Self {
        Self {
            receive_bytes_max: MESSAGE_BYTES_MAX,
            send_bytes_max: MESSAGE_BYTES_MAX,
            preface_timeout: PREFACE_TIMEOUT,
            keepalive_interval: KEEPALIVE_INTERVAL,
            keepalive_timeout: KEEPALIVE_TIMEOUT,
        }
    }
}

impl TransportLimits {
    /// Ends a stream of framed messages at one that is too long to be sent, in the words of Fabric's server.
    pub(super) fn bound_sent<S>(self, messages: S) -> impl Stream<Item = Result<Bytes, tonic::Status>> + Send + use<S>
    where
        S: Stream<Item = Result<Bytes, tonic::Status>> + Send,
    {
        messages.map(move |message| {
            let message = message?;
            let bytes = message.len().saturating_sub(FRAME_HEAD_BYTES);
            if bytes <= self.send_bytes_max {
                return Ok(message);
            }
            let text = format!("trying to send message larger than max ({bytes} vs. {})", self.send_bytes_max);
            Err(tonic::Status::resource_exhausted(text))
        })
    }
}

/// A message that is too long has another code at Fabric's server than where the messages are read here, and clients look at it.
pub(super) fn in_words_of_fabric(status: tonic::Status) -> tonic::Status {
    match status.code() {
        Code::OutOfRange => tonic::Status::resource_exhausted(status.message()),
        _ => status,
    }
}

/// Not compressed, and four bytes of length.
const FRAME_HEAD_BYTES: usize = 5;
