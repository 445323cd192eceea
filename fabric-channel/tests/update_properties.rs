//! Random updates: refused or accepted, never a panic, and always the same result in the same bytes.

#![allow(clippy::unwrap_used)]

mod free_channel;
mod random;
mod spelling;
mod vectors;

use std::collections::BTreeSet;

use bytes::Bytes;
use fabric_channel::config_tree::{ConfigTree, Group, PolicyEntry, Value};
use fabric_channel::update::{ProposedConfig, propose, validate};
use fabric_channel::{Bundle, ConfigChange, ConfigContent, ExpiryCheck};
use fabric_proto::Envelope;
use free_channel::{envelope_of, free_channel, update_bytes, update_of};
use random::Random;
use spelling::{spelled, spelled_tree, unknown_fields};
use vectors::{block, config};

#[test]
fn random_updates_have_one_result() {
    let mut random = Random(1);
    let mut current = free_channel();
    let mut twin = another_machine(&mut random, &current);
    let mut accepted = 0;
    for _ in 0..UPDATES {
        let (read_set, write_set) = random_sets(&mut random, current.tree().root.as_ref().unwrap());
        let mut update = update_bytes(read_set.as_ref(), &write_set);
        if random.below(4) == 0 {
            random.mutate(&mut update);
        }
        let envelope = envelope_of(update);
        let Ok(next) = outcome(&current, &twin, &envelope) else {
            continue;
        };
        accepted += 1;
        // Versions and unknown fields pile up over several updates.
        if let Ok(next) = Bundle::from_tree("bftch", next) {
            current = next;
        }
        if random.below(50) == 0 {
            current = free_channel();
        }
        twin = another_machine(&mut random, &current);
    }
    assert!(accepted > UPDATES / 20, "only {accepted} of {UPDATES} updates were accepted");
}

/// The same configuration, read from bytes in which nothing stands where it usually does.
fn another_machine(random: &mut Random, current: &Bundle) -> Bundle {
    let tree = ConfigTree::decode(&spelled_tree(random, current.tree())).unwrap();
    assert_eq!(&tree, current.tree());
    Bundle::from_tree("bftch", tree).unwrap()
}

/// Everything that has to hold of an accepted update; `twin` is another machine.
fn outcome(current: &Bundle, twin: &Bundle, envelope: &Envelope) -> Result<ConfigTree, String> {
    let first = propose(current, envelope);
    let second = propose(twin, envelope);
    let whole = ConfigChange::evaluate(current, envelope, ExpiryCheck::Skip);
    let (first, second) = match (first, second) {
        (Ok(first), Ok(second)) => (first, second),
        (first, second) => {
            let error = first.unwrap_err();
            assert_eq!(Some(&error), second.as_ref().err());
            assert!(whole.is_err());
            return Err(error.to_string());
        }
    };
    let bytes = Bytes::from(first.to_content().encode());
    assert_eq!(second.to_content().encode(), bytes);
    let content = ConfigContent::decode(&bytes).unwrap();
    assert_eq!(content, first.to_content());
    assert_eq!(validate(twin, &content), Ok(()));
    if let Ok(change) = whole {
        let again = ConfigChange::recompute(twin, &bytes).unwrap();
        assert_eq!(again.proposed().to_content().encode(), change.proposed().to_content().encode());
    }
    check_nothing_is_lost(current, envelope, &first);
    Ok(first.config().clone())
}

/// Every element of the result has the unknown fields of where it comes from: of the write set if it was changed, of
/// the present configuration otherwise.
fn check_nothing_is_lost(current: &Bundle, envelope: &Envelope, proposed: &ProposedConfig) {
    let present = unknown_fields(current.tree().root.as_ref());
    let written = unknown_fields(update_of(envelope).root.as_ref());
    let changed: BTreeSet<String> = proposed.changed().iter().map(ToString::to_string).collect();
    for (element, found) in unknown_fields(proposed.config().root.as_ref()) {
        let source = if changed.contains(&element) { &written } else { &present };
        assert_eq!(source.get(&element), Some(&found), "{element}");
    }
}

#[test]
fn unknown_fields_come_through_every_update() {
    let mut random = Random(4);
    let mut current = free_channel();
    let mut twin = another_machine(&mut random, &current);
    let (mut accepted, mut kept) = (0, 0);
    for _ in 0..UPDATES / 2 {
        let (read_set, write_set) = random_sets(&mut random, current.tree().root.as_ref().unwrap());
        // The sets once more, with fields of versions to come at random places.
        let read_set = read_set.map(|set| spelled(&mut random, &set, true));
        let write_set = spelled(&mut random, &write_set, true);
        let envelope = envelope_of(free_channel::update_of_bytes(read_set.as_deref(), &write_set));
        let Ok(next) = outcome(&current, &twin, &envelope) else {
            continue;
        };
        accepted += 1;
        kept += unknown_fields(next.root.as_ref()).values().filter(|fields| !fields.is_empty()).count();
        current = Bundle::from_tree("bftch", next).unwrap_or(current);
        if random.below(20) == 0 {
            current = free_channel();
        }
        twin = another_machine(&mut random, &current);
    }
    assert!(accepted > 20 && kept > 100, "{accepted} accepted, {kept} elements with unknown fields");
}

