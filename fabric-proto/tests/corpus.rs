//! What Fabric's own code computes for blocks, most of them damaged on purpose.
#![allow(clippy::unwrap_used, missing_docs)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fabric_proto::block;

#[test]
fn hashes_and_form_of_blocks_agree_with_fabric() {
    let file: File = serde_json::from_str(include_str!("data/blocks.json")).unwrap();
    let entries: Vec<Bytes> = file.entries.iter().map(|entry| STANDARD.decode(entry).unwrap().into()).collect();
    let (mut data_hash_count, mut well_formed_count) = (0, 0);
    for case in &file.blocks {
        let entries: Vec<_> = case.entries.iter().map(|&index| entries[index].clone()).collect();
        let [previous_hash, data_hash] = [&case.previous_hash, &case.data_hash].map(|hash| hex::decode(hash).unwrap());
        let header_hash = block::header_hash(case.number, &previous_hash, &data_hash);
        assert_eq!(hex::encode(header_hash), case.header_hash, "{}", case.id);
        if let Some(expected) = &case.computed_data_hash {
            assert_eq!(&hex::encode(block::data_hash(&entries)), expected, "{}", case.id);
            data_hash_count += 1;
        }
        let is_well_formed = case.well_formed && !is_refused_by_ours_only(&case.id);
        assert_eq!(block::check_entries(&entries).is_ok(), is_well_formed, "{}", case.id);
        well_formed_count += usize::from(case.well_formed);
    }
    let count = file.blocks.len();
    println!("agree: {count} header hashes, {data_hash_count} data hashes, {count} forms ({well_formed_count} good)");
    assert!(data_hash_count >= 100 && well_formed_count < count);
}

/// See `data/README.md`.
#[derive(serde::Deserialize)]
struct File {
    entries: Vec<String>,
    blocks: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    id: String,
    number: u64,
    previous_hash: String,
    data_hash: String,
    entries: Vec<usize>,
    header_hash: String,
    /// Absent where the block has no data message.
    computed_data_hash: Option<String>,
    well_formed: bool,
}

/// Go lets pass what its own re-encoding repeats: unknown fields at the end, to which it counts known
/// fields of another wire type, and any spelling of a lone CONFIG_UPDATE. Ours knows one spelling.
fn is_refused_by_ours_only(id: &str) -> bool {
    const ENDINGS: [&str; 6] = [
        "unknown-field-end",
        "unknown-field-bytes-end",
        "unknown-field-group",
        "wrong-wire-type",
        "config-plus-noncanonical-tx",
        "config-update-type-nc",
    ];
    ENDINGS.iter().any(|ending| id.ends_with(ending))
}
