//! The container recipe, the Kubernetes manifests and the systemd unit in `configs/`: each by itself, all against each other,
//! and against the program that they start.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

#[path = "../http/mod.rs"]
mod http;

mod agreement;
mod containerfile;
mod images;
mod kubernetes;
mod manifests;
mod manual;
mod starting;
mod systemd;
mod unit;
mod yaml;

use std::path::{Path, PathBuf};

use orderer_node::orderer_yaml::{self, Environment, Loaded};

/// The root of the source tree.
fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The text of a file in `configs/`.
fn config(name: &str) -> String {
    let path = tree().join("configs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Variables by name, as a deployment sets them.
type Variables = Vec<(String, String)>;

/// What the variables of a deployment mean over the file of the images. Nothing in them is unknown, left over or without
/// effect, and none is for another program.
fn understood(variables: &Variables) -> Loaded {
    for (name, _) in variables {
        let is_ours = name.starts_with("ORDERER_") || OF_FABRIC.contains(&name.as_str());
        assert!(is_ours, "{name} is no variable of this program");
    }
    let environment: Environment = variables.iter().cloned().collect();
    let path = Path::new("/etc/hyperledger/fabric/orderer.yaml");
    let loaded = orderer_yaml::parse(&config("orderer.yaml"), path, &environment).unwrap();
    assert_eq!(loaded.notices, [], "of {variables:?}");
    loaded
}

/// The variables that Fabric's programs read besides those of `orderer.yaml`.
const OF_FABRIC: [&str; 3] = ["FABRIC_CFG_PATH", "FABRIC_LOGGING_SPEC", "FABRIC_LOGGING_FORMAT"];

#[test]
#[should_panic(expected = "did you mean ORDERER_GENERAL_LISTENPORT?")]
fn a_variable_that_means_nothing_does_not_pass() {
    understood(&vec![("ORDERER_GENERAL_LISTENPROT".to_owned(), "7050".to_owned())]);
}
