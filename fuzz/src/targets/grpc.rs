//! The gRPC surface, from a request's bytes to the answers.

use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use blockcutter::{Command, Verification, command, judge};
use bytes::Bytes;
use fabric_proto::common::HeaderType;
use fabric_proto::orderer::seek_position::Type as Position;
use fabric_proto::orderer::{
    BroadcastResponse, DeliverResponse, SeekInfo, SeekNewest, SeekOldest, SeekPosition, SeekSpecified,
};
use fabric_proto::{ChannelId, metadata};
use frontend_shim::admission::{Admissible, Admitted, admit};
use frontend_shim::broadcast::{Order, Submit, SubmitError};
use frontend_shim::channels::{ChannelState, Channels};
use frontend_shim::deliver::ClientConnection;
use frontend_shim::ledger::Ledger;
use frontend_shim::limits::MESSAGE_BYTES_MAX;
use frontend_shim::service::{BROADCAST_PATH, DELIVER_PATH, Service};
use frontend_shim::status::Counters;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use orderer_node::client::EnvelopeFactory;
use prost::Message;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::ledger::scratch;
use crate::fixtures::{CHAIN, CONFIG, ENVELOPE, ORDERING, block, channel, frontend};
use crate::outcome::Outcome;
use crate::target::{Heap, Seed, Target};

pub const ADMISSION: Target = Target {
    name: "admission",
    about: "an envelope at the frontend: what is admitted there is admitted by every replica",
    run: admission,
    seeds: || vec![Seed::new("endorser", ENVELOPE)],
    heap: Heap::MEDIUM,
    test_runs: 10_000,
};

pub const BROADCAST: Target = Target {
    name: "grpc_broadcast",
    about: "the body of a Broadcast call: every answer reads, and only canonical envelopes are submitted",
    run: broadcast,
    seeds: || {
        let one = grpc_frame(ENVELOPE);
        vec![Seed::new("one", one.clone()), Seed::new("three", [&one[..], &one, &one].concat())]
    },
    // The gRPC library reserves the length that a message announces, up to the bound, without touching it.
    heap: Heap { base: (6 << 20) + MESSAGE_BYTES_MAX, per_byte: 96 },
    test_runs: 700,
};

pub const DELIVER: Target = Target {
    name: "grpc_deliver",
    about: "what a client asks of Deliver, in a request that is otherwise right: every answer reads, and only blocks of \
            the channel are given",
    run: deliver,
    seeds: || {
        let specified = |number| Position::Specified(SeekSpecified { number });
        let seeks = [
            ("all", Position::Oldest(SeekOldest {}), Position::Newest(SeekNewest {})),
            ("newest", Position::Newest(SeekNewest {}), Position::Newest(SeekNewest {})),
            ("one", specified(1), specified(1)),
        ];
        seeks.into_iter().map(|(name, start, stop)| Seed::new(name, seek(start, stop).encode_to_vec())).collect()
    },
    heap: Heap::LARGE,
    test_runs: 700,
};

fn admission(input: &[u8]) -> Outcome {
    let now = UNIX_EPOCH + Duration::from_secs(NOW_UNIX_S);
    match admit(&SITE.channels, None, Bytes::copy_from_slice(input), now) {
        Ok(Admitted { channel, what: Admissible::Ordinary(order) }) => {
            check_order(channel.id(), &order);
            Outcome::accepted(if input == &order.envelope()[..] { "as it came" } else { "canonicalized" })
        }
        Ok(Admitted { what: Admissible::Update(_), .. }) => panic!("an update is taken without anybody to sign it"),
        Err(refusal) => Outcome::refused(refusal.info),
    }
}

/// A replica with the same configuration takes what the frontend takes.
fn check_order(channel: &ChannelId, order: &Order) {
    let (channel, sequence, envelope) = (channel.clone(), order.sequence(), order.envelope().clone());
    let command = match order {
        Order::Envelope { .. } => Command::Envelopes { channel, sequence, envelopes: vec![envelope] },
        Order::Config { .. } => Command::Config { channel, sequence, envelope },
    };
    let body = command::encode(&[command]);
    judge(&body, frontend(), &ORDERING.configurations(), Verification::Full).expect("a replica refuses what we take");
}

fn broadcast(input: &[u8]) -> Outcome {
    let (status, answers) = call(BROADCAST_PATH, input);
    let submitted = std::mem::take(&mut *SITE.desk.submitted.lock().unwrap_or_else(PoisonError::into_inner));
    submitted.iter().for_each(|(channel, order)| check_order(channel, order));
    let taken = answers.iter().filter(|answer| {
        let answer = BroadcastResponse::decode(&answer[..]).expect("an answer that does not read");
        answer.status == SUCCESS
    });
    assert_eq!(taken.count(), submitted.len(), "an answer for each envelope that was taken");
    let outcome = format!("{status}, {} answers", super::journal::size(answers.len()));
    if submitted.is_empty() { Outcome::refused(outcome) } else { Outcome::accepted(outcome) }
}

fn deliver(input: &[u8]) -> Outcome {
    let (status, answers) = call(DELIVER_PATH, &grpc_frame(&request(input)));
    let mut blocks = 0;
    let mut said = String::new();
    for answer in &answers {
        use fabric_proto::orderer::deliver_response::Type;
        match DeliverResponse::decode(&answer[..]).expect("an answer that does not read").r#type {
            Some(Type::Block(given)) => {
                let number = given.header.as_ref().map_or(u64::MAX, |header| header.number) as usize;
                assert!(number < CERTIFIED, "a block that is not certified");
                assert_eq!(given.header, block(number).header, "a block of another chain");
                blocks += 1;
            }
            Some(Type::Status(code)) => said = code_name(code),
            None => panic!("an answer that says nothing"),
        }
    }
    let outcome = format!("{status}, {} blocks, {said}", super::journal::size(blocks));
    if blocks == 0 { Outcome::refused(outcome) } else { Outcome::accepted(outcome) }
}

