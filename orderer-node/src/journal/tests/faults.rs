//! Loss of power and failing disks at every step.

use std::io;

use super::fixture::*;
use crate::disk::{Disk as _, MemDisk};
use crate::journal::{Durability, JournalError, JournalOptions};
use mod_smart::Record;

/// Whatever sectors of unfinished writes reach the disk, in whatever order: what was committed is there, and what
/// else is there is a beginning of what was appended.
#[test]
fn any_loss_of_power_keeps_every_commit_and_tears_only_what_follows() {
    let mut torn = 0;
    for seed in 0..500 {
        let (disk, mut random) = (MemDisk::default(), Random(seed));
        let options = small_segments(1000 + random.below(4000) as u32);
        let (mut appended, mut committed): (Vec<Record>, usize) = (Vec::new(), 0);
        for _ in 0..4 {
            let (mut journal, replay) = try_open(&disk, options, 0).unwrap();
            torn += usize::from(replay.summary().torn.is_some());
            let records: Vec<Record> = replay.map(Result::unwrap).collect();
            assert!(records.len() >= committed, "seed {seed} lost what was committed");
            assert!(appended.starts_with(&records), "seed {seed} invented or reordered");
            appended = records;
            for _ in 0..random.below(8) {
                for _ in 0..=random.below(6) {
                    let record = Record::Body(request(appended.len() as u64, random.below(1500) as usize));
                    journal.append(&record).unwrap();
                    appended.push(record);
                }
                journal.commit().unwrap();
            }
            committed = appended.len();
            // The last commit is written but not synced.
            for _ in 0..random.below(6) {
                let record = Record::Body(request(appended.len() as u64, random.below(1500) as usize));
                journal.append(&record).unwrap();
                appended.push(record);
            }
            journal.write().unwrap();
            disk.crash_torn(&mut |_| random.below(3) > 0);
        }
    }
    assert!(torn > 300, "the test tears nothing: {torn}");
}

/// Every change of the disk fails once: what was confirmed survives, what was refused is not taken for durable.
#[test]
fn a_disk_that_fails_at_any_step_stops_the_journal_and_loses_nothing_that_was_confirmed() {
    for survive in [false, true] {
        for changes in 0..40 {
            let disk = MemDisk::default();
            let (mut journal, _) = try_open(&disk, small_segments(1200), 0).unwrap();
            disk.fail_after(changes, io::ErrorKind::StorageFull);
            let mut confirmed = Vec::new();
            let failed = (1..=20).find(|number| {
                let records = instance(*number);
                let result = records.iter().try_for_each(|record| journal.append(record));
                if let Err(error) = result.and_then(|()| journal.commit().map(|_| ())) {
                    assert!(
                        matches!(&error, JournalError::Disk(disk) if disk.source.kind() == io::ErrorKind::StorageFull)
                    );
                    return true;
                }
                confirmed.extend(records);
                false
            });
            assert!(failed.is_some(), "the disk never failed at change {changes}");
            disk.heal();
            assert!(matches!(journal.append(&voted(1)), Err(JournalError::Stopped)));
            assert!(matches!(journal.commit(), Err(JournalError::Stopped)));
            disk.crash_torn(&mut |_| survive);
            let (_, records, _) = open(&disk);
            assert_eq!(records[..confirmed.len()], confirmed, "change {changes}");
            assert!(records.len() <= confirmed.len() + 5);
        }
    }
}

#[test]
fn what_a_failed_commit_wrote_is_taken_back_if_the_disk_allows() {
    let disk = MemDisk::default();
    let (mut journal, ..) = open(&disk);
    commit(&mut journal, &instance(1));
    let before = content(&disk, 0);
    append(&mut journal, &instance(2));
    // The write succeeds, the sync fails, the truncation succeeds again.
    disk.fail_once_after(1, io::ErrorKind::Other);
    let error = journal.commit().unwrap_err();
    assert!(error.to_string().starts_with("cannot sync journal-000000.log"), "{error}");
    assert_eq!(content(&disk, 0), before);
    assert!(matches!(journal.commit(), Err(JournalError::Stopped)));
}

#[test]
fn readers_never_see_what_a_failed_commit_decided() {
    let disk = MemDisk::default();
    let (mut journal, ..) = open(&disk);
    commit(&mut journal, &instance(1));
    append(&mut journal, &instance(2));
    disk.fail_after(0, io::ErrorKind::Other);
    journal.commit().unwrap_err();
    assert_eq!(journal.reader().read_decisions(mod_smart::InstanceId(1), usize::MAX, 9).unwrap().len(), 1);
}

#[test]
fn without_durability_nothing_is_synced_and_an_orderly_end_keeps_everything() {
    let disk = MemDisk::default();
    let options = JournalOptions { durability: Durability::None, ..small_segments(1000) };
    let (mut journal, _) = try_open(&disk, options, 0).unwrap();
    (1..=10).for_each(|number| commit(&mut journal, &instance(number)));
    assert_eq!(disk.syncs(), 0);
    let (_, records, summary) = open(&disk);
    assert_eq!((records.len(), summary.segments), (50, 10));
    disk.crash();
    assert_eq!(open(&disk).1.len(), 50, "opening with durability makes durable what it shows");
    assert_eq!(disk.list().unwrap().len(), 10);
}
