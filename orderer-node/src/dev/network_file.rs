//! `network.json`: what runs and where, for programs that use a network without having started it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use frontend_shim::group_settings::GroupSettings;
use serde::{Deserialize, Serialize};

use super::data_folder::write_whole;

/// The content of `network.json`. All paths are absolute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkFile {
    /// The channel.
    pub channel: String,
    /// Its genesis block.
    pub genesis: PathBuf,
    /// All channels, that one first.
    #[serde(default)]
    pub channels: Vec<ChannelEntry>,
    /// The folder of keys and certificates.
    pub crypto: PathBuf,
    /// The process that started the nodes.
    pub pid: u32,
    /// What the nodes share; plain in the file of a version that knew no such settings.
    #[serde(default = "GroupSettings::plain")]
    pub ordering: GroupSettings,
    /// By consenter id.
    pub nodes: Vec<NodeEntry>,
    /// Frontends that are processes of their own, in front of all nodes.
    #[serde(default)]
    pub frontends: Vec<FrontendEntry>,
    /// Somebody who may act as a client.
    pub client: ClientEntry,
}

/// One channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelEntry {
    /// Its name.
    pub name: String,
    /// Its genesis block.
    pub genesis: PathBuf,
}

/// A frontend that is a process of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrontendEntry {
    /// `f` and its number, from 1.
    pub name: String,
    /// Where it serves Broadcast and Deliver over TLS, `host:port`.
    pub address: String,
    /// Its process.
    pub pid: u32,
    /// HTTP with `/status`.
    pub status_socket: PathBuf,
    /// The authority of its server certificate, PEM.
    pub tls_ca: PathBuf,
    /// Its configuration file.
    pub config: PathBuf,
    /// What it says.
    pub log: PathBuf,
    /// Where it is, if links are delayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEntry {
    /// `o` and its consenter id.
    pub name: String,
    /// Where it serves Broadcast and Deliver over TLS, `host:port`.
    pub address: String,
    /// Its process.
    pub pid: u32,
    /// HTTP with `/status`.
    pub status_socket: PathBuf,
    /// Broadcast and Deliver in the clear.
    pub broadcast_socket: PathBuf,
    /// The authority of its server certificate, PEM.
    pub tls_ca: PathBuf,
    /// Its MSP folder.
    pub msp_dir: PathBuf,
    /// The MSP ID of its organisation.
    pub msp_id: String,
    /// Its configuration file.
    pub config: PathBuf,
    /// What it says.
    pub log: PathBuf,
    /// Its journal and ledgers.
    pub data_dir: PathBuf,
    /// Where it is, if links are delayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
}

/// A client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientEntry {
    /// Its MSP folder.
    pub msp_dir: PathBuf,
    /// The MSP ID of its organisation.
    pub msp_id: String,
}

impl NetworkFile {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read, or is something else.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} does not describe a network", path.display()))
    }

    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self).context("the network cannot be described")?;
        write_whole(path, format!("{text}\n").as_bytes())
    }
}
