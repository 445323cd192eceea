//! Where the cases come from: packed files in this repository, or the published corpus that `FABRIC_CORPUS` names.

pub mod blocks;
pub mod cases;
pub mod classes;
pub mod config_updates;
pub mod folder;
pub mod identities;
pub mod json_lines;
pub mod policies;
pub mod tally;

use std::io::Read as _;
use std::path::Path;

use prost::Message;

use json_lines::Read;
use tally::Tally;

/// Checks a corpus case by case, with the published cases if there are any, and otherwise with the packed ones.
pub fn run<C: Message + Default>(name: &str, read: impl Fn(&Path) -> Read<C>, check: impl Fn(&C, &mut Tally)) {
    let (origin, Read { corpus, unreadable }) = match folder::folder() {
        Some(folder) => (folder.display().to_string(), read(&folder)),
        None => ("the packed copy".to_owned(), Read { corpus: packed(name), unreadable: Vec::new() }),
    };
    let mut tally = Tally::new(name, &origin);
    unreadable.iter().for_each(|why| tally.unreadable(why));
    check(&corpus, &mut tally);
    tally.finish();
}

/// Unpacks `tests/data/corpus/<name>.bin.zst`.
pub fn packed<M: Message + Default>(name: &str) -> M {
    let path = format!("{}/tests/data/corpus/{name}.bin.zst", env!("CARGO_MANIFEST_DIR"));
    let compressed = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut bytes = Vec::new();
    ruzstd::decoding::StreamingDecoder::new(&compressed[..]).unwrap().read_to_end(&mut bytes).unwrap();
    M::decode(&bytes[..]).unwrap()
}
