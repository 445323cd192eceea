//! One Broadcast stream: envelopes in, one answer for each, in order (contract §1.3).
//!
//! ```text
//! read -> wait for room -> judged by the pool, many at a time -> submitted in their order -> answered in their order
//! ```
//!
//! When the bound on envelopes without an answer is reached, when the pool has no room, or when the client does not read
//! its answers, the stream is not read any more. The first answer other than SUCCESS ends the stream: nothing behind a
//! refused envelope is submitted, but envelopes that were submitted before the failure of an earlier one became known may
//! still be ordered. So an envelope without an answer is in an unknown state, as it is whenever a connection breaks.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use fabric_channel::config_transaction::EnvelopeSigner;
use fabric_proto::ChannelId;
use fabric_proto::common::Status;
use fabric_proto::orderer::BroadcastResponse;
use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, Stream, StreamExt};
use prost::Message;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::PollSemaphore;

pub use crate::order::{Order, Submit, SubmitError};

use crate::admission::{Admissible, Admitted, Judged, Refusal, Rules, Signer, judge};
use crate::authentication::{Authentication, Clock, Timing};
use crate::channels::Channels;
use crate::judge_pool::{JudgePool, cost};
use crate::limits::BROADCAST_OUTSTANDING_MAX;
use crate::stages::Stage;
use crate::status::Counters;
use crate::traffic::{BroadcastTimes, CountedWith};
use crate::update_tracker::UpdateTracker;

/// The parts of the process that a Broadcast stream works with. Clones share them.
#[derive(Clone)]
pub struct BroadcastDesk {
    channels: Channels,
    submit: Arc<dyn Submit>,
    counters: Arc<Counters>,
    signer: Option<Signer>,
    pool: JudgePool,
    updates: UpdateTracker,
    timing: Timing,
}

impl BroadcastDesk {
    /// A desk for envelopes of these channels, which go out by `submit`. Starts the threads that judge them.
    #[must_use]
    pub fn new(channels: Channels, submit: Arc<dyn Submit>, counters: Arc<Counters>) -> Self {
        let updates = UpdateTracker::new(submit.clone());
        Self { channels, submit, counters, signer: None, pool: JudgePool::start(), updates, timing: Timing::default() }
    }

    /// Takes configuration updates too, whose results this identity signs.
    #[must_use]
    pub fn signing_with(mut self, signer: Signer) -> Self {
        self.signer = Some(signer);
        self
    }

    /// Judges creators by these rules.
    #[must_use]
    pub fn authenticating(mut self, authentication: Authentication) -> Self {
        self.timing.authentication = authentication;
        self
    }

    /// Goes by this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.timing.clock = clock;
        self
    }

    /// The threads that judge for all streams.
    pub(crate) const fn pool(&self) -> &JudgePool {
        &self.pool
    }

    /// Answers the envelopes of one stream. Items are encoded `BroadcastResponse`s; an error is passed on from the
    /// client's side.
    pub fn answer<R, E>(&self, envelopes: R) -> Answers<R, E>
    where
        R: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        Answers {
            desk: self.clone(),
            envelopes: Some(envelopes),
            read: None,
            room: self.pool.room(),
            judged: FuturesOrdered::new(),
            waiting: FuturesOrdered::new(),
            broken: VecDeque::new(),
        }
    }

    fn judge(&self, room: OwnedSemaphorePermit, bytes: Bytes) -> BoxFuture<'static, Examined> {
        let (channels, signer, timing) = (self.channels.clone(), self.signer.clone(), self.timing.clone());
        let began = Instant::now();
        let judging = self.pool.run(room, move || {
            let signer = signer.as_deref().map(|signer| signer as &dyn EnvelopeSigner);
            Stage::Admission.within(|| judge(&channels, bytes, Rules { signer, moment: timing.moment() }))
        });
        let counters = self.counters.clone();
        Box::pin(async move {
            let panicked = || Refusal::new(Status::InternalServerError, "the message could not be judged");
            let judged = judging.await;
            let Judged { channel, header_type, verdict } =
                judged.unwrap_or_else(|| Judged { channel: None, header_type: None, verdict: Err(panicked()) });
            let with = channel.map_or(CountedWith::Unknown(counters), CountedWith::Channel);
            let times = BroadcastTimes { validate: began.elapsed(), enqueue: None };
            Examined { verdict, handling: Handling { with, header_type, times } }
        })
    }

    fn submit(&self, admitted: Admitted) -> BoxFuture<'static, Result<(), Refusal>> {
        match (admitted.what, &self.signer) {
            (Admissible::Update(update), Some(signer)) => {
                self.updates.submit(admitted.channel, *update, signer.clone(), self.timing.clone())
            }
            (Admissible::Update(update), None) => self.submit_order(admitted.channel.id(), update.order()),
            (Admissible::Ordinary(order), _) => self.submit_order(admitted.channel.id(), order),
        }
    }

    fn submit_order(&self, channel: &ChannelId, order: Order) -> BoxFuture<'static, Result<(), Refusal>> {
        let submitted = self.submit.submit(channel, order);
        Box::pin(async move { submitted.await.map_err(|error| Refusal::new(error.status(), error.to_string())) })
    }
}

