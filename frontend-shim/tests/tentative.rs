//! Blocks that nodes sign before they are decided: final by a quorum of one regency, at a frontend of its own and at one in a node.
#![allow(clippy::unwrap_used)]

mod network;

use fabric_proto::block::header_hash;
use fabric_proto::common::{BlockHeader, MetadataSignature};
use frontend_shim::certainty::Certainty;
use frontend_shim::frame::{Bodies, Push, ToFrontend};
use frontend_shim::tentative_blocks::TentativeBlock;
use mod_smart::Regency;
use network::world::World;
use network::{Unsigned, unsigned};
use prost::Message as _;

const FIRST: Certainty = Certainty::Tentative(Regency(0));
const SECOND: Certainty = Certainty::Tentative(Regency(1));

impl World {
    /// A node pushes a block, with the body if it is its turn.
    async fn push(&mut self, replica: usize, certainty: Certainty, block: &Unsigned) {
        let body = (self.source(block) == replica).then(|| block.body.clone());
        let push = Push { certainty, body, ..self.network.push(replica, block) };
        self.send(replica, push).await;
    }

    fn grievances(&self) -> u64 {
        let nodes = self.frontend.counters().nodes;
        nodes
            .iter()
            .map(|node| node.wrong_headers + node.wrong_signatures + node.wrong_bodies + node.beyond_credit)
            .sum()
    }
}

#[tokio::test]
async fn a_quorum_of_one_regency_makes_a_block_final_before_anybody_is_sure() {
    let mut world = World::new(Bodies::Pushed).await;
    let chain = world.network.chain(2, 100);
    for block in &chain {
        for replica in 0..4 {
            world.push(replica, FIRST, block).await;
        }
        world.reaches(block.number + 1).await;
        world.verify(block.number);
    }
    // What is decided comes again, and is nothing new.
    for replica in 0..4 {
        world.push(replica, Certainty::Decided, &chain[0]).await;
    }
    world.stays(3).await;
    assert_eq!(world.grievances(), 0);
}

#[tokio::test]
async fn signatures_of_two_regencies_do_not_add_up_until_somebody_is_sure() {
    let mut world = World::new(Bodies::Pushed).await;
    let block = world.network.chain(1, 100).remove(0);
    for (replica, certainty) in [(0, FIRST), (1, FIRST), (2, SECOND), (3, SECOND)] {
        world.push(replica, certainty, &block).await;
    }
    world.stays(1).await;
    world.push(2, Certainty::Decided, &block).await;
    world.reaches(2).await;
    world.verify(1);
    assert_eq!(world.grievances(), 0);
}

#[tokio::test]
async fn a_block_that_is_taken_back_gives_way_to_the_one_of_the_next_regency() {
    let mut world = World::new(Bodies::Pushed).await;
    let right = world.network.chain(1, 100).remove(0);
    let taken_back = unsigned(1, world.network.genesis_hash(), 100, b"taken back");
    for replica in [0, 1] {
        world.push(replica, FIRST, &taken_back).await;
    }
    for replica in 0..4 {
        world.push(replica, SECOND, &right).await;
    }
    world.reaches(2).await;
    world.verify(1);
    let stored = world.ledger().read(1).unwrap().unwrap();
    assert_eq!(stored.header.data_hash, right.data_hash.to_vec());
    assert_eq!(world.grievances(), 0, "nobody has lied");
}

#[tokio::test]
async fn a_frontend_in_a_node_has_the_body_of_a_final_block_from_that_node() {
    let mut world = World::new(Bodies::SharedLedger).await;
    let block = world.network.chain(1, 100).remove(0);
    let signature = MetadataSignature::decode(world.network.push(0, &block).signature).unwrap();
    world.local.channel.tentative().put(TentativeBlock {
        regency: Regency(0),
        header: BlockHeader {
            number: 1,
            previous_hash: block.previous_hash.to_vec().into(),
            data_hash: block.data_hash.to_vec().into(),
        },
        header_hash: header_hash(1, &block.previous_hash, &block.data_hash),
        metadata_value: block.value.clone(),
        signature,
        data: block.body.clone(),
    });
    for replica in 0..3 {
        assert_eq!(world.ledger().height(), 1, "nothing is stored that is not final");
        let push = Push { certainty: FIRST, ..world.network.push(replica, &block) };
        world.nodes[replica].send(ToFrontend::Push(push)).await;
        world.stays(if replica < 2 { 1 } else { 2 }).await;
    }
    world.verify(1);
}
