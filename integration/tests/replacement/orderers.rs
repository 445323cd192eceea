//! Four `orderer` processes, each with nothing but the sample `orderer.yaml` and an environment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fabric_proto::ChannelId;
use fabric_proto::common::Block;
use frontend_shim::tls_identity::TlsIdentity;
use integration::administration::{self, Person};
use integration::binary;
use integration::client::{assert_same, blocks, broadcast, key_of};
use integration::crypto_folder::CryptoFolder;
use integration::fabric::{BlockSigners, FabricNetwork, cryptogen, raft_genesis};
use integration::material::{self, Cutting, ORDERER_MSP_ID, ORDERERS};
use integration::network::{alone, temporary_folder};
use integration::ports::free_ports;
use integration::process::{Process, read_log, tail};
use integration::site::PATIENCE;
use integration::verifier::{VerifiedBlock, Verifier};
use nix::sys::signal::Signal;
use orderer_node::client::{Content, DeliverClient, Endpoint, EnvelopeFactory, Position, Seek};
use prost::Message as _;
use tempfile::TempDir;
use tokio::sync::OwnedMutexGuard;

use crate::admin::get;
use crate::new_tls::NewTls;
use crate::release::{Fabric, Release};

pub const CHANNEL: &str = "testchannel";

pub struct Orderers {
    pub genesis: Bytes,
    pub keys: CryptoFolder,
    /// User1 of Org1.
    pub user: EnvelopeFactory,
    /// A second TLS authority, and what it gave a node that moves.
    new_tls: Option<NewTls>,
    /// The nodes that have moved.
    moved: BTreeSet<u16>,
    /// The nodes that have the keys of another one in the folder.
    keys_of: BTreeMap<u16, u16>,
    has_admin_tls: bool,
    /// Variables that a test adds.
    settings: BTreeMap<String, String>,
    /// The release whose own orderers run.
    stock: Option<PathBuf>,
    /// The folder of the `orderer.yaml` that all nodes read.
    sample_file: PathBuf,
    processes: BTreeMap<u16, Process>,
    place: Place,
}

struct Place {
    /// Of node 1; the others behind it, then the administrators' ports, those of the operations endpoints, and places to move to.
    port: u16,
    folder: TempDir,
    _alone: OwnedMutexGuard<()>,
}

impl Place {
    async fn find() -> Self {
        let alone = alone().await;
        tokio::task::spawn_blocking(binary::orderer).await.unwrap().unwrap();
        Self { port: free_ports(4 * PLACES).unwrap(), folder: temporary_folder().unwrap(), _alone: alone }
    }

    fn raft_genesis(&self, fabric: &Fabric, crypto: &CryptoFolder, signers: BlockSigners) -> Bytes {
        let orderers = (0..ORDERERS).map(|at| format!("127.0.0.1:{}", self.port + at)).collect();
        let network = FabricNetwork { crypto: crypto.clone(), orderers, folder: self.folder.path().to_owned() };
        let cutting = Cutting { message_count_max: 10, ..Cutting::default() };
        raft_genesis(&fabric.programs, &network, CHANNEL, signers, &cutting).unwrap()
    }

    /// Where a channel says that its nodes are.
    async fn at(port: u16) -> Self {
        Self { port, ..Self::find().await }
    }
}

impl Orderers {
    pub async fn start(has_admin_tls: bool) -> Self {
        let place = Place::find().await;
        let cutting = Cutting { message_count_max: 5, ..Cutting::default() };
        let genesis = material::genesis(CHANNEL, place.port, &cutting).unwrap();
        Self::start_at(place, (CryptoFolder::at(&material::crypto()), None), genesis, has_admin_tls).await
    }

    /// With a second TLS authority in the orderers' organisation.
    pub async fn start_with_two_authorities() -> Self {
        let place = Place::find().await;
        let cutting = Cutting { message_count_max: 5, ..Cutting::default() };
        let new_tls = NewTls::in_folder(place.folder.path());
        let all: Vec<_> = (1..=ORDERERS).collect();
        let mut profile = material::profile_of(CHANNEL, place.port, &cutting, &all).unwrap();
        profile.orderer_organizations[0].msp.tls_root_certs.push(new_tls.authority_pem.clone());
        let genesis = material::genesis_block(&profile).unwrap();
        Self::start_at(place, (CryptoFolder::at(&material::crypto()), Some(new_tls)), genesis, false).await
    }

