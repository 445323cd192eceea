//! A channel moves to the group of other consenters (protocol.md, Succession).
//!
//! ```text
//! the old group orders the config block -> its certificate is complete here -> the new group is started or joined
//!    (envelopes are held from here ........................................ until enough of its members are in reach)
//! ```
//! The old group works on without the channel: what was acknowledged in it is ordered, and passed on to the new group
//! ([`crate::left_over`]). A member that comes late finds its last blocks there. A node that is no consenter any more follows.

use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;
use blockcutter::Command;
use blockcutter::config_block::without_signatures;
use blockcutter::limits::ORDERED_DIGESTS_MAX;
use blockcutter::ordered::{EnvelopeDigest, OrderedDigests};
use bytes::Bytes;
use fabric_proto::ChannelId;
use fabric_proto::common::Block;
use fabric_proto::metadata::last_config_index;
use frontend_shim::channels::Channel;
use frontend_shim::eras::Era;
use frontend_shim::group::OrderingGroup;
use frontend_shim::ledger::{Ledger, Tip};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::belief;
use super::hosting::{Arrival, Joining};
use super::join_block::{JoinBlock, signature_style};
use super::takeover::{ask_to_go_on, is_asking, is_taken_over};
use super::{Entry, Inner, Ready};
use crate::joined::JoinedChannel;
use crate::participation::ConsensusRelation;
use crate::tentative::TentativeBlocks;

impl Inner {
    /// Enters a channel that this node orders, and what its group has to know of it.
    pub(super) fn enter_consenter(
        self: &Arc<Self>,
        ready: Ready,
        arrival: Arrival,
    ) -> anyhow::Result<(Joining, Arc<JoinedChannel>)> {
        let Ready { era, group, membership, ledger, served, .. } = ready;
        let (config, id) = (era.config.clone(), era.config.channel_id().clone());
        let mark = self.store.marked(&id)?;
        let is_taken_over = is_taken_over(mark, &ledger, era.founded_at.number);
        let opening = if is_taken_over { None } else { opening(&id, &ledger, &era)? };
        let opening = ArcSwapOption::new(opening.map(Arc::new));
        if let Some(flaw) = belief::flaw(&config) {
            tracing::warn!(channel = %id, "{flaw}");
        }
        let served = match served {
            Some(served) => served,
            None => self.channels.add(config.clone(), Arc::clone(&ledger))?,
        };
        let style = signature_style(&config, &group, membership.me);
        let (open, moved) = (watch::Sender::new(false), watch::Sender::new(None));
        let opened_at = era.founded_at;
        let channel = JoinedChannel {
            ledger,
            served,
            style,
            opened_at,
            is_taken_over,
            opening,
            open,
            tentative: TentativeBlocks::default(),
            moved,
        };
        let (channel, inner, group_id) = (Arc::new(channel), Arc::downgrade(self), group.id());
        let moving = wait_for_move(inner.clone(), self.hosting.collects(), id.clone(), Arc::clone(&channel));
        let mut tasks = vec![AbortOnDropHandle::new(tokio::spawn(moving))];
        if is_taken_over && is_asking(mark) {
            let asking = ask_to_go_on(inner, id.clone(), group_id, Arc::clone(&channel));
            tasks.push(AbortOnDropHandle::new(tokio::spawn(asking)));
        }
        if group.settings().concern_policies() {
            let watching = remark_on_policy(group.clone(), Arc::clone(&channel.served));
            tasks.push(AbortOnDropHandle::new(tokio::spawn(watching)));
        }
        let entry = Entry::Consenter { group: group_id, channel: Arc::clone(&channel), _tasks: tasks };
        self.entries().insert(id.clone(), entry);
        let channels = vec![(id, Arc::clone(&channel))];
        Ok((Joining { config, group, membership, channels, former: Vec::new(), arrival }, channel))
    }

    /// A group that has ordered a stretch of a channel before, if it has worked here. `channel` is as it is ordered now.
    pub(super) fn rejoin_former(&self, id: &ChannelId, era: &Era, channel: Option<&JoinedChannel>) -> Option<Joining> {
        let group = era.group(self.hosting.settings()).ok().filter(|group| self.hosting.has_worked(group.id()))?;
        let membership = self.keys.membership(&group)?;
        let style = signature_style(&era.config, &group, membership.me);
        let former = channel.map(|now| JoinedChannel {
            ledger: Arc::clone(&now.ledger),
            served: Arc::clone(&now.served),
            style,
            opened_at: era.founded_at,
            is_taken_over: now.is_taken_over,
            opening: ArcSwapOption::empty(),
            open: watch::Sender::new(false),
            tentative: TentativeBlocks::default(),
            moved: watch::Sender::new(None),
        });
        let former = former.map(|former| (id.clone(), Arc::new(former))).into_iter().collect();
        let (config, channels, arrival) = (era.config.clone(), Vec::new(), Arrival::Here);
        Some(Joining { config, group, membership, channels, former, arrival })
    }

