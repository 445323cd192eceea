//! A node tells what each stage of an envelope's way has cost it.

use bytes::Bytes;
use frontend_shim::stages::StageReport;
use futures::future::try_join_all;
use integration::client::{broadcast, one_chain};
use integration::material::Cutting;
use integration::network::Network;
use integration::site::NodeId;

/// Each frontend takes envelopes, and each node is asked for its blocks.
#[tokio::test(flavor = "multi_thread")]
async fn each_stage_has_its_share_of_what_a_node_under_load_uses_and_no_more_than_that_in_all() {
    let network = Network::start(&Cutting::default()).await.unwrap();
    let ids = network.ids();
    let before = try_join_all(ids.iter().map(|&id| used(&network, id))).await.unwrap();
    let sending = ids.iter().map(|&id| {
        let share: Vec<Bytes> = (0..ENVELOPES).map(|_| network.user().transaction_of_size(200)).collect();
        let endpoint = network.endpoint(id).unwrap();
        async move { broadcast(&endpoint, share).await }
    });
    try_join_all(sending).await.unwrap();
    one_chain(&network, &ids).await.unwrap();

    for (&id, before) in ids.iter().zip(&before) {
        let now = used(&network, id).await.unwrap();
        let claimed: u64 = now.stages.iter().map(|stage| stage.processor_ns).sum();
        assert!(claimed <= now.process_ns, "node {id}: {now:?}");
        let since = now.since(before);
        for stage in &since.stages {
            assert!(stage.processor_ns > 0 && stage.entries > 0, "node {id} did nothing in stage {}", stage.stage);
        }
        let verifying = since.stages.iter().find(|stage| stage.stage == "verify_client").unwrap();
        // It verifies each of its own for its clients, and those of all frontends for itself.
        assert!(verifying.entries > ENVELOPES as u64, "node {id}: {since:?}");
        assert!(claimed > now.process_ns / 3, "node {id}: the stages explain little of {now:?}");
    }
}

async fn used(network: &Network, id: NodeId) -> anyhow::Result<StageReport> {
    let report = network.status(id).await?;
    StageReport::of(&report).ok_or_else(|| anyhow::anyhow!("node {id} does not tell of stages"))
}

const ENVELOPES: usize = 200;
