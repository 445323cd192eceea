//! The keys that are made, against what cryptogen makes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fabric_channel::Certificate;
use fabric_proto::low_s::{Curve, is_low_s};
use frontend_shim::tls::{self, ALPN_GRPC, ClientAuth, ServerTrust};
use frontend_shim::tls_identity::{TlsIdentity, load_certificates};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::super::crypto_folder;
use super::super::genesis::{ORDERER_MSP_ID, PEER_MSP_ID};
use super::{fabric, reason};
use crate::keys::LocalMsp;

const ORDERERS: &str = "ordererOrganizations/orderer.example.com";
const PEERS: &str = "peerOrganizations/org1.example.com";

fn made(nodes: u16) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("crypto");
    crypto_folder::make(&root, nodes).unwrap();
    (dir, root)
}

/// All files below a folder, and its empty folders with a `/` behind.
fn tree(folder: &Path, prefix: &str, into: &mut BTreeSet<String>) {
    let entries: Vec<_> = fs::read_dir(folder).unwrap().map(Result::unwrap).collect();
    if entries.is_empty() {
        into.insert(prefix.to_owned());
    }
    for entry in entries {
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            tree(&entry.path(), &format!("{name}/"), into);
        } else {
            into.insert(name);
        }
    }
}

/// What cryptogen writes into an MSP folder; with an owner, also who it is.
fn cryptogens_msp(folder: &str, domain: &str, owner: Option<&str>) -> Vec<String> {
    let mut files = vec![
        format!("{folder}/admincerts/"),
        format!("{folder}/cacerts/ca.{domain}-cert.pem"),
        format!("{folder}/tlscacerts/tlsca.{domain}-cert.pem"),
        format!("{folder}/config.yaml"),
    ];
    if let Some(owner) = owner {
        files.push(format!("{folder}/keystore/priv_sk"));
        files.push(format!("{folder}/signcerts/{owner}-cert.pem"));
    }
    files
}

/// What cryptogen writes for a network of so many orderers, one peer and one user.
fn cryptogens_tree(nodes: u16) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    let mut tls = Vec::new();
    for (organisation, domain) in [(ORDERERS, "orderer.example.com"), (PEERS, "org1.example.com")] {
        files.extend(cryptogens_msp(&format!("{organisation}/msp"), domain, None));
        let (kind, hosts, users): (_, Vec<String>, &[&str]) = match organisation {
            ORDERERS => ("orderers", (1..=nodes).map(|node| format!("o{node}")).collect(), &["Admin"]),
            _ => ("peers", vec!["peer0".to_owned()], &["Admin", "User1"]),
        };
        for host in hosts {
            let name = format!("{host}.{domain}");
            files.extend(cryptogens_msp(&format!("{organisation}/{kind}/{name}/msp"), domain, Some(&name)));
            tls.push(format!("{organisation}/{kind}/{name}/tls/server"));
        }
        for user in users {
            let name = format!("{user}@{domain}");
            files.extend(cryptogens_msp(&format!("{organisation}/users/{name}/msp"), domain, Some(&name)));
            tls.push(format!("{organisation}/users/{name}/tls/client"));
        }
        for authority in ["ca", "tlsca"] {
            files.insert(format!("{organisation}/{authority}/priv_sk"));
            files.insert(format!("{organisation}/{authority}/{authority}.{domain}-cert.pem"));
        }
    }
    for role in tls {
        let folder = role.rsplit_once('/').unwrap().0;
        files.extend([format!("{role}.crt"), format!("{role}.key"), format!("{folder}/ca.crt")]);
    }
    files
}

#[test]
fn the_layout_is_cryptogens() {
    let (_dir, root) = made(4);
    let mut found = BTreeSet::new();
    tree(&root, "", &mut found);
    assert_eq!(found, cryptogens_tree(4));
    // The expectation itself, against what cryptogen made; version control does not keep empty folders.
    let mut real = BTreeSet::new();
    tree(&fabric("crypto"), "", &mut real);
    let unknown: Vec<_> = real.difference(&found).collect();
    assert!(unknown.is_empty(), "cryptogen makes {unknown:?} as well");
}