    /// With keys made for a peer and as many nodes as there are places: four take the place of nodes that `orderer-node dev`
    /// ran for a moment. The channel is of the type that the release knows. Their administrators come over TLS.
    pub async fn start_with_new_keys(fabric: &Fabric) -> Self {
        let place = Place::find().await;
        let keys = Self::new_keys(&place, PLACES).await.join("crypto");
        let crypto = CryptoFolder::at(&keys);
        let genesis = match fabric.release {
            Release::V3 => {
                let (cutting, four) = (Cutting { message_count_max: 10, ..Cutting::default() }, [1, 2, 3, 4]);
                let profile = material::profile_with(&keys, CHANNEL, place.port, &cutting, &four).unwrap();
                material::genesis_block(&profile).unwrap()
            }
            Release::V2_5 => place.raft_genesis(fabric, &crypto, BlockSigners::ThreeOfFour),
        };
        Self::start_at(place, (crypto, None), genesis, true).await
    }

    /// Orderers of Fabric itself, with keys and a first block that its tools made. Their administrators come over TLS.
    pub async fn start_stock(fabric: &Fabric) -> Self {
        let place = Place::find().await;
        let crypto = cryptogen(&fabric.programs, place.folder.path()).unwrap();
        let genesis = match fabric.release {
            Release::V3 => {
                let (keys, all) = (place.folder.path().join("crypto"), [1, 2, 3, 4]);
                let cutting = Cutting { message_count_max: 5, ..Cutting::default() };
                let profile = material::profile_with(&keys, CHANNEL, place.port, &cutting, &all).unwrap();
                material::genesis_block(&profile).unwrap()
            }
            Release::V2_5 => place.raft_genesis(fabric, &crypto, BlockSigners::One),
        };
        let stock = Some(fabric.programs.clone());
        let prepared = Self::prepare_at(place, (crypto, None), genesis, true);
        let mut orderers = Self { stock, sample_file: fabric.sample_file().unwrap(), ..prepared };
        orderers.start_all().await;
        orderers
    }

    /// Nobody runs yet. Nodes are at and behind the port that this channel names, and have the keys of the test data.
    pub async fn prepare(port: u16, genesis: Bytes) -> Self {
        let keys = (CryptoFolder::at(&material::crypto()), None);
        Self::prepare_at(Place::at(port).await, keys, genesis, false)
    }

    /// With keys for as many nodes as there are places, of which four order the channel and run.
    pub async fn start_with_spare_keys() -> Self {
        let place = Place::find().await;
        let keys = Self::new_keys(&place, PLACES).await.join("crypto");
        let (cutting, four) = (Cutting { message_count_max: 5, ..Cutting::default() }, [1, 2, 3, 4]);
        let profile = material::profile_with(&keys, CHANNEL, place.port, &cutting, &four).unwrap();
        let genesis = material::genesis_block(&profile).unwrap();
        Self::start_at(place, (CryptoFolder::at(&keys), None), genesis, false).await
    }

    /// The folder of a network that `orderer-node dev` ran for a moment.
    async fn new_keys(place: &Place, nodes: u16) -> PathBuf {
        let before = place.folder.path().join("before");
        let mut command = Command::new(binary::orderer_node().unwrap());
        let (port, data, nodes) = (place.port.to_string(), before.display().to_string(), nodes.to_string());
        command.args(["dev", "--data", &data, "--base-port", &port, "--channel", CHANNEL, "--for", "1"]);
        command.args(["--nodes", &nodes]);
        let mut process =
            Process::start("orderer-node dev", &mut command, &place.folder.path().join("dev.log")).unwrap();
        let status = tokio::task::spawn_blocking(move || process.wait(PATIENCE)).await.unwrap().unwrap();
        assert!(status.success(), "orderer-node dev: {status}");
        before
    }

