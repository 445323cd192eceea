//! The frontend's way back from the nodes: signatures counted, bodies found, blocks certified, liars named.
#![allow(clippy::unwrap_used)]

mod network;

use std::time::Duration;

use bytes::Bytes;
use fabric_proto::block::header_hash;
use fabric_proto::common::Block;
use frontend_shim::channels::{ChannelState, Channels};
use frontend_shim::counters::NodeCounters;
use frontend_shim::frame::{Bodies, Push, ToNode};
use network::world::World;
use network::{Unsigned, channel_id, eventually, unsigned};
use prost::Message as _;

impl World {
    fn seen_of(&self, replica: usize) -> NodeCounters {
        self.frontend.counters().nodes[replica].clone()
    }

    async fn push(&mut self, replica: usize, block: &Unsigned) {
        let push = self.network.push(replica, block);
        self.send(replica, push).await;
    }

    async fn push_with_body(&mut self, replica: usize, block: &Unsigned) {
        let push = Push { body: Some(block.body.clone()), ..self.network.push(replica, block) };
        self.send(replica, push).await;
    }

    /// Every one of these nodes does what a correct one does.
    async fn push_all(&mut self, replicas: &[usize], block: &Unsigned) {
        for &replica in replicas {
            if replica == self.source(block) {
                self.push_with_body(replica, block).await;
            } else {
                self.push(replica, block).await;
            }
        }
    }
}

#[tokio::test]
async fn a_block_is_certified_at_a_quorum_and_peers_accept_it() {
    let mut world = World::new(Bodies::Pushed).await;
    let chain = world.network.chain(3, 100);
    for block in &chain[..2] {
        let source = world.source(block);
        let others: Vec<usize> = (0..4).filter(|&replica| replica != source).collect();
        world.push_with_body(source, block).await;
        world.push(others[0], block).await;
        world.push(others[0], block).await;
        world.stays(block.number).await;
        world.push(others[1], block).await;
        world.reaches(block.number + 1).await;
        world.verify(block.number);
    }
    let certified = world.block(2);
    assert_eq!(certified.header.unwrap().data_hash, chain[1].data_hash.to_vec());
    assert_eq!(certified.data.unwrap().encode_to_vec(), chain[1].body);
    // Counted right after a block can be read.
    eventually("both are counted", || world.frontend.counters().channels[0].certified == 2).await;
    let seen: Vec<_> = world.frontend.counters().nodes;
    assert!(seen.iter().all(|node| (node.wrong_headers, node.wrong_signatures, node.wrong_bodies) == (0, 0, 0)));
}

#[tokio::test]
async fn a_configuration_is_in_force_once_its_block_is_certified_and_after_a_restart() {
    let mut world = World::new(Bodies::Pushed).await;
    let block = world.network.config_block("7s");
    let mut sequences = world.local.channel.watch_sequence();
    assert_eq!(*sequences.borrow(), 0);
    world.push_all(&[0, 1, 2, 3], &block).await;
    let in_force = sequences.wait_for(|sequence| *sequence == 1);
    tokio::time::timeout(network::PATIENCE, in_force).await.expect("it comes into force").unwrap();
    assert_eq!(world.local.channel.config().batch_timeout(), Duration::from_secs(7));
    // An older one that comes late changes nothing.
    world.local.channel.install_config(world.network.config.clone());
    assert_eq!(world.local.channel.config().sequence(), 1);

    // Who begins with the genesis block finds the newest configuration in the ledger.
    world.frontend.remove_channel(&channel_id());
    let channels = Channels::new().unwrap();
    let channel = channels.add(world.network.config.clone(), world.local.channel.ledger().clone()).unwrap();
    assert_eq!(channel.config().sequence(), 0);
    world.frontend.add_channel(channel.clone()).unwrap();
    assert_eq!(channel.config().batch_timeout(), Duration::from_secs(7));
}

#[tokio::test]
async fn blocks_may_arrive_in_any_order_within_the_window() {
    let mut world = World::new(Bodies::Pushed).await;
    let chain = world.network.chain(20, 100);
    for block in chain.iter().rev() {
        world.push_all(&[0, 1, 2, 3], block).await;
    }
    world.reaches(21).await;
    for number in 1..=20 {
        world.verify(number);
    }
    for node in &mut world.nodes {
        let first = node.next().await;
        assert_eq!(first, ToNode::Subscribe { channel: channel_id(), from: 1, until: 257 });
    }
}

