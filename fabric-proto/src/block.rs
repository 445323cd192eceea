//! Blocks: the bytes of a header, its hash, the hash of the data, and the form of the data.
//!
//! A header is hashed and signed as the DER of `SEQUENCE { INTEGER number, OCTET STRING
//! previous_hash, OCTET STRING data_hash }`, never as protobuf (contract §3.1). Data is hashed flat.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::canonical::{CanonicalError, check_canonical};
use crate::common::{self, BlockMetadataIndex};
use crate::der;
use crate::envelope::Envelope;

/// Position of a metadata entry in a block (contract §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// The signed value and its signatures.
    Signatures = 0,
    /// The last config block once more, unsigned, for old readers.
    LastConfig = 1,
    /// Filled by the peer.
    TransactionsFilter = 2,
    /// No longer used.
    Orderer = 3,
    /// Filled by the peer.
    CommitHash = 4,
}

/// Number of slots of every block: peers since v3 demand them all.
pub const SLOT_COUNT: usize = 5;

// Ours must be Fabric's positions, and the last of them must be the end.
const _: () = assert!(Slot::Signatures as i32 == BlockMetadataIndex::Signatures as i32);
const _: () = assert!(Slot::LastConfig as i32 == BlockMetadataIndex::LastConfig as i32);
const _: () = assert!(Slot::TransactionsFilter as i32 == BlockMetadataIndex::TransactionsFilter as i32);
const _: () = assert!(Slot::Orderer as i32 == BlockMetadataIndex::Orderer as i32);
const _: () = assert!(Slot::CommitHash as i32 == BlockMetadataIndex::CommitHash as i32);
const _: () = assert!(Slot::CommitHash as usize + 1 == SLOT_COUNT);

/// The DER of a block header. `previous_hash` is empty in block 0.
pub fn header_der(number: u64, previous_hash: &[u8], data_hash: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(HEADER_DER_BYTES_USUAL);
    der::push_unsigned(&mut content, &number.to_be_bytes());
    der::push(&mut content, der::OCTET_STRING, previous_hash);
    der::push(&mut content, der::OCTET_STRING, data_hash);
    let mut out = Vec::with_capacity(HEADER_DER_BYTES_USUAL);
    der::push(&mut out, der::SEQUENCE, &content);
    out
}

/// SHA-256 of [`header_der`]: what the next block's `previous_hash` must be.
pub fn header_hash(number: u64, previous_hash: &[u8], data_hash: &[u8]) -> [u8; 32] {
    Sha256::digest(header_der(number, previous_hash, data_hash)).into()
}

/// SHA-256 of the entries one after the other, without separators.
pub fn data_hash<E: AsRef<[u8]>>(entries: impl IntoIterator<Item = E>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for entry in entries {
        hash.update(entry.as_ref());
    }
    hash.finalize().into()
}

/// Checks the entries of a block of ours, so that every peer takes them (contract §3.6): at least one,
/// and each canonical, unless the block holds exactly one CONFIG envelope, whose form is not looked at.
///
/// Never passes what a peer refuses. Peers are laxer: they let unknown fields at the end of an
/// envelope pass, and any form of a lone CONFIG_UPDATE.
pub fn check_entries(entries: &[Bytes]) -> Result<(), EntriesError> {
    if entries.is_empty() {
        return Err(EntriesError::Empty);
    }
    if is_config(entries) {
        return Ok(());
    }
    for (index, entry) in entries.iter().enumerate() {
        check_canonical(entry).map_err(|source| EntriesError::Entry { index, source })?;
    }
    Ok(())
}

/// True if the entries are exactly one CONFIG envelope.
pub fn is_config(entries: &[Bytes]) -> bool {
    let [only] = entries else {
        return false;
    };
    Envelope::decode(only.clone()).is_ok_and(|envelope| envelope.is_config())
}

/// Why peers would refuse the data of a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntriesError {
    /// A block without entries.
    #[error("empty block")]
    Empty,
    /// One entry is not a canonical envelope.
    #[error("entry {index}: {source}")]
    Entry {
        /// Position in the block, from 0.
        index: usize,
        /// What is wrong with it.
        source: CanonicalError,
    },
}

impl common::BlockHeader {
    /// See [`header_der`].
    pub fn der(&self) -> Vec<u8> {
        header_der(self.number, &self.previous_hash, &self.data_hash)
    }

    /// See [`header_hash`].
    pub fn hash(&self) -> [u8; 32] {
        header_hash(self.number, &self.previous_hash, &self.data_hash)
    }
}

impl common::BlockData {
    /// See [`data_hash`].
    pub fn hash(&self) -> [u8; 32] {
        data_hash(&self.data)
    }
}

impl common::Block {
    /// The entries; none if the data is absent.
    pub fn entries(&self) -> &[Bytes] {
        self.data.as_ref().map_or(&[], |data| &data.data)
    }

    /// See [`is_config`].
    pub fn is_config(&self) -> bool {
        is_config(self.entries())
    }
}

/// A header with two SHA-256 hashes and the largest number: 2 + 11 + 34 + 34 bytes.
const HEADER_DER_BYTES_USUAL: usize = 81;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_der_covers_all_numbers() {
        let cases: [(u64, &[u8]); 5] = [
            (0, &[0x30, 7, 2, 1, 0, 4, 0, 4, 0]),
            (127, &[0x30, 7, 2, 1, 127, 4, 0, 4, 0]),
            (128, &[0x30, 8, 2, 2, 0, 128, 4, 0, 4, 0]),
            (1 << 63, &[0x30, 15, 2, 9, 0, 128, 0, 0, 0, 0, 0, 0, 0, 4, 0, 4, 0]),
            (u64::MAX, &[0x30, 15, 2, 9, 0, 255, 255, 255, 255, 255, 255, 255, 255, 4, 0, 4, 0]),
        ];
        for (number, expected) in cases {
            assert_eq!(header_der(number, &[], &[]), expected, "{number}");
        }
    }

    #[test]
    fn usual_header_der_fits_the_reserved_space() {
        assert_eq!(header_der(u64::MAX, &[1; 32], &[2; 32]).len(), HEADER_DER_BYTES_USUAL);
    }

    #[test]
    fn oversized_hashes_take_long_lengths() {
        let der = header_der(1, &[7; 200], &[]);
        assert_eq!(der[..8], [0x30, 0x81, 208, 2, 1, 1, 4, 0x81]);
        assert_eq!(der.len(), 211);
    }

    #[test]
    fn data_hash_has_no_separators() {
        assert_eq!(data_hash([&b"ab"[..], b"c"]), data_hash([b"abc"]));
        assert_eq!(data_hash([b""; 0]), <[u8; 32]>::from(Sha256::digest(b"")));
    }

    #[test]
    fn an_empty_block_is_refused() {
        assert_eq!(check_entries(&[]), Err(EntriesError::Empty));
        let malformed = Bytes::from_static(b"\xff");
        assert!(matches!(check_entries(&[malformed]), Err(EntriesError::Entry { index: 0, .. })));
    }
}
