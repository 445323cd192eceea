//! Broadcast through a real gRPC client: the admission table, order of answers, bounds, sockets; health and status.
#![allow(clippy::unwrap_used)]

mod chain;
mod server;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use fabric_channel::ChannelConfig;
use fabric_proto::canonical;
use fabric_proto::common::{
    Block, ChannelHeader, Config, ConfigEnvelope, Header, HeaderType, Payload, SignatureHeader, Status,
};
use fabric_proto::orderer::{BatchSize, ConsensusType, consensus_type};
use frontend_shim::broadcast::{Order, SubmitError};
use frontend_shim::channels::{Channel, ChannelState};
use frontend_shim::client::{AtomicBroadcastClient, broadcast_response};
use frontend_shim::deliver::ClientConnection;
use frontend_shim::limits::{BROADCAST_OUTSTANDING_MAX, MESSAGE_BYTES_MAX};
use frontend_shim::service::BROADCAST_PATH;
use frontend_shim::status::{self, StatusReport};
use futures::StreamExt;
use futures::future::join_all;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Streaming};

use chain::{CHANNEL, creator, envelope, signed, writer};
use server::{Accepting, PATIENCE, SILENCE, Scripted, Server, envelopes};

fn normal(data: &[u8]) -> Bytes {
    envelope(CHANNEL, HeaderType::EndorserTransaction, data)
}

async fn open(client: &AtomicBroadcastClient, sent: Vec<Bytes>) -> Streaming<Bytes> {
    client.clone().broadcast(envelopes(sent)).await.unwrap()
}

/// The next answer; `None` is the end of the stream with gRPC status OK.
async fn next(answers: &mut Streaming<Bytes>) -> Option<(Status, String)> {
    let item = tokio::time::timeout(PATIENCE, answers.next()).await.expect("an answer comes");
    let answer = broadcast_response(item?.unwrap()).unwrap();
    Some((Status::try_from(answer.status).unwrap(), answer.info))
}

async fn is_silent(answers: &mut Streaming<Bytes>) -> bool {
    tokio::time::timeout(SILENCE, answers.next()).await.is_err()
}

const SUCCESS: (Status, String) = (Status::Success, String::new());