#[tokio::test]
async fn the_window_moves_with_the_certified_blocks_and_bounds_what_is_taken() {
    let mut world = World::new(Bodies::SharedLedger).await;
    let chain = world.network.chain(70, 10);
    let far = Unsigned { number: 257, ..chain[0].clone() };
    world.push(3, &far).await;
    eventually("a block beyond the credit is refused", || world.seen_of(3).beyond_credit == 1).await;
    for block in &chain {
        store(&world, block);
        world.push_all(&[0, 1, 2], block).await;
    }
    world.reaches(71).await;
    assert_eq!(world.nodes[0].next().await, ToNode::Subscribe { channel: channel_id(), from: 1, until: 257 });
    let ToNode::Subscribe { until, .. } = world.nodes[0].next().await else { panic!("more credit") };
    assert!(until > 257 && until <= 71 + 256, "{until}");
}

#[tokio::test]
async fn wrong_signatures_are_named_and_change_nothing() {
    let mut world = World::new(Bodies::Pushed).await;
    let block = world.network.chain(1, 100).remove(0);
    let mut broken = world.network.push(0, &block);
    let mut signature = broken.signature.to_vec();
    let end = signature.len() - 40;
    signature[end] ^= 1;
    broken.signature = signature.into();
    world.send(0, broken).await;
    let borrowed = Push { ..world.network.push(1, &block) };
    world.send(3, borrowed).await;
    eventually("both are held against their nodes", || {
        (world.seen_of(0).wrong_signatures, world.seen_of(3).wrong_signatures) == (1, 1)
    })
    .await;
    world.push_all(&[1, 2], &block).await;
    world.stays(1).await;
    assert_eq!((world.seen_of(1).wrong_signatures, world.seen_of(2).wrong_signatures), (0, 0));
}

#[tokio::test]
async fn blocks_that_wait_for_one_before_them_are_certified_with_it_and_each_lie_among_them_is_named_once() {
    let mut world = World::new(Bodies::Pushed).await;
    let chain = world.network.chain(20, 100);
    for block in &chain[1..] {
        if block.number == 5 {
            let body = (world.source(block) == 0).then(|| block.body.clone());
            let signature = world.network.push(1, block).signature;
            let borrowed = Push { signature, body, ..world.network.push(0, block) };
            world.send(0, borrowed).await;
        } else if block.number == 6 {
            let elsewhere = Unsigned { previous_hash: [9; 32], ..block.clone() };
            world.push_all(&[0], &elsewhere).await;
        } else {
            world.push_all(&[0], block).await;
        }
        world.push_all(&[1, 2, 3], block).await;
    }
    world.stays(1).await;
    world.push_all(&[0, 1, 2, 3], &chain[0]).await;
    world.reaches(21).await;
    for number in 1..=20 {
        world.verify(number);
    }
    let seen = world.seen_of(0);
    assert_eq!((seen.wrong_signatures, seen.wrong_headers), (1, 1));
    assert!((1..4).all(|honest| world.seen_of(honest).wrong_signatures == 0));
}

#[tokio::test]
async fn unreadable_signatures_are_named_too() {
    let mut world = World::new(Bodies::Pushed).await;
    let block = world.network.chain(1, 100).remove(0);
    for (replica, garbage) in [(0, &b"\xff\xff\xff"[..]), (1, b""), (2, b"\x0a\x02\xff\xff")] {
        let push = Push { signature: Bytes::copy_from_slice(garbage), ..world.network.push(replica, &block) };
        world.send(replica, push).await;
        eventually("it is counted", || world.seen_of(replica).wrong_signatures == 1).await;
    }
    world.stays(1).await;
}

#[tokio::test]
async fn another_header_or_value_than_the_certified_one_is_named_and_changes_nothing() {
    let mut world = World::new(Bodies::Pushed).await;
    let chain = world.network.chain(2, 100);
    let other = unsigned(1, world.network.genesis_hash(), 100, b"forged");
    world.push_all(&[3], &other).await;
    world.push_all(&[0, 1, 2], &chain[0]).await;
    if world.source(&chain[0]) == 3 {
        let asked = world.nodes[0].next_fetch().await;
        assert_eq!(asked, 1);
        world.push_with_body(0, &chain[0]).await;
    }
    world.reaches(2).await;
    world.verify(1);
    assert_eq!(world.seen_of(3).wrong_headers, 1);

    let value = Unsigned { value: Bytes::from_static(b"\x0a\x00\x12\x01x"), ..chain[1].clone() };
    let unlinked = Unsigned { previous_hash: [1; 32], ..chain[1].clone() };
    world.push(3, &value).await;
    world.push(2, &unlinked).await;
    world.push_all(&[0, 1], &chain[1]).await;
    eventually("the header that does not follow is counted", || world.seen_of(2).wrong_headers == 1).await;
    world.stays(2).await;
    assert_eq!(world.seen_of(3).wrong_headers, 1, "nobody knows yet who is right");
}

