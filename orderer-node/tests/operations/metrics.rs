//! What the metrics say of a node, in which names and labels.

use orderer_node::operations::render;

use super::exposition::Exposition;
use super::node::well;

fn exposed() -> Exposition {
    Exposition::parse(&render(&well()))
}

#[test]
fn figures_that_fabric_tells_have_its_names_and_labels() {
    let exposed = exposed();
    let expected = [
        ("fabric_version{version=\"1.2.3\"}", 1.0),
        ("ledger_blockchain_height{channel=\"mychannel\"}", 42.0),
        ("participation_consensus_relation{channel=\"mychannel\"}", 1.0),
        ("participation_status{channel=\"other\"}", 1.0),
        ("consensus_BFT_cluster_size{channel=\"mychannel\"}", 4.0),
        ("consensus_BFT_committed_block_number{channel=\"mychannel\"}", 41.0),
        ("consensus_BFT_is_leader{channel=\"other\"}", 0.0),
        ("consensus_BFT_leader_id{channel=\"mychannel\"}", 2.0),
        ("cluster_comm_egress_tls_connection_count", 2.0),
        ("cluster_comm_ingress_stream_count", 2.0),
        ("deliver_streams_opened", 9.0),
        ("deliver_streams_closed", 4.0),
        ("grpc_comm_conn_opened", 7.0),
        ("grpc_comm_conn_closed", 5.0),
    ];
    for (series, value) in expected {
        assert_eq!(exposed.value(series), value, "{series}");
    }
}

#[test]
fn figures_that_operators_lack_elsewhere_are_told_as_well() {
    let exposed = exposed();
    let expected = [
        ("ordering_regency{group=\"01234567\"}", 5.0),
        ("ordering_regency_changes{group=\"01234567\",reason=\"slow\"}", 1.0),
        ("ordering_regency_changes{group=\"01234567\",reason=\"stalled\"}", 0.0),
        ("ordering_progress_age_seconds{group=\"01234567\"}", 0.25),
        ("ordering_requests_waiting{group=\"01234567\"}", 4.0),
        ("ordering_requests_waiting_bytes{group=\"01234567\"}", 4096.0),
        ("ordering_request_age_seconds{group=\"01234567\"}", 0.12),
        ("ordering_vote_delay_seconds_sum{group=\"01234567\",node=\"2\"}", 0.12),
        ("ordering_vote_delay_seconds_count{group=\"01234567\",node=\"2\"}", 80.0),
        ("ordering_misbehaviour{group=\"01234567\",node=\"4\",what=\"voted \\\"twice\\\"\"}", 2.0),
        ("ordering_mesh_connected{group=\"01234567\",node=\"4\"}", 0.0),
        ("ordering_mesh_queue_bytes{group=\"01234567\",node=\"2\"}", 2048.0),
        ("ordering_mesh_rejects{group=\"01234567\",node=\"2\",reason=\"garbage\"}", 1.0),
        ("ordering_mesh_refused{reason=\"stranger\"}", 2.0),
        ("ordering_listener_connections{listener=\"0\",outcome=\"accepted\"}", 12.0),
        ("ordering_journal_sync_seconds_sum{group=\"01234567\"}", 0.5),
        ("ordering_journal_sync_seconds_count{group=\"01234567\"}", 200.0),
        (
            "ordering_frontend_faults{frontend=\"0\",node=\"node 4 at o4.example.com:7050\",kind=\"mismatching_block\"}",
            5.0,
        ),
        ("ordering_frontend_late{frontend=\"0\",node=\"node 3 at o3.example.com:7050\"}", 1.0),
        ("ordering_certificate_expiry_seconds{certificate=\"tls\"}", 20.0 * 86_400.0),
        (
            "ordering_consenter_certificate_expiry_seconds{channel=\"mychannel\",consenter=\"3\",certificate=\"server_tls\"}",
            -86_400.0,
        ),
        ("ordering_disk_free_bytes", (50_u64 << 30) as f64),
        ("ordering_journal_disk_free_bytes", (5_u64 << 30) as f64),
        ("ordering_ledger_damaged{channel=\"mychannel\"}", 0.0),
        ("logging_entries_written{level=\"warn\"}", 0.0),
        ("ordering_certified_height{channel=\"mychannel\"}", 41.0),
        ("process_resident_memory_bytes", (300 << 20) as f64),
        ("process_open_fds", 64.0),
        ("process_cpu_seconds_total", 5.0),
        ("ordering_stage_processor_seconds_sum{stage=\"cut\"}", 1.5),
        ("ordering_stage_processor_seconds_count{stage=\"cut\"}", 300.0),
        ("ordering_healthy", 1.0),
        ("ordering_ready{component=\"channel other\"}", 1.0),
    ];
    for (series, value) in expected {
        assert_eq!(exposed.value(series), value, "{series}");
    }
    assert!(!exposed.samples.contains_key("ordering_vote_delay_seconds_sum{group=\"01234567\",node=\"1\"}"), "our own");
}

#[test]
fn a_node_without_channels_exposes_the_same_families() {
    let mut bare = well();
    bare.channels.clear();
    bare.consenter_certificates.clear();
    (bare.disk, bare.journal_disk) = (None, None);
    bare.process = None;
    bare.node.groups.clear();
    bare.node.frontends.clear();
    bare.node.client_side.channels.clear();
    let bare = Exposition::parse(&render(&bare));
    assert_eq!(bare.families, exposed().families);
    // What clients ask of channels that are not here counts together.
    let names_a_channel = |series: &&String| series.contains("channel=") && !series.contains("channel=\"unknown\"");
    assert_eq!(bare.samples.keys().find(names_a_channel), None);
}
