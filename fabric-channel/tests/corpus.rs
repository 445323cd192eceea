//! Our verdicts against those of Fabric's own Go code, case by case.
//!
//! Runs over the packed cases of this repository or, if `FABRIC_CORPUS` names a folder of corpora in JSON Lines, over
//! those. `cargo test --release corpus` in the workspace runs this and the corpus of the cutter.

#![allow(clippy::unwrap_used)]

#[path = "corpus/mod.rs"]
mod corpus;

use std::io::Write as _;
use std::path::Path;

use corpus::{blocks, config_updates, folder, identities, json_lines, packed, policies};
use fabric_channel::config_change::ChangeError;
use fabric_channel::{Bundle, ConfigChange, ExpiryCheck, RaftMetadataError};
use fabric_proto::Envelope;
use prost::Message;

#[test]
fn corpus_blocks() {
    corpus::run("blocks", json_lines::read_blocks, blocks::check);
}

#[test]
fn corpus_policies() {
    corpus::run("policies", json_lines::read_policies, policies::check);
}

#[test]
fn corpus_identities() {
    corpus::run("identities", json_lines::read_identities, identities::check);
}

#[test]
fn corpus_config_updates() {
    corpus::run("config-updates", json_lines::read_updates, config_updates::check);
}

/// They are part of every checkout, so they stay at a few MiB.
#[test]
fn corpus_copies_are_small() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [top.join("tests/data/corpus"), top.join("../blockcutter/tests/data/corpus")];
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let bytes: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    // To the stream itself, as the counts of the cases.
    writeln!(std::io::stdout(), "corpus: the packed copies are {} KiB", bytes >> 10).unwrap();
    assert!(bytes > 0 && bytes < COPIES_BYTES_MAX, "{bytes} bytes");
}

/// Fabric accepts these and its orderers halt, or its peers of older versions stop.
#[test]
fn corpus_updates_that_halt_orderers_are_not_ordered() {
    let corpus = packed("config-updates");
    let halting = [
        "bft-dup-id",
        "bft-id-zero",
        "bft-garbage-identity",
        "bft-unknown-mspid",
        "bft-options-bad-duration",
        "raft-host-empty",
        "raft-tick-negative",
        "raft-metadata-empty",
        "raft-orderers-value",
        "migrate-bft-without-policy",
        "migrate-bft-duplicate-ids",
        "state-2",
    ];
    let everyday = [
        "batch-timeout-500ms",
        "acl-set",
        "endpoints-changed",
        "app-org-add",
        "app-org-remove-1",
        "raft-add",
        "raft-rotate",
        "bft-add",
        "bft-remove",
        "state-maintenance",
    ];
    let verdicts = |name: &str| -> Vec<Result<u64, String>> {
        let updates = config_updates::accepted(&corpus, name).into_iter();
        updates.map(|(current, envelope)| orderable(&current, &envelope)).collect()
    };
    for name in halting {
        let verdicts = verdicts(name);
        println!("{name}: {verdicts:?}");
        assert!(!verdicts.is_empty() && verdicts.iter().all(Result::is_err), "{name}");
    }
    for name in everyday {
        assert!(verdicts(name).iter().any(Result::is_ok), "{name}");
    }
}

/// The sequence after an update that Fabric accepts, or why we do not order it.
fn orderable(current: &Bundle, envelope: &Envelope) -> Result<u64, String> {
    let change = ConfigChange::evaluate(current, envelope, ExpiryCheck::Skip).unwrap();
    change.check_orderable().map(|config| config.sequence()).map_err(|error| error.to_string())
}

#[test]
fn corpus_expiry_decides_at_admission_only() {
    let corpus = packed("config-updates");
    let updates = config_updates::accepted(&corpus, "raft-add");
    assert!(!updates.is_empty());
    for (current, envelope) in updates {
        let long_after_expiry = ExpiryCheck::At { now_unix_s: 9_000_000_000 };
        let error = ConfigChange::evaluate(&current, &envelope, long_after_expiry).unwrap_err();
        assert!(matches!(error, ChangeError::RaftMetadata(RaftMetadataError::Expired { .. })), "{error}");
        ConfigChange::evaluate(&current, &envelope, ExpiryCheck::Skip).unwrap();
    }
}

/// Writes the packed form of a published corpus; compress it afterwards.
#[test]
#[ignore = "changes files of this repository"]
fn repack() {
    let source = folder::folder().expect("FABRIC_CORPUS is not set");
    let write = |name: &str, bytes: Vec<u8>, unreadable: &[String]| {
        assert!(unreadable.is_empty(), "{unreadable:?}");
        let path = format!("{}/tests/data/corpus/{name}.bin", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, bytes).unwrap();
    };
    let read = json_lines::read_blocks(&source);
    write("blocks", read.corpus.encode_to_vec(), &read.unreadable);
    let read = json_lines::read_policies(&source);
    write("policies", read.corpus.encode_to_vec(), &read.unreadable);
    let read = json_lines::read_identities(&source);
    write("identities", read.corpus.encode_to_vec(), &read.unreadable);
    let mut read = json_lines::read_updates(&source);
    read.corpus.cases.iter_mut().for_each(|case| case.result.clear());
    write("config-updates", read.corpus.encode_to_vec(), &read.unreadable);
}

/// A few MiB.
const COPIES_BYTES_MAX: u64 = 4 << 20;