#[tokio::test]
async fn two_headers_under_one_number_are_named() {
    let mut world = World::new(Bodies::Pushed).await;
    let block = world.network.chain(1, 100).remove(0);
    let other = unsigned(1, world.network.genesis_hash(), 100, b"forged");
    world.push(2, &block).await;
    world.push(2, &other).await;
    eventually("it is counted", || world.seen_of(2).wrong_headers == 1).await;
}

#[tokio::test]
async fn a_wrong_body_is_named_and_fetched_from_another_node() {
    let mut world = World::new(Bodies::Pushed).await;
    let block = world.network.chain(1, 100).remove(0);
    let source = world.source(&block);
    let wrong = unsigned(1, world.network.genesis_hash(), 100, b"forged").body;
    let push = Push { body: Some(wrong), ..world.network.push(source, &block) };
    world.send(source, push).await;
    let others: Vec<usize> = (0..4).filter(|&replica| replica != source).collect();
    world.push_all(&others[..2], &block).await;
    eventually("it is counted", || world.seen_of(source).wrong_bodies == 1).await;
    let asked = asked_of(&mut world, &others[..2]).await;
    world.push_with_body(asked, &block).await;
    world.reaches(2).await;
    world.verify(1);
    assert_eq!((world.seen_of(asked).beyond_credit, world.seen_of(source).silent_bodies), (0, 0));
}

/// Hashes do not say where one entry ends.
#[tokio::test]
async fn a_body_that_hashes_right_and_is_cut_wrong_is_refused() {
    use fabric_proto::common::BlockData;
    let mut world = World::new(Bodies::Pushed).await;
    let block = world.network.chain(1, 100).remove(0);
    let entry = BlockData::decode(block.body.clone()).unwrap().data.remove(0);
    let cut = BlockData { data: vec![entry.slice(..40), entry.slice(40..)] };
    assert_eq!(cut.hash(), block.data_hash);
    let source = world.source(&block);
    let push = Push { body: Some(cut.encode_to_vec().into()), ..world.network.push(source, &block) };
    world.send(source, push).await;
    let others: Vec<usize> = (0..4).filter(|&replica| replica != source).collect();
    world.push_all(&others, &block).await;
    eventually("it is counted", || world.seen_of(source).wrong_bodies == 1).await;
    world.stays(1).await;
}

#[tokio::test]
async fn a_silent_source_is_named_and_then_skipped() {
    let mut world = World::new(Bodies::Pushed).await;
    let chain = world.network.chain(5, 100);
    let silent = world.source(&chain[0]);
    assert_eq!(world.source(&chain[4]), silent);
    let others: Vec<usize> = (0..4).filter(|&replica| replica != silent).collect();
    for block in &chain {
        // It signs like everybody else, and leaves the body out.
        world.push(silent, block).await;
        world.push_all(&others, block).await;
        if world.source(block) == silent {
            let asked = asked_of(&mut world, &others).await;
            world.push_with_body(asked, block).await;
        }
        world.reaches(block.number + 1).await;
    }
    assert_eq!(world.seen_of(silent).silent_bodies, 1, "named once, then not waited for");
    assert!(world.frontend.counters().channels[0].bodies_fetched >= 2);
}

/// Which of these nodes is asked for a body.
async fn asked_of(world: &mut World, replicas: &[usize]) -> usize {
    let nodes = world.nodes.iter_mut().enumerate().filter(|(replica, _)| replicas.contains(replica));
    let asked = nodes.map(|(replica, node)| {
        Box::pin(async move {
            node.next_fetch().await;
            replica
        })
    });
    futures::future::select_all(asked).await.0
}

#[tokio::test]
async fn bodies_nobody_asked_for_are_not_kept() {
    let mut world = World::new(Bodies::Pushed).await;
    let block = world.network.chain(1, 100).remove(0);
    let other = (world.source(&block) + 1) % 4;
    world.push_with_body(other, &block).await;
    assert_eq!(world.seen_of(other).beyond_credit, 1);
    let source = world.source(&block);
    let rest: Vec<usize> = (0..4).filter(|&replica| replica != source && replica != other).collect();
    world.push_all(&rest, &block).await;
    world.stays(1).await;
    world.push_with_body(source, &block).await;
    world.reaches(2).await;
    assert_eq!(world.seen_of(source).silent_bodies, 0);
}

