//! Fabric's own programs as their users run them: a peer, the tools of its administrators, `configtxlator`.

mod peer;
mod translator;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};

pub use self::peer::Peer;
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
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
