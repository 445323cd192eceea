//! Who may read, and until when: the Readers policy, certificates that expire, configurations that change under a stream.
#![allow(clippy::unwrap_used)]

mod chain;
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use fabric_channel::config_tree::{ConfigTree, Group};
use fabric_channel::{Bundle, ChannelConfig, ConfigContent};
use fabric_proto::block::data_hash;
use fabric_proto::common::{
    Block, BlockData, BlockHeader, ChannelHeader, Envelope, Header, HeaderType, Payload, Status,
};
use fabric_proto::metadata::block_metadata;
use fabric_proto::orderer::{ConsensusType, SeekInfo, consensus_type::State};
use frontend_shim::authentication::{Authentication, Clock};
use frontend_shim::channels::Channel;
use frontend_shim::client::AtomicBroadcastClient;
use frontend_shim::signing::SigningIdentity;
use prost::Message;

use chain::{CHANNEL, grow, orderer, signed, writer};
use server::{Accepting, PATIENCE, Reader, SILENCE, Said, Server, request_header, seek};

const FOREVER: &str = "18446744073709551615";

/// Opens a stream with a request of this identity.
async fn seek_as(client: &AtomicBroadcastClient, reader: &SigningIdentity, range: &SeekInfo) -> Reader {
    let stream = Reader::open(client).await;
    stream.send(signed(reader, request_header(CHANNEL), &range.encode_to_vec()));
    stream
}

/// What a stream of this identity begins with.
async fn first(client: &AtomicBroadcastClient, reader: &SigningIdentity) -> Said {
    seek_as(client, reader, &seek("1", "1")).await.next(PATIENCE).await
}

fn given(number: u64) -> Said {
    Said::Block { number, entries: if number < chain::REAL { 10 } else { 1 } }
}

const FORBIDDEN: Said = Said::Status(Status::Forbidden);

/// The configuration that follows the channel's, with a change.
fn next_config(channel: &Channel, change: impl FnOnce(&mut Group)) -> ChannelConfig {
    let mut tree = channel.config().bundle().tree().clone();
    tree.sequence += 1;
    change(tree.root.as_mut().unwrap());
    ChannelConfig::from_bundle(Bundle::from_tree(CHANNEL, tree).unwrap()).unwrap()
}

fn without_org1(root: &mut Group) {
    let organizations = &mut root.groups.get_mut("Application").unwrap().groups;
    let before = organizations.len();
    organizations.retain(|name, _| !name.contains("Org1"));
    assert_eq!(organizations.len() + 1, before);
}

fn in_state(state: State) -> impl FnOnce(&mut Group) {
    move |root| {
        let value = &mut root.groups.get_mut("Orderer").unwrap().values.get_mut("ConsensusType").unwrap().value;
        let consensus = ConsensusType::decode(value.clone()).unwrap();
        *value = ConsensusType { state: state.into(), ..consensus }.encode_to_vec().into();
    }
}

/// The envelope of a config block.
fn config_envelope(tree: &ConfigTree) -> Bytes {
    let header = ChannelHeader { r#type: HeaderType::Config.into(), channel_id: CHANNEL.into(), ..Default::default() };
    let header = Header { channel_header: header.encode_to_vec().into(), signature_header: Bytes::new() };
    let data = ConfigContent { config: Some(tree.clone()), last_update: None }.encode().into();
    let payload = Payload { header: Some(header), data }.encode_to_vec().into();
    Envelope { payload, signature: Bytes::from_static(b"signature") }.encode_to_vec().into()
}

/// Stores and certifies a block of one entry, as all see it.
fn append(server: &Server, last_config: u64, entry: Bytes) {
    let tip = server.ledger().tip().unwrap();
    let (number, entries) = (tip.number + 1, vec![entry]);
    let header = BlockHeader {
        number,
        previous_hash: Bytes::copy_from_slice(&tip.header_hash),
        data_hash: Bytes::copy_from_slice(&data_hash(&entries)),
    };
    let metadata = block_metadata(last_config, Bytes::new(), Vec::new());
    let slot0 = metadata.metadata[0].clone();
    let block = Block { header: Some(header), data: Some(BlockData { data: entries }), metadata: Some(metadata) };
    server.ledger().append(number, block.encode_to_vec().into()).unwrap();
    server.ledger().certify(number, slot0).unwrap();
}

/// A clock that a test sets, in seconds before or after the system's.
fn clock() -> (Clock, Arc<AtomicI64>) {
    let ahead = Arc::new(AtomicI64::new(0));
    let shown = Arc::clone(&ahead);
    let now = move || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let ahead = shown.load(Ordering::SeqCst);
        UNIX_EPOCH + Duration::from_secs(now.as_secs().checked_add_signed(ahead).unwrap())
    };
    (Clock::new(now), ahead)
}

/// Seconds from now to the end of a certificate.
fn time_left(identity: &SigningIdentity) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    identity.certificate().not_after_unix_s() - i64::try_from(now.as_secs()).unwrap()
}

