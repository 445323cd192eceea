//! The application behind the total order: hands decisions to the block cutter and its blocks to the signers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use blockcutter::{CutBlock, Ordering, Output, SkipReason};
use bytes::Bytes;
use fabric_proto::ChannelId;
use frontend_shim::ledger::{Ledger, Tip};
use mod_smart::Decision;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::block_catch_up::BlockCatchUp;
use crate::fault::Fault;
use crate::signer::{SignatureStyle, SigningJob};

/// A channel of this group that this node's administrator joined: it has a ledger here.
#[derive(Clone, Debug)]
pub struct JoinedChannel {
    /// Where its blocks go.
    pub ledger: Arc<Ledger>,
    /// How this node signs them.
    pub style: SignatureStyle,
    /// The genesis block, as joined.
    pub genesis: Bytes,
    /// Says that the channel takes envelopes.
    pub open: watch::Sender<bool>,
}

/// The ordering application of one group, with what surrounds it at this node.
#[derive(Debug)]
pub struct Application {
    ordering: Ordering,
    channels: BTreeMap<ChannelId, JoinedChannel>,
    signing: mpsc::Sender<SigningJob>,
    /// Fetches blocks that the ledgers lack.
    catch_up: BlockCatchUp,
    timers: BTreeMap<ChannelId, CutTimer>,
    counts: ApplicationCounts,
    outputs: Vec<Output>,
}

/// The local timer of an open cut.
#[derive(Clone, Copy, Debug)]
struct CutTimer {
    at: Instant,
    /// The block that the cut will become.
    number: u64,
    /// How long after that it fires again.
    repeat: Duration,
}

impl CutTimer {
    fn new(timeout: Duration, number: u64) -> Self {
        Self { at: Instant::now() + timeout, number, repeat: TIMER_REPEAT }
    }

    /// Is it time? Then it is again after twice as long.
    fn fires(&mut self, now: Instant) -> bool {
        if now < self.at {
            return false;
        }
        self.at = now + self.repeat;
        self.repeat = (self.repeat * 2).min(TIMER_REPEAT_MAX);
        true
    }
}

/// What the application has done since the node started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ApplicationCounts {
    /// Decisions executed.
    pub decisions: u64,
    /// Requests in them.
    pub requests: u64,
    /// Requests left out because they were ordered before or their session had ended.
    pub requests_skipped: u64,
    /// Blocks cut, by channel, and envelopes in them.
    pub blocks: u64,
    /// Envelopes in those blocks.
    pub envelopes: u64,
    /// Envelopes that were left out of every block because they had been ordered before.
    pub duplicates: u64,
    /// Commands and envelopes that were left out for another reason.
    pub skipped: u64,
}

impl Application {
    /// Goes on from this state.
    ///
    /// # Errors
    /// A ledger holds another block than the state speaks of.
    pub fn new(
        ordering: Ordering,
        channels: BTreeMap<ChannelId, JoinedChannel>,
        signing: mpsc::Sender<SigningJob>,
        catch_up: BlockCatchUp,
    ) -> Result<Self, Fault> {
        let (timers, counts) = (BTreeMap::new(), ApplicationCounts::default());
        let mut application = Self { ordering, channels, signing, catch_up, timers, counts, outputs: Vec::new() };
        application.take_up()?;
        Ok(application)
    }

    /// Goes on from the state in another snapshot of this group, which may speak of blocks that the ledgers lack. These are fetched from now on, and
    /// blocks that are cut later wait in the ledgers until they are there. Blocks that are being signed are among the
    /// missing ones or follow what is stored; either way they find their place.
    ///
    /// # Errors
    /// The bytes are no state, or a ledger holds another block than the state speaks of.
    pub fn restore(&mut self, snapshot: Bytes) -> Result<(), Fault> {
        self.ordering = self.ordering.successor(snapshot)?;
        self.take_up()
    }

    fn take_up(&mut self) -> Result<(), Fault> {
        let ordering = &self.ordering;
        for (id, channel) in &self.channels {
            let tip = ordering.tip(id);
            if let Some(tip) = tip {
                let tip = Tip { number: tip.number, header_hash: tip.header_hash };
                self.catch_up.start(id, &channel.ledger, channel.style, tip)?;
            }
            channel.open.send_replace(tip.is_some());
        }
        // A cut that was open when the state was kept gets its whole time again.
        let open_cuts = ordering.channels().filter_map(|id| Some((id.clone(), ordering.open_cut(id)?)));
        self.timers = open_cuts.map(|(id, cut)| (id, CutTimer::new(cut.timeout, cut.number))).collect();
        Ok(())
    }

    /// Executes a decision: the blocks it completes are on their way when this returns.
    ///
    /// # Errors
    /// A block contradicts one that this node has stored.
    pub async fn deliver(&mut self, decision: Decision) -> Result<(), Fault> {
        self.counts.decisions += 1;
        self.counts.requests += decision.requests.len() as u64;
        self.counts.requests_skipped += decision.skipped as u64;
        for request in &decision.requests {
            let request = request.value();
            self.ordering.apply(request.id.client, &request.body, &mut self.outputs);
        }
        for output in std::mem::take(&mut self.outputs) {
            match output {
                Output::Opened { channel, genesis, .. } => self.on_opened(&channel, &genesis),
                Output::Block(block) => self.on_block(block).await?,
                Output::CutOpened { channel, number, timeout } => {
                    self.timers.insert(channel, CutTimer::new(timeout, number));
                }
                Output::Skipped { channel, reason } => self.on_skipped(channel.as_ref(), &reason),
            }
        }
        Ok(())
    }

