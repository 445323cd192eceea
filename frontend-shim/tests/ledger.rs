//! The ledger over real files: order, chaining, certificates, restart, torn tails, damage, bounds.
#![allow(clippy::unwrap_used)]

mod chain;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use fabric_proto::common::Block;
use frontend_shim::ledger::{Heights, Ledger, LedgerError, LedgerOptions, Missing, Tip};
use prost::Message;
use tempfile::TempDir;

use chain::{REAL, bare, fill, follow, grow, made_slot0, real, slot0};

fn dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn small(dir: &Path) -> Ledger {
    Ledger::open_with(dir, LedgerOptions { cache_bytes_max: 40_000, segment_bytes: 100_000 }).unwrap()
}

fn segment(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("blocks-{number:06}.seg"))
}

fn flip(path: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x40], offset).unwrap();
}

fn len(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

#[test]
fn real_blocks_come_back_byte_for_byte() {
    let dir = dir();
    let ledger = Ledger::open(dir.path()).unwrap();
    assert_eq!((ledger.height(), ledger.certified_height(), ledger.tip()), (0, 0, None));
    for number in 0..REAL {
        let encoded = real(number);
        ledger.append(number, bare(&encoded)).unwrap();
        assert_eq!(ledger.read(number).unwrap().unwrap().encoded(), bare(&encoded));
        ledger.certify(number, slot0(&encoded)).unwrap();
        let stored = ledger.read(number).unwrap().unwrap();
        assert_eq!(stored.encoded(), encoded, "block {number}");
        assert_eq!((stored.number, stored.config, stored.certified), (number, number == 0, true));
        let expected = Block { data: None, ..Block::decode(encoded).unwrap() };
        assert_eq!(stored.header_only(), expected.encode_to_vec());
    }
    assert!(ledger.read(REAL).unwrap().is_none());
    let header = Block::decode(real(REAL - 1)).unwrap().header.unwrap();
    let tip = ledger.tip().unwrap();
    assert_eq!((tip.number, tip.header_hash), (REAL - 1, header.hash()));
}

#[test]
fn the_genesis_block_is_certified_by_definition_and_never_changed() {
    let dir = dir();
    let ledger = Ledger::open(dir.path()).unwrap();
    ledger.append(0, real(0)).unwrap();
    assert_eq!(ledger.certified_height(), 1);
    ledger.certify(0, made_slot0("other")).unwrap();
    assert_eq!(ledger.read(0).unwrap().unwrap().encoded(), real(0));
}

#[test]
fn certificates_may_come_in_any_order_and_the_first_one_stays() {
    let dir = dir();
    let ledger = Ledger::open(dir.path()).unwrap();
    let mut heights = ledger.watch();
    let mut certified = ledger.watch_certified();
    for number in 0..4 {
        ledger.append(number, bare(&real(number))).unwrap();
    }
    assert_eq!(*heights.borrow_and_update(), Heights { height: 4, certified: 1 });
    assert_eq!(*certified.borrow_and_update(), 1);
    ledger.certify(3, slot0(&real(3))).unwrap();
    ledger.certify(2, slot0(&real(2))).unwrap();
    assert_eq!(ledger.certified_height(), 1);
    assert!(!certified.has_changed().unwrap(), "nothing to see for a stream yet");
    ledger.certify(1, slot0(&real(1))).unwrap();
    assert_eq!(*heights.borrow_and_update(), Heights { height: 4, certified: 4 });
    assert_eq!(*certified.borrow_and_update(), 4);
    ledger.certify(2, made_slot0("late")).unwrap();
    assert_eq!(ledger.read(2).unwrap().unwrap().encoded(), real(2));
    assert!(matches!(ledger.certify(4, made_slot0("early")), Err(LedgerError::NotStored { number: 4, height: 4 })));
    assert!(matches!(ledger.certify(1, Bytes::from_static(b"\xff")), Ok(())), "certified already");
}

#[test]
fn only_the_next_block_of_the_chain_is_taken() {
    let dir = dir();
    let ledger = Ledger::open(dir.path()).unwrap();
    let refused = |number, block: Bytes| ledger.append(number, block).unwrap_err();
    assert!(matches!(refused(1, real(1)), LedgerError::WrongNumber { number: 1, given: 1, height: 0 }));
    assert!(matches!(refused(0, real(1)), LedgerError::WrongNumber { number: 1, given: 0, height: 0 }));
    assert!(matches!(refused(0, Bytes::from_static(b"junk")), LedgerError::Malformed { number: 0, .. }));
    fill(&ledger, 3);
    assert!(matches!(refused(4, real(4)), LedgerError::WrongNumber { number: 4, given: 4, height: 3 }));
    let stranger = chain::make(3, &[9; 32], vec![Bytes::from_static(b"entry")]);
    assert!(matches!(refused(3, stranger), LedgerError::WrongPrevious { number: 3 }));
    // The same again changes nothing, with or without signatures; another block in its place is a fork.
    for number in 0..3 {
        ledger.append(number, bare(&real(number))).unwrap();
        ledger.append(number, real(number)).unwrap();
    }
    let fork = chain::make(2, &Block::decode(real(1)).unwrap().header.unwrap().hash(), vec![Bytes::from_static(b"x")]);
    assert!(matches!(refused(2, fork), LedgerError::Fork { number: 2 }));
    assert_eq!(ledger.height(), 3);
    ledger.append(3, real(3)).unwrap();
}

#[test]
fn a_block_whose_metadata_cannot_be_read_is_refused_and_the_error_says_so() {
    let dir = dir();
    let ledger = Ledger::open(dir.path()).unwrap();
    fill(&ledger, 1);
    let whole = Block { metadata: None, ..Block::decode(real(1)).unwrap() }.encode_to_vec();
    // Slots of which the first is longer than what is left.
    let with_garbage = Bytes::from([&whole[..], &[0x1a, 2, 0x0a, 0x7f]].concat());
    let error = ledger.append(1, with_garbage).unwrap_err();
    assert!(error.to_string().contains("the metadata of the block does not parse"), "{error}");
    assert_eq!(ledger.height(), 1);
    ledger.append(1, bare(&real(1))).unwrap();
}

#[test]
fn a_restart_keeps_blocks_and_certificates() {
    let dir = dir();
    let ledger = Ledger::open(dir.path()).unwrap();
    fill(&ledger, 3);
    ledger.append(3, bare(&real(3))).unwrap();
    let tip = ledger.tip();
    drop(ledger);
    let ledger = Ledger::open(dir.path()).unwrap();
    assert_eq!((ledger.height(), ledger.certified_height(), ledger.tip()), (4, 3, tip));
    for number in 0..3 {
        assert_eq!(ledger.read(number).unwrap().unwrap().encoded(), real(number));
    }
    let uncertified = ledger.read(3).unwrap().unwrap();
    assert_eq!((uncertified.certified, &uncertified.encoded()), (false, &bare(&real(3))));
    ledger.append(2, real(2)).unwrap();
    ledger.certify(3, slot0(&real(3))).unwrap();
    assert_eq!(ledger.read(3).unwrap().unwrap().encoded(), real(3));
    fill(&ledger, REAL);
}

#[test]
fn many_segments_survive_a_restart() {
    let dir = dir();
    let ledger = small(dir.path());
    fill(&ledger, 1);
    grow(&ledger, 60, 20_000);
    let read = |ledger: &Ledger| -> Vec<Bytes> {
        (0..60).map(|number| ledger.read(number).unwrap().unwrap().encoded()).collect()
    };
    let before = read(&ledger);
    drop(ledger);
    assert!(segment(dir.path(), 10).exists());
    let ledger = small(dir.path());
    assert_eq!((ledger.height(), ledger.certified_height()), (60, 60));
    assert_eq!(read(&ledger), before);
    grow(&ledger, 70, 20_000);
    drop(ledger);
    assert_eq!(small(dir.path()).certified_height(), 70);
}

#[test]
fn a_second_opener_is_kept_away() {
    let dir = dir();
    let ledger = Ledger::open(dir.path()).unwrap();
    assert!(matches!(Ledger::open(dir.path()), Err(LedgerError::InUse { .. })));
    drop(ledger);
    Ledger::open(dir.path()).unwrap();
}

/// Cuts the file at every length from `from` on, and expects each time a ledger that goes on.
#[test]
fn a_torn_tail_is_cut_off_wherever_it_was_torn() {
    let original = dir();
    let ledger = Ledger::open(original.path()).unwrap();
    fill(&ledger, 1);
    grow(&ledger, 3, 100);
    ledger.sync().unwrap();
    let synced = len(&segment(original.path(), 0));
    grow(&ledger, 5, 100);
    let whole = fs::read(segment(original.path(), 0)).unwrap();
    drop(ledger);
    let mut heights = Vec::new();
    for cut in synced..=whole.len() as u64 {
        let dir = dir();
        fs::write(segment(dir.path(), 0), &whole[..cut as usize]).unwrap();
        let ledger = Ledger::open(dir.path()).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        heights.push((ledger.height(), ledger.certified_height()));
        assert!(ledger.height() >= 3);
        grow(&ledger, 6, 50);
        drop(ledger);
        assert_eq!(Ledger::open(dir.path()).unwrap().certified_height(), 6, "cut at {cut}");
    }
    heights.dedup();
    assert_eq!(heights, [(3, 3), (4, 3), (4, 4), (5, 4), (5, 5)]);
}

#[test]
fn a_tail_of_garbage_or_holes_is_cut_off() {
    for garbage in [vec![0; 5_000], vec![0xff; 3], vec![7; 70_000]] {
        let dir = dir();
        let ledger = Ledger::open(dir.path()).unwrap();
        fill(&ledger, 3);
        drop(ledger);
        let before = len(&segment(dir.path(), 0));
        OpenOptions::new().append(true).open(segment(dir.path(), 0)).unwrap().write_all(&garbage).unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        assert_eq!(ledger.certified_height(), 3);
        assert_eq!(len(&segment(dir.path(), 0)), before);
    }
}

#[test]
fn a_segment_that_was_only_begun_is_begun_again() {
    let dir = dir();
    let ledger = small(dir.path());
    fill(&ledger, 1);
    grow(&ledger, 12, 20_000);
    drop(ledger);
    let next = (0..).find(|number| !segment(dir.path(), *number).exists()).unwrap();
    fs::write(segment(dir.path(), next), b"ordbl").unwrap();
    let ledger = small(dir.path());
    assert_eq!(ledger.certified_height(), 12);
    grow(&ledger, 30, 20_000);
    drop(ledger);
    assert_eq!(small(dir.path()).certified_height(), 30);
}

#[test]
fn damage_in_what_was_durable_is_named_and_not_forgiven() {
    let dir = dir();
    let ledger = Ledger::open(dir.path()).unwrap();
    fill(&ledger, REAL);
    ledger.sync().unwrap();
    drop(ledger);
    let path = segment(dir.path(), 0);
    // The first record begins behind the head of 36 bytes; its content has the genesis block.
    for offset in [40, 60, 20_000] {
        flip(&path, offset);
        let error = Ledger::open(dir.path()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("blocks-000000.seg is damaged at offset 36"), "{text}");
        flip(&path, offset);
    }
    Ledger::open(dir.path()).unwrap();
}

#[test]
fn damage_in_an_older_segment_is_never_a_torn_tail() {
    let dir = dir();
    let ledger = small(dir.path());
    fill(&ledger, 1);
    grow(&ledger, 20, 20_000);
    drop(ledger);
    let path = segment(dir.path(), 1);
    let end = len(&path);
    flip(&path, end - 1);
    assert!(matches!(Ledger::open(dir.path()), Err(LedgerError::Damaged { file, .. }) if file == path));
    flip(&path, end - 1);
    OpenOptions::new().write(true).open(&path).unwrap().set_len(end - 1).unwrap();
    assert!(matches!(Ledger::open(dir.path()), Err(LedgerError::Damaged { file, .. }) if file == path));
    fs::remove_file(&path).unwrap();
    assert!(Ledger::open(dir.path()).unwrap_err().to_string().contains("blocks-000001.seg"));
}

#[test]
fn damage_that_appears_while_the_ledger_is_open_is_named_by_the_reader() {
    let dir = dir();
    let ledger = Ledger::open_with(dir.path(), LedgerOptions { cache_bytes_max: 0, ..Default::default() }).unwrap();
    fill(&ledger, REAL);
    flip(&segment(dir.path(), 0), 500);
    assert_eq!(ledger.damage(), None);
    assert!(matches!(ledger.read(0), Err(LedgerError::Damaged { offset: 36, .. })));
    let damage = ledger.damage().unwrap();
    assert!(damage.starts_with("block 0 cannot be read: ") && damage.contains("damaged at offset 36"), "{damage}");
    assert_eq!(ledger.read(3).unwrap().unwrap().encoded(), real(3));
}

#[test]
fn another_format_version_is_refused() {
    let dir = dir();
    drop(Ledger::open(dir.path()).unwrap());
    let file = OpenOptions::new().write(true).open(segment(dir.path(), 0)).unwrap();
    file.write_all_at(&[9], 11).unwrap();
    assert!(matches!(Ledger::open(dir.path()), Err(LedgerError::Version { found: 9, known: 1, .. })));
}

#[test]
fn the_cache_is_bounded_and_old_blocks_are_read_from_disk() {
    let dir = dir();
    let ledger = small(dir.path());
    fill(&ledger, 1);
    grow(&ledger, 50, 4_500);
    let cached = (0..50).filter(|number| ledger.cached(*number).is_some()).collect::<Vec<_>>();
    assert_eq!(
        cached,
        [46, 47, 48, 49],
        "four blocks of 4.5 kB fit 40 kB, each with the message that it may be sent in"
    );
    let old = ledger.read(5).unwrap().unwrap();
    // Whoever reads the same old block shares it, as long as somebody holds it.
    assert!(Arc::ptr_eq(&old, &ledger.read(5).unwrap().unwrap()));
    assert!(Arc::ptr_eq(&old, &ledger.cached(5).unwrap()));
    drop(old);
    assert!(ledger.cached(5).is_none());
}

#[test]
fn readers_and_the_writer_do_not_disturb_each_other() {
    let dir = dir();
    let ledger = Arc::new(small(dir.path()));
    fill(&ledger, 1);
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let ledger = Arc::clone(&ledger);
            std::thread::spawn(move || {
                let mut next = 0;
                while next < 200 {
                    if next < ledger.certified_height() {
                        let block = ledger.read(next).unwrap().unwrap();
                        assert!(block.number == next && block.certified);
                        next += 1;
                    }
                }
            })
        })
        .collect();
    for number in 1..200 {
        ledger.append(number, follow(&ledger, 2_000)).unwrap();
        if number % 7 == 0 {
            ledger.sync().unwrap();
        }
        ledger.certify(number, made_slot0("signature")).unwrap();
    }
    for reader in readers {
        reader.join().unwrap();
    }
}

