//! One peer of Org1 on loopback, and the commands of its administrator.

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use fabric_proto::ChannelId;
use nix::sys::signal::Signal;
use orderer_node::client::Endpoint;
use serde_json::json;

use super::peer_files::{configuration, write_builder};
use super::{Chaincode, FabricNetwork, Gateway, output_of, run};
use crate::administration::Person;
use crate::process::{Process, read_log};
use crate::site::{PATIENCE, wait_until};

/// A peer that runs, or has been stopped.
#[derive(Debug)]
pub struct Peer {
    /// None while it is stopped.
    process: Option<Process>,
    program: PathBuf,
    network: FabricNetwork,
    /// With `core.yaml` in it.
    folder: PathBuf,
    address: String,
    /// The node that the commands are sent to, by its place in the network.
    node: usize,
}

impl Peer {
    /// Starts peer0 of the network's Org1, with its ports from `port` on.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(programs: &Path, network: FabricNetwork, port: u16) -> anyhow::Result<Self> {
        let folder = network.folder.join("peer");
        fs::create_dir_all(&folder)?;
        write_builder(&folder.join("builder"))?;
        fs::write(folder.join("core.yaml"), configuration(&folder, &network.crypto.peer(), port))?;
        let (program, address) = (programs.join("peer"), format!("127.0.0.1:{port}"));
        let mut peer = Self { process: None, program, network, folder, address, node: 0 };
        peer.start_again()?;
        Ok(peer)
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.process.take().context("it runs")?.stop(Signal::SIGTERM, PATIENCE).map(drop)
    }

    /// Starts it after it was stopped.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(&self.program);
        command.args(["node", "start"]).env("FABRIC_CFG_PATH", &self.folder).env("FABRIC_LOGGING_FORMAT", LOG_FORMAT);
        self.process = Some(Process::start("peer", &mut command, &self.log_file())?);
        Ok(())
    }

    /// From now on the commands go to this node, by its place in the network; before, to the first one.
    pub const fn turn_to(&mut self, node: usize) {
        self.node = node;
    }

    /// Has it join the channel whose block 0 a node gives; waits until it can.
    ///
    /// # Errors
    /// It cannot for too long.
    pub async fn join(&self, channel: &str) -> anyhow::Result<()> {
        self.fetch("oldest", channel)?;
        let block = self.block_file("oldest");
        let person = self.network.crypto.peer_administrator();
        wait_until("the peer joins the channel", async || {
            Ok(run(self.command(&person, &["channel", "join", "-b"]).arg(&block)).is_ok())
        })
        .await
    }

    /// `peer channel fetch POSITION` from a node, as its own administrator; the block's bytes.
    ///
    /// # Errors
    /// What the program says.
    pub fn fetch(&self, position: &str, channel: &str) -> anyhow::Result<Vec<u8>> {
        self.fetch_as(&self.network.crypto.peer_administrator(), position, channel)
    }

    /// The same as somebody.
    ///
    /// # Errors
    /// What the program says.
    pub fn fetch_as(&self, person: &Person, position: &str, channel: &str) -> anyhow::Result<Vec<u8>> {
        let file = self.block_file(position);
        let mut command = self.command(person, &["channel", "fetch", position]);
        run(self.towards_node(command.arg(&file).args(["-c", channel])))?;
        fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
    }

    /// `peer channel signconfigtx` as this administrator.
    ///
    /// # Errors
    /// What the program says.
    pub fn sign_update(&self, person: &Person, update: &Path) -> anyhow::Result<()> {
        run(self.command(person, &["channel", "signconfigtx", "-f"]).arg(update))
    }

    /// `peer channel update` towards a node as this administrator, who signs too.
    ///
    /// # Errors
    /// What the program says.
    pub fn update(&self, person: &Person, channel: &str, update: &Path) -> anyhow::Result<()> {
        let mut command = self.command(person, &["channel", "update", "-c", channel, "-f"]);
        run(self.towards_node(command.arg(update)))
    }

    /// Installs a chaincode, and has this organisation, the only one of the channel, approve and commit its definition.
    ///
    /// # Errors
    /// What the program says.
    pub fn deploy(&self, channel: &str, chaincode: &Chaincode) -> anyhow::Result<()> {
        let administrator = self.network.crypto.peer_administrator();
        run(self.command(&administrator, &["lifecycle", "chaincode", "install"]).arg(chaincode.package()))?;
        let definition = ["-C", channel, "--name", Chaincode::NAME, "--version", "1", "--sequence", "1"];
        let approve = ["lifecycle", "chaincode", "approveformyorg", "--package-id", chaincode.id()];
        run(self.towards_node(self.command(&administrator, &approve).args(definition)))?;
        run(self.towards_node(self.command(&administrator, &["lifecycle", "chaincode", "commit"]).args(definition)))
    }

    /// `peer chaincode invoke` towards a node as a user, who waits until this peer has committed the transaction as valid.
    ///
    /// # Errors
    /// What the program says.
    pub fn invoke(&self, channel: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let call = json!({ "Args": arguments }).to_string();
        let invoke = ["chaincode", "invoke", "--waitForEvent", "-C", channel, "-n", Chaincode::NAME, "-c", &call];
        run(self.towards_node(&mut self.command(&self.network.crypto.user(), &invoke)))
    }

    /// `peer chaincode query` as a user; what the chaincode says.
    ///
    /// # Errors
    /// What the program says.
    pub fn query(&self, channel: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let call = json!({ "Args": arguments }).to_string();
        let query = ["chaincode", "query", "-C", channel, "-n", Chaincode::NAME, "-c", &call];
        let said = output_of(&mut self.command(&self.network.crypto.user(), &query))?;
        Ok(String::from_utf8(said)?.trim_end().to_owned())
    }

    /// Its gateway, for the chaincode of [`Peer::deploy`], as a user.
    ///
    /// # Errors
    /// It cannot be reached.
    pub async fn gateway(&self, channel: &str) -> anyhow::Result<Gateway> {
        let crypto = &self.network.crypto;
        let endpoint = Endpoint::tls(&self.address, &crypto.peer().join("tls/ca.crt"), None)?;
        Gateway::connect(&endpoint, &crypto.user(), ChannelId::new(channel)?, Chaincode::NAME).await
    }

    /// The node that it has its blocks from now, by its place in the network.
    ///
    /// # Errors
    /// It has none yet.
    pub fn block_source(&self) -> anyhow::Result<usize> {
        let log = self.log();
        let line = log.lines().rfind(|line| says_source(line)).context("it has no block source")?;
        let address = line.split_once("orderer-address=").and_then(|(_, it)| it.split_whitespace().next());
        let address = address.with_context(|| format!("no address: {line}"))?;
        let nodes = &self.network.orderers;
        nodes.iter().position(|node| node == address).with_context(|| format!("no node at {address}"))
    }

    /// How often it has turned to a node for its blocks.
    #[must_use]
    pub fn block_source_changes(&self) -> usize {
        self.log().lines().filter(|line| says_source(line)).count()
    }

    /// Waits until it says of each of these blocks that it has committed it.
    ///
    /// # Errors
    /// That takes too long, or it says of a block that it does not believe it.
    pub async fn commits(&self, numbers: RangeInclusive<u64>) -> anyhow::Result<()> {
        for number in numbers {
            let line = format!("Committed block [{number}]");
            wait_until(&line, async || Ok(self.log().contains(&line))).await?;
        }
        for line in self.log().lines() {
            // A header that the peer has seen already is refused too; it says so, and it is no trouble.
            let is_trouble = line.contains("verification failed") && !line.contains("expected block number is");
            ensure!(!is_trouble && !line.contains("could not be verified"), "{line}");
        }
        Ok(())
    }

    /// What it has said.
    #[must_use]
    pub fn log(&self) -> String {
        read_log(&self.log_file())
    }

    /// The file that `peer channel fetch POSITION` writes.
    #[must_use]
    pub fn block_file(&self, position: &str) -> PathBuf {
        self.folder.join(format!("{position}.block"))
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn command(&self, (folder, msp_id): &Person, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("FABRIC_CFG_PATH", &self.folder);
        command.env("CORE_PEER_MSPCONFIGPATH", folder).env("CORE_PEER_LOCALMSPID", msp_id);
        command
    }

    fn towards_node<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .args(["-o", &self.network.orderers[self.node], "--tls", "--cafile"])
            .arg(self.network.crypto.tls_authority())
    }
}

fn says_source(line: &str) -> bool {
    BLOCK_SOURCE.iter().any(|beginning| line.contains(beginning))
}

/// How the lines begin with which v3 and v2.5 say from whom blocks come from now on.
const BLOCK_SOURCE: [&str; 2] = ["BlockReceiver starting", "Pulling next blocks from ordering service"];
/// Without colours.
const LOG_FORMAT: &str = "%{time:15:04:05.000} [%{module}] %{shortfunc} -> %{level:.4s} %{message}";
