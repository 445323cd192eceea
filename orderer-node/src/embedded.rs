//! The frontend inside a node: with it, one process is a Fabric orderer.
//!
//! It is a frontend like any other, with two shortcuts: the session with our own replica runs over memory, and the ledger
//! is the node's, so nobody sends it the bodies of blocks. And what our replica's mesh knows, that another node is up, it
//! need not find out.

use std::sync::Arc;

use fabric_proto::ChannelId;
use frontend_shim::broadcast::Submit;
use frontend_shim::channels::Channel;
use frontend_shim::counters::FrontendCounters;
use frontend_shim::directory::Directory;
use frontend_shim::frame::Bodies;
use frontend_shim::frontend::{Frontend, FrontendError, FrontendHandle, FrontendSetup, NodeAddress, NodeEndpoint};
use frontend_shim::group::OrderingGroup;
use frontend_shim::stages::Stage;
use frontend_shim::tls_identity::TlsIdentity;
use mod_smart::{Limits, ReplicaId};
use tokio::sync::watch;

use crate::mesh::MeshHandle;
use crate::sessions::{self, Caller, SessionHost};

/// A frontend of one group, at work in this process.
#[derive(Clone)]
pub struct EmbeddedFrontend(FrontendHandle);

impl std::fmt::Debug for EmbeddedFrontend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EmbeddedFrontend({})", self.0.id())
    }
}

/// Starts the frontend of a group, without channels. It shows `identity` to the other nodes, which are where the directory
/// says.
///
/// # Errors
/// Its certificate cannot vouch for it.
pub fn start(
    (me, group): (ReplicaId, OrderingGroup),
    (identity, directory): (&TlsIdentity, Arc<Directory>),
    host: Arc<SessionHost>,
    mesh: &MeshHandle,
) -> anyhow::Result<EmbeddedFrontend> {
    let (ours, theirs) = tokio::io::duplex(IN_PROCESS_BYTES);
    tokio::spawn(async move {
        if let Err(end) = Stage::SessionSocket.follow(sessions::serve(&[host], theirs, Caller::Embedded)).await {
            tracing::error!(%end, "the session with our own frontend ended");
        }
    });
    let others = group.view().replicas().filter(|replica| *replica != me);
    let mut nodes = vec![NodeEndpoint { replica: me, address: NodeAddress::InProcess(ours) }];
    nodes.extend(others.map(|replica| NodeEndpoint { replica, address: NodeAddress::Dial(Arc::clone(&directory)) }));
    let replicas = group.view().replicas();
    let frontend = Frontend::start(FrontendSetup {
        group,
        nodes,
        identity: identity.clone(),
        bodies: Bodies::SharedLedger,
        session_window: Limits::default().session_window,
    })?;
    for replica in replicas {
        if let Some(signs) = mesh.signs_of_life(replica) {
            tokio::spawn(pass_on(signs, replica, frontend.clone()));
        }
    }
    Ok(EmbeddedFrontend(frontend))
}

impl EmbeddedFrontend {
    /// Collects the blocks of a channel from now on, and takes its envelopes once it is open.
    ///
    /// # Errors
    /// Its ledger does not fit it, or it is served already.
    pub fn add_channel(&self, channel: Arc<Channel>) -> Result<(), FrontendError> {
        self.0.add_channel(channel)
    }

    /// Stops that.
    pub fn remove_channel(&self, channel: &ChannelId) {
        self.0.remove_channel(channel);
    }

    /// Waits until a channel of this frontend takes envelopes.
    pub async fn is_taking(&self, channel: &ChannelId) {
        self.0.is_taking(channel).await;
    }

    /// Where the envelopes of its channels go.
    #[must_use]
    pub fn as_submit(&self) -> Arc<dyn Submit> {
        Arc::new(self.0.clone())
    }

    /// What it has seen.
    #[must_use]
    pub fn report(&self) -> FrontendCounters {
        self.0.counters()
    }
}

/// Tells the frontend whenever another node shows that it is up, until the mesh ends.
async fn pass_on(mut signs: watch::Receiver<u64>, replica: ReplicaId, frontend: FrontendHandle) {
    while signs.changed().await.is_ok() {
        frontend.on_node_up(replica);
    }
}

/// Bytes that may be under way between the frontend and our own replica in either direction.
const IN_PROCESS_BYTES: usize = 1 << 20;
