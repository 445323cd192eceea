//! What administrators do with the configuration of a channel, without any network: read it, verify a chain, learn
//! why an update would be refused, make one, sign it.
//!
//! ```text
//! inspect   block, envelope, configuration, update  -> text or JSON
//! verify    blocks + genesis block                  -> the first fault, or the tip
//! explain   configuration + update                  -> what changes, who has signed, who is missing
//! update    configuration + a wish                  -> an unsigned update; sign and wrap make it ready to send
//! ```
//!
//! The rules are those of [`fabric_channel`]; this crate reads files, asks for verdicts and puts them into words.
//! JSON has the shape of Fabric's `configtxlator proto_decode`, so that scripts for the one work with the other.
#![forbid(unsafe_code)]

pub mod arguments;
mod artifact;
mod explain;
mod failure;
mod files;
mod inspect;
mod json;
mod msp_folder;
mod time;
mod update;
mod verify;
mod words;

pub use failure::{Usage, describe, exit_code};

use arguments::{Arguments, Command};

/// Runs one command; what it has to say goes to `report`.
///
/// # Errors
/// [`Usage`] if the arguments make no sense, anything else if the input is invalid or what is asked for is refused. The
/// report may hold an explanation in either case.
pub fn run(arguments: Arguments, report: &mut String) -> anyhow::Result<()> {
    match arguments.command {
        Command::Inspect(inspect) => inspect::run(&inspect, report),
        Command::Verify(verify) => verify::run(&verify, report),
        Command::Explain(explain) => explain::run(&explain, report),
        Command::Update { command } => update::run(command, report),
    }
}
