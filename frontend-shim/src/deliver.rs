//! One Deliver stream: requests for ranges of blocks, answered one after the other (contract §1.4, Appendix C.8 and
//! C.9).
//!
//! Only certified blocks exist here. A stream pulls: it takes the next block when what it sent before has been
//! written to the connection, so a client that does not read costs one block and disturbs nobody. While a range is
//! served the requests behind it are not read, so a client may close its side at once and is still served to the stop
//! block. The policies (who may read, and until when) are not evaluated yet; a request that names no identity is
//! refused.

mod in_flight;
mod request;

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use fabric_proto::common::Status;
use fabric_proto::orderer::seek_info::{SeekBehavior, SeekContentType};
use fabric_proto::orderer::seek_position::Type as Position;
use fabric_proto::orderer::{DeliverResponse, deliver_response};
use futures::stream::{self, Stream, StreamExt};
use prost::Message;
use tokio::sync::watch;
use tracing::{debug, error};

use self::in_flight::InFlight;
use self::request::Request;
pub use self::request::{ClientConnection, TlsBinding};
use crate::channels::{Channel, ChannelState, Channels};
use crate::ledger::StoredBlock;
use crate::status::Counters;

/// The parts of the process that a Deliver stream works with.
#[derive(Clone, Debug)]
pub struct DeliverDesk {
    /// Whose blocks may be read.
    pub channels: Channels,
    /// What is counted.
    pub counters: Arc<Counters>,
}

impl DeliverDesk {
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
            in_flight: Arc::new(InFlight::default()),
        };
        stream::unfold(session, async |mut session| session.next().await.map(|item| (item, session)))
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
                Some(Ok(request)) => match self.begin(request) {
                    Ok(range) => self.range = Some(range),
                    Err(status) => return Some(Ok(self.send_status(status))),
                },
                Some(Err(error)) => {
                    self.requests = None;
                    return Some(Err(error));
                }
                None => return None,
            }
        }
    }

    fn begin(&self, request: Bytes) -> Result<BlockRange, Status> {
        let result = request::accept(request, &self.desk.channels, &self.client, SystemTime::now());
        let request = result.map_err(|reject| {
            debug!(client = %self.client.address, %reject, "refused a deliver request");
            reject.status()
        })?;
        BlockRange::resolve(&request)
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

/// A block on its way out.
struct Block {
    message: Bytes,
    stored: Arc<StoredBlock>,
}

/// A request that is being served.
struct BlockRange {
    channel: Arc<Channel>,
    next: u64,
    stop: u64,
    is_done: bool,
    behavior: Behavior,
    is_strict: bool,
    is_header_only: bool,
    certified: watch::Receiver<u64>,
    state: watch::Receiver<ChannelState>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behavior {
    BlockUntilReady,
    FailIfNotReady,
}

impl BlockRange {
    /// Turns positions into numbers, or says why there is nothing to serve.
    ///
    /// A stop without a number (unset, or `next_commit`) is 0 as in Fabric: never reached, unless the range begins
    /// there.
    fn resolve(request: &Request) -> Result<Self, Status> {
        let Request { channel, seek } = request;
        let certified = channel.ledger().watch_certified();
        let (Some(start), Some(stop)) = (&seek.start, &seek.stop) else {
            return Err(Status::BadRequest);
        };
        let height = *certified.borrow();
        let next = match start.r#type {
            Some(Position::Oldest(_)) => 0,
            Some(Position::Newest(_)) => height.saturating_sub(1),
            Some(Position::Specified(specified)) if specified.number <= height => specified.number,
            Some(Position::NextCommit(_)) => height,
            Some(Position::Specified(_)) | None => return Err(Status::NotFound),
        };
        let stop = match stop.r#type {
            Some(Position::Oldest(_)) => next,
            Some(Position::Newest(_)) if start == stop => next,
            Some(Position::Newest(_)) => height.saturating_sub(1),
            Some(Position::Specified(specified)) if specified.number < next => return Err(Status::BadRequest),
            Some(Position::Specified(specified)) => specified.number,
            Some(Position::NextCommit(_)) | None => 0,
        };
        let fails = seek.behavior == i32::from(SeekBehavior::FailIfNotReady);
        Ok(Self {
            channel: Arc::clone(channel),
            next,
            stop,
            is_done: false,
            behavior: if fails { Behavior::FailIfNotReady } else { Behavior::BlockUntilReady },
            is_strict: request.is_strict(),
            is_header_only: seek.content_type == i32::from(SeekContentType::HeaderWithSig),
            certified,
            state: channel.watch_state(),
        })
    }

    /// The next block, or the status that ends the range.
    async fn next(&mut self) -> Result<Block, Status> {
        if self.is_done {
            return Err(Status::Success);
        }
        self.wait_for_next().await?;
        let stored = self.read_next().await?;
        self.is_done = self.next == self.stop;
        self.next += 1;
        // A config block is needed whole: its readers verify what follows by it.
        let is_reduced = self.is_header_only && !stored.config;
        let message = if is_reduced { stored.header_message() } else { stored.message() };
        Ok(Block { message, stored })
    }

    async fn wait_for_next(&mut self) -> Result<(), Status> {
        loop {
            if !self.state.borrow_and_update().is_served(self.is_strict) {
                return Err(Status::ServiceUnavailable);
            }
            if self.next < *self.certified.borrow_and_update() {
                return Ok(());
            }
            if self.behavior == Behavior::FailIfNotReady {
                return Err(Status::NotFound);
            }
            let is_open = tokio::select! {
                changed = self.certified.changed() => changed.is_ok(),
                changed = self.state.changed() => changed.is_ok(),
            };
            if !is_open {
                return Err(Status::ServiceUnavailable);
            }
        }
    }

    async fn read_next(&self) -> Result<Arc<StoredBlock>, Status> {
        if let Some(block) = self.channel.ledger().cached(self.next).filter(|block| block.certified) {
            return Ok(block);
        }
        let (ledger, number) = (Arc::clone(self.channel.ledger()), self.next);
        let read = tokio::task::spawn_blocking(move || ledger.read(number)).await;
        match read {
            Ok(Ok(Some(block))) => return Ok(block),
            Ok(Ok(None)) => error!(channel = %self.channel.id(), number, "a certified block is not in the ledger"),
            Ok(Err(error)) => error!(channel = %self.channel.id(), number, %error, "a block cannot be read"),
            // The runtime is going down.
            Err(_) => {}
        }
        Err(Status::ServiceUnavailable)
    }
}

/// The gRPC message that carries a status.
fn status_message(status: Status) -> Bytes {
    let response = DeliverResponse { r#type: Some(deliver_response::Type::Status(status.into())) };
    crate::service::frame(&response.encode_to_vec())
}
