//! What the `channel` tool reads, and the updates that it makes.

use bytes::Bytes;
use fabric_channel::authoring::{Outcome as WhatIf, SignedUpdate, UpdateDraft};
use fabric_channel::config_tree::{ConfigTree, Group};
use fabric_channel::update::propose;
use fabric_channel::{ConfigChange, ExpiryCheck};
use fabric_proto::Envelope;
use prost::Message;

use crate::configs::{BASES, Base};
use crate::outcome::Outcome;
use crate::target::{Heap, Seed, Target};

pub const READER: Target = Target {
    name: "signed_update",
    about: "an update in any of its forms: passed on it is the same, and what it would lead to is what it leads to",
    run: reader,
    seeds: || {
        let updates = (0..).zip(BASES.iter()).filter_map(|(number, base)| Some((number, base.updates.first()?)));
        let inputs = updates.step_by(2).map(|(number, (name, envelope))| {
            (format!("{number}-{name}"), Input { base: number, bytes: envelope.clone().into() })
        });
        inputs.map(|(name, input)| Seed::new(name, input.encode_to_vec())).collect()
    },
    heap: Heap { base: 8 << 20, per_byte: 512 },
    test_runs: 500,
};

pub const COMPUTED: Target = Target {
    name: "computed_update",
    about: "the update from one configuration to any other: it leads there, or is refused for what is in it",
    run: computed,
    seeds: || {
        let bases = (0..).zip(BASES.iter()).skip(1).step_by(4);
        let inputs = bases.filter_map(|(number, base)| {
            let envelope = Envelope::decode(base.updates.first()?.1.clone().into()).ok()?;
            let desired = propose(&base.free, &envelope).ok()?.config().encode();
            Some((number, Input { base: number, bytes: desired.into() }))
        });
        inputs.map(|(name, input)| Seed::new(name, input.encode_to_vec())).collect()
    },
    heap: Heap { base: 8 << 20, per_byte: 512 },
    test_runs: 500,
};

/// Bytes, and the configuration they meet.
#[derive(Clone, PartialEq, Message)]
struct Input {
    #[prost(uint32, tag = "1")]
    base: u32,
    #[prost(bytes = "bytes", tag = "2")]
    bytes: Bytes,
}

fn read(input: &[u8]) -> Option<(&'static Base, Bytes)> {
    let Input { base, bytes } = Input::decode(input).ok()?;
    Some((&BASES[base as usize % BASES.len()], bytes))
}

fn reader(input: &[u8]) -> Outcome {
    let Some((base, bytes)) = read(input) else { return Outcome::refused("no input") };
    let update = match SignedUpdate::read(&bytes) {
        Ok(update) => update,
        Err(error) => return Outcome::refused(error),
    };
    let passed_on = update.to_unsigned_envelope();
    assert_eq!(SignedUpdate::read(&passed_on).as_ref(), Ok(&update), "passed on it is another update");
    let envelope = Envelope::decode(passed_on).expect("our own envelope");
    let what_if = WhatIf::of(&base.real, &envelope, ExpiryCheck::Skip);
    let Ok(proposed) = propose(&base.real, &envelope) else {
        return Outcome::accepted(Outcome::from(what_if.map(|_| "if everybody signed")));
    };
    let what_if = what_if.expect("it is authorised, and would not be if everybody signed");
    assert_eq!(what_if.tree(), proposed.config(), "it leads elsewhere than it was said");
    let change = ConfigChange::evaluate(&base.real, &envelope, ExpiryCheck::Skip);
    let is_orderable = change.is_ok_and(|change| change.check_orderable().is_ok());
    assert_eq!(what_if.config().is_ok(), is_orderable, "{:?}", what_if.config().err());
    Outcome::accepted(if is_orderable { "orderable" } else { "authorised, not orderable" })
}

fn computed(input: &[u8]) -> Outcome {
    let Some((base, bytes)) = read(input) else { return Outcome::refused("no input") };
    let desired = match ConfigTree::decode(&bytes) {
        Ok(desired) => desired,
        Err(error) => return Outcome::refused(error),
    };
    let draft = match UpdateDraft::new(&base.free, &desired) {
        Ok(draft) => draft,
        Err(error) => return Outcome::refused(error),
    };
    let update = SignedUpdate::read(&draft.envelope()).expect("our own update");
    assert_eq!((update.read_set(), update.write_set()), (&draft.sets().read_set, &draft.sets().write_set));
    let envelope = Envelope::decode(draft.envelope()).expect("our own envelope");
    match propose(&base.free, &envelope) {
        Ok(proposed) => {
            let (found, wanted) = (unversioned(proposed.config()), unversioned(&desired));
            assert_eq!(found, wanted, "the update leads elsewhere");
            Outcome::accepted("leads there")
        }
        Err(error) => Outcome::refused(format_args!("{}: {error}", error.step())),
    }
}

/// Content alone: versions are the update's to choose, and channels of old give elements without mod_policy one.
fn unversioned(tree: &ConfigTree) -> Option<Group> {
    let mut root = tree.root.clone()?;
    strip(&mut root);
    Some(root)
}

fn strip(group: &mut Group) {
    let strip_policy = |mod_policy: &mut String| {
        if mod_policy == "Admins" {
            mod_policy.clear();
        }
    };
    group.version = 0;
    strip_policy(&mut group.mod_policy);
    for value in group.values.values_mut() {
        value.version = 0;
        strip_policy(&mut value.mod_policy);
    }
    for policy in group.policies.values_mut() {
        policy.version = 0;
        strip_policy(&mut policy.mod_policy);
    }
    group.groups.values_mut().for_each(strip);
}
