//! Broadcast, Deliver and status over Unix sockets.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

use integration::binary::orderer_node;
use integration::client::{blocks, broadcast, occurrences, one_chain};
use integration::material::Cutting;
use integration::network::{CHANNEL, Network};
use integration::verifier::VerifiedBlock;
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn a_program_on_the_same_machine_needs_no_tcp_and_no_tls() {
    let network = Network::start(&Cutting::default()).await.unwrap();
    let socket = network.unix_endpoint(3).unwrap();
    let envelopes: Vec<_> = (0..100).map(|_| network.user().transaction_of_size(100)).collect();
    broadcast(&socket, envelopes).await.unwrap();
    let chain = one_chain(&network, &[1, 2, 3, 4]).await.unwrap();
    assert_eq!(occurrences(&chain).len(), 100);

    let height = network.height(3).await.unwrap();
    let over_the_socket = blocks(&socket, network.user(), height).await.unwrap();
    let over_tls = blocks(&network.endpoint(3).unwrap(), network.user(), height).await.unwrap();
    assert_eq!(over_the_socket, over_tls);
    let mut verifier = network.verifier().unwrap();
    let verified: Vec<VerifiedBlock> = over_the_socket[1..].iter().map(|b| verifier.verify_next(b).unwrap()).collect();
    integration::client::assert_same(&verified, &chain).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_command_shows_what_a_running_node_says_of_itself() {
    let network = Network::start(&Cutting::default()).await.unwrap();
    let envelopes: Vec<_> = (0..50).map(|_| network.user().transaction_of_size(100)).collect();
    broadcast(&network.endpoint(2).unwrap(), envelopes).await.unwrap();
    one_chain(&network, &[1, 2, 3, 4]).await.unwrap();

    let output = status(network.status_socket(2).unwrap());
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let channel = &report["channels"][0];
    assert_eq!((channel["id"].as_str(), channel["state"].as_str()), (Some(CHANNEL), Some("open")));
    assert_eq!(channel["height"], channel["certified_height"]);
    assert!(channel["height"].as_u64() >= Some(3), "{channel}");
    assert_eq!(report["counters"]["broadcast"]["SUCCESS"].as_u64(), Some(50));
    let ordering = &report["sections"]["ordering"][0];
    assert_eq!((ordering["replica"].as_u64(), ordering["replicas"].as_u64()), (Some(1), Some(4)));
    assert_eq!(ordering["leader"].as_u64(), Some(0));
    assert_eq!(report["complaints"], Value::Array(Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_command_says_so_when_nobody_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let output = status(&folder.path().join("status.sock"));
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("nobody answers on") && said.contains("status.sock"), "{said}");
}

fn status(socket: &std::path::Path) -> Output {
    Command::new(orderer_node().unwrap()).args(["status", "--json", "--socket"]).arg(socket).output().unwrap()
}
