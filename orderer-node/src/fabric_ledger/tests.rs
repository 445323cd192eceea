//! Block files that Fabric would write, and ones that it would not.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_slice(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend(bytes);
}

/// A block as Fabric writes it, with its length.
fn stored(block: &Block) -> Vec<u8> {
    let (header, mut bytes) = (block.header.as_ref().unwrap(), Vec::new());
    put_varint(&mut bytes, header.number);
    put_slice(&mut bytes, &header.data_hash);
    put_slice(&mut bytes, &header.previous_hash);
    for list in [&block.data.as_ref().unwrap().data, &block.metadata.as_ref().unwrap().metadata] {
        put_varint(&mut bytes, list.len() as u64);
        list.iter().for_each(|item| put_slice(&mut bytes, item));
    }
    let mut stored = Vec::new();
    put_slice(&mut stored, &bytes);
    stored
}

fn block(number: u64) -> Block {
    let (hash, envelope) = (Bytes::from(vec![number as u8; 32]), Bytes::from(vec![7; 300]));
    Block {
        header: Some(BlockHeader { number, previous_hash: hash.clone(), data_hash: hash }),
        data: Some(BlockData { data: vec![envelope, Bytes::new()] }),
        metadata: Some(BlockMetadata { metadata: vec![Bytes::from_static(b"slot"); 5] }),
    }
}

/// A folder of a chain with these files.
fn chain(files: &[Vec<u8>]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (number, bytes) in (0..).zip(files) {
        fs::write(block_file(dir.path(), number), bytes).unwrap();
    }
    dir
}

fn read(dir: &TempDir) -> Result<Vec<Block>, FabricLedgerError> {
    FabricBlocks::open(dir.path()).collect()
}

#[test]
fn blocks_are_read_over_several_files_and_a_torn_end_is_left_out() {
    let blocks: Vec<Block> = (0..5).map(block).collect();
    let first: Vec<u8> = blocks[..3].iter().flat_map(stored).collect();
    let mut second: Vec<u8> = blocks[3..].iter().flat_map(stored).collect();
    assert_eq!(read(&chain(&[first.clone(), second.clone()])).unwrap(), blocks);
    let last = stored(&block(5));
    for kept in [1, 2, last.len() - 1] {
        second.truncate(blocks[3..].iter().map(|block| stored(block).len()).sum());
        second.extend(&last[..kept]);
        assert_eq!(read(&chain(&[first.clone(), second.clone()])).unwrap(), blocks, "{kept} bytes of the last block");
    }
    let error = read(&chain(&[second, first])).unwrap_err().to_string();
    assert!(error.contains("blockfile_000000, block at offset") && error.contains("cut short"), "{error}");
}

#[test]
fn what_fabric_does_not_write_is_named_with_its_file_and_offset() {
    let good = stored(&block(0));
    let with = |bytes: &[u8]| [&good[..], bytes].concat();
    for (bytes, what) in [
        (with(&[0xff; 20]), "not a number"),
        (with(&[0x80, 0x80, 0x80, 0x80, 0x40, 1, 2, 3]), "longer than any block"),
        (with(&[0]), "no number"),
        (with(&[1, 5]), "no data hash"),
        (with(&[3, 5, 0, 0]), "data is cut short"),
        (with(&[6, 5, 0, 0, 0, 0, 9]), "something follows"),
        (with(&[12, 5, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]), "data is cut short"),
    ] {
        let error = read(&chain(&[bytes])).unwrap_err().to_string();
        let place = format!("blockfile_000000, block at offset {}", good.len());
        assert!(error.contains(&place) && error.contains(what), "{what}: {error}");
    }
}

#[test]
fn chains_without_blocks_or_being_removed_are_none() {
    let dir = tempfile::tempdir().unwrap();
    assert!(chains(dir.path()).unwrap().is_empty());
    for (name, bytes) in [("b", &b"x"[..]), ("a", b"x"), ("empty", b""), ("gone", b"x"), ("NoChannel", b"x")] {
        let chain = dir.path().join(CHAINS).join(name);
        fs::create_dir_all(&chain).unwrap();
        fs::write(block_file(&chain, 0), bytes).unwrap();
    }
    fs::create_dir_all(dir.path().join(PENDING_REMOVALS)).unwrap();
    fs::write(dir.path().join(PENDING_REMOVALS).join("gone.remove"), b"").unwrap();
    let found: Vec<String> = chains(dir.path()).unwrap().into_iter().map(|(id, _)| id.to_string()).collect();
    assert_eq!(found, ["a", "b"]);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&chain(&[bytes]));
    }
}
