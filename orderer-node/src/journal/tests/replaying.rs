//! What a replica is shown that starts from a checkpoint.

use std::collections::BTreeSet;

use super::fixture::*;
use crate::disk::MemDisk;
use crate::journal::{JournalOptions, entry};
use mod_smart::{Digest, InstanceId, Record};

fn replay(disk: &MemDisk, options: JournalOptions, after: u64) -> Vec<Record> {
    try_open(disk, options, after).unwrap().1.map(Result::unwrap).collect()
}

#[test]
fn what_the_checkpoint_settled_is_left_out_and_promised_bodies_are_not() {
    let disk = MemDisk::default();
    let (mut journal, _) = try_open(&disk, small_segments(1000), 0).unwrap();
    commit(&mut journal, &[body(100), body(4)]);
    (1..=3).for_each(|number| commit(&mut journal, &instance(number)));
    commit(&mut journal, &[body(101), voted(4), decided(4, &[4]), body(5), voted(5)]);
    let shown = |after| {
        let (bodies, others): (Vec<_>, Vec<_>) =
            replay(&disk, small_segments(1000), after).into_iter().partition(|record| body_digest(record).is_some());
        assert_eq!(others.len(), 3 * 4 + 3, "whatever is no body");
        bodies
    };
    assert_eq!(shown(3), [body(100), body(4), body(101), body(5)]);
    assert_eq!(shown(4), [body(100), body(101), body(5)]);
    assert_eq!(shown(5), [body(100), body(101), body(5)]);
}

#[test]
fn a_replay_does_not_show_what_is_appended_after_it_began() {
    let disk = MemDisk::default();
    let (mut journal, _) = try_open(&disk, small_segments(500), 0).unwrap();
    commit(&mut journal, &instance(1));
    let (mut journal, replay) = try_open(&disk.duplicate(), small_segments(500), 0).unwrap();
    commit(&mut journal, &instance(2));
    commit(&mut journal, &instance(3));
    assert_eq!(replay.map(Result::unwrap).collect::<Vec<_>>(), instance(1));
}

/// Random histories with bodies journalled twice, decided twice and never, and memory bounds so small that positions
/// are forgotten. Whatever the checkpoint, the replica is shown enough to go on, in order, and no settled body that
/// stands before everything it needs.
#[test]
fn any_checkpoint_of_any_history_is_shown_what_it_needs() {
    for seed in 0..200 {
        let (disk, mut random) = (MemDisk::default(), Random(seed));
        let options = JournalOptions {
            segment_bytes: 700,
            bodies_waiting_max: 1 + random.below(20) as usize,
            bodies_recent_max: 1 + random.below(4) as usize,
            ..JournalOptions::default()
        };
        let history = write_history(&disk, options, &mut random);
        for after in 0..=9 {
            let shown = replay(&disk.duplicate(), options, after);
            check(&history, &shown, after);
        }
    }
}

fn write_history(disk: &MemDisk, options: JournalOptions, random: &mut Random) -> Vec<Record> {
    let (mut journal, _) = try_open(disk, options, 0).unwrap();
    let mut history = Vec::new();
    let mut known = Vec::new();
    let mut decisions = 0;
    while decisions < 8 {
        let record = match random.below(4) {
            0 | 1 => {
                known.push(random.below(12));
                body(*known.last().unwrap())
            }
            2 => voted(decisions + 1),
            _ if known.is_empty() => continue,
            _ => {
                decisions += 1;
                let batch: BTreeSet<u64> = (0..2).map(|_| known[random.below(known.len() as u64) as usize]).collect();
                decided(decisions, &batch.into_iter().collect::<Vec<_>>())
            }
        };
        journal.append(&record).unwrap();
        history.push(record);
        if random.below(3) == 0 {
            journal.commit().unwrap();
        }
    }
    journal.commit().unwrap();
    history
}

fn check(history: &[Record], shown: &[Record], after: u64) {
    assert!(is_subsequence(shown, history), "in the order of the journal");
    let is_later = |record: &Record| entry::instance(record).is_some_and(|instance| instance > InstanceId(after));
    let others = |records: &[Record]| {
        let others = records.iter().filter(|record| body_digest(record).is_none());
        others.cloned().collect::<Vec<_>>()
    };
    assert_eq!(others(shown), others(history), "whatever is no body");

    let mut held = BTreeSet::new();
    for record in shown {
        held.extend(body_digest(record));
        if let Record::Decided(decided) = record
            && is_later(record)
        {
            assert!(decided.requests.iter().all(|digest| held.contains(digest)), "a decision without a body");
        }
    }
    let first_later = history.iter().position(is_later).unwrap_or(history.len());
    for digest in history.iter().filter_map(body_digest) {
        let settles =
            |record: &Record| matches!(record, Record::Decided(decided) if decided.requests.contains(&digest));
        let last_body = history.iter().rposition(|record| body_digest(record) == Some(digest)).unwrap();
        match history.iter().rposition(settles) {
            None => assert!(held.contains(&digest), "a promised body is forgotten"),
            Some(at) if last_body < at && at < first_later => assert!(!held.contains(&digest), "settled, but shown"),
            Some(_) => {}
        }
    }
}

fn body_digest(record: &Record) -> Option<Digest> {
    if let Record::Body(request) = record { Some(request.digest()) } else { None }
}

fn is_subsequence(part: &[Record], whole: &[Record]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|record| rest.any(|other| other == record))
}
