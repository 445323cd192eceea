//! Truncation, and what becomes of a journal that was damaged.

use std::io;
use std::sync::Arc;

use super::fixture::*;
use crate::disk::{Disk as _, MemDisk};
use crate::journal::limits::DAMAGED_KEPT_MAX;
use crate::journal::start::Start;
use crate::journal::{Journal, JournalError, JournalOptions, segment, set_aside};
use mod_smart::{InstanceId, Record};

fn mark(instance: u64) -> Record {
    Record::Mark(InstanceId(instance))
}

/// Segments of about two instances each, a mark behind every second instance.
fn written(instances: u64) -> (MemDisk, Journal) {
    let disk = MemDisk::default();
    let (mut journal, _) = try_open(&disk, small_segments(900), 0).unwrap();
    write(&mut journal, 1..=instances);
    (disk, journal)
}

fn write(journal: &mut Journal, instances: std::ops::RangeInclusive<u64>) {
    for number in instances {
        commit(journal, &instance(number));
        if number % 2 == 0 {
            commit(journal, &[mark(number)]);
        }
    }
}

fn segments(disk: &MemDisk) -> Vec<u32> {
    segment::numbers(disk).unwrap()
}

fn served(journal: &Journal, from: u64) -> Vec<u64> {
    let batches = journal.reader().read_decisions(InstanceId(from), usize::MAX, 100).unwrap();
    batches.iter().map(|batch| batch.proof.instance().0).collect()
}

fn replayed(disk: &MemDisk) -> Vec<Record> {
    try_open(disk, small_segments(900), 0).unwrap().1.map(Result::unwrap).collect()
}

#[test]
fn segments_before_the_mark_are_deleted_and_the_journal_goes_on_across_restarts() {
    let (disk, mut journal) = written(10);
    let all = replayed(&disk.duplicate());
    assert!(segments(&disk).len() >= 5);
    assert_eq!(journal.truncator().truncate(InstanceId(1)).unwrap(), 0, "there is no mark at or before it");
    assert!(journal.truncator().truncate(InstanceId(6)).unwrap() > 0);
    assert_eq!(journal.truncator().truncate(InstanceId(6)).unwrap(), 0);
    let kept = segments(&disk);
    assert!(kept[0] > 0);
    assert!(served(&journal, 7).starts_with(&[7, 8, 9, 10]));
    assert_eq!(served(&journal, 1), [0_u64; 0], "not kept");
    disk.crash();
    assert_eq!(segments(&disk), kept);
    let rest = replayed(&disk);
    assert!(all.ends_with(&rest) && rest.contains(&mark(6)) && rest.len() < all.len());
    journal = try_open(&disk, small_segments(900), 6).unwrap().0;
    assert_eq!(served(&journal, 7), [7, 8, 9, 10]);
    write(&mut journal, 11..=14);
    assert!(journal.truncator().truncate(InstanceId(13)).unwrap() > 0, "the newest mark that is known counts");
    assert!(replayed(&disk).contains(&mark(12)));
    let before = segments(&disk).len();
    write(&mut journal, 15..=40);
    journal.truncator().truncate(InstanceId(38)).unwrap();
    assert!(segments(&disk).len() <= before + 1, "the journal is bounded");
}

#[test]
fn what_a_decision_needs_is_not_kept_is_told_apart_from_what_was_lost() {
    let disk = MemDisk::default();
    let (mut journal, _) = try_open(&disk, small_segments(300), 0).unwrap();
    commit(&mut journal, &[body(1), body(2), body(3)]);
    commit(&mut journal, &[mark(1)]);
    commit(&mut journal, &[decided(1, &[1]), body(2), decided(2, &[2])]);
    commit(&mut journal, &[decided(3, &[3]), decided(4, &[9])]);
    journal.truncator().truncate(InstanceId(1)).unwrap();
    let options = JournalOptions { bodies_waiting_max: 1, ..small_segments(300) };
    for journal in [journal, try_open(&disk.duplicate(), options, 4).unwrap().0] {
        let read = |from, count| journal.reader().read_decisions(InstanceId(from), usize::MAX, count);
        for lost in [1, 3, 4] {
            let error = read(lost, 9).unwrap_err();
            assert!(matches!(error, JournalError::NotKept { first: 1 }), "{lost}: {error}");
            assert!(!error.is_damage());
        }
        assert_eq!(read(2, 9).unwrap().len(), 1, "a body that was written again is found, and the end is no error");
    }
}

