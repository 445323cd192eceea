//! Fetching the blocks that a ledger lacks after its node took over the state of others.
//!
//! The state names the newest block of each channel by its header hash, and a quorum vouches for the state. So the whole
//! chain below is known by its hashes: headers are asked for downwards from that block and each must hash to what the one
//! above it says, until they meet the ledger; then the blocks are fetched upwards, each belonging to its header. It takes
//! one correct source that has the blocks, certified or not. Signature sets are verified as well, under the
//! configuration in force at each block, and stored with it: they are what clients are shown. A block whose set is not
//! complete where it comes from gets our own signature alone, as if we had cut it, and is collected like any other.
//!
//! A source is asked ahead, the blocks that come are judged side by side in the pool that checks what comes in, and stored
//! one after the other. Meanwhile the node goes on: what it cuts waits behind the missing blocks ([`Ledger::expect`]).
//! Memory is bounded by a few megabytes of blocks, or a few blocks where they are larger, and one section of hashes for
//! each channel; what was asked for ahead waits at the source. A source that lies costs one retry: it is named, counted and avoided
//! for a while; so is one that is silent or slow.
//!
//! ```text
//! start -> survey (links, downwards) -> for each section: links again, blocks (upwards) -> ledger -> backlog -> done
//! ```

mod channel;
pub(crate) mod door;
mod flow;
mod level;
mod limits;
mod reading;
mod section;
mod source;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use fabric_proto::ChannelId;
use frontend_shim::counters::NodeCounters;
use frontend_shim::group::OrderingGroup;
use frontend_shim::ledger::{Ledger, LedgerError, Tip};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::channel::ChannelCatchUp;
pub use self::level::Heard;
pub use self::limits::CatchUpLimits;
pub use self::source::{BlockSource, Connection};
use crate::fault::{Fault, Faults};
use crate::signer::{BlockSigner, SignatureStyle};
use crate::work_pool::WorkPool;

/// What fetching blocks needs.
#[derive(Debug)]
pub struct CatchUpSetup {
    /// The group that orders the channels.
    pub group: Arc<OrderingGroup>,
    /// Where blocks can be had, see [`BlockSource::of_group`].
    pub sources: Vec<BlockSource>,
    /// Signs the fetched blocks as this node.
    pub signer: BlockSigner,
    /// Judges them.
    pub verify: WorkPool,
    /// Where faults go.
    pub faults: Faults,
    /// Waits.
    pub limits: CatchUpLimits,
}

/// Fetches the missing blocks of one group's channels. Clones share it; it ends with the last of them.
#[derive(Clone, Debug)]
pub struct BlockCatchUp {
    shared: Arc<Shared>,
    running: Arc<Mutex<BTreeMap<ChannelId, Running>>>,
    stop: CancellationToken,
    _until_last: Arc<DropGuard>,
}

/// A channel whose blocks are being fetched.
#[derive(Debug)]
struct Running {
    ledger: Arc<Ledger>,
    stop: CancellationToken,
}

/// What the channels share.
#[derive(Debug)]
struct Shared {
    group: Arc<OrderingGroup>,
    sources: Vec<BlockSource>,
    signer: BlockSigner,
    verify: WorkPool,
    faults: Faults,
    limits: CatchUpLimits,
    /// Channels that fetch at a time.
    places: Semaphore,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    blocks: AtomicU64,
    certified: AtomicU64,
    retries: AtomicU64,
}

/// What has been fetched, and what is still missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CatchUpReport {
    /// Blocks fetched and stored since the node started.
    pub blocks: u64,
    /// Those of them that came with a certificate.
    pub certified: u64,
    /// How often another source had to be asked.
    pub retries: u64,
    /// What is missing.
    pub channels: Vec<ChannelReport>,
    /// The sources, with what is held against them.
    pub sources: Vec<NodeCounters>,
}

