//! A network that `orderer-node dev` runs: one process for a test, which starts and ends the nodes.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use fabric_proto::ChannelId;
use nix::sys::signal::Signal;
use orderer_node::client::EnvelopeFactory;
use orderer_node::dev::NetworkFile;
use tempfile::TempDir;
use tokio::sync::OwnedMutexGuard;

use crate::binary::orderer_node;
use crate::crypto_folder::CryptoFolder;
use crate::fabric::FabricNetwork;
use crate::network::{alone, temporary_folder};
use crate::process::{Process, tail};
use crate::site::{Door, NodeId, PATIENCE, POLL, Site};

/// Such a network. What its clients see of it is its [`Site`].
#[derive(Debug)]
pub struct DevNetwork {
    site: Site,
    file: NetworkFile,
    process: Option<Process>,
    folder: TempDir,
    _alone: OwnedMutexGuard<()>,
}

impl Deref for DevNetwork {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl DevNetwork {
    /// Runs `orderer-node dev` with these arguments and a folder of its own, until every node takes envelopes.
    ///
    /// # Errors
    /// It ends, or takes too long.
    pub async fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let alone = alone().await;
        let program = tokio::task::spawn_blocking(orderer_node).await??;
        let folder = temporary_folder()?;
        let mut command = Command::new(program);
        command.arg("dev").arg("--data").arg(folder.path().join("data")).args(arguments);
        let mut process = Process::start("orderer-node dev", &mut command, &folder.path().join("dev.log"))?;
        let file = wait_for_file(&mut process, &folder.path().join("data/network.json")).await?;
        let site = site(&file)?;
        let since = Instant::now();
        for id in site.ids() {
            while !site.is_open(id).await {
                ensure!(since.elapsed() < PATIENCE, "node {id} does not open the channel\n{}", process.log());
                tokio::time::sleep(POLL).await;
            }
        }
        Ok(Self { site, file, process: Some(process), folder, _alone: alone })
    }

    /// What it has written down about itself.
    #[must_use]
    pub const fn file(&self) -> &NetworkFile {
        &self.file
    }

    /// The temporary folder; the network's own is `data` in it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What Fabric's programs are told of it.
    #[must_use]
    pub fn for_fabric(&self) -> FabricNetwork {
        let orderers = self.file.nodes.iter().map(|node| node.address.clone()).collect();
        FabricNetwork { crypto: CryptoFolder::at(&self.file.crypto), orderers, folder: self.folder().to_owned() }
    }

    /// Asks it to stop, as Ctrl-C does, and gives what it said.
    ///
    /// # Errors
    /// It does not stop, or says that something was wrong.
    pub async fn stop(mut self) -> anyhow::Result<String> {
        let process = self.process.take().context("it runs")?;
        let log = self.folder.path().join("dev.log");
        let stopping = move || process.stop(Signal::SIGINT, Duration::from_secs(20));
        let status = tokio::task::spawn_blocking(stopping).await??;
        let said = crate::process::read_log(&log);
        ensure!(status.success(), "orderer-node dev: {status}\n{said}");
        Ok(said)
    }
}

impl Drop for DevNetwork {
    fn drop(&mut self) {
        // Killed, it could not end its nodes.
        if let Some(process) = self.process.take() {
            let said = process.log();
            let ended = process.stop(Signal::SIGTERM, Duration::from_secs(20));
            if std::thread::panicking() || ended.is_err() {
                eprintln!("--- the end of what orderer-node dev said ({ended:?}):\n{}", tail(&said, 20));
            }
        }
        if !std::thread::panicking() {
            return;
        }
        for node in &self.file.nodes {
            let log = fs::read_to_string(&node.log).unwrap_or_default();
            eprintln!("--- the end of what {} said:\n{}", node.name, tail(&log, 30));
        }
        eprintln!("--- everything is in {}", self.folder.path().display());
        self.folder.disable_cleanup(true);
    }
}

async fn wait_for_file(process: &mut Process, path: &Path) -> anyhow::Result<NetworkFile> {
    let since = Instant::now();
    while !path.exists() {
        if let Some(status) = process.ended()? {
            bail!("orderer-node dev has ended: {status}\n{}", process.log());
        }
        ensure!(since.elapsed() < PATIENCE, "no {}\n{}", path.display(), process.log());
        tokio::time::sleep(POLL).await;
    }
    NetworkFile::read(path)
}

/// The nodes as somebody outside sees them.
///
/// # Errors
/// A file that is named cannot be read.
pub(crate) fn site(file: &NetworkFile) -> anyhow::Result<Site> {
    let door = |(node, id)| {
        let orderer_node::dev::NodeEntry { address, status_socket, broadcast_socket, tls_ca, .. } = Clone::clone(node);
        (id, Door { address, authority: tls_ca, broadcast_socket, status_socket })
    };
    of_doors(file, file.nodes.iter().zip(1..).map(door).collect())
}

/// The frontends of their own as somebody outside sees them, by their numbers.
///
/// # Errors
/// A file that is named cannot be read.
pub(crate) fn frontends(file: &NetworkFile) -> anyhow::Result<Site> {
    let door = |(frontend, id)| {
        let orderer_node::dev::FrontendEntry { address, status_socket, tls_ca, .. } = Clone::clone(frontend);
        // They have no socket for clients.
        (id, Door { address, authority: tls_ca, broadcast_socket: PathBuf::new(), status_socket })
    };
    of_doors(file, file.frontends.iter().zip(1..).map(door).collect())
}

fn of_doors(file: &NetworkFile, doors: BTreeMap<NodeId, Door>) -> anyhow::Result<Site> {
    let user = EnvelopeFactory::load(ChannelId::new(&file.channel)?, &file.client.msp_dir, &file.client.msp_id)?;
    let genesis = fs::read(&file.genesis).with_context(|| format!("cannot read {}", file.genesis.display()))?;
    Ok(Site { genesis: genesis.into(), user, doors })
}