#[test]
fn random_trees_are_taken_apart_or_refused() {
    let mut random = Random(5);
    let bases = ["bft/genesis", "raft/genesis"].map(|name| config(name).bundle().tree().clone());
    let mut valid = 0;
    for round in 0..TREES {
        let mut tree = bases[round % 2].clone();
        let root = tree.root.get_or_insert_default();
        let present = root.clone();
        (0..=random.below(3)).for_each(|_| change(&mut random, root, &present));
        let mut bytes = spelled_tree(&mut random, &tree).to_vec();
        if random.below(2) == 0 {
            random.mutate(&mut bytes);
        }
        let Ok(read) = ConfigTree::decode(&bytes.into()) else {
            continue;
        };
        let again = ConfigTree::decode(&read.encode().into());
        assert_eq!(again.as_ref(), Ok(&read));
        let verdicts = [read.clone(), again.unwrap()].map(|tree| Bundle::from_tree("bftch", tree).map(drop));
        assert_eq!(verdicts[0], verdicts[1]);
        valid += usize::from(verdicts[0].is_ok());
    }
    assert!(valid > TREES / 50 && valid < TREES, "{valid} of {TREES} are valid");
}

#[test]
fn mutated_transactions_of_a_real_channel_never_panic() {
    let before = config("bft/genesis");
    let block = block("bft/config_after");
    let envelope = Envelope::decode(block.entries()[0].clone()).unwrap();
    let mut random = Random(2);
    let mut valid = 0;
    for _ in 0..MUTATIONS {
        let mut bytes = envelope.data().to_vec();
        random.mutate(&mut bytes);
        let bytes = Bytes::from(bytes);
        if let Ok(content) = ConfigContent::decode(&bytes) {
            let again = ConfigContent::decode(&content.encode().into()).unwrap();
            assert_eq!(again, content);
            valid += usize::from(validate(before.bundle(), &content).is_ok());
        }
        let _ = ConfigChange::recompute(before.bundle(), &bytes);
    }
    assert!(valid < MUTATIONS, "no mutation was noticed");
}

#[test]
fn any_bytes_are_read_or_refused_and_kept_bytes_come_back() {
    let mut random = Random(3);
    for _ in 0..MUTATIONS {
        let length = random.below(60);
        let bytes: Bytes = (0..length).map(|_| random.octet()).collect();
        if let Ok(tree) = ConfigTree::decode(&bytes) {
            let encoded = Bytes::from(tree.encode());
            assert_eq!(ConfigTree::decode(&encoded).as_ref(), Ok(&tree));
            assert_eq!(tree.encode(), encoded);
        }
    }
}

/// Mostly sensible: the author reads some of the present groups, changes some elements, and gets most versions right.
fn random_sets(random: &mut Random, present: &Group) -> (Option<Group>, Group) {
    let read_set = pruned(random, present);
    let mut write_set = read_set.clone();
    for _ in 0..=random.below(3) {
        change(random, &mut write_set, present);
    }
    ((random.below(20) > 0).then_some(read_set), write_set)
}

/// Some members of a group, or all.
fn pruned(random: &mut Random, group: &Group) -> Group {
    let mut part = group.clone();
    if random.below(2) == 0 {
        part.values.retain(|_, _| random.below(2) == 0);
        part.policies.retain(|_, _| random.below(2) == 0);
    }
    part.groups.retain(|_, _| random.below(3) > 0);
    part.groups.values_mut().for_each(|child| *child = pruned(random, child));
    part
}

fn change(random: &mut Random, group: &mut Group, present: &Group) {
    if let Some(name) = random.pick(group.groups.keys())
        && random.below(3) > 0
    {
        let empty = Group::default();
        let deeper = present.groups.get(&name).unwrap_or(&empty);
        return change(random, group.groups.get_mut(&name).unwrap(), deeper);
    }
    let name = random.pick(NAMES.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>().iter()).unwrap();
    let mod_policy = random.pick(MOD_POLICIES.iter()).unwrap().to_string();
    match random.below(7) {
        0 => group.version += 1,
        1 => {
            group.version += 1;
            *group = Group { version: group.version, ..present.clone() };
            group.values.insert(name, Value { mod_policy, ..Value::default() });
        }
        2 => {
            group.version += 1;
            group.groups.insert(name, Group { mod_policy, ..Group::default() });
        }
        3 => drop(group.policies.insert(name, PolicyEntry { mod_policy, ..PolicyEntry::default() })),
        4 => {
            if let Some(name) = random.pick(group.values.keys()) {
                let value = group.values.get_mut(&name).unwrap();
                value.version = value.version.wrapping_add(1);
                value.value = Bytes::from(vec![random.octet(); random.below(4)]);
            }
        }
        5 => group.mod_policy = mod_policy,
        _ => {
            if let Some(name) = random.pick(group.policies.keys()) {
                let policy = group.policies.get_mut(&name).unwrap();
                policy.version = if random.below(8) == 0 { u64::MAX } else { policy.version.wrapping_add(1) };
            }
        }
    }
}

const UPDATES: usize = 1_500;
const MUTATIONS: usize = 3_000;
const TREES: usize = 1_500;
const NAMES: [&str; 5] = ["Org9", "BatchSize", "Capabilities", "x.y-z", "a_b"];
const MOD_POLICIES: [&str; 5] = ["Admins", "/Channel/Application/Admins", "/Channel", "NoSuch", ""];
