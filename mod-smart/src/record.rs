//! What a replica must not forget: the records of its journal, and their bytes.

use bytes::Bytes;

use crate::certificate::{Proof, Vote, WriteCertificate};
use crate::checkpoint::{CheckpointVote, StableCheckpoint};
use crate::codec::{CodecError, Reader, Writer};
use crate::id::{Digest, InstanceId, Regency};
use crate::message::{Propose, decode_digests};
use crate::request::Request;
use crate::seal::Sealed;
use crate::synchronization::Sync;

/// One record of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A request whose body this replica has promised to hold.
    Body(Sealed<Request>),
    /// A proposal this replica made as leader, or wrote for. After a restart it makes, or writes for, no other in that
    /// instance and epoch, and can tell others what the batch was.
    Proposed(Propose),
    /// A vote this replica casts. After a restart it casts no other of that kind for that instance and epoch.
    Voted(Vote),
    /// A WRITE certificate this replica has seen: a later regency must learn of it.
    Certified(WriteCertificate),
    /// A decision: its proof and the digests of its requests, whose bodies stand earlier in the journal.
    Decided(Decided),
    /// The highest regency this replica asked the others to enter.
    Stopped(Regency),
    /// The regency this replica entered, before it has seen its SYNC. Nothing of an earlier one is voted for any more.
    Entered(Regency),
    /// The SYNC with which a regency began here.
    Synced(Sync),
    /// The state this replica had after an instance, as it told the others.
    Checkpointed(CheckpointVote),
    /// A checkpoint that a quorum has.
    Stable(StableCheckpoint),
    /// A checkpoint was asked for here: whatever recovery from it needs stands after the mark before this one.
    Mark(InstanceId),
    /// The disk was lost before this record: nothing may be said before what is known then.
    Silent(Silence),
    /// What was said before the disk was lost can do no harm any more: this replica speaks again.
    Readmitted,
}

/// What a replica whose disk was lost knows about when it may speak again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// The number of its question to the others.
    pub nonce: u64,
    /// What their answers come to, once a quorum answered.
    pub until: Option<Until>,
}

/// A point beyond anything a replica can have signed before it lost its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Until {
    /// It must have delivered this instance, and hold a stable checkpoint of it or a later one.
    pub delivered: InstanceId,
    /// It must be in a regency above this one.
    pub regency: Regency,
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
            Self::Stopped(regency) => {
                writer.u8(6);
                writer.u64(regency.0);
            }
            Self::Entered(regency) => {
                writer.u8(7);
                writer.u64(regency.0);
            }
            Self::Synced(sync) => {
                writer.u8(8);
                sync.encode(&mut writer);
            }
            Self::Checkpointed(vote) => {
                writer.u8(9);
                vote.encode(&mut writer);
            }
            Self::Stable(checkpoint) => {
                writer.u8(10);
                checkpoint.encode(&mut writer);
            }
            Self::Mark(instance) => {
                writer.u8(11);
                writer.u64(instance.0);
            }
            Self::Silent(silence) => {
                writer.u8(12);
                silence.encode(&mut writer);
            }
            Self::Readmitted => writer.u8(13),
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
            6 => Self::Stopped(reader.regency()?),
            7 => Self::Entered(reader.regency()?),
            8 => Self::Synced(Sync::decode(&mut reader)?),
            9 => Self::Checkpointed(CheckpointVote::decode(&mut reader)?),
            10 => Self::Stable(StableCheckpoint::decode(&mut reader)?),
            11 => Self::Mark(reader.instance()?),
            12 => Self::Silent(Silence::decode(&mut reader)?),
            13 => Self::Readmitted,
            tag => return Err(CodecError::Tag(tag)),
        };
        reader.finish()?;
        Ok(record)
    }
}

impl Silence {
    fn encode(&self, writer: &mut Writer) {
        writer.u64(self.nonce);
        writer.u8(u8::from(self.until.is_some()));
        if let Some(until) = self.until {
            writer.u64(until.delivered.0);
            writer.u64(until.regency.0);
        }
    }

    fn decode(reader: &mut Reader) -> Result<Self, CodecError> {
        let nonce = reader.u64()?;
        let until = if reader.bool()? {
            Some(Until { delivered: reader.instance()?, regency: reader.regency()? })
        } else {
            None
        };
        Ok(Self { nonce, until })
    }
}
