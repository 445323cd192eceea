//! One Deliver stream: requests for ranges of blocks, answered one after the other (contract §1.4, Appendix C.8 and
//! C.9).
//!
//! ```text
//! request    readable, timestamp, TLS binding 400 -> channel 404 -> seek info 400 -> channel in error 503
//!            -> creator expired, Readers 403 -> positions 400, 404
//! each block there, and certified -> its configuration in force -> creator expired, Readers again if that changed 403
//! ```
//!
//! Only certified blocks exist here. A stream pulls: it takes the next block when what it sent before has been
//! written to the connection, so a client that does not read costs one block and disturbs nobody. While a range is
//! served the requests behind it are not read, so a client may close its side at once and is still served to the stop
//! block.

mod access;
mod in_flight;
mod in_force;
mod range;
mod request;

use std::sync::Arc;

use bytes::Bytes;
use fabric_proto::common::Status;
use fabric_proto::orderer::{DeliverResponse, deliver_response};
use futures::stream::{self, Stream, StreamExt};
use prost::Message;
use tracing::debug;

use self::access::Access;
use self::in_flight::InFlight;
use self::range::{Block, BlockRange};
use self::request::RequestReject;
pub use self::request::{ClientConnection, TlsBinding};
use crate::authentication::{Authentication, Clock, Timing};
use crate::channels::Channels;
use crate::judge_pool::JudgePool;
use crate::status::Counters;
use crate::traffic::{CountedRequest, CountedWith};

/// The parts of the process that a Deliver stream works with. Clones share them.
#[derive(Clone, Debug)]
pub struct DeliverDesk {
    channels: Channels,
    counters: Arc<Counters>,
    pool: JudgePool,
    timing: Timing,
}

impl DeliverDesk {
    /// A desk for the blocks of these channels. Who may read them is judged by the threads of `pool`.
    pub(crate) fn new(channels: Channels, counters: Arc<Counters>, pool: JudgePool) -> Self {
        Self { channels, counters, pool, timing: Timing::default() }
    }

    /// Judges requests and their creators by these rules.
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

    /// Answers the requests of one stream that came over `client`. Items are whole gRPC messages, head included; an
    /// error is passed on from the client's side.
    pub fn answer<R, E>(
        &self,
        requests: R,
        client: ClientConnection,
    ) -> impl Stream<Item = Result<Bytes, E>> + Send + use<R, E>
    where
        R: Stream<Item = Result<Bytes, E>> + Send + Unpin,
        E: Send,
    {
        self.counters.on_deliver_opened();
        let session = Session {
            desk: self.clone(),
            client,
            requests: Some(requests),
            range: None,
            in_flight: Arc::new(InFlight::new(Arc::clone(&self.counters))),
        };
        stream::unfold(session, async |mut session| session.next().await.map(|item| (item, session)))
    }

    /// Everything that is checked before the first block is looked for.
    async fn begin(&self, request: Bytes, client: &ClientConnection) -> Result<BlockRange, RequestReject> {
        let unknown = || CountedRequest::new(CountedWith::Unknown(Arc::clone(&self.counters)));
        let opened = request::open(request, &self.channels, client, &self.timing);
        let (envelope, channel) = opened.inspect_err(|_| drop(unknown()))?;
        let counted = CountedRequest::new(CountedWith::Channel(Arc::clone(&channel)));
        let seek = request::seek(&envelope, &channel)?;
        let mut access = Access::new(envelope, self.pool.clone(), self.timing.clone());
        access.check(&channel).await?;
        BlockRange::resolve(channel, &seek, access, counted).map_err(RequestReject::Position)
    }
}

/// The state of one stream.
struct Session<R> {
    desk: DeliverDesk,
    client: ClientConnection,
    /// `None` once the stream is to end.
    requests: Option<R>,
    range: Option<BlockRange>,
    in_flight: Arc<InFlight>,
}

impl<R, E> Session<R>
where
    R: Stream<Item = Result<Bytes, E>> + Unpin,
{
    async fn next(&mut self) -> Option<Result<Bytes, E>> {
        loop {
            if let Some(range) = &mut self.range {
                self.in_flight.settle().await;
                return Some(Ok(match range.next().await {
                    Ok(block) => self.send_block(block),
                    Err(status) => self.send_status(status),
                }));
            }
            match self.requests.as_mut()?.next().await {
                Some(Ok(request)) => match self.desk.begin(request, &self.client).await {
                    Ok(range) => self.range = Some(range),
                    Err(reject) => {
                        debug!(client = %self.client.address, %reject, "refused a deliver request");
                        return Some(Ok(self.send_status(reject.status())));
                    }
                },
                Some(Err(error)) => {
                    self.requests = None;
                    return Some(Err(error));
                }
                None => return None,
            }
        }
    }

    fn send_block(&self, block: Block) -> Bytes {
        self.desk.counters.on_block_sent();
        self.in_flight.track(block.message, block.stored)
    }

    /// Ends the range; anything but SUCCESS ends the stream too.
    fn send_status(&mut self, status: Status) -> Bytes {
        self.range = None;
        if status != Status::Success {
            self.requests = None;
        }
        status_message(status)
    }
}

impl<R> Drop for Session<R> {
    fn drop(&mut self) {
        self.desk.counters.on_deliver_closed();
    }
}

/// The gRPC message that carries a status.
fn status_message(status: Status) -> Bytes {
    let response = DeliverResponse { r#type: Some(deliver_response::Type::Status(status.into())) };
    crate::service::frame(&response.encode_to_vec())
}
