//! The corpus, and a fixed number of mutations of it, through every target.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::sync::{Mutex, PoisonError};

use fuzz::campaign::{self, Until};
use fuzz::{SEED, TARGETS, corpus, runner};

/// Memory is counted for the whole process, so tests must not overlap.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn no_kept_input_and_nothing_like_one_breaks_a_decoder() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut failed = Vec::new();
    for target in TARGETS {
        for entry in corpus::load(target).unwrap() {
            match runner::run(target, &entry.bytes) {
                Ok(outcome) if entry.name.starts_with(SEED) => {
                    assert!(outcome.is_accepted(), "{} {}: {outcome}", target.name, entry.name);
                }
                Ok(_) => {}
                Err(failure) => failed.push(runner::report(target, &entry.bytes, &failure).unwrap()),
            }
        }
        let report = campaign::run(target, 1, Until::Runs(target.test_runs)).unwrap();
        println!("{:20} {report}", target.name);
        if let Some((input, failure)) = &report.failure {
            failed.push(runner::report(target, input, failure).unwrap());
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

#[test]
fn every_target_has_seeds_and_all_inputs_are_small() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut bytes = 0;
    for target in TARGETS {
        let entries = corpus::load(target).unwrap();
        assert!(entries.iter().any(|entry| entry.name.starts_with(SEED)), "{} has no seeds", target.name);
        bytes += entries.iter().map(|entry| entry.bytes.len()).sum::<usize>();
    }
    assert!(bytes < 3 << 19, "{bytes} bytes");
    let root = corpus::folder(&TARGETS[0]);
    for folder in fs::read_dir(root.parent().unwrap()).unwrap() {
        let name = folder.unwrap().file_name().to_string_lossy().into_owned();
        assert!(fuzz::target(&name).is_some(), "{name} is no target");
    }
}