    async fn start_at(
        place: Place,
        (keys, new_tls): (CryptoFolder, Option<NewTls>),
        genesis: Bytes,
        has_admin_tls: bool,
    ) -> Self {
        let mut orderers = Self::prepare_at(place, (keys, new_tls), genesis, has_admin_tls);
        orderers.start_all().await;
        orderers
    }

    async fn start_all(&mut self) {
        for id in 1..=ORDERERS {
            self.start_again(id).await;
        }
    }

    fn prepare_at(
        place: Place,
        (keys, new_tls): (CryptoFolder, Option<NewTls>),
        genesis: Bytes,
        has_admin_tls: bool,
    ) -> Self {
        std::fs::write(place.folder.path().join("genesis.block"), &genesis).unwrap();
        let user = user_of(&keys.user());
        let (processes, moved, keys_of) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Self {
            genesis,
            keys,
            user,
            new_tls,
            moved,
            keys_of,
            has_admin_tls,
            settings: BTreeMap::new(),
            stock: None,
            sample_file: binary::workspace().join("configs"),
            processes,
            place,
        }
    }

    /// Has it been started, and not stopped?
    pub fn runs(&self, id: u16) -> bool {
        self.processes.contains_key(&id)
    }

    /// Every node that is started from now on is ours.
    pub fn replace(&mut self) {
        self.stock = None;
    }

    /// Starts all nodes again, with these variables besides.
    pub async fn restart_with(&mut self, variables: &[(&str, &str)]) {
        self.settings.extend(variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
        for id in 1..=ORDERERS {
            self.stop(id, Signal::SIGTERM).await;
        }
        for id in 1..=ORDERERS {
            self.start_again(id).await;
        }
    }

    /// A first block with which nobody began.
    pub fn another_genesis(&self) -> Bytes {
        let cutting = Cutting { message_count_max: 6, ..Cutting::default() };
        material::genesis(CHANNEL, self.place.port, &cutting).unwrap()
    }

    /// Starts a node and waits until it says that it serves.
    pub async fn start_again(&mut self, id: u16) {
        let stock = self.stock.as_ref().map(|programs| programs.join("orderer"));
        self.start_by(id, Command::new(stock.unwrap_or_else(|| binary::orderer().unwrap()))).await;
    }

    /// The same with a command that becomes the program in some other way.
    pub async fn start_by(&mut self, id: u16, command: Command) {
        // The log goes on where an earlier start ended.
        let (since, before) = (Instant::now(), read_log(&self.log(id)).matches(SERVING).count());
        self.launch(id, command);
        while self.processes[&id].log().matches(SERVING).count() == before {
            if let Some(status) = self.processes.get_mut(&id).unwrap().ended().unwrap() {
                panic!("orderer {id} has ended: {status}\n{}", tail(&self.processes[&id].log(), 20));
            }
            assert!(since.elapsed() < PATIENCE, "{}", tail(&self.processes[&id].log(), 20));
            tokio::time::sleep(POLL).await;
        }
    }

    /// Starts a node by a command, and that is all.
    pub fn launch(&mut self, id: u16, mut command: Command) {
        command.env_clear().envs(self.environment(id));
        let process = Process::start(&format!("orderer {id}"), &mut command, &self.log(id)).unwrap();
        self.processes.insert(id, process);
    }

    /// Waits until a node has ended by itself.
    pub async fn wait_for_end(&mut self, id: u16) -> ExitStatus {
        let mut process = self.processes.remove(&id).unwrap();
        tokio::task::spawn_blocking(move || process.wait(PATIENCE)).await.unwrap().unwrap()
    }

    /// SIGKILL, and a new start.
    pub async fn crash(&mut self, id: u16) {
        self.processes.remove(&id).unwrap().kill().unwrap();
        self.start_again(id).await;
    }

    /// SIGKILL.
    pub fn kill(&mut self, id: u16) {
        self.processes.remove(&id).unwrap().kill().unwrap();
    }

    /// Asks a node to end, which it does in good order.
    pub async fn stop(&mut self, id: u16, signal: Signal) {
        let process = self.processes.remove(&id).unwrap();
        let stopping = move || process.stop(signal, Duration::from_secs(10));
        let status = tokio::task::spawn_blocking(stopping).await.unwrap().unwrap();
        // That of Fabric does not say how it ended.
        assert!(status.success() || self.stock.is_some(), "orderer {id}: {status}");
    }

    /// Where a node keeps everything but its journals.
    pub fn data(&self, id: u16) -> PathBuf {
        self.folder(id).join("ledger")
    }

    /// What a node has said since the first start.
    pub fn said(&self, id: u16) -> String {
        read_log(&self.log(id))
    }

    /// Everything that belongs to a node alone.
    pub fn folder(&self, id: u16) -> PathBuf {
        self.place.folder.path().join(id.to_string())
    }

    /// A node that does not run loses its disk.
    pub fn wipe(&self, id: u16) {
        std::fs::remove_dir_all(self.folder(id)).unwrap();
    }

    /// Changes a byte in the middle of what a node that does not run has stored.
    pub fn damage_ledger(&self, id: u16) {
        let file = self.data(id).join("ledger").join(CHANNEL).join("blocks-000000.seg");
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&file, bytes).unwrap();
    }

