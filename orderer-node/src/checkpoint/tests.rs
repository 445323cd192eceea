//! Checkpoints on a disk that forgets, fails and lies.

use std::io;

use super::*;
use crate::disk::{MemDisk, Unsynced};

const GROUP: GroupId = GroupId([5; 32]);

fn checkpoint(instance: u64) -> Checkpoint {
    Checkpoint {
        instance: InstanceId(instance),
        sessions: Bytes::from(vec![instance as u8; 30]),
        application: Bytes::from(vec![instance as u8 + 1; 1500]),
    }
}

/// A state of two chunks and a bit.
fn large(instance: u64) -> Checkpoint {
    let application = (0..2 * STATE_CHUNK_BYTES + 100).map(|at| (at / 7) as u8).collect::<Vec<_>>();
    Checkpoint { application: application.into(), ..checkpoint(instance) }
}

fn manifest(checkpoint: &Checkpoint) -> Manifest {
    Manifest::of(&join_state(&checkpoint.sessions, &checkpoint.application)).unwrap()
}

/// Certificates can be collected by the protocol core only, so it is written as its bytes.
fn certificate(checkpoint: &Checkpoint) -> StableCheckpoint {
    let mut writer = Writer::default();
    writer.u64(checkpoint.instance.0);
    writer.raw(&manifest(checkpoint).digest().0);
    writer.count(3);
    for voter in 0..3 {
        writer.u16(voter);
        writer.raw(&[voter as u8; 64]);
    }
    StableCheckpoint::decode(&mut Reader::new(writer.finish())).unwrap()
}

fn found(checkpoint: &Checkpoint, stable: Option<StableCheckpoint>) -> Found {
    Found {
        checkpoint: checkpoint.clone(),
        manifest: manifest(checkpoint),
        origin: Origin::Ours,
        stable,
        older: Vec::new(),
    }
}

fn open(disk: &MemDisk) -> (CheckpointStore, Opened) {
    CheckpointStore::open(Arc::new(disk.clone()), GROUP).unwrap()
}

fn saved(instances: &[u64]) -> MemDisk {
    let disk = MemDisk::default();
    let (store, opened) = open(&disk);
    assert_eq!(opened, Opened::default());
    for instance in instances {
        assert_eq!(store.save(&checkpoint(*instance)).unwrap(), manifest(&checkpoint(*instance)));
    }
    disk
}

fn state_name(instance: u64) -> String {
    Kind::State.name(InstanceId(instance))
}

fn certificate_name(instance: u64) -> String {
    Kind::Certificate.name(InstanceId(instance))
}

/// The same beside an older state.
fn beside(instance: u64, found: Found) -> Found {
    let older = manifest(&checkpoint(instance));
    Found { older: vec![(InstanceId(instance), older)], ..found }
}

#[test]
fn the_newest_two_are_kept_and_the_newest_is_read() {
    let disk = saved(&[150, 300, 450, 600]);
    let opened = Opened { newest: Some(beside(450, found(&checkpoint(600), None))), damaged: Vec::new() };
    let (store, again) = open(&disk);
    assert_eq!(again, opened);
    let crashed = disk.duplicate();
    crashed.crash();
    assert_eq!(open(&crashed).1, opened);
    assert_eq!(store.instances(), [InstanceId(450), InstanceId(600)]);
    assert_eq!(disk.list().unwrap(), [state_name(450), state_name(600)]);
    store.save(&checkpoint(600)).unwrap();
    assert_eq!(store.instances(), [InstanceId(450), InstanceId(600)], "saved again");
    let empty = Checkpoint { instance: InstanceId(601), sessions: Bytes::new(), application: Bytes::new() };
    store.save(&empty).unwrap();
    assert_eq!(open(&disk).1.newest, Some(beside(600, found(&empty, None))));
}

#[test]
fn a_certificate_stands_beside_its_state_whichever_comes_first() {
    let disk = saved(&[150, 300]);
    let (store, _) = open(&disk);
    let stable = certificate(&checkpoint(300));
    assert_eq!(store.stable_instance(), None);
    store.keep_stable(&stable).unwrap();
    assert_eq!(store.stable_instance(), Some(InstanceId(300)));
    disk.crash();
    let (store, opened) = open(&disk);
    assert_eq!(opened.newest, Some(beside(150, found(&checkpoint(300), Some(stable)))));
    let early = certificate(&checkpoint(450));
    store.keep_stable(&early).unwrap();
    assert_eq!(open(&disk).1.newest.unwrap().checkpoint, checkpoint(300), "a certificate alone is no checkpoint");
    store.save(&checkpoint(450)).unwrap();
    assert_eq!(open(&disk).1.newest, Some(beside(300, found(&checkpoint(450), Some(early)))));
    (4..10).for_each(|k| store.save(&checkpoint(k * 150)).map(|_| ()).unwrap());
    let names = [state_name(1200), state_name(1350), certificate_name(450)];
    assert_eq!(disk.list().unwrap(), names, "of the certificates the newest, and those of kept states");
    store.keep_stable(&certificate(&checkpoint(1350))).unwrap();
    assert_eq!(disk.list().unwrap(), [state_name(1200), state_name(1350), certificate_name(1350)]);
}

