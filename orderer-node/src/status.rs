//! What this node tells about itself: one report, which the Unix socket serves as JSON, the `status` command prints, and the
//! operations endpoint makes metrics and a page of.
//!
//! The client side of the report is `frontend_shim`'s, the sections about ordering, mesh, journal and listeners are added here.

mod journal;
mod node_report;
mod ordering;
mod text;

use std::sync::Arc;

use frontend_shim::channels::Channels;
use frontend_shim::status::{self, Counters, StatusReport};
use mod_smart::ReplicaId;
use tokio::net::UnixListener;

pub use self::journal::JournalReport;
pub use self::node_report::{GroupReport, NodeReport};
pub use self::ordering::{MemberReport, MisbehaviourReport, OrderingReport, RegencyChangeReport};
pub use self::text::text;
use crate::embedded::EmbeddedFrontend;
use crate::group::GroupHandle;
use crate::listener::ListenerHandle;
use crate::mesh::{MeshDoor, MeshHandle};

/// Everything that is reported. Holding it keeps listeners and frontends alive.
#[derive(Debug)]
pub struct NodeStatus {
    /// The channels served.
    pub channels: Channels,
    /// What the client side counts.
    pub counters: Arc<Counters>,
    /// The groups hosted.
    pub groups: Vec<GroupStatus>,
    /// The frontends embedded.
    pub frontends: Vec<EmbeddedFrontend>,
    /// Where links come in.
    pub mesh_door: MeshDoor,
    /// Where connections come in.
    pub listeners: Vec<ListenerHandle>,
}

/// One group at work.
#[derive(Debug)]
pub struct GroupStatus {
    /// Our place in it.
    pub me: ReplicaId,
    /// Its links.
    pub mesh: MeshHandle,
    /// Its tasks.
    pub group: GroupHandle,
}

impl NodeStatus {
    /// Everything, at this moment.
    #[must_use]
    pub fn node_report(&self) -> NodeReport {
        NodeReport {
            client_side: StatusReport::of(&self.channels, &self.counters),
            groups: self.groups.iter().map(|group| group.report(&self.channels)).collect(),
            mesh_door: self.mesh_door.counters(),
            frontends: self.frontends.iter().map(EmbeddedFrontend::report).collect(),
            listeners: self.listeners.iter().map(ListenerHandle::counters).collect(),
        }
    }

    /// The same for JSON.
    #[must_use]
    pub fn report(&self) -> StatusReport {
        self.node_report().into_status_report()
    }

    /// Answers on the socket for as long as the node lives.
    pub async fn serve(self, socket: UnixListener) {
        Arc::new(self).serve_shared(socket).await;
    }

    /// The same of a status that others read as well.
    pub async fn serve_shared(self: Arc<Self>, socket: UnixListener) {
        if let Err(error) = status::serve(socket, Arc::new(move || self.report())).await {
            tracing::error!(%error, "the status socket failed");
        }
    }
}

impl GroupStatus {
    fn report(&self, channels: &Channels) -> GroupReport {
        GroupReport {
            ordering: OrderingReport::of(self, channels),
            execution: *self.group.counts.borrow(),
            mesh: self.mesh.counters(),
            journal: JournalReport::of(&self.group),
            catch_up: self.group.catch_up.report(),
        }
    }
}
