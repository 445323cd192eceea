//! `bench`: measures an ordering service that it starts itself. See [`integration::bench`].
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use integration::bench::{self, BenchArgs};

/// Exits with 1 when a target is missed or a cost has grown, with 2 when the arguments make no sense or nothing can be said.
#[tokio::main]
async fn main() -> ExitCode {
    let args = BenchArgs::parse();
    // Whatever runs is stopped when its future is dropped.
    let outcome = tokio::select! {
        outcome = bench::run(&args) => outcome,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::from(2)
        }
    }
}