/// What is counted of an envelope once it is answered.
struct Handling {
    with: CountedWith,
    header_type: Option<i32>,
    times: BroadcastTimes,
}

/// An envelope that was judged.
struct Examined {
    verdict: Result<Admitted, Refusal>,
    handling: Handling,
}

/// What an envelope has come to.
struct Outcome {
    result: Result<(), Refusal>,
    handling: Handling,
}

/// The answers of one Broadcast stream.
pub struct Answers<R, E> {
    desk: BroadcastDesk,
    /// `None` once nothing more is read.
    envelopes: Option<R>,
    /// An envelope that has no room in the pool yet.
    read: Option<Bytes>,
    room: PollSemaphore,
    /// What is being judged, in the order it came.
    judged: FuturesOrdered<BoxFuture<'static, Examined>>,
    /// What is submitted, and the refusal that ends the stream behind it.
    waiting: FuturesOrdered<BoxFuture<'static, Outcome>>,
    /// How the client's side broke; said after the last answer.
    broken: VecDeque<E>,
}

impl<R, E> Answers<R, E>
where
    R: Stream<Item = Result<Bytes, E>> + Unpin,
{
    /// Reads as many envelopes as are there and as the bounds allow.
    fn read(&mut self, cx: &mut Context<'_>) {
        while self.judged.len() + self.waiting.len() < BROADCAST_OUTSTANDING_MAX {
            let Some(bytes) = self.read.take().or_else(|| self.poll_envelope(cx)) else { return };
            match self.room.poll_acquire_many(cx, cost(bytes.len())) {
                Poll::Ready(Some(room)) => self.judged.push_back(self.desk.judge(room, bytes)),
                // Nobody closes the pool.
                Poll::Ready(None) => return self.stop_reading(),
                Poll::Pending => {
                    self.read = Some(bytes);
                    return;
                }
            }
        }
    }

    fn poll_envelope(&mut self, cx: &mut Context<'_>) -> Option<Bytes> {
        match self.envelopes.as_mut()?.poll_next_unpin(cx) {
            Poll::Pending => None,
            Poll::Ready(Some(Ok(bytes))) => Some(bytes),
            Poll::Ready(Some(Err(error))) => {
                self.broken.push_back(error);
                self.envelopes = None;
                None
            }
            Poll::Ready(None) => {
                self.envelopes = None;
                None
            }
        }
    }

    /// Submits what has been judged, in the order it came, up to the first refusal.
    fn submit_judged(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(Examined { verdict, mut handling })) = self.judged.poll_next_unpin(cx) {
            match verdict {
                Ok(admitted) => {
                    let (began, submitted) = (Instant::now(), self.desk.submit(admitted));
                    self.waiting.push_back(Box::pin(async move {
                        let result = submitted.await;
                        handling.times.enqueue = Some(began.elapsed());
                        Outcome { result, handling }
                    }));
                }
                Err(refusal) => {
                    // Its answer will end the stream, so nothing behind it may be ordered.
                    self.stop_reading();
                    let outcome = Outcome { result: Err(refusal), handling };
                    self.waiting.push_back(Box::pin(std::future::ready(outcome)));
                }
            }
        }
    }

    fn stop_reading(&mut self) {
        self.envelopes = None;
        self.read = None;
        self.judged = FuturesOrdered::new();
    }

    fn is_over(&self) -> bool {
        self.envelopes.is_none() && self.read.is_none() && self.judged.is_empty()
    }

    fn on_answer(&mut self, Outcome { result, handling }: Outcome) -> Bytes {
        let (status, info) = match result {
            Ok(()) => (Status::Success, String::new()),
            Err(refusal) => {
                self.stop_reading();
                self.waiting = FuturesOrdered::new();
                self.broken.clear();
                (refusal.status, refusal.info)
            }
        };
        self.desk.counters.on_broadcast_answered(status);
        handling.with.on_broadcast_answered(handling.header_type, status, handling.times);
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
        this.submit_judged(cx);
        match this.waiting.poll_next_unpin(cx) {
            Poll::Ready(Some(outcome)) => Poll::Ready(Some(Ok(this.on_answer(outcome)))),
            // Nothing waits: either there may be more, or the client is done.
            Poll::Ready(None) if !this.is_over() => Poll::Pending,
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
}