/// Every change fails, and every mixture of what was not synced survives: the journal is whole, and holds what was
/// written after the mark.
#[test]
fn a_truncation_that_is_interrupted_loses_nothing_that_is_needed() {
    let (base, _) = written(12);
    let (all, before) = (replayed(&base), segments(&base));
    let (mut whole, mut short) = (0, 0);
    for changes in 0..16 {
        for survivors in 0..64_u32 {
            let disk = base.duplicate();
            let (journal, _) = try_open(&disk, small_segments(900), 0).unwrap();
            disk.fail_after(changes, io::ErrorKind::Other);
            let result = journal.truncator().truncate(InstanceId(8));
            let mut asked = 0;
            disk.crash_torn(&mut |_| {
                asked += 1;
                survivors >> (asked % 6) & 1 == 1
            });
            let records = replayed(&disk);
            assert!(all.ends_with(&records) && records.contains(&mark(8)), "change {changes}, survivors {survivors}");
            assert!(result.is_err() || records.len() < all.len());
            let left = segments(&disk);
            if records.len() == all.len() {
                assert_eq!(left, before);
                whole += 1;
            } else {
                assert!(left[0] > 0 && left.len() < before.len(), "what is left over is cleared away");
                short += 1;
            }
            let (mut journal, _) = try_open(&disk, small_segments(900), 8).unwrap();
            write(&mut journal, 13..=14);
            assert_eq!(served(&journal, 9), (9..=14).collect::<Vec<_>>());
        }
    }
    assert!(whole > 0 && short > 0, "{whole} {short}");
}

#[test]
fn a_lost_segment_is_not_taken_for_a_truncated_one() {
    let (disk, journal) = written(10);
    journal.truncator().truncate(InstanceId(6)).unwrap();
    let first = segments(&disk)[0];
    for lost in segments(&disk).into_iter().take(2) {
        let disk = disk.duplicate();
        disk.remove(&segment::name(lost)).unwrap();
        let error = try_open(&disk, JournalOptions::default(), 0).unwrap_err();
        assert!(matches!(error, JournalError::SegmentMissing { segment } if segment == lost), "{error}");
        assert!(error.is_damage());
    }
    disk.remove("journal.start").unwrap();
    let error = try_open(&disk, JournalOptions::default(), 0).unwrap_err();
    assert!(matches!(error, JournalError::SegmentMissing { segment: 0 }) && first > 0, "{error}");
}

#[test]
fn any_damage_of_the_start_is_found_and_named() {
    let (disk, journal) = written(10);
    journal.truncator().truncate(InstanceId(6)).unwrap();
    let bytes = disk.content("journal.start").unwrap();
    let flipped = (0..bytes.len()).map(|at| {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x40;
        flipped
    });
    for damaged in flipped.chain((0..bytes.len()).map(|end| bytes[..end].to_vec())) {
        disk.plant("journal.start", &damaged);
        let before = segments(&disk);
        let error = try_open(&disk, JournalOptions::default(), 0).unwrap_err();
        assert!(matches!(error, JournalError::StartDamaged { .. }) && error.is_damage(), "{error}");
        assert_eq!(segments(&disk), before);
        let copy = disk.duplicate();
        set_aside(&copy, GROUP).unwrap();
        assert_eq!(replayed(&copy), []);
    }
    disk.plant("journal.start", &bytes);
    let other = Journal::open(Arc::new(disk), mod_smart::GroupId([8; 32]), JournalOptions::default(), InstanceId(0));
    assert!(matches!(other, Err(JournalError::StartOfOtherGroup { .. })));
}

fn asides(disk: &MemDisk) -> Vec<String> {
    disk.list().unwrap().into_iter().filter(|name| name.starts_with("damaged-")).collect()
}