    /// The port of a node's participation API.
    pub fn admin(&self, id: u16) -> u16 {
        self.place.port + PLACES + id - 1
    }

    /// The port of a node's operations endpoint.
    pub fn operations(&self, id: u16) -> u16 {
        self.place.port + 2 * PLACES + id - 1
    }

    pub async fn wait_until_ready(&self, id: u16) {
        let since = Instant::now();
        while get(self.operations(id), "/readyz").await.status != 200 {
            let why = get(self.operations(id), "/readyz").await.text();
            assert!(since.elapsed() < PATIENCE, "orderer {id}: {why}");
            tokio::time::sleep(POLL).await;
        }
    }

    pub async fn wait_until_not_ready(&self, id: u16) {
        let since = Instant::now();
        while get(self.operations(id), "/readyz").await.status == 200 {
            assert!(since.elapsed() < PATIENCE, "orderer {id} stays ready");
            tokio::time::sleep(POLL).await;
        }
    }

    pub fn file(&self, name: &str) -> String {
        self.place.folder.path().join(name).display().to_string()
    }

    pub async fn info(&self, id: u16) -> serde_json::Value {
        get(self.admin(id), &format!("/participation/v1/channels/{CHANNEL}")).await.json()
    }

    /// The first block of another channel of these nodes.
    pub fn genesis_of(&self, channel: &str) -> Bytes {
        material::genesis(channel, self.place.port, &Cutting::default()).unwrap()
    }

    /// Has a node take so many envelopes, once the channel is open there.
    pub async fn order(&self, id: u16, count: usize) -> Vec<Bytes> {
        self.order_from(&self.user, id, (count, 10)).await
    }

    /// The same with envelopes of this client, of so many bytes.
    pub async fn order_from(&self, user: &EnvelopeFactory, id: u16, (count, bytes): (usize, usize)) -> Vec<Bytes> {
        let since = Instant::now();
        let envelopes: Vec<Bytes> = (0..count).map(|_| user.transaction_of_size(bytes)).collect();
        while let Err(error) = broadcast(&self.endpoint(id), envelopes.clone()).await {
            assert!(since.elapsed() < PATIENCE, "orderer {id}: {error:#}\n{}", tail(&self.processes[&id].log(), 75));
            tokio::time::sleep(POLL).await;
        }
        envelopes
    }

    /// An update of the batch size, ready to be sent.
    pub fn batch_size_update(&self, config_block: &[u8]) -> Bytes {
        let wish = ["batch-size", "--max-messages", "3"];
        let (user, msp_id) = self.keys.user();
        administration::ready(config_block, &wish, &[self.keys.orderer_administrator()], (&user, msp_id)).unwrap()
    }

