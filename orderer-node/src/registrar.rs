//! The channels of this node: joined, followed, ordered and removed while it runs, as `osnadmin` asks (contract, section 5).
//!
//! ```text
//! join from block 0, consenter -----------------------------> active consenter
//! join from a later block ---> onboarding --- consenter? ---> active consenter
//!                                         \-- otherwise ----> active follower
//! removed: pending -> gone; may be joined again
//! ```
//! A join block is durable before the join is answered, and a removal before it begins, so a crash at any step goes on
//! where it stopped. One change is made at a time; looking waits for none.

mod follower;
mod hosting;
mod info;
mod join_block;
mod store;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use fabric_channel::ChannelConfig;
use fabric_proto::ChannelId;
use frontend_shim::channels::Channels;
use frontend_shim::ledger::{Ledger, LedgerError};
use frontend_shim::tls_identity::TlsIdentity;
use mod_smart::GroupId;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use self::follower::{Follower, Outcome};
pub use self::hosting::{HostedGroup, Hosting, HostingSetup};
use self::join_block::{JoinBlock, Membership, OurKeys, config_in_force, group_of, signature_style};
use self::store::{JoinStore, Kept};
use crate::joined::JoinedChannel;
use crate::keys::SigningKey;
use crate::participation::{ChannelInfo, ConsensusRelation, JoinError, RemoveError};

/// What a registrar begins with.
#[derive(Debug)]
pub struct RegistrarSetup {
    /// Where everything of this node lies.
    pub data_dir: PathBuf,
    /// The key of our TLS certificate, if it is of a kind that can pin a consenter.
    pub tls_key: Option<Arc<SigningKey>>,
    /// What we show to orderers that blocks are pulled from; without it they are reached in the clear.
    pub tls: Option<TlsIdentity>,
    /// The channels that clients see.
    pub channels: Channels,
    /// What groups are hosted with.
    pub hosting: HostingSetup,
}

/// The channels of this node. Clones share them.
#[derive(Clone, Debug)]
pub struct Registrar(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    data_dir: PathBuf,
    keys: OurKeys,
    tls: Option<TlsIdentity>,
    channels: Channels,
    hosting: Hosting,
    store: JoinStore,
    entries: Mutex<BTreeMap<ChannelId, Entry>>,
    /// Held by whoever changes what is joined.
    change: tokio::sync::Mutex<()>,
}

/// What a channel is here.
#[derive(Debug)]
enum Entry {
    Consenter {
        group: GroupId,
        ledger: Arc<Ledger>,
    },
    Follower {
        following: Following,
        _task: AbortOnDropHandle<()>,
    },
    /// Its blocks are here, and it is being taken up in another way than before.
    Changing {
        relation: ConsensusRelation,
        height: u64,
    },
    Failed {
        relation: ConsensusRelation,
        height: u64,
    },
    Removing,
}

/// How far a channel that is followed has come.
#[derive(Clone, Debug)]
struct Following {
    relation: ConsensusRelation,
    /// The number of the join block: onboarding ends with it.
    join_number: u64,
    ledger: Arc<Ledger>,
}

impl Registrar {
    /// Takes up what was joined before: every group once, with all channels of it, then the channels that are followed.
    ///
    /// # Errors
    /// The data folder cannot be used. A single channel that cannot be taken up is reported and shown as failed.
    pub async fn start(setup: RegistrarSetup) -> anyhow::Result<Self> {
        let RegistrarSetup { data_dir, tls_key, tls, channels, hosting } = setup;
        let keys = OurKeys { identity: Arc::clone(&hosting.identity), tls: tls_key };
        let (store, kept) = JoinStore::open(&data_dir.join(JOINED))?;
        let registrar = Self(Arc::new(Inner {
            data_dir,
            keys,
            tls,
            channels,
            hosting: Hosting::new(hosting),
            store,
            entries: Mutex::default(),
            change: tokio::sync::Mutex::default(),
        }));
        registrar.0.finish_removals(&kept)?;
        registrar.0.take_up(kept.joined).await?;
        Ok(registrar)
    }

    /// The groups at work.
    #[must_use]
    pub fn hosting(&self) -> &Hosting {
        &self.0.hosting
    }

    /// The channels that are joined, in the order of their names.
    #[must_use]
    pub fn list(&self) -> Vec<ChannelId> {
        self.0.entries().keys().cloned().collect()
    }

    /// What a channel is here.
    #[must_use]
    pub fn info(&self, id: &ChannelId) -> Option<ChannelInfo> {
        self.0.entries().get(id).map(|entry| entry.info(id))
    }

