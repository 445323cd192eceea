//! The limits of the connection (contract §1.2): very many streams, large messages, pings, storms, readers that stop.
#![allow(clippy::unwrap_used)]

mod chain;
mod server;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use fabric_proto::ChannelId;
use fabric_proto::common::{HeaderType, Status};
use frontend_shim::broadcast::{Order, Submit, SubmitError};
use frontend_shim::client::{AtomicBroadcastClient, broadcast_response};
use frontend_shim::deliver::ClientConnection;
use frontend_shim::ledger::LedgerOptions;
use frontend_shim::limits::{DELIVER_BYTES_IN_FLIGHT, MESSAGE_BYTES_MAX};
use frontend_shim::service::ServiceLimits;
use futures::future::{BoxFuture, join_all};
use tonic::Streaming;

use chain::{CHANNEL, envelope, grow, made_slot0};
use server::{Accepting, PATIENCE, Reader, Said, Scripted, Server, envelopes, request, seek};

const FOREVER: &str = "18446744073709551615";

fn normal(data: &[u8]) -> Bytes {
    envelope(CHANNEL, HeaderType::EndorserTransaction, data)
}

async fn open(client: &AtomicBroadcastClient, envelope: Bytes) -> Streaming<Bytes> {
    client.clone().broadcast(envelopes(vec![envelope])).await.unwrap()
}

async fn answer(stream: &mut Streaming<Bytes>) -> Status {
    let message = tokio::time::timeout(PATIENCE, stream.message()).await.expect("an answer comes");
    broadcast_response(message.unwrap().unwrap()).unwrap().status()
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let fulfilled = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, fulfilled).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_broadcast_streams_of_one_connection_are_answered() {
    const STREAMS: usize = 10_000;
    let cluster = Arc::new(Scripted::default());
    let server = Server::new(1, Arc::clone(&cluster) as _);
    let client = server.tcp_client().await;
    let envelope = normal(b"data");
    let mut streams = join_all((0..STREAMS).map(|_| open(&client, envelope.clone()))).await;
    // All are open at the same time: none is answered before the last has arrived.
    cluster.wait_for(STREAMS).await;
    for (_, done) in cluster.submitted.lock().unwrap().drain(..) {
        done.send(Ok(())).unwrap();
    }
    for stream in &mut streams {
        assert_eq!(answer(stream).await, Status::Success);
    }
    let report = server.counters.report();
    assert_eq!((report.connections_opened, report.broadcast["SUCCESS"]), (1, STREAMS as u64));
}

