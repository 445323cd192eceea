//! A block as the ledger hands it out: decoded headers beside the bytes, and every form in which it is sent.
//!
//! The data of a block is never re-encoded. An encoded block is `header ++ data ++ metadata`, each field at most once
//! and in this order, as every Fabric tool and our own nodes write it; certifying replaces the metadata behind a
//! prefix that stays byte for byte what it was (contract §3.2: metadata is not part of the header hash).

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use fabric_proto::block::SLOT_COUNT;
use fabric_proto::common::{BlockData, BlockHeader, BlockMetadata, Metadata};
use prost::Message;
use prost::encoding::{decode_varint, encode_varint, encoded_len_varint};

use super::response::block_message;

/// A block of a ledger. Nothing of it is copied before somebody wants it in one piece; then every stream shares that.
#[derive(Debug)]
pub struct StoredBlock {
    /// Its number, as in the header.
    pub number: u64,
    /// The header; its bytes are slices of the encoded block.
    pub header: BlockHeader,
    /// True if the block holds exactly one CONFIG envelope.
    pub config: bool,
    /// True once slot 0 carries a set of signatures that the channel's policy accepts. Block 0 is certified by
    /// definition.
    pub certified: bool,
    /// The fields header and data.
    front: Bytes,
    /// The field metadata.
    back: Bytes,
    parts: Parts,
    message: OnceLock<Bytes>,
    header_message: OnceLock<Bytes>,
}

impl StoredBlock {
    /// Reads a block that has no certificate. Block 0 needs none.
    pub(super) fn decode(encoded: &Bytes) -> Result<Arc<Self>, MalformedBlock> {
        let parts = Parts::find(encoded)?;
        let (front, back) = (encoded.slice(..parts.data_field_end), encoded.slice(parts.data_field_end..));
        Self::assemble(front, back, parts, false)
    }

    /// This block with `slot0` as the content of its slot SIGNATURES.
    pub(super) fn certify(&self, slot0: &Bytes) -> Result<Arc<Self>, MalformedBlock> {
        let back = replace_slot0(&self.metadata(), slot0)?.freeze();
        let metadata = content(&back, 0, METADATA_KEY)?;
        let parts = Parts { metadata, ..self.parts.clone() };
        Self::assemble(self.front.clone(), back, parts, true)
    }

    /// Reads a block that is to be stored: it must be one that can be certified later.
    pub(super) fn decode_new(encoded: &Bytes) -> Result<Arc<Self>, MalformedBlock> {
        let block = Self::decode(encoded)?;
        BlockMetadata::decode(block.metadata()).map_err(MalformedBlock::Metadata)?;
        Ok(block)
    }

    fn assemble(front: Bytes, back: Bytes, parts: Parts, certified: bool) -> Result<Arc<Self>, MalformedBlock> {
        let header = BlockHeader::decode(front.slice(parts.header.clone()))?;
        let data = BlockData::decode(front.slice(parts.data.clone()))?;
        Ok(Arc::new(Self {
            number: header.number,
            certified: certified || header.number == 0,
            header,
            config: fabric_proto::block::is_config(&data.data),
            front,
            back,
            parts,
            message: OnceLock::new(),
            header_message: OnceLock::new(),
        }))
    }

    /// Bytes of the encoded block.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.front.len() + self.back.len()
    }

    /// The whole `common.Block`, with the best set of signatures that is known.
    #[must_use]
    pub fn encoded(&self) -> Bytes {
        let message = self.message();
        // The block is the end of its message.
        message.slice(message.len() - self.encoded_len()..)
    }

    /// The encoded `BlockData` alone.
    #[must_use]
    pub fn data(&self) -> Bytes {
        self.front.slice(self.parts.data.clone())
    }

    /// The encoded `BlockMetadata` alone.
    #[must_use]
    pub fn metadata(&self) -> Bytes {
        self.back.slice(self.parts.metadata.clone())
    }

    /// The encoded block without its data: header and metadata (contract §1.4, HEADER_WITH_SIG).
    #[must_use]
    pub fn header_only(&self) -> Bytes {
        let message = self.header_message();
        // The block is the end of its message.
        message.slice(message.len() - (self.parts.header_field_end + self.back.len())..)
    }

    /// The gRPC message that carries the whole block; made once, so every call gives the same buffer.
    #[must_use]
    pub fn message(&self) -> Bytes {
        self.message.get_or_init(|| block_message(&[&self.front, &self.back])).clone()
    }

    /// The gRPC message that carries [`StoredBlock::header_only`]; made once.
    #[must_use]
    pub fn header_message(&self) -> Bytes {
        let make = || block_message(&[&self.front[..self.parts.header_field_end], &self.back]);
        self.header_message.get_or_init(make).clone()
    }
}

