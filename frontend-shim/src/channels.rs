//! The channels this process serves: configuration, ledger and state of each.
//!
//! Found by name for every envelope and every Deliver request, so finding takes no lock. One thread makes all ledgers
//! durable in turn: a block that was served is at most one interval away from the disk, and can be had again from the
//! nodes' decisions until then.

mod governed;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, io, thread};

use arc_swap::ArcSwap;
use fabric_channel::ChannelConfig;
use fabric_proto::ChannelId;
use tokio::sync::watch;
use tracing::{error, info};

use self::governed::Governed;
use crate::config_difference::difference;
use crate::ledger::{Ledger, LedgerError};
use crate::limits::{CHANNELS_MAX, LEDGER_SYNC_INTERVAL};
use crate::stages::Stage;
use crate::tentative_blocks::TentativeBlocks;
use crate::traffic::ChannelTraffic;

/// All channels of this process. Clones share them.
#[derive(Clone, Debug)]
pub struct Channels {
    registry: Arc<Registry>,
}

#[derive(Debug, Default)]
struct Registry {
    by_id: ArcSwap<BTreeMap<ChannelId, Arc<Channel>>>,
    // Taken by whoever changes the map; readers never wait.
    change: Mutex<()>,
    /// Grows whenever a channel comes, goes, or has another configuration.
    revision: watch::Sender<u64>,
    /// The first ledger that could not be made durable.
    unsynced: watch::Sender<Option<UnsyncedLedger>>,
}

/// A ledger that could not be made durable: nobody knows what is on the disk.
#[derive(Clone, Debug)]
pub struct UnsyncedLedger {
    /// Of which channel.
    pub channel: ChannelId,
    /// Why.
    pub error: Arc<LedgerError>,
}

/// One channel.
pub struct Channel {
    id: ChannelId,
    config: ArcSwap<ChannelConfig>,
    /// The config sequence in force, for whoever waits for the next one.
    sequence: watch::Sender<u64>,
    ledger: Arc<Ledger>,
    state: watch::Sender<ChannelState>,
    governed: Governed,
    tentative: TentativeBlocks,
    traffic: ChannelTraffic,
    /// Of the registry.
    revision: watch::Sender<u64>,
}

/// What a channel can do for clients now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelState {
    /// Blocks are served; envelopes are not taken yet.
    Opening,
    /// Blocks are served and envelopes are taken.
    Open,
    /// Something is wrong behind this channel, so its newest blocks may be missing here. Only readers that ask for the
    /// best effort are served (contract §1.4).
    Errored,
    /// The channel was removed: every stream ends.
    Closed,
}

impl ChannelState {
    /// True if blocks are served now; `is_strict` says that the reader wants none from a channel in error.
    #[must_use]
    pub const fn is_served(self, is_strict: bool) -> bool {
        match self {
            Self::Opening | Self::Open => true,
            Self::Errored => !is_strict,
            Self::Closed => false,
        }
    }

    /// The word for status reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Open => "open",
            Self::Errored => "errored",
            Self::Closed => "closed",
        }
    }
}

/// Why a channel cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum ChannelsError {
    /// Its name is taken.
    #[error("channel {0} exists already")]
    Exists(ChannelId),
    /// The bound is reached.
    #[error("there are {CHANNELS_MAX} channels already")]
    TooMany,
}

