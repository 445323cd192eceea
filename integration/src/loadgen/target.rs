//! Whom to load: where it is reached, as whom, and what is known about it beforehand.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use blockcutter::Verification;
use bytes::Bytes;
use fabric_proto::ChannelId;
use frontend_shim::group_settings::GroupSettings;
use frontend_shim::tls_identity::TlsIdentity;
use orderer_node::client::{Endpoint, EnvelopeFactory};
use orderer_node::config::Config;
use orderer_node::dev::{NetworkFile, NodeEntry};
use orderer_node::journal::Durability;
use serde::Deserialize;

use super::args::{LoadgenArgs, NamedProcess};
use super::plan::ArgsError;
use super::stages::StatusSocket;

/// An ordering service.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Each serves Broadcast and Deliver.
    pub(super) endpoints: Vec<Endpoint>,
    /// For each channel one that signs as a client of it; at least one.
    pub(super) factories: Vec<EnvelopeFactory>,
    /// Whose processor time is measured.
    pub(super) processes: Vec<NamedProcess>,
    /// Where those of them that have one say what they do.
    pub(super) status_sockets: Vec<StatusSocket>,
    pub(super) background: Background,
}

/// What cannot be seen through Fabric's interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Background {
    /// What orders.
    pub(super) orderer: String,
    /// How many nodes, if known.
    pub(super) nodes: Option<usize>,
    /// Who checks which signatures.
    pub(super) verification: String,
    /// What is on the disk when.
    pub(super) durability: String,
    /// How many consensus instances may be open at once.
    pub(super) instances_open_max: Option<u64>,
}

/// What a frontend inside this process needs.
pub(super) struct Inside {
    /// Genesis blocks of the channels, in their order.
    pub(super) genesis: Vec<Bytes>,
    /// A certificate that the nodes let in as a frontend's.
    pub(super) identity: TlsIdentity,
    /// What the nodes share.
    pub(super) settings: GroupSettings,
}

/// What a network.json may say besides.
#[derive(Debug, Default, Deserialize)]
struct More {
    /// All channels, the usual one among them.
    #[serde(default)]
    channels: Vec<ChannelEntry>,
    /// Processes in front of the nodes.
    #[serde(default)]
    frontends: Vec<FrontendEntry>,
}

#[derive(Clone, Debug, Deserialize)]
struct ChannelEntry {
    name: ChannelName,
    genesis: PathBuf,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
struct ChannelName(ChannelId);

impl TryFrom<String> for ChannelName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        ChannelId::new(&name).map(Self).map_err(|error| error.to_string())
    }
}

#[derive(Debug, Deserialize)]
struct FrontendEntry {
    name: String,
    address: String,
    pid: u32,
    tls_ca: PathBuf,
    status_socket: Option<PathBuf>,
}

impl Target {
    /// Finds out.
    ///
    /// # Errors
    /// Nobody is named, or a file is not what it should be.
    pub(super) fn resolve(args: &LoadgenArgs) -> anyhow::Result<Self> {
        let mut target = match &args.network {
            Some(file) => Self::from_network(file, &args.channels).with_context(|| file.display().to_string())?,
            None => Self::from_endpoints(args)?,
        };
        target.processes.extend(args.processes.iter().cloned());
        Ok(target)
    }

    /// The channels, in their order.
    pub(super) fn channels(&self) -> impl Iterator<Item = &ChannelId> {
        self.factories.iter().map(EnvelopeFactory::channel)
    }

