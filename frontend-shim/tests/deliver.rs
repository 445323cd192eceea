//! Deliver through a real gRPC client: the seek matrix of real Fabric orderers, waiting, errors, slow readers.
#![allow(clippy::unwrap_used)]

mod chain;
mod server;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fabric_proto::common::{Block, ChannelHeader, Header, Payload, SignatureHeader, Status};
use fabric_proto::orderer::SeekInfo;
use fabric_proto::orderer::seek_info::{SeekBehavior, SeekContentType, SeekErrorResponse};
use frontend_shim::channels::ChannelState;
use frontend_shim::deliver::{ClientConnection, TlsBinding};
use frontend_shim::ledger::LedgerOptions;
use frontend_shim::service::ServiceLimits;
use futures::future::join_all;
use prost::Message;

use chain::{CHANNEL, bare, creator, envelope_with, follow, grow, made_slot0, real, signed, slot0, writer};
use server::{Accepting, PATIENCE, Reader, SILENCE, Said, Server, request, request_header, seek};

const FOREVER: &str = "18446744073709551615";

fn server(height: u64) -> Server {
    Server::new(height, Arc::new(Accepting))
}

fn best_effort(seek: SeekInfo) -> SeekInfo {
    SeekInfo { error_response: SeekErrorResponse::BestEffort.into(), ..seek }
}

fn fail_if_not_ready(seek: SeekInfo) -> SeekInfo {
    SeekInfo { behavior: SeekBehavior::FailIfNotReady.into(), ..seek }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let fulfilled = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, fulfilled).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn the_seek_matrix_is_that_of_real_orderers() {
    let server = server(8);
    let client = server.tcp_client().await;
    let table = include_str!("data/seek_matrix.txt");
    let cases = table.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let client = client.clone();
        async move {
            let [start, stop, behavior, blocks, last] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
            let info = seek(start, stop);
            let info = if behavior == "fail" { fail_if_not_ready(info) } else { info };
            let mut reader = Reader::seek(&client, &info).await;
            // Long enough to see that nothing comes, where nothing may come.
            let patience = if last == "waiting" { Duration::from_secs(2) } else { PATIENCE };
            let (numbers, said) = reader.rest(patience).await;
            let range = match (numbers.first(), numbers.last()) {
                (Some(first), Some(last)) => format!("{first}..{last}"),
                _ => "-".to_owned(),
            };
            let said_name = match said {
                Said::Status(status) => status.as_str_name(),
                Said::Nothing => "waiting",
                other => panic!("{line}: {other:?}"),
            };
            assert_eq!((range.as_str(), said_name), (blocks, last), "{line}");
            assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{line}");
            // After SUCCESS the stream goes on; after any other status it has ended well.
            match last {
                "SUCCESS" | "waiting" => assert_eq!(reader.next(SILENCE).await, Said::Nothing, "{line}"),
                _ => assert_eq!(reader.next(PATIENCE).await, Said::End, "{line}"),
            }
        }
    });
    let count = join_all(cases).await.len();
    println!("{count} cases of the seek matrix");
    assert_eq!(count, 173);
}

#[tokio::test]
async fn blocks_arrive_as_they_were_made() {
    let server = server(5);
    for client in [server.tcp_client().await, server.unix_client()] {
        let mut reader = Reader::seek(&client, &seek("oldest", "newest")).await;
        for number in 0..5 {
            assert_eq!(reader.next_block().await, Block::decode(real(number)).unwrap());
        }
        assert_eq!(reader.next(PATIENCE).await, Said::Status(Status::Success));
    }
}

#[tokio::test]
async fn one_stream_serves_several_requests() {
    let server = server(8);
    let client = server.tcp_client().await;
    let mut reader = Reader::seek(&client, &seek("newest", "newest")).await;
    assert_eq!(reader.rest(PATIENCE).await, (vec![7], Said::Status(Status::Success)));
    reader.send(request(&seek("0", "2")));
    reader.send(request(&seek("4", "4")));
    assert_eq!(reader.rest(PATIENCE).await, (vec![0, 1, 2], Said::Status(Status::Success)));
    assert_eq!(reader.rest(PATIENCE).await, (vec![4], Said::Status(Status::Success)));
    reader.send(request(&seek("9", "9")));
    assert_eq!(reader.rest(PATIENCE).await, (vec![], Said::Status(Status::NotFound)));
    reader.send(request(&seek("1", "1")));
    assert_eq!(reader.next(PATIENCE).await, Said::End);
}

