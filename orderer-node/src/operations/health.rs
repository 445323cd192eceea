//! Is the process well, and is it of use? Two questions: an orchestrator restarts what is not well, and sends no clients to
//! what is not ready.
//!
//! Only what a restart may cure makes a node unhealthy. A quorum that is missing, or a disk that is full, does not get better
//! by it, so these make it unready.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Snapshot;
use crate::participation::ChannelStatus;
use crate::status::{GroupReport, OrderingReport};

/// A part of the node that is not well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedCheck {
    /// Which part.
    pub component: String,
    /// What is the matter.
    pub reason: String,
}

/// A part of the node and whether it is of use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Which part: `disk`, `group ...` or `channel ...`.
    pub component: String,
    /// Is it?
    pub ready: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

impl Component {
    fn new(component: String, reasons: Vec<String>) -> Self {
        Self { component, ready: reasons.is_empty(), reasons }
    }
}

/// What a restart may cure; nothing if the process is well.
#[must_use]
pub fn health(snapshot: &Snapshot) -> Vec<FailedCheck> {
    let served = snapshot.node.client_side.channels.iter().filter(|channel| channel.state == "errored");
    let errored = served.map(|channel| FailedCheck {
        component: format!("channel {}", channel.id),
        reason: "its blocks can no longer be stored or collected".to_owned(),
    });
    let collectors = snapshot.node.frontends.iter().flat_map(|frontend| &frontend.channels);
    let stopped = collectors.filter_map(|channel| {
        let reason = format!("no more blocks are collected: {}", channel.stopped.as_ref()?);
        Some(FailedCheck { component: format!("channel {}", channel.channel), reason })
    });
    errored.chain(stopped).collect()
}

/// Each part of the node, whether it is of use, and if not why.
#[must_use]
pub fn readiness(snapshot: &Snapshot) -> Vec<Component> {
    let disk = Component::new("disk".to_owned(), disk_reasons(snapshot));
    let groups = snapshot.node.groups.iter().map(|group| {
        let name = short(&group.ordering.group);
        Component::new(format!("group {name}"), group_reasons(group))
    });
    let names: BTreeSet<&str> = snapshot
        .channels
        .iter()
        .map(|channel| channel.id.as_str())
        .chain(snapshot.node.client_side.channels.iter().map(|channel| channel.id.as_str()))
        .collect();
    let channels =
        names.into_iter().map(|name| Component::new(format!("channel {name}"), channel_reasons(snapshot, name)));
    [disk].into_iter().chain(groups).chain(channels).collect()
}

/// The first digits of a group's id, which tell the groups of one node apart.
pub(super) fn short(group: &str) -> &str {
    group.get(..GROUP_DIGITS).unwrap_or(group)
}

fn disk_reasons(snapshot: &Snapshot) -> Vec<String> {
    let least = snapshot.disk_free_min_bytes;
    let disks = [(snapshot.disk, ""), (snapshot.journal_disk, " for the journals")];
    let free = disks.into_iter().filter_map(|(disk, what)| Some((disk?.free_bytes, what)));
    let few = free.filter(|(free, _)| *free < least);
    few.map(|(free, what)| format!("{free} bytes are free{what}, fewer than {least}")).collect()
}

fn group_reasons(group: &GroupReport) -> Vec<String> {
    let ordering = &group.ordering;
    let mut reasons = Vec::new();
    if !ordering.has_quorum {
        let linked = group.mesh.iter().filter(|peer| peer.connected && peer.heard).count();
        reasons.push(format!("no quorum: linked with {linked} of {} other nodes", ordering.replicas.saturating_sub(1)));
        let refusals = group.mesh.iter().filter_map(|peer| Some((&peer.address, peer.refused.as_ref()?)));
        reasons.extend(refusals.map(|(address, why)| format!("the node at {address} refuses the link: {why}")));
    }
    if ordering.is_silent {
        reasons.push("its disk was lost, and it waits to be readmitted".to_owned());
    }
    if ordering.is_transferring {
        reasons.push("it is taking over the state of the others".to_owned());
    }
    if !ordering.is_synced {
        reasons.push(format!("regency {} has not begun", ordering.regency));
    }
    reasons.extend(standstill(ordering));
    reasons.extend(group.catch_up.channels.iter().map(|missing| {
        format!("blocks {} to {} of channel {} are being fetched", missing.from, missing.to, missing.channel)
    }));
    reasons
}

/// A group without requests is idle and well.
fn standstill(ordering: &OrderingReport) -> Option<String> {
    let waiting = ordering.pending_age_ms?;
    let progress = ordering.progress_age_ms.unwrap_or(u64::MAX);
    let stands = waiting > STANDSTILL_MS && progress > STANDSTILL_MS;
    stands.then(|| format!("nothing was ordered for {} s while requests wait", waiting.min(progress) / 1000))
}

fn channel_reasons(snapshot: &Snapshot, name: &str) -> Vec<String> {
    let info = snapshot.channels.iter().find(|channel| channel.id.as_str() == name);
    let served = snapshot.node.client_side.channels.iter().find(|channel| channel.id == name);
    let mut reasons = Vec::new();
    match info.map(|info| info.status) {
        Some(ChannelStatus::Onboarding) => {
            reasons.push("the blocks up to the one it was joined with are being fetched".to_owned());
        }
        Some(ChannelStatus::Failed) => reasons.push("the last operation on it failed".to_owned()),
        Some(ChannelStatus::Inactive) => reasons.push("it is not active".to_owned()),
        Some(ChannelStatus::Active) | None => {}
    }
    let is_ordered_here = info.is_none_or(|info| info.relation == crate::participation::ConsensusRelation::Consenter);
    match served.map(|channel| channel.state.as_str()) {
        // A follower takes no envelopes, and is of use all the same.
        Some("opening") if is_ordered_here && reasons.is_empty() => {
            reasons.push("it is not open: too few of its consenters have joined it".to_owned());
        }
        Some("errored") => reasons.push("its blocks can no longer be stored or collected".to_owned()),
        Some("closed") => reasons.push("it is closed".to_owned()),
        _ => {}
    }
    reasons.extend(served.and_then(|channel| channel.damage.as_ref()).map(|damage| {
        format!(
            "a block file is damaged, and the node has to be started again to fetch its blocks from others: {damage}"
        )
    }));
    reasons
}

/// Requests that wait longer than this, while nothing else is ordered either, make a group unready. Several changes of leader
/// fit into it.
const STANDSTILL_MS: u64 = 15_000;

const GROUP_DIGITS: usize = 8;