    fn from_network(file: &Path, named: &[ChannelId]) -> anyhow::Result<Self> {
        let network = NetworkFile::read(file)?;
        ensure!(!network.nodes.is_empty(), "a network without nodes");
        let More { frontends, .. } = More::read(file)?;
        let (msp, msp_id) = (&network.client.msp_dir, &network.client.msp_id);
        let channels = channels(file, &network, named)?;
        let factory = |channel: &ChannelEntry| EnvelopeFactory::load(channel.name.0.clone(), msp, msp_id);
        let at_node = |node: &NodeEntry| Endpoint::tls(&node.address, &node.tls_ca, None);
        let at_frontend = |frontend: &FrontendEntry| Endpoint::tls(&frontend.address, &frontend.tls_ca, None);
        let (endpoints, whose) = if frontends.is_empty() {
            (network.nodes.iter().map(at_node).collect::<Result<_, _>>()?, "embedded frontends".to_owned())
        } else {
            let endpoints = frontends.iter().map(at_frontend).collect::<Result<_, _>>()?;
            (endpoints, format!("{} frontends of their own", frontends.len()))
        };
        let nodes = network.nodes.iter().map(|node| NamedProcess { name: node.name.clone(), pid: node.pid });
        let in_front = frontends.iter().map(|one| NamedProcess { name: one.name.clone(), pid: one.pid });
        let socket_of = |node: &NodeEntry| StatusSocket { name: node.name.clone(), path: node.status_socket.clone() };
        let in_front_of =
            |one: &FrontendEntry| one.status_socket.clone().map(|path| StatusSocket { name: one.name.clone(), path });
        let status_sockets = network.nodes.iter().map(socket_of).chain(frontends.iter().filter_map(in_front_of));
        Ok(Self {
            status_sockets: status_sockets.collect(),
            endpoints,
            factories: channels.iter().map(factory).collect::<Result<_, _>>()?,
            processes: nodes.chain(in_front).collect(),
            background: Background {
                orderer: format!("orderer-node dev, {} nodes with {whose}", network.nodes.len()),
                nodes: Some(network.nodes.len()),
                verification: verification(&network.nodes)?,
                durability: durability(&network.nodes)?,
                instances_open_max: Some(network.ordering.window()),
            },
        })
    }

    fn from_endpoints(args: &LoadgenArgs) -> anyhow::Result<Self> {
        let (Some(msp), Some(mspid), [_, ..]) = (&args.msp, &args.mspid, &args.channels[..]) else {
            return Err(ArgsError::NoTarget.into());
        };
        let tcp = |address: &String| match &args.tls_ca {
            Some(authorities) => Endpoint::tls(address, authorities, None),
            None => Ok(Endpoint::tcp(address)),
        };
        let mut endpoints = args.endpoints.iter().map(tcp).collect::<Result<Vec<_>, _>>()?;
        endpoints.extend(args.unix_sockets.iter().map(|path| Endpoint::unix(path)));
        if endpoints.is_empty() {
            return Err(ArgsError::NoTarget.into());
        }
        let names: Vec<&str> = endpoints.iter().map(Endpoint::name).collect();
        let background = Background {
            orderer: format!("at {}", names.join(", ")),
            nodes: None,
            verification: UNKNOWN.to_owned(),
            durability: UNKNOWN.to_owned(),
            instances_open_max: None,
        };
        let factory = |channel: &ChannelId| EnvelopeFactory::load(channel.clone(), msp, mspid);
        let factories = args.channels.iter().map(factory).collect::<Result<_, _>>()?;
        Ok(Self { endpoints, factories, processes: Vec::new(), status_sockets: Vec::new(), background })
    }
}

impl Inside {
    /// Reads it from a network.json; `named` channels, or all.
    ///
    /// # Errors
    /// A node verifies signatures, which envelopes of this kind do not have, or a file is not what it should be.
    pub(super) fn from_network(file: &Path, named: &[ChannelId]) -> anyhow::Result<Self> {
        let network = NetworkFile::read(file)?;
        let mut identity = None;
        for NodeEntry { name, config: path, .. } in &network.nodes {
            let config = Config::load(path)?;
            ensure!(
                config.verification == Verification::Frontends,
                "{name} verifies every signature and would take no unsigned envelope: --opaque needs `verification = \"frontends\"` in {}",
                path.display()
            );
            let files = config.mesh_identity.or_else(|| config.tls.map(|tls| tls.server));
            if let (None, Some(files)) = (&identity, files) {
                identity = Some(TlsIdentity::load(&files.certificate, &files.key)?);
            }
        }
        let read = |channel: ChannelEntry| {
            let block =
                fs::read(&channel.genesis).with_context(|| format!("cannot read {}", channel.genesis.display()))?;
            Ok(Bytes::from(block))
        };
        let genesis = channels(file, &network, named)?.into_iter().map(read).collect::<anyhow::Result<_>>()?;
        let identity = identity.context("no node has a certificate for TLS")?;
        Ok(Self { genesis, identity, settings: network.ordering })
    }
}