fn code_name(code: i32) -> String {
    fabric_proto::common::Status::try_from(code)
        .map_or_else(|_| "an unknown status".into(), |status| format!("{status:?}"))
}

/// Calls a method over HTTP/2 with these bytes as the body. Gives the gRPC status and the messages that came back; a
/// stream that waits for more blocks is ended after a moment.
fn call(path: &str, body: &[u8]) -> (String, Vec<Bytes>) {
    let body = Bytes::copy_from_slice(body);
    SITE.runtime.block_on(async {
        let (near, far) = tokio::io::duplex(256 << 10);
        let stop = CancellationToken::new();
        let service = SITE.service.clone();
        let serving = {
            let stop = stop.clone();
            tokio::spawn(async move { service.serve_connection(far, ClientConnection::unbound("fuzz"), stop).await })
        };
        let (mut sender, connection) =
            handshake(TokioExecutor::new(), TokioIo::new(near)).await.expect("a connection in memory");
        let driving = tokio::spawn(connection);
        let request = hyper::Request::post(format!("http://frontend{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(body))
            .expect("a good request");
        let mut status = "no status".to_owned();
        let mut answers = Vec::new();
        if let Ok(response) = sender.send_request(request).await {
            let named = response.headers().get("grpc-status").cloned();
            let mut body = response.into_body();
            let mut received = Vec::new();
            while let Ok(Some(Ok(frame))) = tokio::time::timeout(PATIENCE, body.frame()).await {
                match frame.into_data() {
                    Ok(data) => received.extend_from_slice(&data),
                    Err(frame) => status = grpc_status(frame.trailers_ref().and_then(|all| all.get("grpc-status"))),
                }
            }
            if named.is_some() {
                status = grpc_status(named.as_ref());
            }
            answers = messages(&received);
        }
        drop(sender);
        stop.cancel();
        driving.abort();
        drop((driving.await, serving.await));
        (status, answers)
    })
}

fn grpc_status(value: Option<&hyper::header::HeaderValue>) -> String {
    value.map_or_else(
        || "no status".into(),
        |value| match value.as_bytes() {
            b"0" => "ok".into(),
            _ => "a failure".into(),
        },
    )
}

/// The messages in the body of a response.
fn messages(mut body: &[u8]) -> Vec<Bytes> {
    let mut messages = Vec::new();
    while let Some((head, rest)) = body.split_first_chunk::<5>() {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let Some((message, rest)) = rest.split_at_checked(length) else { break };
        messages.push(Bytes::copy_from_slice(message));
        body = rest;
    }
    messages
}

fn grpc_frame(message: &[u8]) -> Vec<u8> {
    [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat()
}

/// A request to Deliver by a client who may read, with the present time in it: an old one is refused before anything is
/// looked at.
fn request(seek_info: &[u8]) -> Vec<u8> {
    READER.envelope(HeaderType::DeliverSeekInfo, seek_info).to_vec()
}

fn seek(start: Position, stop: Position) -> SeekInfo {
    let position = |at| Some(SeekPosition { r#type: Some(at) });
    SeekInfo { start: position(start), stop: position(stop), ..Default::default() }
}

/// A frontend that serves the real channel and remembers what it would have ordered.
struct Site {
    runtime: Runtime,
    channels: Channels,
    service: Service,
    desk: Arc<Desk>,
}

#[derive(Default)]
struct Desk {
    submitted: Mutex<Vec<(ChannelId, Order)>>,
}

impl Submit for Desk {
    fn submit(&self, channel: &ChannelId, order: Order) -> BoxFuture<'static, Result<(), SubmitError>> {
        self.submitted.lock().unwrap_or_else(PoisonError::into_inner).push((channel.clone(), order));
        std::future::ready(Ok(())).boxed()
    }
}

/// A client of the real channel.
static READER: LazyLock<EnvelopeFactory> = LazyLock::new(|| {
    let msp = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../integration/tests/data/crypto/peerOrganizations/org1.example.com/users/User1@org1.example.com/msp"
    );
    EnvelopeFactory::load(channel(), Path::new(msp), "Org1MSP").expect("a real identity")
});

static SITE: LazyLock<Site> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // The folder goes with the last handle on its files; nothing of it is needed by name later.
    let folder = scratch();
    let ledger = Arc::new(Ledger::open(folder.path()).expect("an empty folder"));
    for (number, bytes) in CHAIN.iter().enumerate() {
        ledger.append(number as u64, Bytes::from_static(bytes)).expect("a real chain");
        if number > 0 && number < CERTIFIED {
            let slots = block(number).metadata.unwrap_or_default();
            let real = metadata::parse_signatures_slot(&slots).expect("real signatures");
            ledger
                .certify(number as u64, metadata::signatures_slot(real.value, real.signatures))
                .expect("it is stored");
        }
    }
    let channels = Channels::new().expect("a thread");
    let channel = channels.add(CONFIG.clone(), ledger).expect("the first channel");
    channel.enter_state(ChannelState::Open);
    let desk = Arc::new(Desk::default());
    let service = Service::new(channels.clone(), Arc::<Desk>::clone(&desk), Arc::new(Counters::default()));
    Site { runtime, channels, service, desk }
});

/// Blocks below this number are certified: the last one is not.
const CERTIFIED: usize = 4;
const SUCCESS: i32 = fabric_proto::common::Status::Success as i32;
/// When the client of the real envelope is valid: August 2026.
const NOW_UNIX_S: u64 = 1_786_000_000;
/// A stream that waits for blocks that never come is left after this time.
const PATIENCE: Duration = Duration::from_millis(20);
