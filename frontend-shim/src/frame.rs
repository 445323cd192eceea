//! What a frontend and a node say to each other over `ordering-frontend/1`, and its bytes.
//!
//! The frontend speaks first: [`Hello`], answered by [`Welcome`] or [`ToFrontend::Refused`]. After that either side sends
//! what it likes. A frontend's numbers come over one link, so nothing here is signed except what third parties must
//! believe: requests carry their seal, block headers their block signature.
//!
//! **Credit.** A node pushes blocks of a channel from the number first subscribed and below `until`; a later
//! [`ToNode::Subscribe`] of the same session only moves `until` forward, unless [`ToNode::Unsubscribe`] came between. So the
//! frontend bounds what it must hold.

use bytes::Bytes;
use fabric_proto::ChannelId;
use mod_smart::codec::{CodecError, Reader, Writer};
use mod_smart::{Answer, Digest, FrontendId, GroupId, Regency, ReplicaId, Sequence, SessionId, View};

use crate::certainty::Certainty;
use crate::framing::{Frame, encode_frame};
use crate::group_terms::GroupTerms;
use crate::keys::Credential;

/// The version of the protocol that this crate speaks.
pub const VERSION: u16 = 2;

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
        /// The first block wanted; counts in the first subscription only.
        from: u64,
        /// The first block not to be pushed yet.
        until: u64,
    },
    /// "Push no more of this channel." The next subscription to it begins anew.
    Unsubscribe {
        /// Which channel.
        channel: ChannelId,
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
    /// In the place of a Hello: the caller is no frontend and only reads blocks, see [`crate::block_reading`].
    Read(Read),
}

/// The first frame of a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// [`VERSION`] of the caller.
    pub version: u16,
    /// The ordering group whose blocks it wants.
    pub group: GroupId,
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
    /// What it takes the group for.
    pub terms: Box<GroupTerms>,
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

/// A block with one node's signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// The channel it belongs to.
    pub channel: ChannelId,
    /// Its number; never 0.
    pub number: u64,
    /// How sure the node is of it.
    pub certainty: Certainty,
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
/// frontends. Where weights differ those with the greatest take turns among themselves: they are in every fast quorum, so a
/// frontend seldom waits for a body that comes from farther than the signatures. Both sides compute it.
#[must_use]
pub fn body_source(frontend: FrontendId, number: u64, view: &View) -> ReplicaId {
    let greatest = view.replicas().map(|replica| view.weight(replica)).max();
    let sources = || view.replicas().filter(|replica| Some(view.weight(*replica)) == greatest);
    let turn = number.wrapping_add(u64::from(frontend.0[0])) % (sources().count().max(1) as u64);
    sources().nth(turn as usize).unwrap_or_default()
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
                hello.terms.encode(&mut writer);
                kind::HELLO
            }
            Self::Subscribe { channel, from, until } => {
                encode_channel(&mut writer, channel);
                writer.u64(*from);
                writer.u64(*until);
                kind::SUBSCRIBE
            }
            Self::Unsubscribe { channel } => {
                encode_channel(&mut writer, channel);
                kind::UNSUBSCRIBE
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
            Self::Read(read) => {
                writer.u16(read.version);
                writer.raw(&read.group.0);
                kind::READ
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
            kind::HELLO => Self::Hello(Hello::decode(&mut reader)?),
            kind::SUBSCRIBE => {
                Self::Subscribe { channel: decode_channel(&mut reader)?, from: reader.u64()?, until: reader.u64()? }
            }
            kind::UNSUBSCRIBE => Self::Unsubscribe { channel: decode_channel(&mut reader)? },
            kind::FETCH_BLOCK => Self::FetchBlock { channel: decode_channel(&mut reader)?, number: reader.u64()? },
            kind::PING => Self::Ping(reader.u64()?),
            kind::READ => Self::Read(Read { version: reader.u16()?, group: GroupId(reader.array()?) }),
            kind => return Err(CodecError::Tag(kind)),
        };
        reader.finish()?;
        Ok(message)
    }
}

impl Hello {
    fn decode(reader: &mut Reader) -> Result<Self, CodecError> {
        let (version, group) = (reader.u16()?, GroupId(reader.array()?));
        let credential = Credential::decode(reader)?;
        let bodies = match reader.u8()? {
            0 => Bodies::Pushed,
            1 => Bodies::SharedLedger,
            tag => return Err(CodecError::Tag(tag)),
        };
        Ok(Self { version, group, credential, bodies, terms: GroupTerms::decode(reader, group)?.into() })
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
        match self.certainty {
            Certainty::Decided => writer.u8(0),
            Certainty::Tentative(regency) => {
                writer.u8(1);
                writer.u64(regency.0);
            }
        }
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
        let certainty = match reader.u8()? {
            0 => Certainty::Decided,
            1 => Certainty::Tentative(Regency(reader.u64()?)),
            tag => return Err(CodecError::Tag(tag)),
        };
        let (previous_hash, data_hash) = (reader.array()?, reader.array()?);
        let (metadata_value, signature) = (bounded_bytes(reader)?, bounded_bytes(reader)?);
        let body = match reader.u8()? {
            0 => None,
            1 => Some(reader.bytes()?),
            tag => return Err(CodecError::Tag(tag)),
        };
        Ok(Self { channel, number, certainty, previous_hash, data_hash, metadata_value, signature, body })
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

pub(crate) fn encode_channel(writer: &mut Writer, channel: &ChannelId) {
    writer.bytes(channel.as_str().as_bytes());
}

/// A name that breaks Fabric's rule is no channel; its length is the only thing worth telling.
pub(crate) fn decode_channel(reader: &mut Reader) -> Result<ChannelId, CodecError> {
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

pub(crate) fn bounded(text: &str, bytes_max: usize) -> &str {
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
    pub(super) const READ: u8 = 6;
    pub(super) const UNSUBSCRIBE: u8 = 7;
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
pub(crate) const REASON_BYTES_MAX: usize = 1024;
const METADATA_BYTES_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests;
