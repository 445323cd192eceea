//! The application behind the total order: hands decisions to the block cutter and its blocks to the signers.

use std::sync::Arc;

use blockcutter::{Ahead, Command, CutBlock, CutTimers, Ordering, Output, SkipReason};
use bytes::Bytes;
use fabric_channel::ChannelConfig;
use fabric_proto::ChannelId;
use frontend_shim::certainty::Certainty;
use frontend_shim::ledger::{LedgerError, Tip};
use frontend_shim::stages::Stage;
use mod_smart::{Decision, Event, Regency, ReplicaId, Tentative};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::block_catch_up::BlockCatchUp;
use crate::clock::Clock;
use crate::fault::Fault;
use crate::joined::{JoinedChannel, JoinedChannels};
use crate::judge::InForce;
use crate::left_over::LeftOvers;
use crate::signer::SigningJob;
use crate::tentative::Permissions;

/// The ordering application of one group, with what surrounds it at this node.
#[derive(Debug)]
pub struct Application {
    ordering: Ordering,
    ahead: Ahead,
    permissions: Permissions,
    channels: JoinedChannels,
    signing: mpsc::Sender<SigningJob>,
    /// Fetches blocks that the ledgers lack.
    catch_up: BlockCatchUp,
    timers: CutTimers,
    clock: Clock,
    in_force: InForce,
    left_overs: LeftOvers,
    counts: ApplicationCounts,
    outputs: Vec<Output>,
    /// The last hand-over that was delivered and that the replica was not told of yet.
    hand_over: Option<(Regency, ReplicaId)>,
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
    /// Blocks signed before their decision.
    pub tentative: u64,
    /// Times that something tentative was taken back.
    pub retractions: u64,
}

impl Application {
    /// Goes on from this state.
    ///
    /// # Errors
    /// A ledger holds another block than the state speaks of.
    pub fn new(
        ordering: Ordering,
        channels: JoinedChannels,
        signing: mpsc::Sender<SigningJob>,
        catch_up: BlockCatchUp,
        clock: Clock,
        in_force: InForce,
        left_overs: LeftOvers,
    ) -> Result<Self, Fault> {
        let (timers, counts, outputs) = (CutTimers::default(), ApplicationCounts::default(), Vec::new());
        let mut application = Self {
            ordering,
            ahead: Ahead::default(),
            permissions: Permissions::default(),
            channels,
            signing,
            catch_up,
            timers,
            clock,
            in_force,
            left_overs,
            counts,
            outputs,
            hand_over: None,
        };
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
        self.ahead.on_restored();
        self.take_up()
    }

    fn take_up(&mut self) -> Result<(), Fault> {
        for (id, channel) in &*self.channels.list() {
            let taken_up = self.check_opening(id, channel).and_then(|()| self.take_up_one(id, channel));
            match taken_up {
                Ok(()) => {}
                // The rest of the group is none the worse for it.
                Err(other @ Fault::OtherGenesis { .. }) => {
                    tracing::error!("{other}");
                    self.leave(id);
                }
                Err(fault) => self.leave_taken_over(id, channel, fault)?,
            }
        }
        self.timers = CutTimers::of(&self.ordering, self.clock.now());
        self.in_force.set(self.ordering.configurations());
        Ok(())
    }

    /// Brings what surrounds one channel to where the state is.
    fn take_up_one(&self, id: &ChannelId, channel: &JoinedChannel) -> Result<(), Fault> {
        let Some(chain) = self.ordering.chain(id) else { return Ok(()) };
        let tip = tip_of(chain.tip());
        self.catch_up.start(id, &channel.ledger, channel.style, (chain.opened_at().number, tip))?;
        channel.served.install_config(Arc::clone(chain.config()));
        channel.open.send_replace(true);
        if chain.is_moved() {
            channel.moved.send_replace(Some(tip));
        }
        Ok(())
    }

    /// Takes in a channel in this place in the order: blocks that were cut before are fetched, later ones are stored as they
    /// are cut.
    ///
    /// # Errors
    /// The group has opened it with another genesis block, or its ledger holds another history. Nothing changes then.
    pub fn join(&self, id: &ChannelId, channel: &Arc<JoinedChannel>) -> Result<(), Fault> {
        self.check_opening(id, channel)?;
        self.take_up_one(id, channel)?;
        self.channels.insert(id.clone(), Arc::clone(channel));
        Ok(())
    }

