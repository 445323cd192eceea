//! Channels that are joined, followed and removed while nodes run. The nodes are inside the test's process, on real
//! sockets, so that their registrars can be spoken to without a tool between.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod nodes;
mod succession;

use fabric_proto::common::Status as Answer;
use integration::client::{key_of, occurrences};
use orderer_node::participation::{ChannelInfo, ChannelStatus as Status, ConsensusRelation, JoinError, RemoveError};

use crate::nodes::Nodes;

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_opens_when_a_quorum_has_joined_it_in_any_order_and_the_last_node_catches_up() {
    let nodes = Nodes::start(&[1, 2, 3, 4]).await;
    let genesis = nodes.genesis("first", &[1, 2, 3, 4]);
    assert!(nodes.at(3).list().is_empty());
    assert_eq!(nodes.answer(3, "first").await.0, Answer::BadRequest, "the channel is not joined");

    let info = nodes.at(3).join(genesis.clone()).await.unwrap();
    assert_eq!((info.relation, info.status, info.height), (ConsensusRelation::Consenter, Status::Active, 1));
    assert_eq!(nodes.answer(3, "first").await.0, Answer::ServiceUnavailable, "one of four is no quorum");
    assert!(matches!(nodes.at(3).join(genesis.clone()).await, Err(JoinError::AlreadyExists)));
    nodes.at(1).join(genesis.clone()).await.unwrap();
    nodes.at(4).join(genesis.clone()).await.unwrap();
    let sent = nodes.order(3, "first", 60).await;

    // Node 2 comes when everything is over.
    nodes.at(2).join(genesis).await.unwrap();
    let more = nodes.order(2, "first", 10).await;
    let chain = nodes.one_chain("first", &[1, 2, 3, 4]).await;
    let found = occurrences(&chain);
    assert!(sent.iter().chain(&more).all(|envelope| found.get(&key_of(envelope)) == Some(&1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_of_the_same_consenters_share_a_group_and_others_have_their_own() {
    let nodes = Nodes::start(&[1, 2, 3, 4]).await;
    for channel in ["first", "second"] {
        let genesis = nodes.genesis(channel, &[1, 2, 3, 4]);
        for id in [1, 2, 3, 4] {
            nodes.at(id).join(genesis.clone()).await.unwrap();
        }
        nodes.order(1, channel, 20).await;
    }
    let alone = nodes.genesis("alone", &[2]);
    nodes.at(2).join(alone).await.unwrap();
    nodes.order(2, "alone", 20).await;
    nodes.order(4, "first", 20).await;
    for channel in ["first", "second"] {
        nodes.one_chain(channel, &[1, 2, 3, 4]).await;
    }
    nodes.one_chain("alone", &[2]).await;
    assert_eq!(nodes.at(1).hosting().list().len(), 1);
    assert_eq!(nodes.at(2).hosting().list().len(), 2);
    let names: Vec<String> = nodes.at(2).list().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["alone", "first", "second"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_is_removed_is_gone_there_goes_on_elsewhere_and_can_be_joined_again() {
    let nodes = Nodes::start(&[1, 2, 3, 4]).await;
    let genesis = nodes.genesis("first", &[1, 2, 3, 4]);
    for id in [1, 2, 3, 4] {
        nodes.at(id).join(genesis.clone()).await.unwrap();
    }
    nodes.order(2, "first", 20).await;
    let (first, unknown) = (nodes.id("first"), nodes.id("unknown"));
    assert!(matches!(nodes.at(2).remove(&unknown).await, Err(RemoveError::NotFound)));
    nodes.at(2).remove(&first).await.unwrap();
    assert_eq!(nodes.at(2).info(&first), None);
    assert_eq!(nodes.answer(2, "first").await.0, Answer::BadRequest);
    assert!(!nodes.data(2).join("ledger/first").exists());
    nodes.order(1, "first", 20).await;

    let info = nodes.at(2).join(genesis).await.unwrap();
    assert_eq!((info.relation, info.status), (ConsensusRelation::Consenter, Status::Active));
    nodes.order(2, "first", 20).await;
    let chain = nodes.one_chain("first", &[1, 2, 3, 4]).await;
    assert_eq!(chain.iter().map(|block| block.envelopes.len()).sum::<usize>(), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_no_consenter_follows_and_serves_nobody() {
    let nodes = Nodes::start(&[1, 2, 3, 4]).await;
    let genesis = nodes.genesis("first", &[1, 2, 3]);
    for id in [1, 2, 3] {
        nodes.at(id).join(genesis.clone()).await.unwrap();
    }
    nodes.order(1, "first", 20).await;
    let info = nodes.at(4).join(genesis).await.unwrap();
    assert_eq!((info.relation, info.status), (ConsensusRelation::Follower, Status::Active));
    nodes.order(2, "first", 20).await;
    let height = nodes.one_chain("first", &[1, 2, 3]).await.len() as u64 + 1;
    nodes.wait_for(4, "first", |info| info.height == height).await;
    assert_eq!(nodes.answer(4, "first").await.0, Answer::BadRequest);
    nodes.at(4).remove(&nodes.id("first")).await.unwrap();
    assert!(nodes.at(4).list().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_joined_from_a_later_config_block_and_a_false_one_never_becomes_active() {
    let nodes = Nodes::start(&[1, 2, 3, 4]).await;
    let genesis = nodes.genesis("first", &[1, 2, 3, 4]);
    for id in [1, 2, 3] {
        nodes.at(id).join(genesis.clone()).await.unwrap();
    }
    nodes.order(1, "first", 40).await;
    let later = nodes.update_batch_size(1, "first", 7).await;
    nodes.order(1, "first", 10).await;

    let info = nodes.at(4).join(later.clone()).await.unwrap();
    assert_eq!((info.relation, info.status), (ConsensusRelation::Consenter, Status::Onboarding));
    nodes.wait_for(4, "first", |info| info.status == Status::Active).await;
    nodes.order(4, "first", 10).await;
    nodes.one_chain("first", &[1, 2, 3, 4]).await;

    // The same place in another history: what is pulled is found to be another chain, again and again.
    nodes.at(4).remove(&nodes.id("first")).await.unwrap();
    nodes.at(4).join(nodes::with_another_previous_hash(&later)).await.unwrap();
    let mut highest = 0;
    let begins_again = |info: &ChannelInfo| {
        assert_ne!(info.status, Status::Active);
        highest = highest.max(info.height);
        info.height < highest
    };
    nodes.wait_for(4, "first", begins_again).await;
}
