//! What the operator chooses about connections of clients: sizes of messages, patience, pings, and how fast they may send.
#![allow(clippy::unwrap_used)]

mod chain;
mod server;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fabric_proto::common::{HeaderType, Status};
use frontend_shim::client::{AtomicBroadcastClient, broadcast_response};
use frontend_shim::deliver::ClientConnection;
use frontend_shim::service::{Throttling, TransportLimits};
use rcgen::{CertificateParams, DnType, KeyPair};
use tonic::Code;

use chain::{CHANNEL, envelope, grow};
use server::{Accepting, PATIENCE, Reader, Said, Server, envelopes, seek};

fn normal(bytes: usize) -> Bytes {
    envelope(CHANNEL, HeaderType::EndorserTransaction, &vec![7; bytes])
}

fn server_with(transport: TransportLimits) -> Server {
    let mut server = Server::new(1, Arc::new(Accepting));
    server.service = server.service.clone().with_transport(transport);
    server
}

/// How long it takes until so many envelopes of one stream are answered.
async fn time_to_send(client: &AtomicBroadcastClient, count: usize) -> Duration {
    let since = Instant::now();
    let mut answers = client.clone().broadcast(envelopes(vec![normal(10); count])).await.unwrap();
    for _ in 0..count {
        let answer = tokio::time::timeout(PATIENCE, answers.message()).await.expect("an answer comes");
        assert_eq!(broadcast_response(answer.unwrap().unwrap()).unwrap().status(), Status::Success);
    }
    since.elapsed()
}

#[tokio::test]
async fn messages_over_the_operators_bounds_end_their_stream_in_fabrics_words_and_shorter_ones_pass() {
    let server = server_with(TransportLimits {
        receive_bytes_max: 20_000,
        send_bytes_max: 30_000,
        ..TransportLimits::default()
    });
    let client = server.tcp_client().await;
    for (bytes, expected) in [(15_000, Ok(Status::Success)), (25_000, Err(Code::ResourceExhausted))] {
        let mut answers = client.clone().broadcast(envelopes(vec![normal(bytes)])).await.unwrap();
        let answer = tokio::time::timeout(PATIENCE, answers.message()).await.expect("an answer comes");
        let answer = answer.map(|message| broadcast_response(message.unwrap()).unwrap().status());
        assert_eq!(answer.map_err(|status| status.code()), expected, "{bytes}");
    }
    grow(server.ledger(), 2, 25_000);
    grow(server.ledger(), 3, 35_000);
    let mut reader = Reader::seek(&client, &seek("1", "2")).await;
    assert_eq!(reader.next(PATIENCE).await, Said::Block { number: 1, entries: 1 });
    assert_eq!(reader.next(PATIENCE).await, Said::Broken(Code::ResourceExhausted));
}

#[tokio::test]
async fn who_connects_and_says_nothing_is_let_go_after_the_operators_patience() {
    let server =
        server_with(TransportLimits { preface_timeout: Duration::from_millis(50), ..TransportLimits::default() });
    let (_silent, theirs) = tokio::io::duplex(1024);
    let connection = ClientConnection::unbound("silent");
    let served = server.service.serve_connection(theirs, connection, server.shutdown.clone());
    tokio::time::timeout(PATIENCE, served).await.expect("it is let go");
    assert_eq!(server.counters.report().connections_opened, 0);
}

#[tokio::test]
async fn a_client_that_does_not_answer_pings_is_let_go_and_one_that_does_stays() {
    let (interval, patience) = (Duration::from_millis(50), Duration::from_millis(200));
    let limits =
        TransportLimits { keepalive_interval: interval, keepalive_timeout: patience, ..TransportLimits::default() };
    let server = server_with(limits);
    let memory = || server.memory_client(ClientConnection::unbound("idle"), Server::memory_endpoint());
    let ((living, _open), (dead, valve)) = (memory(), memory());
    let mut reader = Reader::seek(&living, &seek("0", "0")).await;
    assert!(matches!(reader.next(PATIENCE).await, Said::Block { number: 0, .. }));
    let mut gone = Reader::seek(&dead, &seek("0", "0")).await;
    assert!(matches!(gone.next(PATIENCE).await, Said::Block { number: 0, .. }));
    valve.shut();
    let since = Instant::now();
    while server.counters.report().connections_closed == 0 {
        assert!(since.elapsed() < PATIENCE, "nobody is let go");
        tokio::time::sleep(interval).await;
    }
    // The one that answers has been asked as often.
    let mut reader = Reader::seek(&living, &seek("0", "0")).await;
    assert!(matches!(reader.next(PATIENCE).await, Said::Block { number: 0, .. }));
    assert_eq!(server.counters.report().connections_closed, 1);
}

#[tokio::test]
async fn a_client_with_a_certificate_sends_no_faster_than_its_share_and_nobody_is_refused() {
    let rate = NonZeroU32::new(10).unwrap();
    let mut server = Server::new(1, Arc::new(Accepting));
    let throttling = Throttling { rate, inactivity_timeout: Duration::from_secs(60) };
    server.service = server.service.clone().throttling(throttling);
    let certificate = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        // Who issued it is whose organisation it is of; each is alone in its own.
        params.distinguished_name.push(DnType::CommonName, name);
        params.self_signed(&key).unwrap().der().to_vec()
    };
    let client = |connection| server.memory_client(connection, Server::memory_endpoint()).0;
    let (alice, bob) = (certificate("alice"), certificate("bob"));
    let (one, other) =
        (client(ClientConnection::over_tls("a", &alice)), client(ClientConnection::over_tls("b", &alice)));
    let nobody = client(ClientConnection::unbound("nobody"));

    // Two connections of one certificate have one share: 30 envelopes need three seconds' worth of it.
    let (first, second) = tokio::join!(time_to_send(&one, 15), time_to_send(&other, 15));
    assert!(first.max(second) > Duration::from_millis(1900), "{first:?} {second:?}");
    // Without a certificate there is no bound, as with Fabric's orderer.
    assert!(time_to_send(&nobody, 200).await < Duration::from_secs(1));
    // Another one has a share of its own, now of half the rate.
    let bob = client(ClientConnection::over_tls("b", &bob));
    let (first, second) = tokio::join!(time_to_send(&one, 12), time_to_send(&bob, 5));
    assert!(first > Duration::from_millis(900) && second < Duration::from_millis(900), "{first:?} {second:?}");
}
