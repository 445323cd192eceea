//! The ledger: blocks as they come in, and its files as they are found.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use bytes::Bytes;
use fabric_proto::common::Block;
use fabric_proto::metadata;
use frontend_shim::ledger::{Ledger, LedgerError, LedgerOptions, StoredBlock};
use prost::Message as _;
use tempfile::TempDir;

use super::journal::size;
use crate::damage::{Damage, Files, scripts};
use crate::fixtures::{CHAIN, block};
use crate::outcome::Outcome;
use crate::sealed;
use crate::target::{Heap, Seed, Target};

pub const BLOCK: Target = Target {
    name: "ledger_block",
    about: "a block and what certifies it, two bytes of length before each: the data stays as it was, and both are read \
            again after a restart",
    run: block_and_certificate,
    seeds: || {
        let certificate = slot0(1);
        vec![
            Seed::new("genesis", sealed::join(&[CHAIN[0]])),
            Seed::new("ordinary", sealed::join(&[&as_first(CHAIN[1]), &certificate])),
        ]
    },
    heap: Heap::LARGE,
    test_runs: 1_000,
};

pub const RECORDS: Target = Target {
    name: "ledger_records",
    about: "records with right checksums around any content, kind first: what opens can be read",
    run: records,
    seeds: || {
        let block = [&[1][..], &0_u64.to_be_bytes(), &as_first(CHAIN[1])].concat();
        let certificate = [&[2][..], &0_u64.to_be_bytes(), &slot0(1)].concat();
        vec![Seed::new("block-and-certificate", sealed::join(&[&block, &certificate]))]
    },
    heap: Heap::LARGE,
    test_runs: 1_000,
};

pub const DAMAGE: Target = Target {
    name: "ledger_damage",
    about: "a script of damage to a written ledger: never a block that was not written, never one that was durable lost \
            silently",
    run: damage,
    seeds: scripts,
    heap: Heap::LARGE,
    test_runs: 1_000,
};

fn block_and_certificate(input: &[u8]) -> Outcome {
    let parts = sealed::parts(input);
    let [encoded, rest @ ..] = &parts[..] else { return Outcome::refused("nothing") };
    let folder = scratch();
    let ledger = open(folder.path()).expect("an empty folder");
    if let Err(error) = ledger.append(0, Bytes::copy_from_slice(encoded)) {
        return Outcome::refused(error);
    }
    let plain = read(&ledger, 0);
    assert_eq!(plain.encoded(), *encoded);
    ledger.append(0, plain.encoded()).expect("the same block again changes nothing");
    // Metadata is not looked at before it is replaced. What makes no whole block has no successor here.
    let Some(next) = following(&plain) else { return Outcome::accepted("a block without readable metadata") };
    // A second block that follows the first, whatever that is, can be certified; block 0 needs nothing.
    ledger.append(1, next.clone()).expect("a block that follows");
    let before = read(&ledger, 1);
    let certified = ledger.certify(1, Bytes::copy_from_slice(rest.first().copied().unwrap_or_default()));
    let after = read(&ledger, 1);
    assert_eq!((&after.header, after.data()), (&before.header, before.data()), "certifying changed the block");
    assert_eq!(after.certified, certified.is_ok());
    if certified.is_ok() {
        let whole = Block::decode(after.encoded()).expect("a certified block reads");
        let slots = whole.metadata.unwrap_or_default().metadata;
        assert_eq!(slots.first().map(|slot| &slot[..]), Some(rest.first().copied().unwrap_or_default()));
    }
    assert!(after.header_only().len() <= after.encoded_len() && after.message().ends_with(&after.encoded()));
    drop(ledger);
    let ledger = open(folder.path()).expect("a ledger that was closed opens");
    assert_eq!(read(&ledger, 0).encoded(), plain.encoded());
    assert_eq!(read(&ledger, 1).encoded(), after.encoded());
    let outcome = Outcome::accepted(if plain.config { "a config block" } else { "a block" });
    outcome.and(&Outcome::from(certified.map(|()| "certified")))
}

fn records(input: &[u8]) -> Outcome {
    let parts = sealed::parts(input);
    let split = parts.iter().filter_map(|part| {
        let (kind, rest) = part.split_first()?;
        let (number, payload) = rest.split_first_chunk::<8>()?;
        Some((*kind, u64::from_be_bytes(*number), payload))
    });
    let folder = scratch();
    fs::write(folder.path().join(SEGMENT), sealed::ledger(&split.collect::<Vec<_>>())).expect("a folder to write to");
    Outcome::from(open_and_read(folder.path()).map(|blocks| size(blocks.len())))
}