#[test]
fn private_keys_are_private() {
    let (_dir, root) = made(1);
    let mut files = BTreeSet::new();
    tree(&root, "", &mut files);
    for file in files.iter().filter(|file| !file.ends_with('/')) {
        let mode = fs::metadata(root.join(file)).unwrap().permissions().mode() & 0o777;
        let is_key = file.ends_with("priv_sk") || file.ends_with(".key");
        assert_eq!(mode & 0o077 == 0, is_key, "{file} has mode {mode:o}");
        let pem = fs::read_to_string(root.join(file)).unwrap();
        assert_eq!(pem.starts_with("-----BEGIN PRIVATE KEY-----"), is_key, "{file}");
    }
}

fn der(path: &Path) -> Vec<u8> {
    Certificate::from_pem(&fs::read(path).unwrap()).unwrap().der().to_vec()
}

/// Extensions by OID: whether critical, and the value where it does not depend on a key.
fn extensions(der: &[u8]) -> BTreeMap<String, (bool, Option<Vec<u8>>)> {
    const SUBJECT_KEY: &str = "2.5.29.14";
    const AUTHORITY_KEY: &str = "2.5.29.35";
    const EXTENDED_USAGE: &str = "2.5.29.37";
    let (_, certificate) = X509Certificate::from_der(der).unwrap();
    let describe = |extension: &x509_parser::extensions::X509Extension<'_>| {
        let oid = extension.oid.to_id_string();
        let value = match oid.as_str() {
            SUBJECT_KEY | AUTHORITY_KEY => None,
            // An unordered list.
            EXTENDED_USAGE => {
                let usage = certificate.extended_key_usage().unwrap().unwrap().value;
                Some(vec![usage.server_auth.into(), usage.client_auth.into(), usage.any.into()])
            }
            _ => Some(extension.value.to_vec()),
        };
        (oid, (extension.critical, value))
    };
    certificate.extensions().iter().map(describe).collect()
}

/// Subject without the differing key: the attributes in order.
fn subject(der: &[u8]) -> String {
    X509Certificate::from_der(der).unwrap().1.subject().to_string()
}

#[test]
fn certificates_say_what_cryptogens_say() {
    let (_dir, root) = made(2);
    let real = fabric("crypto");
    for file in [
        format!("{ORDERERS}/msp/cacerts/ca.orderer.example.com-cert.pem"),
        format!("{ORDERERS}/msp/tlscacerts/tlsca.orderer.example.com-cert.pem"),
        format!("{ORDERERS}/orderers/o2.orderer.example.com/msp/signcerts/o2.orderer.example.com-cert.pem"),
        format!("{ORDERERS}/orderers/o2.orderer.example.com/tls/server.crt"),
        format!("{PEERS}/users/User1@org1.example.com/msp/signcerts/User1@org1.example.com-cert.pem"),
        format!("{PEERS}/users/User1@org1.example.com/tls/client.crt"),
    ] {
        let (ours, theirs) = (der(&root.join(&file)), der(&real.join(&file)));
        assert_eq!(subject(&ours), subject(&theirs), "{file}");
        let (mut ours, theirs) = (extensions(&ours), extensions(&theirs));
        if !file.contains("ca.") {
            assert!(ours.remove("2.5.29.14").is_some(), "{file}: a leaf has its own identifier as well");
        }
        assert_eq!(ours, theirs, "{file}");
    }
}

