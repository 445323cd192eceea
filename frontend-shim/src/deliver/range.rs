//! A range of blocks that is being served: which block comes next, and whether it may leave.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fabric_proto::common::Status;
use fabric_proto::orderer::SeekInfo;
use fabric_proto::orderer::seek_info::{SeekBehavior, SeekContentType};
use fabric_proto::orderer::seek_position::Type as Position;
use tokio::sync::watch;
use tracing::{debug, error, warn};

use super::access::Access;
use super::in_force::{config_block_of, governing_sequence};
use super::request::is_strict;
use crate::channels::{Channel, ChannelState};
use crate::ledger::StoredBlock;
use crate::traffic::CountedRequest;

/// A block on its way out.
pub(super) struct Block {
    pub message: Bytes,
    pub stored: Arc<StoredBlock>,
}

/// A request that is being served.
pub(super) struct BlockRange {
    channel: Arc<Channel>,
    next: u64,
    stop: u64,
    /// Has the newest configuration of the ledger been in force since the range began?
    is_current: bool,
    is_done: bool,
    behavior: Behavior,
    is_strict: bool,
    is_header_only: bool,
    certified: watch::Receiver<u64>,
    state: watch::Receiver<ChannelState>,
    access: Access,
    counted: CountedRequest,
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
    pub(super) fn resolve(
        channel: Arc<Channel>,
        seek: &SeekInfo,
        access: Access,
        counted: CountedRequest,
    ) -> Result<Self, Status> {
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
            next,
            stop,
            is_current: false,
            is_done: false,
            behavior: if fails { Behavior::FailIfNotReady } else { Behavior::BlockUntilReady },
            is_strict: is_strict(seek),
            is_header_only: seek.content_type == i32::from(SeekContentType::HeaderWithSig),
            certified,
            state: channel.watch_state(),
            channel,
            access,
            counted,
        })
    }

    /// The next block, or the status that ends the range.
    pub(super) async fn next(&mut self) -> Result<Block, Status> {
        if self.is_done {
            self.counted.succeed();
            return Err(Status::Success);
        }
        self.wait_for_next().await?;
        if !self.is_current {
            // Whom a later block has removed is not even given what came before it.
            let height = *self.certified.borrow();
            if !self.channel.governed().covers_height(height) {
                let newest = self.read(height.saturating_sub(1)).await?;
                self.wait_for_config(&newest).await?;
                self.channel.governed().on_height(height);
            }
            self.is_current = true;
        }
        let stored = self.read(self.next).await?;
        self.wait_for_config(&stored).await?;
        self.access.check(&self.channel).await.map_err(|reject| {
            debug!(channel = %self.channel.id(), %reject, "a reader is given no more blocks");
            reject.status()
        })?;
        self.is_done = self.next == self.stop;
        self.next += 1;
        self.channel.traffic().on_block_sent();
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

    /// Waits until the configuration that governs this block is in force here: a reader whom it removes must not be
    /// judged by the one before. Blocks may be in the ledger earlier, after a restart for one.
    async fn wait_for_config(&mut self, block: &StoredBlock) -> Result<(), Status> {
        let unusable = |why: String| {
            error!(channel = %self.channel.id(), number = block.number, "no configuration for a block: {why}");
            Status::ServiceUnavailable
        };
        let config_block = config_block_of(block).map_err(unusable)?;
        if self.channel.governed().covers_config_block(config_block) {
            return Ok(());
        }
        let sequence = if config_block == block.number {
            governing_sequence(block).map_err(unusable)?
        } else {
            governing_sequence(&*self.read(config_block).await?).map_err(unusable)?
        };
        let (channel, number) = (Arc::clone(&self.channel), block.number);
        let mut waiting = pin!(self.wait_for_sequence(sequence));
        let in_time = tokio::time::timeout(CONFIG_PATIENCE, waiting.as_mut()).await;
        if in_time.is_err() && channel.governed().on_late(config_block) {
            warn!(
                "channel {}: readers wait at block {number}, because config sequence {sequence} of block \
                 {config_block} is not in force here yet",
                channel.id()
            );
        }
        match in_time {
            Ok(result) => result?,
            Err(_) => waiting.await?,
        }
        channel.governed().on_config_block(config_block);
        Ok(())
    }

    async fn wait_for_sequence(&mut self, sequence: u64) -> Result<(), Status> {
        let mut sequences = self.channel.watch_sequence();
        while *sequences.borrow_and_update() < sequence {
            if !self.state.borrow_and_update().is_served(self.is_strict) {
                return Err(Status::ServiceUnavailable);
            }
            let is_open = tokio::select! {
                changed = sequences.changed() => changed.is_ok(),
                changed = self.state.changed() => changed.is_ok(),
            };
            if !is_open {
                return Err(Status::ServiceUnavailable);
            }
        }
        Ok(())
    }

    async fn read(&self, number: u64) -> Result<Arc<StoredBlock>, Status> {
        if let Some(block) = self.channel.ledger().cached(number).filter(|block| block.certified) {
            return Ok(block);
        }
        let ledger = Arc::clone(self.channel.ledger());
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

/// How long a reader waits for a configuration before that is worth a line.
const CONFIG_PATIENCE: Duration = Duration::from_secs(30);