impl More {
    fn read(file: &Path) -> anyhow::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(file)?)?)
    }
}

/// The channels of a network that are named, or all of them.
fn channels(file: &Path, network: &NetworkFile, named: &[ChannelId]) -> anyhow::Result<Vec<ChannelEntry>> {
    let mut known = More::read(file)?.channels;
    if known.is_empty() {
        let name = ChannelName(ChannelId::new(&network.channel)?);
        known.push(ChannelEntry { name, genesis: network.genesis.clone() });
    }
    let find = |name: &ChannelId| {
        let found = known.iter().find(|channel| channel.name.0 == *name);
        found.cloned().with_context(|| format!("the network has no channel {name}"))
    };
    if named.is_empty() { Ok(known) } else { named.iter().map(find).collect() }
}

fn verification(nodes: &[NodeEntry]) -> anyhow::Result<String> {
    let mut found = BTreeSet::new();
    for node in nodes {
        found.insert(match Config::load(&node.config)?.verification {
            Verification::Full => "client signatures against Writers by the frontend and by every node",
            Verification::Frontends => "client signatures against Writers by the frontend alone",
        });
    }
    Ok(Vec::from_iter(found).join("; on some nodes: "))
}

fn durability(nodes: &[NodeEntry]) -> anyhow::Result<String> {
    let mut found = BTreeSet::new();
    for node in nodes {
        found.insert(match Config::load(&node.config)?.durability {
            Durability::Full => "journal synced to disk before a node's word leaves it",
            Durability::None => "journal not synced",
        });
    }
    Ok(Vec::from_iter(found).join("; on some nodes: "))
}

