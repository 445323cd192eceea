//! Where the cases come from: packed files in this repository, and a published corpus if one is at hand.

pub mod cases;
pub mod config_updates;
pub mod json_lines;

use std::io::Read as _;

use prost::Message;

/// Unpacks `tests/data/corpus/<name>.bin.zst`.
pub fn packed<M: Message + Default>(name: &str) -> M {
    let path = format!("{}/tests/data/corpus/{name}.bin.zst", env!("CARGO_MANIFEST_DIR"));
    let compressed = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut bytes = Vec::new();
    ruzstd::decoding::StreamingDecoder::new(&compressed[..]).unwrap().read_to_end(&mut bytes).unwrap();
    M::decode(&bytes[..]).unwrap()
}
