//! Fabric's gRPC surface: `orderer.AtomicBroadcast` and `grpc.health.v1.Health` over any byte stream (contract §1.1,
//! §1.2).
//!
//! Requests are decoded by tonic into the bytes of their messages and no further, so an envelope keeps the bytes its
//! client signed. Answers are framed here and not by a codec: a codec copies every message into a buffer of its
//! stream, while a block must leave as the one buffer that all streams share. Connections are served by hyper with
//! limits of our own: very many streams, windows for large envelopes, no penalty for cancelled streams or frequent
//! pings.

mod connection;
mod health;
mod throttle;
mod transport;

use std::convert::Infallible;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use fabric_proto::common::Status;
use fabric_proto::orderer::BroadcastResponse;
use futures::stream::{Stream, StreamExt};
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, StatusCode};
use prost::Message as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;
use tonic::codec::Streaming;

use crate::admission::Signer;
use crate::authentication::{Authentication, Clock};
use crate::broadcast::{BroadcastDesk, Submit};
use crate::channels::Channels;
use crate::client::RawDecoder;
use crate::deliver::{ClientConnection, DeliverDesk};
use crate::limits::{CONNECTIONS_MAX, MESSAGE_BYTES_MAX, STREAMS_MAX};
use crate::stages::Stage;
use crate::status::Counters;

use self::throttle::Throttle;
pub use self::throttle::{ThrottledAs, Throttling};
pub use self::transport::TransportLimits;

/// The gRPC services of a process; clones share everything.
#[derive(Clone)]
pub struct Service {
    broadcast: BroadcastDesk,
    deliver: DeliverDesk,
    counters: Arc<Counters>,
    /// One permit for each connection that may be served at a time.
    places: Arc<Semaphore>,
    /// One permit for each stream.
    streams: Arc<Semaphore>,
    transport: TransportLimits,
    throttle: Option<Arc<Throttle>>,
}

/// How much a process serves at a time.
#[derive(Clone, Copy, Debug)]
pub struct ServiceLimits {
    /// Connections of clients.
    pub connections_max: usize,
    /// Streams and calls on all of them.
    pub streams_max: usize,
}

impl Default for ServiceLimits {
    fn default() -> Self {
        Self { connections_max: CONNECTIONS_MAX, streams_max: STREAMS_MAX }
    }
}

impl Service {
    /// Services over these channels, whose envelopes go out by `submit`. Configuration updates are not taken; see
    /// [`Service::signing_with`].
    #[must_use]
    pub fn new(channels: Channels, submit: Arc<dyn Submit>, counters: Arc<Counters>) -> Self {
        Self::with_limits(channels, submit, counters, ServiceLimits::default())
    }

    /// As [`Service::new`], with bounds other than the usual ones.
    #[must_use]
    pub fn with_limits(
        channels: Channels,
        submit: Arc<dyn Submit>,
        counters: Arc<Counters>,
        limits: ServiceLimits,
    ) -> Self {
        let broadcast = BroadcastDesk::new(channels.clone(), submit, Arc::clone(&counters));
        Self {
            deliver: DeliverDesk::new(channels, Arc::clone(&counters), broadcast.pool().clone()),
            broadcast,
            counters,
            places: Arc::new(Semaphore::new(limits.connections_max)),
            streams: Arc::new(Semaphore::new(limits.streams_max)),
            transport: TransportLimits::default(),
            throttle: None,
        }
    }

    /// Takes configuration updates too, whose results this MSP identity signs. It has to be one that may write to the
    /// channels.
    #[must_use]
    pub fn signing_with(mut self, signer: Signer) -> Self {
        self.broadcast = self.broadcast.signing_with(signer);
        self
    }

    /// Judges clients by these rules, Fabric's `General.Authentication`.
    #[must_use]
    pub fn authenticating(mut self, authentication: Authentication) -> Self {
        self.broadcast = self.broadcast.authenticating(authentication);
        self.deliver = self.deliver.authenticating(authentication);
        self
    }

    /// Bounds messages and connections in this way.
    #[must_use]
    pub const fn with_transport(mut self, transport: TransportLimits) -> Self {
        self.transport = transport;
        self
    }

    /// Lets clients with a certificate send no faster than this. Their connections say who they are, see
    /// [`ClientConnection::over_tls`].
    #[must_use]
    pub fn throttling(mut self, throttling: Throttling) -> Self {
        self.throttle = Some(Arc::new(Throttle::new(throttling)));
        self
    }

