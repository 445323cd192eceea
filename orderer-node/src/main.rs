//! The `orderer-node` program: a node, a whole network on loopback to see it work, and its status.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use orderer_node::config::Config;
use orderer_node::operations::FixedLogSpec;
use orderer_node::{dev, error_text, node, status};
use tracing_subscriber::EnvFilter;

/// A Byzantine-fault-tolerant ordering service for Hyperledger Fabric.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a network of nodes on loopback, with keys and a channel of its own, and watch it.
    Dev(dev::DevArgs),
    /// Run one node.
    Node {
        /// Its configuration file; `configs/node.toml` explains one.
        #[arg(long)]
        config: PathBuf,
    },
    /// Show the status of a running node or frontend.
    Status {
        /// The Unix socket on which it serves its status.
        #[arg(long)]
        socket: PathBuf,
        /// Everything, as JSON.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let ended = match Arguments::parse().command {
        Command::Dev(arguments) => run(dev::run(arguments)),
        Command::Node { config } => run_node(&config),
        Command::Status { socket, json } => run(show_status(socket, json)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", error_text::describe(&error));
            ExitCode::FAILURE
        }
    }
}

fn run_node(config: &std::path::Path) -> anyhow::Result<()> {
    let config = Config::load(config)?;
    let filter = EnvFilter::try_new(&config.log)?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    let log = Arc::new(FixedLogSpec(config.log.clone()));
    run(node::run(config, log))
}

fn run(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

async fn show_status(socket: PathBuf, json: bool) -> anyhow::Result<()> {
    let report = frontend_shim::status::fetch(&socket).await?;
    match json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => print!("{}", status::text(&report)),
    }
    Ok(())
}
