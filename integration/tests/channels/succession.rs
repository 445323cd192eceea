//! Channels that move to other consenters while clients send.

use std::collections::BTreeSet;

use bytes::Bytes;
use integration::client::{key_of, occurrences};
use integration::material::{self, ORDERER_MSP_ID};
use orderer_node::participation::{ChannelStatus as Status, ConsensusRelation as Relation};
use tokio_util::sync::CancellationToken;

use crate::nodes::Nodes;

#[tokio::test(flavor = "multi_thread")]
async fn a_consenter_is_removed_and_comes_back_under_load_and_nothing_is_lost_or_ordered_twice() {
    let nodes = Nodes::start(&[1, 2, 3, 4]).await;
    let genesis = nodes.genesis("first", &[1, 2, 3, 4]);
    for id in [1, 2, 3, 4] {
        nodes.at(id).join(genesis.clone()).await.unwrap();
    }
    nodes.order(4, "first", 20).await;
    let first_group = nodes.at(1).hosting().list()[0].id();

    let enough = CancellationToken::new();
    let moving = async {
        nodes.update(1, "first", &["consenter", "remove", "--id", "4"]).await;
        nodes.wait_for(4, "first", |info| info.relation == Relation::Follower).await;
        nodes.order(2, "first", 20).await;
        let add = add(&nodes, 4);
        nodes.update(2, "first", &add.iter().map(String::as_str).collect::<Vec<_>>()).await;
        nodes.wait_for(4, "first", |info| info.relation == Relation::Consenter && info.status == Status::Active).await;
        let last = nodes.order(4, "first", 20).await;
        enough.cancel();
        last
    };
    let send = |id| nodes.keep_sending(id, "first", &enough);
    let (last, one, two, three) = tokio::join!(moving, send(1), send(2), send(3));

    let chain = nodes.one_chain("first", &[1, 2, 3, 4]).await;
    let found = occurrences(&chain);
    let sent: Vec<&Bytes> = last.iter().chain(&one).chain(&two).chain(&three).collect();
    assert!([&one, &two, &three].iter().all(|taken| !taken.is_empty()), "somebody sent nothing");
    assert!(sent.iter().all(|envelope| found.get(&key_of(envelope)) == Some(&1)));
    // The same consenters as at first, and another group.
    let groups: BTreeSet<_> = nodes.at(1).hosting().list().iter().map(|hosted| hosted.id()).collect();
    assert_eq!((groups.len(), groups.contains(&first_group)), (3, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_that_make_the_same_moves_share_a_group_again() {
    let nodes = Nodes::start(&[1, 2, 3, 4]).await;
    for channel in ["first", "second"] {
        let genesis = nodes.genesis(channel, &[1, 2, 3, 4]);
        for id in [1, 2, 3, 4] {
            nodes.at(id).join(genesis.clone()).await.unwrap();
        }
        nodes.order(1, channel, 10).await;
    }
    nodes.update(1, "first", &["consenter", "remove", "--id", "4"]).await;
    nodes.order(2, "first", 10).await;
    nodes.order(2, "second", 10).await;
    nodes.update(3, "second", &["consenter", "remove", "--id", "4"]).await;
    nodes.order(1, "second", 10).await;
    nodes.order(3, "first", 10).await;
    for channel in ["first", "second"] {
        let chain = nodes.one_chain(channel, &[1, 2, 3]).await;
        assert_eq!(chain.iter().map(|block| block.envelopes.len()).sum::<usize>(), 31);
    }
    assert_eq!(nodes.at(1).hosting().list().len(), 2);

    // A channel that is removed where it was is gone from both.
    nodes.at(1).remove(&nodes.id("first")).await.unwrap();
    nodes.order(1, "second", 10).await;
    nodes.order(2, "first", 10).await;
    nodes.one_chain("first", &[2, 3]).await;
}

/// How the `channel` tool adds an orderer of the test data.
fn add(nodes: &Nodes, id: u16) -> Vec<String> {
    let file = |name: &str| material::orderer(id.into()).join(name).display().to_string();
    let (identity, tls) = (file(&format!("msp/signcerts/o{id}.orderer.example.com-cert.pem")), file("tls/server.crt"));
    let of = [("--msp-id", ORDERER_MSP_ID), ("--identity", &identity), ("--client-tls", &tls), ("--server-tls", &tls)];
    let words = ["consenter", "add", "--address"].map(str::to_owned).into_iter().chain([nodes.address(id)]);
    words.chain(of.into_iter().flat_map(|(name, value)| [name.to_owned(), value.to_owned()])).collect()
}