    /// The state, to be restored by [`Ordering::restore`].
    #[must_use]
    pub fn snapshot(&self) -> Bytes {
        self.ordering.snapshot()
    }

    /// The ledgers, and the height that each must reach before the state may stand in for the decisions behind it.
    #[must_use]
    pub fn ledgers(&self) -> Vec<(Arc<Ledger>, u64)> {
        let open = self.channels.iter().filter_map(|(id, channel)| Some((channel, self.ordering.tip(id)?)));
        open.map(|(channel, tip)| (Arc::clone(&channel.ledger), tip.number + 1)).collect()
    }

    /// When the next local timer of an open cut fires.
    #[must_use]
    pub fn next_timer(&self) -> Option<Instant> {
        self.timers.values().map(|timer| timer.at).min()
    }

    /// The cuts whose timers have fired and that are still open: each is to be asked for by an ordered command. A timer
    /// fires again, because the command may be lost, and ever later, because it may only be waiting behind those of others.
    pub fn take_expired(&mut self, now: Instant) -> Vec<(ChannelId, u64)> {
        let mut expired = Vec::new();
        let ordering = &self.ordering;
        self.timers.retain(|channel, timer| {
            if ordering.open_cut(channel).is_none_or(|cut| cut.number != timer.number) {
                return false;
            }
            if timer.fires(now) {
                expired.push((channel.clone(), timer.number));
            }
            true
        });
        expired
    }

    /// The channels joined here that are not open yet, with their genesis blocks.
    #[must_use]
    pub fn to_open(&self) -> Vec<(ChannelId, Bytes)> {
        let closed = self.channels.iter().filter(|(id, _)| self.ordering.tip(id).is_none());
        closed.map(|(id, channel)| (id.clone(), channel.genesis.clone())).collect()
    }

    /// What it has done.
    #[must_use]
    pub const fn counts(&self) -> ApplicationCounts {
        self.counts
    }

    fn on_opened(&self, id: &ChannelId, genesis: &Bytes) {
        let Some(channel) = self.channels.get(id) else {
            tracing::info!(channel = %id, "channel opened in this ordering group, but not joined here");
            return;
        };
        if channel.genesis != *genesis {
            tracing::error!(channel = %id, "the group opened this channel with another genesis block than the one joined here");
            return;
        }
        channel.open.send_replace(true);
        tracing::info!(channel = %id, "channel is open: a quorum joined it with the same genesis block");
    }

    /// Replayed blocks that are stored already must be the same ones; new ones are signed and stored.
    async fn on_block(&mut self, block: CutBlock) -> Result<(), Fault> {
        self.counts.blocks += 1;
        self.counts.envelopes += block.data.len() as u64;
        let Some(channel) = self.channels.get(&block.channel) else { return Ok(()) };
        if block.header.number < channel.ledger.height() {
            let stored = channel.ledger.read(block.header.number)?;
            if stored.is_none_or(|stored| stored.header != block.header) {
                return Err(Fault::Diverged { channel: block.channel.to_string(), number: block.header.number });
            }
            return Ok(());
        }
        let job = SigningJob { block, ledger: Arc::clone(&channel.ledger), style: channel.style };
        self.signing.send(job).await.map_err(|_| Fault::Ended("signing"))
    }

    fn on_skipped(&mut self, channel: Option<&ChannelId>, reason: &SkipReason) {
        let count = match reason {
            SkipReason::Duplicate => &mut self.counts.duplicates,
            // Asks that come after the last one that was needed are the normal case.
            SkipReason::NotOpenCut(_) | SkipReason::ChannelOpen => return,
            _ => &mut self.counts.skipped,
        };
        *count += 1;
        if count.is_power_of_two() {
            let channel = channel.map_or("", ChannelId::as_str);
            tracing::info!(channel, %reason, count = *count, "ordered but left out of every block");
        }
    }
}

/// How long after its first firing the timer of a cut that is still open fires again.
const TIMER_REPEAT: Duration = Duration::from_secs(2);

/// The longest time between two firings.
const TIMER_REPEAT_MAX: Duration = Duration::from_secs(64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_that_stays_open_is_asked_for_ever_more_rarely() {
        let mut timer = CutTimer::new(Duration::from_millis(100), 7);
        let begun = timer.at;
        let firings = |timer: &mut CutTimer, seconds: u64| {
            (0..seconds * 10).filter(|tenth| timer.fires(begun + Duration::from_millis(tenth * 100))).count()
        };
        // After 0, 2, 6, 14, 30 and 62 s, and then every 64 s.
        assert_eq!(firings(&mut timer, 62), 5);
        let mut timer = CutTimer { at: begun, repeat: TIMER_REPEAT, ..timer };
        assert_eq!(firings(&mut timer, 3600), 61);
    }
}
