//! What was written is read: by replay after opening, and as decisions while the writer goes on.

use std::sync::Arc;

use super::fixture::*;
use crate::disk::{Disk as _, MemDisk};
use crate::journal::frame::{HEAD_BYTES, Position};
use crate::journal::limits::{BUFFER_BYTES_MAX, RECORD_BYTES_MAX, SCAN_BYTES};
use crate::journal::segment::{SEGMENT_HEAD_BYTES, Segment};
use crate::journal::{Commit, Journal, JournalError, JournalOptions, JournalReader};
use mod_smart::message::DecidedBatch;
use mod_smart::{GroupId, InstanceId, Record};

fn read(reader: &JournalReader, from: u64) -> Vec<DecidedBatch> {
    reader.read_decisions(InstanceId(from), usize::MAX, usize::MAX).unwrap()
}

fn instances(batches: &[DecidedBatch]) -> Vec<u64> {
    batches.iter().map(|batch| batch.proof.instance().0).collect()
}

fn numbers(batch: &DecidedBatch) -> Vec<u64> {
    batch.requests.iter().map(|request| request.value().id.sequence.0).collect()
}

#[test]
fn a_new_journal_is_empty_and_stays_so() {
    let disk = MemDisk::default();
    for _ in 0..3 {
        let (journal, records, summary) = open(&disk);
        assert_eq!((records.len(), summary.records, summary.segments, summary.torn), (0, 0, 1, None));
        assert_eq!(read(&journal.reader(), 1), []);
        assert_eq!(journal.reader().last_decided(), None);
        disk.crash();
    }
    assert_eq!(disk.list().unwrap(), ["journal-000000.log"], "the first segment is durable before any record");
}

#[test]
fn every_kind_of_record_comes_back_in_order() {
    let disk = MemDisk::default();
    let large = Record::Body(request(77, BUFFER_BYTES_MAX + SCAN_BYTES));
    let mut expected = Vec::new();
    for life in 0..3 {
        let (mut journal, records, summary) = open(&disk);
        assert_eq!(records, expected);
        assert_eq!((summary.records, summary.torn), (expected.len() as u64, None));
        let mut written = instance(life + 1);
        written.insert(2, large.clone());
        append(&mut journal, &written[..3]);
        assert!(journal.uncommitted_bytes() > BUFFER_BYTES_MAX as u64);
        commit(&mut journal, &written[3..]);
        assert_eq!(journal.uncommitted_bytes(), 0);
        expected.extend(written);
        disk.crash();
    }
}

#[test]
fn a_position_that_names_more_than_the_segment_holds_is_damage_and_makes_room_for_nothing() {
    let disk = MemDisk::default();
    let (mut journal, ..) = open(&disk);
    commit(&mut journal, &instance(1));
    let bytes = content(&disk, 0).len() as u32;
    let segment = Segment::open(&disk, 0, GROUP).unwrap();
    let offset = SEGMENT_HEAD_BYTES as u32;
    for length in [bytes - offset - HEAD_BYTES as u32 + 1, RECORD_BYTES_MAX as u32, u32::MAX] {
        // A read beyond the end would be a fault of the disk.
        let error = segment.read(Position { segment: 0, offset, length }).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { .. }), "{length}: {error}");
    }
}

#[test]
fn one_sync_serves_a_commit_of_any_size_and_none_an_empty_one() {
    let disk = MemDisk::default();
    let (mut journal, ..) = open(&disk);
    let before = disk.syncs();
    append(&mut journal, &(0..1000).map(body).collect::<Vec<_>>());
    let commit = journal.commit().unwrap();
    assert_eq!((commit.records, commit.sync.is_some()), (1000, true));
    assert_eq!(commit.bytes, content(&disk, 0).len() as u64 - 60);
    assert_eq!(disk.syncs(), before + 1);
    assert_eq!(journal.commit().unwrap(), Commit::default());
    assert_eq!(disk.syncs(), before + 1);
}

#[test]
fn segments_roll_over_between_commits_and_read_as_one_journal() {
    let disk = MemDisk::default();
    let mut expected = Vec::new();
    for life in 0..2 {
        let (mut journal, _) = try_open(&disk, small_segments(1000), 0).unwrap();
        for number in 1..=10 {
            let records = instance(life * 10 + number);
            commit(&mut journal, &records);
            expected.extend(records);
        }
        disk.crash();
    }
    let (_, records, summary) = open(&disk);
    assert_eq!(records, expected);
    assert_eq!(summary.segments, 20, "each of these commits is longer than a segment");
}

