//! How a node reads the blocks it lacks from another one, and the bytes of it.
//!
//! A reader comes through the door of frontend sessions and begins with [`ToNode::Read`](crate::frame::ToNode::Read)
//! where a frontend says Hello. It is welcomed or refused, and then asks; every ask is answered before the next is read,
//! so that nothing waits anywhere but one block and what the sockets hold. Nothing is signed here: links are believed
//! because they hash to a header that the reader knows already, blocks because they belong to such a header.

use bytes::Bytes;
use fabric_proto::ChannelId;
use mod_smart::codec::{CodecError, Reader, Writer};

use crate::frame::{REASON_BYTES_MAX, bounded, decode_channel, encode_channel};
use crate::framing::{Frame, encode_frame};
use crate::ledger::Link;

/// From a reader to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// "What do the headers say from block `last` downwards?" Answered by [`Told::Links`].
    Links {
        /// Which channel.
        channel: ChannelId,
        /// The highest block of them.
        last: u64,
        /// How many, [`LINKS_MAX`] at most.
        count: u16,
    },
    /// "Give me these blocks." Answered by some [`Told::Block`] in order, and [`Told::End`].
    Blocks {
        /// Which channel.
        channel: ChannelId,
        /// The first.
        from: u64,
        /// How many, [`BLOCKS_MAX`] at most.
        count: u16,
    },
}

/// From a node to a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The reader may ask.
    Welcome,
    /// It may not, and why.
    Refused(String),
    /// Downwards from the one that was asked for; fewer when the node has no more, or does not say more at a time.
    Links(Vec<Link>),
    /// A block.
    Block(GivenBlock),
    /// Nothing more comes; the block with this number would have been next.
    End(u64),
}

/// A block with what signatures the node has under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenBlock {
    /// Its number.
    pub number: u64,
    /// The content of its slot SIGNATURES: a certificate, or the node's own signature alone.
    pub signatures: Bytes,
    /// The encoded `common.BlockData`.
    pub body: Bytes,
}

impl Ask {
    /// The frame of this message.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let (kind, channel, number, count) = match self {
            Self::Links { channel, last, count } => (kind::ASK_LINKS, channel, last, count),
            Self::Blocks { channel, from, count } => (kind::ASK_BLOCKS, channel, from, count),
        };
        let mut writer = Writer::default();
        encode_channel(&mut writer, channel);
        writer.u64(*number);
        writer.u16(*count);
        encode_frame(kind, &[&writer.finish()])
    }

    /// Reads a message out of a frame.
    ///
    /// # Errors
    /// The frame holds none.
    pub fn decode(frame: Frame) -> Result<Self, CodecError> {
        let mut reader = Reader::new(frame.payload);
        let (channel, number, count) = (decode_channel(&mut reader)?, reader.u64()?, reader.u16()?);
        reader.finish()?;
        match frame.kind {
            kind::ASK_LINKS => Ok(Self::Links { channel, last: number, count }),
            kind::ASK_BLOCKS => Ok(Self::Blocks { channel, from: number, count }),
            kind => Err(CodecError::Tag(kind)),
        }
    }
}

impl Told {
    /// The frame of this message.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::default();
        let kind = match self {
            Self::Block(block) => return block.encode(),
            Self::Welcome => kind::WELCOME,
            Self::Refused(reason) => {
                writer.bytes(bounded(reason, REASON_BYTES_MAX).as_bytes());
                kind::REFUSED
            }
            Self::Links(links) => {
                writer.count(links.len());
                for link in links {
                    writer.raw(&link.previous_hash);
                    writer.raw(&link.data_hash);
                }
                kind::LINKS
            }
            Self::End(next) => {
                writer.u64(*next);
                kind::END
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
            kind::WELCOME => Self::Welcome,
            kind::REFUSED => {
                let reason = reader.bytes()?;
                if reason.len() > REASON_BYTES_MAX {
                    return Err(CodecError::Count(reason.len() as u64));
                }
                // It goes to a log: nothing in it may break a line or pretend to be another.
                Self::Refused(String::from_utf8_lossy(&reason).replace(char::is_control, " "))
            }
            kind::LINKS => Self::Links(reader.list(LINKS_MAX, LINK_BYTES, |reader| {
                Ok(Link { previous_hash: reader.array()?, data_hash: reader.array()? })
            })?),
            kind::BLOCK => Self::Block(GivenBlock::decode(&mut reader)?),
            kind::END => Self::End(reader.u64()?),
            kind => return Err(CodecError::Tag(kind)),
        };
        reader.finish()?;
        Ok(message)
    }
}