    /// The group must go on with the chain that is here. One that was taken over from orderers of Fabric may have been taken
    /// up after any block: what is missing here up to that one is fetched then.
    fn check_opening(&self, id: &ChannelId, channel: &JoinedChannel) -> Result<(), Fault> {
        let Some(opened) = self.ordering.chain(id).map(|chain| tip_of(chain.opened_at())) else { return Ok(()) };
        if opened == channel.opened_at {
            return Ok(());
        }
        let stored = channel.ledger.read(opened.number)?;
        let is_ours = stored.is_none_or(|stored| stored.header.hash() == opened.header_hash);
        if opened.number > channel.opened_at.number && is_ours {
            return Ok(());
        }
        Err(Fault::OtherGenesis { channel: id.to_string() })
    }

    /// The group has gone on with a chain that was taken over, and without blocks that are here: others ordered them, and
    /// no quorum knew of them.
    fn leave_taken_over(&self, id: &ChannelId, channel: &JoinedChannel, fault: Fault) -> Result<(), Fault> {
        let is_other_chain = matches!(
            fault,
            Fault::Diverged { .. } | Fault::Ledger(LedgerError::Fork { .. } | LedgerError::WrongTip { .. })
        );
        if !(channel.is_taken_over && is_other_chain) {
            return Err(fault);
        }
        tracing::error!(channel = %id, height = channel.ledger.height(), %fault,
            "the other consenters went on with this channel before a block that is here; remove it here and join it again");
        channel.open.send_replace(false);
        self.leave(id);
        Ok(())
    }

    /// Lets go of a channel that this node's administrator removed. The group orders on for the other members.
    pub fn leave(&self, id: &ChannelId) {
        self.channels.remove(id);
        self.catch_up.forget(id);
    }

    /// Executes a decision: the blocks it completes are on their way when this returns.
    ///
    /// # Errors
    /// A block contradicts one that this node has stored.
    pub async fn deliver(&mut self, decision: Decision) -> Result<(), Fault> {
        self.counts.decisions += 1;
        self.counts.requests += decision.requests.len() as u64;
        self.counts.requests_skipped += decision.skipped as u64;
        let entered = Stage::Cut.enter();
        for request in &decision.requests {
            let request = request.value();
            self.ordering.apply(decision.instance, request.id.client, &request.body, &mut self.outputs);
        }
        self.ahead.on_delivered(decision.instance);
        drop(entered);
        for output in std::mem::take(&mut self.outputs) {
            match output {
                Output::Opened { channel, .. } => self.on_opened(&channel)?,
                Output::TakenUp { channel, config, .. } => {
                    self.on_opened(&channel)?;
                    self.on_configured(&channel, config);
                }
                Output::Moved { channel, tip } => self.on_moved(&channel, tip_of(tip)),
                Output::LeftOver { channel, sequence, envelopes } => {
                    self.left_overs.take(channel, sequence, envelopes);
                }
                Output::Block(block) => self.on_block(block).await?,
                Output::Configured { channel, config } => self.on_configured(&channel, config),
                Output::CutOpened { channel, number, timeout } => {
                    self.timers.open(self.clock.now(), channel, number, timeout);
                }
                Output::HandOver { regency, to } => self.hand_over = Some((regency, to)),
                Output::Skipped { channel, reason } => self.on_skipped(channel.as_ref(), &reason),
            }
        }
        Ok(())
    }

    /// Executes, apart, what is likely to be decided: blocks that it completes are on their way to frontends when this
    /// returns, in the channels whose peers believe nobody less than a quorum.
    ///
    /// # Errors
    /// Nobody signs any more.
    pub async fn deliver_tentatively(&mut self, tentative: &Tentative) -> Result<(), Fault> {
        let blocks = Stage::Cut.within(|| self.ahead.execute(&self.ordering, tentative));
        for block in blocks {
            let Some(channel) = self.channels.get(&block.channel) else { continue };
            let Some(chain) = self.ordering.chain(&block.channel) else { continue };
            let may_sign = self.permissions.may_sign(self.ordering.view(), chain.config());
            if !may_sign || block.header.number < channel.ledger.height() {
                continue;
            }
            self.counts.tentative += 1;
            let job = SigningJob { block, channel, certainty: Certainty::Tentative(tentative.regency) };
            self.signing.send(job).await.map_err(|_| Fault::Ended("signing"))?;
        }
        Ok(())
    }

    /// Takes back what was executed and is not decided.
    pub fn retract(&mut self) {
        self.counts.retractions += 1;
        self.ahead.retract();
        self.channels.list().values().for_each(|channel| channel.tentative.retract());
    }

