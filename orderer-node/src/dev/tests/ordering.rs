//! What the nodes of a network are told to share.

use clap::Parser as _;
use frontend_shim::config::Settings;
use frontend_shim::group_settings::GroupSettings;

use super::super::DevArgs;
use super::super::data_folder::DataFolder;
use super::super::network::Network;
use super::super::plan::ChannelOptions;
use super::super::{frontends, node_config};
use super::{options, reason};
use crate::config::Config;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    dev: DevArgs,
}

fn args(line: &str) -> DevArgs {
    Line::try_parse_from(std::iter::once("dev").chain(line.split_ascii_whitespace())).unwrap().dev
}

#[test]
fn nodes_and_frontends_are_told_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataFolder::open(dir.path()).unwrap();
    let material = data.own_material(&ChannelOptions { nodes: Some(5), ..options() }).unwrap();
    let network = Network::read(&material.genesis, &material.crypto).unwrap();
    let args = args("--window 4 --delta 1 --heavy 1,2 --leaders 3 --tentative --frontends 1");
    let settings = args.ordering.settings(&network.config, None).unwrap();
    assert_eq!(settings.to_string(), "window 4; delta 1, heavy 1, 2; led first by 3; tentative");

    let files = data.node_files(&network.nodes[0]).unwrap();
    node_config::write(&network.nodes[0], &files, &material, &settings, args.verification, "info").unwrap();
    assert_eq!(Config::load(&files.config).unwrap().group_settings, settings);
    let planned = frontends::plan(1, &network.nodes).unwrap();
    let files = data.frontend_files("f1").unwrap();
    frontends::write(&planned[0], &files, &material, &settings).unwrap();
    let read = Settings::load(&files.config).unwrap();
    assert_eq!(read.ordering, settings);
    let group = &read.channels.values().next().unwrap().group;
    assert_eq!((group.settings(), group.misfit()), (&settings, None));
}

#[test]
fn options_that_do_not_fit_the_nodes_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataFolder::open(dir.path()).unwrap();
    let material = data.own_material(&options()).unwrap();
    let network = Network::read(&material.genesis, &material.crypto).unwrap();
    let settings = |line: &str| args(line).ordering.settings(&network.config, None);
    assert_eq!(settings("").unwrap(), GroupSettings::default());
    for (line, expected) in [
        ("--window 0", "--window must be from 1 to 32"),
        (
            "--delta 1 --heavy 1,2",
            "--heavy: delta 1 with 2 heavy consenters is for 5 consenters (f = 1), and there are 4",
        ),
        ("--leaders 3,9", "--leaders names consenter 9, which the channel does not have"),
    ] {
        assert_eq!(reason(settings(line)), expected);
    }
}
