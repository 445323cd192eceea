//! One peer of Org1 on loopback, and the commands of its administrator.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use integration::administration::Person;
use integration::dev_network::DevNetwork;
use integration::process::Process;

/// A running peer.
pub struct Peer {
    process: Process,
    program: PathBuf,
    /// With `core.yaml` in it.
    folder: PathBuf,
    administrator: PathBuf,
}

impl Peer {
    /// Starts peer0 of the network's Org1, with its ports from `port` on.
    pub fn start(programs: &Path, network: &DevNetwork, port: u16) -> anyhow::Result<Self> {
        let organisation = network.file().crypto.join(format!("peerOrganizations/{DOMAIN}"));
        let keys = organisation.join(format!("peers/peer0.{DOMAIN}"));
        let folder = network.folder().join("peer");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("core.yaml"), configuration(&folder, &keys, port))?;
        let program = programs.join("peer");
        let mut command = Command::new(&program);
        command.args(["node", "start"]).env("FABRIC_CFG_PATH", &folder).env("FABRIC_LOGGING_FORMAT", LOG_FORMAT);
        let process = Process::start("peer", &mut command, &folder.join("log"))?;
        let administrator = organisation.join(format!("users/Admin@{DOMAIN}/msp"));
        Ok(Self { process, program, folder, administrator })
    }

    /// `peer channel fetch POSITION` from node 1; the block's bytes.
    pub fn fetch(&self, network: &DevNetwork, position: &str, channel: &str) -> anyhow::Result<Vec<u8>> {
        let (node, file) = (&network.file().nodes[0], self.block_file(position));
        let mut command = self.command(&["channel", "fetch", position]);
        command.arg(&file).args(["-c", channel, "-o", &node.address, "--tls", "--cafile"]).arg(&node.tls_ca);
        run(&mut command)?;
        fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
    }

    /// `peer channel join` with a block that was fetched.
    pub fn join(&self, position: &str) -> anyhow::Result<()> {
        run(self.command(&["channel", "join", "-b"]).arg(self.block_file(position)))
    }

    /// `peer channel ...` as this administrator of an organisation, towards node 1 if it is to talk to one.
    pub fn administer(
        &self,
        network: &DevNetwork,
        (folder, msp_id): &Person,
        arguments: &[&str],
        to_node: bool,
    ) -> anyhow::Result<()> {
        let mut command = self.command(arguments);
        command.env("CORE_PEER_MSPCONFIGPATH", folder).env("CORE_PEER_LOCALMSPID", msp_id);
        if to_node {
            let node = &network.file().nodes[0];
            command.args(["-o", &node.address, "--tls", "--cafile"]).arg(&node.tls_ca);
        }
        run(&mut command)
    }

    /// The node that it has its blocks from now, by its place in the network.
    pub fn block_source(&self, network: &DevNetwork) -> anyhow::Result<usize> {
        let log = self.log();
        let address = log.rsplit("BlockReceiver starting orderer-address=").next().and_then(|rest| rest.lines().next());
        let address = address.context("it has no block source")?.trim();
        let nodes = &network.file().nodes;
        nodes.iter().position(|node| node.address == address).with_context(|| format!("no node at {address}"))
    }

    /// What it has said.
    pub fn log(&self) -> String {
        self.process.log()
    }

    fn block_file(&self, position: &str) -> PathBuf {
        self.folder.join(format!("{position}.block"))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("FABRIC_CFG_PATH", &self.folder);
        command.env("CORE_PEER_MSPCONFIGPATH", &self.administrator);
        command
    }
}

/// Runs a program to its end.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// What a peer must be told. It finds its orderers in the channel, and asks all of them: policy `cluster`.
fn configuration(folder: &Path, keys: &Path, port: u16) -> String {
    let (folder, keys) = (folder.display(), keys.display());
    let [chaincode, operations] = [port + 1, port + 2];
    format!(
        "peer:
  id: peer0.{DOMAIN}
  networkId: test
  address: 127.0.0.1:{port}
  listenAddress: 127.0.0.1:{port}
  chaincodeAddress: 127.0.0.1:{chaincode}
  chaincodeListenAddress: 127.0.0.1:{chaincode}
  localMspId: Org1MSP
  mspConfigPath: {keys}/msp
  fileSystemPath: {folder}/data
  tls:
    enabled: true
    cert: {{file: {keys}/tls/server.crt}}
    key: {{file: {keys}/tls/server.key}}
    rootcert: {{file: {keys}/tls/ca.crt}}
  BCCSP: {{Default: SW, SW: {{Hash: SHA2, Security: 256}}}}
  deliveryclient: {{policy: cluster, blockGossipEnabled: false}}
  gossip:
    bootstrap: 127.0.0.1:{port}
    endpoint: 127.0.0.1:{port}
    externalEndpoint: 127.0.0.1:{port}
    useLeaderElection: false
    orgLeader: true
    pvtData:
      pullRetryThreshold: 60s
      transientstoreMaxBlockRetention: 20000
      reconcileBatchSize: 10
      reconcileSleepInterval: 1m
      implicitCollectionDisseminationPolicy: {{requiredPeerCount: 0, maxPeerCount: 1}}
  handlers:
    endorsers: {{escc: {{name: DefaultEndorsement}}}}
    validators: {{vscc: {{name: DefaultValidation}}}}
  maxRecvMsgSize: 104857600
  maxSendMsgSize: 104857600
vm: {{endpoint: \"unix:///nowhere\"}}
chaincode:
  mode: net
  startuptimeout: 300s
  executetimeout: 30s
  installTimeout: 300s
  system: {{_lifecycle: enable, cscc: enable, qscc: enable}}
ledger:
  state: {{stateDatabase: goleveldb, totalQueryLimit: 10000}}
  history: {{enableHistoryDatabase: false}}
  pvtdataStore:
    collElgProcMaxDbBatchSize: 5000
    collElgProcDbBatchesInterval: 1000
    deprioritizedDataReconcilerInterval: 60m
    purgeInterval: 100
  snapshots: {{rootDir: {folder}/data/snapshots}}
operations: {{listenAddress: \"127.0.0.1:{operations}\"}}
metrics: {{provider: disabled}}
"
    )
}

const DOMAIN: &str = "org1.example.com";
/// Without colours.
const LOG_FORMAT: &str = "%{time:15:04:05.000} [%{module}] %{shortfunc} -> %{level:.4s} %{message}";
