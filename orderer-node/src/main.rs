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
    Dev(Box<dev::DevArgs>),
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
    /// Let the node that leads give the lead to another one.
    HandOver {
        /// The consenter that is to lead, by its id.
        #[arg(long)]
        to: u32,
        /// The Unix socket on which the node that leads serves its status.
        #[arg(long)]
        socket: PathBuf,
    },
}

fn main() -> ExitCode {
    let ended = match Arguments::parse().command {
        Command::Dev(arguments) => run(dev::run(*arguments)),
        Command::Node { config } => run_node(&config),
        Command::Status { socket, json } => run(show_status(socket, json)),
        Command::HandOver { to, socket } => run(hand_over(to, socket)),
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

async fn hand_over(to: u32, socket: PathBuf) -> anyhow::Result<()> {
    let asked = frontend_shim::status::order(&socket, &format!("/hand-over/{to}")).await?;
    println!("{}", asked.map_err(anyhow::Error::msg)?);
    Ok(())
}

async fn show_status(socket: PathBuf, json: bool) -> anyhow::Result<()> {
    let report = frontend_shim::status::fetch(&socket).await?;
    match json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => print!("{}", status::text(&report)),
    }
    Ok(())
}
