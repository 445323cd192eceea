//! Torn ends are cut off; everything else that is not as it was written is named and left alone.

use super::fixture::*;
use crate::disk::{Disk as _, MemDisk};
use crate::journal::{JournalError, JournalOptions, Torn, segment};
use mod_smart::{InstanceId, Record};

/// Where the frames of a segment begin, and where it ends.
fn boundaries(bytes: &[u8]) -> Vec<usize> {
    let mut boundaries = vec![60];
    while *boundaries.last().unwrap() < bytes.len() {
        let at = *boundaries.last().unwrap();
        let length = u32::from_be_bytes(bytes[at + 4..at + 8].try_into().unwrap());
        boundaries.push(at + 20 + length as usize);
    }
    boundaries
}

/// Opening fails, says where, and changes nothing.
fn assert_damaged(disk: &MemDisk, segment: u32, offset: usize) {
    let before: Vec<_> = disk.list().unwrap().iter().map(|name| (name.clone(), disk.content(name))).collect();
    let error = try_open(disk, JournalOptions::default(), 0).map(|_| ()).unwrap_err();
    let JournalError::Damaged { segment: found_segment, offset: found_offset, .. } = error else { panic!("{error}") };
    assert_eq!((found_segment, found_offset), (segment, offset as u64), "{error}");
    let name = segment::name(segment);
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("{name} is damaged at byte {offset}: ")) && text.ends_with("nothing was deleted")
    );
    let after: Vec<_> = disk.list().unwrap().iter().map(|name| (name.clone(), disk.content(name))).collect();
    assert_eq!(before, after);
}

/// One synced commit per instance in the first segment.
fn written(instances: u64) -> (MemDisk, Vec<u8>) {
    let disk = MemDisk::default();
    let (mut journal, ..) = open(&disk);
    (1..=instances).for_each(|number| commit(&mut journal, &instance(number)));
    let bytes = content(&disk, 0);
    (disk, bytes)
}

#[test]
fn an_end_torn_at_any_byte_of_the_last_commit_is_cut_off_and_writing_goes_on() {
    let (disk, bytes) = written(3);
    let boundaries = boundaries(&bytes);
    let all: Vec<Record> = (1..=3).flat_map(instance).collect();
    for end in boundaries[10]..=bytes.len() {
        plant(&disk, 0, &bytes[..end]);
        let whole = boundaries.iter().filter(|at| **at <= end).count() - 1;
        let (mut journal, records, summary) = open(&disk);
        assert_eq!(records, all[..whole]);
        let cut = boundaries[whole];
        let torn = Torn { segment: 0, offset: cut as u64, bytes: (end - cut) as u64 };
        assert_eq!(summary.torn, (end > cut).then_some(torn));
        commit(&mut journal, &[body(9)]);
        disk.crash();
        let (_, records, summary) = open(&disk);
        assert_eq!(records, [&all[..whole], &[body(9)]].concat());
        assert_eq!(summary.torn, None);
    }
}

#[test]
fn an_end_of_zeros_or_garbage_is_cut_off() {
    let (disk, bytes) = written(2);
    for tail in [vec![0; 5000], vec![0xa5; 70], bytes[60..300].to_vec()] {
        plant(&disk, 0, &[&bytes[..], &tail].concat());
        let (_, records, summary) = open(&disk);
        assert_eq!(records.len(), 10);
        assert_eq!(summary.torn, Some(Torn { segment: 0, offset: bytes.len() as u64, bytes: tail.len() as u64 }));
        assert_eq!(content(&disk, 0), bytes);
    }
}

#[test]
fn a_torn_end_that_looks_like_a_later_record_is_still_torn() {
    let (disk, bytes) = written(2);
    let mark = &bytes[48..52];
    let claim = (bytes.len() as u32 + 30).to_be_bytes();
    let forged = [&[0; 40], mark, &4_u32.to_be_bytes(), &[9; 8], &claim, b"fake", &[1; 50]].concat();
    plant(&disk, 0, &[&bytes[..], &forged].concat());
    let (_, records, summary) = open(&disk);
    assert_eq!((records.len(), summary.torn.unwrap().offset), (10, bytes.len() as u64));
}

#[test]
fn any_flipped_byte_of_an_earlier_commit_is_found_and_named() {
    let (disk, bytes) = written(3);
    let boundaries = boundaries(&bytes);
    for at in boundaries[0]..boundaries[10] {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        plant(&disk, 0, &flipped);
        assert_damaged(&disk, 0, boundaries[boundaries.partition_point(|start| *start <= at) - 1]);
    }
}

#[test]
fn a_flipped_byte_of_the_last_commit_loses_only_what_follows_it() {
    let (disk, bytes) = written(3);
    let boundaries = boundaries(&bytes);
    let all: Vec<Record> = (1..=3).flat_map(instance).collect();
    for at in boundaries[10]..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        plant(&disk, 0, &flipped);
        let (_, records, summary) = open(&disk);
        let whole = boundaries.partition_point(|start| *start <= at) - 1;
        assert_eq!(records, all[..whole]);
        assert_eq!(summary.torn.unwrap().offset, boundaries[whole] as u64);
    }
}

#[test]
fn any_flipped_byte_of_an_earlier_segment_is_found_and_named() {
    let disk = MemDisk::default();
    let (mut journal, _) = try_open(&disk, small_segments(100), 0).unwrap();
    (1..=3).for_each(|number| commit(&mut journal, &instance(number)));
    let bytes = content(&disk, 1);
    let boundaries = boundaries(&bytes);
    for at in 60..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x80;
        plant(&disk, 1, &flipped);
        assert_damaged(&disk, 1, boundaries[boundaries.partition_point(|start| *start <= at) - 1]);
    }
    for at in (0..60).filter(|at| !(8..12).contains(at)) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x80;
        plant(&disk, 1, &flipped);
        assert_damaged(&disk, 1, 0);
    }
    for end in 60..bytes.len() {
        plant(&disk, 1, &bytes[..end]);
        assert_damaged(&disk, 1, *boundaries.iter().rfind(|start| **start <= end).unwrap());
    }
}

