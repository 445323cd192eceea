//! Four `orderer` processes whose channel `osnadmin` has joined, a real peer that follows it, and its administrators' tools.

use bytes::Bytes;
use fabric_proto::common::{Block, Status};
use integration::administration::Person;
use integration::client::answer;
use integration::fabric::{Peer, Translator};
use integration::material::ORDERERS;
use integration::ports::free_ports;
use integration::site::wait_until;
use orderer_node::client::EnvelopeFactory;
use prost::Message as _;
use serde_json::Value;

use crate::admin::Osnadmin;
use crate::orderers::{CHANNEL, Orderers};
use crate::release::{Fabric, Release};

pub struct Stage {
    // Ends before the folder goes that it writes into.
    pub peer: Peer,
    pub orderers: Orderers,
    translator: Translator,
    release: Release,
    sent: Vec<Bytes>,
}

impl Stage {
    /// With some blocks for the peer to begin with.
    pub async fn set(fabric: &Fabric) -> Self {
        let mut stage = Self::set_without_blocks(fabric).await;
        stage.order(1, 20).await;
        stage
    }

    /// With the first block only. What tests order is no transaction: a peer commits it as invalid, but ends the streams of
    /// events that come upon it.
    pub async fn set_without_blocks(fabric: &Fabric) -> Self {
        let (programs, release) = (&fabric.programs, fabric.release);
        let orderers = Orderers::start_with_new_keys(fabric).await;
        let osnadmin = Osnadmin::new(programs, &orderers);
        let genesis = orderers.file("genesis.block");
        for id in [3, 1, 4, 2] {
            let said = osnadmin.run(id, &["join", "--channelID", CHANNEL, "--config-block", &genesis]);
            assert!(said.starts_with("Status: 201"), "{said}");
        }
        let network = orderers.for_fabric();
        let translator = Translator::new(programs, &network.folder).unwrap();
        let peer = Peer::start(programs, network, free_ports(3).unwrap()).unwrap();
        let stage = Self { peer, orderers, translator, release, sent: Vec::new() };
        stage.peer.join(CHANNEL).await.unwrap();
        stage
    }

    /// Has a node order so many envelopes.
    pub async fn order(&mut self, id: u16, count: usize) {
        let sent = self.orderers.order(id, count).await;
        self.sent.extend(sent);
    }

    /// All nodes have one chain with all that was ordered in it, and the peer commits it; says how many blocks it has.
    pub async fn check(&self) -> u64 {
        let height = self.orderers.check_chain(&self.sent).await;
        self.peer.commits(0..=height - 1).await.unwrap();
        let log = self.peer.log();
        if self.release == Release::V3 {
            assert!(log.contains("Creating a BFT (byzantine fault tolerant) BlockDeliverer"), "{log}");
        }
        assert!(!log.contains("panic"), "the peer panicked\n{log}");
        height
    }

    /// Changes the configuration by Fabric's tools as the last of these administrators, after the others have signed, and
    /// waits until the change is in force.
    ///
    /// # Errors
    /// What the node says against it.
    pub async fn change(&self, by: &[Person], change: impl FnOnce(&mut Value)) -> anyhow::Result<()> {
        // Orderer organisations may read even in maintenance.
        let reader = self.orderers.keys.orderer_administrator();
        let before = self.peer.fetch_as(&reader, "config", CHANNEL)?;
        let update =
            self.translator.update(CHANNEL, &before, |config| change(&mut config["channel_group"]["groups"]))?;
        let (sender, signers) = by.split_last().expect("somebody sends it");
        for signer in signers {
            self.peer.sign_update(signer, &update)?;
        }
        self.peer.update(sender, CHANNEL, &update)?;
        let number = number_of(&before);
        wait_until("the change is in force", async || {
            Ok(number_of(&self.peer.fetch_as(&reader, "config", CHANNEL)?) > number)
        })
        .await
    }

    /// What a node answers to an envelope of somebody.
    pub async fn answer(&self, id: u16, somebody: &EnvelopeFactory) -> (Status, String) {
        answer(&self.orderers.endpoint(id), somebody.transaction_of_size(10)).await.unwrap()
    }

    /// Waits until every node gives this answer to envelopes of somebody.
    pub async fn answers(&self, somebody: &EnvelopeFactory, status: Status, beginning: &str) {
        for id in 1..=ORDERERS {
            let what = format!("orderer {id} answers {status:?} {beginning:?}");
            let is_so = async || {
                let answer = self.answer(id, somebody).await;
                Ok(answer.0 == status && answer.1.starts_with(beginning))
            };
            wait_until(&what, is_so).await.unwrap();
        }
    }
}

/// The number of an encoded block.
pub fn number_of(block: &[u8]) -> u64 {
    Block::decode(block).unwrap().header.unwrap().number
}
