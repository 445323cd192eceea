//! The administrators of a `dev` network, with the `channel` tool in their hands.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use channel_tool::arguments::Arguments;
use clap::Parser as _;
use fabric_channel::ChannelConfig;
use fabric_proto::ChannelId;
use fabric_proto::common::{Block, Status};
use orderer_node::client::EnvelopeFactory;
use prost::Message as _;

use crate::client::{self, blocks};
use crate::crypto_folder::CryptoFolder;
use crate::dev_network::DevNetwork;
use crate::material;
use crate::site::{NodeId, wait_until};

/// An MSP folder and its MSP ID.
pub type Person = (PathBuf, &'static str);

/// Makes, signs and sends updates.
#[derive(Clone, Copy, Debug)]
pub struct Administration<'a> {
    network: &'a DevNetwork,
}

/// A configuration in force, and the block that brought it.
#[derive(Debug)]
pub struct InForce {
    /// The number of the block.
    pub number: u64,
    /// The configuration.
    pub config: ChannelConfig,
}

impl<'a> Administration<'a> {
    /// The administrators of this network.
    #[must_use]
    pub const fn of(network: &'a DevNetwork) -> Self {
        Self { network }
    }

    /// The administrator of the organisation that runs the orderers.
    #[must_use]
    pub fn orderer_administrator(&self) -> Person {
        self.crypto().orderer_administrator()
    }

    /// The administrator of the organisation that runs peers.
    #[must_use]
    pub fn peer_administrator(&self) -> Person {
        self.crypto().peer_administrator()
    }

    /// Somebody of an organisation that the channel does not know, and the folder of its MSP: Org1 of the test data under
    /// another name.
    ///
    /// # Errors
    /// The keys are not there.
    pub fn stranger(&self) -> anyhow::Result<(EnvelopeFactory, PathBuf)> {
        let folder = material::crypto().join("peerOrganizations/org1.example.com/msp");
        let channel = ChannelId::new(&self.network.file().channel)?;
        Ok((EnvelopeFactory::load(channel, &material::user_msp(), STRANGER_MSP_ID)?, folder))
    }

    /// The administrator of that organisation.
    #[must_use]
    pub fn stranger_administrator(&self) -> Person {
        (CryptoFolder::at(&material::crypto()).peer_administrator().0, STRANGER_MSP_ID)
    }

    fn crypto(&self) -> CryptoFolder {
        CryptoFolder::at(&self.network.file().crypto)
    }

    /// Makes an update, has these people sign it, sends it to a node, and waits until it is in force on all nodes.
    ///
    /// # Errors
    /// It is refused, by the tool or by the node, or comes into force at different blocks.
    pub async fn update(&self, to: NodeId, wish: &[&str], signers: &[Person]) -> anyhow::Result<InForce> {
        let before = self.in_force(to).await?;
        let envelope = self.ready(to, wish, signers).await?;
        let (status, info) = answer(self.network, to, envelope).await?;
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
    ///
    /// # Errors
    /// The tool refuses it.
    pub async fn ready(&self, at: NodeId, wish: &[&str], signers: &[Person]) -> anyhow::Result<Bytes> {
        let client = &self.network.file().client;
        let block = self.config_block(at).await?.encode_to_vec();
        ready(&block, wish, signers, (&client.msp_dir, &client.msp_id))
    }

    /// Waits until every node serves a configuration of this sequence, and gives it.
    ///
    /// # Errors
    /// It does not come in time.
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

/// An update of the configuration in this block, made by the tool, signed by these people, and wrapped by one who may write.
///
/// # Errors
/// The tool refuses it.
pub fn ready(
    config_block: &[u8],
    wish: &[&str],
    signers: &[Person],
    (sender, sender_msp_id): (&Path, &str),
) -> anyhow::Result<Bytes> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (config, draft, ready) = (file("config.block"), file("update.pb"), file("ready.pb"));
    std::fs::write(&config, config_block)?;
    channel(&[&["update"], wish, &["--config", &config, "--out", &draft]].concat())?;
    for (folder, id) in signers {
        channel(&["update", "sign", "--msp-dir", &folder.display().to_string(), "--msp-id", id, &draft])?;
    }
    let sender = sender.display().to_string();
    channel(&["update", "wrap", "--msp-dir", &sender, "--msp-id", sender_msp_id, "--out", &ready, &draft])?;
    Ok(std::fs::read(&ready)?.into())
}

/// What a node answers to an envelope.
///
/// # Errors
/// It does not answer.
pub async fn answer(network: &DevNetwork, to: NodeId, envelope: Bytes) -> anyhow::Result<(Status, String)> {
    client::answer(&network.endpoint(to)?, envelope).await
}

/// The MSP ID of the organisation that the network does not know.
const STRANGER_MSP_ID: &str = "Org9MSP";

/// Runs the tool.
fn channel(arguments: &[&str]) -> anyhow::Result<String> {
    let mut report = String::new();
    let arguments = Arguments::try_parse_from([&["channel"], arguments].concat())?;
    channel_tool::run(arguments, &mut report).with_context(|| report.clone())?;
    Ok(report)
}
