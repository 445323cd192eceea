//! What administrators change in a running network: made by the `channel` tool, signed by their keys, sent by Broadcast to one
//! node, and in force on all nodes from the same block on. The chain is verified by a stranger all the while.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use fabric_proto::Envelope;
use fabric_proto::common::Status;
use integration::administration::{Administration, answer};
use integration::client::{broadcast, key_of, occurrences, one_chain};
use integration::dev_network::DevNetwork;
use orderer_node::dev::load::EnvelopeFactory;

#[tokio::test(flavor = "multi_thread")]
async fn updates_made_by_the_tool_take_effect_at_the_same_block_on_all_nodes() {
    let network = DevNetwork::start(&[]).await.unwrap();
    let office = Administration::of(&network);
    let orderers = [office.orderer_administrator()];
    let peers = [office.peer_administrator()];

    // Ten envelopes were a block; three are one afterwards, on every node.
    let cut = office.update(1, &["batch-size", "--max-messages", "3", "--timeout", "10s"], &orderers).await.unwrap();
    assert_eq!(cut.config.batch_size().max_message_count, 3);
    let envelopes: Vec<Bytes> = (0..9).map(|_| network.user().transaction_of_size(100)).collect();
    broadcast(&network.endpoint(3).unwrap(), envelopes.clone()).await.unwrap();
    let chain = one_chain(&network, &network.ids()).await.unwrap();
    let after: Vec<usize> =
        chain.iter().filter(|block| block.number > cut.number).map(|block| block.envelopes.len()).collect();
    assert_eq!(after, [3, 3, 3]);

    let acl = office.update(2, &["acl", "--set", "peer/Propose=/Channel/Application/Writers"], &peers).await.unwrap();
    let application = acl.config.bundle().config().channel_group.clone().unwrap().groups["Application"].clone();
    assert!(application.values.contains_key("ACLs"));

    let addresses = "orderers.example.com:7050,127.0.0.1:9999";
    let endpoints =
        office.update(3, &["endpoints", "--org", "OrdererOrg", "--set", addresses], &orderers).await.unwrap();
    assert_eq!(endpoints.config.endpoints().collect::<Vec<_>>().join(","), addresses);

    // An organisation that the network does not know may not write; added, it may; removed, it may not.
    let (stranger, folder) = office.stranger().unwrap();
    let envelope = |factory: &EnvelopeFactory| factory.transaction_of_size(100);
    for id in network.ids() {
        assert_eq!(answer(&network, id, envelope(&stranger)).await.unwrap().0, Status::Forbidden, "node {id}");
    }
    let folder = folder.to_str().unwrap();
    let added = ["org", "add", "--application", "Org9", "--definition", folder, "--msp-id", "Org9MSP"];
    let added = office.update(4, &added, &peers).await.unwrap();
    assert!(added.config.msps().msp("Org9MSP").is_some());
    let written = envelope(&stranger);
    for id in network.ids() {
        let (status, info) = answer(&network, id, written.clone()).await.unwrap();
        assert_eq!((status, info), (Status::Success, String::new()), "node {id}");
    }
    // Two administrators are asked from now on, and the majority of two is two.
    let both = [office.peer_administrator(), office.stranger_administrator()];
    let alone = office.update(1, &["org", "remove", "--application", "Org9"], &peers).await.unwrap_err();
    assert!(alone.to_string().contains("BAD_REQUEST") || alone.to_string().contains("BadRequest"), "{alone:#}");
    let removed = office.update(1, &["org", "remove", "--application", "Org9"], &both).await.unwrap();
    assert!(removed.config.msps().msp("Org9MSP").is_none());
    for id in network.ids() {
        assert_eq!(answer(&network, id, envelope(&stranger)).await.unwrap().0, Status::Forbidden, "node {id}");
    }

    let chain = one_chain(&network, &network.ids()).await.unwrap();
    let found = occurrences(&chain);
    assert!(envelopes.iter().chain([&written]).all(|envelope| found.get(&key_of(envelope)) == Some(&1)));
    let is_config = |entry: &Vec<u8>| Envelope::decode(entry.clone().into()).unwrap().is_config();
    let configs: Vec<u64> =
        chain.iter().filter(|block| block.envelopes.iter().any(is_config)).map(|block| block.number).collect();
    let expected = [cut.number, acl.number, endpoints.number, added.number, removed.number];
    assert_eq!(configs, expected, "each update is one block");
    network.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_updates_that_race_both_come_into_force() {
    let network = DevNetwork::start(&[]).await.unwrap();
    let office = Administration::of(&network);
    // Made for the same configuration, of different elements: whichever comes second is wrapped again for the other's result.
    let one = office.ready(1, &["batch-size", "--max-messages", "7"], &[office.orderer_administrator()]).await.unwrap();
    let acl = ["acl", "--set", "peer/Propose=/Channel/Application/Writers"];
    let other = office.ready(1, &acl, &[office.peer_administrator()]).await.unwrap();
    let (first, second) = tokio::join!(answer(&network, 1, one), answer(&network, 4, other));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!((first.0, second.0), (Status::Success, Status::Success), "{first:?} {second:?}");
    let config = office.wait_for_sequence(2).await.unwrap();
    assert_eq!(config.batch_size().max_message_count, 7);
    one_chain(&network, &network.ids()).await.unwrap();
    network.stop().await.unwrap();
}