#[test]
fn a_commit_is_never_divided_between_segments() {
    let disk = MemDisk::default();
    let (mut journal, _) = try_open(&disk, small_segments(0), 0).unwrap();
    (1..=3).for_each(|number| commit(&mut journal, &instance(number)));
    let (_, records, summary) = open(&disk);
    assert_eq!((records, summary.segments), ((1..=3).flat_map(instance).collect(), 4));
}

#[test]
fn nothing_uncommitted_is_found_by_reading_the_last_segment() {
    let disk = MemDisk::default();
    let options = JournalOptions { decisions_indexed_max: 1, ..JournalOptions::default() };
    let (mut journal, _) = try_open(&disk, options, 0).unwrap();
    commit(&mut journal, &[decided(1, &[]), decided(2, &[]), decided(3, &[])]);
    append(&mut journal, &[decided(4, &[])]);
    journal.write().unwrap();
    assert_eq!(instances(&read(&journal.reader(), 1)), [1, 2, 3]);
    journal.commit().unwrap();
    assert_eq!(instances(&read(&journal.reader(), 1)), [1, 2, 3, 4]);
}

#[test]
fn decisions_are_read_with_their_bodies_across_segments() {
    let disk = MemDisk::default();
    let (mut journal, _) = try_open(&disk, small_segments(1500), 0).unwrap();
    let reader = journal.reader();
    commit(&mut journal, &(1..=30).map(body).collect::<Vec<_>>());
    for number in 1..=10 {
        commit(&mut journal, &[decided(number, &[number, 31 - number, number + 10])]);
    }
    append(&mut journal, &[decided(11, &[1])]);
    for reader in [reader, open(&disk.duplicate()).0.reader()] {
        let all = read(&reader, 1);
        assert_eq!(instances(&all), (1..=10).collect::<Vec<_>>(), "nothing uncommitted");
        assert_eq!(reader.last_decided(), Some(InstanceId(10)));
        for (number, batch) in (1..).zip(&all) {
            assert_eq!(numbers(batch), [number, 31 - number, number + 10]);
        }
        assert_eq!(instances(&read(&reader, 8)), [8, 9, 10]);
        assert_eq!(instances(&read(&reader, 11)), [0_u64; 0]);
        assert_eq!(instances(&read(&reader, 0)), [0_u64; 0], "there is no instance 0");
    }
}

#[test]
fn a_reading_is_bounded_but_never_empty_handed() {
    let disk = MemDisk::default();
    let (mut journal, ..) = open(&disk);
    for number in 1..=10 {
        commit(&mut journal, &instance(number));
    }
    let reader = journal.reader();
    let count = |bytes_max, count_max| reader.read_decisions(InstanceId(3), bytes_max, count_max).unwrap().len();
    assert_eq!(count(usize::MAX, 4), 4);
    assert_eq!(count(0, 4), 1);
    assert_eq!(count(usize::MAX, 0), 0);
    let one = {
        let size = |batch: &DecidedBatch| batch.requests.iter().map(|request| request.bytes().len()).sum::<usize>();
        read(&reader, 3).first().map(size).unwrap()
    };
    assert!((2..4).contains(&count(one * 6, 9)), "proofs count as well as bodies");
}

#[test]
fn a_gap_ends_a_reading() {
    let disk = MemDisk::default();
    let (mut journal, ..) = open(&disk);
    commit(&mut journal, &[decided(1, &[]), decided(2, &[]), decided(4, &[])]);
    assert_eq!(instances(&read(&journal.reader(), 1)), [1, 2]);
    assert_eq!(instances(&read(&journal.reader(), 3)), [0_u64; 0]);
    assert_eq!(instances(&read(&journal.reader(), 4)), [4]);
    commit(&mut journal, &[decided(3, &[])]);
    assert_eq!(instances(&read(&journal.reader(), 1)), [1, 2, 3, 4]);
}