impl Channels {
    /// A registry without channels, and the thread that syncs their ledgers. The thread ends when the last clone is
    /// dropped.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new() -> io::Result<Self> {
        let registry = Arc::new(Registry::default());
        let watched = Arc::downgrade(&registry);
        thread::Builder::new().name("ledger-sync".into()).spawn(move || {
            while let Some(registry) = watched.upgrade() {
                Stage::Ledger.within(|| sync_ledgers(&registry));
                drop(registry);
                thread::sleep(LEDGER_SYNC_INTERVAL);
            }
        })?;
        Ok(Self { registry })
    }

    /// Adds a channel in state [`ChannelState::Opening`]. Its ledger should hold the genesis block.
    ///
    /// # Errors
    /// [`ChannelsError`].
    pub fn add(&self, config: ChannelConfig, ledger: Arc<Ledger>) -> Result<Arc<Channel>, ChannelsError> {
        let channel = Arc::new(Channel {
            id: config.channel_id().clone(),
            sequence: watch::Sender::new(config.sequence()),
            config: ArcSwap::from_pointee(config),
            ledger,
            state: watch::Sender::new(ChannelState::Opening),
            governed: Governed::default(),
            tentative: TentativeBlocks::default(),
            traffic: ChannelTraffic::default(),
            revision: self.registry.revision.clone(),
        });
        let _change = self.registry.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut by_id = BTreeMap::clone(&self.registry.by_id.load());
        if by_id.contains_key(&channel.id) {
            return Err(ChannelsError::Exists(channel.id.clone()));
        }
        if by_id.len() >= CHANNELS_MAX {
            return Err(ChannelsError::TooMany);
        }
        by_id.insert(channel.id.clone(), Arc::clone(&channel));
        self.registry.by_id.store(Arc::new(by_id));
        raise(&self.registry.revision);
        Ok(channel)
    }

    /// Takes a channel out and ends its streams. Its files stay.
    pub fn remove(&self, id: &ChannelId) -> Option<Arc<Channel>> {
        let _change = self.registry.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut by_id = BTreeMap::clone(&self.registry.by_id.load());
        let removed = by_id.remove(id)?;
        self.registry.by_id.store(Arc::new(by_id));
        raise(&self.registry.revision);
        removed.enter_state(ChannelState::Closed);
        Some(removed)
    }

    /// The number that [`Channels::watch_revision`] follows.
    #[must_use]
    pub fn revision(&self) -> u64 {
        *self.registry.revision.borrow()
    }

    /// Follows a number that grows whenever a channel was added or removed, or has come to have another configuration.
    /// What was read after a look at the number holds until the number is another one.
    #[must_use]
    pub fn watch_revision(&self) -> watch::Receiver<u64> {
        self.registry.revision.subscribe()
    }

    /// Waits until a ledger cannot be made durable; never ends otherwise. Its channel is marked as errored.
    pub async fn unsynced(&self) -> UnsyncedLedger {
        let mut unsynced = self.registry.unsynced.subscribe();
        let found = unsynced.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        match found {
            Some(found) => found,
            // This process keeps the sender as long as it asks.
            None => std::future::pending().await,
        }
    }

    /// The channel of this name, which may come straight from a header.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Arc<Channel>> {
        self.registry.by_id.load().get(name).cloned()
    }

    /// All channels, in the order of their names.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Channel>> {
        self.registry.by_id.load().values().cloned().collect()
    }
}

impl Channel {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> &ChannelId {
        &self.id
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> Arc<ChannelConfig> {
        self.config.load_full()
    }

    /// Puts the configuration of a newer config block in force, for every envelope that is judged from now on. One that is
    /// older than the present one changes nothing.
    pub fn install_config(&self, config: impl Into<Arc<ChannelConfig>>) {
        let next = config.into();
        let current = self.config.rcu(|current| {
            let is_news = next.sequence() >= current.sequence();
            if is_news { Arc::clone(&next) } else { Arc::clone(current) }
        });
        if next.sequence() > current.sequence() {
            let changes = difference(current.bundle(), next.bundle());
            info!("channel {}: config sequence {} is in force: {changes}", self.id, next.sequence());
            raise(&self.revision);
        }
        self.sequence.send_if_modified(|sequence| {
            let is_news = next.sequence() > *sequence;
            if is_news {
                *sequence = next.sequence();
            }
            is_news
        });
    }

    /// Follows the sequence of [`Channel::config`].
    #[must_use]
    pub fn watch_sequence(&self) -> watch::Receiver<u64> {
        self.sequence.subscribe()
    }

    /// Blocks that a node of this process has signed and that are not decided yet.
    #[must_use]
    pub const fn tentative(&self) -> &TentativeBlocks {
        &self.tentative
    }

    /// How far the configuration in force is known to have come.
    pub(crate) const fn governed(&self) -> &Governed {
        &self.governed
    }

    /// What its clients did.
    #[must_use]
    pub const fn traffic(&self) -> &ChannelTraffic {
        &self.traffic
    }

    /// Its blocks.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// What it can do now.
    #[must_use]
    pub fn state(&self) -> ChannelState {
        *self.state.borrow()
    }

    /// Follows [`Channel::state`].
    #[must_use]
    pub fn watch_state(&self) -> watch::Receiver<ChannelState> {
        self.state.subscribe()
    }

    /// Changes the state. A closed channel stays closed.
    pub fn enter_state(&self, next: ChannelState) {
        self.state.send_if_modified(|state| {
            let is_news = *state != next && *state != ChannelState::Closed;
            if is_news {
                *state = next;
            }
            is_news
        });
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("id", &self.id).field("state", &self.state()).finish_non_exhaustive()
    }
}

fn raise(revision: &watch::Sender<u64>) {
    revision.send_modify(|revision| *revision += 1);
}

fn sync_ledgers(registry: &Registry) {
    for channel in registry.by_id.load().values() {
        match channel.ledger.sync() {
            // A sync that failed earlier has been reported.
            Ok(()) | Err(LedgerError::SyncFailed { .. }) => {}
            Err(error) => {
                error!(channel = %channel.id, %error, "the ledger cannot be made durable");
                channel.enter_state(ChannelState::Errored);
                registry.unsynced.send_if_modified(|unsynced| {
                    let is_first = unsynced.is_none();
                    unsynced.get_or_insert_with(|| UnsyncedLedger { channel: channel.id.clone(), error: error.into() });
                    is_first
                });
            }
        }
    }
}
