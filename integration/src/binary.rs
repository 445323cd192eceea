//! Where the programs under test are: built by cargo, from the sources that the tests were built from.
//!
//! Cargo does not build another package's program for a test, so it is asked to. What is built already costs a fraction of
//! a second, and a stale program is never tested.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, bail};

/// The `orderer-node` program.
///
/// # Errors
/// It cannot be built; the text is cargo's.
pub fn orderer_node() -> anyhow::Result<PathBuf> {
    Ok(programs()?.join("orderer-node"))
}

/// The `orderer` program.
///
/// # Errors
/// See [`orderer_node`].
pub fn orderer() -> anyhow::Result<PathBuf> {
    Ok(programs()?.join("orderer"))
}

/// The `frontend-shim` program.
///
/// # Errors
/// See [`orderer_node`].
pub fn frontend_shim() -> anyhow::Result<PathBuf> {
    Ok(programs()?.join("frontend-shim"))
}

/// The root of the source tree.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}

/// The folder of the programs, which are built once for each test program.
fn programs() -> anyhow::Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn build() -> anyhow::Result<PathBuf> {
    let profile = profile_folder()?;
    let target = profile.parent().context("the profile's folder is in a target folder")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--bin", "orderer-node", "--bin", "orderer", "--bin", "frontend-shim"])
        .current_dir(workspace());
    // The variable could be relative to where cargo was started.
    command.env("CARGO_TARGET_DIR", target);
    if profile.file_name().is_some_and(|name| name == "release") {
        command.arg("--release");
    }
    let output = command.output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo cannot build the programs:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(profile)
}

/// The folder of this profile's programs: this test program is in `deps` below it.
fn profile_folder() -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe().context("a running program has a path")?;
    let folder = this.parent().context("a program is in a folder")?;
    let is_deps = folder.file_name().is_some_and(|name| name == "deps");
    Ok(if is_deps { folder.parent().unwrap_or(folder) } else { folder }.to_owned())
}