#[tokio::test]
async fn a_client_that_closes_its_side_is_served_to_the_stop_block() {
    let server = server(8);
    let client = server.tcp_client().await;
    let mut reader = Reader::seek(&client, &seek("0", "3")).await;
    reader.send(request(&seek("5", "9")));
    reader.half_close();
    assert_eq!(reader.rest(PATIENCE).await, (vec![0, 1, 2, 3], Said::Status(Status::Success)));
    assert_eq!(reader.blocks_then_silence(3).await, [5, 6, 7]);
    grow(server.ledger(), 10, 100);
    assert_eq!(reader.rest(PATIENCE).await, (vec![8, 9], Said::Status(Status::Success)));
    assert_eq!(reader.next(PATIENCE).await, Said::End);
    until("the stream is counted as closed", || server.counters.report().deliver_streams_closed == 1).await;
}

#[tokio::test]
async fn an_endless_stream_sees_blocks_when_they_are_certified_and_not_before() {
    let server = server(3);
    let client = server.tcp_client().await;
    let mut reader = Reader::seek(&client, &seek("3", FOREVER)).await;
    let mut newest = Reader::seek(&client, &seek("next_commit", FOREVER)).await;
    assert_eq!(reader.next(SILENCE).await, Said::Nothing);
    server.ledger().append(3, bare(&real(3))).unwrap();
    server.ledger().append(4, bare(&real(4))).unwrap();
    server.ledger().certify(4, slot0(&real(4))).unwrap();
    assert_eq!(reader.next(SILENCE).await, Said::Nothing);
    // What is not certified is not there, for any position.
    let mut other = Reader::seek(&client, &fail_if_not_ready(seek("oldest", "newest"))).await;
    assert_eq!(other.rest(PATIENCE).await, (vec![0, 1, 2], Said::Status(Status::Success)));
    let mut too_high = Reader::seek(&client, &seek("4", "4")).await;
    assert_eq!(too_high.next(PATIENCE).await, Said::Status(Status::NotFound));
    server.ledger().certify(3, slot0(&real(3))).unwrap();
    for number in 3..5 {
        let expected = Block::decode(real(number)).unwrap();
        assert_eq!(reader.next_block().await, expected);
        assert_eq!(newest.next_block().await, expected);
    }
    grow(server.ledger(), 20, 100);
    assert_eq!(reader.blocks_then_silence(15).await, (5..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn header_streams_carry_config_blocks_whole() {
    let server = server(5);
    let client = server.tcp_client().await;
    let entries = async |content_type: i32| {
        let mut reader = Reader::seek(&client, &SeekInfo { content_type, ..seek("oldest", "4") }).await;
        let mut entries = Vec::new();
        while let Said::Block { entries: count, .. } = reader.next(PATIENCE).await {
            entries.push(count);
        }
        entries
    };
    let whole = entries(SeekContentType::Block.into()).await;
    assert_eq!(entries(SeekContentType::HeaderWithSig.into()).await, [1, 0, 0, 0, 0]);
    assert_eq!(whole, [1, 10, 10, 10, 10]);
    // Fabric takes every unknown number for BLOCK.
    assert_eq!(entries(2).await, whole);
    let info = SeekInfo { content_type: SeekContentType::HeaderWithSig.into(), ..seek("3", "3") };
    let mut reader = Reader::seek(&client, &info).await;
    let expected = Block { data: None, ..Block::decode(real(3)).unwrap() };
    assert_eq!(reader.next_block().await, expected);
}

#[tokio::test]
async fn malformed_requests_are_told_apart_as_fabric_does() {
    let server = server(5);
    let client = server.tcp_client().await;
    let seek_bytes = seek("1", "1").encode_to_vec();
    let header = || request_header(CHANNEL);
    let raw = |channel_header: Vec<u8>, signature_header: Vec<u8>, data: &[u8]| {
        let header = Header { channel_header: channel_header.into(), signature_header: signature_header.into() };
        let payload = Payload { header: Some(header), data: Bytes::copy_from_slice(data) };
        fabric_proto::canonical::encode(&payload.encode_to_vec(), b"signature")
    };
    let signer = SignatureHeader { creator: creator(), nonce: Bytes::new() }.encode_to_vec();
    let garbage = || vec![0xff; 9];
    let channel_header = header().encode_to_vec();
    let headless = Payload { header: None, data: seek_bytes.clone().into() }.encode_to_vec();
    let timestamp = |seconds: i64| {
        let now = header().timestamp.unwrap();
        ChannelHeader { timestamp: Some(prost_types::Timestamp { seconds: now.seconds + seconds, ..now }), ..header() }
    };
    let at = |seconds: i64| signed(&writer(), timestamp(seconds), &seek_bytes);
    let in_channel = |name: &str| signed(&writer(), request_header(name), &seek_bytes);
    let creator_of = |creator: Bytes| envelope_with(header(), creator, &seek_bytes);
    let unsigned = fabric_proto::common::Envelope::decode(request(&seek("1", "1"))).unwrap().payload;
    let cases = [
        ("right", request(&seek("1", "1")), Status::Success),
        ("type 3", signed(&writer(), ChannelHeader { r#type: 3, ..header() }, &seek_bytes), Status::Success),
        ("type 99", signed(&writer(), ChannelHeader { r#type: 99, ..header() }, &seek_bytes), Status::Success),
        ("empty envelope", Bytes::new(), Status::BadRequest),
        ("garbage payload", fabric_proto::canonical::encode(&garbage(), b"s"), Status::BadRequest),
        ("no header", fabric_proto::canonical::encode(&headless, b"s"), Status::BadRequest),
        ("no channel header", raw(vec![], signer.clone(), &seek_bytes), Status::BadRequest),
        ("garbage channel header", raw(garbage(), signer.clone(), &seek_bytes), Status::BadRequest),
        ("garbage signature header", raw(channel_header.clone(), garbage(), &seek_bytes), Status::BadRequest),
        ("no signature header", raw(channel_header.clone(), vec![], &seek_bytes), Status::Forbidden),
        ("garbage creator", creator_of(Bytes::from_static(b"\xff\xff")), Status::Forbidden),
        ("no creator", creator_of(Bytes::new()), Status::Forbidden),
        ("no signature", fabric_proto::canonical::encode(&unsigned, b""), Status::Forbidden),
        ("an unknown member", creator_of(creator()), Status::Forbidden),
        (
            "another's signature",
            fabric_proto::canonical::encode(&unsigned, &writer().sign(b"another")),
            Status::Forbidden,
        ),
        (
            "another member without a signature of his",
            creator_of(chain::orderer().serialised().clone()),
            Status::Forbidden,
        ),
        ("garbage seek info", signed(&writer(), header(), &garbage()), Status::BadRequest),
        ("garbage seek info by nobody", envelope_with(header(), creator(), &garbage()), Status::BadRequest),
        ("empty seek info", signed(&writer(), header(), &[]), Status::BadRequest),
        ("empty seek info by nobody", envelope_with(header(), creator(), &[]), Status::Forbidden),
        ("a request of 64 KiB", signed(&writer(), header(), &vec![0; 64 * 1024]), Status::BadRequest),
        ("unknown channel", in_channel("nope"), Status::NotFound),
        ("empty channel", in_channel(""), Status::NotFound),
        ("capital channel", in_channel("BFTCH"), Status::NotFound),
        ("14 minutes old", at(-840), Status::Success),
        ("14 minutes ahead", at(840), Status::Success),
        ("16 minutes old", at(-960), Status::BadRequest),
        ("16 minutes ahead", at(960), Status::BadRequest),
        ("end of time", at(i64::MAX / 4), Status::BadRequest),
        (
            "no timestamp",
            signed(&writer(), ChannelHeader { timestamp: None, ..header() }, &seek_bytes),
            Status::BadRequest,
        ),
        (
            "bad timestamp for an unknown channel",
            signed(&writer(), ChannelHeader { channel_id: "nope".into(), ..timestamp(-3600) }, &seek_bytes),
            Status::BadRequest,
        ),
        (
            "garbage seek info for an unknown channel",
            signed(&writer(), request_header("nope"), &garbage()),
            Status::NotFound,
        ),
    ];
    for (name, request, expected) in cases {
        let mut reader = Reader::open(&client).await;
        reader.send(request);
        assert_eq!(reader.rest(PATIENCE).await.1, Said::Status(expected), "{name}");
        if expected != Status::Success {
            assert_eq!(reader.next(PATIENCE).await, Said::End, "{name}");
        }
    }
}

#[tokio::test]
async fn requests_are_bound_to_the_certificate_where_that_is_required() {
    let server = server(5);
    let certificate_hash = [7; 32];
    let binding = TlsBinding::Required { certificate_hash };
    let connection = ClientConnection { binding, ..ClientConnection::unbound("test") };
    let (client, _) = server.memory_client(connection, Server::memory_endpoint());
    let hashes: [(&'static [u8], _); 4] = [
        (&[7; 32], Status::Success),
        (&[8; 32], Status::BadRequest),
        (&[7; 31], Status::BadRequest),
        (&[], Status::BadRequest),
    ];
    for (hash, expected) in hashes {
        let header = ChannelHeader { tls_cert_hash: Bytes::from_static(hash), ..request_header(CHANNEL) };
        let mut reader = Reader::open(&client).await;
        reader.send(signed(&writer(), header, &seek("1", "1").encode_to_vec()));
        assert_eq!(reader.rest(PATIENCE).await.1, Said::Status(expected), "{hash:?}");
    }
    // Where it is not required, a wrong hash is as good as none.
    let header = ChannelHeader { tls_cert_hash: Bytes::from_static(b"wrong"), ..request_header(CHANNEL) };
    let mut reader = Reader::open(&server.tcp_client().await).await;
    reader.send(signed(&writer(), header, &seek("1", "1").encode_to_vec()));
    assert_eq!(reader.rest(PATIENCE).await.1, Said::Status(Status::Success));
}

#[tokio::test]
async fn a_channel_in_error_serves_only_the_best_effort() {
    let server = server(5);
    let client = server.tcp_client().await;
    let strict = seek("4", FOREVER);
    let mut strict_before = Reader::seek(&client, &strict).await;
    let mut lenient = Reader::seek(&client, &best_effort(seek("4", FOREVER))).await;
    assert_eq!(strict_before.blocks_then_silence(1).await, [4]);
    assert_eq!(lenient.blocks_then_silence(1).await, [4]);
    server.channel.enter_state(ChannelState::Errored);
    assert_eq!(strict_before.next(PATIENCE).await, Said::Status(Status::ServiceUnavailable));
    assert_eq!(strict_before.next(PATIENCE).await, Said::End);
    let mut strict_after = Reader::seek(&client, &strict).await;
    assert_eq!(strict_after.next(PATIENCE).await, Said::Status(Status::ServiceUnavailable));
    // A number that is neither is strict.
    let mut unknown = Reader::seek(&client, &SeekInfo { error_response: 5, ..seek("1", "1") }).await;
    assert_eq!(unknown.next(PATIENCE).await, Said::Status(Status::ServiceUnavailable));
    grow(server.ledger(), 6, 100);
    assert_eq!(lenient.next(PATIENCE).await, Said::Block { number: 5, entries: 1 });
    server.channel.enter_state(ChannelState::Opening);
    let mut again = Reader::seek(&client, &strict).await;
    assert_eq!(again.blocks_then_silence(2).await, [4, 5]);
    server.channels.remove(server.channel.id()).unwrap();
    assert_eq!(lenient.next(PATIENCE).await, Said::Status(Status::ServiceUnavailable));
    assert_eq!(again.next(PATIENCE).await, Said::Status(Status::ServiceUnavailable));
    let mut gone = Reader::seek(&client, &best_effort(seek("0", "0"))).await;
    assert_eq!(gone.next(PATIENCE).await, Said::Status(Status::NotFound));
}

/// Streams whose clients read nothing, on connections that take nothing, with windows that would take everything.
#[tokio::test]
async fn a_client_that_stops_reading_costs_one_block_and_disturbs_nobody() {
    const STUCK: u64 = 20;
    const BLOCKS: u64 = 30;
    let options = LedgerOptions { cache_bytes_max: 3_000_000, ..Default::default() };
    let server = Server::with_options(1, Arc::new(Accepting), options);
    grow(server.ledger(), BLOCKS, 1_000_000);
    let wide = || {
        let window = (1 << 31) - 1;
        Server::memory_endpoint().initial_stream_window_size(window).initial_connection_window_size(window)
    };
    let mut stuck = Vec::new();
    for _ in 0..STUCK {
        let (client, valve) = server.memory_client(ClientConnection::unbound("stuck"), wide());
        // A first request brings the connection up; then its client stops reading, and asks for the rest.
        let mut reader = Reader::seek(&client, &seek("0", "0")).await;
        assert_eq!(reader.rest(PATIENCE).await, (vec![0], Said::Status(Status::Success)));
        valve.shut();
        reader.send(request(&seek("1", &(BLOCKS - 1).to_string())));
        stuck.push((reader, valve));
    }
    until("every stream has begun", || server.counters.report().blocks_sent >= 2 * STUCK).await;
    tokio::time::sleep(SILENCE).await;
    let held = server.counters.report().blocks_sent - STUCK;
    assert_eq!(held, STUCK, "blocks on their way to {STUCK} stuck clients");
    // All of them are at block 1 and share it: it is the only old block in memory.
    let kept: Vec<_> = (1..BLOCKS - 3).filter(|number| server.ledger().cached(*number).is_some()).collect();
    assert_eq!(kept, [1]);
    let mut reader = Reader::seek(&server.tcp_client().await, &seek("oldest", "newest")).await;
    assert_eq!(reader.rest(PATIENCE).await, ((0..BLOCKS).collect(), Said::Status(Status::Success)));
    assert!(server.counters.report().blocks_sent - STUCK - BLOCKS <= STUCK);
    for (reader, valve) in &mut stuck {
        valve.open();
        assert_eq!(reader.rest(PATIENCE).await, ((1..BLOCKS).collect(), Said::Status(Status::Success)));
    }
    drop(stuck);
    until("old blocks are released", || (1..BLOCKS - 3).all(|number| server.ledger().cached(number).is_none())).await;
}

/// As above, but the connection is read while single streams are not: their windows are what holds them.
#[tokio::test]
async fn an_unread_stream_does_not_hold_up_the_others_of_its_connection() {
    let server = Server::with_options(1, Arc::new(Accepting), LedgerOptions::default());
    grow(server.ledger(), 40, 300_000);
    let endpoint = server.endpoint().await.initial_stream_window_size(65_535).initial_connection_window_size(1 << 24);
    let client = endpoint.connect_lazy().into();
    let mut unread = Vec::new();
    for _ in 0..50 {
        unread.push(Reader::seek(&client, &seek("oldest", FOREVER)).await);
    }
    let mut reader = Reader::seek(&client, &seek("oldest", "newest")).await;
    assert_eq!(reader.rest(PATIENCE).await, ((0..40).collect(), Said::Status(Status::Success)));
    let sent = server.counters.report().blocks_sent;
    assert!(sent <= 40 + 50 * 2, "{sent} blocks for one reader and 50 unread streams");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_streams_share_a_connection() {
    const STREAMS: usize = 3_000;
    let server = server(5);
    let client = server.tcp_client().await;
    let mut readers = join_all((0..STREAMS).map(|_| async { Reader::seek(&client, &seek("4", FOREVER)).await })).await;
    // All are read at the same time: what one does not read would use up the connection's window of this client.
    let said = join_all(readers.iter_mut().map(|reader| reader.next(PATIENCE))).await;
    assert!(said.iter().all(|said| *said == Said::Block { number: 4, entries: 10 }));
    server.ledger().append(5, follow(server.ledger(), 1_000)).unwrap();
    server.ledger().certify(5, made_slot0("signature")).unwrap();
    let said = join_all(readers.iter_mut().map(|reader| reader.next(PATIENCE))).await;
    assert!(said.iter().all(|said| *said == Said::Block { number: 5, entries: 1 }));
    let report = server.counters.report();
    assert_eq!((report.connections_opened, report.deliver_streams_opened), (1, STREAMS as u64));
    drop(readers);
    let closed = || server.counters.report().deliver_streams_closed == STREAMS as u64;
    until("cancelled streams are closed", closed).await;
    let mut reader = Reader::seek(&client, &seek("newest", "newest")).await;
    assert_eq!(reader.next(PATIENCE).await, Said::Block { number: 5, entries: 1 });
    assert_eq!(server.counters.report().connections_opened, 1, "the connection survived");
}

#[tokio::test]
async fn streams_and_connections_beyond_the_bounds_are_refused() {
    let server = Server::with_limits(ServiceLimits { connections_max: 2, streams_max: 3 });
    let (first, second, third) = (server.tcp_client().await, server.tcp_client().await, server.tcp_client().await);
    let waiting = seek("1", FOREVER);
    let mut held = Vec::new();
    for client in [&first, &first, &second] {
        held.push(Reader::seek(client, &waiting).await);
    }
    let refused = second.clone().deliver(futures::stream::pending()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unavailable);
    assert!(third.clone().deliver(futures::stream::pending()).await.is_err(), "two connections are open");
    held.pop();
    until("a place becomes free", || server.counters.report().deliver_streams_closed == 1).await;
    let mut reader = Reader::seek(&second, &seek("0", "0")).await;
    assert_eq!(reader.next(PATIENCE).await, Said::Block { number: 0, entries: 1 });
    assert_eq!(server.counters.report().connections_opened, 2);
}

#[tokio::test]
async fn a_shutdown_ends_waiting_streams() {
    let server = server(5);
    let client = server.tcp_client().await;
    let mut reader = Reader::seek(&client, &seek("5", FOREVER)).await;
    assert_eq!(reader.next(SILENCE).await, Said::Nothing);
    server.shutdown.cancel();
    assert!(matches!(reader.next(PATIENCE).await, Said::Broken(_)));
    until("the connection is closed", || server.counters.report().connections_closed == 1).await;
}
