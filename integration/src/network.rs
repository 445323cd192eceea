//! Four nodes as four processes, each of which can be killed, stopped and started again.
//!
//! Everything lies in a temporary folder. Networks run one at a time: tests share two processors. When a test fails the
//! ends of all logs are printed and the folder is kept.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use frontend_shim::status::StatusReport;
use orderer_node::dev::load::{Endpoint, EnvelopeFactory};
use orderer_node::status::OrderingReport;
use tempfile::TempDir;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::binary::orderer_node;
use crate::material::{self, Cutting, ORDERER_MSP_ID, ORDERERS};
use crate::ports::free_ports;
use crate::process::{Process, read_log, tail};
use crate::verifier::Verifier;

/// A node, by its id in the channel: 1 to 4. Node 1 leads.
pub type NodeId = u32;

/// A network on loopback with one channel.
#[derive(Debug)]
pub struct Network {
    folder: TempDir,
    port: u16,
    genesis: Bytes,
    user: EnvelopeFactory,
    nodes: BTreeMap<NodeId, Process>,
    _alone: OwnedMutexGuard<()>,
}

impl Network {
    /// Writes everything that four nodes need and starts none of them. Waits until no other network runs.
    ///
    /// # Errors
    /// The program cannot be built, or files cannot be written.
    pub async fn prepare(cutting: &Cutting) -> anyhow::Result<Self> {
        let alone = alone().await;
        // Others may be waiting for the same; cargo lets one build at a time.
        tokio::task::spawn_blocking(orderer_node).await??;
        let folder = tempfile::Builder::new().prefix("ordering-").tempdir()?;
        let port = free_ports(ORDERERS)?;
        let genesis = material::genesis(CHANNEL, port, cutting)?;
        fs::write(folder.path().join("genesis.block"), &genesis)?;
        let network =
            Self { folder, port, genesis, user: material::user(CHANNEL)?, nodes: BTreeMap::new(), _alone: alone };
        for id in network.ids() {
            network.write_config(id)?;
        }
        Ok(network)
    }

    /// A network whose nodes all run and take envelopes.
    ///
    /// # Errors
    /// It does not come to that in time.
    pub async fn start(cutting: &Cutting) -> anyhow::Result<Self> {
        let mut network = Self::prepare(cutting).await?;
        network.start_all()?;
        network.wait_until_open().await?;
        Ok(network)
    }

