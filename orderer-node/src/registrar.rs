//! The channels of this node: joined, followed, ordered and removed while it runs, as `osnadmin` asks (contract, section 5).
//!
//! ```text
//! join from block 0, consenter -----------------------------> active consenter
//! join from a later block ---> onboarding --- consenter? ---> active consenter
//!                                         \-- otherwise ----> active follower
//! active consenter --- the channel moves to other consenters ---> active consenter of another group, or follower
//! removed: pending -> gone; may be joined again
//! a chain that an orderer of Fabric left here ---> as one that is joined from block 0, at start
//! ```
//! A join block is durable before the join is answered, and a removal before it begins, so a crash at any step goes on
//! where it stopped. One change is made at a time; looking waits for none.

mod belief;
mod destinations;
mod follower;
mod hosting;
mod info;
mod join_block;
mod kept_settings;
mod ledgers;
mod store;
mod succession;
mod takeover;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use fabric_proto::ChannelId;
use frontend_shim::channels::{Channel, Channels};
use frontend_shim::eras::{Era, era_of, eras};
use frontend_shim::group::OrderingGroup;
use frontend_shim::ledger::Ledger;
use frontend_shim::tls_identity::TlsIdentity;
use mod_smart::GroupId;
use tokio_util::task::AbortOnDropHandle;

use self::follower::{Follower, Outcome};
use self::hosting::{Arrival, Joining};
pub use self::hosting::{HostedGroup, Hosting, HostingSetup};
use self::join_block::{JoinBlock, Membership, OurKeys, group_of};
use self::store::JoinStore;
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
    /// How long it took at this start to copy what an orderer of Fabric left.
    took_over_in: OnceLock<Duration>,
    /// Held by whoever changes what is joined.
    change: tokio::sync::Mutex<()>,
}