/// Why bytes cannot be stored as a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedBlock {
    /// The fields header, data, metadata do not follow each other, each once; metadata may be absent.
    #[error("the fields of the block are not header, data, metadata in this order")]
    Fields,
    /// One of them does not parse.
    #[error("block does not parse: {0}")]
    Decode(#[from] prost::DecodeError),
    /// The metadata does not parse: no peer would take the block, and no certificate could enter it.
    #[error("the metadata of the block does not parse: {0}")]
    Metadata(#[source] prost::DecodeError),
}

/// Header and hash of an encoded block, without a look at its data.
pub(super) fn decode_header(encoded: &Bytes) -> Result<BlockHeader, MalformedBlock> {
    let parts = Parts::find(encoded)?;
    Ok(BlockHeader::decode(encoded.slice(parts.header))?)
}

/// The header of a block of which only the first bytes are given.
pub(super) fn decode_leading_header(start: &Bytes) -> Result<BlockHeader, MalformedBlock> {
    Ok(BlockHeader::decode(start.slice(content(start, 0, HEADER_KEY)?))?)
}

/// Where the parts of an encoded block are; ranges cover the content of a field without its key and length.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Parts {
    header: Range<usize>,
    header_field_end: usize,
    data: Range<usize>,
    /// Where the front ends and the back begins.
    data_field_end: usize,
    /// In the back.
    metadata: Range<usize>,
}

impl Parts {
    fn find(encoded: &[u8]) -> Result<Self, MalformedBlock> {
        let header = content(encoded, 0, HEADER_KEY)?;
        let data = content(encoded, header.end, DATA_KEY)?;
        let back = &encoded[data.end..];
        let metadata = if back.is_empty() { 0..0 } else { content(back, 0, METADATA_KEY)? };
        if metadata.end != back.len() {
            return Err(MalformedBlock::Fields);
        }
        Ok(Self { header_field_end: header.end, header, data_field_end: data.end, data, metadata })
    }
}

/// The content of the field with this key that begins at `start`.
fn content(encoded: &[u8], start: usize, key: u8) -> Result<Range<usize>, MalformedBlock> {
    let mut rest = &encoded[start..];
    if rest.first() != Some(&key) {
        return Err(MalformedBlock::Fields);
    }
    rest.advance(1);
    let len = usize::try_from(decode_varint(&mut rest)?).map_err(|_| MalformedBlock::Fields)?;
    let begin = encoded.len() - rest.len();
    if len > rest.len() {
        return Err(MalformedBlock::Fields);
    }
    Ok(begin..begin + len)
}

/// The whole metadata field with another slot 0. Slots that are missing are added empty: peers want all five.
fn replace_slot0(metadata: &[u8], slot0: &Bytes) -> Result<BytesMut, MalformedBlock> {
    Metadata::decode(slot0.clone())?;
    let mut slots = BlockMetadata::decode(metadata).map_err(MalformedBlock::Metadata)?.metadata;
    if slots.len() < SLOT_COUNT {
        slots.resize(SLOT_COUNT, Bytes::new());
    }
    slots[0] = slot0.clone();
    let content = BlockMetadata { metadata: slots };
    let len = content.encoded_len();
    let mut out = BytesMut::with_capacity(1 + encoded_len_varint(len as u64) + len);
    out.put_u8(METADATA_KEY);
    encode_varint(len as u64, &mut out);
    content.encode_raw(&mut out);
    Ok(out)
}

/// The header's field at the start of a block: a number and two hashes of 32 bytes, with their keys and lengths.
pub(super) const HEADER_FIELD_BYTES_MAX: usize = 128;

