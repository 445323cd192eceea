//! The channels of one ordering group that this node's administrator has joined. They come and go while the group works.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use blockcutter::Command;
use fabric_proto::ChannelId;
use frontend_shim::channels::{Channel, ChannelState};
use frontend_shim::ledger::{Ledger, Tip};
use tokio::sync::watch;

use crate::signer::SignatureStyle;
use crate::tentative::TentativeBlocks;

/// A channel that this node's administrator joined: it has a ledger here.
#[derive(Debug)]
pub struct JoinedChannel {
    /// Where its blocks go.
    pub ledger: Arc<Ledger>,
    /// The channel as clients see it here. Closed when it is removed.
    pub served: Arc<Channel>,
    /// How this node signs them.
    pub style: SignatureStyle,
    /// The block after which the group orders it at the earliest: the genesis block, or the config block that gave it to the
    /// group. A channel that was taken over from orderers of Fabric is opened at the tip that they came to.
    pub opened_at: Tip,
    /// Does its ledger hold blocks that orderers of Fabric made for these consenters?
    pub is_taken_over: bool,
    /// How to ask the group to open it. None if it must be open by now, because there are blocks that the group made; or as
    /// long as a node that takes over does not know how far the others have come.
    pub opening: ArcSwapOption<Command>,
    /// Says that the channel takes envelopes.
    pub open: watch::Sender<bool>,
    /// Blocks that are signed and not decided yet.
    pub tentative: TentativeBlocks,
    /// The last block that the group has ordered of it, once the channel has moved to another one.
    pub moved: watch::Sender<Option<Tip>>,
}

impl JoinedChannel {
    /// Ends once the channel has been removed from this node.
    pub async fn removed(&self) {
        let mut state = self.served.watch_state();
        // The sender lives in the channel, so waiting cannot fail before it has come.
        let _ = state.wait_for(|state| *state == ChannelState::Closed).await;
    }

    /// Waits until the channel has moved to another group. None if it was removed first.
    pub async fn moved(&self) -> Option<Tip> {
        let mut moved = self.moved.subscribe();
        tokio::select! {
            tip = moved.wait_for(Option::is_some) => *tip.ok()?,
            () = self.removed() => None,
        }
    }

    /// Waits until so many blocks are stored. False if the channel was removed first.
    pub async fn is_stored(&self, height: u64) -> bool {
        let mut heights = self.ledger.watch();
        tokio::select! {
            stored = heights.wait_for(|heights| heights.height >= height) => stored.is_ok(),
            () = self.removed() => false,
        }
    }
}

/// The channels of one group that are joined here. Clones share them. Looking takes no lock.
#[derive(Clone, Debug, Default)]
pub struct JoinedChannels(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    by_id: ArcSwap<BTreeMap<ChannelId, Arc<JoinedChannel>>>,
    /// Grows with every change.
    revision: watch::Sender<u64>,
    // Taken by whoever changes the map.
    change: Mutex<()>,
}

impl Default for Shared {
    fn default() -> Self {
        Self { by_id: ArcSwap::default(), revision: watch::Sender::new(0), change: Mutex::default() }
    }
}

impl FromIterator<(ChannelId, Arc<JoinedChannel>)> for JoinedChannels {
    fn from_iter<I: IntoIterator<Item = (ChannelId, Arc<JoinedChannel>)>>(channels: I) -> Self {
        let joined = Self::default();
        joined.change(|by_id| by_id.extend(channels));
        joined
    }
}

impl JoinedChannels {
    /// The channel of this name.
    #[must_use]
    pub fn get(&self, id: &ChannelId) -> Option<Arc<JoinedChannel>> {
        self.0.by_id.load().get(id).cloned()
    }

    /// All of them, as they are now.
    #[must_use]
    pub fn list(&self) -> Arc<BTreeMap<ChannelId, Arc<JoinedChannel>>> {
        self.0.by_id.load_full()
    }

    /// Adds a channel, in the place of an earlier one of its name.
    pub fn insert(&self, id: ChannelId, channel: Arc<JoinedChannel>) {
        self.change(|channels| drop(channels.insert(id, channel)));
    }

    /// Takes a channel out.
    pub fn remove(&self, id: &ChannelId) {
        self.change(|channels| drop(channels.remove(id)));
    }

    /// Says when the set has changed.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.0.revision.subscribe()
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<ChannelId, Arc<JoinedChannel>>)) {
        let shared = &self.0;
        let _change = shared.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut channels = BTreeMap::clone(&shared.by_id.load());
        change(&mut channels);
        shared.by_id.store(Arc::new(channels));
        shared.revision.send_modify(|revision| *revision += 1);
    }
}
