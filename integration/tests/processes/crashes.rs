//! Power failures of nodes, as far as a process can have one: SIGKILL under load.

use std::collections::BTreeSet;

use integration::client::{Load, LoadPlan, assert_same, one_chain, verified_chain};
use integration::material::Cutting;
use integration::network::Network;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_follower_is_not_missed_comes_back_and_signs_again() {
    let mut network = Network::start(&Cutting::default()).await.unwrap();
    let load = Load::start(&network, &[1, 2, 3], LOAD).unwrap();
    load.wait_for_more(200).await.unwrap();

    network.kill(4).unwrap();
    let height = network.height(1).await.unwrap();
    load.wait_for_more(300).await.unwrap();
    network.wait_for_height(1, height + 5).await.unwrap();

    let missed = network.height(1).await.unwrap();
    network.start_node(4).unwrap();
    network.wait_for_height(4, missed).await.unwrap();

    // Of four, three must sign: without node 3 no block is certified that node 4 does not sign.
    network.kill(3).unwrap();
    let height = network.height(1).await.unwrap();
    network.wait_for_height(1, height + 5).await.unwrap();
    let with_the_returned = network.height(1).await.unwrap();
    let outcome = load.stop().await.unwrap();

    network.start_node(3).unwrap();
    network.wait_until_open().await.unwrap();
    let chain = one_chain(&network, &[1, 2, 3, 4]).await.unwrap();
    outcome.check(&chain).unwrap();
    let at_the_first = verified_chain(&network, 1, with_the_returned).await.unwrap();
    assert_eq!(at_the_first.last().unwrap().signers, BTreeSet::from([1, 2, 4]));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_all_nodes_are_killed_at_once() {
    let mut network = Network::start(&Cutting::default()).await.unwrap();
    let load = Load::start(&network, &[1, 2, 3, 4], LOAD).unwrap();
    let mut seen = Vec::new();
    for round in 0..ROUNDS {
        load.wait_for_more(150).await.unwrap();
        let id = 1 + round % 4;
        let height = network.height(id).await.unwrap();
        seen.push(verified_chain(&network, id, height).await.unwrap());
        network.kill_all().unwrap();
        network.start_all().unwrap();
        network.wait_until_open().await.unwrap();
    }
    load.wait_for_more(300).await.unwrap();
    let outcome = load.stop().await.unwrap();

    let chain = one_chain(&network, &[1, 2, 3, 4]).await.unwrap();
    outcome.check(&chain).unwrap();
    for before in seen {
        assert_same(&before, &chain[..before.len()]).expect("what a client saw before is still the chain");
    }
    assert_eq!(network.pending(&[1, 2, 3, 4]).await, 0, "nothing waits that is never ordered");
    println!("{} acknowledged envelopes, {} blocks, {ROUNDS} power failures", outcome.acknowledged.len(), chain.len());
}

/// SIGTERM is the orderly way: the node says so and ends well.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_told_to_stop_ends_in_good_order() {
    let mut network = Network::start(&Cutting::default()).await.unwrap();
    let node = network.take(2).unwrap();
    let status = node.stop(nix::sys::signal::Signal::SIGTERM, integration::site::PATIENCE).unwrap();
    assert!(status.success(), "{status}");
    assert!(network.log(2).contains("stopping"), "{}", network.log(2));
}

const LOAD: LoadPlan = LoadPlan { rate_per_s: 100, data_bytes: 200 };
/// More than the lives of one frontend that a node remembers without effort.
const ROUNDS: u32 = 12;
