//! Nodes in this process, and what their administrators and clients do.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use fabric_proto::ChannelId;
use fabric_proto::common::{Block, Status};
use integration::administration;
use integration::client::{assert_same, blocks, broadcast};
use integration::material::{self, Cutting, ORDERER_MSP_ID};
use integration::network::{alone, temporary_folder};
use integration::ports::free_ports;
use integration::site::PATIENCE;
use integration::verifier::{VerifiedBlock, Verifier};
use orderer_node::client::{BroadcastClient, Endpoint};
use orderer_node::config::Config;
use orderer_node::fault::Faults;
use orderer_node::node;
use orderer_node::operations::FixedLogSpec;
use orderer_node::participation::{ChannelInfo, ChannelStatus};
use orderer_node::registrar::Registrar;
use prost::Message as _;
use tempfile::TempDir;
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Nodes without channels, at ports in a row.
pub struct Nodes {
    port: u16,
    registrars: BTreeMap<u16, Registrar>,
    genesis: std::sync::Mutex<BTreeMap<String, Bytes>>,
    folder: TempDir,
    _stop: DropGuard,
    _alone: OwnedMutexGuard<()>,
}

impl Nodes {
    pub async fn start(ids: &[u16]) -> Self {
        let alone = alone().await;
        let (folder, port) = (temporary_folder().unwrap(), free_ports(material::ORDERERS).unwrap());
        let stop = CancellationToken::new();
        let mut registrars = BTreeMap::new();
        for &id in ids {
            let config = config(&folder.path().join(id.to_string()), id, port + id - 1);
            let (faults, mut fault) = Faults::channel();
            tokio::spawn(async move {
                if let Some(fault) = fault.recv().await {
                    panic!("node {id}: {fault}");
                }
            });
            let log = Arc::new(FixedLogSpec("info".to_owned()));
            let config = Config::parse(&config, &folder.path().join(id.to_string()).join("node.toml")).unwrap();
            registrars.insert(id, node::start(&config, log, faults, stop.clone()).await.unwrap());
        }
        let genesis = std::sync::Mutex::default();
        Self { port, registrars, genesis, folder, _stop: stop.drop_guard(), _alone: alone }
    }

    /// The registrar of a node.
    pub fn at(&self, id: u16) -> &Registrar {
        &self.registrars[&id]
    }

    pub fn data(&self, id: u16) -> PathBuf {
        self.folder.path().join(id.to_string()).join("data")
    }

    pub fn id(&self, channel: &str) -> ChannelId {
        ChannelId::new(channel).unwrap()
    }

    /// The genesis block of a channel of these consenters.
    pub fn genesis(&self, channel: &str, consenters: &[u16]) -> Bytes {
        let cutting = Cutting { message_count_max: 5, ..Cutting::default() };
        let block = material::genesis_of(channel, self.port, &cutting, consenters).unwrap();
        self.genesis.lock().unwrap().insert(channel.to_owned(), block.clone());
        block
    }

    /// What a node answers to an envelope for a channel.
    pub async fn answer(&self, id: u16, channel: &str) -> (Status, String) {
        let envelope = material::user(channel).unwrap().transaction_of_size(10);
        let client = BroadcastClient::open(&self.endpoint(id).connect().await.unwrap());
        let answer = client.submit(envelope).await.unwrap().answer().await.unwrap();
        (answer.status, answer.info)
    }

    /// Has a node take so many envelopes, once the channel is open there.
    pub async fn order(&self, id: u16, channel: &str, count: usize) -> Vec<Bytes> {
        let since = Instant::now();
        let user = material::user(channel).unwrap();
        let envelopes: Vec<Bytes> = (0..count).map(|_| user.transaction_of_size(10)).collect();
        while let Err(error) = broadcast(&self.endpoint(id), envelopes.clone()).await {
            assert!(since.elapsed() < PATIENCE, "node {id} does not take envelopes of {channel}: {error:#}");
            tokio::time::sleep(POLL).await;
        }
        envelopes
    }

    /// Another batch size; gives the config block that brought it.
    pub async fn update_batch_size(&self, at: u16, channel: &str, messages: u32) -> Bytes {
        self.update(at, channel, &["batch-size", "--max-messages", &messages.to_string()]).await
    }

    /// Puts a change in force, as the `channel` tool words it; gives the config block that brought it.
    pub async fn update(&self, at: u16, channel: &str, wish: &[&str]) -> Bytes {
        let before = self.config_block(at, channel).await;
        let signer = [(material::orderer_administrator_msp(), ORDERER_MSP_ID)];
        let user = material::user_msp();
        let update = administration::ready(&before, wish, &signer, (&user, material::PEER_MSP_ID)).unwrap();
        broadcast(&self.endpoint(at), [update]).await.unwrap();
        let since = Instant::now();
        loop {
            let now = self.config_block(at, channel).await;
            if now != before {
                return now;
            }
            assert!(since.elapsed() < PATIENCE, "the update does not come into force");
            tokio::time::sleep(POLL).await;
        }
    }

