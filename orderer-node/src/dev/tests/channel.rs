//! A channel of our own: what it is, and that a folder keeps it.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use blockcutter::Verification;
use bytes::Bytes;
use fabric_channel::{ChannelConfig, ConsensusType, Principal, Role};
use fabric_proto::ChannelId;
use fabric_proto::common::Block;
use frontend_shim::group_settings::GroupSettings;
use prost::Message as _;

use super::super::data_folder::{DataFolder, Material};
use super::super::fleet::check_ports;
use super::super::genesis::{ORDERER_MSP_ID, PEER_MSP_ID};
use super::super::network::{Network, read_genesis};
use super::super::plan::{ChannelOptions, VerificationOption};
use super::super::{node_config, orderer_folders};
use super::{options, reason};
use crate::config::Config;

fn made(dir: &Path, options: &ChannelOptions) -> (DataFolder, Material) {
    let data = DataFolder::open(dir).unwrap();
    let material = data.own_material(options).unwrap();
    (data, material)
}

fn has_role(config: &ChannelConfig, msp_dir: &Path, msp_id: &str, role: Role) -> bool {
    let certificate = orderer_folders::first_certificate(&msp_dir.join("signcerts")).unwrap();
    let identity = config.msps().identity(msp_id, certificate.to_pem().as_bytes()).unwrap();
    identity.validity().unwrap();
    Principal::Role { msp_id: msp_id.to_owned(), role }.is_satisfied_by(&identity)
}

#[test]
fn the_genesis_block_describes_the_channel_that_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let asked = ChannelOptions {
        nodes: Some(7),
        base_port: Some(9000),
        channel: Some(ChannelId::new("mychannel").unwrap()),
        max_message_count: Some(25),
        batch_timeout: Some(Duration::from_millis(1500)),
        channels: None,
    };
    let (_, material) = made(dir.path(), &asked);
    let config = read_genesis(&material.genesis).unwrap();
    assert_eq!(config.channel_id().as_str(), "mychannel");
    assert!(config.has_bft_capability() && config.has_derived_block_policy());
    assert_eq!((config.batch_size().max_message_count, config.batch_timeout()), (25, Duration::from_millis(1500)));
    let ConsensusType::Bft { options } = config.consensus() else { panic!("{:?}", config.consensus()) };
    assert_eq!(options.request_batch_max_interval, config.batch_timeout(), "otherwise the shorter one would count");
    let ids: Vec<u32> = config.consenters().iter().map(|consenter| consenter.id).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5, 6, 7]);
    let addresses: Vec<String> = config.consenters().iter().map(fabric_channel::Consenter::address).collect();
    assert_eq!((addresses[0].as_str(), addresses[6].as_str()), ("127.0.0.1:9000", "127.0.0.1:9006"));
    assert!(config.endpoints().eq(addresses.iter().map(String::as_str)), "clients find every node");
}

#[test]
fn every_member_has_its_role_on_the_channel() {
    let dir = tempfile::tempdir().unwrap();
    let (_, material) = made(dir.path(), &options());
    let config = read_genesis(&material.genesis).unwrap();
    let orderers = material.crypto.join("ordererOrganizations/orderer.example.com");
    let peers = material.crypto.join("peerOrganizations/org1.example.com");
    for node in 1..=4 {
        let msp = orderers.join(format!("orderers/o{node}.orderer.example.com/msp"));
        assert!(has_role(&config, &msp, ORDERER_MSP_ID, Role::Orderer));
        assert!(!has_role(&config, &msp, ORDERER_MSP_ID, Role::Client));
    }
    assert!(has_role(&config, &orderers.join("users/Admin@orderer.example.com/msp"), ORDERER_MSP_ID, Role::Admin));
    assert!(has_role(&config, &peers.join("peers/peer0.org1.example.com/msp"), PEER_MSP_ID, Role::Peer));
    assert!(has_role(&config, &peers.join("users/Admin@org1.example.com/msp"), PEER_MSP_ID, Role::Admin));
    assert!(has_role(&config, &peers.join("users/User1@org1.example.com/msp"), PEER_MSP_ID, Role::Client));
    for consenter in config.consenters() {
        assert!(config.msps().msp(ORDERER_MSP_ID).unwrap().has_issued_tls(&consenter.server_tls_cert));
    }
}

#[test]
fn a_restart_uses_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let (first, material) = made(dir.path(), &options());
    let genesis = fs::read(&material.genesis).unwrap();
    drop(first);
    let (_second, again) = made(dir.path(), &ChannelOptions { nodes: Some(4), ..options() });
    assert_eq!(again, material);
    assert_eq!(fs::read(&material.genesis).unwrap(), genesis);
    // Keys of which no channel was made yet, because making was interrupted.
    drop(_second);
    fs::remove_file(&material.genesis).unwrap();
    let (_third, _) = made(dir.path(), &options());
    Network::read(&material.genesis, &material.crypto).unwrap();
}

#[test]
fn other_options_than_those_of_the_channel_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (data, _) = made(dir.path(), &options());
    for (asked, expected) in [
        (ChannelOptions { nodes: Some(5), ..options() }, "--nodes 5: the channel there has 4"),
        (ChannelOptions { base_port: Some(1), ..options() }, "--base-port 1: the channel there has 7050"),
        (ChannelOptions { channels: Some(2), ..options() }, "--channels 2: there are 1"),
        (ChannelOptions { max_message_count: Some(1), ..options() }, "--max-message-count 1: the channel there has 10"),
        (
            ChannelOptions { batch_timeout: Some(Duration::from_secs(2)), ..options() },
            "--batch-timeout 2s: the channel there has 500ms",
        ),
        (
            ChannelOptions { channel: Some(ChannelId::new("other").unwrap()), ..options() },
            "--channel other: the channel there has devchannel",
        ),
    ] {
        let error = reason(data.own_material(&asked));
        assert!(error.ends_with(expected) && error.contains("choose another --data"), "{error}");
    }
}

