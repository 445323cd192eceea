//! The load clients against Fabric's interface as this project serves it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use fabric_proto::common::{Block, HeaderType, Status};
use fabric_proto::{ChannelId, Envelope};
use prost::Message as _;
use tokio::time::timeout;

use super::super::agreement::{self, Agreement, Stretch};
use super::super::follower::Follower;
use super::served::Served;
use super::{fabric, reason};
use crate::client::{
    BroadcastClient, Content, DeliverClient, Endpoint, EnvelopeFactory, LatencyRecorder, LoadPlan, OpenLoop, Position,
    Seek, Unaccounted,
};

#[test]
fn envelopes_are_what_a_client_of_fabric_signs() {
    let user = fabric("crypto/peerOrganizations/org1.example.com/users/User1@org1.example.com/msp");
    let factory = EnvelopeFactory::load(ChannelId::new("bftch").unwrap(), &user, "Org1MSP").unwrap();
    let bytes = factory.transaction(&[7; 200]);
    let envelope = Envelope::decode(bytes.clone()).unwrap();
    envelope.check_canonical().unwrap();
    assert_eq!((envelope.channel_id(), envelope.header_type()), ("bftch", i32::from(HeaderType::EndorserTransaction)));
    assert_eq!(envelope.data()[..], [7; 200]);
    let header = envelope.signature_header().unwrap();
    let genesis = Block::decode(&std::fs::read(fabric("bft/genesis.block")).unwrap()[..]).unwrap();
    let config = fabric_channel::ChannelConfig::from_block(&genesis).unwrap();
    let identity = config.msps().deserialise(&header.creator).unwrap();
    identity.validity().unwrap();
    identity.verify(envelope.payload(), envelope.signature()).unwrap();
    assert_eq!(header.nonce.len(), 24);
    assert_ne!(factory.transaction(&[7; 200]), bytes, "a nonce is used once");
    // As large as what a Fabric client signs with the same key around the same data.
    let theirs = std::fs::metadata(fabric("bft/endorser_style_envelope.pb")).unwrap().len();
    assert!(theirs.abs_diff(bytes.len() as u64) < 32, "{} bytes, {theirs} expected", bytes.len());
}

#[tokio::test]
async fn answers_belong_to_their_envelopes() {
    let served = Served::start();
    let connection = served.endpoint().connect().await.unwrap();
    let client = BroadcastClient::open(&connection);
    let mut pending = Vec::new();
    for _ in 0..50 {
        pending.push(client.submit(served.factory.transaction_of_size(10)).await.unwrap());
    }
    for pending in pending {
        let answer = pending.answer().await.unwrap();
        assert_eq!((answer.status, answer.info.as_str()), (Status::Success, ""));
    }
    assert_eq!(served.ledger.height(), 51);
    let other = EnvelopeFactory::load(
        ChannelId::new("other").unwrap(),
        &fabric("crypto/peerOrganizations/org1.example.com/users/User1@org1.example.com/msp"),
        "Org1MSP",
    );
    let refused = client.submit(other.unwrap().transaction_of_size(10)).await.unwrap();
    let behind = client.submit(served.factory.transaction_of_size(10)).await;
    assert_eq!(refused.answer().await.unwrap().status, Status::BadRequest);
    if let Ok(behind) = behind {
        behind.answer().await.unwrap_err();
    }
    let error = timeout(Duration::from_secs(5), async {
        loop {
            if let Err(error) = client.submit(Bytes::new()).await {
                return error.to_string();
            }
        }
    });
    assert!(error.await.unwrap().contains("the stream ended"));
}

#[tokio::test]
async fn ranges_of_blocks_come_one_after_another_on_one_stream() {
    let blocks: Vec<_> =
        (0..5).map(|number| std::fs::read(fabric(&format!("bft-chain/{number}.block"))).unwrap()).collect();
    let served = Served::start_with(&blocks);
    let connection = served.endpoint().connect().await.unwrap();
    let mut client = DeliverClient::open(&connection, &served.factory, Seek::range(1, 3)).await.unwrap();
    for expected in &blocks[1..4] {
        assert_eq!(client.next().await.unwrap().unwrap().encode_to_vec(), *expected);
    }
    assert_eq!(client.next().await.unwrap(), None);
    let newest = Seek { from: Position::Newest, to: Position::Newest, content: Content::HeadersWithSignatures };
    client.seek(newest).await.unwrap();
    let block = client.next().await.unwrap().unwrap();
    assert_eq!((block.header.as_ref().unwrap().number, block.entries().len()), (4, 0));
    assert_eq!(client.next().await.unwrap(), None);
    client.seek(Seek::range(17, 18)).await.unwrap();
    assert!(client.next().await.unwrap_err().to_string().ends_with("Deliver ended with status NOT_FOUND"));
}

