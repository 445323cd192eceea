//! Tests of the parts that need no running node: keys, channels, matching, load clients.

#![allow(clippy::unwrap_used)]

mod channel;
mod frontends;
mod given;
mod keys;
mod load;
mod ordering;
mod served;

use std::path::{Path, PathBuf};

use super::plan::ChannelOptions;

/// Material that Fabric's own tools made.
fn fabric(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../integration/tests/data").join(path)
}

fn options() -> ChannelOptions {
    ChannelOptions::default()
}

/// The whole chain of reasons.
fn reason<T>(result: anyhow::Result<T>) -> String {
    match result {
        Ok(_) => panic!("it should have been refused"),
        Err(error) => format!("{error:#}"),
    }
}

/// A copy of a folder, to be spoiled.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