#[test]
fn links_are_the_headers_from_a_block_downwards_wherever_they_are_stored() {
    let dir = dir();
    let ledger = small(dir.path());
    fill(&ledger, 1);
    grow(&ledger, 60, 5_000);
    let links = ledger.links(59, 100).unwrap();
    assert_eq!(links.len(), 59, "block 0 links to nothing");
    for (number, link) in (1..60_u64).rev().zip(&links) {
        let stored = ledger.read(number).unwrap().unwrap();
        assert_eq!(
            (&link.previous_hash[..], &link.data_hash[..]),
            (&stored.header.previous_hash[..], &stored.header.data_hash[..])
        );
    }
    assert_eq!(ledger.links(30, 3).unwrap(), links[29..32]);
    assert_eq!(ledger.links(60, 3).unwrap(), [], "not here");
    assert_eq!(ledger.links(0, 3).unwrap(), []);
    assert_eq!(ledger.links(u64::MAX, usize::MAX).unwrap(), []);
    assert_eq!(ledger.links(5, 0).unwrap(), []);
}

#[test]
fn a_ledger_that_expects_blocks_stores_what_follows_them_after_them() {
    let (dir, other) = (dir(), dir());
    let (truth, ledger) = (small(other.path()), small(dir.path()));
    fill(&truth, 1);
    fill(&ledger, 1);
    grow(&truth, 10, 10);
    let tip = |number: u64| Tip { number, header_hash: truth.read(number).unwrap().unwrap().header.hash() };
    let block = |number: u64| bare(&truth.read(number).unwrap().unwrap().encoded());
    assert_eq!(ledger.missing(), None);
    assert!(!ledger.expect(tip(0)).unwrap(), "it is here");
    assert!(matches!(ledger.append(5, block(5)), Err(LedgerError::WrongNumber { .. })));
    assert!(ledger.expect(tip(4)).unwrap());
    ledger.append(5, block(5)).unwrap();
    ledger.append(6, block(6)).unwrap();
    assert!(matches!(ledger.append(8, block(8)), Err(LedgerError::WrongNumber { .. })), "not the next");
    ledger.append(3, block(3)).unwrap();
    assert_eq!(ledger.height(), 1, "one that is missing is fetched like the others");
    let other = chain::make(4, &tip(3).header_hash, vec![Bytes::from_static(b"other")]);
    assert!(matches!(ledger.append(4, other), Err(LedgerError::WrongTip { number: 4 })));
    let stranger = chain::make(7, &[1; 32], vec![Bytes::from_static(b"entry")]);
    assert!(matches!(ledger.append(7, stranger), Err(LedgerError::WrongPrevious { number: 7 })));
    let wrong = Tip { number: 5, header_hash: [1; 32] };
    assert!(matches!(ledger.expect(wrong), Err(LedgerError::WrongTip { number: 5 })));
    assert_eq!(ledger.missing(), Some(Missing { from: 1, tip: tip(4) }));
    for number in 1..4 {
        ledger.append(number, block(number)).unwrap();
        assert_eq!(ledger.height(), number + 1);
    }
    let fork = chain::make(4, &tip(3).header_hash, vec![Bytes::from_static(b"entry")]);
    assert!(matches!(ledger.append(4, fork), Err(LedgerError::WrongTip { number: 4 })));
    ledger.append(4, block(4)).unwrap();
    assert_eq!((ledger.height(), ledger.missing(), ledger.tip()), (7, None, Some(tip(6))));
    assert!(ledger.expect(tip(9)).unwrap(), "a later tip");
    ledger.append(7, block(7)).unwrap();
    assert_eq!(ledger.missing(), Some(Missing { from: 8, tip: tip(9) }));
    drop(ledger);
    let reopened = small(dir.path());
    assert_eq!((reopened.height(), reopened.missing()), (8, None), "what it expects, its node says again");
}
