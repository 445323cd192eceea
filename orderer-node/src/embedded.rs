//! The frontend inside a node: with it, one process is a Fabric orderer.
//!
//! It is a frontend like any other, with two shortcuts: the session with our own replica runs over memory, and the ledger
//! is the node's, so nobody sends it the bodies of blocks. And what our replica's mesh knows, that another node is up, it
//! need not find out.

use std::sync::Arc;

use frontend_shim::channels::Channels;
use frontend_shim::counters::FrontendCounters;
use frontend_shim::frame::Bodies;
use frontend_shim::frontend::{Frontend, FrontendHandle, FrontendSetup, NodeAddress, NodeEndpoint};
use frontend_shim::router::Router;
use frontend_shim::tls::Spki;
use frontend_shim::tls_identity::TlsIdentity;
use mod_smart::{Limits, ReplicaId};
use tokio::sync::watch;

use crate::channel_files::GroupFiles;
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

/// Starts the frontend of a group and sends the envelopes of its channels through it.
///
/// # Errors
/// Its certificate cannot vouch for it, or a ledger does not fit its channel.
pub fn start(
    me: ReplicaId,
    files: &GroupFiles,
    identity: &TlsIdentity,
    channels: &Channels,
    router: &Router,
    host: Arc<SessionHost>,
    mesh: &MeshHandle,
) -> anyhow::Result<EmbeddedFrontend> {
    let (ours, theirs) = tokio::io::duplex(IN_PROCESS_BYTES);
    tokio::spawn(async move {
        if let Err(end) = sessions::serve(&[host], theirs, Caller::Embedded).await {
            tracing::error!(%end, "the session with our own frontend ended");
        }
    });
    let others = (0..).map(ReplicaId).zip(files.group.consenters()).filter(|(replica, _)| *replica != me);
    let mut nodes = vec![NodeEndpoint { replica: me, address: NodeAddress::InProcess(ours) }];
    nodes.extend(others.map(|(replica, consenter)| NodeEndpoint {
        replica,
        address: NodeAddress::Dial {
            address: consenter.address(),
            pin: Spki::from_der(consenter.server_tls_cert.spki_der().clone()),
        },
    }));
    let frontend = Frontend::start(FrontendSetup {
        group: files.group.clone(),
        nodes,
        identity: identity.clone(),
        bodies: Bodies::SharedLedger,
        session_window: Limits::default().session_window,
    })?;
    for replica in files.group.view().replicas() {
        if let Some(signs) = mesh.signs_of_life(replica) {
            tokio::spawn(pass_on(signs, replica, frontend.clone()));
        }
    }
    for id in files.channels.keys() {
        if let Some(channel) = channels.find(id.as_str()) {
            frontend.add_channel(channel)?;
            router.add(id.clone(), Arc::new(frontend.clone()));
        }
    }
    Ok(EmbeddedFrontend(frontend))
}

impl EmbeddedFrontend {
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
