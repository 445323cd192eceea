//! The client side: Broadcast, Deliver, connections, and what this node's frontends have seen of each node.

use frontend_shim::counters::{FrontendCounters, NodeCounters};

use super::families::{Families, Sample};
use crate::status::NodeReport;

pub(super) fn render(families: &mut Families, report: &NodeReport) {
    clients(families, report);
    envelopes(families, &report.frontends);
    nodes(families, &report.frontends);
}

fn clients(families: &mut Families, report: &NodeReport) {
    let counters = &report.client_side.counters;
    families.counter(
        "ordering_broadcast_answers",
        "Envelopes answered, by status.",
        counters.broadcast.iter().map(|(status, count)| Sample::new(count).label("status", status)),
    );
    let one = |value: u64| [Sample::new(value)];
    families.counter("deliver_streams_opened", "Deliver streams that began.", one(counters.deliver_streams_opened));
    families.counter("deliver_streams_closed", "Deliver streams that ended.", one(counters.deliver_streams_closed));
    families.counter("ordering_deliver_blocks", "Blocks given to Deliver streams.", one(counters.blocks_sent));
    families.counter("grpc_comm_conn_opened", "Connections of clients that began.", one(counters.connections_opened));
    families.counter("grpc_comm_conn_closed", "Connections of clients that ended.", one(counters.connections_closed));
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