    /// Joins the channel of this config block.
    ///
    /// # Errors
    /// [`JoinError`]; nothing has changed then.
    pub async fn join(&self, block: Bytes) -> Result<ChannelInfo, JoinError> {
        let inner = &self.0;
        let join = JoinBlock::decode(block).map_err(JoinError::Refused)?;
        let id = join.config.channel_id().clone();
        let _change = inner.change.lock().await;
        match inner.entries().get(&id) {
            None => {}
            Some(Entry::Removing) => return Err(JoinError::PendingRemoval),
            Some(_) => return Err(JoinError::AlreadyExists),
        }
        inner.join(&id, join).await.map_err(|error| JoinError::Refused(format!("{error:#}")))
    }

    /// Removes a channel and its blocks from this node. What its group orders goes on at the other nodes.
    ///
    /// # Errors
    /// [`RemoveError`]; after one of the disk the removal goes on at the next start.
    pub async fn remove(&self, id: &ChannelId) -> Result<(), RemoveError> {
        let inner = &self.0;
        let _change = inner.change.lock().await;
        let entry = {
            let mut entries = inner.entries();
            match entries.get(id) {
                None => return Err(RemoveError::NotFound),
                Some(Entry::Removing) => return Err(RemoveError::PendingRemoval),
                Some(_) => entries.insert(id.clone(), Entry::Removing),
            }
        };
        inner.remove(id, entry).await.map_err(|error| RemoveError::Failed(format!("{error:#}")))
    }
}

