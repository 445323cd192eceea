//! The report in typed parts, and its JSON form.

use std::collections::BTreeMap;

use frontend_shim::counters::FrontendCounters;
use frontend_shim::stages::{self, StageReport};
use frontend_shim::status::StatusReport;
use frontend_shim::traffic::TrafficSnapshot;
use serde::Serialize;

use super::{JournalReport, OrderingReport};
use crate::application::ApplicationCounts;
use crate::block_catch_up::CatchUpReport;
use crate::listener::ListenerCounters;
use crate::mesh::{MeshDoorCounters, PeerCounters};

/// What a node tells about itself at one moment.
#[derive(Clone, Debug)]
pub struct NodeReport {
    /// Version, channels and what the client side counts.
    pub client_side: StatusReport,
    /// What clients do, by channel.
    pub traffic: Vec<TrafficSnapshot>,
    /// The groups at work.
    pub groups: Vec<GroupReport>,
    /// The groups that order no channel of this node any more, by the first digits of their ids. Who of their members is
    /// there is of no concern.
    pub resting: Vec<String>,
    /// Where links come in.
    pub mesh_door: MeshDoorCounters,
    /// The frontends embedded.
    pub frontends: Vec<FrontendCounters>,
    /// Where connections come in.
    pub listeners: Vec<ListenerCounters>,
    /// What each stage of an envelope's way has cost the process.
    pub stages: StageReport,
}

/// What is told about one group.
#[derive(Clone, Debug)]
pub struct GroupReport {
    /// Where its replica stands.
    pub ordering: OrderingReport,
    /// What was executed.
    pub execution: ApplicationCounts,
    /// The links, by peer.
    pub mesh: Vec<PeerCounters>,
    /// Its journal.
    pub journal: JournalReport,
    /// Blocks that are missing and being fetched.
    pub catch_up: CatchUpReport,
}

impl NodeReport {
    /// The report that the status socket serves: each part a section of its own, with one entry for each group.
    #[must_use]
    pub fn into_status_report(self) -> StatusReport {
        let mut report = self.client_side;
        for channel in self.frontends.iter().flat_map(|frontend| &frontend.channels) {
            if let Some(reason) = &channel.stopped {
                report.complaints.push(format!("channel {}: no more blocks are collected: {reason}", channel.channel));
            }
        }
        let sections = &mut report.sections;
        let of_groups = |part: fn(&GroupReport) -> serde_json::Result<serde_json::Value>| -> Vec<serde_json::Value> {
            self.groups.iter().filter_map(|group| part(group).ok()).collect()
        };
        section(sections, "ordering", &of_groups(|group| serde_json::to_value(&group.ordering)));
        section(sections, "resting_groups", &self.resting);
        section(sections, "execution", &of_groups(|group| serde_json::to_value(group.execution)));
        section(sections, "mesh", &of_groups(|group| serde_json::to_value(&group.mesh)));
        section(sections, "mesh_door", &self.mesh_door);
        section(sections, "journal", &of_groups(|group| serde_json::to_value(&group.journal)));
        section(sections, "block_catch_up", &of_groups(|group| serde_json::to_value(&group.catch_up)));
        section(sections, "frontends", &self.frontends);
        section(sections, "listeners", &self.listeners);
        section(sections, stages::SECTION, &self.stages);
        report
    }
}

/// A section that cannot be written as JSON is left out: a report must not fail for one part of it.
fn section(sections: &mut BTreeMap<String, serde_json::Value>, name: &str, value: &impl Serialize) {
    if let Ok(value) = serde_json::to_value(value) {
        sections.insert(name.to_owned(), value);
    }
}
