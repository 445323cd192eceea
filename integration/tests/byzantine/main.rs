//! Node 4 lies: it holds the right keys and misuses them. The other three are real processes; they go on, and name it.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod false_blocks;
mod false_node;
mod false_votes;
mod lies;

use std::time::Duration;

use frontend_shim::counters::{FrontendCounters, NodeCounters};
use integration::client::{Load, LoadPlan, Outcome, one_chain};
use integration::material::Cutting;
use integration::network::Network;
use integration::site::{NodeId, section, wait_until};
use integration::standalone::StandaloneFrontend;
use orderer_node::status::OrderingReport;
use serde_json::Value;

use false_node::{FalseNode, Manners};
use lies::Lie;

#[tokio::test(flavor = "multi_thread")]
async fn wrong_block_signatures_are_not_counted_and_their_sender_is_named() {
    let (network, _liar) = with_liar(Manners::Pushes(Lie::Signature)).await;
    let load = begin(&network).await;
    for id in HONEST {
        wait_for_grievance(&network, id, |node| node.wrong_signatures).await;
        wait_for_line(&network, id, &format!("{} sent a wrong block signature", named(&network))).await;
    }
    all_is_well(&network, load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_block_is_outvoted_and_its_sender_is_named() {
    let (network, _liar) = with_liar(Manners::Pushes(Lie::Header)).await;
    let load = begin(&network).await;
    for id in HONEST {
        wait_for_grievance(&network, id, |node| node.wrong_headers).await;
        wait_for_line(&network, id, &format!("{} sent a wrong block header", named(&network))).await;
    }
    all_is_well(&network, load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_that_nobody_asked_for_and_garbage_end_a_session_and_its_sender_is_named() {
    let (network, _liar) = with_liar(Manners::Pushes(Lie::Garbage)).await;
    let load = begin(&network).await;
    for id in HONEST {
        wait_for_grievance(&network, id, |node| node.beyond_credit).await;
        wait_for_grievance(&network, id, |node| node.garbage).await;
        wait_for_line(&network, id, &format!("{} sent garbage", named(&network))).await;
    }
    all_is_well(&network, load).await;
}

/// Embedded frontends need no bodies of others, so this takes one that runs alone. It is told the header by the honest ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_body_is_thrown_away_fetched_from_another_and_its_sender_is_named() {
    let (network, _liar) = with_liar(Manners::Pushes(Lie::Body)).await;
    let frontend = StandaloneFrontend::start(&network).unwrap();
    let load = begin(&network).await;
    wait_until("the frontend holds a wrong body against node 4", async || {
        Ok(frontend.seen_of(LIAR).await.is_ok_and(|node| node.wrong_bodies > 0))
    })
    .await
    .unwrap();
    let line = format!("{} sent a wrong block body", named(&network));
    wait_until(&line, async || Ok(frontend.log().contains(&line))).await.unwrap();
    let height = all_is_well(&network, load).await;
    wait_until("the frontend has every block", async || Ok(frontend.height().await >= height)).await.unwrap();
}

/// It takes every connection and never says a word on it.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_node_is_not_waited_for_and_is_named() {
    let (network, _liar) = with_liar(Manners::Silent).await;
    let load = begin(&network).await;
    for id in HONEST {
        wait_for_line(&network, id, &format!("no session with {}: the node is silent", named(&network))).await;
        let peer = mesh_peer(&network, id).await;
        assert_eq!(peer["connected"], Value::Bool(false), "{peer}");
        assert!(peer["dials_failed"].as_u64().unwrap() > 0, "{peer}");
        assert!(!liar_as_seen_by(&network, id).await.connected);
    }
    all_is_well(&network, load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn false_votes_and_proposals_change_nothing_and_their_sender_is_named() {
    let (network, liar) = with_liar(Manners::Polite).await;
    let load = begin(&network).await;
    let lying = tokio::spawn(liar.vote_falsely());
    for id in HONEST {
        for what in ["double vote", "proposal by a replica that does not lead", "wrong signature"] {
            wait_until(&format!("node {id} counts a {what}"), async || {
                let OrderingReport { misbehaviour, .. } = network.ordering(id).await?;
                Ok(misbehaviour.iter().any(|it| it.replica == LIAR && it.what.contains(what) && it.count > 0))
            })
            .await
            .unwrap();
        }
        wait_for_line(&network, id, "no correct replica does this: double vote").await;
        let honest = network.ordering(id).await.unwrap().misbehaviour;
        assert!(honest.iter().all(|it| it.replica == LIAR), "{honest:?}");
    }
    all_is_well(&network, load).await;
    lying.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_between_replicas_ends_the_link_and_its_sender_is_named() {
    let (network, liar) = with_liar(Manners::Polite).await;
    let load = begin(&network).await;
    let lying = tokio::spawn(liar.talk_garbage());
    for id in HONEST {
        wait_until(&format!("node {id} counts garbage"), async || {
            let rejects = mesh_peer(&network, id).await["rejects"].clone();
            Ok(rejects.as_object().is_some_and(|rejects| rejects.values().any(|count| count.as_u64() > Some(1))))
        })
        .await
        .unwrap();
        wait_for_line(&network, id, "closed a link that carried garbage").await;
    }
    all_is_well(&network, load).await;
    lying.abort();
}

/// Three nodes that run, and something in the place of the fourth.
async fn with_liar(manners: Manners) -> (Network, FalseNode) {
    let mut network = Network::prepare(&Cutting::default()).await.unwrap();
    let liar = FalseNode::start(&network, manners).await.unwrap();
    for id in HONEST {
        network.start_node(id).unwrap();
    }
    network.wait_until_open().await.unwrap();
    (network, liar)
}

async fn begin(network: &Network) -> Load {
    let load = Load::start(network, &HONEST, LoadPlan { rate_per_s: 40, data_bytes: 200 }).unwrap();
    load.wait_for_more(20).await.unwrap();
    load
}

/// Ordering goes on, nothing is lost, and the honest nodes have one chain, signed by them alone. Gives its height.
async fn all_is_well(network: &Network, load: Load) -> u64 {
    load.wait_for_more(100).await.unwrap();
    let outcome: Outcome = load.stop().await.unwrap();
    let chain = one_chain(network, &HONEST).await.unwrap();
    outcome.check(&chain).unwrap();
    assert!(chain.iter().all(|block| block.signers.iter().eq(&HONEST)), "a block that the liar signed");
    chain.len() as u64 + 1
}

async fn wait_for_grievance(network: &Network, id: NodeId, count: impl Fn(&NodeCounters) -> u64) {
    let is_counted = async || Ok(count(&liar_as_seen_by(network, id).await) > 0);
    wait_until(&format!("node {id} holds it against node 4"), is_counted).await.unwrap();
}

async fn wait_for_line(network: &Network, id: NodeId, line: &str) {
    let what = format!("node {id} says: {line}");
    wait_until(&what, async || Ok(network.log(id).contains(line))).await.unwrap();
    tokio::time::sleep(Duration::ZERO).await;
}

/// What a node's embedded frontend has seen of the liar.
async fn liar_as_seen_by(network: &Network, id: NodeId) -> NodeCounters {
    let report = network.status(id).await.unwrap();
    let frontends: Vec<FrontendCounters> =
        serde_json::from_value(section(&report, "frontends").unwrap().clone()).unwrap();
    frontends[0].nodes.iter().find(|node| node.replica == LIAR).unwrap().clone()
}

/// What a node's mesh has seen of the liar.
async fn mesh_peer(network: &Network, id: NodeId) -> Value {
    let report = network.status(id).await.unwrap();
    let peers = section(&report, "mesh").unwrap()[0].as_array().unwrap().clone();
    peers.into_iter().find(|peer| peer["replica"] == u64::from(LIAR)).unwrap()
}

fn named(network: &Network) -> String {
    format!("node 4 at {}", network.address(4))
}

const HONEST: [NodeId; 3] = [1, 2, 3];
/// The liar's number as a replica.
const LIAR: u16 = 3;
