//! Blocks and envelopes made by Fabric itself: ours must read them, write them and hash them alike.
#![allow(clippy::unwrap_used, missing_docs)]

mod fabric;

use bytes::Bytes;
use fabric::{Run, block_bytes, blocks, envelope_bytes};
use fabric_proto::block::{self, SLOT_COUNT, Slot};
use fabric_proto::canonical::{self, CanonicalError};
use fabric_proto::common::{self, HeaderType};
use fabric_proto::{ChannelId, Envelope, metadata};
use prost::Message;

#[test]
fn blocks_re_encode_to_the_same_bytes() {
    for run in Run::ALL {
        for name in run.block_names() {
            let bytes = block_bytes(run, name);
            let block = common::Block::decode(bytes.clone()).unwrap();
            assert_eq!(block.encode_to_vec(), bytes, "{name}");
        }
    }
}

#[test]
fn data_hashes_are_those_of_the_headers() {
    for (name, block) in blocks() {
        let (header, data) = (block.header.unwrap(), block.data.unwrap());
        assert_eq!(header.data_hash, data.hash()[..], "{name}");
    }
}

#[test]
fn headers_form_a_chain() {
    for (run, names) in [
        (Run::Bft, &["chain_0", "chain_1", "chain_2", "chain_3", "chain_4"][..]),
        (Run::Raft, &["block_0", "block_1", "block_2"][..]),
    ] {
        let mut previous_hash = Bytes::new();
        for (number, name) in names.iter().enumerate() {
            let header = run.block(name).header.unwrap();
            assert_eq!(header.number, number as u64, "{name}");
            assert_eq!(header.previous_hash, previous_hash, "{name}");
            previous_hash = Bytes::copy_from_slice(&header.hash());
        }
    }
}

#[test]
fn metadata_is_rebuilt_to_the_same_bytes() {
    for (name, block) in blocks() {
        let original = block.metadata.clone().unwrap();
        assert_eq!(original.metadata.len(), SLOT_COUNT);
        let slot = metadata::parse_signatures_slot(&original).unwrap();
        let value = common::OrdererBlockMetadata::decode(slot.value.clone()).unwrap();
        let last_config = metadata::last_config_index(&block).unwrap();
        assert_eq!(metadata::metadata_value(last_config, value.consenter_metadata.clone()), slot.value, "{name}");
        let rebuilt = metadata::block_metadata(last_config, value.consenter_metadata, slot.signatures);
        assert_eq!(rebuilt, original, "{name}");
    }
}

#[test]
fn config_blocks_name_themselves_and_the_others_their_config_block() {
    for (name, block) in blocks() {
        let number = block.header.as_ref().unwrap().number;
        let expected = if block.is_config() { number } else { 0 };
        assert_eq!(metadata::last_config_index(&block), Ok(expected), "{name}");
        let has_legacy_slot = !block.metadata.unwrap().metadata[Slot::LastConfig as usize].is_empty();
        assert_eq!(has_legacy_slot, expected > 0, "{name}");
    }
}

#[test]
fn only_the_expected_blocks_are_config_blocks() {
    let config_blocks: Vec<_> = blocks().filter(|(_, block)| block.is_config()).map(|(name, _)| name).collect();
    assert_eq!(config_blocks, ["bft/chain_0", "bft/config_13", "raft/block_0", "raft/block_6"]);
}

#[test]
fn entries_are_canonical_envelopes_of_the_channel() {
    let mut count = 0;
    for (name, block) in blocks().filter(|(_, block)| !block.is_config()) {
        block::check_entries(block.entries()).unwrap();
        for entry in block.entries() {
            let envelope = Envelope::decode(entry.clone()).unwrap();
            assert_eq!(envelope.check_canonical(), Ok(()));
            assert_eq!(envelope.header_type(), i32::from(HeaderType::EndorserTransaction));
            let channel = ChannelId::new(envelope.channel_id()).unwrap();
            assert_eq!(channel.as_str(), if name.starts_with("bft") { "bftch" } else { "raftch" });
            let signature_header = envelope.signature_header().unwrap();
            assert_eq!(signature_header.nonce.len(), 24);
            fabric_proto::msp::SerializedIdentity::decode(signature_header.creator.clone()).unwrap();
            count += 1;
        }
    }
    println!("{count} envelopes of blocks are canonical");
    assert!(count >= 60);
}

#[test]
fn submitted_envelopes_are_read() {
    for (name, header_type) in [
        ("endorser_tx_envelope", HeaderType::EndorserTransaction),
        ("endorser_style_envelope", HeaderType::EndorserTransaction),
        ("config_update_envelope_signed", HeaderType::ConfigUpdate),
    ] {
        let bytes = envelope_bytes(name);
        let envelope = Envelope::decode(bytes.clone()).unwrap();
        assert_eq!(envelope.header_type(), i32::from(header_type), "{name}");
        assert_eq!(envelope.channel_id(), "bftch");
        assert_eq!(envelope.check_canonical(), Ok(()));
        assert_eq!(envelope.bytes(), &bytes);
        assert!(envelope.size() < bytes.len());
    }
    let unsigned = Envelope::decode(envelope_bytes("config_update_envelope_unsigned")).unwrap();
    assert_eq!(unsigned.check_canonical(), Err(CanonicalError::NoSignature));
}

#[test]
fn spoiled_envelopes_are_refused_and_repaired() {
    let original = envelope_bytes("endorser_tx_envelope");
    let envelope = Envelope::decode(original.clone()).unwrap();
    let (payload, signature) = (field(1, envelope.payload()), field(2, envelope.signature()));
    let unknown = field(3, b"nothing Fabric knows");
    let mut long_length = vec![0x0a];
    prost::encoding::encode_varint(envelope.payload().len() as u64, &mut long_length);
    *long_length.last_mut().unwrap() |= 0x80;
    long_length.push(0);
    long_length.extend_from_slice(envelope.payload());

    let spoiled = [
        ("unknown field first", [&unknown, &payload, &signature]),
        ("unknown field between", [&payload, &unknown, &signature]),
        ("unknown field last", [&payload, &signature, &unknown]),
        ("length not minimal", [&long_length, &signature, &vec![]]),
        ("fields swapped", [&signature, &payload, &vec![]]),
        ("field repeated", [&payload, &payload, &signature]),
    ];
    for (what, parts) in spoiled {
        let bytes = Bytes::from(parts.map(Vec::as_slice).concat());
        assert_ne!(bytes, original);
        let decoded = Envelope::decode(bytes.clone()).unwrap();
        assert_eq!(decoded.payload(), envelope.payload(), "{what}");
        assert_eq!(decoded.check_canonical(), Err(CanonicalError::OtherSpelling), "{what}");
        assert_eq!(canonical::check_canonical(&bytes), Err(CanonicalError::OtherSpelling), "{what}");
        assert_eq!(canonical::canonicalize(bytes).unwrap(), original, "{what}");
    }
}

fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::bytes::encode(number, &content.to_vec(), &mut out);
    out
}
