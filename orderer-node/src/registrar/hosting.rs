//! The ordering groups that this process hosts: started when the first channel of one is joined, shared by all channels of
//! the same consenters.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use blockcutter::Verification;
use fabric_channel::ChannelConfig;
use fabric_proto::ChannelId;
use frontend_shim::directory::Directory;
use frontend_shim::group::OrderingGroup;
use frontend_shim::group_settings::GroupSettings;
use frontend_shim::router::Router;
use frontend_shim::tls_identity::TlsIdentity;
use mod_smart::{GroupId, Limits, ReplicaId};
use tokio::sync::oneshot;

use super::destinations::ChannelDestinations;
use super::join_block::Membership;
use super::kept_settings;
use crate::block_catch_up::BlockSource;
use crate::effects::Control;
use crate::embedded::{self, EmbeddedFrontend};
use crate::fault::{Fault, Faults};
use crate::group::{self, GroupHandle, GroupSetup};
use crate::joined::{JoinedChannel, JoinedChannels};
use crate::journal::Durability;
use crate::keys::{NodeKeyring, SigningIdentity, VoteBinding, VoteKey};
use crate::left_over;
use crate::mesh::{Mesh, MeshDoor, MeshHandle, MeshLimits, MeshSetup};
use crate::sessions::SessionHost;
use crate::work_pool::WorkPool;

/// What every group of this process works with.
#[derive(Debug)]
pub struct HostingSetup {
    /// Signs blocks.
    pub identity: Arc<SigningIdentity>,
    /// Shown to other nodes when this one connects to them.
    pub mesh_identity: TlsIdentity,
    /// Where nodes are dialled that are not where the channels' configurations say.
    pub addresses: BTreeMap<String, String>,
    /// Journals and checkpoints live in folders below this one,
    pub dir: PathBuf,
    /// journals in folders below this one if there is one.
    pub journal_dir: Option<PathBuf>,
    /// Whether journals wait for the disk.
    pub durability: Durability,
    /// How far frontends are relied on.
    pub verification: Verification,
    /// Limits of the protocol.
    pub limits: Limits,
    /// What the members of groups share.
    pub settings: GroupSettings,
    /// Checks what comes in.
    pub verify: WorkPool,
    /// Signs.
    pub sign: WorkPool,
    /// Where links of other replicas come in.
    pub mesh_door: MeshDoor,
    /// Where the envelopes of clients are sent; none if this node serves no clients.
    pub router: Option<Arc<Router>>,
    /// Where faults go.
    pub faults: Faults,
}

/// The groups at work.
#[derive(Debug)]
pub struct Hosting {
    setup: HostingSetup,
    groups: Mutex<BTreeMap<GroupId, Arc<HostedGroup>>>,
    destinations: ChannelDestinations,
}

/// Channels that come to a group.
#[derive(Debug)]
pub(super) struct Joining {
    /// The configuration of one of them.
    pub(super) config: ChannelConfig,
    /// The group.
    pub(super) group: OrderingGroup,
    /// Our place in it.
    pub(super) membership: Membership,
    /// The channels that it orders.
    pub(super) channels: Vec<(ChannelId, Arc<JoinedChannel>)>,
    /// Channels that it ordered before they moved: their blocks are read by members who come late.
    pub(super) former: Vec<(ChannelId, Arc<JoinedChannel>)>,
    /// Whether envelopes wait for it.
    pub(super) arrival: Arrival,
}

/// What clients see of a channel that comes to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It is served, and refuses envelopes until enough members are in reach.
    Here,
    /// It was served by another group just now: its envelopes wait until enough members are in reach.
    Moving,
}

/// One group at work.
#[derive(Debug)]
pub struct HostedGroup {
    /// Our place in it.
    pub me: ReplicaId,
    /// Its links.
    pub mesh: MeshHandle,
    /// Its tasks.
    pub group: GroupHandle,
    /// The frontend of our own clients.
    pub frontend: Option<EmbeddedFrontend>,
}

impl Hosting {
    pub(super) fn new(setup: HostingSetup) -> Self {
        Self { setup, groups: Mutex::default(), destinations: ChannelDestinations::default() }
    }