    async fn config_block(&self, at: u16, channel: &str) -> Bytes {
        let chain = self.blocks(at, channel).await;
        let is_config = |block: &&Vec<u8>| fabric_proto::block::is_config(Block::decode(&block[..]).unwrap().entries());
        chain.iter().rev().find(is_config).unwrap().clone().into()
    }

    /// Sends envelopes to a node one after the other until `enough`, each again until it is taken.
    pub async fn keep_sending(&self, id: u16, channel: &str, enough: &CancellationToken) -> Vec<Bytes> {
        let user = material::user(channel).unwrap();
        let mut taken = Vec::new();
        while !enough.is_cancelled() {
            let envelope = user.transaction_of_size(10);
            let since = Instant::now();
            while let Err(error) = broadcast(&self.endpoint(id), [envelope.clone()]).await {
                assert!(since.elapsed() < PATIENCE, "node {id} does not take an envelope of {channel}: {error:#}");
                tokio::time::sleep(POLL).await;
            }
            taken.push(envelope);
        }
        taken
    }

    /// The chain of a channel, verified at each of these nodes and equal, once they are equally high and stay so.
    pub async fn one_chain(&self, channel: &str, ids: &[u16]) -> Vec<VerifiedBlock> {
        let since = Instant::now();
        let (mut last, mut same) = (Vec::new(), 0);
        while same < 10 {
            let heights: Vec<u64> =
                ids.iter().map(|&id| self.info(id, channel).map_or(0, |info| info.height)).collect();
            let is_level = heights.iter().all(|height| *height == heights[0]);
            same = if is_level && heights == last { same + 1 } else { 0 };
            last = heights;
            assert!(since.elapsed() < PATIENCE, "{channel}: the nodes do not come to rest at one height: {last:?}");
            tokio::time::sleep(POLL).await;
        }
        let mut chain: Option<Vec<VerifiedBlock>> = None;
        for &id in ids {
            let mut verifier = Verifier::from_genesis(&self.genesis.lock().unwrap()[channel]).unwrap();
            let blocks = self.blocks(id, channel).await;
            let found: Vec<_> = blocks[1..].iter().map(|block| verifier.verify_next(block).unwrap()).collect();
            if let Some(first) = &chain {
                assert_same(first, &found).unwrap();
            }
            chain = Some(found);
        }
        chain.unwrap()
    }

    pub async fn wait_for(&self, id: u16, channel: &str, mut is_so: impl FnMut(&ChannelInfo) -> bool) {
        let since = Instant::now();
        while !self.info(id, channel).is_some_and(|info| is_so(&info)) {
            let info = self.info(id, channel);
            assert!(since.elapsed() < PATIENCE, "node {id} stays at {info:?}");
            tokio::time::sleep(POLL / 10).await;
        }
    }

    fn info(&self, id: u16, channel: &str) -> Option<ChannelInfo> {
        self.at(id).info(&self.id(channel)).inspect(|info| assert_ne!(info.status, ChannelStatus::Failed))
    }

    async fn blocks(&self, id: u16, channel: &str) -> Vec<Vec<u8>> {
        let height = self.info(id, channel).unwrap().height;
        blocks(&self.endpoint(id), &material::user(channel).unwrap(), height).await.unwrap()
    }

    /// Where a node is.
    pub fn address(&self, id: u16) -> String {
        format!("127.0.0.1:{}", self.port + id - 1)
    }

    fn endpoint(&self, id: u16) -> Endpoint {
        let address = self.address(id);
        Endpoint::tls(&address, &material::tls_authority(), None).unwrap()
    }
}

/// A config block that stands where this one does in a chain that nobody has.
pub fn with_another_previous_hash(block: &[u8]) -> Bytes {
    let mut block = Block::decode(block).unwrap();
    block.header.as_mut().unwrap().previous_hash = Bytes::from_static(&[7; 32]);
    block.encode_to_vec().into()
}

fn config(folder: &Path, id: u16, port: u16) -> String {
    std::fs::create_dir_all(folder).unwrap();
    let keys = material::orderer(id.into());
    let mut text = format!("listen_address = \"127.0.0.1:{port}\"\ndata_dir = \"data\"\n");
    let path = |name: &str| keys.join(name).display().to_string();
    write!(text, "[msp]\ndir = {:?}\nid = \"{ORDERER_MSP_ID}\"\n", path("msp")).unwrap();
    write!(text, "[tls]\ncertificate = {:?}\nkey = {:?}\n", path("tls/server.crt"), path("tls/server.key")).unwrap();
    text
}

const POLL: std::time::Duration = std::time::Duration::from_millis(50);
