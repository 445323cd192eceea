//! Whom to load: where it is reached, as whom, and what is known about it beforehand.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use blockcutter::Verification;
use fabric_proto::ChannelId;
use mod_smart::Limits;
use orderer_node::client::{Endpoint, EnvelopeFactory};
use orderer_node::config::Config;
use orderer_node::dev::{NetworkFile, NodeEntry};
use orderer_node::journal::Durability;

use super::args::{ArgsError, LoadgenArgs, NamedProcess};

/// An ordering service.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Each serves Broadcast and Deliver.
    pub(super) endpoints: Vec<Endpoint>,
    /// Signs as a client of the channel.
    pub(super) factory: EnvelopeFactory,
    /// Whose processor time is measured.
    pub(super) processes: Vec<NamedProcess>,
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

impl Target {
    /// Finds out.
    ///
    /// # Errors
    /// Nobody is named, or a file is not what it should be.
    pub(super) fn resolve(args: &LoadgenArgs) -> anyhow::Result<Self> {
        let mut target = match &args.network {
            Some(file) => Self::from_network(&NetworkFile::read(file)?).with_context(|| file.display().to_string())?,
            None => Self::from_endpoints(args)?,
        };
        target.processes.extend(args.processes.iter().cloned());
        Ok(target)
    }

    fn from_network(network: &NetworkFile) -> anyhow::Result<Self> {
        ensure!(!network.nodes.is_empty(), "a network without nodes");
        let channel = ChannelId::new(&network.channel)?;
        let endpoint = |node: &NodeEntry| Endpoint::tls(&node.address, &node.tls_ca, None);
        let process = |node: &NodeEntry| NamedProcess { name: node.name.clone(), pid: node.pid };
        Ok(Self {
            endpoints: network.nodes.iter().map(endpoint).collect::<Result<_, _>>()?,
            factory: EnvelopeFactory::load(channel, &network.client.msp_dir, &network.client.msp_id)?,
            processes: network.nodes.iter().map(process).collect(),
            background: Background {
                orderer: format!("orderer-node dev, {} nodes with embedded frontends", network.nodes.len()),
                nodes: Some(network.nodes.len()),
                verification: verification(&network.nodes)?,
                durability: durability(&network.nodes)?,
                instances_open_max: Some(Limits::default().instances_open_max),
            },
        })
    }

    fn from_endpoints(args: &LoadgenArgs) -> anyhow::Result<Self> {
        let (Some(msp), Some(mspid), Some(channel)) = (&args.msp, &args.mspid, &args.channel) else {
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
        let factory = EnvelopeFactory::load(channel.clone(), msp, mspid)?;
        Ok(Self { endpoints, factory, processes: Vec::new(), background })
    }
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
        format!("--msp {} --mspid Org1MSP --channel c", msp.display())
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
}
