//! One Broadcast stream: envelopes in, one answer for each, in order (contract §1.3).
//!
//! Envelopes are submitted as they arrive, so many may be under way at once; answers wait for those before them. When
//! the bound on waiting answers is reached, or when the client does not read its answers, the stream is not read any
//! more. The first answer other than SUCCESS ends the stream: nothing is read after a refused envelope, but envelopes
//! that were submitted before the failure of an earlier one became known may still be ordered. So an envelope without
//! an answer is in an unknown state, as it is whenever a connection breaks.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use fabric_proto::ChannelId;
use fabric_proto::common::Status;
use fabric_proto::orderer::BroadcastResponse;
use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, Stream, StreamExt};
use prost::Message;

use crate::admission::{Admitted, Refusal, admit};
use crate::channels::Channels;
use crate::limits::BROADCAST_OUTSTANDING_MAX;
use crate::status::Counters;

/// The way of an admitted envelope into the cluster.
pub trait Submit: Send + Sync {
    /// Submits a canonical envelope of `channel`. The future is done when enough nodes hold it durably that it cannot
    /// be lost, or when that failed. Must not block; what happens to the envelope may not depend on the future being
    /// polled to its end.
    fn submit(&self, channel: &ChannelId, envelope: Bytes) -> BoxFuture<'static, Result<(), SubmitError>>;
}

/// Why an envelope was not taken, or is not known to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Too much is waiting here or at the nodes.
    #[error("the ordering service is overloaded, try again later")]
    Overloaded,
    /// Not connected to enough nodes that order this channel.
    #[error("not connected to enough nodes of this channel")]
    NotOpen,
    /// Nobody knows in time; the envelope may still be ordered.
    #[error("the ordering service did not confirm the message in time")]
    TimedOut,
    /// This process is shutting down.
    #[error("the ordering service is shutting down")]
    Closed,
    /// The envelope itself is at fault, with the reason for the client.
    #[error("{0}")]
    Refused(String),
}

impl SubmitError {
    /// The status that tells a client what to do: 503 to try another orderer, 400 to give up.
    #[must_use]
    pub const fn status(&self) -> Status {
        match self {
            Self::Refused(_) => Status::BadRequest,
            Self::Overloaded | Self::NotOpen | Self::TimedOut | Self::Closed => Status::ServiceUnavailable,
        }
    }
}

/// The parts of the process that a Broadcast stream works with.
#[derive(Clone)]
pub struct BroadcastDesk {
    /// Where envelopes may go.
    pub channels: Channels,
    /// How they get there.
    pub submit: Arc<dyn Submit>,
    /// What is counted.
    pub counters: Arc<Counters>,
}

impl BroadcastDesk {
    /// Answers the envelopes of one stream. Items are encoded `BroadcastResponse`s; an error is passed on from the
    /// client's side.
    pub fn answer<R, E>(&self, envelopes: R) -> Answers<R, E>
    where
        R: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        Answers {
            desk: self.clone(),
            envelopes: Some(envelopes),
            waiting: FuturesOrdered::new(),
            broken: VecDeque::new(),
        }
    }

    fn take(&self, bytes: Bytes) -> Result<BoxFuture<'static, Result<(), SubmitError>>, Refusal> {
        let Admitted { channel, envelope } = admit(&self.channels, bytes)?;
        Ok(self.submit.submit(channel.id(), envelope))
    }
}

/// The answers of one Broadcast stream.
pub struct Answers<R, E> {
    desk: BroadcastDesk,
    /// `None` once nothing more is read.
    envelopes: Option<R>,
    waiting: FuturesOrdered<BoxFuture<'static, Result<(), Refusal>>>,
    /// How the client's side broke; said after the last answer.
    broken: VecDeque<E>,
}

impl<R, E> Answers<R, E>
where
    R: Stream<Item = Result<Bytes, E>> + Unpin,
{
    /// Reads as many envelopes as are there and as the bound allows.
    fn read(&mut self, cx: &mut Context<'_>) {
        while self.waiting.len() < BROADCAST_OUTSTANDING_MAX {
            let Some(envelopes) = &mut self.envelopes else {
                return;
            };
            match envelopes.poll_next_unpin(cx) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(bytes))) => self.on_envelope(bytes),
                Poll::Ready(Some(Err(error))) => {
                    self.broken.push_back(error);
                    self.envelopes = None;
                }
                Poll::Ready(None) => self.envelopes = None,
            }
        }
    }

    fn on_envelope(&mut self, bytes: Bytes) {
        match self.desk.take(bytes) {
            Ok(submitted) => self.waiting.push_back(Box::pin(async move {
                submitted.await.map_err(|error| Refusal::new(error.status(), error.to_string()))
            })),
            Err(refusal) => {
                // Its answer will end the stream, so nothing behind it may be ordered.
                self.envelopes = None;
                self.waiting.push_back(Box::pin(std::future::ready(Err(refusal))));
            }
        }
    }

    fn on_answer(&mut self, result: Result<(), Refusal>) -> Bytes {
        let (status, info) = match result {
            Ok(()) => (Status::Success, String::new()),
            Err(refusal) => {
                self.envelopes = None;
                self.waiting = FuturesOrdered::new();
                self.broken.clear();
                (refusal.status, refusal.info)
            }
        };
        self.desk.counters.on_broadcast_answered(status);
        if status == Status::Success {
            return Bytes::from_static(SUCCESS);
        }
        BroadcastResponse { status: status.into(), info }.encode_to_vec().into()
    }
}

impl<R, E> Stream for Answers<R, E>
where
    R: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Unpin,
{
    type Item = Result<Bytes, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        this.read(cx);
        match this.waiting.poll_next_unpin(cx) {
            Poll::Ready(Some(result)) => Poll::Ready(Some(Ok(this.on_answer(result)))),
            // Nothing waits: either the client may still send, or it is done.
            Poll::Ready(None) if this.envelopes.is_some() => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(this.broken.pop_front().map(Err)),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// `BroadcastResponse{status: SUCCESS}`.
const SUCCESS: &[u8] = &[0x08, 0xc8, 0x01];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_answer_is_what_the_generated_code_writes() {
        let usual = BroadcastResponse { status: Status::Success.into(), info: String::new() };
        assert_eq!(SUCCESS, usual.encode_to_vec());
    }

    #[test]
    fn only_what_the_client_did_wrong_is_a_client_error() {
        for error in [SubmitError::Overloaded, SubmitError::NotOpen, SubmitError::TimedOut, SubmitError::Closed] {
            assert_eq!(error.status(), Status::ServiceUnavailable);
        }
        assert_eq!(SubmitError::Refused("no".into()).status(), Status::BadRequest);
    }
}
