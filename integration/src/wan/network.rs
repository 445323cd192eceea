//! A network of `orderer-node dev --wan` with a frontend at each site, whose nodes can be killed and started again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use frontend_shim::status;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use orderer_node::dev::NetworkFile;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::args::SettingArgs;
use super::layout::Layout;
use crate::bench::program;
use crate::dev_network;
use crate::ports::free_ports;
use crate::process::{Process, tail};
use crate::site::{NodeId, Site};

/// It. It ends when this is dropped.
pub(super) struct WanNetwork {
    process: Option<Process>,
    /// Nodes that were killed and started again.
    restarted: BTreeMap<NodeId, Process>,
    file: NetworkFile,
    /// The nodes.
    pub(super) nodes: Site,
    /// The frontends, by their numbers.
    pub(super) frontends: Site,
    /// How it is set up, in a line.
    pub(super) description: String,
    folder: TempDir,
}

/// Where the clients of one site connect.
#[derive(Clone, Debug)]
pub(super) struct Door {
    /// Of the frontend.
    pub(super) name: String,
    pub(super) site: String,
    pub(super) address: String,
    pub(super) tls_ca: PathBuf,
    pub(super) msp_dir: PathBuf,
    pub(super) msp_id: String,
    pub(super) channel: String,
}

/// Who leads since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reign {
    pub(super) regency: u64,
    /// By its place among the nodes.
    pub(super) leader: usize,
}

impl SettingArgs {
    fn arguments(&self, layout: &Layout, block: u32) -> anyhow::Result<Vec<String>> {
        let sites = layout.names().join(",");
        let clients = if self.clients.is_empty() { sites.clone() } else { self.clients.join(",") };
        let (nodes, frontends) = (layout.sites().len(), clients.split(',').count());
        let port = free_ports((nodes + frontends) as u16)?;
        let mut arguments = Vec::new();
        let mut give = |name: &str, value: &dyn std::fmt::Display| {
            arguments.extend([name.to_owned(), value.to_string()]);
        };
        give("--wan", &self.matrix);
        give("--wan-sites", &sites);
        give("--wan-frontends", &clients);
        give("--wan-jitter", &if self.jitter { "table" } else { "off" });
        give("--nodes", &nodes);
        give("--frontends", &frontends);
        give("--base-port", &port);
        give("--max-message-count", &block);
        give("--batch-timeout", &BLOCK_TIMEOUT);
        give("--verification", &self.verification);
        if let Some(mbps) = self.mbps {
            give("--wan-mbps", &mbps);
        }
        if let Some(window) = self.window {
            give("--window", &window);
        }
        if let Some(delta) = self.delta {
            give("--delta", &delta);
            give("--heavy", &self.heavy.iter().map(u16::to_string).collect::<Vec<_>>().join(","));
        }
        if !self.leaders.is_empty() {
            give("--leaders", &self.leaders.iter().map(u16::to_string).collect::<Vec<_>>().join(","));
        }
        arguments.extend(self.tentative.then(|| "--tentative".to_owned()));
        arguments.extend(self.dev.iter().cloned());
        Ok(arguments)
    }

    /// In a line, with what the nodes share in words.
    fn describe(&self, layout: &Layout, shared: &str) -> String {
        let sites = layout.names();
        let mut text = format!("{} nodes at {}, delays of {}", sites.len(), sites.join(", "), self.matrix);
        text += if self.jitter { " with jitter" } else { " without jitter" };
        let verification = &self.verification;
        text + &format!("; {shared}; client signatures verified by {verification}")
    }
}

