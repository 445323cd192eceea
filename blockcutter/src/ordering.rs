//! The ordering application: all channels of one ordering group.
//!
//! It is total: whatever body is ordered, [`Ordering::apply`] does the same on every replica and never fails. Nothing in
//! here looks at which replica it runs on.
//!
//! A channel opens when a quorum asks for one genesis block, or for one tip of a chain that others ordered so far, and ends
//! here with a config block that gives it to other nodes; a cut by time is made when so many replicas ask that one of
//! them is correct (protocol.md, Actors and groups, and Normal phase).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use fabric_proto::ChannelId;
use mod_smart::{Client, InstanceId, ReplicaId, View};

use crate::admission::{Configurations, admit_config, admit_envelope};
use crate::asks::{OpeningAsk, OpeningAsks};
use crate::chain::{Chain, OpenCut, Tip};
use crate::command::{self, Command};
use crate::limits::CHANNELS_MAX;
use crate::opening::{Opening, Way};
use crate::output::{Output, SkipReason};

/// The state of one ordering group: a function of its view and of the bodies ordered so far.
#[derive(Clone, Debug)]
pub struct Ordering {
    pub(crate) view: View,
    pub(crate) chains: BTreeMap<ChannelId, Chain>,
    pub(crate) asks: OpeningAsks,
}

impl Ordering {
    /// A group that has ordered nothing.
    #[must_use]
    pub fn new(view: View) -> Self {
        Self { view, chains: BTreeMap::new(), asks: OpeningAsks::default() }
    }

    /// Does what a request of `client` asks for that was ordered by instance `at`, and appends what came of it to `out`.
    pub fn apply(&mut self, at: InstanceId, client: Client, body: &Bytes, out: &mut Vec<Output>) {
        let commands = match command::decode(body.clone()) {
            Ok(commands) => commands,
            Err(error) => return out.push(Output::Skipped { channel: None, reason: error.into() }),
        };
        for command in commands {
            self.on_command(at, client, command, out);
        }
    }

    /// Among whom it orders.
    #[must_use]
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// The open channels, in the order of their names.
    pub fn channels(&self) -> impl ExactSizeIterator<Item = &ChannelId> {
        self.chains.keys()
    }

    /// The chain of an open channel.
    #[must_use]
    pub fn chain(&self, channel: &ChannelId) -> Option<&Chain> {
        self.chains.get(channel)
    }

    /// The configurations in force.
    #[must_use]
    pub fn configurations(&self) -> Configurations {
        self.chains.iter().map(|(channel, chain)| (channel.clone(), Arc::clone(&chain.config))).collect()
    }

    /// The last block of an open channel.
    #[must_use]
    pub fn tip(&self, channel: &ChannelId) -> Option<Tip> {
        Some(self.chain(channel)?.tip())
    }

    /// What is open in a channel, if anything is.
    #[must_use]
    pub fn open_cut(&self, channel: &ChannelId) -> Option<OpenCut> {
        self.chain(channel)?.open_cut()
    }

    /// Who has asked for which channel that is not open yet, by channel and replica.
    pub fn asks(&self) -> impl Iterator<Item = OpeningAsk> {
        self.asks.iter()
    }

    fn on_command(&mut self, at: InstanceId, client: Client, command: Command, out: &mut Vec<Output>) {
        match (command, client) {
            (Command::Envelopes { channel, sequence, envelopes }, _) => {
                self.on_envelopes(at, (channel, sequence), envelopes, out);
            }
            (Command::Config { channel, sequence, envelope }, _) => {
                self.on_config(at, (channel, sequence), envelope, out);
            }
            (Command::CutAfterTimeout { channel, number }, Client::Replica(replica)) if self.view.has(replica) => {
                self.on_cut_ask(at, channel, (replica, number), out);
            }
            (Command::OpenChannel { channel, genesis }, Client::Replica(replica)) if self.view.has(replica) => {
                self.on_opening_ask(channel, replica, Way::Genesis(genesis), out);
            }
            (Command::TakeUpChannel { channel, config_block, tip, ordered }, Client::Replica(replica))
                if self.view.has(replica) =>
            {
                self.on_opening_ask(channel, replica, Way::AtTip { config_block, tip, ordered }, out);
            }
            (Command::HandOver { regency, to }, Client::Replica(replica))
                if self.view.leader(regency) == replica && self.view.has(to) =>
            {
                out.push(Output::HandOver { regency, to });
            }
            (Command::HandOver { .. }, _) => {
                out.push(Output::Skipped { channel: None, reason: SkipReason::NotAllowed });
            }
            (
                Command::CutAfterTimeout { channel, .. }
                | Command::OpenChannel { channel, .. }
                | Command::TakeUpChannel { channel, .. },
                _,
            ) => {
                skip(out, channel, SkipReason::NotAllowed);
            }
        }
    }

