//! What every file of the tree keeps to, so that nobody has to say it in a review.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use integration::binary::workspace;

/// Lines of the longest source file; a longer one holds more than one noun.
const FILE_LINES_MAX: usize = 700;

fn files(ending: &str) -> Vec<PathBuf> {
    let found = files_if_any(ending);
    assert!(!found.is_empty(), "no *{ending} under {}", workspace().display());
    found
}

fn files_if_any(ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(workspace(), ending, &mut found);
    found.sort();
    found
}

fn walk(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_ours = !name.starts_with('.') && !["target", "data", "node_modules"].contains(&&name[..]);
        if path.is_dir() && is_ours {
            walk(&path, ending, found);
        } else if path.is_file() && name.ends_with(ending) {
            found.push(path);
        }
    }
}

fn complain(what: &str, complaints: &[String]) {
    assert!(complaints.is_empty(), "{what}:\n{}", complaints.join("\n"));
}

#[test]
fn every_source_file_says_what_it_owns_and_holds_one_noun() {
    let mut complaints = Vec::new();
    for path in files(".rs") {
        let text = fs::read_to_string(&path).unwrap();
        if !text.starts_with("//!") {
            complaints.push(format!("{}: does not begin with //!", path.display()));
        }
        if text.lines().count() > FILE_LINES_MAX {
            complaints.push(format!("{}: more than {FILE_LINES_MAX} lines", path.display()));
        }
    }
    complain("source files", &complaints);
}

#[test]
fn nothing_is_left_open() {
    let marks = ["TODO", "FIXME", "XXX"].map(str::to_owned).into_iter();
    let macros = ["todo", "unimplemented", "dbg"].map(|name| format!("{name}!("));
    let marks: Vec<String> = marks.chain(macros).collect();
    let mut complaints = Vec::new();
    for path in files(".rs").into_iter().filter(|path| !path.ends_with("tidy.rs")) {
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(mark) = marks.iter().find(|mark| line.contains(*mark)) {
                complaints.push(format!("{}:{number}: {mark}", path.display()));
            }
        }
    }
    complain("left open", &complaints);
}

/// The workspace forbids it for every program and test, as long as each crate takes its lints from there.
#[test]
fn every_crate_forbids_unsafe_code() {
    let read = |path: &str| fs::read_to_string(workspace().join(path)).unwrap();
    assert!(read("Cargo.toml").contains("unsafe_code = \"forbid\""));
    for member in [
        "blockcutter",
        "channel-tool",
        "fabric-channel",
        "fabric-proto",
        "frontend-shim",
        "integration",
        "mod-smart",
        "orderer-node",
    ] {
        assert!(read(&format!("{member}/src/lib.rs")).contains("#![forbid(unsafe_code)]"), "{member}");
        assert!(read(&format!("{member}/Cargo.toml")).contains("[lints]\nworkspace = true"), "{member}");
    }
}

/// What is in the tree works on any machine, and its dependencies come from one place.
#[test]
fn nothing_knows_the_machine_it_was_made_on() {
    let mut complaints = Vec::new();
    for path in [".rs", ".md", ".toml", ".proto", ".yaml"].iter().flat_map(|ending| files_if_any(ending)) {
        let text = fs::read_to_string(&path).unwrap();
        let places = ["/home/", "/root/", "/tmp/", "/Users/"];
        for place in places.iter().filter(|place| !path.ends_with("tidy.rs") && text.contains(**place)) {
            complaints.push(format!("{}: {place}", path.display()));
        }
    }
    let lock = fs::read_to_string(workspace().join("Cargo.lock")).unwrap();
    let sources = lock.lines().filter(|line| line.starts_with("source = "));
    let strange = sources.filter(|line| *line != "source = \"registry+https://github.com/rust-lang/crates.io-index\"");
    complaints.extend(strange.map(|line| format!("Cargo.lock: {line}")));
    complain("names of machines", &complaints);
}

/// The dependency list is the other half of the promise that `clippy.toml` makes.
#[test]
fn the_pure_crates_depend_on_nothing_that_can_act() {
    for member in ["blockcutter", "fabric-channel", "fabric-proto", "mod-smart"] {
        let folder = workspace().join(member);
        assert!(folder.join("clippy.toml").exists(), "{member} has no clippy.toml");
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
        for name in ["tokio", "hyper", "axum", "tonic", "rand", "rayon", "tracing", "socket"] {
            assert!(!dependencies.contains(name), "{member} depends on {name}");
        }
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut complaints = Vec::new();
    for path in files(".md") {
        let text = fs::read_to_string(&path).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            if !path.parent().unwrap().join(file).exists() {
                complaints.push(format!("{}: {target}", path.display()));
            }
        }
    }
    complain("broken links", &complaints);
}
