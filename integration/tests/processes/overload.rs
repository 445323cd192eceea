//! Somebody stops reading: memory stays bounded, and the others go on.

use std::time::Duration;

use integration::campaign::{QuietPlan, quiet};
use integration::client::{Load, LoadPlan, broadcast, one_chain};
use integration::material::Cutting;
use integration::network::Network;
use integration::site::{NodeId, section};
use orderer_node::client::{DeliverClient, Seek};

/// Hundreds of Deliver streams, on one connection and on several, none of which is ever read.
#[tokio::test(flavor = "multi_thread")]
async fn deliver_clients_that_do_not_read_cost_a_bounded_amount_of_memory() {
    let network = Network::start(&large_blocks()).await.unwrap();
    let endpoint = network.endpoint(2).unwrap();
    let mut unread = Vec::new();
    for _ in 0..CONNECTIONS {
        let connection = endpoint.connect().await.unwrap();
        for _ in 0..STREAMS_PER_CONNECTION {
            unread.push(DeliverClient::open(&connection, network.user(), Seek::from(0)).await.unwrap());
        }
    }
    send_a_lot(&network, &[1, 2, 3, 4]).await;
    let chain = one_chain(&network, &[1, 2, 3, 4]).await.unwrap();
    assert_eq!(chain.iter().map(|block| block.envelopes.len()).sum::<usize>(), ENVELOPES);
    assert_memory(&network, &[1, 2, 3, 4]);
    assert_eq!(unread.len(), CONNECTIONS * STREAMS_PER_CONNECTION);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_node_costs_the_others_a_bounded_amount_of_memory_and_catches_up() {
    let network = Network::start(&large_blocks()).await.unwrap();
    network.node(4).unwrap().pause().unwrap();
    send_a_lot(&network, &[1, 2, 3]).await;
    let chain = one_chain(&network, &[1, 2, 3]).await.unwrap();
    assert_eq!(chain.iter().map(|block| block.envelopes.len()).sum::<usize>(), ENVELOPES);
    assert_memory(&network, &[1, 2, 3]);
    for id in [1, 2, 3] {
        let report = network.status(id).await.unwrap();
        for peer in section(&report, "mesh").unwrap()[0].as_array().unwrap() {
            let queued = peer["queued_bytes"].as_u64().unwrap();
            assert!(queued <= QUEUED_BYTES_MAX, "node {id}: {peer}");
        }
    }

    network.node(4).unwrap().resume().unwrap();
    let load = Load::start(&network, &[1, 4], LoadPlan { rate_per_s: 50, data_bytes: 200 }).unwrap();
    load.wait_for_more(100).await.unwrap();
    load.stop().await.unwrap();
    one_chain(&network, &[1, 2, 3, 4]).await.unwrap();
    assert_memory(&network, &[4]);
}

/// The short form of the campaign `quiet`.
#[tokio::test(flavor = "multi_thread")]
async fn no_regency_changes_under_half_load_while_another_program_takes_a_processor() {
    let plan = QuietPlan { time: Duration::from_secs(20), calibration: Duration::from_secs(4) };
    print!("{}", quiet(&plan).await.unwrap());
}

fn large_blocks() -> Cutting {
    Cutting { message_count_max: 50, block_bytes_preferred: 4 << 20, ..Cutting::default() }
}

/// Through the frontends of these nodes, each its share, and never much at a time: what waits to be ordered may take
/// memory, and is not what this is about.
async fn send_a_lot(network: &Network, ids: &[NodeId]) {
    let sending = ids.iter().enumerate().map(|(at, &id)| {
        let (endpoint, user) = (network.endpoint(id).unwrap(), network.user().clone());
        let count = ENVELOPES / ids.len() + usize::from(at < ENVELOPES % ids.len());
        async move {
            for sent in (0..count).step_by(AT_A_TIME) {
                let some = (sent..count.min(sent + AT_A_TIME)).map(|_| user.transaction_of_size(ENVELOPE_BYTES));
                broadcast(&endpoint, some).await?;
            }
            anyhow::Ok(())
        }
    });
    futures::future::try_join_all(sending).await.unwrap();
}

fn assert_memory(network: &Network, ids: &[NodeId]) {
    for &id in ids {
        let bytes = network.node(id).unwrap().resident_bytes().unwrap();
        println!("node {id} has {} MiB of memory in use", bytes >> 20);
        assert!(bytes < RESIDENT_BYTES_MAX, "node {id} has {} MiB of memory in use", bytes >> 20);
    }
}

const CONNECTIONS: usize = 10;
const STREAMS_PER_CONNECTION: usize = 60;
const ENVELOPE_BYTES: usize = 64 << 10;
const AT_A_TIME: usize = 16;
/// 384 MiB in all: more than a node may have in use, and twelve times what may wait for one peer.
const ENVELOPES: usize = 6144;
const RESIDENT_BYTES_MAX: u64 = 350 << 20;
/// What may wait for one peer of the mesh.
const QUEUED_BYTES_MAX: u64 = 32 << 20;