/// What a channel is here.
#[derive(Debug)]
enum Entry {
    Consenter {
        group: GroupId,
        channel: Arc<JoinedChannel>,
        /// Wait for the channel to move, and for the group to go on with one that was taken over.
        _tasks: Vec<AbortOnDropHandle<()>>,
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
        let (store, mut kept) = JoinStore::open(&data_dir.join(JOINED))?;
        let registrar = Self(Arc::new(Inner {
            data_dir,
            keys,
            tls,
            channels,
            hosting: Hosting::new(hosting),
            store,
            entries: Mutex::default(),
            took_over_in: OnceLock::new(),
            change: tokio::sync::Mutex::default(),
        }));
        registrar.0.finish_removals(&kept)?;
        let inner = Arc::clone(&registrar.0);
        let taking_over = tokio::task::spawn_blocking(move || inner.take_over(&mut kept).map(|()| kept));
        let kept = taking_over.await.context("taking over chains")??;
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

    /// Takes up the channels that were joined before the node started. Recovery of a group needs all of its channels at
    /// once, those that have moved away included. A group that orders none of them any more works on: there may be something
    /// left over in it, and members who come late.
    async fn take_up(self: &Arc<Self>, joined: Vec<(ChannelId, Bytes)>) -> anyhow::Result<()> {
        let _change = self.change.lock().await;
        let mut groups: BTreeMap<GroupId, Joining> = BTreeMap::new();
        for (id, block) in joined {
            let prepared = match JoinBlock::decode(block).map_err(anyhow::Error::msg) {
                Ok(join) => self.prepare_from_disk(join),
                Err(error) => Err(error.context("the join block that was kept cannot be read")),
            };
            let (former, channel) = match prepared {
                Ok(Prepared::Consenter(ready)) => {
                    let former = ready.former.clone();
                    let (joining, channel) = self.enter_consenter(*ready, Arrival::Here)?;
                    add_to(&mut groups, joining);
                    (former, Some(channel))
                }
                Ok(Prepared::Follower(follower, former)) => {
                    self.follow(*follower);
                    (former, None)
                }
                Err(error) => {
                    // The others go on without it; what it lacks then is fetched when it can be taken up again.
                    tracing::error!(channel = %id, error = format!("{error:#}"), "the channel cannot be taken up");
                    self.fail(&id, ConsensusRelation::Other);
                    continue;
                }
            };
            for era in former {
                if let Some(joining) = self.rejoin_former(&id, &era, channel.as_deref()) {
                    add_to(&mut groups, joining);
                }
            }
        }
        for joining in groups.into_values() {
            self.hosting.attach(joining).await?;
        }
        self.hosting.on_all_attached();
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
        self.spend_mark(id)?;
        self.store.begin_removal(id).context("cannot note the removal")?;
        tracing::info!(channel = %id, "removing the channel");
        self.leave(id, entry).await;
        self.finish_removal(id)?;
        self.entries().remove(id);
        Ok(())
    }

    /// Enters a channel whose join block is kept. At the next attempt to follow it another source comes first.
    async fn enter(self: &Arc<Self>, join: JoinBlock, attempt: usize) -> anyhow::Result<()> {
        let ledger = Arc::new(self.open_ledger(join.config.channel_id())?);
        let prepared = self.prepare(join, attempt, ledger)?;
        self.go_on(prepared, Arrival::Here, None).await
    }

    /// Orders or follows a channel from now on. `served` is how clients have seen it so far.
    async fn go_on(
        self: &Arc<Self>,
        prepared: Prepared,
        arrival: Arrival,
        served: Option<Arc<Channel>>,
    ) -> anyhow::Result<()> {
        match prepared {
            Prepared::Consenter(mut ready) => {
                ready.served = served;
                let (joining, _) = self.enter_consenter(*ready, arrival)?;
                self.hosting.attach(joining).await
            }
            Prepared::Follower(follower, _) => {
                self.follow(*follower);
                Ok(())
            }
        }
    }

    fn prepare_from_disk(&self, join: JoinBlock) -> anyhow::Result<Prepared> {
        let ledger = Arc::new(self.open_ledger(join.config.channel_id())?);
        self.prepare(join, 0, ledger)
    }

    /// Decides by what the ledger of a channel holds whether this node orders or follows it.
    fn prepare(&self, join: JoinBlock, attempt: usize, ledger: Arc<Ledger>) -> anyhow::Result<Prepared> {
        let id = join.config.channel_id();
        if join.number == 0 {
            match ledger.read(0)? {
                None => ledger.append(0, join.encoded.clone())?,
                Some(stored) => anyhow::ensure!(
                    stored.encoded() == join.encoded,
                    "the ledger of channel {id} began with another genesis block than the one joined"
                ),
            }
        }
        let mut former = Vec::new();
        if ledger.height() > join.number {
            let mut all = eras(&ledger)?;
            // As long as its last block lacks its certificate, the group before has work to do.
            let next = if self.hosting.collects() { ledger.certified_height() } else { ledger.height() };
            let moves = era_of(&all, next.max(1)).map_or(0, |era| era.moves);
            all.retain(|era| era.moves <= moves);
            let era = all.pop().context("a chain without a configuration")?;
            former = all;
            let group = era.group(self.hosting.settings())?;
            if let Some(membership) = self.keys.membership(&group) {
                return Ok(Prepared::Consenter(Box::new(Ready {
                    era,
                    group,
                    membership,
                    ledger,
                    former,
                    served: None,
                })));
            }
            former.push(era);
        }
        let (keys, tls) = (self.keys.clone(), self.tls.clone());
        Ok(Prepared::Follower(Box::new(Follower { join, ledger, keys, tls, attempt }), former))
    }

    /// Follows a channel from now on. When the configuration names this node, it is ordered here.
    fn follow(self: &Arc<Self>, follower: Follower) {
        let id = follower.join.config.channel_id().clone();
        // Once the join block is here it is what came after it that counts, and made this node a follower.
        let is_onboarding = follower.ledger.height() <= follower.join.number;
        let is_member =
            is_onboarding && group_of(&follower.join.config).is_ok_and(|group| self.keys.membership(&group).is_some());
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
        drop(entry);
        // Ends streams, and with them whoever pushes or reads.
        self.channels.remove(id);
        self.hosting.detach(id).await;
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
        let ledger = match self.entries().get(&id) {
            Some(Entry::Follower { following, .. }) => Arc::clone(&following.ledger),
            _ => return Ok(()),
        };
        let changing = Entry::Changing { relation: ConsensusRelation::Consenter, height: ledger.height() };
        self.entries().insert(id, changing);
        let prepared = self.prepare(join, 0, ledger)?;
        self.go_on(prepared, Arrival::Here, None).await
    }
}

/// A channel that this node orders.
struct Ready {
    /// The stretch of its chain that is being ordered.
    era: Era,
    group: OrderingGroup,
    membership: Membership,
    ledger: Arc<Ledger>,
    /// The stretches before it.
    former: Vec<Era>,
    /// How clients have seen it so far.
    served: Option<Arc<Channel>>,
}

enum Prepared {
    Consenter(Box<Ready>),
    /// With the stretches of its chain that this node may have ordered.
    Follower(Box<Follower>, Vec<Era>),
}

/// Channels of one group come to it together.
fn add_to(groups: &mut BTreeMap<GroupId, Joining>, joining: Joining) {
    match groups.entry(joining.group.id()) {
        std::collections::btree_map::Entry::Occupied(mut known) => known.get_mut().add(joining),
        std::collections::btree_map::Entry::Vacant(place) => drop(place.insert(joining)),
    }
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

/// The folder of join blocks.
const JOINED: &str = "joined";
