//! Where the replica of a group stands, and who else is in the group.

use std::collections::BTreeMap;
use std::time::Instant;

use frontend_shim::channels::Channels;
use frontend_shim::group_settings::GroupSettings;
use mod_smart::ReplicaId;
use mod_smart::quorum::Voters;
use serde::{Deserialize, Serialize};

use crate::mesh::PeerCounters;
use crate::registrar::HostedGroup;
use crate::replica_task::RegencyChange;

/// One ordering group in a report; section `ordering` holds a list of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OrderingReport {
    /// Its id, hexadecimal.
    pub group: String,
    /// The channels it orders, as far as they are joined here.
    pub channels: Vec<String>,
    /// Our place in it.
    pub replica: u16,
    /// How many replicas it has.
    pub replicas: usize,
    /// What its members share besides the channels' configurations.
    pub settings: GroupSettings,
    /// Its members, in replica order.
    pub members: Vec<MemberReport>,
    /// Do links stand in both directions with so many that they and we are a quorum?
    pub has_quorum: bool,
    /// The regency our replica is in.
    pub regency: u64,
    /// Has that regency begun here? If not, its leader's SYNC is awaited.
    pub is_synced: bool,
    /// The last change of regency since the node started.
    pub regency_change: Option<RegencyChangeReport>,
    /// Regencies that began since the node started, by reason.
    pub regency_changes: BTreeMap<String, u64>,
    /// Does our replica stay silent until the others have repaired it, because its disk was lost?
    pub is_silent: bool,
    /// Is it taking over a state, because the log no longer leads to that of the others?
    pub is_transferring: bool,
    /// Who leads it.
    pub leader: u16,
    /// The last instance delivered here.
    pub delivered: u64,
    /// How long ago that was, in milliseconds; none if it was before the node started.
    pub progress_age_ms: Option<u64>,
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
    /// How long the one that waits longest has waited, in milliseconds.
    pub pending_age_ms: Option<u64>,
    /// Frontend sessions that stand.
    pub sessions: usize,
    /// Requests refused before the replica heard of them.
    pub requests_refused: u64,
    /// Misbehaviour seen.
    pub misbehaviour: Vec<MisbehaviourReport>,
}

/// A member of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemberReport {
    /// Its replica number.
    pub replica: u16,
    /// Its consenter id in the channel configuration.
    pub id: u32,
    /// Where it is dialled.
    pub address: String,
    /// Is it this node?
    pub is_us: bool,
    /// Do links with it stand in both directions?
    pub is_linked: bool,
    /// Votes of it that arrived here.
    pub votes: u64,
    /// How long after the first votes of their rounds they came, in microseconds, all together.
    pub vote_delay_us: u64,
}

/// A change of regency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegencyChangeReport {
    /// Why our replica asked for it, or went along.
    pub reason: String,
    /// How long ago the new regency began, in milliseconds.
    pub age_ms: u64,
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

impl OrderingReport {
    pub(crate) fn of(status: &HostedGroup, channels: &Channels) -> Self {
        let (group, me) = (&status.group, status.me);
        let view = &group.sessions.view;
        let standing = *group.standing.borrow();
        let misbehaviour = group.misbehaviour.read().into_iter();
        let links = status.mesh.counters();
        let mut reached = Voters::default();
        reached.insert(me);
        for peer in links.iter().filter(|peer| is_linked(peer)) {
            reached.insert(ReplicaId(peer.replica));
        }
        let joined = group.sessions.channels.list();
        let ordered = joined.iter().filter(|(_, channel)| channel.moved.borrow().is_none());
        let ordered: Vec<String> = ordered.map(|(id, _)| id.to_string()).collect();
        Self {
            group: hex::encode(view.group().0),
            settings: group.sessions.terms.settings.clone(),
            members: members(status, ordered.first().map_or("", String::as_str), channels, &links),
            channels: ordered,
            replica: me.0,
            replicas: view.n(),
            has_quorum: view.is_quorum(reached),
            regency: standing.regency.0,
            is_synced: standing.is_synced,
            regency_change: standing.changed.map(RegencyChangeReport::of),
            regency_changes: standing.changes.iter().map(|(reason, count)| (reason.to_owned(), count)).collect(),
            is_silent: standing.is_silent,
            is_transferring: standing.is_transferring,
            leader: standing.leader.0,
            delivered: standing.delivered.0,
            progress_age_ms: standing.progressed.map(age_ms),
            checkpoint: group.checkpoints.instances().last().map(|instance| instance.0),
            stable_checkpoint: group.checkpoints.stable_instance().map(|instance| instance.0),
            highest_claimed: standing.highest_claimed.0,
            pending_requests: standing.pending_requests,
            pending_bytes: standing.pending_bytes,
            pending_age_ms: standing.pending_since.map(age_ms),
            sessions: group.sessions.table.count(),
            requests_refused: group.sessions.table.refused(),
            misbehaviour: misbehaviour
                .map(|(replica, what, count)| MisbehaviourReport { replica: replica.0, what, count })
                .collect(),
        }
    }

    /// The consenter id of the leader, if a channel configuration names it.
    #[must_use]
    pub fn leader_id(&self) -> Option<u32> {
        self.member(self.leader).map(|member| member.id)
    }

    /// A member by its replica number.
    #[must_use]
    pub fn member(&self, replica: u16) -> Option<&MemberReport> {
        self.members.iter().find(|member| member.replica == replica)
    }
}

/// The consenters of a channel of the group are its members, in this order.
fn members(status: &HostedGroup, channel: &str, channels: &Channels, links: &[PeerCounters]) -> Vec<MemberReport> {
    let Some(channel) = channels.find(channel) else { return Vec::new() };
    let config = channel.config();
    let delays = status.group.vote_arrivals.read();
    let member = |(replica, consenter): (u16, &fabric_channel::Consenter)| {
        let delays = delays.get(&ReplicaId(replica)).copied().unwrap_or_default();
        MemberReport {
            replica,
            id: consenter.id,
            address: consenter.address(),
            is_us: replica == status.me.0,
            is_linked: links.iter().any(|peer| peer.replica == replica && is_linked(peer)),
            votes: delays.votes,
            vote_delay_us: u64::try_from(delays.total.as_micros()).unwrap_or(u64::MAX),
        }
    };
    (0..).zip(config.consenters()).map(member).collect()
}

const fn is_linked(peer: &PeerCounters) -> bool {
    peer.connected && peer.heard
}

fn age_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl RegencyChangeReport {
    fn of(change: RegencyChange) -> Self {
        let age = change.at.elapsed().unwrap_or_default();
        let reason = change.reason.map_or_else(|| "unknown".to_owned(), |reason| reason.to_string());
        Self { reason, age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX) }
    }
}