#[test]
fn a_damaged_journal_is_moved_aside_whole_and_only_the_newest_of_these_are_kept() {
    let (disk, journal) = written(10);
    journal.truncator().truncate(InstanceId(6)).unwrap();
    let (numbers, contents): (Vec<u32>, Vec<Vec<u8>>) =
        segments(&disk).into_iter().map(|number| (number, content(&disk, number))).unzip();
    let prefix = set_aside(&disk, GROUP).unwrap();
    disk.crash();
    assert_eq!(segments(&disk), [0_u32; 0]);
    for (number, bytes) in numbers.iter().zip(&contents) {
        assert_eq!(disk.content(&format!("{prefix}{}", segment::name(*number))).as_ref(), Some(bytes));
    }
    let mut next = numbers.last().unwrap() + 1;
    for round in 0..5 {
        assert_eq!(replayed(&disk), [], "round {round}");
        let (mut journal, _) = try_open(&disk, small_segments(900), 0).unwrap();
        assert_eq!(segments(&disk), [next], "numbers never repeat");
        write(&mut journal, 20..=25);
        assert_eq!(served(&journal, 20).len(), 6);
        next = segments(&disk).last().unwrap() + 1;
        set_aside(&disk, GROUP).unwrap();
        let mut incidents: Vec<String> = asides(&disk).iter().map(|name| name[..14].to_owned()).collect();
        incidents.dedup();
        assert_eq!(incidents.len(), DAMAGED_KEPT_MAX.min(round + 2));
        assert_eq!(incidents.last().unwrap(), &format!("damaged-{next:06}"));
    }
}

#[test]
fn a_journal_in_the_last_segment_there_can_be_opens_again_and_says_when_it_is_full() {
    let disk = MemDisk::default();
    Start::at(u32::MAX).write(&disk, GROUP).unwrap();
    for life in 1..=3 {
        let (mut journal, replay) = try_open(&disk, small_segments(900), 0).unwrap();
        assert_eq!(replay.count(), life as usize - 1);
        commit(&mut journal, &[mark(life)]);
        disk.crash();
    }
    assert_eq!(segments(&disk), [u32::MAX]);
    let (mut journal, _) = try_open(&disk, small_segments(900), 0).unwrap();
    let full =
        (4..100).find_map(|number| journal.append(&mark(number)).and_then(|()| journal.commit().map(drop)).err());
    assert!(matches!(full, Some(JournalError::Full)), "{full:?}");
    assert!(replayed(&disk).len() > 3, "what it has taken stays");
    assert!(matches!(set_aside(&disk, GROUP), Err(JournalError::Full)), "no other journal can follow");
}

/// A journal of which only a part was moved must never be taken for a journal: votes would be forgotten.
#[test]
fn moving_aside_that_is_interrupted_leaves_the_damaged_journal_or_an_empty_one() {
    let (base, _) = written(8);
    let all = replayed(&base);
    let (mut old, mut new) = (0, 0);
    for changes in 0..16 {
        for survivors in 0..64_u32 {
            let disk = base.duplicate();
            disk.fail_after(changes, io::ErrorKind::Other);
            let result = set_aside(&disk, GROUP);
            let mut asked = 0;
            disk.crash_torn(&mut |_| {
                asked += 1;
                survivors >> (asked % 6) & 1 == 1
            });
            let records = replayed(&disk);
            if records.is_empty() {
                let begun = segments(&base).last().unwrap() + 1;
                assert_eq!(segments(&disk), [begun], "the moving is finished at the next opening");
                // A name that is given to another file may be lost altogether on this disk.
                assert!(asides(&disk).len() <= segments(&base).len());
                new += 1;
            } else {
                assert!(result.is_err() && records == all);
                old += 1;
            }
        }
    }
    assert!(old > 0 && new > 0, "{old} {new}");
}

#[test]
fn marks_and_regencies_are_shown_wherever_they_stand() {
    let disk = MemDisk::default();
    let (mut journal, _) = try_open(&disk, small_segments(500), 0).unwrap();
    let said = [Record::Stopped(mod_smart::Regency(1)), Record::Entered(mod_smart::Regency(1)), mark(2)];
    commit(&mut journal, &[body(1), said[0].clone(), decided(1, &[1]), said[1].clone()]);
    commit(&mut journal, &[body(2), decided(2, &[2]), said[2].clone()]);
    commit(&mut journal, &[voted(3)]);
    let shown: Vec<Record> = try_open(&disk, small_segments(500), 2).unwrap().1.map(Result::unwrap).collect();
    let [stopped, entered, mark] = said;
    assert_eq!(shown, [stopped, decided(1, &[1]), entered, decided(2, &[2]), mark, voted(3)]);
}
