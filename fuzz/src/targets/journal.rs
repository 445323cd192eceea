//! The journal on a disk that lies.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use mod_smart::{InstanceId, Record};
use orderer_node::disk::{Disk as _, MemDisk};
use orderer_node::journal::limits::RECORD_BYTES_MAX;
use orderer_node::journal::{Journal, JournalError, JournalOptions, Replay};

use super::protocol::records;
use crate::damage::{Damage, Files, scripts};
use crate::fixtures::GROUP;
use crate::outcome::Outcome;
use crate::sealed;
use crate::target::{Heap, Seed, Target};

pub const FILE: Target = Target {
    name: "journal_file",
    about: "any bytes as the only segment: opens and goes on, or is named as damaged and left alone",
    run: file,
    seeds: || vec![Seed::new("two-instances", sealed::journal(&parts_of(&payloads())))],
    heap: Heap::LARGE,
    test_runs: 10_000,
};

pub const PAYLOADS: Target = Target {
    name: "journal_payloads",
    about: "frames with right checksums around any payloads: what is shown was written",
    run: payloads_in_frames,
    seeds: || vec![Seed::new("two-instances", sealed::join(&parts_of(&payloads())))],
    // A decision names its bodies by place and length, and a body of that length is made room for before it is read.
    heap: Heap { base: (6 << 20) + RECORD_BYTES_MAX, per_byte: 96 },
    test_runs: 10_000,
};

pub const DAMAGE: Target = Target {
    name: "journal_damage",
    about: "a script of damage to a written journal: never a record that was not written, never one that was durable lost \
            silently",
    run: damage,
    seeds: scripts,
    heap: Heap { base: 8 << 20, per_byte: 96 },
    test_runs: 6_000,
};

fn file(input: &[u8]) -> Outcome {
    let disk = MemDisk::default();
    disk.plant("journal-000000.log", input);
    Outcome::from(open_and_go_on(&disk, 0, false).map(|records| size(records.len())))
}

fn payloads_in_frames(input: &[u8]) -> Outcome {
    let payloads = sealed::parts(input);
    let disk = MemDisk::default();
    disk.plant("journal-000000.log", &sealed::journal(&payloads));
    // Every payload ends with its record, behind positions of twelve bytes each.
    let is_written = |record: &Record| {
        let encoded = record.encode();
        payloads.iter().any(|payload| payload.ends_with(&encoded))
    };
    Outcome::from(open_and_go_on(&disk, 1, true).map(|records| {
        assert!(records.iter().all(is_written), "a record that nobody wrote");
        size(records.len())
    }))
}

fn damage(input: &[u8]) -> Outcome {
    let pristine = &*PRISTINE;
    let damage = Damage::run(input, &pristine.files);
    let disk = MemDisk::default();
    damage.files.iter().for_each(|(name, content)| disk.plant(name, content));
    let changed = damage.changed(&pristine.files);
    let (last, durable) = (pristine.files.len() - 1, pristine.durable_bytes);
    let opened = open_and_go_on(&disk, 0, false);
    if let Ok(records) = &opened {
        assert!(pristine.records.starts_with(records), "a record that was not written, or not in this order");
    }
    if damage.is_in_place {
        let hits_durable = changed.iter().any(|&(file, range)| file < last || range.0 < durable);
        let spares_witness = changed.iter().all(|&(file, range)| file < last || range.1 < durable);
        if hits_durable && spares_witness {
            assert!(opened.is_err(), "what was durable was cut off silently");
        }
        if !hits_durable {
            let records = opened.as_ref().expect("only the last commit is damaged");
            assert!(records.len() >= pristine.durable_records, "durable records are lost");
        }
    }
    // From a checkpoint in the middle another part is shown, but nothing else either.
    let disk = MemDisk::default();
    damage.files.iter().for_each(|(name, content)| disk.plant(name, content));
    if let Ok((_, replay)) = open(&disk, 3) {
        let written: BTreeSet<Bytes> = pristine.records.iter().map(Record::encode).collect();
        assert!(replay.flatten().all(|record| written.contains(&record.encode())), "a record that was not written");
    }
    Outcome::from(opened.map(|records| size(records.len())))
}