const UNKNOWN: &str = "not known to the load generator";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::material;

    fn resolve(line: &str) -> anyhow::Result<Target> {
        let args = std::iter::once("loadgen").chain(line.split_ascii_whitespace());
        Target::resolve(&LoadgenArgs::try_parse_from(args).unwrap())
    }

    fn client() -> String {
        let msp = material::crypto().join("peerOrganizations/org1.example.com/users/User1@org1.example.com/msp");
        format!("--msp {} --mspid Org1MSP --channel c --channel d", msp.display())
    }

    #[test]
    fn somebody_must_be_named() {
        for line in ["", &client()] {
            let error = resolve(line).unwrap_err();
            assert_eq!(error.downcast_ref(), Some(&ArgsError::NoTarget), "{error:#}");
        }
    }

    #[test]
    fn any_orderer_will_do() {
        let ca = material::tls_authority();
        let line =
            format!("--endpoint a:1 --endpoint b:2 --unix /s --tls-ca {} --pid o1=42 {}", ca.display(), client());
        let target = resolve(&line).unwrap();
        let names: Vec<&str> = target.endpoints.iter().map(Endpoint::name).collect();
        assert_eq!(names, ["a:1", "b:2", "/s"]);
        assert_eq!(target.processes, [NamedProcess { name: "o1".to_owned(), pid: 42 }]);
        assert_eq!(target.background.nodes, None);
        assert_eq!(target.channels().map(ChannelId::as_str).collect::<Vec<_>>(), ["c", "d"]);
    }

    #[test]
    fn files_that_are_not_there_are_named() {
        for (line, name) in [
            ("--network /nowhere/network.json".to_owned(), "/nowhere/network.json"),
            (format!("--endpoint a:1 --tls-ca /nowhere/ca.crt {}", client()), "/nowhere/ca.crt"),
            ("--endpoint a:1 --msp /nowhere/msp --mspid O --channel c".to_owned(), "/nowhere/msp"),
        ] {
            let error = format!("{:#}", resolve(&line).unwrap_err());
            assert!(error.contains(name), "{error}");
        }
    }

    fn network(more: &str) -> NetworkOnDisk {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("node.toml");
        let keys = material::orderer(1);
        let text = format!(
            "verification = \"full\"\nlisten_address = \"127.0.0.1:1\"\ndata_dir = \"d\"\nchannels = []\n\
             [msp]\ndir = \"{keys}/msp\"\nid = \"OrdererMSP\"\n\
             [tls]\ncertificate = \"{keys}/tls/server.crt\"\nkey = \"{keys}/tls/server.key\"\n",
            keys = keys.display()
        );
        fs::write(&config, text).unwrap();
        let node = NodeEntry {
            name: "o1".to_owned(),
            address: "127.0.0.1:1".to_owned(),
            pid: 41,
            status_socket: "s".into(),
            broadcast_socket: "b".into(),
            tls_ca: material::tls_authority(),
            msp_dir: keys.join("msp"),
            msp_id: material::ORDERER_MSP_ID.to_owned(),
            config,
            log: "l".into(),
            data_dir: "d".into(),
            site: None,
        };
        let msp = material::user_msp();
        let text = format!(
            "{{\"channel\": \"one\", \"genesis\": \"{genesis}\", \"crypto\": \"c\", \"pid\": 40, \"nodes\": [{node}], {more}
              \"client\": {{\"msp_dir\": \"{msp}\", \"msp_id\": \"Org1MSP\"}}}}",
            genesis = folder.path().join("one.block").display(),
            node = serde_json::to_string(&node).unwrap(),
            msp = msp.display()
        );
        fs::write(folder.path().join("one.block"), "block one").unwrap();
        fs::write(folder.path().join("network.json"), text).unwrap();
        NetworkOnDisk(folder)
    }

    struct NetworkOnDisk(tempfile::TempDir);

    impl NetworkOnDisk {
        fn file(&self) -> PathBuf {
            self.0.path().join("network.json")
        }

        fn resolve(&self, line: &str) -> anyhow::Result<Target> {
            resolve(&format!("--network {} {line}", self.file().display()))
        }
    }

    #[test]
    fn a_network_may_have_several_channels_and_frontends_of_their_own() {
        let plain = network("").resolve("").unwrap();
        assert_eq!(plain.channels().map(ChannelId::as_str).collect::<Vec<_>>(), ["one"]);
        assert_eq!(plain.endpoints.iter().map(Endpoint::name).collect::<Vec<_>>(), ["127.0.0.1:1"]);
        let ca = material::tls_authority();
        let more = network(&format!(
            "\"channels\": [{{\"name\": \"one\", \"genesis\": \"a\"}}, {{\"name\": \"two\", \"genesis\": \"b\"}}],
             \"frontends\": [{{\"name\": \"f1\", \"address\": \"127.0.0.1:2\", \"pid\": 42, \"status_socket\": \"s\", \"config\": \"c\",
               \"tls_ca\": \"{}\", \"log\": \"l\"}}],",
            ca.display()
        ));
        let all = more.resolve("").unwrap();
        assert_eq!(all.channels().map(ChannelId::as_str).collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(all.endpoints.iter().map(Endpoint::name).collect::<Vec<_>>(), ["127.0.0.1:2"]);
        assert_eq!(all.processes.iter().map(|process| process.pid).collect::<Vec<_>>(), [41, 42]);
        let one = more.resolve("--channel two").unwrap();
        assert_eq!(one.channels().map(ChannelId::as_str).collect::<Vec<_>>(), ["two"]);
        let error = format!("{:#}", more.resolve("--channel three").unwrap_err());
        assert!(error.ends_with("the network has no channel three"), "{error}");
    }

    #[test]
    fn nodes_that_verify_are_not_sent_unsigned_envelopes() {
        let network = network("");
        let error = Inside::from_network(&network.file(), &[]).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.starts_with("o1 verifies every signature") && error.ends_with("node.toml"), "{error}");
        let config = network.0.path().join("node.toml");
        let text = fs::read_to_string(&config).unwrap().replace("\"full\"", "\"frontends\"");
        fs::write(&config, text).unwrap();
        let inside = Inside::from_network(&network.file(), &[]).unwrap();
        assert_eq!(inside.genesis, [Bytes::from_static(b"block one")]);
    }
}
