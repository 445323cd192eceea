//! The `orderer` program from outside: its commands, what it says, how it ends.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The program in a folder, with nothing in its environment but these variables.
fn orderer(dir: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orderer"));
    command.current_dir(dir).args(arguments).env_clear().envs(variables.iter().copied());
    command
}

fn told(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8(output.stderr.clone()).unwrap())
}

#[test]
fn version_is_printed_in_the_shape_of_fabrics_programs() {
    let dir = tempfile::tempdir().unwrap();
    let output = orderer(dir.path(), &["version"], &[]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert!(output.status.success());
    assert!(text.starts_with(&format!("orderer:\n Version: {version}\n Commit SHA: ")), "{text}");
    assert!(text.contains(&format!("\n OS/Arch: {}/", std::env::consts::OS)), "{text}");
}

#[test]
fn what_keeps_it_from_starting_is_the_last_line() {
    let dir = tempfile::tempdir().unwrap();
    let named = dir.path().join("named");
    let cfg = ("FABRIC_CFG_PATH", named.to_str().unwrap());
    let (code, text) = told(&orderer(dir.path(), &[], &[cfg]).output().unwrap());
    assert_eq!(code, Some(1));
    let looked = format!("orderer: no orderer.yaml: looked for {}", named.join("orderer.yaml").display());
    assert!(text.starts_with(&looked), "{text}");

    let file = dir.path().join("orderer.yaml");
    std::fs::write(&file, "General:\n  ListenPort: many\n").unwrap();
    let (code, text) = told(&orderer(dir.path(), &["start"], &[]).output().unwrap());
    let expected = format!("orderer: {}:2: General.ListenPort = \"many\" is not a port", file.display());
    assert_eq!((code, text.starts_with(&expected)), (Some(1), true), "{text}");

    std::fs::write(&file, "General: {TLS: {Enabled: true, Certificate: a, PrivateKey: b}}\n").unwrap();
    let (code, text) = told(&orderer(dir.path(), &[], &[]).output().unwrap());
    let last = text.lines().last().unwrap();
    let expected = format!("orderer: cannot read {}: No such file", dir.path().join("msp/signcerts").display());
    assert_eq!((code, last.starts_with(&expected), last.matches("No such file").count()), (Some(1), true, 1), "{text}");

    assert_eq!(told(&orderer(dir.path(), &["stop"], &[]).output().unwrap()).0, Some(2));
}

/// A node that wants nothing but these settings, started.
fn start(dir: &Path) -> Child {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(dir.join("server.crt"), made.cert.pem()).unwrap();
    std::fs::write(dir.join("server.key"), made.signing_key.serialize_pem()).unwrap();
    let text = "General:\n  ListenPort: 0\n  TLS: {Enabled: true, Certificate: server.crt, PrivateKey: server.key}\n\
                Kafka: {Verbose: false}\nUnheardOf: 1\n";
    std::fs::write(dir.join("orderer.yaml"), text).unwrap();
    let msp = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/msp");
    let data = dir.join("data");
    let variables = [
        ("ORDERER_GENERAL_LOCALMSPDIR", msp.to_str().unwrap()),
        ("ORDERER_GENERAL_LOCALMSPID", "OrdererMSP"),
        ("ORDERER_GENERAL_BOOTSTRAPMETHOD", "none"),
        ("ORDERER_FILELEDGER_LOCATION", data.to_str().unwrap()),
        ("FABRIC_LOGGING_SPEC", "info:msp=error"),
        ("FABRIC_LOGGING_FORMAT", "%{level:.4s} [%{module}] %{message}"),
    ];
    orderer(dir, &[], &variables).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn it_serves_from_file_and_environment_until_it_is_told_to_stop() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = start(dir.path());
    let mut lines = BufReader::new(node.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut seen = Vec::new();
    let began =
        lines.by_ref().inspect(|line| seen.push(line.clone())).any(|line| line.contains("Beginning to serve requests"));
    assert!(began, "{seen:#?}");
    assert!(seen.last().unwrap().starts_with("INFO [orderer.common.server] Beginning to serve requests"), "{seen:#?}");
    let has = |start: &str| seen.iter().any(|line| line.starts_with(start));
    assert!(has("INFO [localconfig] Kafka: left over from older versions of Fabric"), "{seen:#?}");
    assert!(
        has("WARN [localconfig] ") && seen.iter().any(|line| line.contains("unknown key `UnheardOf`")),
        "{seen:#?}"
    );

    tell(&node, Signal::SIGUSR1);
    assert!(lines.next().unwrap().contains("Received signal: 10 (SIGUSR1)"));
    tell(&node, Signal::SIGTERM);
    seen.extend(lines);
    assert!(node.wait().unwrap().success(), "{seen:#?}");
}

#[test]
fn a_node_that_is_told_to_stop_while_it_starts_stops_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = start(dir.path());
    let mut lines = BufReader::new(node.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("verification: every envelope")), "it is about to open its first socket");
    tell(&node, Signal::SIGTERM);
    let rest: Vec<_> = lines.collect();
    assert!(node.wait().unwrap().success(), "{rest:#?}");
    assert!(rest.last().unwrap().contains("stopping signal=SIGTERM"), "{rest:#?}");
}

fn tell(node: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(node.id()).unwrap()), signal).unwrap();
}
