//! What this program is: version, commit, platform.

/// The version of the workspace.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit it was built from, if the builder named it in `ORDERER_COMMIT_SHA`.
pub const COMMIT: &str = match option_env!("ORDERER_COMMIT_SHA") {
    Some(commit) => commit,
    None => "development build",
};

/// What `orderer version` prints, in the shape of Fabric's programs.
#[must_use]
pub fn describe() -> String {
    let (system, processor) = (std::env::consts::OS, std::env::consts::ARCH);
    format!("orderer:\n Version: {VERSION}\n Commit SHA: {COMMIT}\n OS/Arch: {system}/{processor}")
}
