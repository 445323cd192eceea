//! What comes over a link between a frontend and a node, or between a node that reads blocks and one that has them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use fabric_proto::ChannelId;
use frontend_shim::block_reading::{Ask, GivenBlock, LINKS_MAX, Told};
use frontend_shim::certainty::Certainty;
use frontend_shim::frame::{Bodies, Hello, Opened, Push, Read, RequestAnswer, ToFrontend, ToNode, VERSION, Welcome};
use frontend_shim::framing::{Frame, FrameError, FrameReader, encode_frame};
use frontend_shim::group_terms::GroupTerms;
use frontend_shim::ledger::Link;
use futures::FutureExt as _;
use mod_smart::{Answer, Digest, GroupId, Regency, ReplicaId, Sequence, SessionId};
use tokio::io::{AsyncRead, ReadBuf};

use super::journal::size;
use super::mesh::credential;
use crate::fixtures::{CHAIN, GROUP, request, settings};
use crate::outcome::Outcome;
use crate::target::{Heap, Seed, Target};

pub const FRAMING: Target = Target {
    name: "framing",
    about: "a stream of frames that arrives in pieces: the pieces do not matter, and no frame is longer than allowed. The \
            first byte is the length of a piece",
    run: framing,
    seeds: || {
        let frames = [ToNode::Ping(7).encode(), ToNode::Ping(8).encode()].concat();
        vec![Seed::new("two-pings", [&[3][..], &frames].concat())]
    },
    heap: Heap { base: 512 << 10, per_byte: 16 },
    test_runs: 10_000,
};

pub const FRAME: Target = Target {
    name: "session_frame",
    about: "a frame of a frontend or a node, kind first: encodes to the same bytes; only genuine credentials verify",
    run: frame,
    seeds: frame_seeds,
    heap: Heap::SMALL,
    test_runs: 20_000,
};

pub const READING: Target = Target {
    name: "block_reading_frame",
    about: "a frame of a reader of blocks or of its node, kind first: encodes to the same bytes, and is none of a frontend's \
            session",
    run: reading,
    seeds: reading_seeds,
    heap: Heap::SMALL,
    test_runs: 20_000,
};

fn framing(input: &[u8]) -> Outcome {
    let Some((piece, stream)) = input.split_first() else { return Outcome::refused("nothing") };
    let (frames, end) = read_all(stream, usize::from(*piece).max(1));
    let (at_once, end_at_once) = read_all(stream, usize::MAX);
    assert_eq!(frames, at_once, "frames depend on how they arrive");
    assert_eq!(end.is_ok(), end_at_once.is_ok());
    assert!(frames.iter().all(|frame| frame.payload.len() < FRAME_BYTES_MAX));
    let written: Vec<u8> = frames.iter().flat_map(|frame| encode_frame(frame.kind, &[&frame.payload])).collect();
    assert!(stream.starts_with(&written), "frames that were not sent");
    assert!(end.is_err() || written.len() == stream.len(), "bytes are left out");
    match end {
        Ok(()) => Outcome::accepted(size(frames.len())),
        Err(error) => Outcome::refused(format_args!("{} then {error}", size(frames.len()))),
    }
}

fn read_all(stream: &[u8], piece: usize) -> (Vec<Frame>, Result<(), FrameError>) {
    let mut reader = FrameReader::new(Pieces { stream, piece }, FRAME_BYTES_MAX);
    let mut frames = Vec::new();
    loop {
        match reader.read_frame().now_or_never().expect("a connection that never waits") {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, Ok(())),
            Err(error) => return (frames, Err(error)),
        }
    }
}

/// A connection that gives so many bytes at a time.
struct Pieces<'a> {
    stream: &'a [u8],
    piece: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let length = self.piece.min(self.stream.len()).min(buffer.remaining());
        let (now, later) = self.stream.split_at(length);
        buffer.put_slice(now);
        self.stream = later;
        Poll::Ready(Ok(()))
    }
}

