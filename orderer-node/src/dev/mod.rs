//! `orderer-node dev`: a whole network on loopback, with one command.
//!
//! It makes keys and a channel (or takes those that Fabric's tools made), starts a process for each node, shows where a
//! Fabric client finds them, and then how they fare. With a load it drives real envelopes through them; with an end it
//! checks that all nodes have the same chain and that no envelope was lost, and says so by its exit code.
//!
//! Nothing here is part of ordering: a node does not know who started it.

mod agreement;
mod authority;
mod crypto_folder;
mod data_folder;
mod display;
mod fleet;
mod follower;
mod frontends;
mod genesis;
mod network;
mod network_file;
mod node_config;
mod orderer_folders;
mod ordering;
mod plan;
mod scenario;
#[cfg(test)]
mod tests;
pub mod wan;

use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use clap::Args;
use frontend_shim::group_settings::GroupSettings;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use data_folder::{DataFolder, FrontendFiles, Material, NodeFiles};
use display::Display;
use fleet::Fleet;
use frontends::FrontendPlan;
use network::{Network, NodePlan};
pub use network_file::{ChannelEntry, ClientEntry, FrontendEntry, NetworkFile, NodeEntry};
pub use ordering::{FaultModelOption, OrderingOptions};
pub use plan::{ChannelOptions, VerificationOption};
use scenario::Scenario;
use wan::WanOptions;

use crate::stop_signals::{StopSignals, Terminal};

/// What network to run, and for how long.
#[derive(Args, Clone, Debug)]
pub struct DevArgs {
    /// Folder of the network: keys, genesis block, ledgers. A restart on it resumes.
    #[arg(long, value_name = "DIR", default_value = "data/dev")]
    pub data: PathBuf,
    /// Options of the channel.
    #[command(flatten)]
    pub channel: ChannelOptions,
    /// What the nodes share.
    #[command(flatten)]
    pub ordering: OrderingOptions,
    /// Genesis block made by Fabric's tools, instead of one made here
    #[arg(long, value_name = "FILE", requires = "crypto", conflicts_with = "channels")]
    pub genesis: Option<PathBuf>,
    /// The keys that go with it, in cryptogen's layout: the folder that holds ordererOrganizations
    #[arg(long, value_name = "DIR", requires = "genesis")]
    pub crypto: Option<PathBuf>,
    /// Who checks the signatures of clients: the frontend and every node, or the frontend alone
    #[arg(long, value_name = "WHO", value_enum, default_value_t)]
    pub verification: VerificationOption,
    /// Also run so many frontends as processes of their own, on the ports behind the nodes'
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=FRONTENDS_MAX))]
    pub frontends: u16,
    /// Where the processes are.
    #[command(flatten)]
    pub wan: WanOptions,
    /// Drive this many envelopes per second
    #[arg(long, value_name = "RATE", value_parser = clap::value_parser!(u32).range(1..=RATE_MAX))]
    pub load: Option<u32>,
    /// End after so many seconds with a check that all nodes agree; without it, run until Ctrl-C
    #[arg(long = "for", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: Option<u64>,
    /// What the nodes log: a level, or a list such as info,orderer_node::mesh=debug
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log: String,
}

/// Runs a network until it is told to stop, or for the time asked for.
///
/// # Errors
/// What keeps it from starting; at the end, what was not as it should be.
pub async fn run(args: DevArgs) -> anyhow::Result<()> {
    let mut stopping = StopSignals::hear(Terminal::EndWith)?;
    let data = DataFolder::open(&args.data)?;
    let material = args.material(&data)?;
    let mut network = Network::read(&material.genesis, &material.crypto)?;
    args.channel.check_against(&network.config, 1 + material.further.len())?;
    let description_file = data.root().join("network.json");
    let earlier = NetworkFile::read(&description_file).ok();
    let settings = args.ordering.settings(&network.config, earlier.as_ref())?;
    let mut planned = frontends::plan(args.frontends, &network.nodes)?;
    let wan = args.wan.start(&mut network.nodes, &mut planned).await?;
    let nodes = args.prepare_nodes(&data, &network, &material, &settings)?;
    let frontends = prepare_frontends(&data, &planned, &material, &settings)?;
    fleet::check_ports(&network.nodes, &planned)
        .map_err(|error| anyhow!("{error:#}{}", leftovers(&description_file)))?;

    let mut display = Display::new();
    if let Some(description) = wan.description() {
        display.say(description);
    }
    let mut fleet = Fleet::start(&nodes, &frontends)?;
    let mut description = describe(&network, &nodes, &material, &fleet)?;
    description.ordering = settings;
    description.frontends = describe_frontends(&frontends, &fleet);
    let scenario = Scenario::new(&network, &description, &args)?;
    description.write(&description_file)?;
    let mut failures = Vec::new();
    let ended = tokio::select! {
        ended = scenario.play(&mut fleet, &mut display, &mut failures) => ended,
        name = stopping.next() => {
            display.say(&format!("{name}: stopping"));
            if args.seconds.is_some() { Err(anyhow!("stopped by {name} before the time was over")) } else { Ok(()) }
        }
    };
    for name in fleet.stop().await {
        display.say(&format!("{name} did not stop when asked and was killed"));
    }
    ended?;
    if !failures.is_empty() {
        bail!(failures.join("; "));
    }
    Ok(())
}

