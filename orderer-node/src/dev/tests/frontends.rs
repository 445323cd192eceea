//! What goes beyond one channel and its nodes: further channels, frontends of their own, who checks signatures.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use blockcutter::Verification;
use clap::{CommandFactory as _, FromArgMatches as _};
use fabric_proto::ChannelId;
use frontend_shim::config::{ListenerSettings, Settings};
use frontend_shim::group_settings::GroupSettings;

use super::super::data_folder::{DataFolder, Material};
use super::super::fleet::check_ports;
use super::super::network::{Network, read_genesis};
use super::super::plan::{ChannelOptions, VerificationOption};
use super::super::{DevArgs, frontends, node_config};
use super::{options, reason};
use crate::config::Config;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    dev: DevArgs,
}

fn parse(line: &str) -> Result<DevArgs, clap::Error> {
    let words = std::iter::once("dev").chain(line.split_ascii_whitespace());
    let matches = Line::command().try_get_matches_from(words)?;
    Ok(Line::from_arg_matches(&matches)?.dev)
}

fn channel_names(material: &Material) -> Vec<String> {
    material.all_genesis().map(|genesis| read_genesis(genesis).unwrap().channel_id().to_string()).collect()
}

fn made(dir: &Path, channels: Option<u16>) -> (DataFolder, Material) {
    let data = DataFolder::open(dir).unwrap();
    let material = data.own_material(&ChannelOptions { channels, ..options() }).unwrap();
    (data, material)
}

#[test]
fn options_that_are_left_away_change_nothing() {
    let args = parse("").unwrap();
    assert_eq!((args.frontends, args.verification), (0, VerificationOption::Full));
    assert_eq!(args.channel, options());
    let args = parse("--frontends 2 --verification frontends --channels 3").unwrap();
    assert_eq!((args.frontends, args.verification), (2, VerificationOption::Frontends));
    assert_eq!(args.channel.channels, Some(3));
    for line in ["--frontends 65", "--verification none", "--channels 0", "--channels 2 --genesis g.block --crypto c"] {
        assert!(parse(line).is_err(), "{line}");
    }
}

#[test]
fn channels_differ_in_nothing_but_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let (data, material) = made(dir.path(), Some(3));
    assert_eq!(channel_names(&material), ["devchannel", "devchannel2", "devchannel3"]);
    let [first, .., last] = &material.all_genesis().map(|it| read_genesis(it).unwrap()).collect::<Vec<_>>()[..] else {
        panic!("three channels")
    };
    let addresses = |config: &fabric_channel::ChannelConfig| {
        config.consenters().iter().map(fabric_channel::Consenter::address).collect::<Vec<_>>()
    };
    assert_eq!(addresses(first), addresses(last));
    assert_eq!(first.batch_size().max_message_count, last.batch_size().max_message_count);
    drop(data);
    let (_data, again) = made(dir.path(), None);
    assert_eq!(again, material, "a restart resumes them all");
}

#[test]
fn a_making_that_was_interrupted_leaves_no_channel_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (data, material) = made(dir.path(), Some(4));
    fs::remove_file(&material.genesis).unwrap();
    let again = data.own_material(&ChannelOptions { channels: Some(2), ..options() }).unwrap();
    assert_eq!(channel_names(&again), ["devchannel", "devchannel2"]);
    drop(data);
    assert_eq!(made(dir.path(), None).1, again);
}

#[test]
fn a_name_that_leaves_no_room_for_a_number_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let channel = Some(ChannelId::new(&"c".repeat(249)).unwrap());
    let asked = ChannelOptions { channel, channels: Some(2), ..options() };
    let error = reason(DataFolder::open(dir.path()).unwrap().own_material(&asked));
    assert!(error.contains("channel ccc"), "{error}");
}

#[test]
fn a_frontend_reads_what_is_written_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let (data, material) = made(dir.path(), Some(2));
    let network = Network::read(&material.genesis, &material.crypto).unwrap();
    let planned = frontends::plan(5, &network.nodes).unwrap();
    let names: Vec<&str> = planned.iter().map(|frontend| frontend.name.as_str()).collect();
    assert_eq!(names, ["f1", "f2", "f3", "f4", "f5"]);
    assert_eq!((planned[0].listen.port(), planned[4].listen.port()), (7054, 7058), "behind the nodes");
    assert_eq!(planned[4].tls_ca(), planned[0].tls_ca(), "more frontends than nodes share certificates");
    for frontend in &planned {
        let files = data.frontend_files(&frontend.name).unwrap();
        frontends::write(frontend, &files, &material, &GroupSettings::default()).unwrap();
        let read = Settings::load(&files.config).unwrap();
        assert_eq!((read.channels.len(), &read.data_dir), (2, &files.data));
        assert_eq!(read.status_socket.as_ref(), Some(&files.status_socket));
        assert!(read.msp.is_some(), "without it configuration updates would be refused");
        let [ListenerSettings::Tls { address, client_authorities: None, .. }] = &read.listeners[..] else {
            panic!("{:?}", read.listeners)
        };
        assert_eq!(*address, frontend.listen);
    }
}

#[test]
fn nodes_are_told_who_checks_and_of_every_channel() {
    let dir = tempfile::tempdir().unwrap();
    let (data, material) = made(dir.path(), Some(2));
    let network = Network::read(&material.genesis, &material.crypto).unwrap();
    let files = data.node_files(&network.nodes[0]).unwrap();
    for (option, expected) in
        [(VerificationOption::Full, Verification::Full), (VerificationOption::Frontends, Verification::Frontends)]
    {
        let settings = GroupSettings::default();
        node_config::write(&network.nodes[0], &files, &material, &settings, option, "info").unwrap();
        let read = Config::load(&files.config).unwrap();
        assert_eq!(read.verification, expected);
        assert_eq!(read.channels, material.all_genesis().map(Path::to_owned).collect::<Vec<_>>());
    }
}

#[test]
fn the_port_of_a_frontend_must_be_free_and_there() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let dir = tempfile::tempdir().unwrap();
    let data = DataFolder::open(dir.path()).unwrap();
    let asked = ChannelOptions { nodes: Some(1), base_port: Some(port - 1), ..options() };
    let material = data.own_material(&asked).unwrap();
    let nodes = Network::read(&material.genesis, &material.crypto).unwrap().nodes;
    let planned = frontends::plan(1, &nodes).unwrap();
    let error = reason(check_ports(&[], &planned));
    assert!(error.starts_with(&format!("port {port} is busy: 127.0.0.1:{port} is needed for frontend f1")), "{error}");
    drop(listener);
    check_ports(&[], &planned).unwrap();
    let error = reason(frontends::plan(
        64,
        &[super::super::network::NodePlan { listen: "127.0.0.1:65500".parse().unwrap(), ..nodes[0].clone() }],
    ));
    assert!(error.starts_with("--frontends 64: not so many ports behind "), "{error}");
}
