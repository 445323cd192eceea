//! Frontends as processes of their own, in front of all nodes: their addresses and configuration files.
//!
//! Each uses the certificates of one of the nodes. Nodes let in who has a certificate of an orderer organisation, and tell
//! frontends apart by keys that they make themselves; whose certificate it is makes no difference.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use frontend_shim::config::Settings;
use frontend_shim::group_settings::GroupSettings;
use serde::Serialize;

use super::data_folder::{FrontendFiles, Material, write_whole};
use super::network::NodePlan;
use super::node_config::NodeAddressToml;
use super::wan::Placement;

/// One frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FrontendPlan {
    /// `f` and its number, from 1.
    pub(super) name: String,
    pub(super) listen: SocketAddr,
    msp_id: String,
    /// The folder with `msp` and `tls` of the node whose certificates it uses.
    folder: PathBuf,
    /// Where it is to be, for as long as the network runs.
    pub(super) placement: Placement,
}

impl FrontendPlan {
    /// The authority of its server certificate.
    pub(super) fn tls_ca(&self) -> PathBuf {
        self.folder.join("tls/ca.crt")
    }
}

/// So many frontends, on the ports behind the last of the nodes.
///
/// # Errors
/// There are no ports left.
pub(super) fn plan(count: u16, nodes: &[NodePlan]) -> anyhow::Result<Vec<FrontendPlan>> {
    let last = nodes.iter().max_by_key(|node| node.listen.port()).context("a network without nodes")?;
    let frontend = |(number, node): (u16, &NodePlan)| {
        let port = last.listen.port().checked_add(number);
        let port = port.with_context(|| format!("--frontends {count}: not so many ports behind {}", last.address))?;
        Ok(FrontendPlan {
            name: format!("f{number}"),
            listen: SocketAddr::new(node.listen.ip(), port),
            msp_id: node.msp_id.clone(),
            folder: node.folder.clone(),
            placement: Placement::default(),
        })
    };
    (1..=count).zip(nodes.iter().cycle()).map(frontend).collect()
}

/// The keys of the file.
#[derive(Serialize)]
struct FrontendToml<'a> {
    data_dir: &'a Path,
    status_socket: &'a Path,
    identity: CertificateToml,
    msp: MspToml<'a>,
    ordering: &'a GroupSettings,
    listen: [ListenToml; 1],
    channel: Vec<ChannelToml<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    node: Vec<NodeAddressToml<'a>>,
}

#[derive(Clone, Serialize)]
struct CertificateToml {
    certificate: PathBuf,
    private_key: PathBuf,
}

#[derive(Serialize)]
struct MspToml<'a> {
    dir: PathBuf,
    id: &'a str,
}

#[derive(Serialize)]
struct ListenToml {
    tcp: SocketAddr,
    tls: CertificateToml,
}

#[derive(Serialize)]
struct ChannelToml<'a> {
    genesis: &'a Path,
}

/// Writes the configuration file, and reads it back as the frontend will.
///
/// # Errors
/// It cannot be written, or a path in it is not text.
pub(super) fn write(
    frontend: &FrontendPlan,
    files: &FrontendFiles,
    material: &Material,
    settings: &GroupSettings,
) -> anyhow::Result<()> {
    let tls = frontend.folder.join("tls");
    let identity = CertificateToml { certificate: tls.join("server.crt"), private_key: tls.join("server.key") };
    let content = FrontendToml {
        data_dir: &files.data,
        status_socket: &files.status_socket,
        identity: identity.clone(),
        msp: MspToml { dir: frontend.folder.join("msp"), id: &frontend.msp_id },
        ordering: settings,
        listen: [ListenToml { tcp: frontend.listen, tls: identity }],
        channel: material.all_genesis().map(|genesis| ChannelToml { genesis }).collect(),
        node: NodeAddressToml::of(&frontend.placement),
    };
    let text = toml::to_string(&content).with_context(|| format!("cannot write {}", files.config.display()))?;
    write_whole(&files.config, format!("{NOTICE}{text}").as_bytes())?;
    Settings::load(&files.config)?;
    Ok(())
}

const NOTICE: &str = "# Written by `orderer-node dev` at every start: changes here are lost.\n\n";