impl Inner {
    fn entries(&self) -> MutexGuard<'_, BTreeMap<ChannelId, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ledger_dir(&self, id: &ChannelId) -> PathBuf {
        self.data_dir.join("ledger").join(id.as_str())
    }

    /// Takes up the channels that were joined before the node started. Recovery of a group needs all of its channels at
    /// once.
    async fn take_up(self: &Arc<Self>, joined: Vec<(ChannelId, Bytes)>) -> anyhow::Result<()> {
        let _change = self.change.lock().await;
        let mut groups: BTreeMap<GroupId, Vec<Ready>> = BTreeMap::new();
        for (id, block) in joined {
            let join = match JoinBlock::decode(block) {
                Ok(join) => join,
                Err(why) => {
                    tracing::error!(channel = %id, why, "the join block that was kept cannot be read");
                    self.fail(&id, ConsensusRelation::Other);
                    continue;
                }
            };
            match self.prepare(join, 0) {
                Ok(Prepared::Consenter(ready)) => groups.entry(ready.group.id()).or_default().push(*ready),
                Ok(Prepared::Follower(follower)) => self.follow(*follower),
                Err(error) => {
                    // The others go on without it; what it lacks then is fetched when it can be taken up again.
                    tracing::error!(channel = %id, error = format!("{error:#}"), "the channel cannot be taken up");
                    self.fail(&id, ConsensusRelation::Other);
                }
            }
        }
        for ready in groups.into_values() {
            self.attach(ready).await?;
        }
        Ok(())
    }

    async fn join(self: &Arc<Self>, id: &ChannelId, join: JoinBlock) -> anyhow::Result<ChannelInfo> {
        let had_ledger = self.ledger_dir(id).exists();
        self.store.keep(id, &join.encoded).context("cannot keep the join block")?;
        if let Err(error) = self.enter(join, 0).await {
            self.undo_join(id, had_ledger).await?;
            return Err(error);
        }
        self.entries().get(id).map(|entry| entry.info(id)).context("the channel was removed while it was joined")
    }

    async fn remove(&self, id: &ChannelId, entry: Option<Entry>) -> anyhow::Result<()> {
        self.store.begin_removal(id).context("cannot note the removal")?;
        tracing::info!(channel = %id, "removing the channel");
        self.leave(id, entry).await;
        self.finish_removal(id)?;
        self.entries().remove(id);
        Ok(())
    }

    /// Enters a channel whose join block is kept. At the next attempt to follow it another source comes first.
    async fn enter(self: &Arc<Self>, join: JoinBlock, attempt: usize) -> anyhow::Result<()> {
        match self.prepare(join, attempt)? {
            Prepared::Consenter(ready) => self.attach(vec![*ready]).await,
            Prepared::Follower(follower) => {
                self.follow(*follower);
                Ok(())
            }
        }
    }

    /// Opens the ledger of a channel, and decides by what it holds whether this node orders or follows it.
    fn prepare(&self, join: JoinBlock, attempt: usize) -> anyhow::Result<Prepared> {
        let id = join.config.channel_id();
        let ledger = self.open_ledger(id)?;
        if join.number == 0 {
            match ledger.read(0)? {
                None => ledger.append(0, join.encoded.clone())?,
                Some(stored) => anyhow::ensure!(
                    stored.encoded == join.encoded,
                    "the ledger of channel {id} began with another genesis block than the one joined"
                ),
            }
        }
        let ledger = Arc::new(ledger);
        let in_force = if ledger.height() > join.number { config_in_force(&ledger)? } else { None };
        if let Some(config) = in_force {
            let group = group_of(&config).map_err(anyhow::Error::msg)?;
            if let Some(membership) = self.keys.membership(&group) {
                return Ok(Prepared::Consenter(Box::new(Ready { config, group, membership, ledger })));
            }
        }
        let (keys, tls) = (self.keys.clone(), self.tls.clone());
        Ok(Prepared::Follower(Box::new(Follower { join, ledger, keys, tls, attempt })))
    }

    /// Opens the ledger of a channel. One that is damaged is set aside whole, for none of it can be relied on: its blocks are
    /// fetched from other nodes then, as after the loss of a disk.
    fn open_ledger(&self, id: &ChannelId) -> anyhow::Result<Ledger> {
        let dir = self.ledger_dir(id);
        match Ledger::open(&dir) {
            Err(damage @ LedgerError::Damaged { .. }) => {
                let to = self.set_ledger_aside(id, DAMAGED)?;
                let (damage, to) = (damage.to_string(), to.display());
                tracing::error!(channel = %id, damage, "the ledger is damaged; it was moved to {to}, and its blocks are fetched from other nodes");
                Ok(Ledger::open(&dir)?)
            }
            opened => Ok(opened?),
        }
    }

    /// Orders these channels, all of one group, from now on.
    async fn attach(&self, ready: Vec<Ready>) -> anyhow::Result<()> {
        let Some(Ready { config, group, membership, .. }) = ready.first() else { return Ok(()) };
        let (config, group, membership) = (config.clone(), group.clone(), membership.clone());
        let mut entered = Vec::new();
        for Ready { config, group, membership, ledger } in ready {
            let id = config.channel_id().clone();
            let genesis = ledger.read(0)?.context("a ledger without a first block")?.encoded.clone();
            let channel = JoinedChannel {
                style: signature_style(&config, &group, membership.me),
                served: self.channels.add(config, Arc::clone(&ledger))?,
                ledger: Arc::clone(&ledger),
                genesis,
                open: watch::Sender::new(false),
            };
            self.entries().insert(id.clone(), Entry::Consenter { group: group.id(), ledger });
            entered.push((id, Arc::new(channel)));
        }
        self.hosting.attach((&config, group), &membership, entered).await
    }

    /// Follows a channel from now on. When the configuration names this node, it is ordered here.
    fn follow(self: &Arc<Self>, follower: Follower) {
        let id = follower.join.config.channel_id().clone();
        let is_member = group_of(&follower.join.config).is_ok_and(|group| self.keys.membership(&group).is_some());
        let following = Following {
            relation: if is_member { ConsensusRelation::Consenter } else { ConsensusRelation::Follower },
            join_number: follower.join.number,
            ledger: Arc::clone(&follower.ledger),
        };
        tracing::info!(channel = %id, relation = ?following.relation, join_block = following.join_number,
            height = following.ledger.height(), "following the channel");
        let (inner, join) = (Arc::downgrade(self), follower.join.clone());
        let task = tokio::spawn(follow_to_the_end(inner, join, follower));
        let task = AbortOnDropHandle::new(task);
        self.entries().insert(id, Entry::Follower { following, _task: task });
    }

    /// It stays at the height it has.
    fn fail(&self, id: &ChannelId, relation: ConsensusRelation) {
        let mut entries = self.entries();
        let height = entries.get(id).map_or(0, |entry| entry.info(id).height);
        entries.insert(id.clone(), Entry::Failed { relation, height });
    }

    /// Lets everything go that works on a channel.
    async fn leave(&self, id: &ChannelId, entry: Option<Entry>) {
        // Ends streams, and with them whoever pushes or reads.
        self.channels.remove(id);
        if let Some(Entry::Consenter { group, .. }) = entry {
            self.hosting.detach(group, id).await;
        }
    }

    /// Leaves nothing of a join that failed; blocks that were here before it are not its own.
    async fn undo_join(&self, id: &ChannelId, had_ledger: bool) -> anyhow::Result<()> {
        let entry = self.entries().remove(id);
        self.leave(id, entry).await;
        if had_ledger {
            return Ok(self.store.forget(id)?);
        }
        self.store.begin_removal(id)?;
        self.finish_removal(id)
    }

    fn finish_removals(&self, kept: &Kept) -> anyhow::Result<()> {
        let dir = self.data_dir.join(REMOVED);
        if dir.exists() {
            std::fs::remove_dir_all(&dir).with_context(|| format!("cannot empty {}", dir.display()))?;
        }
        kept.removing.iter().try_for_each(|id| self.finish_removal(id))
    }

    /// Deletes the blocks of a channel. They are moved aside first, so that the place is free for a channel of the same name
    /// even while somebody still reads from an open file.
    fn finish_removal(&self, id: &ChannelId) -> anyhow::Result<()> {
        self.throw_away_ledger(id)?;
        Ok(self.store.end_removal(id)?)
    }

    fn throw_away_ledger(&self, id: &ChannelId) -> anyhow::Result<()> {
        if !self.ledger_dir(id).exists() {
            return Ok(());
        }
        let to = self.set_ledger_aside(id, REMOVED)?;
        std::fs::remove_dir_all(&to).with_context(|| format!("cannot delete {}", to.display()))
    }

    /// Moves the ledger of a channel to a folder of its own below this one.
    fn set_ledger_aside(&self, id: &ChannelId, folder: &str) -> anyhow::Result<PathBuf> {
        let (from, aside) = (self.ledger_dir(id), self.data_dir.join(folder));
        std::fs::create_dir_all(&aside).with_context(|| format!("cannot create {}", aside.display()))?;
        let to = unused_name(&aside, id);
        std::fs::rename(&from, &to).with_context(|| format!("cannot move {} aside", from.display()))?;
        Ok(to)
    }

    /// What was pulled is another chain than the join block's: begins again with an empty ledger.
    async fn begin_again(self: &Arc<Self>, join: JoinBlock, attempt: usize) -> anyhow::Result<()> {
        let id = join.config.channel_id().clone();
        let _change = self.change.lock().await;
        if !matches!(self.entries().get(&id), Some(Entry::Follower { .. })) {
            return Ok(());
        }
        self.throw_away_ledger(&id)?;
        self.enter(join, attempt).await
    }

    /// A channel that was followed is ordered from now on.
    async fn promote(self: &Arc<Self>, join: JoinBlock) -> anyhow::Result<()> {
        let id = join.config.channel_id().clone();
        let _change = self.change.lock().await;
        // The ledger is opened again, so whoever holds it has to let go of it first.
        let height = match self.entries().get(&id) {
            Some(Entry::Follower { following, .. }) => following.ledger.height(),
            _ => return Ok(()),
        };
        let changing = Entry::Changing { relation: ConsensusRelation::Consenter, height };
        self.entries().insert(id, changing);
        self.enter(join, 0).await
    }
}

