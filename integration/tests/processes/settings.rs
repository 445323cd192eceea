//! Five nodes with weights and a window order, and a node that is set up differently is told what is different.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use integration::binary::orderer_node;
use integration::client::{broadcast, key_of, occurrences, one_chain};
use integration::dev_network::DevNetwork;
use integration::ports::free_ports;
use integration::process::Process;
use integration::site::wait_until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use orderer_node::dev::NodeEntry;

#[tokio::test(flavor = "multi_thread")]
async fn weighted_nodes_with_a_window_order_and_refuse_one_with_other_settings_by_name() {
    let port = free_ports(5).unwrap().to_string();
    let shared = ["--nodes", "5", "--window", "4", "--delta", "1", "--heavy", "1,2", "--leaders", "3"];
    let network = DevNetwork::start(&[&["--base-port", &port][..], &shared].concat()).await.unwrap();
    let ids = network.ids();
    let ordering = network.ordering(1).await.unwrap();
    assert_eq!(ordering.settings.to_string(), "window 4; delta 1, heavy 1, 2; led first by 3");
    assert_eq!((ordering.leader, network.file().ordering.window()), (2, 4));
    let envelopes: Vec<Bytes> = (0..ENVELOPES).map(|_| network.user().transaction_of_size(200)).collect();
    broadcast(&network.endpoint(4).unwrap(), envelopes.clone()).await.unwrap();
    let found = occurrences(&one_chain(&network, &ids).await.unwrap());
    assert!(envelopes.iter().all(|envelope| found.get(&key_of(envelope)) == Some(&1)), "each is in the chain once");

    // The same node with another window does not go on where it was.
    let fifth = &network.file().nodes[4];
    stop(fifth).await;
    let other = fifth.config.with_file_name("other.toml");
    let text = std::fs::read_to_string(&fifth.config).unwrap();
    assert!(text.contains("window = 4"));
    std::fs::write(&other, text.replace("window = 4", "window = 1")).unwrap();
    let mut node = start(&other);
    let status = node.wait(Duration::from_secs(20)).unwrap();
    assert!(!status.success());
    let said = node.log();
    assert!(said.contains("`window` is 1 here and 4 there"), "{said}");

    // As if it were new, it dials the others in vain, and both sides say why.
    std::fs::rename(&fifth.data_dir, fifth.data_dir.with_extension("before")).unwrap();
    let node = start(&other);
    let why = "`window` is 4 at the node that was dialled and 1 at the node that dials";
    wait_until("the new node says why", async || Ok(node.log().contains(why))).await.unwrap();
    let log_of_first = || std::fs::read_to_string(&network.file().nodes[0].log).unwrap();
    wait_until("an old node says why", async || Ok(log_of_first().contains(why))).await.unwrap();
    node.stop(Signal::SIGTERM, Duration::from_secs(20)).unwrap();

    // Four of the five go on: both heavy nodes and a light one are enough.
    broadcast(&network.endpoint(1).unwrap(), [network.user().transaction_of_size(200)]).await.unwrap();
    one_chain(&network, &ids[..4]).await.unwrap();
}

fn start(config: &Path) -> Process {
    let mut command = Command::new(orderer_node().unwrap());
    command.arg("node").arg("--config").arg(config);
    Process::start("node 5", &mut command, &config.with_extension("log")).unwrap()
}

/// Ends a node that somebody else has started.
async fn stop(node: &NodeEntry) {
    let pid = Pid::from_raw(node.pid.cast_signed());
    kill(pid, Signal::SIGTERM).unwrap();
    // Its parent waits for it, so it does not stay as a zombie for long.
    wait_until("the node has ended", async || Ok(kill(pid, None).is_err())).await.unwrap();
}

const ENVELOPES: usize = 200;
