//! A network of `orderer-node dev` in a temporary folder, for as long as it is measured.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use fabric_proto::ChannelId;
use frontend_shim::status;
use nix::sys::signal::Signal;
use orderer_node::client::{Endpoint, EnvelopeFactory};
use orderer_node::dev::{NetworkFile, VerificationOption};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::args::{Place, WINDOW_USUAL};
use super::bare;
use super::load::Target;
use crate::ports::free_ports;
use crate::process::{Process, tail};

/// What network to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NetworkPlan {
    pub(super) nodes: u16,
    pub(super) channels: u16,
    /// Processes of their own; none means those embedded in the nodes.
    pub(super) frontends: u16,
    pub(super) block_envelopes_max: u32,
    /// Consensus instances that may be open at once.
    pub(super) window: u64,
    pub(super) verification: VerificationOption,
    /// Nodes serve no clients. Whoever loads them is a frontend, or sends to one of those.
    pub(super) is_bare: bool,
}

/// It. It ends when this is dropped.
pub(super) struct DevProcess {
    /// `dev`, or the nodes and frontends.
    processes: Vec<Process>,
    file: NetworkFile,
    folder: TempDir,
}

impl NetworkPlan {
    /// Four nodes with embedded frontends, which alone check signatures; one channel with blocks of 100.
    pub(super) const USUAL: Self = Self {
        nodes: 4,
        channels: 1,
        frontends: 0,
        block_envelopes_max: 100,
        window: WINDOW_USUAL,
        verification: VerificationOption::Frontends,
        is_bare: false,
    };
}

impl DevProcess {
    /// Starts it and waits until every node and frontend takes envelopes for every channel.
    ///
    /// # Errors
    /// It ends, or takes too long.
    pub(super) async fn start(plan: &NetworkPlan, place: &Place) -> anyhow::Result<Self> {
        let folder = temporary_folder(place)?;
        let port = free_ports(plan.nodes + plan.frontends)?;
        let mut command = Command::new(program("orderer-node")?);
        command.arg("dev").arg("--data").arg(folder.path().join("data")).args(["--log", "warn"]);
        for (name, value) in [
            ("--base-port", u32::from(port)),
            ("--nodes", plan.nodes.into()),
            ("--channels", plan.channels.into()),
            ("--frontends", plan.frontends.into()),
            ("--max-message-count", plan.block_envelopes_max),
            ("--window", plan.window as u32),
        ] {
            command.arg(name).arg(value.to_string());
        }
        command.args(["--batch-timeout", &format!("{BLOCK_TIMEOUT_MS}ms"), "--verification", word(plan.verification)]);
        let mut process = Process::start("orderer-node dev", &mut command, &folder.path().join("dev.log"))?;
        let description = folder.path().join("data/network.json");
        let since = Instant::now();
        let file = loop {
            if let Some(status) = process.ended()? {
                bail!("orderer-node dev has ended: {status}\n{}", tail(&process.log(), LOG_LINES));
            }
            if description.exists() {
                break NetworkFile::read(&description)?;
            }
            ensure!(since.elapsed() < PATIENCE, "no network yet\n{}", tail(&process.log(), LOG_LINES));
            sleep(POLL).await;
        };
        let mut started = Self { processes: vec![process], file, folder };
        let nodes = started.file.nodes.iter().map(|node| node.status_socket.clone());
        let frontends = started.file.frontends.iter().map(|frontend| frontend.status_socket.clone());
        let (nodes, frontends): (Vec<_>, Vec<_>) = (nodes.collect(), frontends.collect());
        started.wait_until_open(nodes.iter().chain(&frontends), since).await?;
        if plan.is_bare {
            started.stop();
            started.processes = bare::start(&description, &mut started.file)?;
            started.wait_until_open(&frontends, Instant::now()).await?;
        }
        Ok(started)
    }

