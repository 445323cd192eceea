//! `loadgen`: loads an ordering service, and says what it cost. See [`integration::loadgen`].
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use integration::loadgen::{self, Cli, Command};

/// Exits with 1 when envelopes were lost or delivered twice, or when the load could not be made; with 2 when the
/// arguments make no sense.
#[tokio::main]
async fn main() -> ExitCode {
    let Cli { command, load } = Cli::parse();
    let outcome = match command {
        Some(Command::Sign(args)) => loadgen::sign(&args).map(|()| Vec::new()),
        Some(Command::Report(args)) => loadgen::render_report(&args).map(|()| Vec::new()),
        None => loadgen::run_all(&load).await,
    };
    let failures = outcome.unwrap_or_else(|error| vec![format!("{error:#}")]);
    for failure in &failures {
        eprintln!("loadgen: {failure}");
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