impl DevArgs {
    fn material(&self, data: &DataFolder) -> anyhow::Result<Material> {
        match (&self.genesis, &self.crypto) {
            (Some(genesis), Some(crypto)) => data.given_material(genesis, crypto),
            _ => data.own_material(&self.channel),
        }
    }

    fn prepare_nodes(
        &self,
        data: &DataFolder,
        network: &Network,
        material: &Material,
        settings: &GroupSettings,
    ) -> anyhow::Result<Vec<(NodePlan, NodeFiles)>> {
        let prepare = |node: &NodePlan| {
            let files = data.node_files(node)?;
            node_config::write(node, &files, material, settings, self.verification, &self.log)?;
            Ok((node.clone(), files))
        };
        network.nodes.iter().map(prepare).collect()
    }
}

fn prepare_frontends(
    data: &DataFolder,
    planned: &[FrontendPlan],
    material: &Material,
    settings: &GroupSettings,
) -> anyhow::Result<Vec<(FrontendPlan, FrontendFiles)>> {
    let prepare = |frontend: &FrontendPlan| {
        let files = data.frontend_files(&frontend.name)?;
        frontends::write(frontend, &files, material, settings)?;
        Ok((frontend.clone(), files))
    };
    planned.iter().map(prepare).collect()
}

fn describe(
    network: &Network,
    nodes: &[(NodePlan, NodeFiles)],
    material: &Material,
    fleet: &Fleet,
) -> anyhow::Result<NetworkFile> {
    let entry = |((plan, files), pid): (&(NodePlan, NodeFiles), u32)| NodeEntry {
        name: plan.name.clone(),
        address: plan.address.clone(),
        pid,
        status_socket: files.status_socket.clone(),
        broadcast_socket: files.broadcast_socket.clone(),
        tls_ca: plan.tls_ca(),
        msp_dir: plan.folder.join("msp"),
        msp_id: plan.msp_id.clone(),
        config: files.config.clone(),
        log: files.log.clone(),
        data_dir: files.data.clone(),
        site: plan.placement.site.clone(),
    };
    let channel = |genesis: &Path| {
        let name = network::read_genesis(genesis)?.channel_id().to_string();
        anyhow::Ok(ChannelEntry { name, genesis: genesis.to_owned() })
    };
    Ok(NetworkFile {
        channel: network.config.channel_id().to_string(),
        genesis: material.genesis.clone(),
        channels: material.all_genesis().map(channel).collect::<anyhow::Result<_>>()?,
        crypto: material.crypto.clone(),
        pid: std::process::id(),
        ordering: GroupSettings::default(),
        nodes: nodes.iter().zip(fleet.pids()).map(entry).collect(),
        frontends: Vec::new(),
        client: ClientEntry { msp_dir: network.client.msp_dir.clone(), msp_id: network.client.msp_id.clone() },
    })
}

fn describe_frontends(frontends: &[(FrontendPlan, FrontendFiles)], fleet: &Fleet) -> Vec<FrontendEntry> {
    let entry = |((plan, files), pid): (&(FrontendPlan, FrontendFiles), u32)| FrontendEntry {
        name: plan.name.clone(),
        address: plan.listen.to_string(),
        pid,
        status_socket: files.status_socket.clone(),
        tls_ca: plan.tls_ca(),
        config: files.config.clone(),
        log: files.log.clone(),
        site: plan.placement.site.clone(),
    };
    frontends.iter().zip(fleet.frontend_pids()).map(entry).collect()
}

/// Processes of an earlier run on this folder that live: that run was killed and could not stop them.
fn leftovers(description_file: &Path) -> String {
    let Ok(earlier) = NetworkFile::read(description_file) else { return String::new() };
    let nodes = earlier.nodes.iter().map(|node| (&node.name, node.pid));
    let living: Vec<String> = nodes
        .chain(earlier.frontends.iter().map(|frontend| (&frontend.name, frontend.pid)))
        .filter(|(_, pid)| kill(Pid::from_raw(pid.cast_signed()), None).is_ok())
        .map(|(name, pid)| format!("{name} as process {pid}"))
        .collect();
    if living.is_empty() {
        String::new()
    } else {
        format!("; nodes of an earlier run may still live: {}", living.join(", "))
    }
}

/// More would only wait for each other's processors.
const FRONTENDS_MAX: i64 = 64;
/// More than one machine can sign.
const RATE_MAX: i64 = 1_000_000;
