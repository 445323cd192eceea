//! Every message, its bytes, and bytes that are none.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use mod_smart::Regency;

use super::*;
use crate::framing::FrameReader;

fn channel() -> ChannelId {
    ChannelId::new("ch1").unwrap()
}

fn credential() -> Credential {
    Credential {
        frontend: FrontendId([3; 32]),
        certificate: Bytes::from_static(b"certificate"),
        signature: Bytes::from_static(b"signature"),
    }
}

fn to_node() -> Vec<ToNode> {
    let group = GroupId([1; 32]);
    let terms = Box::new(GroupTerms::plain(group));
    let hello = |bodies| Hello { version: VERSION, group, credential: credential(), bodies, terms: terms.clone() };
    let settled = GroupTerms { members: GroupId([2; 32]), settings: toml::from_str("window = 4").unwrap() };
    vec![
        ToNode::Hello(hello(Bodies::Pushed)),
        ToNode::Hello(hello(Bodies::SharedLedger)),
        ToNode::Hello(Hello { terms: settled.into(), ..hello(Bodies::Pushed) }),
        ToNode::Submit(Bytes::from_static(b"request")),
        ToNode::Subscribe { channel: channel(), from: 7, until: u64::MAX },
        ToNode::Unsubscribe { channel: channel() },
        ToNode::FetchBlock { channel: channel(), number: 9 },
        ToNode::Ping(11),
        ToNode::Read(Read { version: VERSION, group: GroupId([8; 32]) }),
    ]
}

fn to_frontend() -> Vec<ToFrontend> {
    let opened = Opened { channel: channel(), genesis: [4; 32], height: 12 };
    let push = Push {
        channel: channel(),
        number: 5,
        certainty: Certainty::Decided,
        previous_hash: [1; 32],
        data_hash: [2; 32],
        metadata_value: Bytes::from_static(&[0x0a, 0]),
        signature: Bytes::from_static(b"signature"),
        body: None,
    };
    let mut messages = vec![
        ToFrontend::Welcome(Welcome { version: VERSION, replica: ReplicaId(2), channels: vec![opened.clone(); 3] }),
        ToFrontend::Refused("another group".to_owned()),
        ToFrontend::Opened(opened),
        ToFrontend::Push(Push { body: Some(Bytes::from_static(b"body")), ..push.clone() }),
        ToFrontend::Push(Push { certainty: Certainty::Tentative(Regency(3)), ..push.clone() }),
        ToFrontend::Push(push),
        ToFrontend::Pong(11),
    ];
    for answer in [Answer::Held, Answer::Overloaded, Answer::Window, Answer::Stale] {
        let (session, sequence, digest) = (SessionId(1), Sequence(2), Digest([3; 32]));
        messages.push(ToFrontend::Answer(RequestAnswer { session, sequence, digest, answer }));
    }
    messages
}

async fn frame(bytes: Bytes) -> Frame {
    FrameReader::new(&bytes[..], 1 << 20).read_frame().await.unwrap().unwrap()
}

#[tokio::test]
async fn every_message_survives_its_frame() {
    for message in to_node() {
        assert_eq!(ToNode::decode(frame(message.encode()).await), Ok(message));
    }
    for message in to_frontend() {
        assert_eq!(ToFrontend::decode(frame(message.encode()).await), Ok(message));
    }
}

#[tokio::test]
async fn what_is_cut_off_or_goes_on_is_refused() {
    for message in to_frontend() {
        let whole = frame(message.encode()).await;
        for end in 0..whole.payload.len() {
            let cut = Frame { kind: whole.kind, payload: whole.payload.slice(..end) };
            assert!(ToFrontend::decode(cut).is_err(), "{message:?} cut at {end}");
        }
        let longer = [&whole.payload[..], &[0]].concat();
        assert!(ToFrontend::decode(Frame { kind: whole.kind, payload: longer.into() }).is_err(), "{message:?}");
    }
    let own = frame(ToNode::Ping(1).encode()).await;
    assert_eq!(ToFrontend::decode(own), Err(CodecError::Tag(kind::PING)), "sent back");
}

#[tokio::test]
async fn names_that_are_no_channels_are_refused() {
    for name in ["", "Ch1", "../etc", &"a".repeat(250)] {
        let mut writer = Writer::default();
        writer.bytes(name.as_bytes());
        writer.u64(1);
        let refused = ToNode::decode(Frame { kind: kind::FETCH_BLOCK, payload: writer.finish() });
        assert_eq!(refused, Err(CodecError::Count(name.len() as u64)));
    }
}

#[test]
fn nodes_take_turns_with_bodies() {
    let view = View::flat(GroupId([0; 32]), 4).unwrap();
    let turns: Vec<u16> = (1..=5).map(|n| body_source(FrontendId([2; 32]), n, &view).0).collect();
    assert_eq!(turns, [3, 0, 1, 2, 3]);
    assert_eq!(body_source(FrontendId([255; 32]), u64::MAX, &view), ReplicaId((254 % 4) as u16), "no overflow");
    let heavy = [1, 4].map(ReplicaId).into_iter().collect();
    let weighted = View::weighted(GroupId([0; 32]), 1, 1, heavy).unwrap();
    let turns: Vec<u16> = (1..=4).map(|n| body_source(FrontendId([2; 32]), n, &weighted).0).collect();
    assert_eq!(turns, [4, 1, 4, 1], "the heavy ones");
}

#[test]
fn a_long_reason_is_cut_between_characters() {
    assert_eq!(bounded("aä", 2), "a");
    assert_eq!(bounded("aä", 3), "aä");
}

proptest! {
    #[test]
    fn no_payload_makes_a_decoder_panic(kind in any::<u8>(), payload in proptest::collection::vec(any::<u8>(), 0..400)) {
        let frame = Frame { kind, payload: payload.into() };
        if let Ok(message) = ToNode::decode(frame.clone()) {
            prop_assert_eq!(&message.encode()[5..], &frame.payload[..]);
        }
        let _ = ToFrontend::decode(frame);
    }

    #[test]
    fn a_damaged_message_makes_no_decoder_panic(which in 0..10_usize, at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let messages = to_frontend();
        let encoded = messages[which % messages.len()].encode();
        let mut payload = encoded[5..].to_vec();
        let at = at.index(payload.len());
        payload[at] = to;
        let _ = ToFrontend::decode(Frame { kind: encoded[4], payload: payload.into() });
    }
}