/// Opens a journal and reads all of it. What opens takes a further commit and opens again, with that added; what does not
/// is left as it was.
///
/// `are_places_ours` says that positions in decisions are part of the input, under checksums that make them believed.
fn open_and_go_on(disk: &MemDisk, after: u64, are_places_ours: bool) -> Result<Vec<Record>, JournalError> {
    let before = contents(disk);
    let (mut journal, replay) = match open(disk, after) {
        Ok(opened) => opened,
        Err(error) => {
            assert_eq!(contents(disk), before, "a journal that does not open was changed");
            return Err(error);
        }
    };
    // Frames are verified at the first reading. The places of bodies are believed, and looked at only now.
    let records: Vec<Record> = match replay.collect::<Result<_, _>>() {
        Err(error) if are_places_ours => return Err(error),
        records => records.expect("the first reading has verified it"),
    };
    let reader = journal.reader();
    let read = reader.read_decisions(InstanceId(1), 4, 1 << 20);
    let more = Record::decode(records_of(77)[2].clone()).expect("a vote");
    journal.append(&more).expect("an open journal takes records");
    journal.commit().expect("the disk works");
    drop((journal, reader, read));
    disk.crash();
    let (_, replay) = open(disk, after).expect("what was opened opens again");
    assert!(replay.summary().torn.is_none(), "torn although it was mended");
    let again: Vec<Record> = replay.collect::<Result<_, _>>().expect("the first reading has verified it");
    // A body is shown as long as it may be needed, so bodies may come first the second time; nothing is lost.
    assert!(records.iter().all(|record| again.contains(record)) && again.contains(&more), "records are lost");
    Ok(records)
}

fn open(disk: &MemDisk, after: u64) -> Result<(Journal, Replay), JournalError> {
    let options = JournalOptions { segment_bytes: SEGMENT_BYTES, ..JournalOptions::default() };
    Journal::open(Arc::new(disk.clone()), GROUP, options, InstanceId(after))
}

fn contents(disk: &MemDisk) -> Files {
    let names = disk.list().expect("a disk in memory has a list");
    names.into_iter().filter_map(|name| Some((name.clone(), disk.content(&name)?))).collect()
}

/// A journal of several segments, and how much of it is durable beyond doubt: the last commit could be a torn one.
struct Pristine {
    files: Files,
    records: Vec<Record>,
    durable_bytes: usize,
    durable_records: usize,
}

static PRISTINE: LazyLock<Pristine> = LazyLock::new(|| {
    let disk = MemDisk::default();
    let (mut journal, _) = open(&disk, 0).expect("an empty disk");
    let mut pristine = Pristine { files: Files::new(), records: Vec::new(), durable_bytes: 0, durable_records: 0 };
    for instance in 1..=INSTANCES {
        let before = contents(&disk);
        pristine.durable_records = pristine.records.len();
        for record in records_of(instance).into_iter().map(|bytes| Record::decode(bytes).expect("a record")) {
            journal.append(&record).expect("a disk in memory takes it");
            pristine.records.push(record);
        }
        journal.commit().expect("a disk in memory takes it");
        pristine.files = contents(&disk);
        // A new segment is durable with its head before it takes a commit.
        let is_new = before.len() < pristine.files.len();
        pristine.durable_bytes = if is_new { HEAD_BYTES } else { before.last().map_or(0, |(_, file)| file.len()) };
    }
    assert!(
        pristine.files.len() > 2 && pristine.durable_bytes > HEAD_BYTES,
        "several segments, the last of two commits"
    );
    pristine
});

/// The payloads of two instances: positions of bodies, then the record. The second decision has forgotten its position.
fn payloads() -> Vec<Vec<u8>> {
    let mut payloads: Vec<Vec<u8>> = Vec::new();
    for (instance, position) in [(1, [0, 60, 0]), (2, [u32::MAX; 3])] {
        for (at, record) in records_of(instance).iter().enumerate() {
            let mut payload = vec![0; 4];
            if at == 4 {
                // The first decision says where its body stands: right behind the head.
                let length = if instance == 1 { payloads[0].len() as u32 } else { u32::MAX };
                payload = 1_u32.to_be_bytes().to_vec();
                payload.extend([position[0], position[1], length].map(u32::to_be_bytes).as_flattened());
            }
            payload.extend_from_slice(record);
            payloads.push(payload);
        }
    }
    payloads
}

fn records_of(instance: u64) -> Vec<Bytes> {
    records(instance)
}

fn parts_of(payloads: &[Vec<u8>]) -> Vec<&[u8]> {
    payloads.iter().map(Vec::as_slice).collect()
}

/// How many, in words, so that it tells classes apart but not every number.
pub fn size(count: usize) -> &'static str {
    match count {
        0 => "none",
        1 => "one",
        2..=5 => "a few",
        6..=20 => "some",
        _ => "many",
    }
}

const SEGMENT_BYTES: u32 = 1500;
/// Bytes of the head of a segment.
const HEAD_BYTES: usize = 60;
const INSTANCES: u64 = 8;
