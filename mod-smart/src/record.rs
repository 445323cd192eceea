//! What a replica must not forget: the records of its journal, and their bytes.

use bytes::Bytes;

use crate::certificate::{Proof, Vote, WriteCertificate};
use crate::codec::{CodecError, Reader, Writer};
use crate::id::Digest;
use crate::message::{Propose, decode_digests};
use crate::request::Request;
use crate::seal::Sealed;

/// One record of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A request whose body this replica has promised to hold.
    Body(Sealed<Request>),
    /// A proposal this replica made as leader. After a restart it makes no other for that instance and epoch.
    Proposed(Propose),
    /// A vote this replica casts. After a restart it casts no other of that kind for that instance and epoch.
    Voted(Vote),
    /// A WRITE certificate this replica has seen: a later regency must learn of it.
    Certified(WriteCertificate),
    /// A decision: its proof and the digests of its requests, whose bodies stand earlier in the journal.
    Decided(Decided),
}

/// The digests of a decided batch, with the proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Quorum of ACCEPTs.
    pub proof: Proof,
    /// The requests of the batch, in order.
    pub requests: Vec<Digest>,
}

impl Record {
    /// The bytes of this record.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::with_capacity(256);
        match self {
            Self::Body(request) => {
                writer = Writer::with_capacity(request.bytes().len() + 1);
                writer.u8(1);
                writer.raw(request.bytes());
            }
            Self::Proposed(propose) => {
                writer.u8(2);
                propose.encode(&mut writer);
            }
            Self::Voted(vote) => {
                writer.u8(3);
                vote.encode(&mut writer);
            }
            Self::Certified(certificate) => {
                writer.u8(4);
                certificate.encode(&mut writer);
            }
            Self::Decided(decided) => {
                writer.u8(5);
                decided.proof.encode(&mut writer);
                writer.count(decided.requests.len());
                for digest in &decided.requests {
                    writer.raw(&digest.0);
                }
            }
        }
        writer.finish()
    }

    /// Reads a record back.
    ///
    /// # Errors
    /// The bytes are not a record.
    pub fn decode(bytes: Bytes) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes.clone());
        let record = match reader.u8()? {
            1 => return Ok(Self::Body(Sealed::<Request>::trusted(bytes.slice(1..))?)),
            2 => Self::Proposed(Propose::decode(&mut reader)?),
            3 => Self::Voted(Vote::decode(&mut reader)?),
            4 => Self::Certified(WriteCertificate::decode(&mut reader)?),
            5 => {
                let proof = Proof::decode(&mut reader)?;
                Self::Decided(Decided { proof, requests: decode_digests(&mut reader)? })
            }
            tag => return Err(CodecError::Tag(tag)),
        };
        reader.finish()?;
        Ok(record)
    }
}