    /// An update that names another port and another TLS certificate for a node, ready to be sent.
    pub fn move_update(&self, id: u16) -> Bytes {
        let (number, address) = (id.to_string(), format!("127.0.0.1:{}", self.new_port(id)));
        let certificate = self.new_tls.as_ref().unwrap().certificate.display().to_string();
        let named = ["consenter", "replace", "--id", &number, "--address", &address];
        let wish = [&named[..], &["--client-tls", &certificate, "--server-tls", &certificate]].concat();
        let (user, msp_id) = self.keys.user();
        administration::ready(&self.genesis, &wish, &[self.keys.orderer_administrator()], (&user, msp_id)).unwrap()
    }

    /// Has a node take the first update of the channel, and waits until all nodes serve the block that brings it.
    pub async fn put_in_force(&self, at: u16, update: Bytes) {
        broadcast(&self.endpoint(at), [update]).await.unwrap();
        let since = Instant::now();
        let is_config = |block: &Vec<u8>| fabric_proto::block::is_config(Block::decode(&block[..]).unwrap().entries());
        for id in 1..=ORDERERS {
            while !self.blocks(id).await.unwrap_or_default().iter().skip(1).any(is_config) {
                assert!(since.elapsed() < PATIENCE, "orderer {id}: {}", tail(&self.processes[&id].log(), 20));
                tokio::time::sleep(POLL).await;
            }
        }
    }

    /// A change of the configuration in this block, as the `channel` tool words it, ready to be sent.
    pub fn update(&self, config_block: &[u8], wish: &[&str]) -> Bytes {
        let (user, msp_id) = self.keys.user();
        administration::ready(config_block, wish, &[self.keys.orderer_administrator()], (&user, msp_id)).unwrap()
    }

    /// The newest config block that a node serves.
    pub async fn config_block(&self, id: u16) -> Option<Vec<u8>> {
        let is_config = |block: &Vec<u8>| fabric_proto::block::is_config(Block::decode(&block[..]).unwrap().entries());
        self.blocks(id).await?.into_iter().rev().find(is_config)
    }