#[tokio::test]
async fn an_organization_that_block_n_removes_gets_neither_it_nor_what_follows() {
    let server = Server::new(5, Arc::new(Accepting));
    let client = server.tcp_client().await;
    let (removed, stays) = (writer(), orderer());
    let mut streams =
        [seek_as(&client, &removed, &seek("4", FOREVER)).await, seek_as(&client, &stays, &seek("4", FOREVER)).await];
    for stream in &mut streams {
        assert_eq!(stream.next(PATIENCE).await, given(4));
    }
    let [mut removed_stream, mut other] = streams;
    let config = next_config(&server.channel, without_org1);
    server.channel.install_config(config.clone());
    // Nothing is sent, so nothing is looked at.
    assert_eq!(removed_stream.next(SILENCE).await, Said::Nothing);
    append(&server, 5, config_envelope(config.bundle().tree()));
    append(&server, 5, Bytes::from_static(b"entry"));
    assert_eq!(removed_stream.next(PATIENCE).await, FORBIDDEN);
    assert_eq!(removed_stream.next(PATIENCE).await, Said::End);
    assert_eq!((other.next(PATIENCE).await, other.next(PATIENCE).await), (given(5), given(6)));
    // Nor what it might have had before.
    assert_eq!((first(&client, &removed).await, first(&client, &stays).await), (FORBIDDEN, given(1)));

    let before = ChannelConfig::from_block(&Block::decode(chain::real(0)).unwrap()).unwrap();
    let with_org1 = before.bundle().tree().root.clone().unwrap();
    server.channel.install_config(next_config(&server.channel, |root| *root = with_org1));
    assert_eq!(first(&client, &removed).await, given(1), "an organization that is added reads at once");
}

#[tokio::test]
async fn blocks_wait_for_the_configuration_that_governs_them() {
    let server = Server::new(5, Arc::new(Accepting));
    let client = server.tcp_client().await;
    let (removed, stays) = (writer(), orderer());
    let range = seek("4", FOREVER);
    let (mut removed_stream, mut other) =
        (seek_as(&client, &removed, &range).await, seek_as(&client, &stays, &range).await);
    assert_eq!((removed_stream.next(PATIENCE).await, other.next(PATIENCE).await), (given(4), given(4)));
    // As after a restart: the ledger is ahead of the configuration.
    let config = next_config(&server.channel, without_org1);
    append(&server, 5, config_envelope(config.bundle().tree()));
    append(&server, 5, Bytes::from_static(b"entry"));
    let mut late = seek_as(&client, &removed, &seek("1", "6")).await;
    for stream in [&mut removed_stream, &mut other, &mut late] {
        assert_eq!(stream.next(SILENCE).await, Said::Nothing);
    }
    server.channel.install_config(config);
    assert_eq!((removed_stream.next(PATIENCE).await, late.next(PATIENCE).await), (FORBIDDEN, FORBIDDEN));
    assert_eq!((other.next(PATIENCE).await, other.next(PATIENCE).await), (given(5), given(6)));
    let mut again = seek_as(&client, &stays, &seek("6", "6")).await;
    assert_eq!(again.rest(PATIENCE).await, (vec![6], Said::Status(Status::Success)));
}

#[tokio::test]
async fn a_stream_that_waits_for_a_configuration_ends_with_its_channel() {
    let server = Server::new(5, Arc::new(Accepting));
    let client = server.tcp_client().await;
    append(&server, 5, config_envelope(next_config(&server.channel, without_org1).bundle().tree()));
    let mut stream = seek_as(&client, &orderer(), &seek("5", "5")).await;
    assert_eq!(stream.next(SILENCE).await, Said::Nothing);
    server.channels.remove(server.channel.id()).unwrap();
    assert_eq!(stream.next(PATIENCE).await, Said::Status(Status::ServiceUnavailable));
}

#[tokio::test]
async fn in_maintenance_only_orderer_organizations_read() {
    let server = Server::new(5, Arc::new(Accepting));
    let client = server.tcp_client().await;
    let mut stream = seek_as(&client, &writer(), &seek("5", FOREVER)).await;
    assert_eq!(stream.next(SILENCE).await, Said::Nothing);
    server.channel.install_config(next_config(&server.channel, in_state(State::Maintenance)));
    grow(server.ledger(), 6, 100);
    assert_eq!(stream.next(PATIENCE).await, FORBIDDEN);
    assert_eq!((first(&client, &writer()).await, first(&client, &orderer()).await), (FORBIDDEN, given(1)));
    server.channel.install_config(next_config(&server.channel, in_state(State::Normal)));
    assert_eq!(first(&client, &writer()).await, given(1));
}

