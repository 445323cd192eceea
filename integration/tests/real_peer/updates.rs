//! A real peer follows the configuration of its channel, whoever's tools change it.

use integration::administration::Administration;
use integration::client::{broadcast, one_chain};
use integration::dev_network::DevNetwork;
use integration::fabric::{Peer, Translator};
use integration::ports::free_ports;
use integration::skip::fabric_programs;

use super::CHANNEL;

#[tokio::test(flavor = "multi_thread")]
async fn a_real_peer_follows_updates_by_our_tool_and_by_fabrics_own() {
    let Some(programs) = fabric_programs("a real peer under updates") else { return };
    let port = free_ports(8).unwrap();
    let base_port = port.to_string();
    let network = DevNetwork::start(&["--base-port", &base_port, "--channel", CHANNEL]).await.unwrap();
    let peer = Peer::start(&programs, network.for_fabric(), port + 4).unwrap();
    peer.join(CHANNEL).await.unwrap();

    // By our tool.
    let office = Administration::of(&network);
    let (orderers, peers) = ([office.orderer_administrator()], [office.peer_administrator()]);
    let addresses: Vec<String> = network.ids().into_iter().map(|id| network.address(id)).collect();
    let (_, folder) = office.stranger().unwrap();
    let folder = folder.display().to_string();
    let added = ["org", "add", "--application", "Org9", "--definition", &folder, "--msp-id", "Org9MSP"];
    office.update(1, &["batch-size", "--max-messages", "3"], &orderers).await.unwrap();
    office.update(2, &["acl", "--set", "peer/Propose=/Channel/Application/Writers"], &peers).await.unwrap();
    let three = addresses[..3].join(",");
    office.update(3, &["endpoints", "--org", "OrdererOrg", "--set", &three], &orderers).await.unwrap();
    office.update(4, &added, &peers).await.unwrap();
    let both = [office.peer_administrator(), office.stranger_administrator()];
    office.update(1, &["org", "remove", "--application", "Org9"], &both).await.unwrap();

    // By configtxlator and peer channel update.
    let translator = Translator::new(&programs, network.folder()).unwrap();
    let administrator = office.orderer_administrator();
    for (count, sequence) in [(5, 6), (6, 7)] {
        let block = peer.fetch("config", CHANNEL).unwrap();
        let update = translator.update(CHANNEL, &block, |config| {
            let value = &mut config["channel_group"]["groups"]["Orderer"]["values"]["BatchSize"]["value"];
            value["max_message_count"] = count.into();
        });
        let update = update.unwrap();
        peer.sign_update(&administrator, &update).unwrap();
        peer.update(&administrator, CHANNEL, &update).unwrap();
        let config = office.wait_for_sequence(sequence).await.unwrap();
        assert_eq!(config.batch_size().max_message_count, count);
    }

    let envelopes: Vec<_> = (0..20).map(|_| network.user().transaction_of_size(1000)).collect();
    broadcast(&network.endpoint(2).unwrap(), envelopes).await.unwrap();
    let newest = one_chain(&network, &network.ids()).await.unwrap().last().unwrap().number;
    peer.commits(0..=newest).await.unwrap();
    let log = peer.log();
    let applied = log.lines().filter(|line| line.contains("Config transaction validated and applied")).count();
    assert!(applied >= 7, "{applied} updates were applied");
    assert!(!log.contains("panic"), "the peer panicked");
    println!("committed {} blocks, applied {applied} updates", newest + 1);
    network.stop().await.unwrap();
}