fn frame(input: &[u8]) -> Outcome {
    let Some((kind, payload)) = input.split_first() else { return Outcome::refused("nothing") };
    let frame = Frame { kind: *kind, payload: Bytes::copy_from_slice(payload) };
    let sent = encode_frame(frame.kind, &[&frame.payload]);
    let to_node = ToNode::decode(frame.clone()).map(|message| {
        assert_eq!(message.encode(), sent, "one message has one encoding");
        match &message {
            ToNode::Hello(hello) if hello.credential.verify(GROUP).is_ok() => "a genuine hello",
            ToNode::Hello(_) => "a hello",
            ToNode::Submit(_) => "a submission",
            ToNode::Subscribe { .. } => "a subscription",
            ToNode::Unsubscribe { .. } => "the end of a subscription",
            ToNode::FetchBlock { .. } => "a fetch",
            ToNode::Ping(_) => "a ping",
            ToNode::Read(read) if read.group == GROUP => "a reader of our blocks",
            ToNode::Read(_) => "a reader",
        }
    });
    let to_frontend = ToFrontend::decode(frame).map(|message| {
        if let ToFrontend::Refused(reason) = &message {
            // A reason that is no text is mended on the way in, and cut to its bound on the way out.
            assert!(sent.len() < 2048 && reason.len() <= 3 * 1024);
            return "a refusal";
        }
        assert_eq!(message.encode(), sent, "one message has one encoding");
        match &message {
            ToFrontend::Push(push) if push.body.is_some() => "a block with its body",
            ToFrontend::Push(push) if push.certainty != Certainty::Decided => "a tentative block",
            ToFrontend::Push(_) => "a block",
            _ => "another answer",
        }
    });
    assert!(to_node.is_err() || to_frontend.is_err(), "a frame that means something in both directions");
    Outcome::from(to_node).and(&Outcome::from(to_frontend))
}

fn reading(input: &[u8]) -> Outcome {
    let Some((kind, payload)) = input.split_first() else { return Outcome::refused("nothing") };
    let frame = Frame { kind: *kind, payload: Bytes::copy_from_slice(payload) };
    let sent = encode_frame(frame.kind, &[&frame.payload]);
    let is_session = ToNode::decode(frame.clone()).is_ok() || ToFrontend::decode(frame.clone()).is_ok();
    let ask = Ask::decode(frame.clone()).map(|ask| {
        assert_eq!(ask.encode(), sent, "one message has one encoding");
        match ask {
            Ask::Links { .. } => "an ask for links",
            Ask::Blocks { .. } => "an ask for blocks",
        }
    });
    let told = Told::decode(frame).map(|told| {
        if let Told::Refused(reason) = &told {
            // A reason is mended on the way in, and cut to its bound on the way out.
            assert!(sent.len() < 2048 && reason.len() <= 3 * 1024 && !reason.contains(char::is_control));
            return "a refusal";
        }
        assert_eq!(told.encode(), sent, "one message has one encoding");
        match &told {
            Told::Links(links) => {
                assert!(links.len() <= LINKS_MAX, "more links than are given at a time");
                size(links.len())
            }
            Told::Block(block) if block.body.is_empty() => "a block with nothing in it",
            Told::Block(_) => "a block",
            Told::End(_) => "the end",
            _ => "a welcome",
        }
    });
    let meanings = [is_session, ask.is_ok(), told.is_ok()].into_iter().filter(|has_meaning| *has_meaning).count();
    assert!(meanings <= 1, "a frame that means several things");
    Outcome::from(ask).and(&Outcome::from(told))
}

