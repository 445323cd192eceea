//! Random changes of a real channel.

use bytes::Bytes;

use super::{config, outcome};
use crate::authoring::differences;
use crate::config_tree::{ConfigTree, Group, PolicyBody, PolicyEntry, Value};
use crate::{Bundle, ChannelConfig};

#[test]
fn a_computed_update_leads_exactly_to_the_desired_tree() {
    let mut random = Random(1);
    let mut changed = 0;
    for _ in 0..CASES {
        let current = aged_channel(&mut random);
        let mut desired = current.bundle().tree().clone();
        for _ in 0..=random.below(4) {
            mutate(&mut random, desired.root.as_mut().unwrap());
        }
        let present = current.bundle().tree();
        let differ = unversioned(present) != unversioned(&desired);
        assert_eq!(differ, !differences(present, &desired).is_empty());
        if !differ {
            continue;
        }
        changed += 1;
        let outcome = outcome(&current, &desired);
        let result = outcome.tree();
        assert_eq!(unversioned(result), unversioned(&desired));
        assert_eq!(result.sequence, present.sequence + 1);
        check_versions(present.root.as_ref().unwrap(), result.root.as_ref().unwrap());
    }
    assert!(changed > CASES / 2);
}

/// A channel whose elements have all kinds of versions.
fn aged_channel(random: &mut Random) -> ChannelConfig {
    let mut tree = config("bft/genesis").bundle().tree().clone();
    tree.sequence = random.below(100) as u64;
    versions(tree.root.as_mut().unwrap(), &mut |version| *version = random.below(4) as u64);
    ChannelConfig::from_bundle(Bundle::from_tree("bftch", tree).unwrap()).unwrap()
}

fn unversioned(tree: &ConfigTree) -> Option<Group> {
    let mut root = tree.root.clone();
    root.iter_mut().for_each(|root| versions(root, &mut |version| *version = 0));
    root
}

fn versions(group: &mut Group, set: &mut impl FnMut(&mut u64)) {
    set(&mut group.version);
    group.values.values_mut().for_each(|value| set(&mut value.version));
    group.policies.values_mut().for_each(|policy| set(&mut policy.version));
    group.groups.values_mut().for_each(|child| versions(child, set));
}

/// Every version grows by one where its element changed, and nowhere else.
fn check_versions(old: &Group, new: &Group) {
    let is_same_list = old.groups.keys().eq(new.groups.keys())
        && old.values.keys().eq(new.values.keys())
        && old.policies.keys().eq(new.policies.keys());
    let is_same = is_same_list && old.mod_policy == new.mod_policy && old.unknown == new.unknown;
    assert_eq!(new.version, old.version + u64::from(!is_same));
    for (name, value) in &new.values {
        let expected = old.values.get(name).map_or(0, |old| {
            let is_same =
                old.value == value.value && old.mod_policy == value.mod_policy && old.unknown == value.unknown;
            old.version + u64::from(!is_same)
        });
        assert_eq!(value.version, expected, "{name}");
    }
    for (name, policy) in &new.policies {
        let expected = old.policies.get(name).map_or(0, |old| {
            let is_same =
                old.policy == policy.policy && old.mod_policy == policy.mod_policy && old.unknown == policy.unknown;
            old.version + u64::from(!is_same)
        });
        assert_eq!(policy.version, expected, "{name}");
    }
    for (name, child) in &new.groups {
        match old.groups.get(name) {
            Some(old) => check_versions(old, child),
            None => assert_eq!(child.version, 0, "{name}"),
        }
    }
}

/// Changes something somewhere: members come, go or change, of any kind.
fn mutate(random: &mut Random, group: &mut Group) {
    if let Some(name) = random.pick(group.groups.keys().cloned().collect())
        && random.below(3) > 0
    {
        return mutate(random, group.groups.get_mut(&name).unwrap());
    }
    let name = format!("New{}", random.below(3));
    let mod_policy = "Admins".to_owned();
    let unknown = ConfigTree::decode(&Bytes::from_static(b"\x12\x02\x48\x05")).unwrap().root.unwrap().unknown;
    let value = Bytes::from(vec![random.below(256) as u8; random.below(4)]);
    match random.below(10) {
        0 => group.mod_policy = "Writers".to_owned(),
        1 => group.unknown = unknown,
        2 => drop(group.values.insert(name, Value { value, mod_policy, ..Value::default() })),
        3 => {
            let policy = Some(PolicyBody { kind: 1, value, ..PolicyBody::default() });
            group.policies.insert(name, PolicyEntry { policy, mod_policy, ..PolicyEntry::default() });
        }
        4 => {
            let mut child = Group { mod_policy: mod_policy.clone(), unknown, version: 5, ..Group::default() };
            child.values.insert(name.clone(), Value { value, mod_policy, version: 3, ..Value::default() });
            group.groups.insert(name, child);
        }
        5 => drop(random.pick(group.groups.keys().cloned().collect()).and_then(|name| group.groups.remove(&name))),
        6 => drop(random.pick(group.values.keys().cloned().collect()).and_then(|name| group.values.remove(&name))),
        7 => drop(random.pick(group.policies.keys().cloned().collect()).and_then(|name| group.policies.remove(&name))),
        8 => {
            if let Some(name) = random.pick(group.values.keys().cloned().collect()) {
                let member = group.values.get_mut(&name).unwrap();
                *member = Value { value, unknown, ..member.clone() };
            }
        }
        _ => {
            if let Some(name) = random.pick(group.policies.keys().cloned().collect()) {
                group.policies.get_mut(&name).unwrap().policy = None;
            }
        }
    }
}

/// A small generator with a known seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn pick(&mut self, from: Vec<String>) -> Option<String> {
        if from.is_empty() { None } else { from.get(self.below(from.len())).cloned() }
    }
}

const CASES: usize = 400;
