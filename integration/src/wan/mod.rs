//! Real processes at the sites of a round-trip matrix, on one machine: `wan latency` measures what clients of each site wait,
//! beside the least that messages cost; `wan faults` kills the node of the leader's site and then that of another, under
//! load, and draws what clients saw.
//!
//! The links are emulated by `orderer-node dev --wan`. Load comes from `loadgen`, a process of its own for each site, which
//! talks to the frontend of its site without a delay.

mod args;
mod faults;
mod latency;
mod layout;
mod load;
mod network;
mod outcome;
mod page;
mod reigns;

use std::path::Path;

use anyhow::Context as _;

pub use args::{Command, FaultsArgs, LatencyArgs, SettingArgs, WanArgs};
pub use outcome::{Fault, FaultsOutcome, LatencyOutcome, LeaderChange, SiteCourse, SiteLatency};

/// Does what is asked for. Gives what should not be.
///
/// # Errors
/// It cannot be done.
pub async fn run(args: &WanArgs) -> anyhow::Result<Vec<String>> {
    match &args.command {
        Command::Latency(args) => latency::run(args).await,
        Command::Faults(args) => faults::run(args).await,
    }
}

fn write_json(value: &impl serde::Serialize, file: &Path) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value).context("the figures cannot be written as JSON")?;
    write_text(&(text + "\n"), file)
}

fn write_text(text: &str, file: &Path) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
