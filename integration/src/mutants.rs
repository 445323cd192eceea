//! Known mistakes, put back on purpose: does the simulator find each of them?
//!
//! A *mutant* is a small file in `integration/mutants`: prose that says which mistake it is, and replacements in source
//! files. It is applied to a copy of the tree under `target/mutants`, the simulator is built there, and seeds run until
//! one fails. The product's own code has no switch for any of this.
//!
//! ```text
//! # What is wrong, where it was seen, and what should find it.
//! run: --n 6                       (optional: arguments for the simulator)
//! test: -p mod-smart --test X      (optional: this test is to fail, because the simulator cannot see it)
//! file: mod-smart/src/selection.rs
//! <<<<
//! the lines as they are
//! ====
//! the lines as they should never be
//! >>>>
//! ```

mod mutant;
mod tree;

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

pub use mutant::{Mutant, Replacement};
pub use tree::Tree;

use crate::binary::workspace;

/// How hard the simulator tries.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Seeds until a mutant counts as alive.
    pub seeds: u64,
    /// Threads.
    pub jobs: usize,
}

/// What became of a mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This seed failed, and so many were needed; the checker's words.
    Killed {
        /// Seeds that had run when it failed, this one included.
        seeds: u64,
        /// What the simulator said.
        why: String,
        /// How long the simulator ran.
        took: Duration,
    },
    /// This test failed.
    KilledByTest {
        /// Its name.
        test: String,
        /// How long the tests ran.
        took: Duration,
    },
    /// Every seed, or every test, passed.
    Alive {
        /// How long that took.
        took: Duration,
    },
}

/// All mutants, by name.
///
/// # Errors
/// The folder or one of its files cannot be read.
pub fn all() -> anyhow::Result<Vec<Mutant>> {
    let folder = workspace().join("integration/mutants");
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "mutant"));
    paths.sort();
    paths.iter().map(|path| Mutant::read(path)).collect()
}

/// Builds the simulator with this mutant and runs it.
///
/// # Errors
/// The mutant does not fit the tree or does not compile, or the simulator cannot be run.
pub fn run(tree: &Tree, mutant: &Mutant, budget: Budget) -> anyhow::Result<Verdict> {
    tree.reset(mutant)?;
    if let Some(arguments) = &mutant.test {
        return run_test(tree, arguments);
    }
    let simulator = build_simulator(tree)?;
    let began = Instant::now();
    let output = Command::new(simulator)
        .args(["--once", "--failures", "1", "--seeds", &budget.seeds.to_string(), "--jobs", &budget.jobs.to_string()])
        .args(&mutant.arguments)
        .current_dir(tree.root())
        .output()
        .context("cannot run the simulator")?;
    let took = began.elapsed();
    if output.status.success() {
        return Ok(Verdict::Alive { took });
    }
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let failed = text.lines().find_map(failed_seed);
    let (seed, why) = failed.unwrap_or((0, "the simulator itself stopped"));
    Ok(Verdict::Killed { seeds: seed + 1, why: why.trim().to_owned(), took })
}

fn run_test(tree: &Tree, arguments: &[String]) -> anyhow::Result<Verdict> {
    let command = ["test", "--quiet", "--release", "--no-fail-fast"];
    build(tree, command.into_iter().chain(["--no-run"]).chain(arguments.iter().map(String::as_str)))?;
    let began = Instant::now();
    let output = cargo(tree, command.into_iter().chain(arguments.iter().map(String::as_str)))?;
    let took = began.elapsed();
    if output.status.success() {
        return Ok(Verdict::Alive { took });
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let failed = text.lines().find_map(failed_test).unwrap_or("the test program itself stopped");
    Ok(Verdict::KilledByTest { test: failed.to_owned(), took })
}

fn build_simulator(tree: &Tree) -> anyhow::Result<std::path::PathBuf> {
    build(tree, ["build", "--quiet", "--release", "--package", "integration", "--bin", "sim"])?;
    Ok(target(tree).join("release/sim"))
}

fn build<'a>(tree: &Tree, arguments: impl IntoIterator<Item = &'a str>) -> anyhow::Result<()> {
    let output = cargo(tree, arguments)?;
    if !output.status.success() {
        bail!("the mutant does not compile:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn cargo<'a>(tree: &Tree, arguments: impl IntoIterator<Item = &'a str>) -> anyhow::Result<Output> {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .env("CARGO_TARGET_DIR", target(tree))
        // Thirty builds are more work than thirty short campaigns: the optimiser's costly half does not pay.
        .env("CARGO_INCREMENTAL", "1")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        .env("RUSTFLAGS", "-Awarnings")
        .current_dir(tree.root())
        .output()
        .context("cannot run cargo")
}

fn target(tree: &Tree) -> std::path::PathBuf {
    tree.root().join("target")
}

/// The seed and the reason in a line of the form `seed N FAILED why`.
fn failed_seed(line: &str) -> Option<(u64, &str)> {
    let (seed, why) = line.strip_prefix("seed ")?.split_once(" FAILED ")?;
    Some((seed.parse().ok()?, why))
}

/// The name in a heading of the form `---- NAME stdout ----`, under which a failed test's words stand.
fn failed_test(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" stdout ----")
}

/// Where the copy of the tree is kept.
#[must_use]
pub fn folder() -> std::path::PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), Into::into).join("mutants")
}

/// Does every mutant still fit the tree? Cheap, so it is a test: a change of the core must take its mutants along.
///
/// # Errors
/// Names the mutant and the lines it does not find.
pub fn check_all(root: &Path) -> anyhow::Result<usize> {
    let mutants = all()?;
    for mutant in &mutants {
        mutant.apply(|path| Ok(std::fs::read_to_string(root.join(path))?)).map(drop)?;
    }
    Ok(mutants.len())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_fits_the_tree_as_it_is() {
        assert!(check_all(workspace()).unwrap() >= 30);
    }

    #[test]
    fn words_of_the_simulator_and_of_tests_name_what_failed() {
        assert_eq!(failed_seed("seed 17 FAILED agreement: two values"), Some((17, "agreement: two values")));
        assert_eq!(failed_seed("17 seeds, 0 failures"), None);
        assert_eq!(failed_test("---- a_test_of_something stdout ----"), Some("a_test_of_something"));
    }
}