#[test]
fn what_is_missing_is_not_made_anew_beside_ledgers() {
    let dir = tempfile::tempdir().unwrap();
    let (data, material) = made(dir.path(), &options());
    let ledgers = dir.path().join("nodes/o1/data");
    fs::create_dir_all(&ledgers).unwrap();
    fs::remove_file(&material.genesis).unwrap();
    let error = reason(data.own_material(&options()));
    assert!(error.contains("nodes/o1/data holds ledgers without a genesis block"), "{error}");
    fs::write(&material.genesis, "").unwrap();
    fs::rename(&material.crypto, dir.path().join("elsewhere")).unwrap();
    let error = reason(data.own_material(&options()));
    assert!(error.contains("has a genesis block but no keys"), "{error}");
}

#[test]
fn one_network_at_a_time_runs_on_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let held = DataFolder::open(dir.path()).unwrap();
    let error = reason(DataFolder::open(dir.path()));
    assert!(error.ends_with("another network is running on this folder"), "{error}");
    drop(held);
    DataFolder::open(dir.path()).unwrap();
}

#[test]
fn a_block_that_cannot_begin_a_channel_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (_data, material) = made(dir.path(), &options());
    let mut block = Block::decode(Bytes::from(fs::read(&material.genesis).unwrap())).unwrap();
    block.header.as_mut().unwrap().number = 3;
    let file = dir.path().join("wrong.block");
    for (content, expected) in [
        (block.encode_to_vec(), "wrong.block: block 3 of a channel, not its genesis block"),
        (b"\xff\xff\xff".to_vec(), "wrong.block: not a serialized block"),
        (Vec::new(), "wrong.block: not a configuration block: it holds 0 entries instead of one"),
    ] {
        fs::write(&file, content).unwrap();
        let error = reason(read_genesis(&file));
        assert!(error.ends_with(expected), "{error}");
    }
    let error = reason(read_genesis(&dir.path().join("none.block")));
    assert!(error.starts_with("cannot read ") && error.contains("none.block: No such file"), "{error}");
}

#[test]
fn the_written_configuration_is_what_the_node_reads() {
    let dir = tempfile::tempdir().unwrap();
    let (data, material) = made(dir.path(), &options());
    let network = Network::read(&material.genesis, &material.crypto).unwrap();
    let names: Vec<&str> = network.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["o1", "o2", "o3", "o4"]);
    assert_eq!(network.client.msp_id, PEER_MSP_ID);
    assert!(network.client.msp_dir.ends_with("users/User1@org1.example.com/msp"));
    let node = &network.nodes[2];
    let files = data.node_files(node).unwrap();
    let settings = GroupSettings::default();
    node_config::write(node, &files, &material, &settings, VerificationOption::Full, "debug").unwrap();
    let read = Config::load(&files.config).unwrap();
    assert_eq!((read.listen_address.port(), read.log.as_str()), (7052, "debug"));
    assert_eq!((&read.channels, &read.data_dir), (&vec![material.genesis.clone()], &files.data));
    assert_eq!((read.msp.id.as_str(), &read.msp.dir), (ORDERER_MSP_ID, &node.folder.join("msp")));
    assert_eq!(read.sockets.status.as_ref(), Some(&files.status_socket));
    assert_eq!(read.verification, Verification::Full);
    assert!(read.embedded_frontend && read.tls.unwrap().server.certificate.starts_with(&node.folder));
}

#[test]
fn sockets_move_to_where_their_paths_are_short_enough() {
    let dir = tempfile::tempdir().unwrap();
    let long = dir.path().join("x".repeat(100));
    let (data, material) = made(&long, &options());
    let network = Network::read(&material.genesis, &material.crypto).unwrap();
    let (one, other) = (data.node_files(&network.nodes[0]).unwrap(), data.node_files(&network.nodes[1]).unwrap());
    assert_ne!(one.status_socket, other.status_socket);
    for socket in [&one.status_socket, &one.broadcast_socket] {
        std::os::unix::net::UnixListener::bind(socket).unwrap();
    }
    for files in [one, other] {
        fs::remove_dir_all(files.status_socket.parent().unwrap()).unwrap();
    }
}

#[test]
fn a_busy_port_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let dir = tempfile::tempdir().unwrap();
    let base_port = Some(port - 1);
    let (_data, material) = made(dir.path(), &ChannelOptions { nodes: Some(2), base_port, ..options() });
    let network = Network::read(&material.genesis, &material.crypto).unwrap();
    let error = reason(check_ports(&network.nodes[1..], &[]));
    assert!(error.starts_with(&format!("port {port} is busy: 127.0.0.1:{port} is needed for node o2")), "{error}");
    drop(listener);
    check_ports(&network.nodes[1..], &[]).unwrap();
}

#[test]
fn ports_end_at_65535() {
    let fits = ChannelOptions { base_port: Some(65_532), nodes: Some(4), ..options() };
    assert_eq!(fits.plan().unwrap().port(4), 65_535);
    let error = reason(ChannelOptions { base_port: Some(65_533), ..fits }.plan());
    assert_eq!(error, "--base-port 65533 leaves no room for 4 nodes below port 65536");
}