/// A channel that lacks blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChannelReport {
    /// Which one.
    pub channel: String,
    /// The first block that is missing.
    pub from: u64,
    /// The last one.
    pub to: u64,
}

impl BlockCatchUp {
    /// Nothing is fetched yet.
    #[must_use]
    pub fn new(setup: CatchUpSetup) -> Self {
        let CatchUpSetup { group, sources, signer, verify, faults, limits } = setup;
        let places = Semaphore::new(limits.channels_at_once);
        let shared = Shared { group, sources, signer, verify, faults, limits, places, counts: Counts::default() };
        let stop = CancellationToken::new();
        let until_last = Arc::new(stop.clone().drop_guard());
        Self { shared: Arc::new(shared), running: Arc::default(), stop, _until_last: until_last }
    }

    /// Sees to it that the ledger of a channel comes to hold every block up to `tip`, which the state of this node goes
    /// on from. Says whether blocks are missing; they are fetched beside the caller then, and [`Ledger::watch`] tells
    /// how far it has come. To be called before the first block after `tip` is handed to the ledger: from this call on,
    /// such blocks wait there. Blocks up to `taken_up_at` were made by others before the group took the channel up. Calling it again with a later tip is fine, also while blocks are being fetched. Needs a
    /// tokio runtime around it.
    ///
    /// # Errors
    /// The ledger holds, or is known to lead to, another block than `tip`; or it does not even hold the genesis block.
    pub fn start(
        &self,
        channel: &ChannelId,
        ledger: &Arc<Ledger>,
        style: SignatureStyle,
        (taken_up_at, tip): (u64, Tip),
    ) -> Result<bool, Fault> {
        if ledger.height() == 0 {
            return Err(LedgerError::NotStored { number: 0, height: 0 }.into());
        }
        if !ledger.expect(tip)? {
            return Ok(false);
        }
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if !running.contains_key(channel) {
            let (ledger, stop) = (Arc::clone(ledger), self.stop.child_token());
            let fetching = ChannelCatchUp::new(&self.shared, channel.clone(), Arc::clone(&ledger), style, taken_up_at);
            tokio::spawn(run(fetching, channel.clone(), Arc::clone(&self.running), stop.clone()));
            running.insert(channel.clone(), Running { ledger, stop });
        }
        Ok(true)
    }

    /// Fetches no more for a channel.
    pub fn forget(&self, channel: &ChannelId) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Running { stop, .. }) = running.remove(channel) {
            stop.cancel();
        }
    }

    /// What has been fetched, and what is still missing.
    #[must_use]
    pub fn report(&self) -> CatchUpReport {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let channel = |(id, running): (&ChannelId, &Running)| {
            let missing = running.ledger.missing()?;
            Some(ChannelReport { channel: id.to_string(), from: missing.from, to: missing.tip.number })
        };
        CatchUpReport {
            blocks: load(&self.shared.counts.blocks),
            certified: load(&self.shared.counts.certified),
            retries: load(&self.shared.counts.retries),
            channels: running.iter().filter_map(channel).collect(),
            sources: self.shared.sources.iter().map(|source| source.record().snapshot()).collect(),
        }
    }
}

/// Fetches until nothing is missing. A tip that is named in the last moment finds the channel either still here, or gone
/// and to be started again.
async fn run(
    mut fetching: ChannelCatchUp,
    channel: ChannelId,
    running: Arc<Mutex<BTreeMap<ChannelId, Running>>>,
    stop: CancellationToken,
) {
    loop {
        let outcome = tokio::select! {
            () = stop.cancelled() => return,
            outcome = fetching.fetch_all() => outcome,
        };
        let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
        // Forgotten in the last moment; another may stand under its name by now.
        if stop.is_cancelled() {
            return;
        }
        if let Err(fault) = outcome {
            fetching.report(fault);
        } else if fetching.is_missing_blocks() {
            continue;
        }
        running.remove(&channel);
        return;
    }
}