#[test]
fn decisions_and_bodies_that_memory_has_forgotten_are_found_on_disk() {
    let disk = MemDisk::default();
    let options = JournalOptions {
        segment_bytes: 2000,
        decisions_indexed_max: 3,
        bodies_waiting_max: 4,
        bodies_recent_max: 2,
        ..JournalOptions::default()
    };
    let (mut journal, _) = try_open(&disk, options, 0).unwrap();
    commit(&mut journal, &(1..=20).map(body).collect::<Vec<_>>());
    for number in 1..=20 {
        // Decided once more, long after: a batch that was bound can hold what was ordered before.
        commit(&mut journal, &[decided(number, &[number, number.saturating_sub(10).max(1)])]);
    }
    let reopened = try_open(&disk.duplicate(), options, 0).unwrap().0;
    for reader in [journal.reader(), reopened.reader()] {
        for from in [20, 1, 7, 7] {
            let batches = read(&reader, from);
            assert_eq!(instances(&batches), (from..=20).collect::<Vec<_>>());
            for (number, batch) in (from..).zip(&batches) {
                assert_eq!(numbers(batch), [number, number.saturating_sub(10).max(1)]);
            }
        }
    }
}

#[test]
fn a_body_that_was_journalled_twice_is_served_and_one_that_never_was_is_named() {
    let disk = MemDisk::default();
    let (mut journal, ..) = open(&disk);
    commit(&mut journal, &[body(1), body(1), decided(1, &[1]), body(1), decided(2, &[1]), decided(3, &[9])]);
    let reader = journal.reader();
    assert_eq!(
        reader.read_decisions(InstanceId(1), usize::MAX, 2).unwrap().iter().map(numbers).collect::<Vec<_>>(),
        [[1], [1]]
    );
    for _ in 0..2 {
        let error = reader.read_decisions(InstanceId(3), usize::MAX, 1).unwrap_err();
        assert!(
            matches!(error, JournalError::BodyMissing { instance: InstanceId(3), digest: found } if found == digest(9))
        );
    }
}

#[test]
fn readers_in_other_threads_see_only_whole_decisions_while_the_writer_rolls_over() {
    let disk = MemDisk::default();
    let (mut journal, _) = try_open(&disk, small_segments(3000), 0).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let reader = journal.reader();
            scope.spawn(move || {
                let mut from = 1;
                while from <= 300 {
                    for batch in reader.read_decisions(InstanceId(from), 10_000, 20).unwrap() {
                        assert_eq!((batch.proof.instance().0, numbers(&batch)), (from, vec![from]));
                        from += 1;
                    }
                }
            });
        }
        for number in 1..=300 {
            commit(&mut journal, &instance(number));
        }
    });
}

#[test]
fn what_is_too_large_is_refused_and_the_journal_goes_on() {
    let disk = MemDisk::default();
    let (mut journal, ..) = open(&disk);
    append(&mut journal, &[body(1)]);
    let huge = Record::Body(request(2, RECORD_BYTES_MAX));
    assert!(matches!(journal.append(&huge), Err(JournalError::TooLarge { .. })));
    commit(&mut journal, &[body(3)]);
    assert_eq!(open(&disk).1, [body(1), body(3)]);
}

#[test]
fn another_groups_journal_and_another_version_are_refused() {
    let disk = MemDisk::default();
    let (mut journal, ..) = open(&disk);
    commit(&mut journal, &instance(1));
    let other = Journal::open(Arc::new(disk.clone()), GroupId([8; 32]), JournalOptions::default(), InstanceId(0));
    assert!(matches!(other, Err(JournalError::OtherGroup { segment: 0, found: GROUP, .. })));
    let mut bytes = content(&disk, 0);
    bytes[11] = 2;
    plant(&disk, 0, &bytes);
    let error = try_open(&disk, JournalOptions::default(), 0).unwrap_err();
    assert!(error.is_damage(), "a flipped bit is no other version: {error}");
    let sum = crc32c::crc32c(&bytes[..SEGMENT_HEAD_BYTES - 4]);
    bytes[SEGMENT_HEAD_BYTES - 4..SEGMENT_HEAD_BYTES].copy_from_slice(&sum.to_be_bytes());
    plant(&disk, 0, &bytes);
    let error = try_open(&disk, JournalOptions::default(), 0).unwrap_err();
    assert_eq!(error.to_string(), "journal-000000.log has format version 2; this program reads version 1");
}