    /// The last block of the old group is stored and certified here: goes on in the new one, or follows.
    async fn succeed(self: &Arc<Self>, id: &ChannelId, left: &Arc<JoinedChannel>) -> anyhow::Result<()> {
        let _change = self.change.lock().await;
        let group = match self.entries().get(id) {
            Some(Entry::Consenter { group, channel, .. }) if Arc::ptr_eq(channel, left) => *group,
            _ => return Ok(()),
        };
        self.hosting.let_move(group, id);
        let join = self.store.read(id)?;
        let join = JoinBlock::decode(join).map_err(anyhow::Error::msg)?;
        let prepared = self.prepare(join, 0, Arc::clone(&left.ledger))?;
        let relation = match &prepared {
            super::Prepared::Consenter(_) => ConsensusRelation::Consenter,
            super::Prepared::Follower(..) => ConsensusRelation::Follower,
        };
        tracing::info!(channel = %id, ?relation, height = left.ledger.height(), "the channel has new consenters");
        let changing = Entry::Changing { relation, height: left.ledger.height() };
        self.entries().insert(id.clone(), changing);
        if relation == ConsensusRelation::Follower {
            self.channels.remove(id);
            self.hosting.detach(id).await;
        }
        self.go_on(prepared, Arrival::Moving, Some(Arc::clone(&left.served))).await
    }
}

impl Joining {
    /// Lets the channels of another one come along.
    pub(super) fn add(&mut self, other: Self) {
        self.channels.extend(other.channels);
        self.former.extend(other.former);
    }
}

/// Says what operators should know of the channel's policy beside the settings of its group: now, and when it changes.
async fn remark_on_policy(group: OrderingGroup, channel: Arc<Channel>) {
    let (mut sequences, mut said) = (channel.watch_sequence(), Vec::new());
    loop {
        sequences.mark_unchanged();
        let (group, config) = (group.clone(), channel.config());
        let Ok(remarks) = tokio::task::spawn_blocking(move || group.remarks_on_policy(&config)).await else { return };
        if remarks != said {
            for remark in &remarks {
                tracing::warn!(channel = %channel.id(), "{remark}");
            }
            said = remarks;
        }
        if sequences.changed().await.is_err() {
            return;
        }
    }
}

async fn wait_for_move(inner: Weak<Inner>, collects: bool, id: ChannelId, channel: Arc<JoinedChannel>) {
    let Some(last) = channel.moved().await else { return };
    if collects {
        let mut certified = channel.ledger.watch_certified();
        let is_certified = async { certified.wait_for(|height| *height > last.number).await.is_ok() };
        tokio::select! {
            is_certified = is_certified => if !is_certified { return },
            () = channel.removed() => return,
        }
    } else if !channel.is_stored(last.number + 1).await {
        return;
    }
    let Some(inner) = inner.upgrade() else { return };
    // Beside this task, which ends when its entry is replaced.
    tokio::spawn(async move {
        if let Err(error) = inner.succeed(&id, &channel).await {
            tracing::error!(channel = %id, error = format!("{error:#}"), "the channel cannot be taken to its new ordering group");
            inner.fail(&id, ConsensusRelation::Consenter);
            inner.hosting.detach(&id).await;
        }
    });
}

/// How to ask the group of this stretch to open the channel. None if it has made blocks of it. Reads files.
fn opening(id: &ChannelId, ledger: &Ledger, era: &Era) -> anyhow::Result<Option<Command>> {
    let Tip { number, .. } = era.founded_at;
    if era.moves > 0 && ledger.height() > number + 1 {
        return Ok(None);
    }
    if era.moves > 0 {
        return take_up_at(id, ledger, era.founded_at).map(Some);
    }
    let stored = ledger.read(number)?.ok_or_else(|| anyhow::anyhow!("block {number} is not in the ledger"))?;
    Ok(Some(Command::OpenChannel { channel: id.clone(), genesis: stored.encoded() }))
}

/// How to ask a group to go on with a channel after this block. Reads files.
pub(super) fn take_up_at(id: &ChannelId, ledger: &Ledger, tip: Tip) -> anyhow::Result<Command> {
    let Tip { number, header_hash } = tip;
    let read = |number: u64| -> anyhow::Result<Block> {
        let stored = ledger.read(number)?.ok_or_else(|| anyhow::anyhow!("block {number} is not in the ledger"))?;
        Ok(Block::decode(stored.encoded())?)
    };
    if number == 0 {
        let genesis = ledger.read(0)?.ok_or_else(|| anyhow::anyhow!("block 0 is not in the ledger"))?;
        return Ok(Command::OpenChannel { channel: id.clone(), genesis: genesis.encoded() });
    }
    let block = read(last_config_index(&read(number)?)?)?;
    let data: Vec<Bytes> = block.entries().to_vec();
    let config_block = without_signatures(block.header.unwrap_or_default(), data);
    let tip = blockcutter::Tip { number, header_hash };
    Ok(Command::TakeUpChannel { channel: id.clone(), config_block, tip, ordered: ordered_last(ledger, number)? })
}

/// The digests of the envelopes ordered last up to this block, oldest first: what a group begins to remember with. Reads
/// files.
fn ordered_last(ledger: &Ledger, tip: u64) -> anyhow::Result<Vec<EnvelopeDigest>> {
    let mut newest_first = Vec::new();
    for number in (1..=tip).rev() {
        let stored = ledger.read(number)?.ok_or_else(|| anyhow::anyhow!("block {number} is not in the ledger"))?;
        let block = Block::decode(stored.encoded())?;
        newest_first
            .extend(block.entries().iter().rev().map(|envelope| EnvelopeDigest::from(Sha256::digest(envelope))));
        if newest_first.len() >= ORDERED_DIGESTS_MAX {
            break;
        }
    }
    newest_first.truncate(ORDERED_DIGESTS_MAX);
    let mut ordered = OrderedDigests::default();
    // A chain of other orderers may hold an envelope twice.
    for digest in newest_first.into_iter().rev() {
        ordered.insert(digest);
    }
    Ok(ordered.iter().copied().collect())
}