    /// The groups at work, in the order of their ids.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<HostedGroup>> {
        self.groups().values().cloned().collect()
    }

    /// What sessions of frontends and readers of blocks are served by.
    #[must_use]
    pub fn session_hosts(&self) -> Vec<Arc<SessionHost>> {
        self.groups().values().map(|hosted| Arc::clone(&hosted.group.sessions)).collect()
    }

    /// Takes these channels of one group in, and starts the group if it does not run yet.
    ///
    /// # Errors
    /// The group cannot be started, or a channel does not fit what it has ordered; the channels before that one are in.
    pub(super) async fn attach(&self, joining: Joining) -> anyhow::Result<()> {
        let Joining { config, group: ordering, membership, channels, former, arrival } = joining;
        let running = self.groups().get(&ordering.id()).cloned();
        let hosted = match running {
            Some(hosted) => {
                for (id, channel) in channels.iter().chain(&former) {
                    hosted.join(id, channel).await?;
                }
                hosted
            }
            None => {
                let joined = channels.iter().chain(&former).cloned().collect();
                let hosted = Arc::new(self.start(&config, ordering, &membership, joined).await?);
                self.groups().insert(hosted.id(), Arc::clone(&hosted));
                hosted
            }
        };
        let Some(frontend) = &hosted.frontend else { return Ok(()) };
        for (id, channel) in channels {
            // Without clients of its own a node has no use for certificates.
            if self.collects() {
                frontend.add_channel(Arc::clone(&channel.served))?;
            }
            self.destinations.set(id.clone(), hosted.id(), frontend.as_submit());
            let Some(router) = &self.setup.router else { continue };
            match arrival {
                Arrival::Here => router.add(id, frontend.as_submit()),
                Arrival::Moving => {
                    router.hold(id.clone());
                    tokio::spawn(self.destinations.clone().route(
                        id,
                        hosted.id(),
                        frontend.clone(),
                        Arc::clone(router),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Are certificates collected here?
    pub(super) const fn collects(&self) -> bool {
        self.setup.router.is_some()
    }

    /// The group, if it is at work.
    pub(super) fn find(&self, group: GroupId) -> Option<Arc<HostedGroup>> {
        self.groups().get(&group).cloned()
    }

    /// Has this group ever worked here?
    pub(super) fn has_worked(&self, group: GroupId) -> bool {
        kept_settings::is_known(&self.setup.dir, group)
    }

    /// What the members of groups share.
    pub(super) const fn settings(&self) -> &GroupSettings {
        &self.setup.settings
    }

    /// Every channel that was joined before the node started is in.
    pub(super) fn on_all_attached(&self) {
        self.destinations.complete();
    }

    /// The envelopes of a channel that moves to another group wait from now on, and no more of its blocks are collected in
    /// its old one. Other members may still read them there.
    pub(super) fn let_move(&self, group: GroupId, channel: &ChannelId) {
        if let Some(router) = &self.setup.router {
            router.hold(channel.clone());
        }
        let hosted = self.groups().get(&group).cloned();
        if let Some(frontend) = hosted.as_ref().and_then(|hosted| hosted.frontend.as_ref()) {
            frontend.remove_channel(channel);
        }
    }

    /// Lets go of a channel: afterwards no group touches its ledger.
    pub(super) async fn detach(&self, channel: &ChannelId) {
        if let Some(router) = &self.setup.router {
            router.remove(channel);
        }
        self.destinations.remove(channel);
        for hosted in self.list() {
            if let Some(frontend) = &hosted.frontend {
                frontend.remove_channel(channel);
            }
            hosted.leave(channel).await;
        }
    }

    async fn start(
        &self,
        config: &ChannelConfig,
        ordering: OrderingGroup,
        Membership { me, pinned }: &Membership,
        channels: JoinedChannels,
    ) -> anyhow::Result<HostedGroup> {
        let (setup, me, id, view) = (&self.setup, *me, ordering.id(), ordering.view().clone());
        let is_successor = ordering.moves() > 0;
        if view.f() == 0 {
            tracing::warn!(replicas = view.n(), "this ordering group tolerates no fault: fewer than four replicas");
        }
        if let Some(misfit) = ordering.misfit() {
            tracing::warn!(group = %id, "this ordering group has no weights: {misfit}");
        }
        kept_settings::keep(&setup.dir, &ordering)?;
        let vote_key = Arc::new(VoteKey::derive(pinned));
        let keyring = Arc::new(keyring(config, &ordering));
        let joined = channels.clone();
        let in_force = move || joined.list().values().map(|channel| channel.served.config()).collect();
        let directory = Arc::new(Directory::following(&ordering, setup.addresses.clone(), in_force));
        let (mesh, events) = Mesh::start(MeshSetup {
            group: id,
            terms: ordering.terms(),
            me,
            identity: setup.mesh_identity.clone(),
            binding: VoteBinding::sign(id, me, &vote_key, pinned),
            peers: view.replicas().filter(|replica| *replica != me).collect(),
            directory: Arc::clone(&directory),
            keyring: Arc::clone(&keyring),
            limits: MeshLimits::default(),
        })?;
        setup.mesh_door.open(&mesh);
        let name = hex::encode(id.0);
        let dir = setup.dir.join(&name);
        let (left_overs, queue) = left_over::left_overs();
        tokio::spawn(left_over::pass_on(queue, id, Arc::new(self.destinations.clone())));
        let group = group::start(GroupSetup {
            me,
            group: Arc::new(ordering.clone()),
            limits: limits_of(&setup.limits, ordering.settings()),
            journal_dir: setup
                .journal_dir
                .as_ref()
                .map_or_else(|| dir.join("journal"), |journals| journals.join(&name)),
            dir,
            durability: setup.durability,
            verification: setup.verification,
            channels,
            keyring,
            vote_key,
            identity: Arc::clone(&setup.identity),
            mesh: (mesh.clone(), events),
            sources: BlockSource::of_group(&ordering, me, &setup.mesh_identity, &directory),
            verify: setup.verify.clone(),
            sign: setup.sign.clone(),
            left_overs,
            faults: setup.faults.clone(),
        });
        let group = group.await.inspect_err(|_| setup.mesh_door.close(id))?;
        let settings = ordering.settings();
        tracing::info!(group = %id, replica = %me, of = view.n(), %settings, "hosting an ordering group");
        // What a channel leaves over in its old group is passed on by a frontend of the new one.
        let frontend = if self.collects() || is_successor {
            let host = Arc::clone(&group.sessions);
            let started = embedded::start((me, ordering), (&setup.mesh_identity, directory), host, &mesh);
            Some(started.context("embedded frontend")?)
        } else {
            None
        };
        Ok(HostedGroup { me, mesh, group, frontend })
    }

    fn groups(&self) -> MutexGuard<'_, BTreeMap<GroupId, Arc<HostedGroup>>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HostedGroup {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> GroupId {
        self.group.sessions.view.group()
    }

    /// Does it order no channel of this node, because all have moved or were removed?
    #[must_use]
    pub fn is_resting(&self) -> bool {
        self.group.sessions.channels.list().values().all(|channel| channel.moved.borrow().is_some())
    }

    async fn join(&self, id: &ChannelId, channel: &Arc<JoinedChannel>) -> Result<(), Fault> {
        let (done, joined) = oneshot::channel();
        let join = Control::Join { id: id.clone(), channel: Arc::clone(channel), done };
        self.group.control.send(join).await.map_err(|_| Fault::Ended("effects"))?;
        joined.await.unwrap_or(Err(Fault::Ended("effects")))
    }

    /// A group whose tasks have ended touches nothing any more.
    async fn leave(&self, id: &ChannelId) {
        let (done, left) = oneshot::channel();
        if self.group.control.send(Control::Leave { id: id.clone(), done }).await.is_ok() {
            drop(left.await);
        }
    }
}

/// The limits of a group: what its members share is the same for all of them.
fn limits_of(limits: &Limits, settings: &GroupSettings) -> Limits {
    Limits { instances_open_max: settings.window(), tentative: settings.is_tentative(), ..limits.clone() }
}

fn keyring(config: &ChannelConfig, ordering: &OrderingGroup) -> NodeKeyring {
    let key = |consenter: &fabric_channel::Consenter| match &consenter.identity {
        Some(identity) => identity.certificate.public_key().clone(),
        None => consenter.server_tls_cert.public_key().clone(),
    };
    let pins = ordering.consenters().iter().map(key).collect();
    let authorities = config.msps().iter().filter(|msp| config.is_orderer_msp(msp.id())).cloned();
    NodeKeyring::new(ordering.id(), pins, authorities.collect())
}
