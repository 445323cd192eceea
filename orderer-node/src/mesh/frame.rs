//! Frames of `ordering-mesh/1` and their bytes.
//!
//! A Hello begins with the version, and that much stays true in every version, so that an incompatible one can be
//! refused by name.

use bytes::{Buf as _, Bytes};
use frontend_shim::framing::{Frame, encode_frame};
use frontend_shim::group_terms::GroupTerms;
use frontend_shim::keys::Credential;
use mod_smart::codec::{CodecError, Reader, Writer};
use mod_smart::{GroupId, ReplicaId};

use crate::keys::VoteBinding;

/// The version of the protocol that this crate speaks.
pub const MESH_VERSION: u16 = 1;

/// What comes over a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MeshFrame {
    /// Who is there; the first frame of either side.
    Hello(Hello),
    /// "I do not take this link": the acceptor's version, and why.
    Refused(Refusal),
    /// A message of the core. Dialer to acceptor, like the next three.
    Consensus {
        /// Whose core it is for.
        group: GroupId,
        /// The message, encoded.
        message: Bytes,
    },
    /// A frontend that the sender serves.
    Introduce {
        /// The group it is to serve.
        group: GroupId,
        /// Who it is.
        credential: Credential,
    },
    /// A vote key that the sender believes in; not its own, that is in the Hello.
    Binding(VoteBinding),
    /// "Are you there?"
    Ping,
    /// "Yes." Acceptor to dialer.
    Pong,
}

/// The first frame of either side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The ordering group it means.
    pub group: GroupId,
    /// Who it is in that group.
    pub replica: ReplicaId,
    /// Its vote key.
    pub binding: VoteBinding,
    /// What it takes the group for.
    pub terms: GroupTerms,
}

/// Why a link is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The version of the acceptor.
    pub version: u16,
    /// The reason, fit for a log line.
    pub reason: String,
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeshFrameError {
    /// The sender speaks another version.
    #[error("it speaks version {0} of the mesh protocol, this node speaks {MESH_VERSION}")]
    Version(u16),
    /// A kind that names nothing.
    #[error("unknown kind of frame {0}")]
    Kind(u8),
    /// The payload does not follow the format.
    #[error("malformed frame: {0}")]
    Malformed(#[from] CodecError),
}

impl MeshFrame {
    /// The bytes of this frame, length included.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Hello(hello) => encoded(HELLO, |writer| {
                writer.u16(MESH_VERSION);
                writer.raw(&hello.group.0);
                writer.u16(hello.replica.0);
                hello.binding.encode(writer);
                hello.terms.encode(writer);
            }),
            Self::Refused(refusal) => encoded(REFUSED, |writer| {
                writer.u16(refusal.version);
                writer.bytes(refusal.reason.as_bytes());
            }),
            Self::Consensus { group, message } => consensus(*group, message),
            Self::Introduce { group, credential } => encoded(INTRODUCE, |writer| {
                writer.raw(&group.0);
                credential.encode(writer);
            }),
            Self::Binding(binding) => encoded(BINDING, |writer| binding.encode(writer)),
            Self::Ping => encode_frame(PING, &[]),
            Self::Pong => encode_frame(PONG, &[]),
        }
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// It is none of this version.
    pub fn decode(frame: Frame) -> Result<Self, MeshFrameError> {
        if frame.kind == CONSENSUS {
            return decode_consensus(frame.payload);
        }
        let mut reader = Reader::new(frame.payload);
        let decoded = match frame.kind {
            HELLO => Self::Hello(decode_hello(&mut reader)?),
            REFUSED => Self::Refused(decode_refusal(&mut reader)?),
            INTRODUCE => {
                let group = GroupId(reader.array()?);
                Self::Introduce { group, credential: Credential::decode(&mut reader)? }
            }
            BINDING => Self::Binding(VoteBinding::decode(&mut reader)?),
            PING => Self::Ping,
            PONG => Self::Pong,
            kind => return Err(MeshFrameError::Kind(kind)),
        };
        reader.finish()?;
        Ok(decoded)
    }
}

/// The frame of a message of the core.
pub(super) fn consensus(group: GroupId, message: &[u8]) -> Bytes {
    encode_frame(CONSENSUS, &[&group.0, message])
}

fn decode_consensus(mut payload: Bytes) -> Result<MeshFrame, MeshFrameError> {
    let mut group = GroupId([0; 32]);
    payload.try_copy_to_slice(&mut group.0).map_err(|_| CodecError::Truncated)?;
    Ok(MeshFrame::Consensus { group, message: payload })
}

