//! A frontend as a process of its own, in front of the nodes of a network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use frontend_shim::counters::{FrontendCounters, NodeCounters};
use frontend_shim::status::StatusReport;
use orderer_node::client::Endpoint;
use tempfile::TempDir;

use crate::binary::frontend_shim;
use crate::material;
use crate::network::temporary_folder;
use crate::ports::free_ports;
use crate::process::Process;
use crate::site::Site;

/// The frontend; it is killed when this is dropped.
#[derive(Debug)]
pub struct StandaloneFrontend {
    process: Option<Process>,
    folder: TempDir,
    port: u16,
}

impl StandaloneFrontend {
    /// Starts one with an empty folder. It listens in the clear, with TLS and on a Unix socket.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(site: &Site) -> anyhow::Result<Self> {
        let (folder, port) = (temporary_folder()?, free_ports(2)?);
        fs::write(folder.path().join("genesis.block"), site.genesis())?;
        fs::write(folder.path().join("frontend.toml"), configuration(&material::orderer(1), port))?;
        let mut frontend = Self { process: None, folder, port };
        frontend.restart()?;
        Ok(frontend)
    }

    /// SIGKILL if it runs, and a new start in the same folder.
    ///
    /// # Errors
    /// It had ended by itself, or cannot be started.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        if let Some(process) = self.process.take() {
            process.kill()?;
        }
        let mut command = Command::new(frontend_shim()?);
        command.arg("--config").arg(self.file("frontend.toml"));
        self.process = Some(Process::start("frontend-shim", &mut command, &self.file("frontend.log"))?);
        Ok(())
    }

    /// The same service in the clear, with TLS and on a Unix socket.
    ///
    /// # Errors
    /// The authority's certificate cannot be read.
    pub fn endpoints(&self) -> anyhow::Result<[Endpoint; 3]> {
        let address = |port: u16| format!("127.0.0.1:{port}");
        Ok([
            Endpoint::tcp(&address(self.port)),
            Endpoint::tls(&address(self.port + 1), &material::tls_authority(), None)?,
            Endpoint::unix(&self.file("frontend.sock")),
        ])
    }

    /// What it says about itself.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn status(&self) -> anyhow::Result<StatusReport> {
        Ok(frontend_shim::status::fetch(&self.file("status.sock")).await?)
    }

    /// Does it take envelopes, under a configuration of at least this sequence?
    pub async fn is_open(&self, config_sequence: u64) -> bool {
        let Ok(report) = self.status().await else { return false };
        let mut channels = report.channels.iter();
        channels.any(|channel| channel.state == "open" && channel.config_sequence >= config_sequence)
    }

    /// How many blocks its clients see; none while it does not answer.
    pub async fn height(&self) -> u64 {
        let Ok(report) = self.status().await else { return 0 };
        report.channels.first().map_or(0, |channel| channel.certified_height)
    }

    /// What it has seen of one node, by its number as a replica.
    ///
    /// # Errors
    /// It does not answer, or says nothing of that node.
    pub async fn seen_of(&self, replica: u16) -> anyhow::Result<NodeCounters> {
        let report = self.status().await?;
        let seen = report.sections.values().find_map(|section| {
            serde_json::from_value::<Vec<FrontendCounters>>(section.clone()).ok()?.into_iter().next()
        });
        let nodes = seen.context("no counters of a frontend")?.nodes;
        nodes.into_iter().find(|node| node.replica == replica).context("no counters of that node")
    }

    /// Everything it has printed.
    #[must_use]
    pub fn log(&self) -> String {
        crate::process::read_log(&self.file("frontend.log"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Its identities are those of one of the orderers: whose does not matter.
fn configuration(orderer: &Path, port: u16) -> String {
    let (tls, msp) = (orderer.join("tls"), orderer.join("msp"));
    let (tls, msp, msp_id) = (tls.display(), msp.display(), material::ORDERER_MSP_ID);
    let with_tls = port + 1;
    format!(
        "data_dir = \"data\"
status_socket = \"status.sock\"
[identity]
certificate = \"{tls}/server.crt\"
private_key = \"{tls}/server.key\"
[msp]
dir = \"{msp}\"
id = \"{msp_id}\"
[[listen]]
tcp = \"127.0.0.1:{port}\"
[[listen]]
tcp = \"127.0.0.1:{with_tls}\"
[listen.tls]
certificate = \"{tls}/server.crt\"
private_key = \"{tls}/server.key\"
[[listen]]
unix = \"frontend.sock\"
[[channel]]
genesis = \"genesis.block\"
"
    )
}
