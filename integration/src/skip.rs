//! Saying that a test did not run.

use std::io::Write as _;
use std::path::PathBuf;

/// The folder of Fabric's programs; without it, says that `what` is not tried.
#[must_use]
pub fn fabric_programs(what: &str) -> Option<PathBuf> {
    programs("FABRIC_BIN", "Fabric's programs", what)
}

/// The same for those of v2.5.
#[must_use]
pub fn fabric_2_5_programs(what: &str) -> Option<PathBuf> {
    programs("FABRIC_BIN_25", "Fabric's programs of v2.5", what)
}

fn programs(variable: &str, whose: &str, what: &str) -> Option<PathBuf> {
    let programs = std::env::var_os(variable).map(PathBuf::from);
    if programs.is_none() {
        say_skipped(&format!("{what}: {variable} does not name the folder of {whose}"));
    }
    programs
}

/// Prints one line that the test runner does not keep to itself, as it does with what is printed by a test that passes.
pub fn say_skipped(why: &str) {
    // Nobody is there to hear it if this fails.
    drop(writeln!(std::io::stderr(), "skipped: {why}"));
}
