//! Networks of keys and genesis blocks that Fabric's tools made, and what can be wrong with them.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::data_folder::DataFolder;
use super::super::network::Network;
use super::{copy, fabric, options, reason};

const BFT: &str = "bft/genesis.block";
const RAFT: &str = "raft/genesis.block";

fn orderer(crypto: &Path, node: usize) -> PathBuf {
    crypto.join(format!("ordererOrganizations/orderer.example.com/orderers/o{node}.orderer.example.com"))
}

fn signcert(crypto: &Path, node: usize) -> PathBuf {
    orderer(crypto, node).join(format!("msp/signcerts/o{node}.orderer.example.com-cert.pem"))
}

/// A copy of the keys, to be spoiled.
fn keys() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let crypto = dir.path().join("crypto");
    copy(&fabric("crypto"), &crypto);
    (dir, crypto)
}

#[test]
fn consenters_find_their_folders_whatever_these_are_called() {
    let (_dir, crypto) = keys();
    fs::rename(orderer(&crypto, 1), orderer(&crypto, 9)).unwrap();
    fs::rename(orderer(&crypto, 3), orderer(&crypto, 1)).unwrap();
    for (genesis, nodes) in [(BFT, 4), (RAFT, 3)] {
        let network = Network::read(&fabric(genesis), &crypto).unwrap();
        let folders: Vec<_> = network.nodes.iter().map(|node| node.folder.clone()).collect();
        let expected = [9, 2, 1, 4].map(|node| orderer(&crypto, node));
        assert_eq!(folders, expected[..nodes], "{genesis}");
        let ports: Vec<u16> = network.nodes.iter().map(|node| node.listen.port()).collect();
        assert_eq!(ports, [7050, 7051, 7052, 7053][..nodes]);
        assert!(network.nodes.iter().all(|node| node.msp_id == "OrdererMSP"));
        assert_eq!(network.client.msp_id, "Org1MSP");
    }
}

#[test]
fn a_wrong_identity_certificate_is_named() {
    let (_dir, crypto) = keys();
    fs::copy(signcert(&crypto, 1), signcert(&crypto, 2)).unwrap();
    let error = reason(Network::read(&fabric(BFT), &crypto));
    assert!(error.contains("consenter 2 (127.0.0.1:7051): no folder in "), "{error}");
    assert!(error.contains("has its identity certificate") && error.contains("CN=o2.orderer.example.com"), "{error}");
}

#[test]
fn a_certificate_of_the_same_name_by_other_hands_is_pointed_out() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataFolder::open(dir.path()).unwrap();
    let ours = data.own_material(&options()).unwrap();
    let error = reason(Network::read(&fabric(BFT), &ours.crypto));
    assert!(error.contains("does not fit") && error.contains("consenter 1 (127.0.0.1:7050)"), "{error}");
    assert!(error.contains("o1.orderer.example.com has a certificate of the same name, but another one"), "{error}");
}

#[test]
fn a_wrong_tls_certificate_is_named() {
    let (_dir, crypto) = keys();
    for file in ["tls/server.crt", "tls/server.key"] {
        fs::copy(orderer(&crypto, 1).join(file), orderer(&crypto, 2).join(file)).unwrap();
    }
    let error = reason(Network::read(&fabric(BFT), &crypto));
    let expected =
        "o2.orderer.example.com/tls/server.crt: not the server TLS certificate that the channel names for consenter 2";
    assert!(error.contains(expected), "{error}");
    let error = reason(Network::read(&fabric(RAFT), &crypto));
    assert!(error.contains("consenter 2 (127.0.0.1:7051): no folder in "), "{error}");
    assert!(error.contains("has its server TLS certificate"), "{error}");
}

#[test]
fn keys_of_other_certificates_are_named() {
    let (_dir, crypto) = keys();
    fs::copy(orderer(&crypto, 1).join("tls/server.key"), orderer(&crypto, 3).join("tls/server.key")).unwrap();
    let error = reason(Network::read(&fabric(BFT), &crypto));
    assert!(error.contains("o3.orderer.example.com/tls/server.key: the private key does not belong"), "{error}");
    let (_dir, crypto) = keys();
    fs::copy(orderer(&crypto, 1).join("msp/keystore/priv_sk"), orderer(&crypto, 3).join("msp/keystore/priv_sk"))
        .unwrap();
    let error = reason(Network::read(&fabric(BFT), &crypto));
    assert!(error.contains("certificate and key do not match") && error.contains("o3.orderer"), "{error}");
}

#[test]
fn unreadable_files_are_named() {
    let (_dir, crypto) = keys();
    let error = reason(Network::read(&crypto.join("none.block"), &crypto));
    assert!(error.contains("cannot read ") && error.contains("none.block"), "{error}");
    let error = reason(Network::read(&fabric(BFT), &crypto.join("none")));
    assert!(error.contains("none/ordererOrganizations: No such file"), "{error}");
    fs::write(signcert(&crypto, 4), "not a certificate").unwrap();
    let error = reason(Network::read(&fabric(BFT), &crypto));
    assert!(error.contains("o4.orderer.example.com-cert.pem: not a PEM encoded certificate"), "{error}");
    fs::remove_file(signcert(&crypto, 4)).unwrap();
    let error = reason(Network::read(&fabric(BFT), &crypto));
    assert!(error.contains("signcerts: no certificate in this folder"), "{error}");
    fs::remove_dir_all(crypto.join("peerOrganizations")).unwrap();
    let error = reason(Network::read(&fabric(RAFT), &crypto));
    assert!(error.contains("holds a certificate and key of an organisation of the channel"), "{error}");
}

#[test]
fn a_folder_stays_with_the_genesis_block_it_was_started_with() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataFolder::open(dir.path()).unwrap();
    let material = data.given_material(&fabric(BFT), &fabric("crypto")).unwrap();
    assert_eq!(fs::read(&material.genesis).unwrap(), fs::read(fabric(BFT)).unwrap());
    assert_eq!(data.given_material(&fabric(BFT), &fabric("crypto")).unwrap(), material);
    let error = reason(data.given_material(&fabric(RAFT), &fabric("crypto")));
    assert!(error.contains("is not the block that") && error.contains("choose another --data"), "{error}");
    let error = reason(data.own_material(&options()));
    assert!(error.contains("it was started with --genesis and --crypto, which are needed again"), "{error}");
    assert_eq!(fs::read(&material.genesis).unwrap(), fs::read(fabric(BFT)).unwrap());
}