    /// Has a node take a change, and waits until it serves the block that brings it, which is given.
    pub async fn change(&self, at: u16, wish: &[&str]) -> Vec<u8> {
        let since = Instant::now();
        let before = self.config_block(at).await.unwrap();
        broadcast(&self.endpoint(at), [self.update(&before, wish)]).await.unwrap();
        loop {
            if let Some(now) = self.config_block(at).await.filter(|now| *now != before) {
                return now;
            }
            assert!(since.elapsed() < PATIENCE, "orderer {at}: {}", tail(&self.said(at), 20));
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until the participation API of a node says this of the channel.
    pub async fn wait_for_relation(&self, id: u16, relation: &str, status: &str) {
        let since = Instant::now();
        loop {
            let info = self.info(id).await;
            if info["consensusRelation"] == relation && info["status"] == status {
                return;
            }
            assert!(since.elapsed() < PATIENCE, "orderer {id} stays at {info}\n{}", tail(&self.said(id), 30));
            tokio::time::sleep(POLL).await;
        }
    }

    /// How the `channel` tool is told where a node is and who it is, with the keys of `whose`.
    pub fn described(&self, id: u16, whose: u16) -> Vec<String> {
        let keys = self.keys.orderer(whose.into());
        let file = |name: &str| keys.join(name).display().to_string();
        let (tls, identity) =
            (file("tls/server.crt"), file(&format!("msp/signcerts/o{whose}.orderer.example.com-cert.pem")));
        let words = ["--address", &self.address(id), "--msp-id", ORDERER_MSP_ID, "--identity", &identity];
        [&words[..], &["--client-tls", &tls, "--server-tls", &tls]].concat().into_iter().map(str::to_owned).collect()
    }

    /// From its next start on, a node has the keys of another one in the folder.
    pub fn change_keys(&mut self, id: u16, whose: u16) {
        self.keys_of.insert(id, whose);
    }

    /// From its next start on, a node is where such an update says.
    pub fn move_to_new_place(&mut self, id: u16) {
        self.moved.insert(id);
    }

    /// All nodes come to hold one chain, verified and equal, with each of these envelopes once in it; says how many blocks
    /// the last of them has.
    pub async fn check_chain(&self, sent: &[Bytes]) -> u64 {
        self.check_chain_at(&[1, 2, 3, 4], sent).await
    }

    /// The same of these nodes.
    pub async fn check_chain_at(&self, ids: &[u16], sent: &[Bytes]) -> u64 {
        let wanted: BTreeSet<_> = sent.iter().map(|envelope| key_of(envelope)).collect();
        let mut first: Option<Vec<VerifiedBlock>> = None;
        for &id in ids {
            let since = Instant::now();
            let chain = loop {
                let chain = self.chain(id).await.unwrap_or_default();
                let found: Vec<_> = chain.iter().flat_map(|block| &block.envelopes).map(|it| key_of(it)).collect();
                if wanted.iter().all(|key| found.contains(key)) {
                    assert_eq!(found.len(), found.iter().collect::<BTreeSet<_>>().len(), "an envelope is in it twice");
                    break chain;
                }
                let log = self.processes[&id].log();
                assert!(since.elapsed() < PATIENCE, "orderer {id}: envelopes are missing\n{}", tail(&log, 20));
                tokio::time::sleep(POLL).await;
            };
            let common = first.as_ref().map_or(0, |first| first.len().min(chain.len()));
            assert_same(&first.as_ref().unwrap_or(&chain)[..common], &chain[..common]).unwrap();
            first = Some(chain);
        }
        first.map_or(1, |chain| 1 + chain.len() as u64)
    }

    /// The chain that a node serves now.
    async fn chain(&self, id: u16) -> Option<Vec<VerifiedBlock>> {
        let mut encoded = self.blocks(id).await?;
        let mut verifier = Verifier::from_genesis(&self.genesis).unwrap();
        Some(encoded.drain(1..).map(|block| verifier.verify_next(&block).unwrap()).collect())
    }

    /// The encoded blocks up to the newest one that a node serves at the moment.
    pub async fn blocks(&self, id: u16) -> Option<Vec<Vec<u8>>> {
        let newest = Seek { from: Position::Newest, to: Position::Newest, content: Content::Blocks };
        let connection = self.endpoint(id).connect().await.ok()?;
        let newest = DeliverClient::open(&connection, &self.user, newest).await.ok()?.next().await.ok()??;
        blocks(&self.endpoint(id), &self.user, newest.header?.number + 1).await.ok()
    }

    pub fn endpoint(&self, id: u16) -> Endpoint {
        Endpoint::tls(&self.address(id), &self.authorities(), None).unwrap()
    }

    /// The same for a client that shows a TLS certificate: that of another node.
    pub fn endpoint_with_certificate(&self, id: u16, of: u16) -> Endpoint {
        let tls = self.keys.orderer(of.into()).join("tls");
        let identity = TlsIdentity::load(&tls.join("server.crt"), &tls.join("server.key")).unwrap();
        Endpoint::tls(&self.address(id), &self.authorities(), Some(&identity)).unwrap()
    }

    /// What Fabric's programs are told of them, and of those that may come.
    pub fn for_fabric(&self) -> FabricNetwork {
        let orderers = (1..=PLACES).map(|id| self.address(id)).collect();
        FabricNetwork { crypto: self.keys.clone(), orderers, folder: self.place.folder.path().to_owned() }
    }

    /// The process of a node that runs.
    pub fn process(&self, id: u16) -> &Process {
        &self.processes[&id]
    }

    pub fn address(&self, id: u16) -> String {
        format!("127.0.0.1:{}", self.port_of(id))
    }

    /// Where a node listens for clients and other nodes.
    fn port_of(&self, id: u16) -> u16 {
        if self.moved.contains(&id) { self.new_port(id) } else { self.place.port + id - 1 }
    }

    fn new_port(&self, id: u16) -> u16 {
        self.place.port + 3 * PLACES + id - 1
    }

    /// Of the nodes' TLS certificates.
    fn authorities(&self) -> PathBuf {
        self.new_tls.as_ref().map_or_else(|| self.keys.tls_authority(), |new_tls| new_tls.authorities.clone())
    }

    fn log(&self, id: u16) -> PathBuf {
        self.place.folder.path().join(format!("{id}.log"))
    }

    /// What a deployer sets.
    fn environment(&self, id: u16) -> BTreeMap<String, String> {
        let whose = self.keys_of.get(&id).copied().unwrap_or(id);
        let (keys, data) = (self.keys.orderer(whose.into()), self.folder(id));
        let key = |name: &str| keys.join(name).display().to_string();
        let (mut certificate, mut private_key) = (key("tls/server.crt"), key("tls/server.key"));
        if let Some(new_tls) = self.new_tls.as_ref().filter(|_| self.moved.contains(&id)) {
            certificate = new_tls.certificate.display().to_string();
            private_key = new_tls.key.display().to_string();
        }
        let authority = self.authorities().display().to_string();
        let mut set = BTreeMap::from(
            [
                ("FABRIC_CFG_PATH", self.sample_file.display().to_string()),
                ("FABRIC_LOGGING_SPEC", "info".to_owned()),
                ("ORDERER_GENERAL_LISTENADDRESS", "127.0.0.1".to_owned()),
                ("ORDERER_GENERAL_LISTENPORT", self.port_of(id).to_string()),
                ("ORDERER_GENERAL_LOCALMSPID", ORDERER_MSP_ID.to_owned()),
                ("ORDERER_GENERAL_LOCALMSPDIR", key("msp")),
                ("ORDERER_GENERAL_TLS_ENABLED", "true".to_owned()),
                ("ORDERER_GENERAL_TLS_CERTIFICATE", certificate.clone()),
                ("ORDERER_GENERAL_TLS_PRIVATEKEY", private_key.clone()),
                ("ORDERER_GENERAL_TLS_ROOTCAS", format!("[{authority}]")),
                ("ORDERER_GENERAL_BOOTSTRAPMETHOD", "none".to_owned()),
                ("ORDERER_CHANNELPARTICIPATION_ENABLED", "true".to_owned()),
                ("ORDERER_FILELEDGER_LOCATION", self.data(id).display().to_string()),
                ("ORDERER_CONSENSUS_WALDIR", data.join("wal").display().to_string()),
                ("ORDERER_CONSENSUS_SNAPDIR", data.join("snapshots").display().to_string()),
                ("ORDERER_GENERAL_CLUSTER_CLIENTCERTIFICATE", certificate.clone()),
                ("ORDERER_GENERAL_CLUSTER_CLIENTPRIVATEKEY", private_key.clone()),
                ("ORDERER_ADMIN_LISTENADDRESS", format!("127.0.0.1:{}", self.admin(id))),
                ("ORDERER_OPERATIONS_LISTENADDRESS", format!("127.0.0.1:{}", self.operations(id))),
                ("ORDERER_METRICS_PROVIDER", "prometheus".to_owned()),
                ("ORDERER_ADMIN_TLS_ENABLED", self.has_admin_tls.to_string()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        if self.has_admin_tls {
            let more = [
                ("ORDERER_ADMIN_TLS_CERTIFICATE", certificate),
                ("ORDERER_ADMIN_TLS_PRIVATEKEY", private_key),
                ("ORDERER_ADMIN_TLS_CLIENTAUTHREQUIRED", "true".to_owned()),
                ("ORDERER_ADMIN_TLS_CLIENTROOTCAS", format!("[{authority}]")),
            ];
            set.extend(more.map(|(name, value)| (name.to_owned(), value)));
        }
        set.extend(self.settings.clone());
        set
    }
}

/// Somebody of the channel.
pub fn user_of((msp, msp_id): &Person) -> EnvelopeFactory {
    EnvelopeFactory::load(ChannelId::new(CHANNEL).unwrap(), msp, msp_id).unwrap()
}

/// How many nodes there is room for.
const PLACES: u16 = 6;

const SERVING: &str = "Beginning to serve requests";
const POLL: Duration = Duration::from_millis(100);
