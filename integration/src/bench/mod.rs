//! Measurements that anybody can repeat: the targets of this project, the LAN experiments of the thesis, and how costs grow.
//!
//! `bench` starts networks itself, out of the programs beside its own, loads each with `loadgen` as a process of its own, and
//! stops them. What is counted is processor time per envelope, by the system's own account, or what `loadgen` saw from
//! outside. Every figure comes with its conditions and the machine. Figures of other conditions are not compared.
//!
//! - [`targets`]: one row for each promise, in a table with what the stock orderer does under the same load.
//! - [`lan`]: figures 6.12 and 6.13 of the thesis.
//! - [`scale`]: cost against nodes, channels, receivers and the length of the chain, each with a fitted line.
//! - [`compare`]: two tables, and what has become worse.

mod args;
mod bare;
pub mod compare;
mod console;
mod html;
pub mod lan;
mod load;
mod machine;
mod network;
mod numbers;
mod receivers;
pub mod scale;
mod scenarios;
mod signing;
mod stock;
mod table;
pub mod targets;

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use args::{
    BenchArgs, Command, CompareArgs, LanArgs, PayloadKind, Place, PointArgs, ScaleArgs, ScaleCurve, TargetsArgs,
};
pub use compare::{Comparison, Refusal, compare};
pub use machine::MachineFacts;
pub(crate) use network::program;
pub use numbers::{Line, Spread};
pub use table::{Circumstances, Conditions, Goal, Row, SCHEMA, TargetsTable, Unit};

/// Does what is asked for. Gives whether everything is as it should be: no target missed, nothing become worse.
///
/// # Errors
/// It cannot be measured, or not be compared.
pub async fn run(args: &BenchArgs) -> anyhow::Result<bool> {
    match &args.command {
        Command::Targets(args) => targets::run(args).await,
        Command::Lan(args) => lan::run(args).await,
        Command::Scale(args) => scale::run(args).await,
        Command::Compare(args) => compare::run(args).await,
    }
}

fn write_json(value: &impl Serialize, file: &Path) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value).context("the figures cannot be written as JSON")?;
    write_text(&(text + "\n"), file)
}

fn write_text(text: &str, file: &Path) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn read_json<T: DeserializeOwned>(file: &Path) -> anyhow::Result<T> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not what `bench` writes", file.display()))
}
