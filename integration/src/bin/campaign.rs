//! `campaign`: real nodes, killed, stopped, wiped and starved; prints conditions and figures. See [`integration::campaign`].
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Instant;

use anyhow::bail;
use clap::Parser as _;
use integration::campaign::CampaignArgs;
use tokio::signal::unix::{SignalKind, signal};

/// Exits with 1 when something is not as it should be; then the nodes' files are kept, and their place is printed. Exits
/// with 2 when the arguments make no sense.
#[tokio::main]
async fn main() -> ExitCode {
    let args = CampaignArgs::parse();
    let since = Instant::now();
    // Ended by a signal, it still ends its nodes.
    let outcome = tokio::select! {
        outcome = args.run() => outcome,
        signal = stop_signal() => signal.and_then(|()| bail!("interrupted")),
    };
    match outcome {
        Ok(figures) => {
            print!("{figures}");
            println!("passed in {:.0} s", since.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("campaign: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn stop_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
    }
}