    async fn wait_until_open(
        &mut self,
        sockets: impl IntoIterator<Item = &PathBuf>,
        since: Instant,
    ) -> anyhow::Result<()> {
        for socket in sockets {
            while !is_open(socket, self.file.channels.len()).await {
                for process in &mut self.processes {
                    if let Some(status) = process.ended()? {
                        bail!("{} has ended: {status}\n{}", process.name(), tail(&process.log(), LOG_LINES));
                    }
                }
                ensure!(since.elapsed() < PATIENCE, "{} does not open its channels", socket.display());
                sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// In good order: `dev` could not end its nodes if it were killed.
    fn stop(&mut self) {
        for process in self.processes.drain(..) {
            if let Err(error) = process.stop(Signal::SIGTERM, STOP_PATIENCE) {
                eprintln!("bench: {error:#}");
            }
        }
    }

    /// Where files of a measurement may be put.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// For a load: the frontends of their own if there are any, otherwise the nodes.
    pub(super) fn target(&self) -> anyhow::Result<Target> {
        let NetworkFile { nodes, frontends, client, channels, .. } = &self.file;
        let first = nodes.first().context("a network without nodes")?;
        let doors: Vec<String> = match &frontends[..] {
            [] => nodes.iter().map(|node| node.address.clone()).collect(),
            some => some.iter().map(|frontend| frontend.address.clone()).collect(),
        };
        let of_nodes = nodes.iter().map(|node| (node.name.clone(), node.pid));
        Ok(Target {
            network_file: Some(self.folder.path().join("data/network.json")),
            doors,
            tls_ca: first.tls_ca.clone(),
            msp_dir: client.msp_dir.clone(),
            msp_id: client.msp_id.clone(),
            channels: channels.iter().map(|channel| channel.name.clone()).collect(),
            processes: of_nodes.chain(frontends.iter().map(|it| (it.name.clone(), it.pid))).collect(),
        })
    }

    /// The nodes, as Deliver clients connect to them.
    pub(super) fn node_endpoints(&self) -> anyhow::Result<Vec<Endpoint>> {
        let endpoint = |node: &orderer_node::dev::NodeEntry| Endpoint::tls(&node.address, &node.tls_ca, None);
        Ok(self.file.nodes.iter().map(endpoint).collect::<Result<_, _>>()?)
    }

    /// A client of the first channel.
    pub(super) fn user(&self) -> anyhow::Result<EnvelopeFactory> {
        let client = &self.file.client;
        Ok(EnvelopeFactory::load(ChannelId::new(&self.file.channel)?, &client.msp_dir, &client.msp_id)?)
    }

    /// How many blocks the first channel has at the first node.
    pub(super) async fn height(&self) -> anyhow::Result<u64> {
        let node = self.file.nodes.first().context("a network without nodes")?;
        let report = status::fetch(&node.status_socket).await?;
        let channel = report.channels.iter().find(|channel| channel.id == self.file.channel);
        Ok(channel.context("the node does not know its channel")?.certified_height)
    }
}

impl Drop for DevProcess {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A folder that is removed when it is dropped.
///
/// # Errors
/// It cannot be made.
pub(super) fn temporary_folder(place: &Place) -> anyhow::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("bench-");
    let made = match &place.dir {
        Some(dir) => builder.tempdir_in(dir),
        None => builder.tempdir(),
    };
    made.context("cannot make a folder for a network; --dir names another place")
}

/// A program beside this one.
///
/// # Errors
/// It is not there.
pub(crate) fn program(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    let path = own.with_file_name(name);
    ensure!(path.exists(), "{} is not there: build it first, `cargo build --release`", path.display());
    Ok(path)
}

async fn is_open(socket: &Path, channels: usize) -> bool {
    let Ok(Ok(report)) = timeout(STATUS_PATIENCE, status::fetch(socket)).await else { return false };
    report.channels.len() == channels && report.channels.iter().all(|channel| channel.state == "open")
}

const fn word(verification: VerificationOption) -> &'static str {
    match verification {
        VerificationOption::Full => "full",
        VerificationOption::Frontends => "frontends",
    }
}

/// Fabric's own samples take 2 s; in a measurement blocks are to be full, or the wait to be no part of it.
pub(super) const BLOCK_TIMEOUT_MS: u64 = 500;
const POLL: Duration = Duration::from_millis(50);
/// Many channels or many nodes take long on few processors.
const PATIENCE: Duration = Duration::from_secs(120);
const STATUS_PATIENCE: Duration = Duration::from_secs(5);
const STOP_PATIENCE: Duration = Duration::from_secs(30);
const LOG_LINES: usize = 20;
