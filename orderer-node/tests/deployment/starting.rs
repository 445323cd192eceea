//! The real program, started on the manifests: on the image's file and variables, the config map, and volumes laid out as a
//! kubelet lays them out. Only the root of the file system and the ports are the test's own.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::http::authority::Authority;
use super::http::get;
use super::images::stages;
use super::manifests::{Manifests, list, text};
use super::{Variables, config, tree};

/// What the secrets hold, by the end of their names and their keys.
type Secrets = BTreeMap<(&'static str, &'static str), Vec<u8>>;

fn secrets(authority: &Authority) -> Secrets {
    let msp = |file: &str| std::fs::read(tree().join("orderer-node/tests/data/msp").join(file)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name);
    authority.save(&place("ca"));
    authority.issue("orderer").save(&place("certificate"), &place("key"));
    let tls = |name: &str| std::fs::read(place(name)).unwrap();
    Secrets::from([
        (("msp", "signcert.pem"), msp("signcerts/o1.orderer.example.com-cert.pem")),
        (("msp", "key.pem"), msp("keystore/priv_sk")),
        (("msp", "cacert.pem"), msp("cacerts/ca.orderer.example.com-cert.pem")),
        (("tls", "tls.crt"), tls("certificate")),
        (("tls", "tls.key"), tls("key")),
        (("tls", "ca.crt"), tls("ca")),
    ])
}

/// The files of a secret volume: the content in a folder with a name of its own, and links to it for whoever looks.
fn mount_secret(at: &Path, volume: &Value, secrets: &Secrets) {
    let name = text(&volume["secretName"]);
    let of_secret = secrets.iter().filter(|((end, _), _)| name.ends_with(end));
    let by_key: BTreeMap<&str, &Vec<u8>> = of_secret.map(|((_, key), content)| (*key, content)).collect();
    let files: Vec<(&str, &str)> = match volume["items"].as_array() {
        Some(items) => items.iter().map(|item| (text(&item["key"]), text(&item["path"]))).collect(),
        None => by_key.keys().map(|key| (*key, *key)).collect(),
    };
    let content = at.join("..2026_11_22_00_00_00.1");
    for (key, path) in files {
        let file = content.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, by_key[key]).unwrap();
    }
    symlink(content.file_name().unwrap(), at.join("..data")).unwrap();
    for entry in std::fs::read_dir(&content).unwrap() {
        let name = entry.unwrap().file_name();
        symlink(Path::new("..data").join(&name), at.join(&name)).unwrap();
    }
}

