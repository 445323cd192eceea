//! The small files beside the journal: checkpoints and the credentials of frontends.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use mod_smart::checkpoint::join_state;
use mod_smart::codec::{Reader, Writer};
use mod_smart::{InstanceId, Manifest, StableCheckpoint};
use orderer_node::checkpoint::{Checkpoint, CheckpointStore, Found, Opened, Origin};
use orderer_node::credential_store::CredentialStore;
use orderer_node::disk::{Disk as _, MemDisk};
use orderer_node::keys::NodeKeyring;

use super::journal::size;
use super::mesh::{credential, keyring};
use super::protocol::certificate_of_checkpoint;
use crate::damage::{Damage, Files, scripts};
use crate::fixtures::GROUP;
use crate::outcome::Outcome;
use crate::sealed;
use crate::target::{Heap, Seed, Target};

pub const FILE: Target = Target {
    name: "checkpoint_file",
    about: "the content of a checkpoint under a right checksum: what is read is what a checkpoint of it would hold",
    run: file,
    seeds: || {
        let found = |origin| Found { origin, ..found(300, None, &[]) };
        vec![
            Seed::new("checkpoint", body_of(&found(Origin::Ours))),
            Seed::new("checkpoint-of-others", body_of(&found(Origin::Others))),
        ]
    },
    heap: Heap::SMALL,
    test_runs: 10_000,
};

pub const CERTIFICATE: Target = Target {
    name: "checkpoint_certificate",
    about: "the certificate of a checkpoint under a right checksum, beside a state: what is read is written the same way, and \
            a state that it does not name is not used",
    run: certificate,
    seeds: || vec![Seed::new("certificate", unsummed(saved(STABLE, 300).1))],
    heap: Heap::SMALL,
    test_runs: 10_000,
};

pub const DAMAGE: Target = Target {
    name: "checkpoint_damage",
    about: "a script of damage to two checkpoints and their certificates: the newest that verifies counts, and it is one that \
            was saved",
    run: damage,
    seeds: scripts,
    heap: Heap { base: 64 << 10, per_byte: 96 },
    test_runs: 10_000,
};

pub const CREDENTIALS: Target = Target {
    name: "credential_file",
    about: "the credentials of frontends under a right checksum: only genuine ones are believed",
    run: credentials,
    seeds: || {
        let genuine = credential(1);
        vec![Seed::new("none", credential_body(&[])), Seed::new("one", credential_body(&[genuine]))]
    },
    heap: Heap::MEDIUM,
    test_runs: 5_000,
};

fn file(input: &[u8]) -> Outcome {
    let disk = MemDisk::default();
    disk.plant(&name(STATE, 300), &sealed::summed_behind(input));
    let (store, opened) = match CheckpointStore::open(Arc::new(disk.clone()), GROUP) {
        Ok(opened) => opened,
        Err(error) => return Outcome::refused(error),
    };
    let Some(found) = opened.newest else {
        let [damaged] = &opened.damaged[..] else { panic!("neither good nor damaged") };
        return Outcome::refused(&damaged.reason);
    };
    assert_eq!(body_of(&found), input, "one checkpoint has one file");
    assert_eq!(found.stable, None, "nobody has signed it");
    check_kept(&store, &[found.checkpoint]);
    Outcome::accepted(format_args!("a checkpoint, {:?}", found.origin))
}

fn certificate(input: &[u8]) -> Outcome {
    let disk = MemDisk::default();
    let (state, content) = saved(STATE, 300);
    disk.plant(&state, &content);
    disk.plant(&name(STABLE, 300), &sealed::summed_behind(input));
    let (_, opened) = match CheckpointStore::open(Arc::new(disk), GROUP) {
        Ok(opened) => opened,
        Err(error) => return Outcome::refused(error),
    };
    let expected = match &opened.damaged[..] {
        // What is no certificate does not count, and nothing else is wrong.
        [damaged] if damaged.file != state => Some(found(300, None, &[])),
        // One that names another state keeps this one from being used.
        [_] => None,
        _ => {
            let stable = opened.newest.as_ref().and_then(|found| found.stable.clone()).expect("a certificate");
            let mut writer = Writer::default();
            stable.encode(&mut writer);
            assert_eq!(writer.finish(), input[HEAD_BYTES..], "one certificate has one encoding");
            Some(found(300, Some(stable), &[]))
        }
    };
    assert_eq!(opened.newest, expected);
    match opened.damaged.first() {
        Some(damaged) => Outcome::refused(&damaged.reason),
        None => Outcome::accepted("a certificate"),
    }
}