#[tokio::test]
async fn envelopes_are_judged_as_fabric_does() {
    let server = Server::new(1, Arc::new(Accepting));
    let client = server.tcp_client().await;
    let raw = |channel_header: Vec<u8>, signature_header: Vec<u8>, signature: &[u8]| {
        let header = Header { channel_header: channel_header.into(), signature_header: signature_header.into() };
        let payload = Payload { header: Some(header), data: Bytes::from_static(b"data") };
        canonical::encode(&payload.encode_to_vec(), signature)
    };
    let header = ChannelHeader { channel_id: CHANNEL.into(), r#type: 3, ..Default::default() };
    let signer = SignatureHeader { creator: creator(), nonce: Bytes::new() }.encode_to_vec();
    let nobody = SignatureHeader { creator: Bytes::new(), nonce: Bytes::from_static(b"n") }.encode_to_vec();
    let garbage = vec![0xff; 5];
    let headless = Payload { header: None, data: Bytes::from_static(b"data") }.encode_to_vec();
    let forbidden = "implicit policy evaluation failed - 0 sub-policies were satisfied, but this policy requires 1 of \
                     the 'Writers' sub-policies to be satisfied: permission denied";
    let of_type = |number| signed(&writer(), ChannelHeader { r#type: number, ..header.clone() }, b"data");
    let unsigning = "this orderer takes no config updates: it has no MSP identity to sign their results with";
    let cases = [
        ("empty envelope", Bytes::new(), Status::BadRequest, "could not determine channel ID: header not set"),
        (
            "no header",
            canonical::encode(&headless, b"s"),
            Status::BadRequest,
            "could not determine channel ID: header not set",
        ),
        (
            "garbage envelope",
            Bytes::from_static(b"\xff\xff"),
            Status::BadRequest,
            "could not determine channel ID: error unmarshalling Envelope: ",
        ),
        (
            "garbage payload",
            canonical::encode(&garbage, b"s"),
            Status::BadRequest,
            "could not determine channel ID: error unmarshalling Payload: ",
        ),
        (
            "no channel header",
            raw(vec![], signer.clone(), b"s"),
            Status::BadRequest,
            "could not determine channel ID: channel header not set",
        ),
        (
            "garbage channel header",
            raw(garbage.clone(), signer.clone(), b"s"),
            Status::BadRequest,
            "could not determine channel ID: error unmarshalling channel header: error unmarshalling ChannelHeader: ",
        ),
        ("unknown channel", envelope("nope", HeaderType::Message, b""), Status::BadRequest, "channel does not exist"),
        (
            "empty channel",
            envelope("", HeaderType::EndorserTransaction, b""),
            Status::BadRequest,
            "channel does not exist",
        ),
        (
            "unknown channel first",
            envelope("nope", HeaderType::Config, b""),
            Status::BadRequest,
            "channel does not exist",
        ),
        ("config", of_type(1), Status::BadRequest, "message is of type that cannot be processed directly"),
        ("orderer transaction", of_type(4), Status::BadRequest, "message is of type that is no longer supported"),
        ("config update", of_type(2), Status::ServiceUnavailable, unsigning),
        ("message", of_type(0), Status::Success, ""),
        ("endorser transaction", of_type(3), Status::Success, ""),
        ("seek info", of_type(5), Status::Success, ""),
        ("chaincode package", of_type(6), Status::Success, ""),
        ("unknown type", of_type(99), Status::Success, ""),
        ("negative type", of_type(-1), Status::Success, ""),
        (
            "garbage signature header",
            raw(header.encode_to_vec(), garbage.clone(), b"s"),
            Status::BadRequest,
            "could not convert message to signedData: GetSignatureHeaderFromBytes failed, err ",
        ),
        ("no signature header", raw(header.encode_to_vec(), vec![], b"s"), Status::Forbidden, forbidden),
        ("no creator", raw(header.encode_to_vec(), nobody, b"s"), Status::Forbidden, forbidden),
        ("no signature", raw(header.encode_to_vec(), signer.clone(), b""), Status::Forbidden, forbidden),
        ("another signature", raw(header.encode_to_vec(), signer, b"s"), Status::Forbidden, forbidden),
    ];
    for (name, envelope, status, info) in cases {
        let mut answers = open(&client, vec![envelope]).await;
        let (answered, text) = next(&mut answers).await.unwrap();
        assert_eq!(answered, status, "{name}: {text}");
        assert!(text.starts_with(info), "{name}: {text}");
        if info.is_empty() || !info.ends_with([' ', 'n']) {
            assert_eq!(text, info, "{name}");
        }
        match status {
            Status::Success => assert!(is_silent(&mut answers).await, "{name}"),
            _ => assert_eq!(next(&mut answers).await, None, "{name}"),
        }
    }
    let counts = server.counters.report().broadcast;
    let count = |name: &str| counts[name];
    assert_eq!((count("SUCCESS"), count("BAD_REQUEST"), count("FORBIDDEN")), (6, 12, 4));
    assert_eq!(count("SERVICE_UNAVAILABLE"), 1);
}

#[tokio::test]
async fn real_envelopes_are_submitted_as_they_came() {
    let submit = Arc::new(Scripted::default());
    let server = Server::new(1, Arc::clone(&submit) as _);
    let client = server.tcp_client().await;
    let real = Block::decode(chain::real(1)).unwrap().data.unwrap().data;
    let mut answers = open(&client, real.clone()).await;
    submit.wait_for(10).await;
    for (submitted, real) in submit.submitted.lock().unwrap().drain(..).zip(&real) {
        assert_eq!(submitted.0, Order::Envelope { sequence: 0, envelope: real.clone() });
        submitted.1.send(Ok(())).unwrap();
    }
    for _ in &real {
        assert_eq!(next(&mut answers).await.unwrap(), SUCCESS);
    }
}

#[tokio::test]
async fn other_spellings_of_an_envelope_become_the_canonical_one() {
    let submit = Arc::new(Scripted::default());
    let server = Server::new(1, Arc::clone(&submit) as _);
    let client = server.tcp_client().await;
    let canonical = normal(b"data");
    let spelled_otherwise = Bytes::from([&canonical[..], b"\x1a\x03abc"].concat());
    let _answers = open(&client, vec![spelled_otherwise]).await;
    submit.wait_for(1).await;
    assert_eq!(*submit.submitted.lock().unwrap()[0].0.envelope(), canonical);
}

#[tokio::test]
async fn answers_keep_the_order_of_the_envelopes() {
    let submit = Arc::new(Scripted::default());
    let server = Server::new(1, Arc::clone(&submit) as _);
    let client = server.tcp_client().await;
    let mut answers = open(&client, (0..5).map(|number| normal(&[number])).collect()).await;
    submit.wait_for(5).await;
    let mut done: Vec<_> = submit.submitted.lock().unwrap().drain(..).map(|(_, done)| Some(done)).collect();
    let mut finish = |at: usize, result| done[at].take().unwrap().send(result).unwrap();
    finish(4, Ok(()));
    finish(2, Ok(()));
    finish(1, Ok(()));
    assert!(is_silent(&mut answers).await, "the first envelope is not answered yet");
    finish(0, Ok(()));
    for _ in 0..3 {
        assert_eq!(next(&mut answers).await.unwrap(), SUCCESS);
    }
    assert!(is_silent(&mut answers).await);
    finish(3, Err(SubmitError::TimedOut));
    let (status, info) = next(&mut answers).await.unwrap();
    assert_eq!((status, info.as_str()), (Status::ServiceUnavailable, SubmitError::TimedOut.to_string().as_str()));
    // The fifth succeeded, but an answer other than SUCCESS is the last one.
    assert_eq!(next(&mut answers).await, None);
}

#[tokio::test]
async fn failures_of_the_cluster_have_the_status_that_tells_the_client_what_to_do() {
    let submit = Arc::new(Scripted::default());
    let server = Server::new(1, Arc::clone(&submit) as _);
    let client = server.tcp_client().await;
    let cases = [
        (SubmitError::Overloaded, Status::ServiceUnavailable),
        (SubmitError::NotOpen, Status::ServiceUnavailable),
        (SubmitError::TimedOut, Status::ServiceUnavailable),
        (SubmitError::Closed, Status::ServiceUnavailable),
        (SubmitError::Refused("too odd".into()), Status::BadRequest),
    ];
    for (count, (error, status)) in cases.into_iter().enumerate() {
        let mut answers = open(&client, vec![normal(b"data")]).await;
        submit.wait_for(count + 1).await;
        let (_, done) = submit.submitted.lock().unwrap().pop().unwrap();
        done.send(Err(error.clone())).unwrap();
        assert_eq!(next(&mut answers).await, Some((status, error.to_string())));
        assert_eq!(next(&mut answers).await, None);
    }
}

#[tokio::test]
async fn nothing_behind_a_refused_envelope_is_submitted() {
    let submit = Arc::new(Scripted::default());
    let server = Server::new(1, Arc::clone(&submit) as _);
    let client = server.tcp_client().await;
    let bad = envelope("nope", HeaderType::Message, b"");
    let mut answers = open(&client, vec![normal(b"1"), bad, normal(b"2")]).await;
    submit.wait_for(1).await;
    assert!(is_silent(&mut answers).await);
    assert_eq!(submit.count.load(Ordering::SeqCst), 1);
    let (_, done) = submit.submitted.lock().unwrap().pop().unwrap();
    done.send(Ok(())).unwrap();
    assert_eq!(next(&mut answers).await.unwrap(), SUCCESS);
    assert_eq!(next(&mut answers).await.unwrap().0, Status::BadRequest);
    assert_eq!(next(&mut answers).await, None);
}

#[tokio::test]
async fn a_stream_is_not_read_beyond_its_bound() {
    let submit = Arc::new(Scripted::default());
    let server = Server::new(1, Arc::clone(&submit) as _);
    let client = server.tcp_client().await;
    let all = BROADCAST_OUTSTANDING_MAX + 100;
    let mut answers = open(&client, vec![normal(b"data"); all]).await;
    submit.wait_for(BROADCAST_OUTSTANDING_MAX).await;
    assert!(is_silent(&mut answers).await);
    assert_eq!(submit.count.load(Ordering::SeqCst), BROADCAST_OUTSTANDING_MAX);
    // Other streams of the connection go on.
    let mut other = open(&client, vec![normal(b"other")]).await;
    submit.wait_for(BROADCAST_OUTSTANDING_MAX + 1).await;
    let finish_all = || {
        for (_, done) in submit.submitted.lock().unwrap().drain(..) {
            done.send(Ok(())).unwrap();
        }
    };
    finish_all();
    assert_eq!(next(&mut other).await.unwrap(), SUCCESS);
    for _ in 0..BROADCAST_OUTSTANDING_MAX {
        assert_eq!(next(&mut answers).await.unwrap(), SUCCESS);
    }
    submit.wait_for(all + 1).await;
    finish_all();
    for _ in BROADCAST_OUTSTANDING_MAX..all {
        assert_eq!(next(&mut answers).await.unwrap(), SUCCESS);
    }
}

#[tokio::test]
async fn a_client_that_closes_its_side_gets_every_answer_and_an_end() {
    let server = Server::new(1, Arc::new(Accepting));
    let mut client = server.tcp_client().await;
    let sent = futures::stream::iter((0..700u16).map(|number| normal(&number.to_be_bytes())));
    let mut answers = client.broadcast(sent).await.unwrap();
    for _ in 0..700 {
        assert_eq!(next(&mut answers).await.unwrap(), SUCCESS);
    }
    assert_eq!(next(&mut answers).await, None);
}

#[tokio::test]
async fn a_channel_that_is_not_open_takes_nothing() {
    let server = Server::new(1, Arc::new(Accepting));
    let client = server.tcp_client().await;
    let status = async || next(&mut open(&client, vec![normal(b"data")]).await).await.unwrap().0;
    for state in [ChannelState::Opening, ChannelState::Errored] {
        server.channel.enter_state(state);
        assert_eq!(status().await, Status::ServiceUnavailable, "{state:?}");
    }
    server.channel.enter_state(ChannelState::Open);
    assert_eq!(status().await, Status::Success);
    server.channels.remove(server.channel.id()).unwrap();
    assert_eq!(status().await, Status::BadRequest);
}

/// Puts a changed value of the orderer group in force.
fn change_orderer_value(channel: &Channel, key: &str, value: &impl Message) {
    let block = Block::decode(chain::real(0)).unwrap();
    let envelope = fabric_proto::Envelope::decode(block.entries()[0].clone()).unwrap();
    let mut config: Config = ConfigEnvelope::decode(envelope.data().clone()).unwrap().config.unwrap();
    let root = config.channel_group.as_mut().unwrap();
    let orderer = root.groups.get_mut("Orderer").unwrap();
    orderer.values.get_mut(key).unwrap().value = value.encode_to_vec().into();
    channel.install_config(ChannelConfig::from_config(CHANNEL, &config).unwrap());
}

#[tokio::test]
async fn the_size_bound_is_that_of_the_channel() {
    let server = Server::new(1, Arc::new(Accepting));
    let client = server.tcp_client().await;
    let limits = BatchSize { max_message_count: 1, absolute_max_bytes: 2000, preferred_max_bytes: 300 };
    change_orderer_value(&server.channel, "BatchSize", &limits);
    let size = |envelope: &Bytes| fabric_proto::Envelope::decode(envelope.clone()).unwrap().size();
    let spare = 2000 - size(&normal(b""));
    // Signatures differ in length by a byte or two, so some are made until one fits.
    let of_size = |wanted: usize| {
        let attempts = (0..).map(|attempt| normal(&vec![0; spare - attempt % 16]));
        attempts.take(10_000).find(|envelope| size(envelope) == wanted).unwrap()
    };
    assert_eq!(next(&mut open(&client, vec![of_size(2000)]).await).await.unwrap(), SUCCESS);
    let mut answers = open(&client, vec![of_size(2001)]).await;
    let info = "message payload is 2001 bytes and exceeds maximum allowed 2000 bytes".to_owned();
    assert_eq!(next(&mut answers).await, Some((Status::BadRequest, info)));
}

#[tokio::test]
async fn a_channel_in_maintenance_takes_no_normal_envelopes() {
    let server = Server::new(1, Arc::new(Accepting));
    let client = server.tcp_client().await;
    let channel_config = server.channel.config();
    let root = channel_config.bundle().config().channel_group.as_ref().unwrap();
    let value = root.groups["Orderer"].values["ConsensusType"].value.clone();
    let consensus = ConsensusType::decode(value).unwrap();
    let state = consensus_type::State::Maintenance.into();
    change_orderer_value(&server.channel, "ConsensusType", &ConsensusType { state, ..consensus });
    let info = "normal transactions are rejected: maintenance mode".to_owned();
    let mut answers = open(&client, vec![normal(b"data")]).await;
    assert_eq!(next(&mut answers).await, Some((Status::ServiceUnavailable, info)));
}

#[tokio::test]
async fn large_envelopes_pass_and_too_large_messages_end_the_stream() {
    let server = Server::new(1, Arc::new(Accepting));
    let limits =
        BatchSize { max_message_count: 1, absolute_max_bytes: 99 * 1024 * 1024, preferred_max_bytes: 1024 * 1024 };
    change_orderer_value(&server.channel, "BatchSize", &limits);
    for client in [server.tcp_client().await, server.unix_client()] {
        let mut answers = open(&client, vec![normal(&vec![1; 98 * 1024 * 1024])]).await;
        assert_eq!(next(&mut answers).await.unwrap(), SUCCESS);
    }
    let client = server.tcp_client().await;
    let mut answers = open(&client, vec![normal(&vec![1; 99 * 1024 * 1024])]).await;
    assert_eq!(next(&mut answers).await.unwrap().0, Status::BadRequest);
    // Our own client would not send more than is allowed, so a plain HTTP/2 request announces it.
    let announced = (MESSAGE_BYTES_MAX as u32 + 1).to_be_bytes();
    let (_, trailers) =
        plain_request(&server, BROADCAST_PATH, "application/grpc", [&[0], &announced[..]].concat()).await;
    assert_eq!(trailers, Some(Code::ResourceExhausted as i32));
}

/// Sends a request that need not be gRPC. Gives the HTTP status, and the gRPC status from headers or trailers.
async fn plain_request(server: &Server, path: &str, content_type: &str, body: Vec<u8>) -> (u16, Option<i32>) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let service = server.service.clone();
    tokio::spawn(async move {
        service.serve_connection(theirs, ClientConnection::unbound("test"), CancellationToken::new()).await;
    });
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(ours));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let request = hyper::Request::post(format!("http://test{path}")).header("content-type", content_type);
    let response = sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let grpc_status = |headers: &hyper::HeaderMap| headers.get("grpc-status")?.to_str().ok()?.parse().ok();
    let from_headers = grpc_status(response.headers());
    let body = response.into_body().collect().await.unwrap();
    (status, from_headers.or_else(|| grpc_status(body.trailers()?)))
}

#[tokio::test]
async fn what_is_not_ours_is_refused_in_the_words_of_grpc_and_http() {
    let server = Server::new(1, Arc::new(Accepting));
    let answer = async |path, content_type| plain_request(&server, path, content_type, Vec::new()).await;
    assert_eq!(
        answer("/orderer.AtomicBroadcast/Nope", "application/grpc").await,
        (200, Some(Code::Unimplemented as i32))
    );
    assert_eq!(answer("/orderer.Cluster/Step", "application/grpc").await, (200, Some(Code::Unimplemented as i32)));
    assert_eq!(answer(BROADCAST_PATH, "application/json").await, (415, None));
    assert_eq!(answer(BROADCAST_PATH, "application/grpc+proto").await, (200, Some(Code::Ok as i32)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_cancelled_streams_leaves_the_connection_alone() {
    let server = Server::new(1, Arc::new(Accepting));
    let client = server.tcp_client().await;
    for _ in 0..5 {
        let streams = (0..2_000).map(|number: u32| {
            let client = client.clone();
            async move {
                let opened = open(&client, vec![normal(&number.to_be_bytes())]);
                match number % 3 {
                    // As a gateway does: take the answer, then cancel.
                    0 => assert_eq!(next(&mut opened.await).await.unwrap(), SUCCESS),
                    // Cancel without a look at the answer, or before there is a stream.
                    1 => drop(opened.await),
                    _ => drop(tokio::time::timeout(Duration::from_micros(u64::from(number) / 10), opened).await),
                }
            }
        });
        join_all(streams).await;
    }
    assert_eq!(next(&mut open(&client, vec![normal(b"last")]).await).await.unwrap(), SUCCESS);
    assert_eq!(server.counters.report().connections_opened, 1);
}

#[tokio::test]
async fn health_is_told_over_both_sockets() {
    let server = Server::new(1, Arc::new(Accepting));
    for mut client in [server.tcp_client().await, server.unix_client()] {
        for service in ["", "orderer.AtomicBroadcast", "grpc.health.v1.Health"] {
            let request = if service.is_empty() {
                Bytes::new()
            } else {
                Bytes::from([&[0x0a, service.len() as u8], service.as_bytes()].concat())
            };
            assert_eq!(client.check_health(request).await.unwrap(), &[0x08, 0x01][..], "{service}");
        }
        let unknown = client.check_health(Bytes::from_static(b"\x0a\x01x")).await.unwrap_err();
        assert_eq!(unknown.code(), Code::NotFound);
        let garbage = client.check_health(Bytes::from_static(b"\xff")).await.unwrap_err();
        assert_eq!(garbage.code(), Code::Internal);
    }
}

#[tokio::test]
async fn the_status_report_is_fetched_over_its_socket() {
    let server = Server::new(5, Arc::new(Accepting));
    let client = server.tcp_client().await;
    assert_eq!(next(&mut open(&client, vec![normal(b"data")]).await).await.unwrap(), SUCCESS);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("status");
    let (channels, counters) = (server.channels.clone(), Arc::clone(&server.counters));
    let report = Arc::new(move || {
        let mut report = StatusReport::of(&channels, &counters);
        report.sections.insert("relay".into(), serde_json::json!({ "waiting": 3 }));
        report
    });
    let task = tokio::spawn(status::serve(UnixListener::bind(&path).unwrap(), report));
    let report = status::fetch(&path).await.unwrap();
    let [channel] = &report.channels[..] else { panic!("{report:?}") };
    assert_eq!((channel.id.as_str(), channel.state.as_str()), (CHANNEL, "open"));
    assert_eq!((channel.height, channel.certified_height), (5, 5));
    assert_eq!(channel.tip, Some(hex::encode(Block::decode(chain::real(4)).unwrap().header.unwrap().hash())));
    assert_eq!(report.counters.broadcast["SUCCESS"], 1);
    assert_eq!(report.sections["relay"]["waiting"], 3);
    task.abort();
    let _ = task.await;
    let gone = status::fetch(&dir.path().join("status")).await.unwrap_err();
    assert!(gone.to_string().contains("nobody answers on"), "{gone}");
}
