//! Block metadata: the signed value, the signatures over it, and the five slots.
//!
//! Every signature of a block covers the same value bytes, so replicas must build them equally; the
//! set of signatures may differ between replicas because metadata is not part of the header hash
//! (contract §0.7, §3.2, §3.3). The value always contains `last_config`, even for index 0: Fabric
//! crashes on a value without it.

use bytes::Bytes;
use prost::{DecodeError, Message};

use crate::block::{SLOT_COUNT, Slot};
use crate::common;

/// The bytes that name the signer of a block signature and that the signature covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignerHeader {
    /// A marshalled `SignatureHeader`: identity and nonce. Every Fabric version understands it.
    Signature(Bytes),
    /// A marshalled `IdentifierHeader`: consenter id and nonce. Only for channels with V3_0.
    Identifier(Bytes),
}

impl SignerHeader {
    /// Names the signer by its marshalled `SerializedIdentity`.
    pub fn from_creator(creator: Bytes, nonce: Bytes) -> Self {
        Self::Signature(common::SignatureHeader { creator, nonce }.encode_to_vec().into())
    }

    /// Names the signer by its id in the channel's consenter mapping.
    pub fn from_identifier(identifier: u32, nonce: Bytes) -> Self {
        Self::Identifier(common::IdentifierHeader { identifier, nonce }.encode_to_vec().into())
    }

    /// The header of a signature as a v3 peer reads it on a channel with V3_0: the identifier counts
    /// only where there is no signature header. Without V3_0 only signature headers exist.
    pub fn of(signature: &common::MetadataSignature) -> Self {
        let has_only_identifier = signature.signature_header.is_empty() && !signature.identifier_header.is_empty();
        if has_only_identifier {
            return Self::Identifier(signature.identifier_header.clone());
        }
        Self::Signature(signature.signature_header.clone())
    }

    /// The marshalled header, as signed.
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Signature(bytes) | Self::Identifier(bytes) => bytes,
        }
    }

    /// Joins the header with the signature made over it.
    pub fn into_signature(self, signature: Bytes) -> common::MetadataSignature {
        match self {
            Self::Signature(signature_header) => {
                common::MetadataSignature { signature_header, signature, identifier_header: Bytes::new() }
            }
            Self::Identifier(identifier_header) => {
                common::MetadataSignature { signature_header: Bytes::new(), signature, identifier_header }
            }
        }
    }
}

/// What a block signature covers: value, signer header, DER of the block header, in this order.
///
/// `value` must be the original bytes from the block, `header_der` what
/// [`header_der`](crate::block::header_der) gives.
pub fn signature_preimage(value: &[u8], signer: &SignerHeader, header_der: &[u8]) -> Vec<u8> {
    [value, signer.bytes(), header_der].concat()
}

/// The signed value: a marshalled `OrdererBlockMetadata` in which `last_config` is present.
///
/// `last_config` is the number of the latest config block, which is the block's own number in a
/// config block. `consenter_metadata` is opaque to peers and must be equal on all replicas.
pub fn metadata_value(last_config: u64, consenter_metadata: Bytes) -> Bytes {
    let value = common::OrdererBlockMetadata {
        last_config: Some(common::LastConfig { index: last_config }),
        consenter_metadata,
    };
    value.encode_to_vec().into()
}

/// Consenter metadata of a block of ours: the instance whose decision completed it, in the field in which an orderer of
/// type BFT writes the number of its own decision (`latest_sequence` of SmartBFT's `ViewMetadata`), so that tools show it.
pub fn ordered_by(instance: u64) -> Bytes {
    let mut bytes = Vec::with_capacity(11);
    prost::encoding::uint64::encode(LATEST_SEQUENCE, &instance, &mut bytes);
    bytes.into()
}

const LATEST_SEQUENCE: u32 = 2;

/// The five slots of a block of ours.
///
/// Arguments as in [`metadata_value`]. Slot LAST_CONFIG is written in every block, as Fabric does;
/// for index 0 its encoding is empty. The remaining slots belong to peers and to the past.
pub fn block_metadata(
    last_config: u64,
    consenter_metadata: Bytes,
    signatures: Vec<common::MetadataSignature>,
) -> common::BlockMetadata {
    let value = metadata_value(last_config, consenter_metadata);
    let mut metadata = vec![Bytes::new(); SLOT_COUNT];
    metadata[Slot::Signatures as usize] = signatures_slot(value, signatures);
    metadata[Slot::LastConfig as usize] = last_config_slot(last_config);
    common::BlockMetadata { metadata }
}

/// The bytes of slot SIGNATURES. `value` must be the original value bytes if there are any.
pub fn signatures_slot(value: Bytes, signatures: Vec<common::MetadataSignature>) -> Bytes {
    common::Metadata { value, signatures }.encode_to_vec().into()
}

/// The value and the signatures of a block, not verified. An empty slot gives empty ones.
pub fn parse_signatures_slot(metadata: &common::BlockMetadata) -> Result<common::Metadata, MetadataError> {
    parse_slot(metadata, Slot::Signatures)
}

/// The number of the latest config block as seen from `block`.
///
/// Read from the signed value; only blocks of orderers before 1.4.1 have none, and for these the
/// slot LAST_CONFIG counts.
pub fn last_config_index(block: &common::Block) -> Result<u64, MetadataError> {
    let metadata = block.metadata.as_ref().ok_or(MetadataError::NoMetadata)?;
    let value = parse_signatures_slot(metadata)?.value;
    if value.is_empty() {
        let legacy = parse_slot(metadata, Slot::LastConfig)?.value;
        let last_config = common::LastConfig::decode(legacy).map_err(MetadataError::MalformedValue)?;
        return Ok(last_config.index);
    }
    let value = common::OrdererBlockMetadata::decode(value).map_err(MetadataError::MalformedValue)?;
    let last_config = value.last_config.ok_or(MetadataError::NoLastConfig)?;
    Ok(last_config.index)
}

