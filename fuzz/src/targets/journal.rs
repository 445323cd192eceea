//! The journal on a disk that lies.

mod start;

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use mod_smart::{InstanceId, Record};
use orderer_node::disk::{Disk as _, MemDisk};
use orderer_node::journal::limits::RECORD_BYTES_MAX;
use orderer_node::journal::{Journal, JournalError, JournalOptions, Replay, set_aside};

use super::protocol::records;
use crate::damage::{Damage, Files, scripts};
use crate::fixtures::GROUP;
use crate::outcome::Outcome;
use crate::sealed;
use crate::target::{Heap, Seed, Target};
pub use start::START;

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
            silently; what is damaged can be set aside whole",
    run: |script| damage(script, &PRISTINE),
    seeds: scripts,
    heap: Heap { base: 8 << 20, per_byte: 96 },
    test_runs: 6_000,
};

pub const TRUNCATED: Target = Target {
    name: "journal_truncated",
    about: "the same for a journal that was truncated, and says in a file where it begins",
    run: |script| damage(script, &PRISTINE_TRUNCATED),
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

fn damage(input: &[u8], pristine: &Pristine) -> Outcome {
    let damage = Damage::run(input, &pristine.files);
    let disk = MemDisk::default();
    damage.files.iter().for_each(|(name, content)| disk.plant(name, content));
    let changed = damage.changed(&pristine.files);
    let (last, durable) = (pristine.last, pristine.durable_bytes);
    let opened = open_and_go_on(&disk, 0, false);
    if let Ok(records) = &opened {
        assert!(pristine.records.starts_with(records), "a record that was not written, or not in this order");
    }
    if damage.is_in_place {
        let hits_durable = changed.iter().any(|&(file, range)| file != last || range.0 < durable);
        let spares_witness = changed.iter().all(|&(file, range)| file != last || range.1 < durable);
        if hits_durable && spares_witness {
            assert!(opened.is_err(), "what was durable was cut off silently");
        }
        if !hits_durable {
            let records = opened.as_ref().expect("only the last commit is damaged");
            assert!(records.len() >= pristine.durable_records, "durable records are lost");
        }
    }
    if opened.as_ref().is_err_and(JournalError::is_damage) {
        begin_anew(&disk);
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
    truncate(disk, after, &again);
    Ok(records)
}

/// Truncates a journal that opens with these records at its newest mark: it loses some of the first ones, and no others.
fn truncate(disk: &MemDisk, after: u64, records: &[Record]) {
    let (journal, _) = open(disk, after).expect("it has opened with these records");
    if journal.truncator().truncate(InstanceId(u64::MAX)).expect("the disk works") == 0 {
        return;
    }
    drop(journal);
    disk.crash();
    let (_, replay) = open(disk, after).expect("a truncated journal opens");
    let kept: Vec<Record> = replay.collect::<Result<_, _>>().expect("the first reading has verified it");
    // Which bodies are shown depends on what stands before them.
    let steps = |records: &[Record]| -> Vec<Record> {
        records.iter().filter(|record| !matches!(record, Record::Body(_))).cloned().collect()
    };
    let (steps, steps_kept) = (steps(records), steps(&kept));
    assert!(steps.ends_with(&steps_kept), "a truncation left something out in the middle");
    let newest = records.iter().filter_map(|record| if let Record::Mark(at) = record { Some(*at) } else { None }).max();
    assert!(newest.is_some_and(|newest| steps_kept.contains(&Record::Mark(newest))), "the mark itself is lost");
}

/// Sets a damaged journal aside: all of it stays there, and an empty one begins.
fn begin_anew(disk: &MemDisk) {
    let segments = |files: Files, prefix: &str| -> Files {
        let ours = |(name, content): (String, Vec<u8>)| Some((name.strip_prefix(prefix)?.to_owned(), content));
        files.into_iter().filter_map(ours).collect()
    };
    let before = segments(contents(disk), "journal-");
    let prefix = set_aside(disk, GROUP).expect("the disk works");
    assert_eq!(segments(contents(disk), &format!("{prefix}journal-")), before, "not all of it was set aside");
    let (_, replay) = open(disk, 0).expect("an empty journal");
    assert_eq!(replay.count(), 0, "something of the damaged journal is left");
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
    /// Which of the files is the last segment.
    last: usize,
    records: Vec<Record>,
    durable_bytes: usize,
    durable_records: usize,
}

static PRISTINE: LazyLock<Pristine> = LazyLock::new(|| Pristine::write(None));

static PRISTINE_TRUNCATED: LazyLock<Pristine> = LazyLock::new(|| Pristine::write(Some(InstanceId(INSTANCES / 2))));

impl Pristine {
    /// Writes a journal, and truncates it at a mark.
    fn write(mark: Option<InstanceId>) -> Self {
        let disk = MemDisk::default();
        let (mut journal, _) = open(&disk, 0).expect("an empty disk");
        let (mut records, mut durable_bytes, mut durable_records) = (Vec::new(), 0, 0);
        for instance in 1..=INSTANCES {
            let before = contents(&disk);
            durable_records = records.len();
            for record in records_of(instance).into_iter().map(|bytes| Record::decode(bytes).expect("a record")) {
                journal.append(&record).expect("a disk in memory takes it");
                records.push(record);
            }
            journal.commit().expect("a disk in memory takes it");
            // A new segment is durable with its head before it takes a commit.
            let is_new = before.len() < contents(&disk).len();
            durable_bytes = if is_new { HEAD_BYTES } else { before.last().map_or(0, |(_, file)| file.len()) };
        }
        if let Some(mark) = mark {
            let removed = journal.truncator().truncate(mark).expect("a disk in memory takes it");
            assert!(removed > 0, "segments before the mark");
        }
        drop(journal);
        let files = contents(&disk);
        let (_, replay) = open(&disk, 0).expect("it was written");
        let kept: Vec<Record> = replay.collect::<Result<_, _>>().expect("it was written");
        assert!(
            records.ends_with(&kept) && (kept.len() < records.len()) == mark.is_some(),
            "all, or all behind a place"
        );
        let last = files.iter().rposition(|(name, _)| name.starts_with("journal-")).expect("a segment");
        assert!(last >= 2 && durable_bytes > HEAD_BYTES, "several segments, the last of two commits");
        let durable_records = durable_records - (records.len() - kept.len());
        Self { files, last, records: kept, durable_bytes, durable_records }
    }
}

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