    /// All ids.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        1..=NodeId::from(ORDERERS)
    }

    /// The ids of the nodes that were started and not killed.
    #[must_use]
    pub fn running(&self) -> Vec<NodeId> {
        self.nodes.keys().copied().collect()
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

    /// Where a node listens, `host:port`.
    #[must_use]
    pub fn address(&self, id: NodeId) -> String {
        format!("127.0.0.1:{}", u32::from(self.port) + id - 1)
    }

    /// How clients reach a node.
    ///
    /// # Errors
    /// The authority's certificate cannot be read.
    pub fn endpoint(&self, id: NodeId) -> anyhow::Result<Endpoint> {
        Ok(Endpoint::tls(&self.address(id), &material::tls_authority(), None)?)
    }

    /// How programs on the same machine reach a node.
    #[must_use]
    pub fn unix_endpoint(&self, id: NodeId) -> Endpoint {
        Endpoint::unix(&self.file(id, "broadcast.sock"))
    }

    /// The Unix socket of a node's status.
    #[must_use]
    pub fn status_socket(&self, id: NodeId) -> PathBuf {
        self.file(id, "status.sock")
    }

    /// Somebody whom the channel knows.
    #[must_use]
    pub const fn user(&self) -> &EnvelopeFactory {
        &self.user
    }

    /// The genesis block's bytes.
    #[must_use]
    pub const fn genesis(&self) -> &Bytes {
        &self.genesis
    }

    /// A verifier that expects block 1.
    ///
    /// # Errors
    /// The genesis block is none.
    pub fn verifier(&self) -> anyhow::Result<Verifier> {
        Ok(Verifier::from_genesis(&self.genesis)?)
    }

    /// Everything a node has printed since the network was prepared.
    #[must_use]
    pub fn log(&self, id: NodeId) -> String {
        read_log(&self.file(id, "node.log"))
    }

    /// What a node says about itself.
    ///
    /// # Errors
    /// It does not answer in time.
    pub async fn status(&self, id: NodeId) -> anyhow::Result<StatusReport> {
        let socket = self.status_socket(id);
        let answer = tokio::time::timeout(Duration::from_secs(5), frontend_shim::status::fetch(&socket)).await;
        Ok(answer.with_context(|| format!("node {id} does not answer on {}", socket.display()))??)
    }

    /// What a node says about its ordering group.
    ///
    /// # Errors
    /// It does not answer, or says nothing about it.
    pub async fn ordering(&self, id: NodeId) -> anyhow::Result<OrderingReport> {
        let report = self.status(id).await?;
        let groups: Vec<OrderingReport> = serde_json::from_value(section(&report, "ordering")?.clone())?;
        groups.into_iter().next().context("no ordering group")
    }

    /// How many blocks clients of a node can see.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn height(&self, id: NodeId) -> anyhow::Result<u64> {
        let report = self.status(id).await?;
        let channel = report.channels.iter().find(|channel| channel.id == CHANNEL);
        Ok(channel.context("the channel is not joined")?.certified_height)
    }

    /// Waits until every running node takes envelopes.
    ///
    /// # Errors
    /// A node ends, or it takes too long.
    pub async fn wait_until_open(&mut self) -> anyhow::Result<()> {
        let since = Instant::now();
        for id in self.running() {
            while !self.is_open(id).await {
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

    /// Waits until a node's clients see so many blocks.
    ///
    /// # Errors
    /// It takes too long.
    pub async fn wait_for_height(&self, id: NodeId, height: u64) -> anyhow::Result<()> {
        wait_until(&format!("node {id} reaches height {height}"), async || {
            Ok(self.height(id).await.is_ok_and(|found| found >= height))
        })
        .await
    }

    /// Waits until all nodes are equally high and stay so, and nothing waits to be ordered; says how high. What still
    /// waits after a long time without a new block is not waited for: see [`Network::pending`].
    ///
    /// # Errors
    /// The heights stay different, or do not come to rest.
    pub async fn wait_until_quiet(&self, ids: &[NodeId]) -> anyhow::Result<u64> {
        let since = Instant::now();
        let (mut last, mut unchanged_since) = (BTreeMap::new(), Instant::now());
        while since.elapsed() < PATIENCE {
            let mut heights = BTreeMap::new();
            for &id in ids {
                heights.insert(id, self.height(id).await.ok());
            }
            if heights != last {
                (last, unchanged_since) = (heights, Instant::now());
            }
            let first = last.values().next().copied().flatten().context("nobody answers")?;
            let is_equal = last.values().all(|height| *height == Some(first));
            let waited = if self.pending(ids).await == 0 { QUIET_AFTER } else { STUCK_AFTER };
            if is_equal && unchanged_since.elapsed() >= waited {
                return Ok(first);
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("the nodes do not come to rest at one height: {last:?}")
    }

    /// How many requests wait to be ordered, at all of these nodes together.
    pub async fn pending(&self, ids: &[NodeId]) -> usize {
        let mut pending = 0;
        for &id in ids {
            pending += self.ordering(id).await.map_or(0, |ordering| ordering.pending_requests);
        }
        pending
    }

    async fn is_open(&self, id: NodeId) -> bool {
        let Ok(report) = self.status(id).await else { return false };
        report.channels.iter().any(|channel| channel.id == CHANNEL && channel.state == "open")
    }

    fn file(&self, id: NodeId, name: &str) -> PathBuf {
        self.folder.path().join(format!("o{id}")).join(name)
    }

    fn write_config(&self, id: NodeId) -> anyhow::Result<()> {
        let keys = material::orderer(id);
        let text = |path: &Path| toml::Value::String(path.display().to_string());
        let table = |entries: [(&str, toml::Value); 2]| -> toml::Value {
            toml::Value::Table(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
        };
        let config = toml::Table::from_iter([
            ("listen_address".to_owned(), self.address(id).into()),
            ("data_dir".to_owned(), "data".into()),
            ("channels".to_owned(), vec!["../genesis.block"].into()),
            ("log".to_owned(), "info".into()),
            ("msp".to_owned(), table([("dir", text(&keys.join("msp"))), ("id", ORDERER_MSP_ID.into())])),
            (
                "tls".to_owned(),
                table([("certificate", text(&keys.join("tls/server.crt"))), ("key", text(&keys.join("tls/server.key")))]),
            ),
            ("sockets".to_owned(), table([("broadcast", "broadcast.sock".into()), ("status", "status.sock".into())])),
        ]);
        fs::create_dir_all(self.folder.path().join(format!("o{id}")))?;
        fs::write(self.file(id, "node.toml"), toml::to_string(&config)?)?;
        Ok(())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if !std::thread::panicking() {
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

/// A section of a report.
///
/// # Errors
/// There is none of that name.
pub fn section<'a>(report: &'a StatusReport, name: &str) -> anyhow::Result<&'a serde_json::Value> {
    report.sections.get(name).with_context(|| format!("the report has no section {name}"))
}

/// Asks again and again until the answer is yes.
///
/// # Errors
/// It stays no for too long, or asking fails.
pub async fn wait_until(what: &str, mut is_so: impl AsyncFnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let since = Instant::now();
    while !is_so().await? {
        if since.elapsed() > PATIENCE {
            bail!("after {} s it is not so that {what}", PATIENCE.as_secs());
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// The channel of every test network.
pub const CHANNEL: &str = "testchannel";

/// How long a test waits for what should take a second or two.
pub const PATIENCE: Duration = Duration::from_secs(60);

const POLL: Duration = Duration::from_millis(50);
/// Longer than an open cut waits to be cut by time.
const QUIET_AFTER: Duration = Duration::from_millis(700);
/// Longer than anything that a node does again and again when it waits for something.
const STUCK_AFTER: Duration = Duration::from_secs(8);
const LOG_LINES: usize = 30;
