//! Saying that a test did not run.

use std::io::Write as _;
use std::path::PathBuf;

/// The folder of Fabric's programs; without it, says that `what` is not tried.
#[must_use]
pub fn fabric_programs(what: &str) -> Option<PathBuf> {
    let programs = std::env::var_os("FABRIC_BIN").map(PathBuf::from);
    if programs.is_none() {
        say_skipped(&format!("{what}: FABRIC_BIN does not name the folder of Fabric's programs"));
    }
    programs
}

/// Prints one line that the test runner does not keep to itself, as it does with what is printed by a test that passes.
pub fn say_skipped(why: &str) {
    // Nobody is there to hear it if this fails.
    drop(writeln!(std::io::stderr(), "skipped: {why}"));
}