/// The file system of the container below `root`.
fn lay_out(root: &Path, manifests: &Manifests, secrets: &Secrets) {
    for (path, volume) in manifests.mounts() {
        let at = below(root, &path);
        std::fs::create_dir_all(&at).unwrap();
        if !volume["secret"].is_null() {
            mount_secret(&at, &volume["secret"], secrets);
        }
    }
    let slim = stages(&config("Containerfile")).into_iter().find(|stage| stage.name == "slim").unwrap();
    for copied in slim.copies().into_iter().filter(|copied| copied.from.is_none()) {
        let to = below(root, &copied.target);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(tree().join(&copied.sources[0]), to).unwrap();
    }
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// The variables of the image and over them those of the pod, with paths below `root` and free ports of this machine.
fn variables(root: &Path, manifests: &Manifests) -> Variables {
    let slim = stages(&config("Containerfile")).into_iter().find(|stage| stage.name == "slim").unwrap();
    let mut variables = slim.environment();
    variables.extend(manifests.environment());
    for (name, value) in &mut variables {
        for folder in ["/var/hyperledger", "/etc/hyperledger", "/run/"] {
            *value = value.replace(folder, &format!("{}{folder}", root.display()));
        }
        *value = match name.as_str() {
            "ORDERER_GENERAL_LISTENADDRESS" => "127.0.0.1".to_owned(),
            "ORDERER_GENERAL_LISTENPORT" => "0".to_owned(),
            "ORDERER_ADMIN_LISTENADDRESS" | "ORDERER_OPERATIONS_LISTENADDRESS" => "127.0.0.1:0".to_owned(),
            _ => std::mem::take(value),
        };
    }
    variables
}

/// The running program and what it has said.
struct Running {
    process: Child,
    said: Vec<Value>,
    /// What else it says goes here: a program whose log cannot be written is not what is looked at.
    _log: BufReader<ChildStderr>,
}

impl Running {
    /// Starts the program and waits until it serves.
    fn start(root: &Path, variables: Variables) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orderer"));
        command.arg("start").current_dir(root).env_clear().envs(variables).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (mut log, mut said) = (BufReader::new(process.stderr.take().unwrap()), Vec::new());
        for line in log.by_ref().lines() {
            let line = line.unwrap();
            let entry: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let serves = entry["msg"] == "Beginning to serve requests";
            said.push(entry);
            if serves {
                return Self { process, said, _log: log };
            }
        }
        panic!("it ended with {} after {said:#?}", process.wait().unwrap());
    }

    /// Where it says that it serves something.
    fn address(&self, what: &str) -> SocketAddr {
        let entry = self.said.iter().find(|entry| entry["msg"] == what).unwrap_or_else(|| panic!("{:#?}", self.said));
        text(&entry["address"]).parse().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Whether it has ended already does not matter here.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn the_program_starts_on_the_manifests_and_answers_their_probes() {
    let (manifests, authority, root) = (Manifests::of_org1(), Authority::new("tls"), tempfile::tempdir().unwrap());
    lay_out(root.path(), &manifests, &secrets(&authority));
    let mut running = Running::start(root.path(), variables(root.path(), &manifests));
    let worried: Vec<&Value> = running.said.iter().filter(|entry| entry["level"] != "info").collect();
    assert!(worried.is_empty(), "{worried:#?}");
    running.address("serving the channel participation API");

    let operations = running.address("serving the operations endpoint");
    for (name, probe) in manifests.probes() {
        let answer = get(text(&probe["path"])).send_tls(operations, &authority, None).await.unwrap();
        // The machine of the test may be short of disk, which only readiness tells.
        let expected: &[u16] = if name == "readinessProbe" { &[200, 503] } else { &[200] };
        assert!(expected.contains(&answer.status), "{name}: {} {}", answer.status, answer.text());
        assert_eq!(answer.json()["status"] == "OK", answer.status == 200);
    }
    let administrator = authority.issue("administrator").identity();
    let metrics = get("/metrics").send_tls(operations, &authority, Some(&administrator)).await.unwrap();
    assert!(metrics.status == 200 && metrics.text().contains("fabric_version{"), "{}", metrics.text());
    let absent = get("/livez").send_tls(operations, &authority, Some(&administrator)).await.unwrap();
    assert_eq!(absent.status, 404, "what is no route is told apart");

    let socket = below(root.path(), "/run/orderer/status.sock");
    assert_eq!(frontend_shim::status::fetch(&socket).await.unwrap().version, env!("CARGO_PKG_VERSION"));
    kill(Pid::from_raw(i32::try_from(running.process.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert!(running.process.wait().unwrap().success());
}

/// The identity comes from the secret: without one of its entries the node says which folder is empty and ends.
#[test]
fn the_program_does_not_start_without_the_key() {
    let (manifests, authority, root) = (Manifests::of_org1(), Authority::new("tls"), tempfile::tempdir().unwrap());
    let mut secrets = secrets(&authority);
    secrets.insert(("msp", "key.pem"), Vec::new());
    lay_out(root.path(), &manifests, &secrets);
    let mut command = Command::new(env!("CARGO_BIN_EXE_orderer"));
    let output = command.env_clear().envs(variables(root.path(), &manifests)).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    let last = told.lines().last().unwrap();
    let folder = list(&manifests.container()["volumeMounts"]).iter().find(|mount| mount["name"] == "msp").unwrap();
    let keystore = below(root.path(), text(&folder["mountPath"])).join("keystore");
    assert!(!output.status.success() && last.contains(&keystore.display().to_string()), "{told}");
}
