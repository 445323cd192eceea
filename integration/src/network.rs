//! Four nodes as four processes, each of which can be killed, stopped and started again.
//!
//! Everything lies in a temporary folder. Networks run one at a time: tests share two processors. When a test fails the
//! ends of all logs are printed and the folder is kept. Node 1 leads at first.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use frontend_shim::group_settings::WrittenSettings;
use tempfile::TempDir;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::binary::orderer_node;
use crate::material::{self, Cutting, ORDERER_MSP_ID, ORDERERS};
use crate::ports::free_ports;
use crate::process::{Process, read_log, tail};
use crate::site::{Door, NodeId, PATIENCE, POLL, Site};

/// A network on loopback with one channel. What its clients see of it is its [`Site`].
#[derive(Debug)]
pub struct Network {
    site: Site,
    folder: TempDir,
    nodes: BTreeMap<NodeId, Process>,
    has_failed: bool,
    _alone: OwnedMutexGuard<()>,
}

impl Deref for Network {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl Network {
    /// Writes everything that four nodes need and starts none of them. Waits until no other network runs.
    ///
    /// # Errors
    /// The program cannot be built, or files cannot be written.
    pub async fn prepare(cutting: &Cutting) -> anyhow::Result<Self> {
        Self::prepare_with(cutting, &WrittenSettings::default()).await
    }

    async fn prepare_with(cutting: &Cutting, settings: &WrittenSettings) -> anyhow::Result<Self> {
        let alone = alone().await;
        // It may take as long as a build.
        tokio::task::spawn_blocking(orderer_node).await??;
        let folder = temporary_folder()?;
        let port = free_ports(ORDERERS)?;
        let genesis = material::genesis(CHANNEL, port, cutting)?;
        fs::write(folder.path().join("genesis.block"), &genesis)?;
        let mut doors = BTreeMap::new();
        for at in 0..ORDERERS {
            let id = NodeId::from(at) + 1;
            let of_node = folder.path().join(format!("o{id}"));
            let door = Door {
                address: format!("127.0.0.1:{}", port + at),
                authority: material::tls_authority(),
                broadcast_socket: of_node.join("broadcast.sock"),
                status_socket: of_node.join("status.sock"),
            };
            write_config(&of_node, id, &door, settings)?;
            doors.insert(id, door);
        }
        let site = Site { genesis, user: material::user(CHANNEL)?, doors };
        Ok(Self { site, folder, nodes: BTreeMap::new(), has_failed: false, _alone: alone })
    }

    /// A network whose nodes all run and take envelopes.
    ///
    /// # Errors
    /// It does not come to that in time.
    pub async fn start(cutting: &Cutting) -> anyhow::Result<Self> {
        Self::start_with(cutting, &WrittenSettings::default()).await
    }

    /// The same with these settings of the group.
    ///
    /// # Errors
    /// As [`Network::start`].
    pub async fn start_with(cutting: &Cutting, settings: &WrittenSettings) -> anyhow::Result<Self> {
        let mut network = Self::prepare_with(cutting, settings).await?;
        network.start_all()?;
        network.wait_until_open().await?;
        Ok(network)
    }

    /// Starts a node, for the first time or again.
    ///
    /// # Errors
    /// It runs, or cannot be started.
    pub fn start_node(&mut self, id: NodeId) -> anyhow::Result<()> {
        if self.nodes.contains_key(&id) {
            bail!("node {id} runs");
        }
        let mut command = Command::new(orderer_node()?);
        command.arg("node").arg("--config").arg(self.file(id, "node.toml"));
        let process = Process::start(&format!("node {id}"), &mut command, &self.file(id, "node.log"))?;
        self.nodes.insert(id, process);
        Ok(())
    }