/// Every reader is at another block, so that sharing saves nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_readers_that_stop_cost_a_block_each_and_harm_nobody() {
    const STUCK: usize = 50;
    const BLOCK_BYTES: usize = 2_000_000;
    const BLOCKS: u64 = 60;
    let options = LedgerOptions { cache_bytes_max: 3 * BLOCK_BYTES, ..Default::default() };
    let server = Server::with_options(1, Arc::new(Accepting), options);
    grow(server.ledger(), BLOCKS, BLOCK_BYTES);
    // Windows that would take everything.
    let window = (1 << 31) - 1;
    let wide = || Server::memory_endpoint().initial_stream_window_size(window).initial_connection_window_size(window);
    let mut stuck = Vec::new();
    for number in 1..=STUCK {
        let (client, valve) = server.memory_client(ClientConnection::unbound("stuck"), wide());
        // A first request brings the connection up; then its client stops reading, and asks for the rest.
        let mut reader = Reader::seek(&client, &seek("0", "0")).await;
        assert_eq!(reader.rest(PATIENCE).await, (vec![0], Said::Status(Status::Success)));
        valve.shut();
        reader.send(request(&seek(&number.to_string(), &(BLOCKS - 1).to_string())));
        stuck.push((number as u64, reader, valve));
    }
    until("every stream has begun", || server.counters.report().blocks_sent >= 2 * STUCK as u64).await;
    let mut reader = Reader::seek(&server.tcp_client().await, &seek("oldest", "newest")).await;
    assert_eq!(reader.rest(PATIENCE).await, ((0..BLOCKS).collect(), Said::Status(Status::Success)));
    until("what was read is let go", || {
        server.counters.report().deliver_bytes_in_flight <= (STUCK * (BLOCK_BYTES + 1_000)) as u64
    })
    .await;
    let report = server.counters.report();
    assert_eq!(report.blocks_sent, 2 * STUCK as u64 + BLOCKS, "one block for each that stopped");
    assert!(report.deliver_bytes_in_flight >= ((STUCK * BLOCK_BYTES) - STUCK * DELIVER_BYTES_IN_FLIGHT) as u64);
    for (number, reader, valve) in &mut stuck {
        valve.open();
        assert_eq!(reader.rest(PATIENCE).await, ((*number..BLOCKS).collect(), Said::Status(Status::Success)));
    }
    drop(stuck);
    until("nothing is held", || server.counters.report().deliver_bytes_in_flight == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_cancelled_streams_leaves_none_open() {
    const STREAMS: usize = 1_000;
    let server = Server::with_limits(ServiceLimits { connections_max: 1, streams_max: STREAMS });
    grow(server.ledger(), 5, 100);
    let client = server.tcp_client().await;
    for _ in 0..4 {
        let streams = (0..STREAMS as u64).map(|number| {
            let client = client.clone();
            async move {
                let range = if number % 2 == 0 { seek("0", FOREVER) } else { seek("newest", "newest") };
                let opened = Reader::seek(&client, &range);
                // Before there is a stream, before its first block, or behind it.
                if let Ok(mut reader) = tokio::time::timeout(Duration::from_micros(number * 20), opened).await
                    && number % 3 == 0
                {
                    reader.next(PATIENCE).await;
                }
            }
        });
        join_all(streams).await;
    }
    until("every stream is closed", || {
        let report = server.counters.report();
        report.deliver_streams_opened == report.deliver_streams_closed && report.deliver_bytes_in_flight == 0
    })
    .await;
    // Every place is free again.
    let waiting = seek("4", FOREVER);
    let mut readers = join_all((0..STREAMS).map(|_| Reader::seek(&client, &waiting))).await;
    for reader in &mut readers {
        assert_eq!(reader.next(PATIENCE).await, Said::Block { number: 4, entries: 1 });
    }
    assert_eq!(server.counters.report().connections_opened, 1, "the connection survived");
}

/// Fabric's own server would close the connection at the third.
#[tokio::test]
async fn a_client_that_pings_all_the_time_is_not_told_to_be_calm() {
    let server = Server::new(2, Arc::new(Accepting));
    let endpoint = Server::memory_endpoint()
        .http2_keep_alive_interval(Duration::from_millis(1))
        .keep_alive_timeout(PATIENCE)
        .keep_alive_while_idle(true);
    let (client, valve) = server.memory_client(ClientConnection::unbound("pinging"), endpoint);
    let mut reader = Reader::seek(&client, &seek("1", FOREVER)).await;
    assert!(matches!(reader.next(PATIENCE).await, Said::Block { number: 1, .. }));
    // A ping has 17 bytes.
    let enough = valve.written.load(Ordering::SeqCst) + 17 * 30;
    until("thirty pings are sent", || valve.written.load(Ordering::SeqCst) >= enough).await;
    grow(server.ledger(), 3, 100);
    assert!(matches!(reader.next(PATIENCE).await, Said::Block { number: 2, .. }));
}

#[tokio::test]
async fn a_block_of_almost_100_mib_is_delivered() {
    let server = Server::new(1, Arc::new(Accepting));
    let entry = MESSAGE_BYTES_MAX - 1024;
    let tip = server.ledger().tip().unwrap();
    let block = chain::make(1, &tip.header_hash, vec![Bytes::from(vec![7; entry])]);
    server.ledger().append(1, block).unwrap();
    server.ledger().certify(1, made_slot0("signature")).unwrap();
    let mut reader = Reader::seek(&server.tcp_client().await, &seek("1", "1")).await;
    let block = reader.next_block().await;
    assert_eq!(block.entries()[0].len(), entry);
    assert_eq!(reader.next(PATIENCE).await, Said::Status(Status::Success));
}

/// Panics at the second envelope.
#[derive(Default)]
struct Faulty(Scripted);

impl Submit for Faulty {
    fn submit(&self, channel: &ChannelId, order: Order) -> BoxFuture<'static, Result<(), SubmitError>> {
        assert_ne!(self.0.count.load(Ordering::SeqCst), 1, "a fault in a handler");
        self.0.submit(channel, order)
    }
}

#[tokio::test]
async fn a_panic_in_a_handler_ends_its_stream_and_nothing_else() {
    let cluster = Arc::new(Faulty::default());
    let server = Server::new(2, Arc::clone(&cluster) as _);
    let client = server.tcp_client().await;
    let mut waiting = open(&client, normal(b"first")).await;
    cluster.0.wait_for(1).await;
    let mut reader = Reader::seek(&client, &seek("1", FOREVER)).await;
    assert!(matches!(reader.next(PATIENCE).await, Said::Block { number: 1, .. }));

    let panicking = client.clone().broadcast(envelopes(vec![normal(b"second")])).await;
    let ended = async {
        match panicking {
            Ok(mut stream) => stream.message().await.is_err(),
            Err(_) => true,
        }
    };
    assert!(tokio::time::timeout(PATIENCE, ended).await.unwrap(), "the stream is broken off");

    let (_, done) = cluster.0.submitted.lock().unwrap().remove(0);
    done.send(Ok(())).unwrap();
    assert_eq!(answer(&mut waiting).await, Status::Success);
    grow(server.ledger(), 3, 100);
    assert!(matches!(reader.next(PATIENCE).await, Said::Block { number: 2, .. }));
    assert_eq!(server.counters.report().connections_opened, 1);
}
