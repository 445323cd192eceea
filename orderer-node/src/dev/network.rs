//! What a network consists of, read from a genesis block and a crypto folder: the nodes with their addresses and
//! folders, and somebody who may act as a client.
//!
//! It makes no difference who made the two, this program or Fabric's tools. Everything that does not fit together is
//! said here, before a port is opened or a process started.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use fabric_channel::{ChannelConfig, Consenter};
use fabric_proto::common::Block;
use prost::Message as _;

use super::orderer_folders::{OrdererFolders, first_certificate, folders_in};
use super::wan::Placement;
use crate::keys::LocalMsp;

/// A channel and those who order it, all on this machine.
pub(super) struct Network {
    pub(super) config: ChannelConfig,
    /// By consenter id: the order of the replicas.
    pub(super) nodes: Vec<NodePlan>,
    pub(super) client: ClientPlan,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NodePlan {
    /// `o` and its consenter id.
    pub(super) name: String,
    /// As the channel names it, `host:port`.
    pub(super) address: String,
    /// The loopback address that this is.
    pub(super) listen: SocketAddr,
    pub(super) msp_id: String,
    /// With `msp` and `tls` in it.
    pub(super) folder: PathBuf,
    /// Where it is to be, for as long as the network runs.
    pub(super) placement: Placement,
}

impl NodePlan {
    /// The authority of its server certificate.
    pub(super) fn tls_ca(&self) -> PathBuf {
        self.folder.join("tls/ca.crt")
    }
}

/// Somebody whom the channel knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClientPlan {
    pub(super) msp_dir: PathBuf,
    pub(super) msp_id: String,
}

impl Network {
    /// Reads both and puts them together.
    ///
    /// # Errors
    /// A file is missing, is not what it should be, or does not fit the other; the text names it.
    pub(super) fn read(genesis: &Path, crypto: &Path) -> anyhow::Result<Self> {
        let config = read_genesis(genesis)?;
        let folders = OrdererFolders::find(crypto)?;
        let nodes = config.consenters().iter().map(|consenter| node(consenter, &folders));
        let nodes = nodes
            .collect::<Result<Vec<_>, _>>()
            .with_context(|| format!("{} does not fit {}", crypto.display(), genesis.display()))?;
        reject_shared_ports(&nodes)?;
        let client = find_client(crypto, &config)?;
        Ok(Self { config, nodes, client })
    }
}

/// Reads the file of a genesis block.
///
/// # Errors
/// It cannot be read, or is no genesis block of a channel that can be ordered here.
pub(super) fn read_genesis(path: &Path) -> anyhow::Result<ChannelConfig> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let name = || path.display().to_string();
    let block = Block::decode(Bytes::from(bytes)).map_err(|_| anyhow!("not a serialized block")).with_context(name)?;
    let number = block.header.as_ref().map_or(0, |header| header.number);
    if number != 0 {
        bail!("{}: block {number} of a channel, not its genesis block", path.display());
    }
    ChannelConfig::from_block(&block).with_context(name)
}

fn node(consenter: &Consenter, folders: &OrdererFolders) -> anyhow::Result<NodePlan> {
    let msp_id = consenter.msp_id.clone().with_context(|| {
        format!(
            "consenter {}: no orderer organisation of the channel has issued its server TLS certificate",
            consenter.id
        )
    })?;
    Ok(NodePlan {
        name: format!("o{}", consenter.id),
        address: consenter.address(),
        listen: loopback(consenter)?,
        folder: folders.folder_of(consenter, &msp_id)?.to_owned(),
        msp_id,
        placement: Placement::default(),
    })
}

/// The address of a consenter that must be on this machine.
fn loopback(consenter: &Consenter) -> anyhow::Result<SocketAddr> {
    let named = || format!("consenter {} is at {}", consenter.id, consenter.address());
    let addresses = (consenter.host.as_str(), consenter.port).to_socket_addrs();
    let mut addresses = addresses.with_context(|| format!("{}, a host that is not known here", named()))?;
    addresses
        .find(|address| address.ip().is_loopback())
        .with_context(|| format!("{}, which is not a loopback address: all nodes run on this machine", named()))
}

fn reject_shared_ports(nodes: &[NodePlan]) -> anyhow::Result<()> {
    let mut seen: BTreeMap<SocketAddr, &str> = BTreeMap::new();
    for node in nodes {
        if let Some(other) = seen.insert(node.listen, &node.name) {
            bail!("{other} and {} both are at {} in the channel configuration", node.name, node.address);
        }
    }
    Ok(())
}

/// A user that the channel accepts: of an organisation with peers if there is one, and not an administrator if there is
/// another.
fn find_client(crypto: &Path, config: &ChannelConfig) -> anyhow::Result<ClientPlan> {
    let mut users = Vec::new();
    for kind in ["peerOrganizations", "ordererOrganizations"] {
        let mut of_kind = Vec::new();
        for organisation in folders_in(&crypto.join(kind)).unwrap_or_default() {
            of_kind.extend(folders_in(&organisation.join("users")).unwrap_or_default());
        }
        of_kind.sort_by_key(|user| !user.file_name().is_some_and(|name| name.to_string_lossy().starts_with("User")));
        users.extend(of_kind);
    }
    let mut found = users.into_iter().filter_map(|user| client(&user.join("msp"), config));
    found.next().with_context(|| {
        format!(
            "{}: no folder */*/users/* holds a certificate and key of an organisation of the channel",
            crypto.display()
        )
    })
}

fn client(msp_dir: &Path, config: &ChannelConfig) -> Option<ClientPlan> {
    let certificate = first_certificate(&msp_dir.join("signcerts")).ok()?;
    let pem = certificate.to_pem();
    let is_member = |msp_id: &str| {
        let identity = config.msps().identity(msp_id, pem.as_bytes());
        identity.is_ok_and(|identity| identity.validity().is_ok())
    };
    let msp = config.msps().iter().find(|msp| is_member(msp.id()))?;
    LocalMsp::load(msp_dir, msp.id()).ok()?;
    Some(ClientPlan { msp_dir: msp_dir.to_owned(), msp_id: msp.id().to_owned() })
}
