//! A frontend with one channel, and four nodes that say to it what a test makes them say.

use std::time::Duration;

use fabric_channel::BlockVerifier;
use fabric_proto::common::Block;
use frontend_shim::channels::ChannelState;
use frontend_shim::frame::{Bodies, Push, ToFrontend, body_source};
use frontend_shim::frontend::FrontendHandle;
use frontend_shim::ledger::Ledger;
use prost::Message as _;
use tokio::io::DuplexStream;

use super::{FakeNode, LocalChannel, Network, Unsigned, eventually, flat};

pub struct World {
    pub network: Network,
    pub frontend: FrontendHandle,
    pub nodes: Vec<FakeNode<DuplexStream>>,
    pub local: LocalChannel,
}

impl World {
    pub async fn new(bodies: Bodies) -> Self {
        let network = Network::new(&FOUR);
        let (frontend, nodes) = network.welcomed(bodies).await;
        let local = network.channel();
        frontend.add_channel(local.channel.clone()).unwrap();
        eventually("the channel opens", || local.channel.state() == ChannelState::Open).await;
        Self { network, frontend, nodes, local }
    }

    pub fn ledger(&self) -> &Ledger {
        self.local.channel.ledger()
    }

    /// The node whose turn it is to bring the body.
    pub fn source(&self, block: &Unsigned) -> usize {
        body_source(self.frontend.id(), block.number, &flat(4)).index()
    }

    pub async fn send(&mut self, replica: usize, push: Push) {
        let before = self.frontend.counters().nodes[replica].pushes;
        self.nodes[replica].send(ToFrontend::Push(push)).await;
        let frontend = &self.frontend;
        eventually("the push arrives", || frontend.counters().nodes[replica].pushes > before).await;
    }

    pub async fn reaches(&self, certified: u64) {
        let ledger = self.ledger();
        eventually("the block is certified", || ledger.certified_height() == certified).await;
    }

    pub async fn stays(&self, certified: u64) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(self.ledger().certified_height(), certified);
    }

    pub fn block(&self, number: u64) -> Block {
        Block::decode(self.ledger().read(number).unwrap().unwrap().encoded()).unwrap()
    }

    /// As a peer would.
    pub fn verify(&self, number: u64) {
        let previous = self.block(number - 1).header.unwrap().hash();
        let verifier = BlockVerifier::new(&self.network.config);
        verifier.verify_block(&self.block(number), number, Some(&previous)).unwrap();
    }
}

const FOUR: [u16; 4] = [7050, 7051, 7052, 7053];
