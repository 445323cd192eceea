//! What a frontend and a node say to each other over `ordering-frontend/1`, and its bytes.
//!
//! The frontend speaks first: [`Hello`], answered by [`Welcome`] or [`ToFrontend::Refused`]. After that either side sends
//! what it likes. A frontend's numbers come over one link, so nothing here is signed except what third parties must
//! believe: requests carry their seal, block headers their block signature.
//!
//! **Credit.** A node pushes blocks of a channel from the number first subscribed and below `until`; a later
//! [`ToNode::Subscribe`] of the same session only moves `until` forward. So the frontend bounds what it must hold.

use bytes::Bytes;
use fabric_proto::ChannelId;
use mod_smart::codec::{CodecError, Reader, Writer};
use mod_smart::{Answer, Digest, FrontendId, GroupId, ReplicaId, Sequence, SessionId};

use crate::framing::{Frame, encode_frame};
use crate::keys::Credential;

/// The version of the protocol that this crate speaks.
pub const VERSION: u16 = 1;

/// From a frontend to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToNode {
    /// Who is calling; the first frame.
    Hello(Hello),
    /// A request under the frontend's seal, to be opened by `Sealed::<Request>::open`.
    Submit(Bytes),
    /// "Push the blocks of this channel from `from` on, below `until`."
    Subscribe {
        /// Which channel.
        channel: ChannelId,
        /// The first block wanted; counts in the first subscription of a session only.
        from: u64,
        /// The first block not to be pushed yet.
        until: u64,
    },
    /// "Push this block again, with its body." A node that lacks it does nothing.
    FetchBlock {
        /// Which channel.
        channel: ChannelId,
        /// Which block.
        number: u64,
    },
    /// "Are you there?" To be answered by [`ToFrontend::Pong`] with the same number.
    Ping(u64),
}

/// The first frame of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// [`VERSION`] of the caller.
    pub version: u16,
    /// The ordering group it means.
    pub group: GroupId,
    /// Who it is.
    pub credential: Credential,
    /// Does it want the bodies of blocks?
    pub bodies: Bodies,
}

/// How a frontend comes by the bodies of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bodies {
    /// One node pushes each, see [`body_source`].
    Pushed,
    /// It shares the ledger of a node in its own process and needs none.
    SharedLedger,
}

/// From a node to a frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToFrontend {
    /// The session stands.
    Welcome(Welcome),
    /// It does not, and why. The node closes the connection.
    Refused(String),
    /// What became of a request.
    Answer(RequestAnswer),
    /// A block as this node signed it.
    Push(Push),
    /// A channel has opened at this node since [`Welcome`].
    Opened(Opened),
    /// The answer to [`ToNode::Ping`].
    Pong(u64),
}

/// A node's answer to [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// [`VERSION`] of the node.
    pub version: u16,
    /// Its place in the view.
    pub replica: ReplicaId,
    /// The channels of the group that are open at it.
    pub channels: Vec<Opened>,
}

/// A channel that takes envelopes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Which one.
    pub channel: ChannelId,
    /// Header hash of the block it began with here (block 0): two channels of one name are not the same channel.
    pub genesis: [u8; 32],
    /// Number of its blocks at this node.
    pub height: u64,
}

/// What became of a request at the node that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestAnswer {
    /// The frontend's session.
    pub session: SessionId,
    /// The request's number in it.
    pub sequence: Sequence,
    /// Digest of the request.
    pub digest: Digest,
    /// The answer.
    pub answer: Answer,
}

/// A decided block with one node's signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// The channel it belongs to.
    pub channel: ChannelId,
    /// Its number; never 0.
    pub number: u64,
    /// Header hash of the block before it.
    pub previous_hash: [u8; 32],
    /// Hash of its data.
    pub data_hash: [u8; 32],
    /// `Metadata.value` of the signatures slot: what the signature covers besides the header.
    pub metadata_value: Bytes,
    /// The node's encoded `common.MetadataSignature`.
    pub signature: Bytes,
    /// The encoded `common.BlockData`, from the node whose turn it is and in answer to a fetch.
    pub body: Option<Bytes>,
}

/// The node that sends the body of a block to a frontend: they take turns, and start at different ones for different
/// frontends. Both sides compute it.
#[must_use]
pub fn body_source(frontend: FrontendId, number: u64, replicas: usize) -> ReplicaId {
    let turn = number.wrapping_add(u64::from(frontend.0[0])) % (replicas.max(1) as u64);
    ReplicaId(turn as u16)
}