    fn on_envelopes(
        &mut self,
        at: InstanceId,
        (channel, sequence): (ChannelId, u64),
        envelopes: Vec<Bytes>,
        out: &mut Vec<Output>,
    ) {
        let Some(chain) = self.chains.get_mut(&channel) else {
            return skip(out, channel, SkipReason::ChannelNotOpen);
        };
        let open_before = chain.open_cut();
        let mut left_over = Vec::new();
        for envelope in envelopes {
            let admitted = admit_envelope(&channel, envelope).map_err(SkipReason::from);
            let ordered = admitted.and_then(|envelope| match chain.on_envelope(at, &envelope, sequence) {
                Err(SkipReason::Moved) => {
                    left_over.push(envelope.bytes().clone());
                    Ok(Vec::new())
                }
                ordered => ordered,
            });
            match ordered {
                Ok(blocks) => out.extend(blocks.into_iter().map(Output::Block)),
                Err(reason) => skip(out, channel.clone(), reason),
            }
        }
        if !left_over.is_empty() {
            return out.push(Output::LeftOver { channel, sequence, envelopes: left_over });
        }
        // Only what is still open in the end is worth a timer.
        let Some(open) = chain.open_cut() else { return };
        if open_before.is_none_or(|before| before.number != open.number) {
            out.push(Output::CutOpened { channel, number: open.number, timeout: open.timeout });
        }
    }

    fn on_config(
        &mut self,
        at: InstanceId,
        (channel, sequence): (ChannelId, u64),
        envelope: Bytes,
        out: &mut Vec<Output>,
    ) {
        let Some(chain) = self.chains.get_mut(&channel) else {
            return skip(out, channel, SkipReason::ChannelNotOpen);
        };
        let admitted = admit_config(&channel, envelope).map_err(SkipReason::from);
        match admitted.and_then(|envelope| chain.on_config(at, &envelope, sequence)) {
            Ok(blocks) => {
                out.extend(blocks.into_iter().map(Output::Block));
                out.push(Output::Configured { channel: channel.clone(), config: Arc::clone(chain.config()) });
                if chain.is_moved() {
                    out.push(Output::Moved { channel, tip: chain.tip() });
                }
            }
            Err(reason) => skip(out, channel, reason),
        }
    }

    fn on_cut_ask(
        &mut self,
        at: InstanceId,
        channel: ChannelId,
        (replica, number): (ReplicaId, u64),
        out: &mut Vec<Output>,
    ) {
        let Some(chain) = self.chains.get_mut(&channel) else {
            return skip(out, channel, SkipReason::ChannelNotOpen);
        };
        match chain.on_cut_ask(at, &self.view, replica, number) {
            Ok(block) => out.extend(block.map(Output::Block)),
            Err(reason) => skip(out, channel, reason),
        }
    }

    fn on_opening_ask(&mut self, channel: ChannelId, replica: ReplicaId, way: Way, out: &mut Vec<Output>) {
        match self.ask(&channel, replica, way) {
            Ok(None) => {}
            Ok(Some(opening)) => self.open(opening, out),
            Err(reason) => skip(out, channel, reason),
        }
    }

    /// Notes an ask. Gives what it asks for once a quorum does.
    fn ask(&mut self, channel: &ChannelId, replica: ReplicaId, way: Way) -> Result<Option<Opening>, SkipReason> {
        let ask = OpeningAsk { channel: channel.clone(), replica, genesis: way.digest() };
        if self.asks.contains(&ask) {
            return Ok(None);
        }
        let opening = way.read(channel)?;
        if let Some(chain) = self.chains.get(channel) {
            let is_same = chain.opened_at() == opening.tip();
            return Err(if is_same { SkipReason::ChannelOpen } else { SkipReason::OtherGenesis });
        }
        if self.chains.len() >= CHANNELS_MAX {
            return Err(SkipReason::TooManyChannels);
        }
        let voters = self.asks.on_ask(ask).ok_or(SkipReason::TooManyAsks)?;
        Ok(self.view.is_quorum(voters).then_some(opening))
    }

    fn open(&mut self, opening: Opening, out: &mut Vec<Output>) {
        let (chain, opened) = opening.open();
        self.asks.remove(&chain.channel);
        self.chains.insert(chain.channel.clone(), chain);
        out.push(opened);
    }
}

fn skip(out: &mut Vec<Output>, channel: ChannelId, reason: SkipReason) {
    out.push(Output::Skipped { channel: Some(channel), reason });
}
