//! The small files beside the journal: checkpoints and the credentials of frontends.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use mod_smart::InstanceId;
use mod_smart::codec::Writer;
use orderer_node::checkpoint::{Checkpoint, CheckpointStore, Opened};
use orderer_node::credential_store::CredentialStore;
use orderer_node::disk::{Disk as _, MemDisk};
use orderer_node::keys::NodeKeyring;

use super::journal::size;
use super::mesh::{credential, keyring};
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
        let body = body_of(&checkpoint(300));
        vec![Seed::new("checkpoint", body)]
    },
    heap: Heap::SMALL,
    test_runs: 10_000,
};

pub const DAMAGE: Target = Target {
    name: "checkpoint_damage",
    about: "a script of damage to two checkpoints: the newest that verifies counts, and it is one that was saved",
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
    disk.plant(&name(300), &sealed::summed_behind(input));
    let (store, opened) = match CheckpointStore::open(Arc::new(disk.clone()), GROUP) {
        Ok(opened) => opened,
        Err(error) => return Outcome::refused(error),
    };
    let Some(checkpoint) = opened.newest else {
        let [damaged] = &opened.damaged[..] else { panic!("neither good nor damaged") };
        return Outcome::refused(&damaged.reason);
    };
    assert_eq!(body_of(&checkpoint), input, "one checkpoint has one file");
    assert_eq!(store.instances(), [checkpoint.instance]);
    Outcome::accepted("a checkpoint")
}

fn damage(input: &[u8]) -> Outcome {
    let damage = Damage::run(input, &SAVED);
    let disk = MemDisk::default();
    damage.files.iter().for_each(|(name, content)| disk.plant(name, content));
    let (mut store, opened) = match CheckpointStore::open(Arc::new(disk.clone()), GROUP) {
        Ok(opened) => opened,
        Err(error) => return Outcome::refused(error),
    };
    let expected: Vec<u64> =
        [150, 300].into_iter().filter(|at| damage.files.iter().any(|file| *file == saved(*at))).collect();
    let newest = expected.last().map(|at| checkpoint(*at));
    assert_eq!(opened.newest, newest, "another checkpoint than the newest good one");
    store.save(&checkpoint(450)).expect("a damaged checkpoint does not keep a new one from being saved");
    let (_, again) = CheckpointStore::open(Arc::new(disk), GROUP).expect("it opened before");
    assert_eq!(again, Opened { newest: Some(checkpoint(450)), damaged: Vec::new() });
    Outcome::accepted(format_args!("{} good, {} damaged", size(expected.len()), size(opened.damaged.len())))
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

/// The file of a checkpoint without its checksum.
fn body_of(checkpoint: &Checkpoint) -> Vec<u8> {
    let disk = MemDisk::default();
    let (mut store, _) = CheckpointStore::open(Arc::new(disk.clone()), GROUP).expect("an empty disk");
    store.save(checkpoint).expect("a disk in memory takes it");
    let mut content = disk.content(&name(checkpoint.instance.0)).expect("it was saved");
    content.truncate(content.len() - 4);
    content
}

fn saved(instance: u64) -> (String, Vec<u8>) {
    (name(instance), sealed::summed_behind(&body_of(&checkpoint(instance))))
}

static SAVED: LazyLock<Files> = LazyLock::new(|| {
    let files = vec![saved(150), saved(300)];
    let disk = MemDisk::default();
    files.iter().for_each(|(name, content)| disk.plant(name, content));
    assert_eq!(disk.list().expect("a disk in memory has a list").len(), 2);
    files
});

fn name(instance: u64) -> String {
    format!("checkpoint-{instance:020}")
}

/// The file of credentials without its checksum.
fn credential_body(credentials: &[frontend_shim::keys::Credential]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.raw(b"frontds1");
    writer.raw(&GROUP.0);
    writer.count(credentials.len());
    credentials.iter().for_each(|credential| credential.encode(&mut writer));
    writer.finish().to_vec()
}
