//! What administrators change in a running network: made by the `channel` tool, signed by their keys, sent by Broadcast to one
//! node, and in force on all nodes from the same block on. The chain is verified by a stranger all the while.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use anyhow::bail;
use bytes::Bytes;
use fabric_proto::common::Status;
use fabric_proto::{ChannelId, Envelope};
use integration::administration::{Administration, answer, ready};
use integration::client::{blocks, broadcast, key_of, occurrences, one_chain};
use integration::dev_network::DevNetwork;
use integration::material::{self, Cutting};
use integration::network::{CHANNEL, Network};
use integration::site::{NodeId, PATIENCE, wait_until};
use orderer_node::client::{ClientError, DeliverClient, EnvelopeFactory, Seek};

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
        assert!(read_until_refused(reading(&network, id, &stranger, 0).await).await.is_empty(), "node {id}");
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
    let mut streams = Vec::new();
    for id in network.ids() {
        streams.push(reading(&network, id, &stranger, added.number).await);
    }
    // Two administrators are asked from now on, and the majority of two is two.
    let both = [office.peer_administrator(), office.stranger_administrator()];
    let alone = office.update(1, &["org", "remove", "--application", "Org9"], &peers).await.unwrap_err();
    assert!(alone.to_string().contains("BAD_REQUEST") || alone.to_string().contains("BadRequest"), "{alone:#}");
    let removed = office.update(1, &["org", "remove", "--application", "Org9"], &both).await.unwrap();
    assert!(removed.config.msps().msp("Org9MSP").is_none());
    for (id, stream) in network.ids().into_iter().zip(streams) {
        assert_eq!(answer(&network, id, envelope(&stranger)).await.unwrap().0, Status::Forbidden, "node {id}");
        // What was there while it was a member, and not the block that removes it.
        let given = read_until_refused(stream).await;
        let due: Vec<u64> = (added.number..removed.number).collect();
        assert!(!given.is_empty() && due.starts_with(&given), "node {id}: {given:?} of {due:?}");
        assert!(read_until_refused(reading(&network, id, &stranger, 0).await).await.is_empty(), "node {id}");
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

/// A stream of all blocks from one on, at a node.
async fn reading(network: &DevNetwork, id: NodeId, reader: &EnvelopeFactory, from: u64) -> DeliverClient {
    let connection = network.endpoint(id).unwrap().connect().await.unwrap();
    DeliverClient::open(&connection, reader, Seek::from(from)).await.unwrap()
}

/// The numbers of the blocks that are given before the reader is told that it may not read.
async fn read_until_refused(mut stream: DeliverClient) -> Vec<u64> {
    let mut given = Vec::new();
    loop {
        match tokio::time::timeout(PATIENCE, stream.next()).await.expect("the reader is refused") {
            Ok(block) => given.push(block.unwrap().header.unwrap().number),
            Err(ClientError::Status { status, .. }) if status == "FORBIDDEN" => return given,
            Err(error) => panic!("{error}"),
        }
    }
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

/// After a restart a ledger is ahead of the configuration in force, until the node has caught up with itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_starts_again_gives_nothing_to_an_organization_that_was_removed() {
    let mut network = Network::start(&Cutting::default()).await.unwrap();
    let (genesis, user) = (network.genesis().clone(), network.user().clone());
    // Org1 under another name, since a channel without any organization is open to everybody.
    let organization = material::crypto().join("peerOrganizations/org1.example.com");
    let administrator = organization.join("users/Admin@org1.example.com/msp");
    let administrators = [(administrator.clone(), material::PEER_MSP_ID), (administrator, "Org9MSP")];
    let sender = (material::user_msp(), material::PEER_MSP_ID);
    let definition = organization.join("msp").display().to_string();
    let added = ["org", "add", "--application", "Org9", "--definition", &definition, "--msp-id", "Org9MSP"];
    let removed = ["org", "remove", "--application", "Org9"];
    let mut config_block = genesis.to_vec();
    for (sequence, wish, signers) in [(1, &added[..], 1), (2, &removed[..], 2)] {
        let update = ready(&config_block, wish, &administrators[..signers], (&sender.0, sender.1)).unwrap();
        broadcast(&network.endpoint(1).unwrap(), [update]).await.unwrap();
        for id in network.ids() {
            let is_in_force = async || Ok(network.status(id).await?.channels[0].config_sequence == sequence);
            wait_until("the update is in force", is_in_force).await.unwrap();
            network.wait_for_height(id, sequence + 1).await.unwrap();
        }
        // Each update is a block of its own, and nothing else is sent.
        config_block =
            blocks(&network.endpoint(1).unwrap(), &user, sequence + 1).await.unwrap().remove(sequence as usize);
    }
    let channel = ChannelId::new(CHANNEL).unwrap();
    let reader = EnvelopeFactory::load(channel, &material::user_msp(), "Org9MSP").unwrap();
    network.kill(2).unwrap();
    network.start_node(2).unwrap();
    wait_until("the node refuses the reader", async || {
        // It may not listen yet. As soon as it does, no block may come.
        let Ok(connection) = network.endpoint(2)?.connect().await else { return Ok(false) };
        let opened = DeliverClient::open(&connection, &reader, Seek::from(0)).await;
        let Ok(mut stream) = opened else { return Ok(false) };
        match stream.next().await {
            Ok(block) => bail!("a block was given: {:?}", block.and_then(|block| block.header)),
            Err(ClientError::Status { status, .. }) => Ok(status == "FORBIDDEN"),
            Err(_) => Ok(false),
        }
    })
    .await
    .unwrap();
    network.wait_until_open().await.unwrap();
    assert_eq!(blocks(&network.endpoint(2).unwrap(), &user, 3).await.unwrap().len(), 3, "who stays is served");
}
