//! The payload of a frame: a record, and for a decision the positions of its bodies.
//!
//! ```text
//! count u32 | count x (segment u32, offset u32, length u32) | mod_smart::Record
//! ```
//!
//! A decision has one position for each of its digests, in their order; every other record has none. A position of all
//! ones says that the writer had forgotten it.

use bytes::Bytes;
use mod_smart::codec::{CodecError, Reader};
use mod_smart::limits::BATCH_REQUESTS_MAX;
use mod_smart::{InstanceId, Record};

use crate::journal::frame::Position;

/// A record as it stands in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) record: Record,
    /// For a decision: where the body of each of its requests stands, if that was known.
    pub(crate) bodies: Vec<Option<Position>>,
}

impl Entry {
    /// Reads a payload.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn decode(payload: Bytes) -> Result<Self, CodecError> {
        let mut reader = Reader::new(payload.clone());
        let bodies = reader.list(BATCH_REQUESTS_MAX, POSITION_BYTES, position)?;
        let record = Record::decode(payload.slice(4 + bodies.len() * POSITION_BYTES..))?;
        let expected = if let Record::Decided(decided) = &record { decided.requests.len() } else { 0 };
        if bodies.len() != expected {
            return Err(CodecError::Count(bodies.len() as u64));
        }
        Ok(Self { record, bodies })
    }
}

/// Bytes of the payload of a record with so many positions.
pub(crate) fn size(positions: usize, record: &[u8]) -> usize {
    4 + positions * POSITION_BYTES + record.len()
}

/// Appends the payload of an encoded record.
pub(crate) fn push(buffer: &mut Vec<u8>, bodies: &[Option<Position>], record: &[u8]) {
    buffer.extend_from_slice(&(bodies.len() as u32).to_be_bytes());
    for body in bodies {
        let Position { segment, offset, length } = body.unwrap_or(FORGOTTEN);
        buffer.extend_from_slice([segment, offset, length].map(u32::to_be_bytes).as_flattened());
    }
    buffer.extend_from_slice(record);
}

/// The instance that a record is a step of. Bodies, and what is said about regencies and checkpoints, are steps of none.
pub(crate) fn instance(record: &Record) -> Option<InstanceId> {
    match record {
        Record::Proposed(propose) => Some(propose.instance),
        Record::Voted(vote) => Some(vote.instance),
        Record::Certified(certificate) => Some(certificate.instance()),
        Record::Decided(decided) => Some(decided.proof.instance()),
        _ => None,
    }
}

fn position(reader: &mut Reader) -> Result<Option<Position>, CodecError> {
    let position = Position { segment: reader.u32()?, offset: reader.u32()?, length: reader.u32()? };
    Ok((position != FORGOTTEN).then_some(position))
}

const POSITION_BYTES: usize = 12;

const FORGOTTEN: Position = Position { segment: u32::MAX, offset: u32::MAX, length: u32::MAX };
