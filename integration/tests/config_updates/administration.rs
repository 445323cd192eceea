//! The administrators of a `dev` network, with the `channel` tool in their hands.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use channel_tool::arguments::Arguments;
use clap::Parser as _;
use fabric_channel::ChannelConfig;
use fabric_proto::common::{Block, Status};
use integration::client::blocks;
use integration::dev_network::DevNetwork;
use integration::material;
use integration::site::{NodeId, wait_until};
use orderer_node::dev::load::{BroadcastClient, EnvelopeFactory};
use prost::Message as _;

/// An MSP folder and its MSP ID.
pub type Person = (PathBuf, &'static str);

/// Makes, signs and sends updates.
pub struct Administration<'a> {
    network: &'a DevNetwork,
}

/// A configuration in force, and the block that brought it.
#[derive(Debug)]
pub struct InForce {
    pub number: u64,
    pub config: ChannelConfig,
}

impl<'a> Administration<'a> {
    pub const fn of(network: &'a DevNetwork) -> Self {
        Self { network }
    }

    pub fn orderer_administrator(&self) -> Person {
        (self.user("ordererOrganizations/orderer.example.com", "Admin@orderer.example.com"), "OrdererMSP")
    }

    pub fn peer_administrator(&self) -> Person {
        (self.user("peerOrganizations/org1.example.com", "Admin@org1.example.com"), "Org1MSP")
    }

    /// Somebody of an organisation that the channel does not know, and the folder of its MSP.
    pub fn stranger(&self) -> anyhow::Result<(EnvelopeFactory, PathBuf)> {
        let folder = material::crypto().join("peerOrganizations/org1.example.com/msp");
        Ok((super::org9(&self.network.file().channel)?, folder))
    }

    /// The administrator of that organisation.
    pub fn stranger_administrator(&self) -> Person {
        let users = material::crypto().join("peerOrganizations/org1.example.com/users");
        (users.join("Admin@org1.example.com/msp"), "Org9MSP")
    }

    fn user(&self, organisation: &str, name: &str) -> PathBuf {
        self.network.file().crypto.join(organisation).join("users").join(name).join("msp")
    }

    /// Makes an update, has these people sign it, sends it to a node, and waits until it is in force on all nodes.
    pub async fn update(&self, to: NodeId, wish: &[&str], signers: &[Person]) -> anyhow::Result<InForce> {
        let before = self.in_force(to).await?;
        let envelope = self.ready(to, wish, signers).await?;
        let (status, info) = answer(self.network, to, envelope).await;
        ensure!(status == Status::Success, "{}: {info}", status.as_str_name());
        self.wait_for_sequence(before.config.sequence() + 1).await?;
        let after = self.in_force(to).await?;
        for id in self.network.ids() {
            let there = self.in_force(id).await?;
            ensure!(there.number == after.number, "in force from block {} and {}", there.number, after.number);
        }
        Ok(after)
    }

    /// An update that is ready to be sent.
    pub async fn ready(&self, at: NodeId, wish: &[&str], signers: &[Person]) -> anyhow::Result<Bytes> {
        let folder = tempfile::tempdir_in(self.network.folder())?;
        let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (config, draft, ready) = (file("config.block"), file("update.pb"), file("ready.pb"));
        std::fs::write(&config, self.config_block(at).await?.encode_to_vec())?;
        channel(&[&["update"], wish, &["--config", &config, "--out", &draft]].concat())?;
        let client = &self.network.file().client;
        let sender = (client.msp_dir.clone(), client.msp_id.as_str());
        for (folder, id) in signers {
            channel(&["update", "sign", "--msp-dir", folder.to_str().unwrap(), "--msp-id", id, &draft])?;
        }
        let sender_dir = sender.0.to_str().unwrap();
        channel(&["update", "wrap", "--msp-dir", sender_dir, "--msp-id", sender.1, "--out", &ready, &draft])?;
        Ok(std::fs::read(&ready)?.into())
    }

    /// Waits until every node serves a configuration of this sequence, and gives it.
    pub async fn wait_for_sequence(&self, sequence: u64) -> anyhow::Result<ChannelConfig> {
        for id in self.network.ids() {
            let what = format!("node {id} comes to config sequence {sequence}");
            wait_until(&what, async || Ok(self.in_force(id).await?.config.sequence() >= sequence)).await?;
        }
        Ok(self.in_force(1).await?.config)
    }

    async fn in_force(&self, at: NodeId) -> anyhow::Result<InForce> {
        let block = self.config_block(at).await?;
        let number = block.header.as_ref().context("a header")?.number;
        Ok(InForce { number, config: ChannelConfig::from_block(&block)? })
    }

    /// The newest configuration block that a node serves.
    async fn config_block(&self, at: NodeId) -> anyhow::Result<Block> {
        let height = self.network.height(at).await?;
        let chain = blocks(&self.network.endpoint(at)?, self.network.user(), height).await?;
        let chain = chain.iter().map(|block| Block::decode(&block[..])).collect::<Result<Vec<_>, _>>()?;
        let is_config = |block: &Block| fabric_proto::block::is_config(block.entries());
        chain.into_iter().rev().find(is_config).context("block 0 is a configuration block")
    }
}

/// What a node answers to an envelope.
pub async fn answer(network: &DevNetwork, to: NodeId, envelope: Bytes) -> (Status, String) {
    let client = BroadcastClient::open(&network.endpoint(to).unwrap().connect().await.unwrap());
    let answer = client.submit(envelope).await.unwrap().answer().await.unwrap();
    (answer.status, answer.info)
}

/// Runs the tool.
fn channel(arguments: &[&str]) -> anyhow::Result<String> {
    let mut report = String::new();
    let arguments = Arguments::try_parse_from([&["channel"], arguments].concat())?;
    channel_tool::run(arguments, &mut report).with_context(|| report.clone())?;
    Ok(report)
}
