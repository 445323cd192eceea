//! What each channel is to this node, and how far it has come.

use super::families::{Families, Sample};
use crate::operations::Snapshot;
use crate::status::OrderingReport;

pub(super) fn render(families: &mut Families, snapshot: &Snapshot) {
    let joined = || snapshot.channels.iter();
    families.gauge(
        "participation_consensus_relation",
        "What this node is in the channel: 0 other, 1 consenter, 2 follower, 3 config-tracker.",
        joined().map(|channel| Sample::new(channel.relation.metric()).label("channel", &channel.id)),
    );
    families.gauge(
        "participation_status",
        "How far this node is in the channel: 0 inactive, 1 active, 2 onboarding, 3 failed.",
        joined().map(|channel| Sample::new(channel.status.metric()).label("channel", &channel.id)),
    );
    let served = || snapshot.node.client_side.channels.iter();
    families.gauge(
        "ledger_blockchain_height",
        "Blocks stored.",
        served().map(|channel| Sample::new(channel.height).label("channel", &channel.id)),
    );
    families.gauge(
        "ordering_certified_height",
        "Blocks with enough signatures: what peers can have.",
        served().map(|channel| Sample::new(channel.certified_height).label("channel", &channel.id)),
    );
    families.gauge(
        "ordering_config_sequence",
        "Sequence of the configuration in force.",
        served().map(|channel| Sample::new(channel.config_sequence).label("channel", &channel.id)),
    );
    families.gauge(
        "ordering_channel_open",
        "1 if the channel takes envelopes.",
        served().map(|channel| Sample::holds(channel.state == "open").label("channel", &channel.id)),
    );
    families.gauge(
        "ordering_ledger_damaged",
        "1 if a stored block could not be read since the node started.",
        served().map(|channel| Sample::holds(channel.damage.is_some()).label("channel", &channel.id)),
    );
    consensus(families, snapshot);
    let fetching = snapshot.node.groups.iter().flat_map(|group| &group.catch_up.channels);
    families.gauge(
        "ordering_blocks_missing",
        "Blocks of the channel that this node lacks and fetches.",
        fetching.map(|it| Sample::new((it.to + 1).saturating_sub(it.from)).label("channel", &it.channel)),
    );
}

/// What Fabric tells by channel, although a group orders several.
fn consensus(families: &mut Families, snapshot: &Snapshot) {
    let by_channel = |sample: &dyn Fn(&OrderingReport) -> Option<Sample>| -> Vec<Sample> {
        let groups = snapshot.node.groups.iter().map(|group| &group.ordering);
        let channels = groups.flat_map(|group| group.channels.iter().map(move |channel| (group, channel)));
        channels.filter_map(|(group, channel)| Some(sample(group)?.label("channel", channel))).collect()
    };
    families.gauge(
        "consensus_BFT_cluster_size",
        "Nodes that order the channel.",
        by_channel(&|group| Some(Sample::new(group.replicas))),
    );
    families.gauge(
        "consensus_BFT_is_leader",
        "1 if this node leads.",
        by_channel(&|group| Some(Sample::holds(group.leader == group.replica))),
    );
    families.gauge(
        "consensus_BFT_leader_id",
        "Consenter id of the leader.",
        by_channel(&|group| group.leader_id().map(Sample::new)),
    );
    let served = snapshot.node.client_side.channels.iter().filter(|channel| channel.height > 0);
    families.gauge(
        "consensus_BFT_committed_block_number",
        "Number of the newest block.",
        served.map(|channel| Sample::new(channel.height - 1).label("channel", &channel.id)),
    );
}