#[test]
fn a_state_is_installed_with_its_certificate_or_not_at_all() {
    let disk = saved(&[150, 300]);
    let (store, _) = open(&disk);
    let theirs = large(900);
    let error = store.install(&certificate(&checkpoint(900)), &theirs).unwrap_err();
    assert!(matches!(error, CheckpointError::OtherState(InstanceId(900))), "{error}");
    let stable = certificate(&theirs);
    let (mut old, mut new) = (0, 0);
    for changes in 0..25 {
        for survivors in 0..64_u32 {
            let disk = disk.duplicate();
            let (store, _) = open(&disk);
            disk.fail_after(changes, io::ErrorKind::Other);
            let result = store.install(&stable, &theirs);
            crash(&disk, survivors);
            let (store, opened) = open(&disk);
            assert_eq!(opened.damaged, []);
            let newest = opened.newest.unwrap();
            if newest.checkpoint.instance == InstanceId(300) {
                assert!(result.is_err());
                old += 1;
            } else {
                let expected = found(&theirs, Some(stable.clone()));
                let older = newest.older.clone();
                assert!(older.iter().any(|(instance, _)| *instance == InstanceId(300)), "the one before is kept");
                assert_eq!(newest, Found { origin: Origin::Others, older, ..expected });
                new += 1;
            }
            store.save(&checkpoint(1050)).unwrap();
            store.keep_stable(&certificate(&checkpoint(1050))).unwrap();
            let files = disk.list().unwrap();
            assert!(files.len() <= 4 && !files.iter().any(|file| file::is_left_behind(file)), "{files:?}");
        }
    }
    assert!(old > 0 && new > 0, "{old} {new}");
}

fn crash(disk: &MemDisk, survivors: u32) {
    let mut asked = 0;
    disk.crash_torn(&mut |_| {
        asked += 1;
        survivors >> (asked % 6) & 1 == 1
    });
}

/// Every step of a saving fails, and every mixture of what was not synced survives.
#[test]
fn a_saving_that_is_interrupted_leaves_the_old_one_or_the_new_one() {
    let (mut old, mut new) = (0, 0);
    for changes in 0..12 {
        for survivors in 0..64_u32 {
            let disk = saved(&[150, 300]);
            let (store, _) = open(&disk);
            disk.fail_after(changes, io::ErrorKind::Other);
            let result = store.save(&checkpoint(450));
            crash(&disk, survivors);
            let (store, opened) = open(&disk);
            assert_eq!(opened.damaged, [], "a checkpoint has its name only when it is whole");
            let newest = opened.newest.unwrap().checkpoint;
            assert!(newest == checkpoint(300) && result.is_err() || newest == checkpoint(450));
            if newest.instance == InstanceId(300) {
                old += 1
            } else {
                new += 1
            }
            store.save(&checkpoint(600)).unwrap();
            assert_eq!(disk.list().unwrap().len(), KEPT, "nothing is left behind");
        }
    }
    assert!(old > 0 && new > 0, "{old} {new}");
}

#[test]
fn an_unsynced_rename_may_be_lost_but_not_half_done() {
    let disk = saved(&[150]);
    let (store, _) = open(&disk);
    // Removing, creating, three writes, syncing and renaming succeed; syncing the names does not.
    disk.fail_after(7, io::ErrorKind::Other);
    store.save(&checkpoint(300)).unwrap_err();
    disk.crash_torn(&mut |what| matches!(what, Unsynced::Name(_)));
    assert_eq!(open(&disk).1.newest.unwrap().checkpoint, checkpoint(300));
}

fn damages(bytes: &[u8], other: Vec<u8>) -> Vec<Vec<u8>> {
    let flipped = (0..bytes.len()).map(|at| {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 0x20;
        flipped
    });
    let cut = (0..bytes.len()).step_by(7).map(|end| bytes[..end].to_vec());
    flipped.chain(cut).chain([[bytes, &[0]].concat(), other]).collect()
}

