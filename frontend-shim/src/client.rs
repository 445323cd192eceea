//! A client of the gRPC surface, on encoded messages: for our own tools and tests.
//!
//! The counterpart of [`crate::service`]. It neither signs nor verifies.

use bytes::{Buf, BufMut, Bytes};
use fabric_proto::orderer::{BroadcastResponse, DeliverResponse};
use futures::stream::Stream;
use hyper::http::uri::PathAndQuery;
use prost::Message;
use tonic::client::Grpc;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

use crate::limits::MESSAGE_BYTES_MAX;
use crate::service::{BROADCAST_PATH, DELIVER_PATH, HEALTH_CHECK_PATH};

/// A client over a connection. Clones share it.
#[derive(Clone, Debug)]
pub struct AtomicBroadcastClient {
    grpc: Grpc<Channel>,
}

impl From<Channel> for AtomicBroadcastClient {
    fn from(channel: Channel) -> Self {
        Self::new(channel)
    }
}

impl AtomicBroadcastClient {
    /// A client over this connection.
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        let grpc = Grpc::new(channel);
        let grpc = grpc.max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX);
        Self { grpc }
    }

    /// Opens a Broadcast stream: encoded envelopes out, encoded [`BroadcastResponse`]s in.
    ///
    /// # Errors
    /// The gRPC status.
    pub async fn broadcast(
        &mut self,
        envelopes: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<Streaming<Bytes>, Status> {
        self.stream(BROADCAST_PATH, envelopes).await
    }

    /// Opens a Deliver stream: encoded request envelopes out, encoded [`DeliverResponse`]s in.
    ///
    /// # Errors
    /// The gRPC status.
    pub async fn deliver(
        &mut self,
        requests: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<Streaming<Bytes>, Status> {
        self.stream(DELIVER_PATH, requests).await
    }

    /// Asks for the health of a service with an encoded `HealthCheckRequest`; the answer is encoded too.
    ///
    /// # Errors
    /// The gRPC status.
    pub async fn check_health(&mut self, request: Bytes) -> Result<Bytes, Status> {
        self.ready().await?;
        let path = PathAndQuery::from_static(HEALTH_CHECK_PATH);
        Ok(self.grpc.unary(Request::new(request), path, RawCodec).await?.into_inner())
    }

    async fn stream(
        &mut self,
        path: &'static str,
        messages: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<Streaming<Bytes>, Status> {
        self.ready().await?;
        let path = PathAndQuery::from_static(path);
        Ok(self.grpc.streaming(Request::new(messages), path, RawCodec).await?.into_inner())
    }

    async fn ready(&mut self) -> Result<(), Status> {
        self.grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))
    }
}

/// Decodes one item of [`AtomicBroadcastClient::broadcast`].
///
/// # Errors
/// If it is no such message.
pub fn broadcast_response(message: Bytes) -> Result<BroadcastResponse, prost::DecodeError> {
    BroadcastResponse::decode(message)
}

/// Decodes one item of [`AtomicBroadcastClient::deliver`]; a block in it shares the buffer.
///
/// # Errors
/// If it is no such message.
pub fn deliver_response(message: Bytes) -> Result<DeliverResponse, prost::DecodeError> {
    DeliverResponse::decode(message)
}

/// Messages as their bytes.
#[derive(Clone, Copy, Debug, Default)]
struct RawCodec;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = RawEncoder;
    type Decoder = RawDecoder;

    fn encoder(&mut self) -> RawEncoder {
        RawEncoder
    }

    fn decoder(&mut self) -> RawDecoder {
        RawDecoder
    }
}

/// Writes a message that is encoded already.
#[derive(Clone, Copy, Debug, Default)]
struct RawEncoder;

impl Encoder for RawEncoder {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(message);
        Ok(())
    }
}

/// Takes a message as it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RawDecoder;

impl Decoder for RawDecoder {
    type Item = Bytes;
    type Error = Status;

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(FIRST_BUFFER_BYTES, YIELD_BYTES)
    }

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let len = buffer.remaining();
        if len > COPIED_BYTES_MAX {
            return Ok(Some(buffer.copy_to_bytes(len)));
        }
        // A small message must not keep the whole receive buffer alive while it waits to be ordered.
        let mut copy = vec![0; len];
        buffer.copy_to_slice(&mut copy);
        Ok(Some(copy.into()))
    }
}

/// What a stream allocates before anything arrives: there are many streams, and most receive little.
const FIRST_BUFFER_BYTES: usize = 256;
/// Encoded bytes after which the codec yields; tonic's own choice.
const YIELD_BYTES: usize = 32 * 1024;
/// Messages up to this size are copied out of the receive buffer.
const COPIED_BYTES_MAX: usize = 64 * 1024;