impl GivenBlock {
    /// The body is written last, so that it is copied once and into its place.
    fn encode(&self) -> Bytes {
        let mut writer = Writer::with_capacity(64 + self.signatures.len());
        writer.u64(self.number);
        writer.bytes(&self.signatures);
        writer.count(self.body.len());
        encode_frame(kind::BLOCK, &[&writer.finish(), &self.body])
    }

    fn decode(reader: &mut Reader) -> Result<Self, CodecError> {
        let (number, signatures) = (reader.u64()?, reader.bytes()?);
        if signatures.len() > SIGNATURES_BYTES_MAX {
            return Err(CodecError::Count(signatures.len() as u64));
        }
        Ok(Self { number, signatures, body: reader.bytes()? })
    }
}

/// Kinds of frames, none of them a kind of the frontends' sessions.
mod kind {
    pub(super) const ASK_LINKS: u8 = 33;
    pub(super) const ASK_BLOCKS: u8 = 34;
    pub(super) const WELCOME: u8 = 97;
    pub(super) const REFUSED: u8 = 98;
    pub(super) const LINKS: u8 = 99;
    pub(super) const BLOCK: u8 = 100;
    pub(super) const END: u8 = 101;
}

/// Most links in one answer: 32 KiB of them.
pub const LINKS_MAX: usize = 512;

/// Most blocks in one answer.
pub const BLOCKS_MAX: usize = 64;

/// Most bytes of blocks in one answer, unless a single one is larger.
pub const ANSWER_BYTES_MAX: usize = 8 << 20;

const LINK_BYTES: usize = 64;
/// A few hundred signatures with their signers' certificates.
const SIGNATURES_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(bytes: &Bytes) -> Frame {
        Frame { kind: bytes[4], payload: bytes.slice(5..) }
    }

    #[test]
    fn every_message_survives_its_bytes_and_is_consumed_whole() {
        let channel: ChannelId = "ch1".parse().unwrap();
        let asks = [
            Ask::Links { channel: channel.clone(), last: u64::MAX, count: 512 },
            Ask::Blocks { channel, from: 7, count: 64 },
        ];
        for ask in asks {
            assert_eq!(Ask::decode(frame(&ask.encode())).unwrap(), ask);
            assert!(Told::decode(frame(&ask.encode())).is_err(), "the directions do not share kinds");
            let longer = [&ask.encode()[..], b"x"].concat();
            assert!(Ask::decode(frame(&longer.into())).is_err());
        }
        let link = Link { previous_hash: [1; 32], data_hash: [2; 32] };
        let given =
            GivenBlock { number: 9, signatures: Bytes::from_static(b"slot"), body: Bytes::from_static(b"data") };
        let told = [
            Told::Welcome,
            Told::Refused("no".to_owned()),
            Told::Links(vec![link; 3]),
            Told::Links(vec![]),
            Told::Block(given),
            Told::End(10),
        ];
        for told in told {
            assert_eq!(Told::decode(frame(&told.encode())).unwrap(), told);
            let longer = [&told.encode()[..], b"x"].concat();
            assert!(Told::decode(frame(&longer.into())).is_err(), "{told:?}");
        }
    }

    #[test]
    fn too_much_is_refused_before_it_costs_memory() {
        let link = Link { previous_hash: [1; 32], data_hash: [2; 32] };
        assert!(Told::decode(frame(&Told::Links(vec![link; LINKS_MAX + 1]).encode())).is_err());
        let signatures = Bytes::from(vec![0; SIGNATURES_BYTES_MAX + 1]);
        let given = GivenBlock { number: 9, signatures, body: Bytes::new() };
        assert!(Told::decode(frame(&Told::Block(given).encode())).is_err());
    }

    #[test]
    fn a_refusal_cannot_write_lines_of_its_own_into_our_log() {
        let told = Told::decode(frame(&Told::Refused("a\nERROR b\u{1b}[31m".to_owned()).encode())).unwrap();
        assert_eq!(told, Told::Refused("a ERROR b [31m".to_owned()));
    }

    proptest! {
        #[test]
        fn any_payload_decodes_or_is_refused(kind in any::<u8>(), payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Ask::decode(Frame { kind, payload: payload.clone().into() });
            let _ = Told::decode(Frame { kind, payload: payload.into() });
        }
    }
}
