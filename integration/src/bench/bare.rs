//! Nodes that serve no clients: the network that `dev` has prepared, started again without embedded frontends.
//!
//! `dev` follows its nodes as a client, so it needs the frontends in them. What an ordering node alone costs is measured without.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use orderer_node::dev::NetworkFile;
use toml::Table;

use super::network::program;
use crate::process::Process;

/// Starts the nodes of a network that stands still, and its frontends, and notes their processes in `file`, which is `network`'s
/// content.
///
/// # Errors
/// A configuration cannot be changed, or a process not started.
pub(super) fn start(network: &Path, file: &mut NetworkFile) -> anyhow::Result<Vec<Process>> {
    let mut processes = Vec::new();
    for node in &mut file.nodes {
        serve_no_clients(&node.config).with_context(|| node.config.display().to_string())?;
        let mut command = Command::new(program("orderer-node")?);
        let process = Process::start(&node.name, command.arg("node").arg("--config").arg(&node.config), &node.log)?;
        node.pid = process.id();
        processes.push(process);
    }
    for frontend in &mut file.frontends {
        let mut command = Command::new(program("frontend-shim")?);
        let process = Process::start(&frontend.name, command.arg("--config").arg(&frontend.config), &frontend.log)?;
        frontend.pid = process.id();
        processes.push(process);
    }
    fs::write(network, serde_json::to_string_pretty(file)?).with_context(|| network.display().to_string())?;
    Ok(processes)
}

fn serve_no_clients(config: &Path) -> anyhow::Result<()> {
    let changed = without_frontend(fs::read_to_string(config)?.parse()?)?;
    Ok(fs::write(config, toml::to_string(&changed)?)?)
}

fn without_frontend(mut config: Table) -> anyhow::Result<Table> {
    config.insert("embedded_frontend".to_owned(), false.into());
    let sockets = config.get_mut("sockets").and_then(toml::Value::as_table_mut).context("no [sockets]")?;
    sockets.remove("broadcast");
    Ok(config)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_what_serves_clients_is_taken_out() {
        let given: Table = "data_dir = 'd'\n[sockets]\nbroadcast = 'b'\nstatus = 's'\n".parse().unwrap();
        let expected: Table = "data_dir = 'd'\nembedded_frontend = false\n[sockets]\nstatus = 's'\n".parse().unwrap();
        assert_eq!(without_frontend(given).unwrap(), expected);
        assert!(without_frontend(Table::new()).is_err());
    }
}
