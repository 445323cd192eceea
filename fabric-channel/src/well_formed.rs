//! Whether peers accept the data of a block: every entry has to come out of Go's decoder and encoder unchanged.
//!
//! This is the verifier's view, for blocks that exist already, wherever they come from. What may be *ordered* is
//! narrower and decided by [`fabric_proto::canonical`]: unknown fields at the end pass here because peers let them
//! pass, but are never put into a block. Contract §3.6, Appendix C 10.

use bytes::Bytes;
use fabric_proto::{block, canonical};
use thiserror::Error;

use crate::wire;

/// Why peers refuse the data of a block.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DataError {
    /// A block without entries.
    #[error("the block holds no envelopes")]
    Empty,
    /// One of the entries.
    #[error("envelope {index} {why}")]
    Entry {
        /// Position in the block, from zero.
        index: usize,
        /// What is wrong with it.
        why: EntryError,
    },
}

/// Why peers refuse one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EntryError {
    /// Not a protobuf message, or not one of this shape.
    #[error("does not parse")]
    Malformed,
    /// The payload is absent or empty.
    #[error("has no payload")]
    NoPayload,
    /// The signature is absent or empty.
    #[error("has no signature")]
    NoSignature,
    /// The encoder would write fewer bytes.
    #[error("has {0} trailing bytes")]
    TrailingBytes(usize),
    /// The encoder would write other bytes.
    #[error("is not in canonical form")]
    NotCanonical,
}

/// Checks all entries, unless there is exactly one and it is a CONFIG envelope.
pub(crate) fn check_entries(entries: &[Bytes]) -> Result<(), DataError> {
    if entries.is_empty() {
        return Err(DataError::Empty);
    }
    if block::is_config(entries) {
        return Ok(());
    }
    for (index, entry) in entries.iter().enumerate() {
        check_entry(entry).map_err(|why| DataError::Entry { index, why })?;
    }
    Ok(())
}

fn check_entry(entry: &[u8]) -> Result<(), EntryError> {
    let scanned = Scanned::read(entry).ok_or(EntryError::Malformed)?;
    if scanned.payload.is_empty() {
        return Err(EntryError::NoPayload);
    }
    if scanned.signature.is_empty() {
        return Err(EntryError::NoSignature);
    }
    let mut expected = canonical::encode(scanned.payload, scanned.signature).to_vec();
    expected.extend_from_slice(&scanned.unknown);
    if expected.len() < entry.len() {
        return Err(EntryError::TrailingBytes(entry.len() - expected.len()));
    }
    if expected != entry {
        return Err(EntryError::NotCanonical);
    }
    Ok(())
}

/// An envelope as Go's decoder keeps it: the last value of each known field, and all else among the unknown ones.
#[derive(Default)]
struct Scanned<'a> {
    payload: &'a [u8],
    signature: &'a [u8],
    unknown: Vec<u8>,
}

impl<'a> Scanned<'a> {
    fn read(input: &'a [u8]) -> Option<Self> {
        let mut scanned = Self::default();
        for field in wire::fields(input) {
            let field = field.ok()?;
            match (field.number, field.content()) {
                (PAYLOAD, Some(content)) => scanned.payload = content,
                (SIGNATURE, Some(content)) => scanned.signature = content,
                _ => field.keep(&mut scanned.unknown),
            }
        }
        Some(scanned)
    }
}

const PAYLOAD: u64 = 1;
const SIGNATURE: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_writes_back_unchanged_is_accepted() {
        for entry in [
            &b"\x0a\x01p\x12\x01s"[..],
            b"\x0a\x01p\x12\x01s\x18\x05",
            b"\x0a\x01p\x12\x01s\x1b\x08\x01\x1c",
            b"\x0a\x01p\x12\x01s\x08\x05",
        ] {
            assert_eq!(check_entry(entry), Ok(()), "{entry:02x?}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for (entry, error) in [
            (&b""[..], EntryError::NoPayload),
            (b"\x12\x01s", EntryError::NoPayload),
            (b"\x0a\x01p\x12\x00", EntryError::NoSignature),
            (b"\x12\x01s\x0a\x01p", EntryError::NotCanonical),
            (b"\x18\x05\x0a\x01p\x12\x01s", EntryError::NotCanonical),
            (b"\x0a\x81\x00p\x12\x01s", EntryError::TrailingBytes(1)),
            // The tag of a kept field is written anew.
            (b"\x0a\x01p\x12\x01s\x98\x00\x05", EntryError::TrailingBytes(1)),
            (b"\x0a\x01q\x0a\x01p\x12\x01s", EntryError::TrailingBytes(3)),
            (b"\x0a\x05p", EntryError::Malformed),
            (b"\x00\x01", EntryError::Malformed),
            (b"\x0a\x01p\x12\x01s\x1b\x08\x01", EntryError::Malformed),
            (b"\x0a\x01p\x12\x01s\x1c", EntryError::Malformed),
            (b"\x0a\x01p\x12\x01s\x1f", EntryError::Malformed),
            (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", EntryError::Malformed),
        ] {
            assert_eq!(check_entry(entry), Err(error), "{entry:02x?}");
        }
    }
}
