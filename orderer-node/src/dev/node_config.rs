//! The configuration file of one node, written as [`crate::config`] reads it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use frontend_shim::group_settings::GroupSettings;
use serde::Serialize;

use super::data_folder::{Material, NodeFiles, write_whole};
use super::network::NodePlan;
use super::plan::VerificationOption;
use super::wan::Placement;
use crate::config::Config;

/// The keys of the file.
#[derive(Serialize)]
struct NodeToml<'a> {
    listen_address: SocketAddr,
    data_dir: &'a Path,
    verification: VerificationOption,
    channels: Vec<&'a Path>,
    log: &'a str,
    msp: MspToml<'a>,
    tls: TlsToml,
    ordering: OrderingToml<'a>,
    sockets: SocketsToml<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    node: Vec<NodeAddressToml<'a>>,
}

#[derive(Serialize)]
struct OrderingToml<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    decision_time_ms: Option<u64>,
    #[serde(flatten)]
    settings: &'a GroupSettings,
}

#[derive(Serialize)]
struct MspToml<'a> {
    dir: PathBuf,
    id: &'a str,
}

#[derive(Serialize)]
struct TlsToml {
    certificate: PathBuf,
    key: PathBuf,
}

#[derive(Serialize)]
struct SocketsToml<'a> {
    broadcast: &'a Path,
    status: &'a Path,
}

/// Where a node is dialled, if not where the channel says.
#[derive(Serialize)]
pub(super) struct NodeAddressToml<'a> {
    name: &'a str,
    address: &'a str,
}

impl<'a> NodeAddressToml<'a> {
    /// All of them, as one process sees them.
    pub(super) fn of(placement: &'a Placement) -> Vec<Self> {
        placement.addresses.iter().map(|(name, address)| Self { name, address }).collect()
    }
}

/// Writes the file, and reads it back as the node will.
///
/// # Errors
/// It cannot be written, or a path in it is not text.
pub(super) fn write(
    node: &NodePlan,
    files: &NodeFiles,
    material: &Material,
    settings: &GroupSettings,
    verification: VerificationOption,
    log: &str,
) -> anyhow::Result<()> {
    let tls = node.folder.join("tls");
    let content = NodeToml {
        listen_address: node.listen,
        data_dir: &files.data,
        verification,
        channels: material.all_genesis().collect(),
        log,
        msp: MspToml { dir: node.folder.join("msp"), id: &node.msp_id },
        tls: TlsToml { certificate: tls.join("server.crt"), key: tls.join("server.key") },
        ordering: OrderingToml { decision_time_ms: node.placement.decision_time_ms, settings },
        sockets: SocketsToml { broadcast: &files.broadcast_socket, status: &files.status_socket },
        node: NodeAddressToml::of(&node.placement),
    };
    let text = toml::to_string(&content).with_context(|| format!("cannot write {}", files.config.display()))?;
    write_whole(&files.config, format!("{NOTICE}{text}").as_bytes())?;
    Config::load(&files.config)?;
    Ok(())
}

const NOTICE: &str = "# Written by `orderer-node dev` at every start: changes here are lost.\n\n";
