//! A real peer in front of the `orderer` processes. Its organisation and theirs administer the channel with Fabric's tools.
//! All of it once with programs of v3, once with those of v2.5.

use std::time::Duration;

use fabric_proto::common::Status;
use integration::material::ORDERERS;
use integration::site::wait_until;
use orderer_node::client::{ClientError, DeliverClient, Seek};
use serde_json::Value;

use crate::orderers::{CHANNEL, user_of};
use crate::release::{Fabric, Release};
use crate::stage::{Stage, number_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_fetches_any_block_and_leaves_a_node_that_withholds_blocks() {
    let Some(fabric) = Fabric::v3(FETCHING) else { return };
    fetches_and_leaves(&fabric).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_of_v2_5_fetches_any_block_and_leaves_a_node_that_withholds_blocks() {
    let Some(fabric) = Fabric::v2_5(FETCHING) else { return };
    fetches_and_leaves(&fabric).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_is_added_and_one_that_is_removed_is_refused_at_once() {
    let Some(fabric) = Fabric::v3(ORGANISATIONS) else { return };
    an_organisation_comes_and_goes(&fabric).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_is_added_with_v2_5_and_one_that_is_removed_is_refused_at_once() {
    let Some(fabric) = Fabric::v2_5(ORGANISATIONS) else { return };
    an_organisation_comes_and_goes(&fabric).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_maintenance_only_the_orderers_organisation_reads_and_updates_and_afterwards_all_goes_on() {
    let Some(fabric) = Fabric::v3(MAINTENANCE) else { return };
    into_maintenance_and_out(&fabric).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_with_v2_5_is_the_same() {
    let Some(fabric) = Fabric::v2_5(MAINTENANCE) else { return };
    into_maintenance_and_out(&fabric).await;
}

async fn fetches_and_leaves(fabric: &Fabric) {
    let mut stage = Stage::set(fabric).await;
    stage.order(2, 40).await;
    let height = stage.check().await;
    let ours = stage.orderers.blocks(1).await.unwrap();
    for (position, number) in [("config", 0), ("oldest", 0), ("newest", height - 1), ("3", 3)] {
        let fetched = stage.peer.fetch(position, CHANNEL).unwrap();
        assert_eq!(fetched, ours[number as usize], "peer channel fetch {position}");
    }

    // Connections to a process that stands still stay open, and nothing comes over them any more.
    let source = stage.peer.block_source().unwrap();
    let withholding = u16::try_from(source).unwrap() + 1;
    stage.orderers.process(withholding).pause().unwrap();
    stage.order(withholding % ORDERERS + 1, 40).await;
    let has_left = async || Ok(stage.peer.block_source()? != source);
    wait_until("the peer has its blocks from somebody else", has_left).await.unwrap();
    stage.peer.commits(height..=height + 2).await.unwrap();
    if fabric.release == Release::V3 {
        let address = &stage.orderers.for_fabric().orderers[source];
        let suspicion = format!("Censorship suspicion: block censorship detected, endpoint: Address: {address},");
        assert!(stage.peer.log().contains(&suspicion), "{}", stage.peer.log());
    }
    stage.orderers.process(withholding).resume().unwrap();
    stage.check().await;
}

async fn an_organisation_comes_and_goes(fabric: &Fabric) {
    let mut stage = Stage::set(fabric).await;
    // The certificates of Org1 under another name: whoever signs with them says which organisation it is of.
    let keys = stage.orderers.keys.clone();
    let org9 = (keys.peer_administrator().0, ORG9);
    let both = [org9.clone(), keys.peer_administrator()];
    let org1 = &both[1..];
    let stranger = user_of(&(keys.user().0, ORG9));
    stage.answers(&stranger, Status::Forbidden, "").await;
    let refused = stage.peer.fetch_as(&org9, "newest", CHANNEL).unwrap_err().to_string();
    assert!(refused.contains("FORBIDDEN"), "{refused}");

    let add = |groups: &mut Value| {
        let organisations = &mut groups["Application"]["groups"];
        let like_org1 = organisations["Org1"].to_string().replace("Org1MSP", ORG9);
        organisations["Org9"] = serde_json::from_str(&like_org1).unwrap();
    };
    stage.change(org1, add).await.unwrap();
    stage.answers(&stranger, Status::Success, "").await;
    stage.peer.fetch_as(&org9, "newest", CHANNEL).unwrap();
    stage.order(3, 20).await;
    let height = stage.check().await;

    // Streams that go on and on end too.
    let mut streams = Vec::new();
    for id in 1..=ORDERERS {
        let connection = stage.orderers.endpoint(id).connect().await.unwrap();
        let mut stream = DeliverClient::open(&connection, &stranger, Seek::from(height - 1)).await.unwrap();
        assert!(stream.next().await.unwrap().is_some());
        streams.push(stream);
    }
    let remove = |groups: &mut Value| {
        groups["Application"]["groups"].as_object_mut().unwrap().remove("Org9");
    };
    // A majority of two is both.
    let alone = stage.change(org1, remove).await.unwrap_err().to_string();
    assert!(alone.contains("BAD_REQUEST"), "{alone}");
    stage.change(&both, remove).await.unwrap();
    let removal = number_of(&stage.peer.fetch("config", CHANNEL).unwrap());
    stage.order(4, 20).await;
    for (id, mut stream) in (1..).zip(streams) {
        let end = tokio::time::timeout(Duration::from_secs(60), async {
            loop {
                match stream.next().await {
                    Ok(Some(block)) => assert!(block.header.unwrap().number < removal, "a block for who is removed"),
                    other => break other,
                }
            }
        });
        let end = end.await.expect("the stream ends");
        assert!(matches!(&end, Err(ClientError::Status { status, .. }) if status == "FORBIDDEN"), "{end:?}");
        assert_eq!(stage.answer(id, &stranger).await.0, Status::Forbidden, "orderer {id}");
    }
    let refused = stage.peer.fetch_as(&org9, "newest", CHANNEL).unwrap_err().to_string();
    assert!(refused.contains("FORBIDDEN"), "{refused}");
    stage.check().await;
}

async fn into_maintenance_and_out(fabric: &Fabric) {
    let mut stage = Stage::set(fabric).await;
    let keys = stage.orderers.keys.clone();
    let (orderers, org1) = ([keys.orderer_administrator()], [keys.peer_administrator()]);
    let user = stage.orderers.user.clone();
    stage.check().await;

    stage.change(&orderers, |groups| *state(groups) = "STATE_MAINTENANCE".into()).await.unwrap();
    stage.answers(&user, Status::ServiceUnavailable, "normal transactions are rejected: maintenance mode").await;
    let refused = stage.peer.fetch("newest", CHANNEL).unwrap_err().to_string();
    assert!(refused.contains("FORBIDDEN"), "{refused}");
    let of_org1 = |groups: &mut Value| groups["Application"]["groups"]["Org1"]["mod_policy"] = "Writers".into();
    let refused = stage.change(&org1, of_org1).await.unwrap_err().to_string();
    assert!(refused.contains("FORBIDDEN") && refused.contains("permission denied"), "{refused}");

    // The state goes back alone, whatever else may change meanwhile.
    let both = |groups: &mut Value| {
        *state(groups) = "STATE_NORMAL".into();
        *messages_in_a_block(groups) = 5.into();
    };
    let refused = stage.change(&orderers, both).await.unwrap_err().to_string();
    assert!(refused.contains("BAD_REQUEST") && refused.contains("did not pass maintenance checks"), "{refused}");
    stage.change(&orderers, |groups| *messages_in_a_block(groups) = 5.into()).await.unwrap();
    stage.change(&orderers, |groups| *state(groups) = "STATE_NORMAL".into()).await.unwrap();

    stage.answers(&user, Status::Success, "").await;
    stage.order(2, 20).await;
    let height = stage.check().await;
    let log = stage.peer.log();
    let applied = log.lines().filter(|line| line.contains("Config transaction validated and applied")).count();
    assert!(applied >= 3, "{applied} updates were applied in {height} blocks");
}

fn state(groups: &mut Value) -> &mut Value {
    &mut groups["Orderer"]["values"]["ConsensusType"]["value"]["state"]
}

fn messages_in_a_block(groups: &mut Value) -> &mut Value {
    &mut groups["Orderer"]["values"]["BatchSize"]["value"]["max_message_count"]
}

const FETCHING: &str = "a real peer in front of `orderer`";
const ORGANISATIONS: &str = "organisations of a channel that `orderer` serves";
const MAINTENANCE: &str = "maintenance of a channel that `orderer` serves";
const ORG9: &str = "Org9MSP";