impl ToNode {
    /// The frame of this message.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::default();
        let kind = match self {
            Self::Submit(request) => return encode_frame(kind::SUBMIT, &[request]),
            Self::Hello(hello) => {
                writer.u16(hello.version);
                writer.raw(&hello.group.0);
                hello.credential.encode(&mut writer);
                writer.u8(match hello.bodies {
                    Bodies::Pushed => 0,
                    Bodies::SharedLedger => 1,
                });
                kind::HELLO
            }
            Self::Subscribe { channel, from, until } => {
                encode_channel(&mut writer, channel);
                writer.u64(*from);
                writer.u64(*until);
                kind::SUBSCRIBE
            }
            Self::FetchBlock { channel, number } => {
                encode_channel(&mut writer, channel);
                writer.u64(*number);
                kind::FETCH_BLOCK
            }
            Self::Ping(number) => {
                writer.u64(*number);
                kind::PING
            }
        };
        encode_frame(kind, &[&writer.finish()])
    }

    /// Reads a message out of a frame.
    ///
    /// # Errors
    /// The frame holds none; nothing good follows from such a sender.
    pub fn decode(frame: Frame) -> Result<Self, CodecError> {
        let mut reader = Reader::new(frame.payload.clone());
        let message = match frame.kind {
            kind::SUBMIT => return Ok(Self::Submit(frame.payload)),
            kind::HELLO => Self::Hello(Hello {
                version: reader.u16()?,
                group: GroupId(reader.array()?),
                credential: Credential::decode(&mut reader)?,
                bodies: match reader.u8()? {
                    0 => Bodies::Pushed,
                    1 => Bodies::SharedLedger,
                    tag => return Err(CodecError::Tag(tag)),
                },
            }),
            kind::SUBSCRIBE => {
                Self::Subscribe { channel: decode_channel(&mut reader)?, from: reader.u64()?, until: reader.u64()? }
            }
            kind::FETCH_BLOCK => Self::FetchBlock { channel: decode_channel(&mut reader)?, number: reader.u64()? },
            kind::PING => Self::Ping(reader.u64()?),
            kind => return Err(CodecError::Tag(kind)),
        };
        reader.finish()?;
        Ok(message)
    }
}

impl ToFrontend {
    /// The frame of this message.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::default();
        let kind = match self {
            Self::Push(push) => return push.encode(),
            Self::Welcome(welcome) => {
                writer.u16(welcome.version);
                writer.u16(welcome.replica.0);
                writer.count(welcome.channels.len());
                for opened in &welcome.channels {
                    opened.encode(&mut writer);
                }
                kind::WELCOME
            }
            Self::Refused(reason) => {
                writer.bytes(bounded(reason, REASON_BYTES_MAX).as_bytes());
                kind::REFUSED
            }
            Self::Answer(answer) => {
                answer.encode(&mut writer);
                kind::ANSWER
            }
            Self::Opened(opened) => {
                opened.encode(&mut writer);
                kind::OPENED
            }
            Self::Pong(number) => {
                writer.u64(*number);
                kind::PONG
            }
        };
        encode_frame(kind, &[&writer.finish()])
    }

    /// Reads a message out of a frame.
    ///
    /// # Errors
    /// The frame holds none; nothing good follows from such a sender.
    pub fn decode(frame: Frame) -> Result<Self, CodecError> {
        let mut reader = Reader::new(frame.payload);
        let message = match frame.kind {
            kind::WELCOME => Self::Welcome(Welcome {
                version: reader.u16()?,
                replica: ReplicaId(reader.u16()?),
                channels: reader.list(CHANNELS_MAX, OPENED_BYTES_MIN, Opened::decode)?,
            }),
            kind::REFUSED => {
                let reason = reader.bytes()?;
                if reason.len() > REASON_BYTES_MAX {
                    return Err(CodecError::Count(reason.len() as u64));
                }
                Self::Refused(String::from_utf8_lossy(&reason).into_owned())
            }
            kind::ANSWER => Self::Answer(RequestAnswer::decode(&mut reader)?),
            kind::PUSH => Self::Push(Push::decode(&mut reader)?),
            kind::OPENED => Self::Opened(Opened::decode(&mut reader)?),
            kind::PONG => Self::Pong(reader.u64()?),
            kind => return Err(CodecError::Tag(kind)),
        };
        reader.finish()?;
        Ok(message)
    }
}

impl Push {
    /// The body is written last, so that it is copied once and into its place.
    fn encode(&self) -> Bytes {
        let mut writer = Writer::with_capacity(200 + self.metadata_value.len() + self.signature.len());
        encode_channel(&mut writer, &self.channel);
        writer.u64(self.number);
        writer.raw(&self.previous_hash);
        writer.raw(&self.data_hash);
        writer.bytes(&self.metadata_value);
        writer.bytes(&self.signature);
        let Some(body) = &self.body else {
            writer.u8(0);
            return encode_frame(kind::PUSH, &[&writer.finish()]);
        };
        writer.u8(1);
        writer.count(body.len());
        encode_frame(kind::PUSH, &[&writer.finish(), body])
    }