/// Why the metadata of a block cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// The block has no metadata message.
    #[error("block has no metadata")]
    NoMetadata,
    /// The metadata has too few entries.
    #[error("block metadata has no slot {slot:?}")]
    NoSlot {
        /// The one that was asked for.
        slot: Slot,
    },
    /// The entry is not a `Metadata` message.
    #[error("block metadata slot {slot:?} is malformed: {source}")]
    MalformedSlot {
        /// The one that was asked for.
        slot: Slot,
        /// What the decoder said.
        source: DecodeError,
    },
    /// The value inside the slot does not parse.
    #[error("value in block metadata is malformed: {0}")]
    MalformedValue(#[source] DecodeError),
    /// The signed value lacks `last_config`.
    #[error("signed metadata value has no last config")]
    NoLastConfig,
}

fn last_config_slot(index: u64) -> Bytes {
    let value = common::LastConfig { index }.encode_to_vec().into();
    signatures_slot(value, Vec::new())
}

fn parse_slot(metadata: &common::BlockMetadata, slot: Slot) -> Result<common::Metadata, MetadataError> {
    let entry = metadata.metadata.get(slot as usize).ok_or(MetadataError::NoSlot { slot })?;
    common::Metadata::decode(entry.clone()).map_err(|source| MetadataError::MalformedSlot { slot, source })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn block_with(metadata: Vec<Bytes>) -> common::Block {
        common::Block { metadata: Some(common::BlockMetadata { metadata }), ..Default::default() }
    }

    #[test]
    fn last_config_is_present_even_for_index_0() {
        assert_eq!(&metadata_value(0, Bytes::new())[..], [0x0a, 0]);
        assert_eq!(&metadata_value(13, Bytes::new())[..], [0x0a, 2, 8, 13]);
        assert_eq!(&metadata_value(0, Bytes::from_static(b"x"))[..], [0x0a, 0, 0x12, 1, b'x']);
    }

    #[test]
    fn slots_are_those_of_fabric() {
        let genesis = block_metadata(0, Bytes::new(), Vec::new());
        assert_eq!(&genesis.metadata[0][..], [0x0a, 2, 0x0a, 0]);
        assert!(genesis.metadata[1..].iter().all(Bytes::is_empty));
        let later = block_metadata(6, Bytes::new(), Vec::new());
        assert_eq!(&later.metadata[1][..], [0x0a, 2, 8, 6]);
        assert_eq!((genesis.metadata.len(), later.metadata.len()), (SLOT_COUNT, SLOT_COUNT));
    }

    #[test]
    fn last_config_index_is_read_back() {
        for index in [0, 1, 13, u64::MAX] {
            let block = block_with(block_metadata(index, Bytes::from_static(b"m"), Vec::new()).metadata);
            assert_eq!(last_config_index(&block), Ok(index));
        }
    }

    #[test]
    fn old_blocks_have_it_in_the_second_slot_only() {
        let block = block_with(vec![Bytes::new(), last_config_slot(9)]);
        assert_eq!(last_config_index(&block), Ok(9));
    }

    #[test]
    fn each_defect_has_its_own_error() {
        assert_eq!(last_config_index(&common::Block::default()), Err(MetadataError::NoMetadata));
        let no_slot = MetadataError::NoSlot { slot: Slot::Signatures };
        assert_eq!(last_config_index(&block_with(vec![])), Err(no_slot));
        let malformed = block_with(vec![Bytes::from_static(b"\xff")]);
        assert!(matches!(last_config_index(&malformed), Err(MetadataError::MalformedSlot { .. })));
        let bad_value = block_with(vec![signatures_slot(Bytes::from_static(b"\xff"), vec![])]);
        assert!(matches!(last_config_index(&bad_value), Err(MetadataError::MalformedValue(_))));
        // A value that says something, but nothing about the last config.
        let silent = block_with(vec![signatures_slot(Bytes::from_static(b"\x12\x01x"), vec![])]);
        assert_eq!(last_config_index(&silent), Err(MetadataError::NoLastConfig));
    }

    #[test]
    fn signer_headers_survive_the_way_through_a_block() {
        let nonce = Bytes::from_static(b"nonce");
        for signer in [
            SignerHeader::from_creator(Bytes::from_static(b"creator"), nonce.clone()),
            SignerHeader::from_identifier(3, nonce),
        ] {
            let signature = signer.clone().into_signature(Bytes::from_static(b"signature"));
            assert_eq!(SignerHeader::of(&signature), signer);
            let preimage = signature_preimage(b"value", &signer, b"header");
            assert_eq!(preimage, [b"value", &signer.bytes()[..], b"header"].concat());
        }
    }

    #[test]
    fn a_signature_header_hides_an_identifier() {
        let both = common::MetadataSignature {
            signature_header: Bytes::from_static(b"s"),
            identifier_header: Bytes::from_static(b"i"),
            signature: Bytes::new(),
        };
        assert_eq!(SignerHeader::of(&both), SignerHeader::Signature(Bytes::from_static(b"s")));
        let neither = common::MetadataSignature::default();
        assert_eq!(SignerHeader::of(&neither), SignerHeader::Signature(Bytes::new()));
    }
}