#[tokio::test]
async fn who_cannot_be_reached_is_named() {
    let error = Endpoint::unix(std::path::Path::new("/nonexistent/socket")).connect().await.unwrap_err().to_string();
    assert!(error.starts_with("cannot connect to /nonexistent/socket: No such file"), "{error}");
    let missing = Endpoint::tls("127.0.0.1:1", std::path::Path::new("/nonexistent/ca.crt"), None).unwrap_err();
    assert!(missing.to_string().contains("/nonexistent/ca.crt"), "{missing}");
}

/// Drives 300 envelopes a second through a service that turns some away, until all are accounted for.
#[tokio::test]
async fn a_load_is_delivered_once_each_and_measured() {
    let served = Served::start();
    served.sequencer.overloaded.store(3, Relaxed);
    let recorder = Arc::new(LatencyRecorder::new());
    // The second endpoint is dead: its share goes to the first.
    let endpoints = vec![served.endpoint(), Endpoint::unix(std::path::Path::new("/nonexistent/socket"))];
    let follower = Follower::start(endpoints.clone(), served.factory.clone(), 1, Arc::clone(&recorder));
    let plan = LoadPlan { endpoints, streams_per_endpoint: 1, rate_per_s: 300 };
    let load = OpenLoop::start(plan, served.factory.sign_ahead(200), Arc::clone(&recorder));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let counts = load.stop(Duration::from_secs(20)).await;
    timeout(Duration::from_secs(20), async {
        while recorder.outstanding() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
    assert!((200..=320).contains(&counts.due), "{counts:?}");
    assert_eq!((counts.acknowledged, counts.refused, counts.left_out), (counts.due, 0, 0), "{counts:?}");
    assert!(counts.resent >= 3 && counts.trouble.is_some(), "{counts:?}");
    assert_eq!(recorder.unaccounted(), Unaccounted::default());
    assert_eq!((recorder.latencies().count, follower.envelopes()), (counts.due, counts.due));
    assert_eq!(follower.broken(), None);
}

#[tokio::test]
async fn equal_chains_agree_and_spoiled_ones_do_not() {
    let blocks: Vec<_> =
        (0..5).map(|number| std::fs::read(fabric(&format!("bft-chain/{number}.block"))).unwrap()).collect();
    let mut spoiled = blocks.clone();
    let mut block = Block::decode(&blocks[3][..]).unwrap();
    let slots = &mut block.metadata.as_mut().unwrap().metadata;
    let mut slot0 = fabric_proto::common::Metadata::decode(slots[0].clone()).unwrap();
    slot0.signatures.pop();
    slots[0] = slot0.encode_to_vec().into();
    spoiled[3] = block.encode_to_vec();
    let (one, two, three) = (Served::start_with(&blocks), Served::start_with(&blocks), Served::start_with(&spoiled));
    let node = |name: &str, served: &Served| (name.to_owned(), served.endpoint());
    let equal = [node("o1", &one), node("o2", &two)];
    for (since, blocks) in [(1, 4), (3, 2), (5, 0)] {
        let stretch = Stretch { since, height: 5 };
        let agreement = agreement::check(&equal, &one.factory, &one.config, stretch).await.unwrap();
        assert_eq!(agreement, Agreement { nodes: 2, blocks, envelopes: blocks * 10 });
    }
    let unequal = [node("o1", &one), node("o3", &three)];
    let stretch = Stretch { since: 1, height: 5 };
    let error = reason(agreement::check(&unequal, &one.factory, &one.config, stretch).await);
    assert!(error.starts_with("the chain of o3: ") && error.contains('3'), "{error}");
    // Two chains that are each in order, and differ.
    let fork = Served::start();
    let client = BroadcastClient::open(&fork.endpoint().connect().await.unwrap());
    for _ in 0..4 {
        let answer = client.submit(fork.factory.transaction_of_size(1)).await.unwrap();
        assert_eq!(answer.answer().await.unwrap().status, Status::Success);
    }
    let forked = [node("o1", &one), node("o4", &fork)];
    let stretch = Stretch { since: 5, height: 5 };
    let error = reason(agreement::check(&forked, &one.factory, &one.config, stretch).await);
    assert!(error.starts_with("the chains differ: the header hash of block 1 is "), "{error}");
}