/// The node of this process stores the block, without signatures, when it has decided it.
fn store(world: &World, block: &Unsigned) {
    let bare = Block {
        header: Some(fabric_proto::common::BlockHeader {
            number: block.number,
            previous_hash: Bytes::copy_from_slice(&block.previous_hash),
            data_hash: Bytes::copy_from_slice(&block.data_hash),
        }),
        data: Some(fabric_proto::common::BlockData::decode(block.body.clone()).unwrap()),
        metadata: Some(fabric_proto::metadata::block_metadata(0, Bytes::from_static(b"position"), Vec::new())),
    };
    world.ledger().append(block.number, bare.encode_to_vec().into()).unwrap();
}

#[tokio::test]
async fn with_a_shared_ledger_the_nodes_own_block_is_waited_for() {
    let mut world = World::new(Bodies::SharedLedger).await;
    let chain = world.network.chain(2, 100);
    for replica in 0..3 {
        world.push(replica, &chain[0]).await;
    }
    world.stays(1).await;
    store(&world, &chain[0]);
    world.reaches(2).await;
    world.verify(1);
    store(&world, &chain[1]);
    world.stays(2).await;
    for replica in 1..4 {
        world.push(replica, &chain[1]).await;
    }
    world.reaches(3).await;
    world.verify(2);
}

#[tokio::test]
async fn a_node_of_this_process_that_went_its_own_way_stops_the_channel() {
    let mut world = World::new(Bodies::SharedLedger).await;
    let block = world.network.chain(1, 100).remove(0);
    store(&world, &unsigned(1, world.network.genesis_hash(), 100, b"own way"));
    for replica in 0..3 {
        world.push(replica, &block).await;
    }
    eventually("the channel is in error", || world.local.channel.state() == ChannelState::Errored).await;
    let stopped = world.frontend.counters().channels[0].stopped.clone().unwrap();
    assert!(stopped.contains("another block 1"), "{stopped}");
    assert_eq!(world.ledger().certified_height(), 1);
}

#[tokio::test]
async fn a_frontend_goes_on_where_its_ledger_ends() {
    let mut world = World::new(Bodies::Pushed).await;
    let chain = world.network.chain(4, 100);
    for block in &chain[..3] {
        world.push_all(&[0, 1, 2, 3], block).await;
    }
    world.reaches(4).await;
    world.frontend.stop().await;

    let (frontend, nodes) = world.network.welcomed(Bodies::Pushed).await;
    frontend.add_channel(world.local.channel.clone()).unwrap();
    (world.frontend, world.nodes) = (frontend, nodes);
    assert!(matches!(world.nodes[0].next().await, ToNode::Subscribe { from: 4, .. }));
    world.push_all(&[0, 1, 2, 3], &chain[3]).await;
    world.reaches(5).await;
    world.verify(4);
    let tip = header_hash(4, &chain[3].previous_hash, &chain[3].data_hash);
    assert_eq!(world.ledger().tip().unwrap().header_hash, tip);
}

#[tokio::test]
async fn a_removed_channel_is_collected_no_more() {
    let mut world = World::new(Bodies::Pushed).await;
    let block = world.network.chain(1, 100).remove(0);
    world.frontend.remove_channel(&channel_id());
    world.push_all(&[0, 1, 2, 3], &block).await;
    world.stays(1).await;
    assert_eq!(world.seen_of(0).beyond_credit, 1);
    assert!(world.frontend.counters().channels.is_empty());
}

#[tokio::test]
async fn what_comes_into_a_shared_ledger_with_its_certificate_is_not_collected_again() {
    let mut world = World::new(Bodies::SharedLedger).await;
    let chain = world.network.chain(400, 10);
    for block in &chain[..399] {
        store(&world, block);
        world.ledger().certify(block.number, world.network.certificate(block, &[0, 1, 2])).unwrap();
    }
    eventually("the window follows", || world.frontend.counters().nodes[0].beyond_credit == 0).await;
    loop {
        // The nodes may push block 400 once they were told.
        if let ToNode::Subscribe { until, .. } = world.nodes[0].next().await
            && until > 400
        {
            break;
        }
    }
    store(&world, &chain[399]);
    for replica in 0..3 {
        world.push(replica, &chain[399]).await;
    }
    world.reaches(401).await;
    world.verify(400);
    assert_eq!(world.seen_of(0).beyond_credit, 0);
    assert_eq!(world.frontend.counters().channels[0].certified, 1);
}
