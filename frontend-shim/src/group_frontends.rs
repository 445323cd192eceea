//! The frontends of a process of its own, one for each ordering group, and the channels that move between them.
//!
//! A channel moves when a certified config block names other consenters. Its envelopes wait until enough of the new nodes
//! are in reach; what was acknowledged before is in the hands of the old ones. A frontend without channels ends after a
//! while: until then clients may still hear from it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mod_smart::{GroupId, Limits};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::channels::{Channel, ChannelState, Channels};
use crate::directory::Directory;
use crate::eras::{HistoryError, era_of, eras};
use crate::frame::Bodies;
use crate::frontend::{Frontend, FrontendError, FrontendHandle, FrontendSetup, NodeAddress, NodeEndpoint};
use crate::group::{GroupError, OrderingGroup};
use crate::group_settings::GroupSettings;
use crate::node_limits::SUBMIT_TIMEOUT;
use crate::router::Router;
use crate::tls_identity::TlsIdentity;

/// The frontends at work. Clones share them.
#[derive(Clone)]
pub(crate) struct GroupFrontends(Arc<Shared>);

struct Shared {
    channels: Channels,
    identity: TlsIdentity,
    /// What is dialled in the place of an address of the configuration.
    addresses: BTreeMap<String, String>,
    /// What the members of every group share.
    settings: GroupSettings,
    router: Arc<Router>,
    running: Mutex<BTreeMap<GroupId, FrontendHandle>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Why a channel cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Its ledger does not say who orders it.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// Its consenters cannot be a group.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The side towards the nodes.
    #[error(transparent)]
    Frontend(#[from] FrontendError),
}

impl GroupFrontends {
    pub(crate) fn new(
        channels: Channels,
        identity: TlsIdentity,
        addresses: BTreeMap<String, String>,
        settings: GroupSettings,
        router: Arc<Router>,
    ) -> Self {
        let (running, tasks, stop) = (Mutex::default(), TaskTracker::new(), CancellationToken::new());
        Self(Arc::new(Shared { channels, identity, addresses, settings, router, running, tasks, stop }))
    }

    /// Serves a channel by the group that its ledger names, and follows it to other groups.
    ///
    /// # Errors
    /// [`ServeError`].
    pub(crate) fn serve(&self, channel: &Arc<Channel>) -> Result<(), ServeError> {
        let (group, frontend) = self.0.attach(channel)?;
        self.0.router.add(channel.id().clone(), Arc::new(frontend));
        let (shared, channel) = (Arc::clone(&self.0), Arc::clone(channel));
        self.0.tasks.spawn(async move {
            let stop = shared.stop.clone();
            tokio::select! {
                () = shared.follow(&channel, group) => {}
                () = stop.cancelled() => {}
            }
        });
        Ok(())
    }

    pub(crate) fn list(&self) -> Vec<FrontendHandle> {
        self.0.running().values().cloned().collect()
    }

    /// Ends all of them.
    pub(crate) async fn stop(&self) {
        self.0.stop.cancel();
        for frontend in self.list() {
            frontend.stop().await;
        }
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

impl Shared {
    /// Collects the blocks of a channel with the frontend of its group, which is started if it does not run.
    fn attach(&self, channel: &Arc<Channel>) -> Result<(OrderingGroup, FrontendHandle), ServeError> {
        let eras = eras(channel.ledger())?;
        let era = era_of(&eras, channel.ledger().certified_height().max(1)).ok_or(HistoryError::Missing(0))?;
        let group = era.group(&self.settings)?;
        let frontend = self.frontend_of(&group)?;
        frontend.add_channel(Arc::clone(channel))?;
        Ok((group, frontend))
    }

    fn frontend_of(&self, group: &OrderingGroup) -> Result<FrontendHandle, FrontendError> {
        let mut running = self.running();
        if let Some(frontend) = running.get(&group.id()) {
            return Ok(frontend.clone());
        }
        if let Some(misfit) = group.misfit() {
            tracing::warn!("group {} has no weights: {misfit}", group.id());
        }
        tracing::info!("group {} of {} nodes: {}", group.id(), group.view().n(), group.settings());
        let channels = self.channels.clone();
        let in_force = move || channels.list().iter().map(|channel| channel.config()).collect();
        let directory = Arc::new(Directory::following(group, self.addresses.clone(), in_force));
        let endpoint = |replica| NodeEndpoint { replica, address: NodeAddress::Dial(Arc::clone(&directory)) };
        let frontend = Frontend::start(FrontendSetup {
            nodes: group.view().replicas().map(endpoint).collect(),
            group: group.clone(),
            identity: self.identity.clone(),
            bodies: Bodies::Pushed,
            session_window: Limits::default().session_window,
        })?;
        running.insert(group.id(), frontend.clone());
        Ok(frontend)
    }

    /// Moves a channel whenever its configuration names other consenters, until it is served no more.
    async fn follow(&self, channel: &Arc<Channel>, mut group: OrderingGroup) {
        let mut sequences = channel.watch_sequence();
        loop {
            sequences.mark_unchanged();
            if !group.is_of(&channel.config()) {
                match self.move_from(&group, channel).await {
                    Ok(next) => group = next,
                    Err(error) => {
                        tracing::error!("channel {}: cannot follow it to its new nodes: {error}", channel.id());
                        self.router.remove(channel.id());
                        return channel.enter_state(ChannelState::Errored);
                    }
                }
            }
            if sequences.changed().await.is_err() {
                return;
            }
        }
    }

    async fn move_from(&self, old: &OrderingGroup, channel: &Arc<Channel>) -> Result<OrderingGroup, ServeError> {
        let id = channel.id().clone();
        self.router.hold(id.clone());
        if let Some(frontend) = self.running().get(&old.id()) {
            frontend.remove_channel(&id);
        }
        let (group, frontend) = self.attach(channel)?;
        tracing::info!("channel {id}: {} nodes order it now, in group {}", group.view().n(), group.id());
        self.end_when_idle(old.id());
        frontend.is_taking(&id).await;
        self.router.add(id, Arc::new(frontend));
        Ok(group)
    }

    /// By then whoever submitted to it has an answer.
    fn end_when_idle(&self, group: GroupId) {
        let Some(frontend) = self.running().get(&group).filter(|frontend| frontend.is_idle()).cloned() else { return };
        let stop = self.stop.clone();
        self.running().remove(&group);
        self.tasks.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(SUBMIT_TIMEOUT * 2) => {}
                () = stop.cancelled() => {}
            }
            frontend.stop().await;
        });
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<GroupId, FrontendHandle>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
