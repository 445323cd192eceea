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
use frontend_shim::router::Router;
use frontend_shim::tls_identity::TlsIdentity;
use mod_smart::{GroupId, Limits, ReplicaId};
use tokio::sync::oneshot;

use super::join_block::Membership;
use crate::block_catch_up::BlockSource;
use crate::effects::Control;
use crate::embedded::{self, EmbeddedFrontend};
use crate::fault::{Fault, Faults};
use crate::group::{self, GroupHandle, GroupSetup};
use crate::joined::{JoinedChannel, JoinedChannels};
use crate::journal::Durability;
use crate::keys::{NodeKeyring, SigningIdentity, VoteBinding, VoteKey};
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
        Self { setup, groups: Mutex::default() }
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
    pub(super) async fn attach(
        &self,
        (config, ordering): (&ChannelConfig, OrderingGroup),
        membership: &Membership,
        channels: Vec<(ChannelId, Arc<JoinedChannel>)>,
    ) -> anyhow::Result<()> {
        let running = self.groups().get(&ordering.id()).cloned();
        let hosted = match running {
            Some(hosted) => {
                for (id, channel) in &channels {
                    hosted.join(id, channel).await?;
                }
                hosted
            }
            None => {
                let joined = channels.iter().cloned().collect();
                let hosted = Arc::new(self.start(config, ordering, membership, joined).await?);
                self.groups().insert(hosted.id(), Arc::clone(&hosted));
                hosted
            }
        };
        let (Some(frontend), Some(router)) = (&hosted.frontend, &self.setup.router) else { return Ok(()) };
        for (id, channel) in channels {
            frontend.add_channel(Arc::clone(&channel.served))?;
            router.add(id, frontend.as_submit());
        }
        Ok(())
    }

    /// Lets go of a channel: afterwards no group touches its ledger.
    pub(super) async fn detach(&self, group: GroupId, channel: &ChannelId) {
        if let Some(router) = &self.setup.router {
            router.remove(channel);
        }
        let Some(hosted) = self.groups().get(&group).cloned() else { return };
        if let Some(frontend) = &hosted.frontend {
            frontend.remove_channel(channel);
        }
        hosted.leave(channel).await;
    }

    async fn start(
        &self,
        config: &ChannelConfig,
        ordering: OrderingGroup,
        Membership { me, pinned }: &Membership,
        channels: JoinedChannels,
    ) -> anyhow::Result<HostedGroup> {
        let (setup, me, id, view) = (&self.setup, *me, ordering.id(), ordering.view().clone());
        if view.f() == 0 {
            tracing::warn!(replicas = view.n(), "this ordering group tolerates no fault: fewer than four replicas");
        }
        let vote_key = Arc::new(VoteKey::derive(pinned));
        let keyring = Arc::new(keyring(config, &ordering));
        let joined = channels.clone();
        let in_force = move || joined.list().values().map(|channel| channel.served.config()).collect();
        let directory = Arc::new(Directory::following(&ordering, BTreeMap::new(), in_force));
        let (mesh, events) = Mesh::start(MeshSetup {
            group: id,
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
        let group = group::start(GroupSetup {
            me,
            group: Arc::new(ordering.clone()),
            limits: setup.limits.clone(),
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
            faults: setup.faults.clone(),
        });
        let group = group.await.inspect_err(|_| setup.mesh_door.close(id))?;
        tracing::info!(group = %id, replica = %me, of = view.n(), "hosting an ordering group");
        let frontend = match &setup.router {
            None => None,
            Some(_) => {
                let host = Arc::clone(&group.sessions);
                let started = embedded::start((me, ordering), (&setup.mesh_identity, directory), host, &mesh);
                Some(started.context("embedded frontend")?)
            }
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

fn keyring(config: &ChannelConfig, ordering: &OrderingGroup) -> NodeKeyring {
    let key = |consenter: &fabric_channel::Consenter| match &consenter.identity {
        Some(identity) => identity.certificate.public_key().clone(),
        None => consenter.server_tls_cert.public_key().clone(),
    };
    let pins = ordering.consenters().iter().map(key).collect();
    let authorities = config.msps().iter().filter(|msp| config.is_orderer_msp(msp.id())).cloned();
    NodeKeyring::new(ordering.id(), pins, authorities.collect())
}