#[test]
fn certificates_are_low_s_and_valid_for_ten_years() {
    let (_dir, root) = made(9);
    let mut files = BTreeSet::new();
    tree(&root, "", &mut files);
    let certificates: Vec<_> = files.iter().filter(|file| file.ends_with(".pem") || file.ends_with(".crt")).collect();
    assert!(certificates.len() > 30);
    for file in certificates {
        let der = der(&root.join(file));
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        assert!(is_low_s(Curve::P256, &certificate.signature_value.data).unwrap(), "{file}");
        let validity = certificate.validity();
        assert!(validity.is_valid(), "{file}");
        let days = (validity.not_after.timestamp() - validity.not_before.timestamp()) / 86_400;
        assert_eq!(days, 3650, "{file}");
    }
}

#[test]
fn every_identity_loads_as_a_local_msp() {
    let (_dir, root) = made(4);
    for node in 1..=4 {
        LocalMsp::load(&root.join(format!("{ORDERERS}/orderers/o{node}.orderer.example.com/msp")), ORDERER_MSP_ID)
            .unwrap();
    }
    LocalMsp::load(&root.join(format!("{ORDERERS}/users/Admin@orderer.example.com/msp")), ORDERER_MSP_ID).unwrap();
    for member in ["peers/peer0.org1.example.com", "users/Admin@org1.example.com", "users/User1@org1.example.com"] {
        LocalMsp::load(&root.join(format!("{PEERS}/{member}/msp")), PEER_MSP_ID).unwrap();
    }
    let foreign = root.join(format!("{PEERS}/peers/peer0.org1.example.com/msp/cacerts/ca.org1.example.com-cert.pem"));
    fs::copy(root.join(format!("{ORDERERS}/ca/ca.orderer.example.com-cert.pem")), &foreign).unwrap();
    LocalMsp::load(&root.join(format!("{PEERS}/peers/peer0.org1.example.com/msp")), PEER_MSP_ID).unwrap_err();
}

/// Shakes hands with the node of a folder at one of its names.
async fn shake_hands(root: &Path, name: &str, trust: &str) -> bool {
    let folder = root.join(format!("{ORDERERS}/orderers/o1.orderer.example.com/tls"));
    let identity = TlsIdentity::load(&folder.join("server.crt"), &folder.join("server.key")).unwrap();
    let server = tls::server_config(&identity, &[ALPN_GRPC], ClientAuth::Requested).unwrap();
    let authorities = load_certificates(&root.join(trust)).unwrap();
    let client = tls::client_config(Some(&identity), ALPN_GRPC, ServerTrust::Authorities(authorities)).unwrap();
    let (near, far) = tokio::io::duplex(1 << 16);
    let serving = tokio::spawn(tls::accept(far, server));
    let name = rustls_pki_types::ServerName::try_from(name.to_owned()).unwrap();
    let dialled = tokio_rustls::TlsConnector::from(client).connect(name, near).await;
    serving.await.unwrap().is_ok() && dialled.is_ok()
}

#[tokio::test]
async fn a_node_is_trusted_at_its_names_under_its_authority_only() {
    let (_dir, root) = made(1);
    let authority = format!("{ORDERERS}/orderers/o1.orderer.example.com/tls/ca.crt");
    for name in ["127.0.0.1", "::1", "localhost", "o1", "o1.orderer.example.com"] {
        assert!(shake_hands(&root, name, &authority).await, "{name}");
    }
    assert!(!shake_hands(&root, "orderer.example.com", &authority).await);
    assert!(!shake_hands(&root, "127.0.0.1", &format!("{PEERS}/peers/peer0.org1.example.com/tls/ca.crt")).await);
}

#[test]
fn keys_are_not_written_over_and_an_interrupted_making_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("crypto");
    let unfinished = dir.path().join("crypto.unfinished");
    fs::create_dir_all(unfinished.join("ordererOrganizations")).unwrap();
    crypto_folder::make(&root, 1).unwrap();
    assert!(!unfinished.exists());
    let key = root.join(format!("{ORDERERS}/ca/priv_sk"));
    let before = fs::read(&key).unwrap();
    let error = reason(crypto_folder::make(&root, 1));
    assert!(error.ends_with("crypto exists already; keys are not written over"), "{error}");
    assert_eq!(fs::read(&key).unwrap(), before);
}