/// A channel that this node orders.
struct Ready {
    config: ChannelConfig,
    group: frontend_shim::group::OrderingGroup,
    membership: Membership,
    ledger: Arc<Ledger>,
}

enum Prepared {
    Consenter(Box<Ready>),
    Follower(Box<Follower>),
}

async fn follow_to_the_end(registrar: Weak<Inner>, join: JoinBlock, follower: Follower) {
    let (id, attempt) = (join.config.channel_id().clone(), follower.attempt);
    let outcome = follower.run().await;
    let Some(inner) = registrar.upgrade() else { return };
    // Beside this task, which ends when its entry is replaced.
    tokio::spawn(async move {
        let done = match outcome {
            Ok(Outcome::IsConsenter) => {
                tracing::info!(channel = %id, "this node is a consenter of the channel and has its blocks: it takes part");
                inner.promote(join).await
            }
            Ok(Outcome::OtherChain { source }) => {
                tracing::error!(channel = %id, source, attempt, "the chain pulled here is not that of the join block; begins again");
                tokio::time::sleep(pause_before(attempt)).await;
                inner.begin_again(join, attempt + 1).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            tracing::error!(channel = %id, error = format!("{error:#}"), "the channel cannot be followed");
            inner.fail(&id, ConsensusRelation::Follower);
        }
    });
}

/// Somebody lies, or the administrator joined with a block of another chain: neither ends by hurrying.
fn pause_before(attempt: usize) -> Duration {
    Duration::from_secs(1 << attempt.min(6))
}

/// A name below `dir` that nothing has yet.
fn unused_name(dir: &Path, id: &ChannelId) -> PathBuf {
    let free = (0_u64..).map(|number| dir.join(format!("{id}.{number}"))).find(|path| !path.exists());
    free.unwrap_or_else(|| dir.join(id.as_str()))
}

/// The folder of join blocks.
const JOINED: &str = "joined";

/// Where damaged ledgers are kept, for whoever wants to know what happened.
const DAMAGED: &str = "damaged";

/// Where ledgers are moved before they are deleted.
const REMOVED: &str = "removed";