#[test]
fn any_damage_of_the_newest_is_named_and_the_one_before_counts() {
    let disk = saved(&[150, 300]);
    let file = state_name(300);
    let bytes = disk.content(&file).unwrap();
    for damaged in damages(&bytes, disk.content(&state_name(150)).unwrap()) {
        disk.plant(&file, &damaged);
        let (store, opened) = open(&disk);
        assert_eq!(opened.newest.unwrap().checkpoint, checkpoint(150));
        assert_eq!(opened.damaged.iter().map(|damaged| &damaged.file).collect::<Vec<_>>(), [&file]);
        assert_eq!(store.instances(), [InstanceId(150)]);
    }
    let (store, _) = open(&disk);
    store.save(&checkpoint(200)).unwrap();
    assert!(disk.content(&file).is_some(), "a damaged one is not removed for older ones");
    store.save(&checkpoint(300)).unwrap();
    assert_eq!(open(&disk).1, Opened { newest: Some(beside(200, found(&checkpoint(300), None))), damaged: Vec::new() });
    assert_eq!(store.instances(), [InstanceId(200), InstanceId(300)]);
}

#[test]
fn when_both_are_damaged_there_is_none() {
    let disk = saved(&[150, 300]);
    for instance in [150, 300] {
        disk.plant(&state_name(instance), b"rust");
    }
    let opened = open(&disk).1;
    assert_eq!(opened.newest, None);
    assert_eq!(opened.damaged.len(), 2);
}

#[test]
fn a_damaged_certificate_is_named_and_its_state_counts_without_it() {
    let disk = saved(&[150, 300]);
    let older = certificate(&checkpoint(150));
    open(&disk).0.keep_stable(&older).unwrap();
    open(&disk).0.keep_stable(&certificate(&checkpoint(300))).unwrap();
    let file = certificate_name(300);
    let bytes = disk.content(&file).unwrap();
    for damaged in damages(&bytes, disk.content(&certificate_name(150)).unwrap()) {
        disk.plant(&file, &damaged);
        let opened = open(&disk).1;
        let expected = beside(150, found(&checkpoint(300), Some(older.clone())));
        assert_eq!(opened.newest, Some(expected), "the newest that is known");
        assert_eq!(opened.damaged.iter().map(|damaged| &damaged.file).collect::<Vec<_>>(), [&file]);
    }
}

#[test]
fn a_state_that_its_certificate_does_not_name_is_not_recovered_from() {
    let disk = saved(&[150, 300]);
    let other = Checkpoint { instance: InstanceId(300), ..checkpoint(7) };
    open(&disk).0.keep_stable(&certificate(&other)).unwrap();
    let opened = open(&disk).1;
    assert_eq!(opened.newest.unwrap().checkpoint, checkpoint(150));
    let damaged = DamagedFile { file: state_name(300), reason: "it is not the state that a quorum signed".to_owned() };
    assert_eq!(opened.damaged, [damaged]);
}

#[test]
fn chunks_are_read_one_by_one_and_never_when_damaged() {
    let disk = MemDisk::default();
    let (store, theirs) = (open(&disk).0, large(150));
    store.save(&theirs).unwrap();
    let (state, manifest) = (join_state(&theirs.sessions, &theirs.application), manifest(&theirs));
    for store in [store, open(&disk).0] {
        let chunks = (0..3).map(|index| store.read_chunk(InstanceId(150), index).unwrap().unwrap());
        assert_eq!(chunks.collect::<Vec<_>>().concat(), state);
        assert_eq!(manifest.chunks(), 3);
        assert_eq!(store.read_chunk(InstanceId(150), 3).unwrap(), None);
        assert_eq!(store.read_chunk(InstanceId(150), u32::MAX).unwrap(), None);
        assert_eq!(store.read_chunk(InstanceId(151), 0).unwrap(), None);
        let file = disk.open(&state_name(150)).unwrap();
        file.write_at(HEAD_BYTES as u64 + STATE_CHUNK_BYTES as u64 + 5, &[0xee]).unwrap();
        assert!(store.read_chunk(InstanceId(150), 0).unwrap().is_some());
        let error = store.read_chunk(InstanceId(150), 1).unwrap_err().to_string();
        assert_eq!(error, format!("{} is damaged in chunk 1; nothing of it was given away", state_name(150)));
        file.write_at(HEAD_BYTES as u64, &state).unwrap();
    }
}

#[test]
fn a_state_whose_journal_is_lost_is_noted_as_such() {
    let disk = saved(&[150, 300]);
    let (store, opened) = open(&disk);
    let ours = opened.newest.unwrap();
    store.disown(&ours).unwrap();
    disk.crash();
    let (store, opened) = open(&disk);
    let theirs = Found { origin: Origin::Others, ..ours };
    assert_eq!(opened.newest.as_ref(), Some(&theirs));
    assert_eq!(store.instances(), [InstanceId(150), InstanceId(300)]);
    let syncs = disk.syncs();
    store.disown(&theirs).unwrap();
    assert_eq!(disk.syncs(), syncs);
}

#[test]
fn another_groups_checkpoint_is_refused() {
    let disk = saved(&[150]);
    let error = CheckpointStore::open(Arc::new(disk), GroupId([6; 32])).map(|_| ()).unwrap_err();
    assert!(matches!(error, CheckpointError::OtherGroup { found: GROUP, .. }), "{error}");
}
