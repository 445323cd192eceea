//! Four `orderer` processes whose channel `osnadmin` has joined, a real peer that follows it, and its administrators' tools.

use std::path::PathBuf;

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
    pub release: Release,
    translator: Translator,
    programs: PathBuf,
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
        let network = orderers.for_fabric();
        let translator = Translator::new(programs, &network.folder).unwrap();
        let peer = Peer::start(programs, network, free_ports(3).unwrap()).unwrap();
        let stage = Self { peer, orderers, release, translator, programs: programs.clone(), sent: Vec::new() };
        for id in [3, 1, 4, 2] {
            stage.join(id, &stage.orderers.file("genesis.block"));
        }
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
        self.check_at(&[1, 2, 3, 4]).await
    }

    /// The same of these nodes.
    pub async fn check_at(&self, ids: &[u16]) -> u64 {
        let height = self.orderers.check_chain_at(ids, &self.sent).await;
        self.peer.commits(0..=height - 1).await.unwrap();
        let log = self.peer.log();
        if self.release == Release::V3 {
            assert!(log.contains("Creating a BFT (byzantine fault tolerant) BlockDeliverer"), "{log}");
        }
        assert!(!log.contains("panic"), "the peer panicked\n{log}");
        height
    }

    /// Takes note of envelopes that a node has taken.
    pub fn was_taken(&mut self, envelopes: Vec<Bytes>) {
        self.sent.extend(envelopes);
    }

    /// The peer commits what is the newest block now.
    pub async fn peer_follows(&self) {
        let newest = number_of(&self.peer.fetch("newest", CHANNEL).unwrap());
        self.peer.commits(newest..=newest).await.unwrap();
    }

    /// `osnadmin channel join` at a node.
    pub fn join(&self, id: u16, block_file: &str) {
        let said = self.osnadmin().run(id, &["join", "--channelID", CHANNEL, "--config-block", block_file]);
        assert!(said.starts_with("Status: 201"), "{said}");
    }

    /// Waits until `osnadmin channel list` says at a node that it is an active consenter or follower.
    pub async fn wait_for_relation(&self, id: u16, relation: &str) {
        let is_so = async || {
            let said = self.osnadmin().run(id, &["list", "--channelID", CHANNEL]);
            let relation = format!("\"consensusRelation\": \"{relation}\"");
            Ok(said.contains(&relation) && said.contains("\"status\": \"active\""))
        };
        wait_until(&format!("orderer {id} is a {relation}"), is_so).await.unwrap();
    }

    fn osnadmin(&self) -> Osnadmin<'_> {
        Osnadmin::new(&self.programs, &self.orderers)
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