/// Field 1, length-delimited.
const HEADER_KEY: u8 = 0x0a;
/// Field 2, length-delimited.
const DATA_KEY: u8 = 0x12;
/// Field 3, length-delimited.
const METADATA_KEY: u8 = 0x1a;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fabric_proto::common::Block;
    use fabric_proto::metadata::{block_metadata, signatures_slot};

    use super::*;

    fn block(number: u64) -> Block {
        Block {
            header: Some(BlockHeader { number, previous_hash: vec![1; 32].into(), data_hash: vec![2; 32].into() }),
            data: Some(BlockData { data: vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")] }),
            metadata: Some(block_metadata(3, Bytes::from_static(b"consenter"), Vec::new())),
        }
    }

    fn encode(block: &Block) -> Bytes {
        block.encode_to_vec().into()
    }

    #[test]
    fn parts_are_found_without_decoding() {
        let block = block(4);
        let encoded = encode(&block);
        let stored = StoredBlock::decode(&encoded).unwrap();
        assert_eq!((stored.number, stored.certified, stored.config), (4, false, false));
        assert_eq!(stored.encoded(), encoded);
        assert_eq!(stored.data(), block.data.as_ref().unwrap().encode_to_vec());
        assert_eq!(stored.metadata(), block.metadata.as_ref().unwrap().encode_to_vec());
        assert_eq!(Some(&stored.header), block.header.as_ref());
        let without_data = Block { data: None, ..block };
        assert_eq!(stored.header_only(), without_data.encode_to_vec());
    }

    #[test]
    fn certifying_changes_slot_0_and_nothing_else() {
        let mut block = block(4);
        let slot0 = signatures_slot(Bytes::from_static(&[0x0a, 0]), vec![Default::default()]);
        let stored = StoredBlock::decode(&encode(&block)).unwrap().certify(&slot0).unwrap();
        assert!(stored.certified);
        block.metadata.as_mut().unwrap().metadata[0] = slot0;
        assert_eq!(stored.encoded(), encode(&block));
        assert_eq!(stored.header_only(), Block { data: None, ..block }.encode_to_vec());
    }

    #[test]
    fn missing_slots_are_added() {
        let slot0 = signatures_slot(Bytes::from_static(b"value"), Vec::new());
        for metadata in
            [None, Some(BlockMetadata { metadata: vec![] }), Some(BlockMetadata { metadata: vec![slot0.clone()] })]
        {
            let stored =
                StoredBlock::decode(&encode(&Block { metadata, ..block(1) })).unwrap().certify(&slot0).unwrap();
            let slots = Block::decode(stored.encoded()).unwrap().metadata.unwrap().metadata;
            assert_eq!(slots, [slot0.clone(), Bytes::new(), Bytes::new(), Bytes::new(), Bytes::new()]);
        }
    }

    #[test]
    fn all_streams_share_one_buffer() {
        let stored = StoredBlock::decode(&encode(&block(2))).unwrap();
        assert_eq!(stored.message().as_ptr(), stored.message().as_ptr());
        assert_eq!(stored.header_message().as_ptr(), stored.header_message().as_ptr());
        let message = stored.message();
        assert_eq!(message[message.len() - stored.encoded_len()..].as_ptr(), stored.encoded().as_ptr());
    }

    #[test]
    fn other_layouts_are_refused() {
        let whole = encode(&block(1));
        let parts = Parts::find(&whole).unwrap();
        let header = &whole[..parts.header_field_end];
        let data = &whole[parts.header_field_end..parts.data_field_end];
        let metadata = &whole[parts.data_field_end..];
        for layout in [
            vec![],
            vec![header],
            vec![data, header, metadata],
            vec![header, metadata, data],
            vec![header, data, metadata, metadata],
            vec![header, data, metadata, &[0x22, 0]],
            vec![header, &[0x12, 0x7f]],
        ] {
            let encoded = Bytes::from(layout.concat());
            assert_eq!(StoredBlock::decode(&encoded).unwrap_err(), MalformedBlock::Fields, "{layout:?}");
        }
        let no_metadata = Bytes::from([header, data].concat());
        assert_eq!(StoredBlock::decode(&no_metadata).unwrap().metadata(), Bytes::new());
    }

    #[test]
    fn a_block_whose_metadata_does_not_parse_is_not_stored() {
        let metadata = Some(block_metadata(3, Bytes::new(), Vec::new()));
        let whole = encode(&Block { metadata, ..block(1) });
        let parts = Parts::find(&whole).unwrap();
        let without = Bytes::copy_from_slice(&whole[..parts.data_field_end]);
        assert!(StoredBlock::decode_new(&whole).is_ok());
        assert!(StoredBlock::decode_new(&without).is_ok(), "no metadata at all is none that is wrong");
        // Slots of which the first is longer than what is left.
        let with_garbage = Bytes::from([&without[..], &[METADATA_KEY, 2, 0x0a, 0x7f]].concat());
        let error = StoredBlock::decode_new(&with_garbage).unwrap_err();
        assert!(error.to_string().starts_with("the metadata of the block does not parse"), "{error}");
    }

    #[test]
    fn a_slot_that_is_no_metadata_is_refused() {
        let result = StoredBlock::decode(&encode(&block(1))).unwrap().certify(&Bytes::from_static(b"\xff"));
        assert!(matches!(result, Err(MalformedBlock::Decode(_))));
    }
}