    fn decode(reader: &mut Reader) -> Result<Self, CodecError> {
        let channel = decode_channel(reader)?;
        let number = reader.u64()?;
        let (previous_hash, data_hash) = (reader.array()?, reader.array()?);
        let (metadata_value, signature) = (bounded_bytes(reader)?, bounded_bytes(reader)?);
        let body = match reader.u8()? {
            0 => None,
            1 => Some(reader.bytes()?),
            tag => return Err(CodecError::Tag(tag)),
        };
        Ok(Self { channel, number, previous_hash, data_hash, metadata_value, signature, body })
    }
}

impl Opened {
    fn encode(&self, writer: &mut Writer) {
        encode_channel(writer, &self.channel);
        writer.raw(&self.genesis);
        writer.u64(self.height);
    }

    fn decode(reader: &mut Reader) -> Result<Self, CodecError> {
        Ok(Self { channel: decode_channel(reader)?, genesis: reader.array()?, height: reader.u64()? })
    }
}

impl RequestAnswer {
    fn encode(&self, writer: &mut Writer) {
        writer.u64(self.session.0);
        writer.u64(self.sequence.0);
        writer.raw(&self.digest.0);
        writer.u8(match self.answer {
            Answer::Held => 0,
            Answer::Overloaded => 1,
            Answer::Window => 2,
            Answer::Stale => 3,
        });
    }

    fn decode(reader: &mut Reader) -> Result<Self, CodecError> {
        let (session, sequence) = (SessionId(reader.u64()?), Sequence(reader.u64()?));
        let digest = Digest(reader.array()?);
        let answer = match reader.u8()? {
            0 => Answer::Held,
            1 => Answer::Overloaded,
            2 => Answer::Window,
            3 => Answer::Stale,
            tag => return Err(CodecError::Tag(tag)),
        };
        Ok(Self { session, sequence, digest, answer })
    }
}

fn encode_channel(writer: &mut Writer, channel: &ChannelId) {
    writer.bytes(channel.as_str().as_bytes());
}

/// A name that breaks Fabric's rule is no channel; its length is the only thing worth telling.
fn decode_channel(reader: &mut Reader) -> Result<ChannelId, CodecError> {
    let name = reader.bytes()?;
    let refused = || CodecError::Count(name.len() as u64);
    let text = std::str::from_utf8(&name).map_err(|_| refused())?;
    ChannelId::new(text).map_err(|_| refused())
}

fn bounded_bytes(reader: &mut Reader) -> Result<Bytes, CodecError> {
    let bytes = reader.bytes()?;
    if bytes.len() > METADATA_BYTES_MAX {
        return Err(CodecError::Count(bytes.len() as u64));
    }
    Ok(bytes)
}

fn bounded(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Kinds of frames. The two directions do not share numbers, so a frame that comes back is refused.
mod kind {
    pub(super) const HELLO: u8 = 1;
    pub(super) const SUBMIT: u8 = 2;
    pub(super) const SUBSCRIBE: u8 = 3;
    pub(super) const FETCH_BLOCK: u8 = 4;
    pub(super) const PING: u8 = 5;
    pub(super) const WELCOME: u8 = 65;
    pub(super) const REFUSED: u8 = 66;
    pub(super) const ANSWER: u8 = 67;
    pub(super) const PUSH: u8 = 68;
    pub(super) const OPENED: u8 = 69;
    pub(super) const PONG: u8 = 70;
}

/// Most channels a node may name: more than one ordering group serves.
pub const CHANNELS_MAX: usize = 4096;

const OPENED_BYTES_MIN: usize = 4 + 1 + 32 + 8;
const REASON_BYTES_MAX: usize = 1024;
const METADATA_BYTES_MAX: usize = 16 << 10;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

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
        let hello = |bodies| Hello { version: VERSION, group: GroupId([1; 32]), credential: credential(), bodies };
        vec![
            ToNode::Hello(hello(Bodies::Pushed)),
            ToNode::Hello(hello(Bodies::SharedLedger)),
            ToNode::Submit(Bytes::from_static(b"request")),
            ToNode::Subscribe { channel: channel(), from: 7, until: u64::MAX },
            ToNode::FetchBlock { channel: channel(), number: 9 },
            ToNode::Ping(11),
        ]
    }

    fn to_frontend() -> Vec<ToFrontend> {
        let opened = Opened { channel: channel(), genesis: [4; 32], height: 12 };
        let push = Push {
            channel: channel(),
            number: 5,
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
        let turns: Vec<u16> = (1..=5).map(|n| body_source(FrontendId([2; 32]), n, 4).0).collect();
        assert_eq!(turns, [3, 0, 1, 2, 3]);
        assert_eq!(body_source(FrontendId([255; 32]), u64::MAX, 4), ReplicaId((254 % 4) as u16), "no overflow");
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
}