impl WanNetwork {
    /// Starts it, with blocks of so many envelopes, and waits until every node and frontend takes envelopes.
    ///
    /// # Errors
    /// It ends, or takes too long.
    pub(super) async fn start(setting: &SettingArgs, layout: &Layout, block: u32) -> anyhow::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("wan-");
        let made = setting.dir.as_ref().map_or_else(|| builder.tempdir(), |dir| builder.tempdir_in(dir));
        let folder = made.context("cannot make a folder for a network; --dir names another place")?;
        let mut command = Command::new(program("orderer-node")?);
        command.arg("dev").arg("--data").arg(folder.path().join("data")).args(setting.arguments(layout, block)?);
        let mut process = Process::start("orderer-node dev", &mut command, &folder.path().join("dev.log"))?;
        let (description, since) = (folder.path().join("data/network.json"), Instant::now());
        while !description.exists() {
            watch(&mut process, since)?;
            sleep(POLL).await;
        }
        let file = NetworkFile::read(&description)?;
        let (nodes, frontends) = (dev_network::site(&file)?, dev_network::frontends(&file)?);
        let sockets = file.nodes.iter().map(|it| &it.status_socket);
        for socket in sockets.chain(file.frontends.iter().map(|it| &it.status_socket)) {
            while !is_open(socket).await {
                watch(&mut process, since)?;
                sleep(POLL).await;
            }
        }
        let description = setting.describe(layout, &file.ordering.to_string());
        let restarted = BTreeMap::new();
        Ok(Self { process: Some(process), restarted, file, nodes, frontends, description, folder })
    }

    /// Where files may be put.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A door for each frontend, in order.
    pub(super) fn doors(&self) -> Vec<Door> {
        let door = |it: &orderer_node::dev::FrontendEntry| Door {
            name: it.name.clone(),
            site: it.site.clone().unwrap_or_default(),
            address: it.address.clone(),
            tls_ca: it.tls_ca.clone(),
            msp_dir: self.file.client.msp_dir.clone(),
            msp_id: self.file.client.msp_id.clone(),
            channel: self.file.channel.clone(),
        };
        self.file.frontends.iter().map(door).collect()
    }

    /// The site of a node.
    pub(super) fn site(&self, id: NodeId) -> String {
        let node = self.file.nodes.get(id as usize - 1);
        node.and_then(|node| node.site.clone()).unwrap_or_default()
    }

    /// The latest regency that one of these nodes is in.
    ///
    /// # Errors
    /// None of them answers.
    pub(super) async fn reign(&self, ids: &[NodeId]) -> anyhow::Result<Reign> {
        let mut latest: Option<Reign> = None;
        for &id in ids {
            let Ok(ordering) = self.nodes.ordering(id).await else { continue };
            let found = Reign { regency: ordering.regency, leader: usize::from(ordering.leader) };
            if latest.is_none_or(|latest| latest.regency < found.regency) {
                latest = Some(found);
            }
        }
        latest.context("no node says who leads")
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// It does not run.
    pub(super) fn kill(&mut self, id: NodeId) -> anyhow::Result<()> {
        if let Some(process) = self.restarted.remove(&id) {
            return process.kill();
        }
        let node = self.file.nodes.get(id as usize - 1).with_context(|| format!("there is no node {id}"))?;
        kill(Pid::from_raw(node.pid.cast_signed()), Signal::SIGKILL)
            .with_context(|| format!("cannot kill {}", node.name))
    }

    /// Starts a node that was killed, as `dev` had started it.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn restart(&mut self, id: NodeId) -> anyhow::Result<()> {
        let node = self.file.nodes.get(id as usize - 1).with_context(|| format!("there is no node {id}"))?;
        let mut command = Command::new(program("orderer-node")?);
        command.arg("node").arg("--config").arg(&node.config);
        let process = Process::start(&node.name, &mut command, &node.log)?;
        self.restarted.insert(id, process);
        Ok(())
    }
}

impl Drop for WanNetwork {
    fn drop(&mut self) {
        self.restarted.clear();
        // Killed, it could not end its nodes.
        if let Some(Err(error)) = self.process.take().map(|it| it.stop(Signal::SIGTERM, STOP_PATIENCE)) {
            eprintln!("wan: {error:#}");
        }
    }
}

fn watch(process: &mut Process, since: Instant) -> anyhow::Result<()> {
    if let Some(status) = process.ended()? {
        bail!("orderer-node dev has ended: {status}\n{}", tail(&process.log(), LOG_LINES));
    }
    ensure!(since.elapsed() < PATIENCE, "the network does not open\n{}", tail(&process.log(), LOG_LINES));
    Ok(())
}

async fn is_open(socket: &Path) -> bool {
    let Ok(Ok(report)) = timeout(STATUS_PATIENCE, status::fetch(socket)).await else { return false };
    !report.channels.is_empty() && report.channels.iter().all(|channel| channel.state == "open")
}

const BLOCK_TIMEOUT: &str = "500ms";
const POLL: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(120);
const STATUS_PATIENCE: Duration = Duration::from_secs(5);
const STOP_PATIENCE: Duration = Duration::from_secs(30);
const LOG_LINES: usize = 20;
