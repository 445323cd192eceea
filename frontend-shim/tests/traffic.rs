//! What is counted of clients, channel by channel.
#![allow(clippy::unwrap_used)]

mod chain;
mod server;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fabric_proto::common::{HeaderType, Status};
use frontend_shim::traffic::{TrafficSnapshot, UNKNOWN};
use prost::Message as _;

use chain::{CHANNEL, envelope, envelope_with, signed, writer};
use server::{Accepting, PATIENCE, Reader, Said, Server, envelopes, request, request_header, seek};

/// The counts of the channel, and those of what names none.
fn traffic(server: &Server) -> (TrafficSnapshot, TrafficSnapshot) {
    let [channel, unknown] = server.counters.traffic(&server.channels).try_into().unwrap();
    assert_eq!((channel.channel.as_str(), unknown.channel.as_str()), (CHANNEL, UNKNOWN));
    (channel, unknown)
}

fn processed(snapshot: &TrafficSnapshot) -> Vec<(&str, &str, u64)> {
    snapshot.broadcast.iter().map(|it| (it.message_type, it.status, it.processed)).collect()
}

#[tokio::test]
async fn envelopes_are_counted_by_channel_type_and_status_and_made_up_channels_together() {
    let server = Server::new(1, Arc::new(Accepting));
    let client = server.tcp_client().await;
    let mut sent = vec![
        envelope(CHANNEL, HeaderType::EndorserTransaction, b"one"),
        envelope(CHANNEL, HeaderType::EndorserTransaction, b"two"),
        envelope(CHANNEL, HeaderType::Message, b"three"),
        envelope(CHANNEL, HeaderType::Config, b"four"),
        envelope_with(chain::header_of(CHANNEL, HeaderType::EndorserTransaction), chain::creator(), b"five"),
        Bytes::from_static(b"\xff"),
    ];
    sent.extend((0..50).map(|number| envelope(&format!("made-up-{number}"), HeaderType::Message, b"data")));
    for envelope in sent {
        let mut answers = client.clone().broadcast(envelopes(vec![envelope])).await.unwrap();
        tokio::time::timeout(PATIENCE, answers.message()).await.unwrap().unwrap().unwrap();
    }
    let (channel, unknown) = traffic(&server);
    let expected = [
        ("MESSAGE", "SUCCESS", 1),
        ("CONFIG", "BAD_REQUEST", 1),
        ("ENDORSER_TRANSACTION", "SUCCESS", 2),
        ("ENDORSER_TRANSACTION", "FORBIDDEN", 1),
    ];
    assert_eq!(processed(&channel), expected);
    assert_eq!(processed(&unknown), [("MESSAGE", "BAD_REQUEST", 50), (UNKNOWN, "BAD_REQUEST", 1)]);
    let [_, refused, taken, _] = &channel.broadcast[..] else { panic!("{channel:?}") };
    assert_eq!((taken.validate_duration.count, taken.enqueue_duration.count), (2, 2));
    assert_eq!((refused.validate_duration.count, refused.enqueue_duration.count), (1, 0), "it was not offered");
    assert!(taken.validate_duration.sum_s > 0.0, "a signature takes time");
}

#[tokio::test]
async fn deliver_requests_are_counted_when_they_come_and_when_they_end() {
    let server = Server::new(5, Arc::new(Accepting));
    let client = server.tcp_client().await;
    let mut served = Reader::seek(&client, &seek("1", "3")).await;
    assert_eq!(served.rest(PATIENCE).await, (vec![1, 2, 3], Said::Status(Status::Success)));
    served.send(request(&seek("9", "9")));
    assert_eq!(served.next(PATIENCE).await, Said::Status(Status::NotFound));
    let mut elsewhere = Reader::open(&client).await;
    elsewhere.send(signed(&writer(), request_header("made-up"), &seek("1", "1").encode_to_vec()));
    assert_eq!(elsewhere.next(PATIENCE).await, Said::Status(Status::NotFound));
    let mut waiting = Reader::seek(&client, &seek("4", "5")).await;
    assert!(matches!(waiting.next(PATIENCE).await, Said::Block { number: 4, .. }));

    let counts = |it: &TrafficSnapshot| {
        [
            it.deliver_requests_received,
            it.deliver_requests_succeeded,
            it.deliver_requests_failed,
            it.deliver_blocks_sent,
        ]
    };
    let (channel, unknown) = traffic(&server);
    assert_eq!((counts(&channel), counts(&unknown)), ([3, 1, 1, 4], [1, 0, 1, 0]));
    drop(waiting);
    let left = async {
        while traffic(&server).0.deliver_requests_failed < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, left).await.expect("who leaves before the last block has not been served");
}
