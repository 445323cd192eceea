//! The load generator against four real nodes: every kind of load comes to what it says.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use integration::client::{occurrences, one_chain};
use integration::loadgen::{self, Cli, Command, LoadgenArgs, Report};
use integration::material::{self, Cutting};
use integration::network::{CHANNEL, Network};
use orderer_node::dev::{ClientEntry, NodeEntry};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_mix_is_answered_as_it_should_be_and_nothing_is_ordered_twice() {
    let network = Network::start(&Cutting::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("time.csv");
    let mixed = format!(
        "--rate 300 --ramp 1 --warmup 0 --for 2 --tick-ms 500 --event 1.5=half --mix signed=80,unsigned=5,duplicate=15 --csv {}",
        csv.display()
    );
    let report = load(&network, &mixed).await;
    let counts = report.counts;
    assert!(counts.delivered > 400, "{report}");
    assert!(counts.copies > 60 && counts.copies_acknowledged == counts.copies, "{report}");
    assert!(counts.refused > 20 && report.refusals["FORBIDDEN"] == counts.refused, "{:?}\n{report}", report.refusals);
    assert_eq!((counts.repeated, counts.lost), (0, 0));
    assert_time_line(&report);
    assert_eq!(fs::read_to_string(csv).unwrap().lines().count(), report.timeline.len() + 1);

    let file = folder.path().join("signed");
    sign(&file, 300);
    let report = load(&network, &format!("--warmup 0 --from {}", file.display())).await;
    assert_eq!((report.counts.delivered, report.counts.delivered_in_window), (300, 300), "{report}");

    let chain = one_chain(&network, &network.ids()).await.unwrap();
    assert!(occurrences(&chain).values().all(|times| *times == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn opaque_envelopes_go_straight_to_nodes_that_leave_signatures_to_frontends() {
    let cutting = Cutting { message_count_max: 100, ..Cutting::default() };
    let mut network = Network::prepare(&cutting).await.unwrap();
    serve_two_channels_without_verifying(&network, &cutting);
    network.start_all().unwrap();
    network.wait_until_open().await.unwrap();
    let file = network_file(&network);
    let args =
        format!("--network {} --opaque 40 --for 2 --frontends 2 --receivers 1 --outstanding 500", file.display());
    let report = run(&args).await;
    assert_eq!(report.failures, Vec::<String>::new(), "{report}");
    let counts = report.counts;
    assert!(counts.delivered > 1000 && counts.foreign == 0 && counts.refused == 0, "{report}");
    assert!((report.conditions.envelope_bytes - 40.0).abs() < 1e-9 && report.conditions.frontends_inside == 2);
    assert_eq!(report.nodes.len(), 4);
    assert_time_line(&report);
    assert_both_channels(&report);

    // What arrives is what was said: so many bytes, every one of them once.
    let chain = one_chain(&network, &network.ids()).await.unwrap();
    let envelopes: Vec<_> = chain.iter().flat_map(|block| &block.envelopes).collect();
    assert!(envelopes.iter().all(|envelope| envelope.len() == 40) && (envelopes.len() as u64) < counts.delivered);
    assert!(occurrences(&chain).values().all(|times| *times == 1));

    let signed = run(&format!("--network {} --rate 200 --for 2 --warmup 0", file.display())).await;
    assert_eq!(signed.failures, Vec::<String>::new(), "{signed}");
    assert_both_channels(&signed);
    let one = run(&format!("--network {} --channel {SECOND} --warmup 0 -n 50", file.display())).await;
    assert_eq!((one.channels.len(), one.counts.delivered_in_window), (1, 50), "{one}");
}

/// The load is spread evenly.
fn assert_both_channels(report: &Report) {
    let names: Vec<_> = report.channels.iter().map(|channel| channel.channel.as_str()).collect();
    assert_eq!(names, [CHANNEL, SECOND]);
    let (one, other) = (&report.channels[0], &report.channels[1]);
    let sum = one.delivered_per_s + other.delivered_per_s;
    assert!((sum - report.rates.delivered_per_s).abs() < 1.0, "{report}");
    assert!(one.delivered_per_s > sum / 4.0 && other.delivered_per_s > sum / 4.0, "{report}");
}

/// Ticks cover the load, name every process with its memory, and add up to the counts.
fn assert_time_line(report: &Report) {
    let ticks = &report.timeline;
    assert!(ticks.len() >= 2 && ticks.is_sorted_by(|one, next| one.at_s < next.at_s), "{ticks:?}");
    assert_eq!(ticks.iter().map(|tick| tick.delivered).sum::<u64>(), report.counts.delivered);
    assert!(ticks.iter().any(|tick| tick.delivered > 0 && tick.blocks > 0 && tick.p99_ms > 0.0), "{ticks:?}");
    for tick in ticks {
        assert_eq!(tick.processes.len(), report.nodes.len() + 1);
        assert!(tick.processes.iter().all(|process| process.resident_mib > Some(1.0)), "{tick:?}");
    }
    let points = &report.latency_distribution;
    assert!(points.is_sorted_by(|one, next| one.ms < next.ms) && points.last().unwrap().share >= 1.0, "{points:?}");
    let is_marked = report.events.iter().any(|event| event.what == "half");
    assert_eq!(is_marked, report.conditions.mix.is_some(), "{:?}", report.events);
}

async fn load(network: &Network, more: &str) -> Report {
    let addresses: Vec<_> = network.ids().into_iter().map(|id| format!("--endpoint {}", network.address(id))).collect();
    let line = format!(
        "{} --tls-ca {} --msp {} --mspid {} --channel {CHANNEL} {more}",
        addresses.join(" "),
        material::tls_authority().display(),
        material::user_msp().display(),
        material::PEER_MSP_ID
    );
    let report = run(&line).await;
    assert_eq!(report.failures, Vec::<String>::new(), "{report}");
    report
}

async fn run(line: &str) -> Report {
    let words = std::iter::once("loadgen").chain(line.split_ascii_whitespace());
    loadgen::run(&LoadgenArgs::try_parse_from(words).unwrap()).await.unwrap()
}

fn sign(file: &Path, count: u64) {
    let msp = material::user_msp();
    let line = format!(
        "loadgen sign --msp {} --mspid {} --channel {CHANNEL} --size 100 -n {count} --out {}",
        msp.display(),
        material::PEER_MSP_ID,
        file.display()
    );
    let Some(Command::Sign(args)) = Cli::try_parse_from(line.split_ascii_whitespace()).unwrap().command else {
        panic!("not the command to sign");
    };
    loadgen::sign(&args).unwrap();
}

/// The configuration file of a node, beside its sockets.
fn config(network: &Network, id: u32) -> PathBuf {
    network.status_socket(id).unwrap().with_file_name("node.toml")
}

/// Gives the nodes a second channel and lets them leave client signatures to frontends.
fn serve_two_channels_without_verifying(network: &Network, cutting: &Cutting) {
    let address = network.address(1);
    let (_, port) = address.rsplit_once(':').unwrap();
    let second = material::genesis(SECOND, port.parse().unwrap(), cutting).unwrap();
    fs::write(root(network).join("second.block"), second).unwrap();
    for id in network.ids() {
        let file = config(network, id);
        let text = fs::read_to_string(&file).unwrap();
        let text = text.replace("\"../genesis.block\"", "\"../genesis.block\", \"../second.block\"");
        fs::write(&file, format!("verification = \"frontends\"\n{text}")).unwrap();
    }
}

/// The folder of a network.
fn root(network: &Network) -> PathBuf {
    config(network, 1).parent().and_then(Path::parent).unwrap().to_owned()
}

/// Describes a network as `orderer-node dev` would.
fn network_file(network: &Network) -> PathBuf {
    let node = |id: u32| NodeEntry {
        name: format!("o{id}"),
        address: network.address(id),
        pid: network.node(id).unwrap().id(),
        status_socket: network.status_socket(id).unwrap().to_owned(),
        broadcast_socket: config(network, id).with_file_name("broadcast.sock"),
        tls_ca: material::tls_authority(),
        msp_dir: material::orderer(id).join("msp"),
        msp_id: material::ORDERER_MSP_ID.to_owned(),
        config: config(network, id),
        log: config(network, id).with_file_name("node.log"),
        data_dir: config(network, id).with_file_name("data"),
        site: None,
    };
    let root = root(network);
    let nodes: Vec<_> = network.ids().into_iter().map(node).collect();
    let file = json!({
        "channel": CHANNEL,
        "genesis": root.join("genesis.block"),
        "channels": [
            {"name": CHANNEL, "genesis": root.join("genesis.block")},
            {"name": SECOND, "genesis": root.join("second.block")},
        ],
        "crypto": material::crypto(),
        "pid": std::process::id(),
        "nodes": nodes,
        "client": ClientEntry { msp_dir: material::user_msp(), msp_id: material::PEER_MSP_ID.to_owned() },
    });
    let path = root.join("network.json");
    fs::write(&path, file.to_string()).unwrap();
    path
}

const SECOND: &str = "second";
