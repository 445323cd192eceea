//! The frontend as a program: `frontend-shim --config FILE`, `frontend-shim status --socket PATH`.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use frontend_shim::config::Settings;
use frontend_shim::standalone::Standalone;
use frontend_shim::status;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Fabric's AtomicBroadcast in front of an ordering cluster.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

#[derive(Debug, Args)]
struct Run {
    /// The configuration file; configs/frontend.toml documents it.
    #[arg(long, required = true)]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints what a running frontend tells about itself, as JSON.
    Status {
        /// Its `status_socket`.
        #[arg(long)]
        socket: PathBuf,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match (arguments.command, arguments.run.config) {
        (Some(Command::Status { socket }), _) => print_status(socket).await,
        (None, Some(config)) => run(config).await,
        (None, None) => unreachable!("clap demands one of them"),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Every error of ours names what it is about; its causes are in its text already.
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn print_status(socket: PathBuf) -> anyhow::Result<()> {
    let report = status::fetch(&socket).await?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

async fn run(config: PathBuf) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let settings = Settings::load(&config)?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let running = Standalone::start(settings).await?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping");
    running.stop().await;
    Ok(())
}
