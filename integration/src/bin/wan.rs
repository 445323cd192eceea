//! `wan`: real processes at sites far from each other. See [`integration::wan`].
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use integration::wan::{self, WanArgs};

/// Exits with 1 when something is not as it should be, with 2 when the arguments make no sense or nothing can be said.
#[tokio::main]
async fn main() -> ExitCode {
    let args = WanArgs::parse();
    // Whatever runs is stopped when its future is dropped.
    let outcome = tokio::select! {
        outcome = wan::run(&args) => outcome,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    match outcome {
        Ok(failures) if failures.is_empty() => ExitCode::SUCCESS,
        Ok(failures) => {
            for failure in failures {
                eprintln!("wan: {failure}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("wan: {error:#}");
            ExitCode::from(2)
        }
    }
}