fn decode_hello(reader: &mut Reader) -> Result<Hello, MeshFrameError> {
    let version = reader.u16()?;
    if version != MESH_VERSION {
        return Err(MeshFrameError::Version(version));
    }
    let group = GroupId(reader.array()?);
    let replica = ReplicaId(reader.u16()?);
    let binding = VoteBinding::decode(reader)?;
    Ok(Hello { group, replica, binding, terms: GroupTerms::decode(reader, group)? })
}

fn decode_refusal(reader: &mut Reader) -> Result<Refusal, MeshFrameError> {
    let version = reader.u16()?;
    let reason = reader.bytes()?;
    if reason.len() > REASON_BYTES_MAX {
        return Err(CodecError::Count(reason.len() as u64).into());
    }
    // It goes to a log: nothing in it may break a line or pretend to be another.
    let reason = String::from_utf8_lossy(&reason).replace(char::is_control, " ");
    Ok(Refusal { version, reason })
}

fn encoded(kind: u8, fields: impl FnOnce(&mut Writer)) -> Bytes {
    let mut writer = Writer::with_capacity(256);
    fields(&mut writer);
    encode_frame(kind, &[&writer.finish()])
}

const HELLO: u8 = 1;
const REFUSED: u8 = 2;
const CONSENSUS: u8 = 3;
const INTRODUCE: u8 = 4;
const BINDING: u8 = 5;
const PING: u8 = 6;
const PONG: u8 = 7;

const REASON_BYTES_MAX: usize = 1024;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use frontend_shim::framing::{FRAME_BYTES_MAX, FrameReader};
    use mod_smart::FrontendId;
    use proptest::prelude::*;

    use super::*;
    use crate::keys::VotePublicKey;

    const GROUP: GroupId = GroupId([7; 32]);

    fn binding() -> VoteBinding {
        let signature = Bytes::from_static(b"signature");
        VoteBinding { group: GROUP, replica: ReplicaId(3), vote_key: VotePublicKey([9; 32]), signature }
    }

    async fn read_back(bytes: &[u8]) -> Frame {
        FrameReader::new(bytes, FRAME_BYTES_MAX).read_frame().await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn every_frame_survives_its_bytes_and_is_consumed_whole() {
        let credential = Credential {
            frontend: FrontendId([1; 32]),
            certificate: Bytes::from_static(b"certificate"),
            signature: Bytes::from_static(b"signature"),
        };
        let frames = [
            MeshFrame::Hello(Hello {
                group: GROUP,
                replica: ReplicaId(3),
                binding: binding(),
                terms: GroupTerms::plain(GROUP),
            }),
            MeshFrame::Hello(Hello {
                group: GROUP,
                replica: ReplicaId(3),
                binding: binding(),
                terms: GroupTerms { members: GroupId([6; 32]), settings: toml::from_str("window = 4").unwrap() },
            }),
            MeshFrame::Refused(Refusal { version: 2, reason: "no".to_owned() }),
            MeshFrame::Consensus { group: GROUP, message: Bytes::from_static(b"message") },
            MeshFrame::Introduce { group: GROUP, credential },
            MeshFrame::Binding(binding()),
            MeshFrame::Ping,
            MeshFrame::Pong,
        ];
        for frame in frames {
            let mut bytes = read_back(&frame.encode()).await;
            assert_eq!(MeshFrame::decode(bytes.clone()).unwrap(), frame);
            if bytes.kind == CONSENSUS {
                continue;
            }
            bytes.payload = [&bytes.payload[..], b"x"].concat().into();
            assert!(MeshFrame::decode(bytes).is_err(), "{frame:?}");
        }
    }

    #[test]
    fn another_version_is_told_apart_whatever_follows() {
        let frame = Frame { kind: HELLO, payload: Bytes::from_static(&[0, 2, 0xff]) };
        assert_eq!(MeshFrame::decode(frame), Err(MeshFrameError::Version(2)));
        assert_eq!(MeshFrame::decode(Frame { kind: 99, payload: Bytes::new() }), Err(MeshFrameError::Kind(99)));
    }

    #[tokio::test]
    async fn a_refusal_cannot_write_lines_of_its_own_into_our_log() {
        let refusal = MeshFrame::Refused(Refusal { version: 1, reason: "a\nERROR b\u{1b}[31m".to_owned() });
        let MeshFrame::Refused(read) = MeshFrame::decode(read_back(&refusal.encode()).await).unwrap() else { panic!() };
        assert_eq!(read.reason, "a ERROR b [31m");
    }

    proptest! {
        #[test]
        fn any_payload_decodes_or_is_refused(kind in 0..9_u8, payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = MeshFrame::decode(Frame { kind, payload: payload.into() });
        }
    }
}
