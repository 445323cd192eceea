//! Fabric's own configuration: `orderer.yaml` and the `ORDERER_*` variables over it (contract 7.1).
//!
//! An operator of a stock orderer starts this node on the files he has. What they say becomes the same [`Resolved`] that
//! the TOML form gives; what concerns only this implementation stands in one added section, `BFT`. Nothing here reads the
//! environment of the process, which is an argument, and only [`load`] reads a file.
//!
//! * Keys are found whatever their case; values are durations, sizes, booleans and lists as Go and Fabric write them.
//! * A relative path is relative to the folder of the file.
//! * An unknown key or variable is said once and ignored, an impossible value is an error that names where it stands.
//! * Known keys that mean nothing here are listed in one line for each reason.

mod cluster;
mod collect;
mod environment;
mod error;
mod keys;
mod notice;
mod resolve;
mod settings;
#[cfg(test)]
mod tests;
mod tree;
mod value;

use std::path::{Path, PathBuf};

pub use self::environment::Environment;
pub use self::error::{OrdererYamlError, Origin};
pub use self::notice::{Notice, Weight};
use self::settings::Settings;
use crate::config::Resolved;

/// A configuration that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The file.
    pub path: PathBuf,
    /// What it and the environment mean.
    pub config: Resolved,
    /// What the operator should know about it; to be logged once the log is set up.
    pub notices: Vec<Notice>,
}

/// Finds the file as Fabric does and reads it: in `FABRIC_CFG_PATH`, then in the working directory, then in
/// `/etc/hyperledger/fabric`; named `orderer.yaml` or `orderer.yml`.
///
/// # Errors
/// See [`OrdererYamlError`]; the text names the file and the line, or the variable.
pub fn load(environment: &Environment, working_dir: &Path) -> Result<Loaded, OrdererYamlError> {
    let path = find(environment, working_dir)?;
    let text =
        std::fs::read_to_string(&path).map_err(|source| OrdererYamlError::Read { path: path.clone(), source })?;
    parse(&text, &path, environment)
}

/// Reads the text of a file that lies, or would lie, at `path`.
///
/// # Errors
/// As [`load`], except for the finding and reading.
pub fn parse(text: &str, path: &Path, environment: &Environment) -> Result<Loaded, OrdererYamlError> {
    let form =
        |error: tree::NotYaml| OrdererYamlError::Form { path: path.to_owned(), line: error.line, why: error.why };
    let mut collection = Settings::of(path);
    collection.add_file(tree::read(text).map_err(form)?)?;
    collection.add_environment(environment);
    let (settings, mut notices) = collection.finish();
    let config = resolve::resolve(&settings, environment, &mut notices)?;
    Ok(Loaded { path: path.to_owned(), config, notices })
}

fn find(environment: &Environment, working_dir: &Path) -> Result<PathBuf, OrdererYamlError> {
    let named = environment.value("FABRIC_CFG_PATH").map(|folder| working_dir.join(folder));
    let folders = named.into_iter().chain([working_dir.to_owned(), PathBuf::from(SYSTEM_FOLDER)]);
    let files: Vec<PathBuf> = folders.flat_map(|folder| NAMES.map(|name| folder.join(name))).collect();
    let found = files.iter().find(|file| file.exists()).cloned();
    found.ok_or(OrdererYamlError::NotFound { looked_at: files })
}

const SYSTEM_FOLDER: &str = "/etc/hyperledger/fabric";
const NAMES: [&str; 2] = ["orderer.yaml", "orderer.yml"];
