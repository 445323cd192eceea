//! `loadgen`: loads an ordering service through Fabric's own interface, and says what it cost. See [`integration::loadgen`].
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use integration::loadgen::{self, LoadgenArgs};

/// Exits with 1 when envelopes were lost or delivered twice, or when the load could not be made; with 2 when the
/// arguments make no sense.
#[tokio::main]
async fn main() -> ExitCode {
    let args = LoadgenArgs::parse();
    let failures = match loadgen::run(&args).await {
        Ok(report) => report.failures,
        Err(error) => vec![format!("{error:#}")],
    };
    for failure in &failures {
        eprintln!("loadgen: {failure}");
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
