//! Fabric's own programs as their users run them: a peer, the tools of its administrators, `configtxlator`; and what meets a
//! peer from outside: a chaincode, a client of its gateway.

mod chaincode;
mod codec;
mod cryptogen;
mod gateway;
mod messages;
mod peer;
mod peer_files;
mod raft_genesis;
mod translator;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};

pub use self::chaincode::Chaincode;
pub use self::cryptogen::cryptogen;
pub use self::gateway::{Committed, Gateway};
pub use self::peer::Peer;
pub use self::raft_genesis::{BlockSigners, raft_genesis};
pub use self::translator::Translator;
use crate::crypto_folder::CryptoFolder;

/// A network as these programs are told of it.
#[derive(Clone, Debug)]
pub struct FabricNetwork {
    /// Its keys.
    pub crypto: CryptoFolder,
    /// Where its nodes listen, `host:port`, by id.
    pub orderers: Vec<String>,
    /// Where the programs may write.
    pub folder: PathBuf,
}

/// Runs a program to its end.
fn run(command: &mut Command) -> anyhow::Result<()> {
    output_of(command).map(drop)
}

/// Runs a program to its end; what it prints.
fn output_of(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}