    /// What the replica is to be told of what was delivered.
    pub fn take_hand_over(&mut self) -> Option<Event> {
        let (regency, to) = self.hand_over.take()?;
        Some(Event::HandOver { regency, to })
    }

    /// The state, to be restored by [`Ordering::restore`].
    #[must_use]
    pub fn snapshot(&self) -> Bytes {
        self.ordering.snapshot()
    }

    /// The channels, and the height that the ledger of each must reach before the state may stand in for the decisions
    /// behind it.
    #[must_use]
    pub fn ledgers(&self) -> Vec<(Arc<JoinedChannel>, u64)> {
        let channels = self.channels.list();
        let open = channels.iter().filter_map(|(id, channel)| Some((channel, self.ordering.tip(id)?)));
        open.map(|(channel, tip)| (Arc::clone(channel), tip.number + 1)).collect()
    }

    /// When the next local timer of an open cut fires.
    #[must_use]
    pub fn next_timer(&self) -> Option<Instant> {
        self.timers.next().map(|at| self.clock.instant(at))
    }

    /// The cuts whose timers have fired and that are still open: each is to be asked for by an ordered command.
    pub fn take_expired(&mut self) -> Vec<(ChannelId, u64)> {
        self.timers.take_expired(self.clock.now(), &self.ordering)
    }

    /// What to ask the group for, so that it opens the channels joined here that are not open yet.
    #[must_use]
    pub fn to_open(&self) -> Vec<Command> {
        let channels = self.channels.list();
        let closed = channels.iter().filter(|(id, _)| self.ordering.tip(id).is_none());
        closed.filter_map(|(_, channel)| channel.opening.load().as_deref().cloned()).collect()
    }

    /// What its channels leave over after they have moved.
    #[must_use]
    pub const fn left_overs(&self) -> &LeftOvers {
        &self.left_overs
    }

    /// What it has done.
    #[must_use]
    pub const fn counts(&self) -> ApplicationCounts {
        self.counts
    }

    fn on_opened(&self, id: &ChannelId) -> Result<(), Fault> {
        self.in_force.set(self.ordering.configurations());
        let Some(channel) = self.channels.get(id) else {
            tracing::info!(channel = %id, "channel opened in this ordering group, but not joined here");
            return Ok(());
        };
        if self.check_opening(id, &channel).is_err() {
            tracing::error!(channel = %id, "the group opened this channel with another genesis block than the one joined here");
            return Ok(());
        }
        if let Err(fault) = self.take_up_one(id, &channel) {
            return self.leave_taken_over(id, &channel, fault);
        }
        let after = self.ordering.chain(id).map_or(0, |chain| chain.opened_at().number);
        tracing::info!(channel = %id, after, "channel is open: a quorum of this ordering group has the same chain up to here");
        Ok(())
    }

    /// This group has made its last block of the channel.
    fn on_moved(&self, id: &ChannelId, tip: Tip) {
        tracing::info!(channel = %id, last = tip.number, "the channel moves to other ordering nodes");
        if let Some(channel) = self.channels.get(id) {
            channel.moved.send_replace(Some(tip));
        }
    }

    /// Requests that name it are judged by it from now on, and so is what clients send here.
    fn on_configured(&self, id: &ChannelId, config: Arc<ChannelConfig>) {
        self.in_force.set(self.ordering.configurations());
        if let Some(channel) = self.channels.get(id) {
            channel.served.install_config(config);
        }
    }

    /// Replayed blocks that are stored already must be the same ones; new ones are signed and stored.
    async fn on_block(&mut self, block: CutBlock) -> Result<(), Fault> {
        self.counts.blocks += 1;
        self.counts.envelopes += block.data.len() as u64;
        let Some(channel) = self.channels.get(&block.channel) else { return Ok(()) };
        if block.header.number < channel.ledger.height() {
            let stored = channel.ledger.read(block.header.number)?;
            if stored.is_none_or(|stored| stored.header != block.header) {
                let fault = Fault::Diverged { channel: block.channel.to_string(), number: block.header.number };
                return self.leave_taken_over(&block.channel, &channel, fault);
            }
            return Ok(());
        }
        let job = SigningJob { block, channel, certainty: Certainty::Decided };
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

fn tip_of(tip: blockcutter::Tip) -> Tip {
    Tip { number: tip.number, header_hash: tip.header_hash }
}
