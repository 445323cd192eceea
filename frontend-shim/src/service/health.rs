//! `grpc.health.v1.Health/Check`: every service of ours is serving as long as somebody answers.

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use prost::Message;
use tonic::Status;

/// Answers the first message of a call. Items are whole gRPC messages.
pub(super) fn answer<R>(requests: R) -> impl Stream<Item = Result<Bytes, Status>> + Send
where
    R: Stream<Item = Result<Bytes, Status>> + Send + Unpin + 'static,
{
    stream::once(async move {
        let mut requests = requests;
        let request = requests.next().await.ok_or_else(|| Status::internal("no request message"))??;
        let request = CheckRequest::decode(request).map_err(|error| Status::internal(error.to_string()))?;
        if !KNOWN.contains(&request.service.as_str()) {
            return Err(Status::not_found("unknown service"));
        }
        Ok(super::frame(SERVING))
    })
}

/// `HealthCheckRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct CheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// What may be asked for; nothing means the whole server.
const KNOWN: [&str; 3] = ["", "orderer.AtomicBroadcast", "grpc.health.v1.Health"];
/// `HealthCheckResponse{status: SERVING}`.
const SERVING: &[u8] = &[0x08, 0x01];