#[test]
fn a_record_in_another_place_is_found() {
    let disk = MemDisk::default();
    let (mut journal, ..) = open(&disk);
    // Votes have one length, so that nothing but their place is wrong.
    (1..=6).for_each(|number| commit(&mut journal, &[voted(number)]));
    let bytes = content(&disk, 0);
    let boundaries = boundaries(&bytes);
    let frame = |index: usize| boundaries[index]..boundaries[index + 1];
    for (from, to) in [(0, 2), (3, 1), (1, 0)] {
        let mut copied = bytes.clone();
        copied.copy_within(frame(from), boundaries[to]);
        plant(&disk, 0, &copied);
        assert_damaged(&disk, 0, boundaries[to]);
    }
    let mut swapped = bytes.clone();
    swapped.copy_within(frame(1), boundaries[2]);
    swapped[frame(1)].copy_from_slice(&bytes[frame(2)]);
    plant(&disk, 0, &swapped);
    assert_damaged(&disk, 0, boundaries[1]);
    let without = [&bytes[..boundaries[1]], &bytes[boundaries[2]..]].concat();
    plant(&disk, 0, &without);
    assert_eq!(open(&disk).1, [voted(1)], "without a claim that still stands at its place it is a torn end");
}

#[test]
fn a_record_of_an_earlier_life_that_returns_is_found_by_the_chain() {
    let disk = MemDisk::default();
    let (mut journal, ..) = open(&disk);
    commit(&mut journal, &[voted(1)]);
    let begun = content(&disk, 0);
    commit(&mut journal, &[voted(2)]);
    let old = content(&disk, 0);
    plant(&disk, 0, &begun);
    let (mut journal, ..) = open(&disk);
    // The one record behind it began a commit: what it should follow was durable.
    (3..=4).for_each(|number| commit(&mut journal, &[voted(number)]));
    let mut mixed = content(&disk, 0);
    assert_eq!(mixed[..begun.len()], old[..begun.len()]);
    mixed[..old.len()].copy_from_slice(&old);
    plant(&disk, 0, &mixed);
    assert_damaged(&disk, 0, old.len());
}

#[test]
fn records_and_segments_of_other_segments_are_found() {
    let disk = MemDisk::default();
    let (mut journal, _) = try_open(&disk, small_segments(100), 0).unwrap();
    (1..=4).for_each(|number| commit(&mut journal, &[voted(number), voted(number)]));
    let (first, second) = (content(&disk, 0), content(&disk, 1));
    assert_eq!(first.len(), second.len());
    let mut copied = second.clone();
    copied[60..].copy_from_slice(&first[60..]);
    plant(&disk, 1, &copied);
    assert_damaged(&disk, 1, 60);
    plant(&disk, 1, &first);
    assert_damaged(&disk, 1, 0);
    plant(&disk, 1, &second);
    // The chain runs through the segments: one that ends early, at the end of a record, is missed by the next.
    let end = boundaries(&second)[1];
    plant(&disk, 1, &second[..end]);
    assert_damaged(&disk, 1, end);
    disk.remove(&segment::name(1)).unwrap();
    let error = try_open(&disk, JournalOptions::default(), 0).unwrap_err();
    assert_eq!(error.to_string(), "journal-000001.log is missing, although a later segment exists");
}

#[test]
fn damage_behind_the_back_of_a_reader_is_an_error_and_never_served() {
    let (disk, bytes) = written(3);
    let (journal, ..) = open(&disk);
    let boundaries = boundaries(&bytes);
    for frame in [0, 4] {
        for at in boundaries[frame]..boundaries[frame + 1] {
            let mut flipped = bytes.clone();
            flipped[at] ^= 4;
            disk.open(&segment::name(0)).unwrap().write_at(0, &flipped).unwrap();
            let error = journal.reader().read_decisions(InstanceId(1), usize::MAX, 1).unwrap_err();
            let JournalError::Damaged { segment: 0, offset, .. } = error else { panic!("{error}") };
            assert_eq!(offset, boundaries[frame] as u64);
        }
    }
    disk.open(&segment::name(0)).unwrap().write_at(0, &bytes).unwrap();
    assert_eq!(journal.reader().read_decisions(InstanceId(1), usize::MAX, 9).unwrap().len(), 3);
}

#[test]
fn a_segment_whose_making_was_interrupted_is_made_again() {
    for (segments, segment_bytes) in [(0_u32, 1000), (1, 61), (3, 61)] {
        let disk = MemDisk::default();
        let (mut journal, _) = try_open(&disk, small_segments(segment_bytes), 0).unwrap();
        (1..=u64::from(segments)).for_each(|number| commit(&mut journal, &instance(number)));
        let whole = content(&disk, segments.saturating_sub(1))[..60].to_vec();
        for head in (0..60).map(|end| whole[..end].to_vec()).chain([vec![0; 60]]) {
            let disk = disk.duplicate();
            plant(&disk, segments, &head);
            let (mut journal, replay) = try_open(&disk, small_segments(segment_bytes), 0).unwrap();
            assert_eq!(replay.summary().torn, Some(Torn { segment: segments, offset: 0, bytes: head.len() as u64 }));
            assert_eq!(replay.count() as u64, u64::from(segments) * 5);
            commit(&mut journal, &instance(50));
            disk.crash();
            assert_eq!(open(&disk).1.len() as u64, u64::from(segments) * 5 + 5);
        }
    }
}