fn damage(input: &[u8]) -> Outcome {
    let pristine = &*PRISTINE;
    let damage = Damage::run(input, &pristine.files);
    let folder = scratch();
    for (name, content) in &damage.files {
        fs::write(folder.path().join(name), content).expect("a folder to write to");
    }
    let opened = open_and_read(folder.path());
    if let Ok(blocks) = &opened {
        assert!(blocks.len() <= pristine.blocks.len(), "a block that was not written");
        for (block, (plain, certified)) in blocks.iter().zip(&pristine.blocks) {
            assert!(block == plain || block == certified, "a block that was not written");
        }
    }
    let changed = damage.changed(&pristine.files);
    let last = pristine.files.len() - 1;
    if damage.is_in_place {
        let hits_durable = changed.iter().any(|&(file, range)| file < last || range.0 < pristine.durable_bytes);
        let spares_witness = changed.iter().all(|&(file, range)| file < last || range.1 < pristine.durable_bytes);
        if hits_durable && spares_witness {
            assert!(opened.is_err(), "what was durable was lost silently");
        }
    }
    Outcome::from(opened.map(|blocks| size(blocks.len())))
}

/// Opens a ledger, reads every block of it, and opens it again: it must be the same.
fn open_and_read(folder: &Path) -> Result<Vec<Bytes>, LedgerError> {
    let read_all = |ledger: &Ledger| -> Result<Vec<Bytes>, LedgerError> {
        let blocks = (0..ledger.height()).map(|number| Ok(ledger.read(number)?.map(|block| block.encoded())));
        let blocks: Vec<Option<Bytes>> = blocks.collect::<Result<_, LedgerError>>()?;
        assert!(blocks.iter().all(Option::is_some), "a block below the height is not there");
        assert!(ledger.certified_height() <= ledger.height());
        Ok(blocks.into_iter().flatten().collect())
    };
    let first = read_all(&open(folder)?);
    let second = read_all(&open(folder).expect("what was opened opens again"));
    assert_eq!(first.as_ref().ok(), second.as_ref().ok(), "two readings of one ledger");
    first
}

fn open(folder: &Path) -> Result<Ledger, LedgerError> {
    Ledger::open_with(folder, LedgerOptions { cache_bytes_max: 64 << 10, segment_bytes: SEGMENT_BYTES })
}

fn read(ledger: &Ledger, number: u64) -> std::sync::Arc<StoredBlock> {
    ledger.read(number).expect("a ledger that was just written reads").expect("a block that was just written")
}

/// A ledger of several segments: in the last one everything before `durable_bytes` was synced, and says so.
struct Pristine {
    files: Files,
    /// Each block plain and certified.
    blocks: Vec<(Bytes, Bytes)>,
    durable_bytes: usize,
}

static PRISTINE: LazyLock<Pristine> = LazyLock::new(|| {
    let folder = scratch();
    let ledger = open(folder.path()).expect("an empty folder");
    let mut pristine = Pristine { files: Files::new(), blocks: Vec::new(), durable_bytes: 0 };
    for (number, bytes) in CHAIN.iter().enumerate() {
        let number = number as u64;
        ledger.append(number, Bytes::from_static(bytes)).expect("a real chain");
        let plain = read(&ledger, number).encoded();
        ledger.certify(number, slot0(number as usize)).expect("a block that was just written");
        pristine.blocks.push((plain, read(&ledger, number).encoded()));
        pristine.durable_bytes = written(folder.path()).last().map_or(0, |(_, content)| content.len());
        ledger.sync().expect("a folder that takes it");
    }
    drop(ledger);
    pristine.files = written(folder.path());
    assert!(pristine.files.len() > 1, "several segments");
    pristine
});

fn written(folder: &Path) -> Files {
    let names = (0..).map(|number| format!("blocks-{number:06}.seg"));
    names.map_while(|name| Some((name.clone(), fs::read(folder.join(name)).ok()?))).collect()
}

/// The signatures of a real block.
fn slot0(number: usize) -> Bytes {
    let real = metadata::parse_signatures_slot(&block(number).metadata.unwrap_or_default()).expect("real signatures");
    metadata::signatures_slot(real.value, real.signatures)
}

/// A real block, renumbered so that a ledger can begin with it.
fn as_first(encoded: &[u8]) -> Vec<u8> {
    let mut block = Block::decode(encoded).expect("a real block");
    if let Some(header) = &mut block.header {
        header.number = 0;
        header.previous_hash = Bytes::new();
    }
    block.encode_to_vec()
}

/// The same block once more, as the next one.
fn following(first: &StoredBlock) -> Option<Bytes> {
    let mut block = Block::decode(first.encoded()).ok()?;
    let hash = first.header.hash();
    if let Some(header) = &mut block.header {
        header.number = 1;
        header.previous_hash = Bytes::copy_from_slice(&hash);
    }
    Some(block.encode_to_vec().into())
}

/// A folder that goes when it is dropped, in memory where the system has such a place.
pub fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    folder.expect("a place for temporary files")
}

const SEGMENT: &str = "blocks-000000.seg";
const SEGMENT_BYTES: u64 = 40 << 10;