fn reading_seeds() -> Vec<Seed> {
    let channel = || ChannelId::new("ch1").expect("a good name");
    let asks = [
        ("ask-links", Ask::Links { channel: channel(), last: 9, count: 5 }),
        ("ask-blocks", Ask::Blocks { channel: channel(), from: 5, count: 4 }),
    ];
    let link = Link { previous_hash: [1; 32], data_hash: [2; 32] };
    let given = GivenBlock {
        number: 5,
        signatures: Bytes::from_static(&[10, 0]),
        body: Bytes::from_static(&CHAIN[1][80..400]),
    };
    let told = [
        ("told-welcome", Told::Welcome),
        ("told-refused", Told::Refused("another group".into())),
        ("told-no-links", Told::Links(Vec::new())),
        ("told-links", Told::Links(vec![link; 3])),
        ("told-block", Told::Block(given)),
        ("told-end", Told::End(9)),
    ];
    let seed = |name: &str, frame: Bytes| Seed::new(name, frame.slice(4..));
    let asks = asks.iter().map(|(name, message)| seed(name, message.encode()));
    let told = told.iter().map(|(name, message)| seed(name, message.encode()));
    asks.chain(told).collect()
}

fn frame_seeds() -> Vec<Seed> {
    let channel = || ChannelId::new("ch1").expect("a good name");
    let terms = GroupTerms::plain(GROUP);
    let hello =
        |bodies| Hello { version: VERSION, group: GROUP, credential: credential(1), bodies, terms: terms.clone() };
    let settled = GroupTerms { members: GroupId([3; 32]), settings: settings() };
    let opened = || Opened { channel: channel(), genesis: [1; 32], height: 4 };
    let answer =
        |answer| RequestAnswer { session: SessionId(1), sequence: Sequence(2), digest: Digest([3; 32]), answer };
    let push = |body| Push {
        channel: channel(),
        number: 1,
        certainty: Certainty::Decided,
        previous_hash: [1; 32],
        data_hash: [2; 32],
        metadata_value: Bytes::from_static(&[10, 0]),
        signature: Bytes::from_static(&[1; 70]),
        body,
    };
    let to_node = [
        ("hello", ToNode::Hello(hello(Bodies::Pushed))),
        ("hello-shared", ToNode::Hello(hello(Bodies::SharedLedger))),
        ("hello-settings", ToNode::Hello(Hello { terms: settled, ..hello(Bodies::Pushed) })),
        ("submit", ToNode::Submit(request(1, Bytes::from_static(b"body")).bytes().clone())),
        ("subscribe", ToNode::Subscribe { channel: channel(), from: 1, until: 9 }),
        ("unsubscribe", ToNode::Unsubscribe { channel: channel() }),
        ("fetch", ToNode::FetchBlock { channel: channel(), number: 3 }),
        ("ping", ToNode::Ping(1)),
        ("read", ToNode::Read(Read { version: VERSION, group: GROUP })),
    ];
    let welcome = Welcome { version: VERSION, replica: ReplicaId(2), channels: vec![opened()] };
    let to_frontend = [
        ("welcome", ToFrontend::Welcome(welcome)),
        ("refused", ToFrontend::Refused("another version".into())),
        ("held", ToFrontend::Answer(answer(Answer::Held))),
        ("stale", ToFrontend::Answer(answer(Answer::Stale))),
        ("push", ToFrontend::Push(push(None))),
        ("push-tentative", ToFrontend::Push(Push { certainty: Certainty::Tentative(Regency(3)), ..push(None) })),
        ("push-body", ToFrontend::Push(push(Some(Bytes::from_static(&CHAIN[1][80..400]))))),
        ("opened", ToFrontend::Opened(opened())),
        ("pong", ToFrontend::Pong(1)),
    ];
    let seed = |name: &str, frame: Bytes| Seed::new(name, frame.slice(4..));
    let to_node = to_node.iter().map(|(name, message)| seed(name, message.encode()));
    let to_frontend = to_frontend.iter().map(|(name, message)| seed(name, message.encode()));
    to_node.chain(to_frontend).collect()
}

const FRAME_BYTES_MAX: usize = 4096;
