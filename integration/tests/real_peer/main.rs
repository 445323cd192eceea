//! A real Fabric peer on a channel that our nodes order. Needs `FABRIC_BIN`, the folder of Fabric v3's programs; without it
//! this says so and passes.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod updates;

use integration::client::{blocks, broadcast, key_of, occurrences, one_chain};
use integration::dev_network::DevNetwork;
use integration::fabric::Peer;
use integration::ports::free_ports;
use integration::skip::fabric_programs;

#[tokio::test(flavor = "multi_thread")]
async fn a_real_peer_commits_every_block() {
    let Some(programs) = fabric_programs("a real peer") else { return };
    let port = free_ports(8).unwrap();
    let base_port = port.to_string();
    let network = DevNetwork::start(&["--base-port", &base_port, "--channel", CHANNEL]).await.unwrap();
    let peer = Peer::start(&programs, network.for_fabric(), port + 4).unwrap();

    // Block 0 comes from us, by the peer's own tool.
    let genesis = peer.fetch("oldest", CHANNEL).unwrap();
    assert_eq!(*network.genesis(), genesis);
    peer.join(CHANNEL).await.unwrap();

    let envelopes: Vec<_> = (0..ENVELOPES).map(|_| network.user().transaction_of_size(1000)).collect();
    for (id, share) in network.ids().into_iter().zip(envelopes.chunks(ENVELOPES / 4)) {
        broadcast(&network.endpoint(id).unwrap(), share.to_vec()).await.unwrap();
    }
    let chain = one_chain(&network, &network.ids()).await.unwrap();
    let found = occurrences(&chain);
    assert!(envelopes.iter().all(|envelope| found.get(&key_of(envelope)) == Some(&1)));
    let newest = chain.last().unwrap().number;
    peer.commits(0..=newest).await.unwrap();
    assert!(peer.log().contains("Creating a BFT (byzantine fault tolerant) BlockDeliverer"), "{}", peer.log());

    let ours = blocks(&network.endpoint(1).unwrap(), network.user(), newest + 1).await.unwrap();
    for (position, number) in [("newest", newest), ("3", 3)] {
        let fetched = peer.fetch(position, CHANNEL).unwrap();
        assert_eq!(fetched, ours[number as usize], "peer channel fetch {position}");
    }

    // The node that the peer has its blocks from dies; if that is the leader, another one, whose headers it compares.
    let source = peer.block_source().unwrap();
    let victim = if source == 0 { 2 } else { source };
    let pid = i32::try_from(network.file().nodes[victim].pid).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    let more: Vec<_> = (0..40).map(|_| network.user().transaction_of_size(1000)).collect();
    broadcast(&network.endpoint(1).unwrap(), more).await.unwrap();
    let living: Vec<_> = network.ids().into_iter().filter(|id| *id != victim as u32 + 1).collect();
    let chain = one_chain(&network, &living).await.unwrap();
    peer.commits(newest + 1..=chain.last().unwrap().number).await.unwrap();

    let log = peer.log();
    for proof in ["BlockDeliverer", "BlockReceiver starting", "Failed to fetch blocks", "Committed block ["] {
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(proof)).collect();
        println!("{} lines, the last: {}", lines.len(), lines.last().unwrap_or(&"none"));
    }
}

const CHANNEL: &str = "peerchannel";
const ENVELOPES: usize = 240;
