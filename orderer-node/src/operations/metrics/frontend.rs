//! The client side: Broadcast, Deliver, connections, and what this node's frontends have seen of each node.

use frontend_shim::counters::{FrontendCounters, NodeCounters};
use frontend_shim::traffic::{BroadcastSnapshot, TrafficSnapshot};

use super::families::{Families, Sample};
use crate::status::NodeReport;

pub(super) fn render(families: &mut Families, report: &NodeReport) {
    clients(families, report);
    broadcast(families, &report.traffic);
    deliver(families, &report.traffic);
    envelopes(families, &report.frontends);
    nodes(families, &report.frontends);
}

fn clients(families: &mut Families, report: &NodeReport) {
    let counters = &report.client_side.counters;
    let one = |value: u64| [Sample::new(value)];
    families.counter("deliver_streams_opened", "Deliver streams that began.", one(counters.deliver_streams_opened));
    families.counter("deliver_streams_closed", "Deliver streams that ended.", one(counters.deliver_streams_closed));
    families.counter("grpc_comm_conn_opened", "Connections of clients that began.", one(counters.connections_opened));
    families.counter("grpc_comm_conn_closed", "Connections of clients that ended.", one(counters.connections_closed));
}

/// What is answered to envelopes, under Fabric's names. What names no channel of this node counts as `unknown`.
fn broadcast(families: &mut Families, traffic: &[TrafficSnapshot]) {
    let each = || traffic.iter().flat_map(|it| it.broadcast.iter().map(move |of_kind| (it, of_kind)));
    let labelled = |value: u64, (it, of_kind): (&TrafficSnapshot, &BroadcastSnapshot)| {
        let sample = Sample::new(value).label("channel", &it.channel);
        sample.label("type", of_kind.message_type).label("status", of_kind.status)
    };
    families.counter(
        "broadcast_processed_count",
        "Envelopes answered.",
        each().map(|(it, of_kind)| labelled(of_kind.processed, (it, of_kind))),
    );
    families.histogram(
        "broadcast_validate_duration",
        "Seconds until an envelope was judged.",
        each().map(|(it, of_kind)| (labelled(0, (it, of_kind)), &of_kind.validate_duration)),
    );
    families.histogram(
        "broadcast_enqueue_duration",
        "Seconds until enough nodes held an envelope.",
        each().map(|(it, of_kind)| (labelled(0, (it, of_kind)), &of_kind.enqueue_duration)),
    );
}

/// What is delivered, under Fabric's names. An orderer filters nothing.
fn deliver(families: &mut Families, traffic: &[TrafficSnapshot]) {
    let labelled = |value: u64, it: &TrafficSnapshot| {
        Sample::new(value).label("channel", &it.channel).label("filtered", false).label("data_type", "block")
    };
    let requests = traffic.iter().map(|it| labelled(it.deliver_requests_received, it));
    families.counter("deliver_requests_received", "Deliver requests.", requests);
    let completed = traffic.iter().flat_map(|it| {
        [(true, it.deliver_requests_succeeded), (false, it.deliver_requests_failed)]
            .map(|(success, count)| labelled(count, it).label("success", success))
    });
    families.counter("deliver_requests_completed", "Deliver requests that have ended.", completed);
    let sent = traffic.iter().map(|it| labelled(it.deliver_blocks_sent, it));
    families.counter("deliver_blocks_sent", "Blocks given to Deliver streams.", sent);
}

fn envelopes(families: &mut Families, frontends: &[FrontendCounters]) {
    let total = |value: fn(&FrontendCounters) -> u64| [Sample::new(frontends.iter().map(value).sum::<u64>())];
    families.gauge(
        "ordering_frontend_requests_in_flight",
        "Requests without enough acknowledgements yet.",
        total(|it| it.requests_in_flight),
    );
    families.gauge(
        "ordering_frontend_queue_bytes",
        "Bytes of envelopes that were taken and are not acknowledged yet.",
        total(|it| it.submitted_bytes),
    );
    families.counter("ordering_frontend_acknowledged", "Envelopes acknowledged.", total(|it| it.envelopes_held));
    families.counter(
        "ordering_frontend_overloaded",
        "Envelopes refused because too much was waiting.",
        total(|it| it.envelopes_overloaded),
    );
    families.counter(
        "ordering_frontend_timed_out",
        "Envelopes whose clients were told that no acknowledgement came.",
        total(|it| it.envelopes_timed_out),
    );
    families.counter("ordering_frontend_resent", "Requests sent again to a node.", total(|it| it.requests_resent));
}

/// Node names are unique within a group, and groups have a frontend each.
fn nodes(families: &mut Families, frontends: &[FrontendCounters]) {
    let numbered = || (0_u32..).zip(frontends).flat_map(|(at, it)| it.nodes.iter().map(move |node| (at, node)));
    let named = |sample: Sample, at: u32, node: &NodeCounters| sample.label("frontend", at).label("node", &node.name);
    let each = |sample: &dyn Fn(&NodeCounters) -> Sample| -> Vec<Sample> {
        numbered().map(|(at, node)| named(sample(node), at, node)).collect()
    };
    families.gauge(
        "ordering_frontend_session",
        "1 if this node's frontend has a session with the node.",
        each(&|node| Sample::holds(node.connected)),
    );
    families.gauge(
        "ordering_frontend_late",
        "1 if more waits for the node than it reads.",
        each(&|node| Sample::holds(node.lagging)),
    );
    families.counter(
        "ordering_frontend_pushes",
        "Blocks that the node pushed.",
        each(&|node| Sample::new(node.pushes)),
    );
    let faults = numbered().flat_map(|(at, node)| {
        grievances(node).map(|(kind, count)| named(Sample::new(count), at, node).label("kind", kind))
    });
    families.counter(
        "ordering_frontend_faults",
        "What the node did that a correct one does not, or not often, by kind.",
        faults,
    );
}

/// What is held against a node, each with a word for labels.
fn grievances(node: &NodeCounters) -> [(&'static str, u64); 7] {
    [
        ("bad_signature", node.wrong_signatures),
        ("mismatching_block", node.wrong_headers),
        ("wrong_body", node.wrong_bodies),
        ("missing_body", node.silent_bodies),
        ("beyond_credit", node.beyond_credit),
        ("garbage", node.garbage),
        ("refused", node.refused),
    ]
}