    /// Starts every node that does not run.
    ///
    /// # Errors
    /// One cannot be started.
    pub fn start_all(&mut self) -> anyhow::Result<()> {
        for id in self.ids() {
            if !self.nodes.contains_key(&id) {
                self.start_node(id)?;
            }
        }
        Ok(())
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// The node had ended by itself.
    pub fn kill(&mut self, id: NodeId) -> anyhow::Result<()> {
        self.take(id)?.kill()
    }

    /// SIGKILL for all of them, one right after the other.
    ///
    /// # Errors
    /// One had ended by itself.
    pub fn kill_all(&mut self) -> anyhow::Result<()> {
        std::mem::take(&mut self.nodes).into_values().try_for_each(Process::kill)
    }

    /// Removes everything that a node has stored. Its configuration, keys and genesis block stay, as they do when an
    /// operator replaces a disk.
    ///
    /// # Errors
    /// It runs, or its data cannot be removed.
    pub fn wipe(&self, id: NodeId) -> anyhow::Result<()> {
        if self.nodes.contains_key(&id) {
            bail!("node {id} runs");
        }
        let data = self.file(id, DATA);
        fs::remove_dir_all(&data).with_context(|| format!("cannot remove {}", data.display()))
    }

    /// The nodes that run.
    #[must_use]
    pub fn running(&self) -> Vec<NodeId> {
        self.nodes.keys().copied().collect()
    }

    /// Passes on what came of something done with this network. After an error the network is kept for a closer look, as
    /// it is after a panic.
    ///
    /// # Errors
    /// The error that is passed on.
    pub fn judged<T>(&mut self, outcome: anyhow::Result<T>) -> anyhow::Result<T> {
        self.has_failed |= outcome.is_err();
        outcome
    }

    /// The process of a node, out of the hands of the network.
    ///
    /// # Errors
    /// It does not run.
    pub fn take(&mut self, id: NodeId) -> anyhow::Result<Process> {
        self.nodes.remove(&id).with_context(|| format!("node {id} does not run"))
    }

    /// The process of a node.
    ///
    /// # Errors
    /// It does not run.
    pub fn node(&self, id: NodeId) -> anyhow::Result<&Process> {
        self.nodes.get(&id).with_context(|| format!("node {id} does not run"))
    }

    /// Everything a node has printed since the network was prepared.
    #[must_use]
    pub fn log(&self, id: NodeId) -> String {
        read_log(&self.file(id, "node.log"))
    }

    /// Waits until every running node takes envelopes.
    ///
    /// # Errors
    /// A node ends, or it takes too long.
    pub async fn wait_until_open(&mut self) -> anyhow::Result<()> {
        let since = Instant::now();
        for id in self.running() {
            while !self.site.is_open(id).await {
                if let Some(status) = self.nodes.get_mut(&id).map(Process::ended).transpose()?.flatten() {
                    bail!("node {id} has ended: {status}\n{}", tail(&self.log(id), 20));
                }
                if since.elapsed() > PATIENCE {
                    bail!("node {id} does not open the channel\n{}", tail(&self.log(id), 20));
                }
                tokio::time::sleep(POLL).await;
            }
        }
        Ok(())
    }

    fn file(&self, id: NodeId, name: &str) -> PathBuf {
        self.folder.path().join(format!("o{id}")).join(name)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if !std::thread::panicking() && !self.has_failed {
            return;
        }
        for id in self.ids() {
            eprintln!("--- the end of what node {id} said:\n{}", tail(&self.log(id), LOG_LINES));
        }
        eprintln!("--- everything is in {}", self.folder.path().display());
        self.folder.disable_cleanup(true);
    }
}

/// Waits until nothing else in this test program runs nodes, and keeps it so.
pub async fn alone() -> OwnedMutexGuard<()> {
    static ALONE: std::sync::LazyLock<Arc<Mutex<()>>> = std::sync::LazyLock::new(Arc::default);
    Arc::clone(&ALONE).lock_owned().await
}

/// Where a network lies: its path is short, because sockets lie in it.
///
/// # Errors
/// It cannot be made.
pub fn temporary_folder() -> anyhow::Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("ordering-").tempdir()?)
}

fn write_config(folder: &Path, id: NodeId, door: &Door, settings: &WrittenSettings) -> anyhow::Result<()> {
    let keys = material::orderer(id);
    let config = toml::Table::from_iter([
        ("listen_address".to_owned(), door.address.clone().into()),
        ("data_dir".to_owned(), DATA.into()),
        ("channels".to_owned(), vec!["../genesis.block"].into()),
        ("log".to_owned(), "info".into()),
        ("msp".to_owned(), table([("dir", path(&keys.join("msp"))), ("id", ORDERER_MSP_ID.into())])),
        (
            "tls".to_owned(),
            table([("certificate", path(&keys.join("tls/server.crt"))), ("key", path(&keys.join("tls/server.key")))]),
        ),
        (
            "sockets".to_owned(),
            table([("broadcast", path(&door.broadcast_socket)), ("status", path(&door.status_socket))]),
        ),
        ("ordering".to_owned(), toml::Value::try_from(settings)?),
    ]);
    fs::create_dir_all(folder)?;
    fs::write(folder.join("node.toml"), toml::to_string(&config)?)?;
    Ok(())
}

fn table(entries: [(&str, toml::Value); 2]) -> toml::Value {
    toml::Value::Table(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn path(path: &Path) -> toml::Value {
    toml::Value::String(path.display().to_string())
}

/// The channel of every such network.
pub const CHANNEL: &str = "testchannel";

/// The folder in which a node stores everything.
const DATA: &str = "data";

const LOG_LINES: usize = 30;
