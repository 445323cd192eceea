//! Configuration updates from a client's stream into force: wrapping, two that race, what nobody takes.
#![allow(clippy::unwrap_used)]

mod chain;
mod sequencer;
mod server;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fabric_channel::config_tree::{Group, PolicyBody, PolicyEntry, Value};
use fabric_channel::{Bundle, ChannelConfig, derived_bft_policy};
use fabric_proto::common::signature_policy::{NOutOf, Type};
use fabric_proto::common::{
    ConfigSignature, ConfigUpdate, ConfigUpdateEnvelope, HeaderType, SignaturePolicy, SignaturePolicyEnvelope, Status,
};
use fabric_proto::orderer::{BatchSize, BatchTimeout};
use frontend_shim::broadcast::Order;
use frontend_shim::channels::Channel;
use frontend_shim::client::broadcast_response;
use frontend_shim::limits::UPDATES_BYTES_MAX;
use futures::StreamExt as _;
use prost::Message;

use chain::{CHANNEL, header_of, orderer, signed, writer};
use sequencer::Sequencer;
use server::{Accepting, PATIENCE, Server, envelopes};

/// A channel whose elements anybody may change who may write, with a cluster of one behind it.
async fn world() -> (Server, Arc<Sequencer>) {
    let mut server = Server::new(1, Arc::new(Accepting));
    let mut tree = server.channel.config().bundle().tree().clone();
    tree.root.as_mut().unwrap().groups.values_mut().for_each(free_admins);
    free_admins(tree.root.as_mut().unwrap());
    let config = ChannelConfig::from_bundle(Bundle::from_tree(CHANNEL, tree).unwrap()).unwrap();
    server.channel.install_config(config);
    let sequencer = Sequencer::new(server.channels.clone());
    server.serve_by(Arc::clone(&sequencer) as _, Some(Arc::new(orderer())));
    (server, sequencer)
}