#[tokio::test]
async fn the_policy_is_evaluated_again_for_a_newer_configuration_and_no_other() {
    let server = Server::new(5, Arc::new(Accepting));
    let client = server.tcp_client().await;
    let mut stream = seek_as(&client, &writer(), &seek("4", FOREVER)).await;
    assert_eq!(stream.next(PATIENCE).await, given(4));
    let mut same = next_config(&server.channel, without_org1).bundle().tree().clone();
    same.sequence -= 1;
    let same = ChannelConfig::from_bundle(Bundle::from_tree(CHANNEL, same).unwrap()).unwrap();
    server.channel.install_config(same);
    grow(server.ledger(), 6, 100);
    assert_eq!(stream.next(PATIENCE).await, given(5), "judged once for this sequence");
    assert_eq!(first(&client, &writer()).await, FORBIDDEN);
}

#[tokio::test]
async fn a_certificate_that_expires_ends_its_stream_at_the_next_block() {
    let mut server = Server::new(5, Arc::new(Accepting));
    let (clock, ahead) = clock();
    server.service = server.service.clone().with_clock(clock);
    let client = server.tcp_client().await;
    let (reader, end) = (writer(), time_left(&writer()));
    let mut stream = seek_as(&client, &reader, &seek("4", FOREVER)).await;
    assert_eq!(stream.next(PATIENCE).await, given(4));
    ahead.store(end - 100, Ordering::SeqCst);
    grow(server.ledger(), 6, 100);
    assert_eq!(stream.next(PATIENCE).await, given(5));
    ahead.store(end + 100, Ordering::SeqCst);
    assert_eq!(stream.next(SILENCE).await, Said::Nothing, "no timer looks at it");
    grow(server.ledger(), 7, 100);
    assert_eq!(stream.next(PATIENCE).await, FORBIDDEN);

    let late = |seconds: i64| {
        let mut header = request_header(CHANNEL);
        header.timestamp.as_mut().unwrap().seconds += seconds;
        signed(&reader, header, &seek("1", "1").encode_to_vec())
    };
    let mut expired = Reader::open(&client).await;
    expired.send(late(end + 100));
    assert_eq!(expired.next(PATIENCE).await, FORBIDDEN, "nor does it begin");
    let lenient = Authentication { no_expiration_checks: true, ..Authentication::default() };
    server.service = server.service.clone().authenticating(lenient);
    let mut lenient = Reader::open(&server.tcp_client().await).await;
    lenient.send(late(end + 100));
    assert_eq!(lenient.next(PATIENCE).await, given(1), "unless the operator takes expired certificates");
}

#[tokio::test]
async fn the_time_window_is_the_operators() {
    let mut server = Server::new(5, Arc::new(Accepting));
    let narrow = Authentication { time_window: Duration::from_secs(60), ..Authentication::default() };
    server.service = server.service.clone().authenticating(narrow);
    let client = server.tcp_client().await;
    for (age, expected) in
        [(30, given(1)), (90, Said::Status(Status::BadRequest)), (-90, Said::Status(Status::BadRequest))]
    {
        let mut header = request_header(CHANNEL);
        header.timestamp.as_mut().unwrap().seconds -= age;
        let mut stream = Reader::open(&client).await;
        stream.send(signed(&writer(), header, &seek("1", "1").encode_to_vec()));
        assert_eq!(stream.next(PATIENCE).await, expected, "{age} s old");
    }
}

#[tokio::test]
async fn an_expired_creator_is_refused_by_broadcast_unless_the_operator_takes_it() {
    let mut server = Server::new(5, Arc::new(Accepting));
    let (clock, ahead) = clock();
    ahead.store(time_left(&writer()) + 100, Ordering::SeqCst);
    server.service = server.service.clone().with_clock(clock);
    let envelope = chain::envelope(CHANNEL, HeaderType::EndorserTransaction, b"data");
    let answer = async |server: &Server| {
        let envelopes = server::envelopes(vec![envelope.clone()]);
        let mut answers = server.tcp_client().await.broadcast(envelopes).await.unwrap();
        let answer = answers.message().await.unwrap().unwrap();
        let answer = frontend_shim::client::broadcast_response(answer).unwrap();
        (answer.status(), answer.info)
    };
    assert_eq!(answer(&server).await, (Status::BadRequest, "broadcast client identity expired".to_owned()));
    let lenient = Authentication { no_expiration_checks: true, ..Authentication::default() };
    server.service = server.service.clone().authenticating(lenient);
    assert_eq!(answer(&server).await.0, Status::Success);
}

/// A thousand readers of one channel, and each configuration judges them all anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_are_judged_again_while_others_are_served() {
    let server = Server::new(5, Arc::new(Accepting));
    let client = server.tcp_client().await;
    let (mut streams, reader) = (Vec::new(), orderer());
    for _ in 0..1_000 {
        let mut stream = seek_as(&client, &reader, &seek("4", FOREVER)).await;
        assert_eq!(stream.next(PATIENCE).await, given(4));
        streams.push(stream);
    }
    for height in 6..9 {
        server.channel.install_config(next_config(&server.channel, |_| {}));
        grow(server.ledger(), height, 100);
        for stream in &mut streams {
            assert_eq!(stream.next(PATIENCE).await, given(height - 1));
        }
    }
}
