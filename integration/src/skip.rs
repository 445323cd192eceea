//! Saying that a test did not run.

use std::io::Write as _;

/// Prints one line that the test runner does not keep to itself, as it does with what is printed by a test that passes.
pub fn say_skipped(why: &str) {
    // Nobody is there to hear it if this fails.
    drop(writeln!(std::io::stderr(), "skipped: {why}"));
}
