//! The ordering application of one replica, with the chain it has cut.

use std::collections::BTreeMap;
use std::sync::Arc;

use blockcutter::{Ahead, Configurations, CutBlock, CutTimers, Ordering, Output};
use bytes::Bytes;
use fabric_channel::ChannelConfig;
use fabric_proto::ChannelId;
use frontend_shim::certainty::Certainty;
use mod_smart::{Decision, Event, Regency, ReplicaId, Tentative, Time};

use super::genesis::channel;
use super::queue::SharedBlock;

/// The state of the application, and its chain.
#[derive(Clone, Debug)]
pub(super) struct Application {
    ordering: Ordering,
    /// The blocks from number 1 on.
    pub blocks: Vec<SharedBlock>,
    ahead: Ahead,
    /// The blocks that are tentative, by number, and how.
    foretold: BTreeMap<u64, (Certainty, SharedBlock)>,
    timers: CutTimers,
    /// Bytes that make the state as large as that of a busy service.
    padding: usize,
    /// The hand-over that the last decision held.
    hand_over: Option<(Regency, ReplicaId)>,
}

/// A block that is not the one this replica holds under its number.
pub(super) struct Diverged(pub u64);

impl Application {
    pub fn new(ordering: Ordering, blocks: Vec<SharedBlock>, padding: usize, now: Time) -> Self {
        let (ahead, foretold) = (Ahead::default(), BTreeMap::new());
        let timers = CutTimers::of(&ordering, now);
        Self { timers, ordering, ahead, foretold, blocks, padding, hand_over: None }
    }

    /// Reads the state back from a snapshot of the group that began so.
    pub fn restore(beginning: &Ordering, snapshot: &Bytes, padding: usize, now: Time) -> Result<Self, String> {
        let state = snapshot.get(..padding).map(|_| snapshot.slice(padding..)).ok_or("a short snapshot")?;
        let ordering = beginning.successor(state).map_err(|error| error.to_string())?;
        Ok(Self::new(ordering, Vec::new(), padding, now))
    }

    /// The state.
    pub fn snapshot(&self) -> Bytes {
        let state = self.ordering.snapshot();
        if self.padding == 0 {
            return state;
        }
        // Differs from checkpoint to checkpoint, as a real state does.
        let height = self.tip() as u8;
        let mut padded = vec![height; self.padding];
        padded.extend_from_slice(&state);
        padded.into()
    }

    /// The configurations in force.
    pub fn configurations(&self) -> Configurations {
        self.ordering.configurations()
    }

    /// The configuration of the channel.
    pub fn config(&self) -> Option<&Arc<ChannelConfig>> {
        self.ordering.chain(&channel()).map(|chain| chain.config())
    }

    /// The number of the last block that was cut.
    pub fn tip(&self) -> u64 {
        self.ordering.tip(&channel()).map_or(0, |tip| tip.number)
    }

    /// The hash of the header of the last block.
    pub fn tip_hash(&self) -> [u8; 32] {
        self.ordering.tip(&channel()).map_or([0; 32], |tip| tip.header_hash)
    }

    /// Executes a decision. Gives the blocks that are new here.
    pub fn deliver(&mut self, decision: &Decision, now: Time) -> Result<Vec<SharedBlock>, Diverged> {
        let mut outputs = Vec::new();
        for request in &decision.requests {
            let request = request.value();
            self.ordering.apply(decision.instance, request.id.client, &request.body, &mut outputs);
        }
        self.ahead.on_delivered(decision.instance);
        self.hand_over = None;
        let mut new = Vec::new();
        for output in outputs {
            match output {
                Output::Block(block) => new.extend(self.store(block)?),
                Output::CutOpened { channel, number, timeout } => self.timers.open(now, channel, number, timeout),
                Output::HandOver { regency, to } => self.hand_over = Some((regency, to)),
                // The channel of a world keeps its consenters.
                Output::Opened { .. }
                | Output::TakenUp { .. }
                | Output::Configured { .. }
                | Output::Moved { .. }
                | Output::LeftOver { .. }
                | Output::Skipped { .. } => {}
            }
        }
        self.foretold = self.foretold.split_off(&(self.tip() + 1));
        Ok(new)
    }

    /// Executes what is likely to be decided, apart. Gives the blocks that it completes.
    pub fn deliver_tentatively(&mut self, tentative: &Tentative) -> Vec<SharedBlock> {
        let blocks = self.ahead.execute(&self.ordering, tentative).into_iter().map(SharedBlock::new);
        let certainty = Certainty::Tentative(tentative.regency);
        let blocks: Vec<_> = blocks.collect();
        self.foretold.extend(blocks.iter().map(|block| (block.header.number, (certainty, block.clone()))));
        blocks
    }

    /// Takes back what was executed and is not decided.
    pub fn retract(&mut self) {
        self.ahead.retract();
        self.foretold.clear();
    }

    /// A block that is stored, or tentative.
    pub fn known(&self, number: u64) -> Option<(Certainty, &SharedBlock)> {
        let stored = self.block(number).map(|block| (Certainty::Decided, block));
        stored.or_else(|| self.foretold.get(&number).map(|(certainty, block)| (*certainty, block)))
    }

    /// What the replica is to be told of the last decision.
    pub fn take_hand_over(&mut self) -> Option<Event> {
        let (regency, to) = self.hand_over.take()?;
        Some(Event::HandOver { regency, to })
    }

    /// A replayed block must be the one that is stored.
    fn store(&mut self, block: CutBlock) -> Result<Option<SharedBlock>, Diverged> {
        let number = block.header.number;
        if let Some(stored) = self.block(number) {
            return if stored.header == block.header { Ok(None) } else { Err(Diverged(number)) };
        }
        if number != self.height() + 1 {
            return Err(Diverged(number));
        }
        let block = SharedBlock::new(block);
        self.blocks.push(block.clone());
        Ok(Some(block))
    }

    /// The number of the last block that is stored.
    pub fn height(&self) -> u64 {
        self.blocks.len() as u64
    }

    /// A stored block.
    pub fn block(&self, number: u64) -> Option<&SharedBlock> {
        self.blocks.get(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    /// When the timer of the open cut fires.
    pub fn timer(&self) -> Option<Time> {
        self.timers.next()
    }

    /// The open cuts whose timers have fired.
    pub fn take_expired(&mut self, now: Time) -> Vec<(ChannelId, u64)> {
        self.timers.take_expired(now, &self.ordering)
    }

    /// Is nothing waiting to be cut?
    pub fn is_all_cut(&self) -> bool {
        self.ordering.open_cut(&channel()).is_none()
    }

    /// The part of a chain that leads from here to the tip, if `known` has all of it and its hashes lead there. This is how a
    /// node that took over a state comes by the blocks it did not cut itself.
    pub fn fill(&mut self, known: &BTreeMap<u64, SharedBlock>) -> bool {
        let mut hash = self.tip_hash();
        let mut missing = Vec::new();
        for number in (self.height() + 1..=self.tip()).rev() {
            match known.get(&number) {
                Some(block) if block.header_hash == hash => {
                    hash.copy_from_slice(&block.header.previous_hash);
                    missing.push(block.clone());
                }
                _ => return false,
            }
        }
        self.blocks.extend(missing.into_iter().rev());
        true
    }
}