    /// Goes by another clock than the system's.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.broadcast = self.broadcast.with_clock(clock.clone());
        self.deliver = self.deliver.with_clock(clock);
        self
    }

    /// Answers one envelope as if it had come on a Broadcast stream of its own.
    pub async fn broadcast(&self, envelope: Bytes) -> BroadcastResponse {
        let envelopes = futures::stream::iter([Ok::<_, Infallible>(envelope)]);
        let answer = self.broadcast.answer(envelopes).next().await;
        let response = answer.and_then(Result::ok).and_then(|encoded| BroadcastResponse::decode(encoded).ok());
        // The desk answers every envelope; a stopped runtime is what could keep it from that.
        response.unwrap_or_else(|| BroadcastResponse {
            status: Status::ServiceUnavailable.into(),
            info: "this node is stopping".to_owned(),
        })
    }

    async fn answer(self, request: hyper::Request<Incoming>, client: ClientConnection) -> Result<Response, Infallible> {
        if !is_grpc(&request) {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Ok(response);
        }
        let Ok(permit) = self.streams.try_acquire_owned() else {
            return Ok(tonic::Status::unavailable("too many streams are open").into_http());
        };
        let (parts, body) = request.into_parts();
        let bytes_max = self.transport.receive_bytes_max.min(MESSAGE_BYTES_MAX);
        let messages = Streaming::new_request(RawDecoder, body, None, Some(bytes_max));
        let messages = messages.map(|message| message.map_err(transport::in_words_of_fabric));
        Ok(match parts.uri.path() {
            BROADCAST_PATH => match self.throttle.zip(client.throttled_as) {
                Some((throttle, sender)) => {
                    let messages = Box::pin(throttle.slow(messages, sender));
                    let answers = coalesce(self.broadcast.answer(messages));
                    stream_response(Stage::Admission.follow_stream(answers), permit)
                }
                None => {
                    let answers = coalesce(self.broadcast.answer(messages));
                    stream_response(Stage::Admission.follow_stream(answers), permit)
                }
            },
            DELIVER_PATH => {
                let blocks = self.deliver.answer(messages, client);
                stream_response(Stage::Deliver.follow_stream(self.transport.bound_sent(blocks)), permit)
            }
            HEALTH_CHECK_PATH => stream_response(health::answer(messages), permit),
            _ => tonic::Status::unimplemented("unknown service or method").into_http(),
        })
    }
}

/// The gRPC frame around an encoded message: not compressed, four bytes of length.
pub(crate) fn frame(message: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(5 + message.len());
    put_frame(&mut out, message);
    out.freeze()
}

fn put_frame(out: &mut BytesMut, message: &[u8]) {
    out.put_u8(0);
    out.put_u32(message.len() as u32);
    out.put_slice(message);
}

/// Frames small messages, and joins those that are there at the same time into one piece for the connection.
fn coalesce<E>(messages: impl Stream<Item = Result<Bytes, E>>) -> impl Stream<Item = Result<Bytes, E>> {
    messages.ready_chunks(COALESCED_MAX).flat_map(|chunk| {
        let mut joined = BytesMut::new();
        let mut error = None;
        for message in chunk {
            match message {
                Ok(message) => put_frame(&mut joined, &message),
                Err(last) => error = Some(Err(last)),
            }
        }
        let joined = (!joined.is_empty()).then(|| Ok(joined.freeze()));
        futures::stream::iter(joined.into_iter().chain(error))
    })
}

/// A response whose body is framed messages, and whose trailers say how the stream ended. Keeps the permit as long.
fn stream_response(
    messages: impl Stream<Item = Result<Bytes, tonic::Status>> + Send + 'static,
    permit: OwnedSemaphorePermit,
) -> Response {
    let ending = futures::stream::once(async { Err(tonic::Status::ok("")) });
    // The first status ends the stream: an error from inside, or the OK behind everything.
    let frames = messages.chain(ending).scan(false, move |is_over, item| {
        let _held = &permit;
        if *is_over {
            return std::future::ready(None);
        }
        let frame = item.map(Frame::data).or_else(|status| {
            *is_over = true;
            let mut trailers = hyper::HeaderMap::new();
            status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))
        });
        std::future::ready(Some(frame))
    });
    let mut response = Response::new(Body::new(StreamBody::new(frames)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    response
}

fn is_grpc(request: &hyper::Request<Incoming>) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE);
    request.method() == Method::POST && content_type.is_some_and(|value| value.as_bytes().starts_with(GRPC.as_bytes()))
}

type Response = hyper::Response<Body>;

/// Path of Broadcast.
pub const BROADCAST_PATH: &str = "/orderer.AtomicBroadcast/Broadcast";
/// Path of Deliver.
pub const DELIVER_PATH: &str = "/orderer.AtomicBroadcast/Deliver";
/// Path of the health check.
pub const HEALTH_CHECK_PATH: &str = "/grpc.health.v1.Health/Check";
const GRPC: &str = "application/grpc";
/// Answers that leave in one piece.
const COALESCED_MAX: usize = 256;