fn damage(input: &[u8]) -> Outcome {
    let damage = Damage::run(input, &SAVED);
    let disk = MemDisk::default();
    damage.files.iter().for_each(|(name, content)| disk.plant(name, content));
    let (store, opened) = match CheckpointStore::open(Arc::new(disk.clone()), GROUP) {
        Ok(opened) => opened,
        Err(error) => return Outcome::refused(error),
    };
    let good = |kind: &str| -> Vec<u64> {
        let is_good = |at: &u64| SAVED.iter().any(|file| file.0 == name(kind, *at) && damage.files.contains(file));
        [150, 300].into_iter().filter(is_good).collect()
    };
    let (states, certificates) = (good(STATE), good(STABLE));
    let newest_certificate = certificates.last().map(|at| stable(*at));
    let newest = states.split_last().map(|(at, older)| {
        let its_own = certificates.contains(at).then(|| stable(*at));
        found(*at, its_own.or_else(|| newest_certificate.clone()), older)
    });
    assert_eq!(opened.newest, newest, "another checkpoint than the newest good one");
    check_kept(&store, &states.iter().map(|at| checkpoint(*at)).collect::<Vec<_>>());
    store.save(&checkpoint(450)).expect("a damaged checkpoint does not keep a new one from being saved");
    let (_, again) = CheckpointStore::open(Arc::new(disk), GROUP).expect("it opened before");
    assert_eq!(
        again,
        Opened {
            newest: Some(found(450, newest_certificate, states.last().map(std::slice::from_ref).unwrap_or_default())),
            damaged: Vec::new()
        }
    );
    let (states, certificates, damaged) = (size(states.len()), size(certificates.len()), size(opened.damaged.len()));
    Outcome::accepted(format_args!("{states} good, {certificates} with certificates, {damaged} damaged"))
}

/// These states are kept, oldest first, and given away as they were saved.
fn check_kept(store: &CheckpointStore, expected: &[Checkpoint]) {
    assert_eq!(store.instances(), expected.iter().map(|checkpoint| checkpoint.instance).collect::<Vec<_>>());
    for checkpoint in expected {
        let chunk = store.read_chunk(checkpoint.instance, 0).expect("it was verified");
        assert_eq!(chunk, Some(join_state(&checkpoint.sessions, &checkpoint.application)), "a chunk of another state");
    }
}

fn credentials(input: &[u8]) -> Outcome {
    let disk = MemDisk::default();
    disk.plant("credentials", &sealed::summed_before(input));
    let keyring: NodeKeyring = keyring();
    match CredentialStore::open(Arc::new(disk), GROUP, &keyring) {
        Ok(_) => {
            let believed = keyring.credentials();
            for credential in &believed {
                credential.verify(GROUP).expect("a credential is believed that does not verify");
            }
            Outcome::accepted(if believed.is_empty() { "nobody is believed" } else { "some are believed" })
        }
        Err(error) => Outcome::refused(error),
    }
}

fn checkpoint(instance: u64) -> Checkpoint {
    let fill = |length: usize| Bytes::from(vec![instance as u8; length]);
    Checkpoint { instance: InstanceId(instance), sessions: fill(60), application: fill(900) }
}

/// A checkpoint of our own, beside older ones.
fn found(instance: u64, stable: Option<StableCheckpoint>, older: &[u64]) -> Found {
    let checkpoint = checkpoint(instance);
    let manifest = manifest(&checkpoint);
    let older = older.iter().map(|at| (InstanceId(*at), self::manifest(&self::checkpoint(*at)))).collect();
    Found { checkpoint, manifest, origin: Origin::Ours, stable, older }
}

fn manifest(checkpoint: &Checkpoint) -> Manifest {
    Manifest::of(&join_state(&checkpoint.sessions, &checkpoint.application)).expect("a small state")
}

/// The certificate of the checkpoint after this instance.
fn stable(instance: u64) -> StableCheckpoint {
    let bytes = certificate_of_checkpoint(instance, manifest(&checkpoint(instance)).digest());
    StableCheckpoint::decode(&mut Reader::new(bytes)).expect("a certificate")
}

/// The file of a checkpoint without its checksum.
fn body_of(found: &Found) -> Vec<u8> {
    let disk = MemDisk::default();
    let (store, _) = CheckpointStore::open(Arc::new(disk.clone()), GROUP).expect("an empty disk");
    store.save(&found.checkpoint).expect("a disk in memory takes it");
    if found.origin == Origin::Others {
        store.disown(&Found { origin: Origin::Ours, ..found.clone() }).expect("a disk in memory takes it");
    }
    unsummed(disk.content(&name(STATE, found.checkpoint.instance.0)).expect("it was saved"))
}

/// Files of our own checkpoints, and of their certificates.
static SAVED: LazyLock<Files> = LazyLock::new(|| {
    let disk = MemDisk::default();
    let (store, _) = CheckpointStore::open(Arc::new(disk.clone()), GROUP).expect("an empty disk");
    for instance in [150, 300] {
        store.save(&checkpoint(instance)).expect("a disk in memory takes it");
        store.keep_stable(&stable(instance)).expect("a disk in memory takes it");
    }
    let names = disk.list().expect("a disk in memory has a list");
    let files: Files = names.into_iter().filter_map(|name| Some((name.clone(), disk.content(&name)?))).collect();
    assert_eq!(files.len(), 4, "two states with their certificates");
    files
});

fn saved(kind: &str, instance: u64) -> (String, Vec<u8>) {
    SAVED.iter().find(|file| file.0 == name(kind, instance)).expect("it is among them").clone()
}

fn unsummed(mut file: Vec<u8>) -> Vec<u8> {
    file.truncate(file.len() - 4);
    file
}

fn name(kind: &str, instance: u64) -> String {
    format!("{kind}-{instance:020}")
}

/// How the names of the two kinds of files begin.
const STATE: &str = "checkpoint";
const STABLE: &str = "stable";
/// Bytes before the content of either.
const HEAD_BYTES: usize = 64;

/// The file of credentials without its checksum.
fn credential_body(credentials: &[frontend_shim::keys::Credential]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.raw(b"frontds1");
    writer.raw(&GROUP.0);
    writer.count(credentials.len());
    credentials.iter().for_each(|credential| credential.encode(&mut writer));
    writer.finish().to_vec()
}
