//! Connections with other nodes, and what was turned away at the doors.

use super::families::{Families, Sample};
use super::groups::{node, of_group};
use crate::mesh::PeerCounters;
use crate::status::NodeReport;

pub(super) fn render(families: &mut Families, report: &NodeReport) {
    let links = || report.groups.iter().flat_map(|group| &group.mesh);
    families.gauge(
        "cluster_comm_egress_tls_connection_count",
        "Connections to other nodes.",
        [Sample::new(links().filter(|peer| peer.connected).count())],
    );
    families.gauge(
        "cluster_comm_ingress_stream_count",
        "Connections from other nodes.",
        [Sample::new(links().filter(|peer| peer.heard).count())],
    );
    by_peer(families, report);
    doors(families, report);
}

fn by_peer(families: &mut Families, report: &NodeReport) {
    let each = |sample: &dyn Fn(&PeerCounters) -> Sample| -> Vec<Sample> {
        let groups = report.groups.iter();
        let peers = groups.flat_map(|group| group.mesh.iter().map(move |peer| (&group.ordering, peer)));
        peers.map(|(ordering, peer)| node(of_group(sample(peer), ordering), ordering, peer.replica)).collect()
    };
    families.gauge(
        "ordering_mesh_connected",
        "1 if the link to the node stands.",
        each(&|peer| Sample::holds(peer.connected)),
    );
    families.gauge(
        "ordering_mesh_heard",
        "1 if the link from the node stands.",
        each(&|peer| Sample::holds(peer.heard)),
    );
    families.gauge(
        "ordering_mesh_queue_bytes",
        "Bytes that wait to be sent to the node.",
        each(&|peer| Sample::new(peer.queued_bytes)),
    );
    families.counter(
        "ordering_mesh_links",
        "Links to the node that came to stand.",
        each(&|peer| Sample::new(peer.links)),
    );
    families.counter(
        "ordering_mesh_dial_failures",
        "Attempts to dial the node that failed.",
        each(&|peer| Sample::new(peer.dials_failed)),
    );
    families.counter(
        "ordering_mesh_frames_sent",
        "Frames sent to the node.",
        each(&|peer| Sample::new(peer.frames_out)),
    );
    families.counter("ordering_mesh_bytes_sent", "Bytes sent to the node.", each(&|peer| Sample::new(peer.bytes_out)));
    families.counter(
        "ordering_mesh_frames_received",
        "Frames received from the node.",
        each(&|peer| Sample::new(peer.frames_in)),
    );
    families.counter(
        "ordering_mesh_bytes_received",
        "Bytes received from the node.",
        each(&|peer| Sample::new(peer.bytes_in)),
    );
    families.counter(
        "ordering_mesh_frames_dropped",
        "Frames for the node that gave way to newer ones.",
        each(&|peer| Sample::new(peer.dropped)),
    );
    let rejected = report.groups.iter().flat_map(|group| {
        let peers =
            group.mesh.iter().flat_map(|peer| peer.rejects.iter().map(move |(reason, count)| (peer, reason, count)));
        peers.map(|(peer, reason, count)| {
            let sample = of_group(Sample::new(count), &group.ordering);
            node(sample, &group.ordering, peer.replica).label("reason", reason)
        })
    });
    families.counter("ordering_mesh_rejects", "What was not accepted from the node, by reason.", rejected);
}

fn doors(families: &mut Families, report: &NodeReport) {
    let door = &report.mesh_door;
    let refused = [
        ("stranger", door.strangers),
        ("garbled", door.garbled),
        ("version", door.versions),
        ("group", door.groups),
        ("pin", door.pins),
        ("binding", door.bindings),
        ("banned", door.banned),
    ];
    families.counter(
        "ordering_mesh_refused",
        "Connections to the mesh that were refused, by reason.",
        refused.map(|(reason, count)| Sample::new(count).label("reason", reason)),
    );
    families.counter(
        "ordering_listener_connections",
        "Connections at the listeners, in the order of the configuration, by what became of them.",
        (0..).zip(&report.listeners).flat_map(|(listener, counters): (u32, _)| {
            let outcomes = [
                ("accepted", counters.accepted),
                ("handshake_failed", counters.handshakes_failed),
                ("handshake_timed_out", counters.handshakes_timed_out),
                ("handshake_displaced", counters.handshakes_displaced),
                ("without_certificate", counters.without_certificate),
                ("not_served", counters.not_served),
                ("overloaded", counters.overloaded),
            ];
            outcomes.map(|(outcome, n)| Sample::new(n).label("listener", listener).label("outcome", outcome))
        }),
    );
}
