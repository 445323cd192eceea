//! The `orderer` program: this node in the place of Fabric's, with its commands, files and variables.
//!
//! It ends with 0 when it was told to stop, with 1 when something kept it from starting or made it end, and with 2 when
//! its arguments are wrong.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use orderer_node::orderer_yaml::{self, Environment};
use orderer_node::{error_text, logging, node, version};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A Byzantine-fault-tolerant ordering node for Hyperledger Fabric.
#[derive(Debug, Parser)]
#[command(name = "orderer", about, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Command {
    /// Start the node, configured by orderer.yaml and ORDERER_* variables. The default.
    Start,
    /// Show version, commit and platform.
    Version,
}

fn main() -> ExitCode {
    let ended = match Arguments::parse().command.unwrap_or(Command::Start) {
        Command::Version => {
            println!("{}", version::describe());
            Ok(())
        }
        Command::Start => start(),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("orderer: {}", error_text::describe(&error));
            ExitCode::FAILURE
        }
    }
}

fn start() -> anyhow::Result<()> {
    let variables = std::env::vars_os();
    let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
    let environment: Environment = variables.map(|(name, value)| (text(name), text(value))).collect();
    let working_dir = std::env::current_dir().context("there is no working directory")?;
    let loaded = orderer_yaml::load(&environment, &working_dir)?;
    let log = logging::start(&loaded.config.log, &loaded.config.log_format)?;
    tracing::info!(version = version::VERSION, commit = version::COMMIT, file = %loaded.path.display(), "starting");
    for notice in &loaded.notices {
        notice.log();
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let asked = signal(SignalKind::user_defined1())?;
        tokio::spawn(answer_user_signals(asked));
        node::run(loaded.config, Arc::new(log)).await
    })
}

/// Operators of Fabric ask for a dump with SIGUSR1. There is none here; without an answer the signal would end the node.
async fn answer_user_signals(mut asked: Signal) {
    while asked.recv().await.is_some() {
        tracing::info!(
            "Received signal: {} (SIGUSR1); what this node is doing is on its status page",
            SignalKind::user_defined1().as_raw_value()
        );
    }
}
