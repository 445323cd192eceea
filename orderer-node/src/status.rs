//! What this node tells about itself on its Unix socket: the client side of the report is `frontend_shim`'s, the sections
//! about ordering, mesh, journal and listeners are added here.

use std::collections::BTreeMap;
use std::sync::Arc;

use frontend_shim::channels::Channels;
use frontend_shim::status::{self, Counters, StatusReport};
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;

use crate::embedded::EmbeddedFrontend;
use crate::group::GroupHandle;
use crate::listener::ListenerHandle;
use crate::mesh::MeshDoor;
use crate::registrar::{HostedGroup, Registrar};
use crate::replica_task::RegencyChange;

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

/// One ordering group in a report; section `ordering` holds a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderingReport {
    /// Its id, hexadecimal.
    pub group: String,
    /// Our place in it.
    pub replica: u16,
    /// How many replicas it has.
    pub replicas: usize,
    /// The regency our replica is in.
    pub regency: u64,
    /// Has that regency begun here? If not, its leader's SYNC is awaited.
    pub is_synced: bool,
    /// The last change of regency since the node started.
    pub regency_change: Option<RegencyChangeReport>,
    /// Does our replica stay silent until the others have repaired it, because its disk was lost?
    pub is_silent: bool,
    /// Who leads it.
    pub leader: u16,
    /// The last instance delivered here.
    pub delivered: u64,
    /// The newest checkpoint that is durable here.
    pub checkpoint: Option<u64>,
    /// The newest instance whose state is known to be that of a quorum.
    pub stable_checkpoint: Option<u64>,
    /// The highest instance that another replica claims to have delivered.
    pub highest_claimed: u64,
    /// Requests that wait to be ordered.
    pub pending_requests: usize,
    /// Bytes of them.
    pub pending_bytes: usize,
    /// Frontend sessions that stand.
    pub sessions: usize,
    /// Requests refused before the replica heard of them.
    pub requests_refused: u64,
    /// Misbehaviour seen.
    pub misbehaviour: Vec<MisbehaviourReport>,
}

/// A change of regency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegencyChangeReport {
    /// Why our replica asked for it, or went along.
    pub reason: String,
    /// How long ago the new regency began, in milliseconds.
    pub age_ms: u64,
}

impl RegencyChangeReport {
    fn of(change: RegencyChange) -> Self {
        let age = change.at.elapsed().unwrap_or_default();
        let reason = change.reason.map_or_else(|| "unknown".to_owned(), |reason| reason.to_string());
        Self { reason, age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX) }
    }
}

/// Something that no correct replica does, and how often it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MisbehaviourReport {
    /// Who.
    pub replica: u16,
    /// What.
    pub what: String,
    /// How often.
    pub count: u64,
}

impl NodeStatus {
    /// The report at this moment.
    #[must_use]
    pub fn report(&self) -> StatusReport {
        let mut report = StatusReport::of(&self.channels, &self.counters);
        let groups = self.registrar.hosting().list();
        let ordering: Vec<OrderingReport> = groups.iter().map(|group| OrderingReport::of(group)).collect();
        section(&mut report.sections, "ordering", &ordering);
        let execution: Vec<_> = groups.iter().map(|group| *group.group.counts.borrow()).collect();
        section(&mut report.sections, "execution", &execution);
        let mesh: Vec<_> = groups.iter().map(|group| group.mesh.counters()).collect();
        section(&mut report.sections, "mesh", &mesh);
        section(&mut report.sections, "mesh_door", &self.mesh_door.counters());
        let journal: Vec<_> = groups.iter().map(|group| JournalReport::of(&group.group)).collect();
        section(&mut report.sections, "journal", &journal);
        let catch_up: Vec<_> = groups.iter().map(|group| group.group.catch_up.report()).collect();
        section(&mut report.sections, "block_catch_up", &catch_up);
        let frontends = groups.iter().filter_map(|group| group.frontend.as_ref());
        let frontends: Vec<_> = frontends.map(EmbeddedFrontend::report).collect();
        section(&mut report.sections, "frontends", &frontends);
        let listeners: Vec<_> = self.listeners.iter().map(ListenerHandle::counters).collect();
        section(&mut report.sections, "listeners", &listeners);
        report
    }

    /// Answers on the socket for as long as the node lives.
    pub async fn serve(self, socket: UnixListener) {
        let status = Arc::new(self);
        if let Err(error) = status::serve(socket, Arc::new(move || status.report())).await {
            tracing::error!(%error, "the status socket failed");
        }
    }
}

impl OrderingReport {
    fn of(hosted: &HostedGroup) -> Self {
        let HostedGroup { me, group, .. } = hosted;
        let standing = *group.standing.borrow();
        let misbehaviour = group.misbehaviour.read().into_iter();
        Self {
            group: hex::encode(group.sessions.view.group().0),
            replica: me.0,
            replicas: group.sessions.view.n(),
            regency: standing.regency.0,
            is_synced: standing.is_synced,
            regency_change: standing.changed.map(RegencyChangeReport::of),
            is_silent: standing.is_silent,
            leader: standing.leader.0,
            delivered: standing.delivered.0,
            checkpoint: group.checkpoints.instances().last().map(|instance| instance.0),
            stable_checkpoint: group.checkpoints.stable_instance().map(|instance| instance.0),
            highest_claimed: standing.highest_claimed.0,
            pending_requests: standing.pending_requests,
            pending_bytes: standing.pending_bytes,
            sessions: group.sessions.table.count(),
            requests_refused: group.sessions.table.refused(),
            misbehaviour: misbehaviour
                .map(|(replica, what, count)| MisbehaviourReport { replica: replica.0, what, count })
                .collect(),
        }
    }
}

/// What the journal of a group has done since the node started.
#[derive(Clone, Debug, Serialize)]
struct JournalReport {
    commits: u64,
    syncs: u64,
    records: u64,
    bytes: u64,
    sync_last_us: u128,
    sync_total_us: u128,
    /// Damage met while records or checkpoints were read for other replicas, and what was said of it last.
    damage: u64,
    damage_last: Option<String>,
}

impl JournalReport {
    fn of(group: &GroupHandle) -> Self {
        let figures = group.disk.read();
        let (damage, damage_last) = group.damage.read();
        Self {
            commits: figures.commits,
            syncs: figures.syncs,
            records: figures.records,
            bytes: figures.bytes,
            sync_last_us: figures.sync_last.as_micros(),
            sync_total_us: figures.sync_total.as_micros(),
            damage,
            damage_last,
        }
    }
}

/// A section that cannot be written as JSON is left out: a report must not fail for one part of it.
fn section(sections: &mut BTreeMap<String, serde_json::Value>, name: &str, value: &impl Serialize) {
    if let Ok(value) = serde_json::to_value(value) {
        sections.insert(name.to_owned(), value);
    }
}
