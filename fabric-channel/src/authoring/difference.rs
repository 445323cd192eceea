//! What differs between two configurations, element by element, for people to read.
//!
//! Versions are left out: they follow from the changes. A group that comes or goes is one difference, with all that
//! it holds.

use std::collections::{BTreeMap, BTreeSet};

use super::leaf::Leaf;
use crate::config_tree::{ConfigTree, Group, PolicyEntry, Value};

/// An element that is not the same in two configurations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference<'a> {
    /// Absolute, beginning with `/Channel`.
    pub path: String,
    /// As it was; absent if it is new.
    pub old: Option<Content<'a>>,
    /// As it shall be; absent if it goes.
    pub new: Option<Content<'a>>,
}

/// One side of a difference. Both sides are of the same kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    /// A group.
    Group(&'a Group),
    /// A value.
    Value(&'a Value),
    /// A policy.
    Policy(&'a PolicyEntry),
}

/// All differences, groups before their members.
#[must_use]
pub fn differences<'a>(old: &'a ConfigTree, new: &'a ConfigTree) -> Vec<Difference<'a>> {
    let mut found = Vec::new();
    compare_group(ROOT_PATH, old.root.as_ref(), new.root.as_ref(), &mut found);
    found
}

fn compare_group<'a>(path: &str, old: Option<&'a Group>, new: Option<&'a Group>, found: &mut Vec<Difference<'a>>) {
    let (Some(present), Some(wanted)) = (old, new) else {
        if old.is_some() || new.is_some() {
            let (old, new) = (old.map(Content::Group), new.map(Content::Group));
            found.push(Difference { path: path.to_owned(), old, new });
        }
        return;
    };
    if present.mod_policy != wanted.mod_policy || present.unknown != wanted.unknown {
        let (old, new) = (Some(Content::Group(present)), Some(Content::Group(wanted)));
        found.push(Difference { path: path.to_owned(), old, new });
    }
    for name in names(&present.values, &wanted.values) {
        compare_leaf(path, name, (present.values.get(name), wanted.values.get(name)), Content::Value, found);
    }
    for name in names(&present.policies, &wanted.policies) {
        compare_leaf(path, name, (present.policies.get(name), wanted.policies.get(name)), Content::Policy, found);
    }
    for name in names(&present.groups, &wanted.groups) {
        compare_group(&format!("{path}/{name}"), present.groups.get(name), wanted.groups.get(name), found);
    }
}

fn compare_leaf<'a, L: Leaf>(
    group: &str,
    name: &str,
    (old, new): (Option<&'a L>, Option<&'a L>),
    content: impl Fn(&'a L) -> Content<'a>,
    found: &mut Vec<Difference<'a>>,
) {
    if let (Some(old), Some(new)) = (old, new)
        && new.is_same(old)
    {
        return;
    }
    found.push(Difference { path: format!("{group}/{name}"), old: old.map(&content), new: new.map(&content) });
}

fn names<'a, M>(old: &'a BTreeMap<String, M>, new: &'a BTreeMap<String, M>) -> BTreeSet<&'a str> {
    old.keys().chain(new.keys()).map(String::as_str).collect()
}

const ROOT_PATH: &str = "/Channel";
