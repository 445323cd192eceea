//! Nodes and frontends at sites of a small matrix: they order, and what they say to each other takes as long as it says.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use fabric_proto::common::Status;
use integration::dev_network::DevNetwork;
use integration::ports::free_ports;
use orderer_node::client::{BroadcastClient, DeliverClient, Endpoint, Seek};

/// The third node and the frontend are at the far site.
const MATRIX: &str = "site,near,middle,far\nnear,,10,20\nmiddle,10,,14\n";
/// A round trip between the first node and the far site.
const FAR: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_network_orders_over_emulated_distances() {
    let folder = tempfile::tempdir().unwrap();
    let matrix = folder.path().join("matrix.csv");
    std::fs::write(&matrix, format!("{MATRIX}far,,,\n")).unwrap();
    let port = free_ports(5).unwrap().to_string();
    let arguments = ["--nodes", "4", "--frontends", "1", "--base-port", &port, "--max-message-count", "1"];
    let wan = ["--wan", matrix.to_str().unwrap(), "--wan-sites", "near,middle,far,middle", "--wan-frontends", "far"];
    let network = DevNetwork::start(&[&arguments[..], &wan[..]].concat()).await.unwrap();
    let file = network.file();
    let sites: Vec<&str> = file.nodes.iter().map(|node| node.site.as_deref().unwrap()).collect();
    assert_eq!(sites, ["near", "middle", "far", "middle"]);
    let frontend = &file.frontends[0];
    assert_eq!(frontend.site.as_deref(), Some("far"));

    // The first node as the frontend reaches it, and as a client beside it does.
    let written: toml::Table = std::fs::read_to_string(&frontend.config).unwrap().parse().unwrap();
    let reached = written["node"].as_array().unwrap();
    assert_eq!(reached.len(), 3, "the node at its own site is dialled at once");
    let relay = reached.iter().find(|node| node["name"].as_str() == Some(&file.nodes[0].address)).unwrap();
    let relay = relay["address"].as_str().unwrap();
    let (slow, fast) = (question(&network, relay).await, question(&network, &file.nodes[0].address).await);
    assert!(slow >= FAR && fast < FAR, "{slow:?} from afar, {fast:?} beside it");

    // An envelope goes there, the nodes vote twice, and the block comes back.
    let door = Endpoint::tls(&frontend.address, &frontend.tls_ca, None).unwrap();
    let connection = door.connect().await.unwrap();
    let mut blocks = DeliverClient::open(&connection, network.user(), Seek::from(1)).await.unwrap();
    let sender = BroadcastClient::open(&connection);
    for number in 1..=3 {
        let since = Instant::now();
        let answer = sender.submit(network.user().transaction(&[number; 40])).await.unwrap();
        let block = blocks.next().await.unwrap().unwrap();
        assert_eq!(block.entries().len(), 1);
        assert!(since.elapsed() >= FAR, "{:?}", since.elapsed());
        assert_eq!(answer.answer().await.unwrap().status, Status::Success);
    }
    let said = network.stop().await.unwrap();
    assert!(said.contains("o1 near, o2 middle, o3 far, o4 middle, f1 far; no jitter"), "{said}");
}

/// The quickest of some answers to a question on one connection.
async fn question(network: &DevNetwork, address: &str) -> Duration {
    let authority = &network.file().nodes[0].tls_ca;
    let connection = Endpoint::tls(address, authority, None).unwrap().connect().await.unwrap();
    let mut blocks = DeliverClient::open(&connection, network.user(), Seek::range(0, 0)).await.unwrap();
    blocks.next().await.unwrap();
    let mut quickest = Duration::MAX;
    for _ in 0..10 {
        let since = Instant::now();
        while blocks.next().await.unwrap().is_some() {}
        blocks.seek(Seek::range(0, 0)).await.unwrap();
        assert!(blocks.next().await.unwrap().is_some());
        quickest = quickest.min(since.elapsed());
    }
    quickest
}
