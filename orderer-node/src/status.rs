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
use frontend_shim::stages::StageReport;
use frontend_shim::status::{Counters, StatusReport};

pub use self::journal::JournalReport;
pub use self::node_report::{GroupReport, NodeReport};
pub use self::ordering::{MemberReport, MisbehaviourReport, OrderingReport, RegencyChangeReport};
pub use self::text::text;
use crate::embedded::EmbeddedFrontend;
use crate::listener::ListenerHandle;
use crate::mesh::MeshDoor;
use crate::registrar::{HostedGroup, Registrar};

/// Everything that is reported. Holding it keeps listeners and frontends alive.
#[derive(Debug)]
pub struct NodeStatus {
    /// The channels served.
    pub channels: Channels,
    /// What the client side counts.
    pub counters: Arc<Counters>,
    /// The channels joined, and the groups hosted.
    pub registrar: Registrar,
    /// Where links come in.
    pub mesh_door: MeshDoor,
    /// Where connections come in.
    pub listeners: Vec<ListenerHandle>,
}

impl NodeStatus {
    /// Everything, at this moment.
    #[must_use]
    pub fn node_report(&self) -> NodeReport {
        let groups = self.registrar.hosting().list();
        let (working, resting) = groups.iter().partition::<Vec<_>, _>(|group| !group.is_resting());
        let (working, resting) = (working.into_iter(), resting.into_iter());
        NodeReport {
            client_side: StatusReport::of(&self.channels, &self.counters),
            traffic: self.counters.traffic(&self.channels),
            groups: working.map(|group| GroupReport::of(group, &self.channels)).collect(),
            resting: resting.map(|group| group.id().to_string()).collect(),
            mesh_door: self.mesh_door.counters(),
            frontends: groups
                .iter()
                .filter_map(|group| group.frontend.as_ref())
                .map(EmbeddedFrontend::report)
                .collect(),
            listeners: self.listeners.iter().map(ListenerHandle::counters).collect(),
            stages: StageReport::now(),
        }
    }
}

impl GroupReport {
    fn of(hosted: &HostedGroup, channels: &Channels) -> Self {
        Self {
            ordering: OrderingReport::of(hosted, channels),
            execution: *hosted.group.counts.borrow(),
            mesh: hosted.mesh.counters(),
            journal: JournalReport::of(&hosted.group),
            catch_up: hosted.group.catch_up.report(),
        }
    }
}