/// Satisfied by nobody's signature.
fn free_admins(group: &mut Group) {
    let rule = SignaturePolicy { r#type: Some(Type::NOutOf(NOutOf::default())) };
    let policy = SignaturePolicyEnvelope { version: 0, rule: Some(rule), identities: Vec::new() };
    let body = PolicyBody { kind: 1, value: policy.encode_to_vec().into(), ..PolicyBody::default() };
    if let Some(admins) = group.policies.get_mut("Admins") {
        admins.policy = Some(body);
    }
}

/// An update of one value of the orderer group, from this configuration.
fn update(config: &ChannelConfig, name: &str, value: &impl Message) -> Bytes {
    update_of(vec![(name, changed(config, name, value))], Vec::new())
}

fn changed(config: &ChannelConfig, name: &str, value: &impl Message) -> Value {
    let present = config.bundle().tree().group("Orderer").unwrap().values[name].clone();
    Value { version: present.version + 1, value: value.encode_to_vec().into(), ..present }
}

/// An update of values and policies of the orderer group.
fn update_of(values: Vec<(&str, Value)>, policies: Vec<(&str, PolicyEntry)>) -> Bytes {
    update_with(values, policies, Vec::new())
}

fn update_with(
    values: Vec<(&str, Value)>,
    policies: Vec<(&str, PolicyEntry)>,
    signatures: Vec<ConfigSignature>,
) -> Bytes {
    let set = |orderer: Group| {
        let group = |groups| Group { groups, mod_policy: "Admins".to_owned(), ..Group::default() };
        group([("Orderer".to_owned(), orderer)].into()).encode()
    };
    let bare = Group { mod_policy: "Admins".to_owned(), ..Group::default() };
    let mut changed = bare.clone();
    changed.values.extend(values.into_iter().map(|(name, value)| (name.to_owned(), value)));
    changed.policies.extend(policies.into_iter().map(|(name, policy)| (name.to_owned(), policy)));
    let update = ConfigUpdate { channel_id: CHANNEL.to_owned(), ..ConfigUpdate::default() };
    let mut bytes = update.encode_to_vec();
    for (number, set) in [(2, set(bare)), (3, set(changed))] {
        prost::encoding::bytes::encode(number, &set, &mut bytes);
    }
    let data = ConfigUpdateEnvelope { config_update: bytes.into(), signatures }.encode_to_vec();
    signed(&writer(), header_of(CHANNEL, HeaderType::ConfigUpdate), &data)
}

fn timeout(text: &str) -> BatchTimeout {
    BatchTimeout { timeout: text.to_owned() }
}

async fn send(server: &Server, envelope: Bytes) -> (Status, String) {
    let mut client = server.unix_client();
    let mut answers = client.broadcast(envelopes(vec![envelope])).await.unwrap();
    let answer = tokio::time::timeout(PATIENCE, answers.next()).await.unwrap().unwrap().unwrap();
    let answer = broadcast_response(answer).unwrap();
    (answer.status(), answer.info)
}

async fn taken(server: &Server, envelope: Bytes) {
    assert_eq!(send(server, envelope).await, (Status::Success, String::new()));
}

async fn sequence(channel: &Channel, wanted: u64) {
    let mut sequences = channel.watch_sequence();
    let reached = sequences.wait_for(|sequence| *sequence >= wanted);
    tokio::time::timeout(PATIENCE, reached).await.expect("the update comes into force").unwrap();
}

fn size(max_message_count: u32) -> BatchSize {
    BatchSize { max_message_count, absolute_max_bytes: 1 << 20, preferred_max_bytes: 1 << 10 }
}

#[tokio::test]
async fn an_update_comes_into_force_and_judges_what_comes_after_it() {
    let (server, sequencer) = world().await;
    let limits = BatchSize { max_message_count: 7, absolute_max_bytes: 100_000, preferred_max_bytes: 1000 };
    taken(&server, update(&server.channel.config(), "BatchSize", &limits)).await;
    sequence(&server.channel, 1).await;
    assert_eq!(server.channel.config().batch_size().max_message_count, 7);
    let [Order::Config { sequence: 0, .. }] = &sequencer.seen()[..] else { panic!("{:?}", sequencer.seen()) };
    let large = |bytes: usize| signed(&writer(), header_of(CHANNEL, HeaderType::Message), &vec![0; bytes]);
    let (status, info) = send(&server, large(100_001)).await;
    assert_eq!(status, Status::BadRequest);
    assert!(info.starts_with("message payload is ") && info.ends_with("maximum allowed 100000 bytes"), "{info}");
    taken(&server, large(10)).await;
    let seen = sequencer.seen();
    assert!(matches!(seen.last().unwrap(), Order::Envelope { sequence: 1, .. }), "{seen:?}");
    // The same once more: what the update was made from has gone by.
    let stale = update(&server.channel.config(), "BatchSize", &limits);
    taken(&server, stale.clone()).await;
    sequence(&server.channel, 2).await;
    let (status, info) = send(&server, stale).await;
    assert_eq!(status, Status::BadRequest);
    let start = "error applying config update to existing channel 'bftch': error authorizing update: error validating \
                 DeltaSet: value /Channel/Orderer/BatchSize has version 2";
    assert!(info.starts_with(start), "{info}");
}

#[tokio::test]
async fn of_two_updates_that_race_the_second_is_wrapped_again() {
    let (server, sequencer) = world().await;
    let config = server.channel.config();
    sequencer.hold();
    taken(&server, update(&config, "BatchTimeout", &timeout("7s"))).await;
    taken(&server, update(&config, "BatchSize", &size(7))).await;
    sequencer.release();
    sequence(&server.channel, 2).await;
    let config = server.channel.config();
    assert_eq!((config.batch_timeout().as_secs(), config.batch_size().max_message_count), (7, 7));
    let (seen, left_out) = (sequencer.seen(), sequencer.left_out());
    assert_eq!((seen.len(), left_out.len()), (3, 1));
    assert_eq!(seen.iter().map(Order::sequence).collect::<Vec<_>>(), [0, 0, 1]);
    assert_eq!(left_out[0], seen[1]);
}

#[tokio::test]
async fn an_update_that_was_overtaken_is_offered_until_the_nodes_are_in_reach() {
    let (server, sequencer) = world().await;
    let config = server.channel.config();
    sequencer.refuse(1);
    let (status, _) = send(&server, update(&config, "BatchTimeout", &timeout("6s"))).await;
    assert_eq!(status, Status::ServiceUnavailable, "one that was not taken is its client's to send again");
    sequencer.hold();
    taken(&server, update(&config, "BatchTimeout", &timeout("7s"))).await;
    taken(&server, update(&config, "BatchSize", &size(7))).await;
    sequencer.refuse(1);
    sequencer.release();
    sequence(&server.channel, 2).await;
    assert_eq!(server.channel.config().batch_size().max_message_count, 7);
    assert_eq!(sequencer.seen().len(), 3);
}

#[tokio::test]
async fn updates_that_are_under_way_are_bounded_in_bytes() {
    let (server, sequencer) = world().await;
    let config = server.channel.config();
    // Signatures that nobody needs make it large.
    let padding = ConfigSignature { signature_header: Bytes::new(), signature: vec![1; 1 << 20].into() };
    let values = || vec![("BatchTimeout", changed(&config, "BatchTimeout", &timeout("7s")))];
    let large = update_with(values(), Vec::new(), vec![padding.clone(), padding]);
    sequencer.hold();
    let mut count = 0;
    let (status, info) = loop {
        match send(&server, large.clone()).await {
            (Status::Success, _) => count += 1,
            refused => break refused,
        }
    };
    assert_eq!(
        (status, info.as_str()),
        (Status::ServiceUnavailable, "too many config updates are under way, try again later")
    );
    assert!((5..=UPDATES_BYTES_MAX / (4 << 20)).contains(&count), "{count}");
    sequencer.release();
    sequence(&server.channel, 1).await;
    let next = || update(&server.channel.config(), "BatchTimeout", &timeout("8s"));
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while send(&server, next()).await.0 != Status::Success {
        assert!(tokio::time::Instant::now() < deadline, "what is in force makes room");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    sequence(&server.channel, 2).await;
}

#[tokio::test]
async fn of_two_updates_of_one_element_the_second_is_dropped() {
    let (server, sequencer) = world().await;
    let config = server.channel.config();
    sequencer.hold();
    taken(&server, update(&config, "BatchTimeout", &timeout("7s"))).await;
    taken(&server, update(&config, "BatchTimeout", &timeout("8s"))).await;
    sequencer.release();
    sequence(&server.channel, 1).await;
    // Something else that changes later finds the dropped one gone.
    taken(&server, update(&server.channel.config(), "BatchSize", &size(9))).await;
    sequence(&server.channel, 2).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((sequencer.seen().len(), sequencer.left_out().len()), (3, 1));
    assert_eq!(server.channel.config().batch_timeout().as_secs(), 7);
}

#[tokio::test]
async fn an_update_that_two_orderers_wrapped_is_not_ordered_twice() {
    let (server, sequencer) = world().await;
    let update = update(&server.channel.config(), "BatchTimeout", &timeout("7s"));
    sequencer.hold();
    taken(&server, update.clone()).await;
    taken(&server, update).await;
    sequencer.release();
    sequence(&server.channel, 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((sequencer.seen().len(), sequencer.left_out().len()), (2, 1));
}

#[tokio::test]
async fn an_identity_that_may_not_write_signs_nothing_that_is_taken() {
    let (mut server, sequencer) = world().await;
    let stranger = frontend_shim::signing::SigningIdentity::new(
        "NobodyMSP",
        orderer().certificate().clone(),
        orderer().key().clone(),
    );
    server.serve_by(Arc::clone(&sequencer) as _, Some(Arc::new(stranger)));
    let (status, info) = send(&server, update(&server.channel.config(), "BatchTimeout", &timeout("7s"))).await;
    assert_eq!(status, Status::Forbidden);
    assert!(
        info.starts_with("config update for existing channel did not pass final checks: implicit policy"),
        "{info}"
    );
    assert!(sequencer.seen().is_empty());
}

#[tokio::test]
async fn a_channel_moves_to_other_nodes_only_with_a_quorum_of_the_present_ones() {
    let (server, sequencer) = world().await;
    let config = server.channel.config();
    let value = config.bundle().tree().group("Orderer").unwrap().values["Orderers"].value.clone();
    let mut mapping = fabric_proto::common::Orderers::decode(value).unwrap();
    mapping.consenter_mapping.pop();
    let (status, info) = send(&server, update(&config, "Orderers", &mapping)).await;
    // The derived BlockValidation policy has to change with it, which Fabric finds out last.
    assert_eq!(status, Status::ServiceUnavailable, "{info}");

    let mut two = mapping.clone();
    two.consenter_mapping.pop();
    let (status, info) = send(&server, move_to(&config, &two)).await;
    assert_eq!(status, Status::BadRequest);
    let why = "the update keeps 2 of 4 consenters, but a channel moves only with a quorum of them, 3 (without the present \
               3, 4): do it in steps";
    assert_eq!(info, format!("error applying config update to existing channel 'bftch': {why}"));

    assert!(sequencer.seen().is_empty());
    assert_eq!(send(&server, move_to(&config, &mapping)).await.0, Status::Success, "three of four stay");
    assert_eq!(sequencer.seen().len(), 1);
}

/// An update to these consenters, with the BlockValidation policy that follows from them.
fn move_to(config: &ChannelConfig, mapping: &fabric_proto::common::Orderers) -> Bytes {
    let consenters = mapping.consenter_mapping.iter();
    let derived = derived_bft_policy(consenters.map(|entry| (entry.msp_id.as_str(), &entry.identity[..])));
    let present = config.bundle().tree().group("Orderer").unwrap().policies["BlockValidation"].clone();
    let body = PolicyBody { kind: derived.r#type, value: derived.value, ..PolicyBody::default() };
    let policy = PolicyEntry { version: present.version + 1, policy: Some(body), ..present };
    let values = vec![("Orderers", changed(config, "Orderers", mapping))];
    update_of(values, vec![("BlockValidation", policy)])
}
