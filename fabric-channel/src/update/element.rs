//! The elements of a configuration tree, flattened: what an update changes one by one.
//!
//! Groups, values and policies each have their own name space, so an element is known by its kind and its path.

use std::collections::BTreeMap;
use std::fmt;

use crate::config_tree::{Group, PolicyEntry, Value};
use crate::names::is_legal_name;

/// What an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ElementKind {
    /// An inner node.
    Group,
    /// A leaf with a value.
    Value,
    /// A leaf with a policy.
    Policy,
}

/// Where an element stands; prints as `value /Channel/Orderer/BatchSize`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ElementKey {
    path: String,
    kind: ElementKind,
}

/// One element of a tree.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Element<'a> {
    Group(&'a Group),
    Value(&'a Value),
    Policy(&'a PolicyEntry),
}

/// Elements by place. A group comes before its members.
pub(crate) type Elements<'a> = BTreeMap<ElementKey, Element<'a>>;

/// A name that no element may have, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IllegalName {
    pub(crate) group: String,
    pub(crate) kind: ElementKind,
    pub(crate) name: String,
}

impl ElementKey {
    pub(crate) fn root() -> Self {
        Self { path: ROOT_PATH.to_owned(), kind: ElementKind::Group }
    }

    /// The member of the group at `group` with this name.
    pub(crate) fn member(group: &str, kind: ElementKind, name: &str) -> Self {
        Self { path: format!("{group}/{name}"), kind }
    }

    /// Absolute, beginning with `/Channel`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What the element is.
    #[must_use]
    pub fn kind(&self) -> ElementKind {
        self.kind
    }

    /// The path of the group whose policies a relative `mod_policy` names: a group's own, or the one that holds the
    /// leaf.
    pub(crate) fn policy_group(&self) -> &str {
        match self.kind {
            ElementKind::Group => &self.path,
            _ => self.path.rsplit_once('/').map_or("", |(group, _)| group),
        }
    }
}

impl fmt::Display for ElementKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.kind, self.path)
    }
}

impl fmt::Display for ElementKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Group => "group",
            Self::Value => "value",
            Self::Policy => "policy",
        })
    }
}

impl Element<'_> {
    pub(crate) fn version(&self) -> u64 {
        match self {
            Self::Group(group) => group.version,
            Self::Value(value) => value.version,
            Self::Policy(policy) => policy.version,
        }
    }

    pub(crate) fn mod_policy(&self) -> &str {
        match self {
            Self::Group(group) => &group.mod_policy,
            Self::Value(value) => &value.mod_policy,
            Self::Policy(policy) => &policy.mod_policy,
        }
    }
}

/// All elements of a tree; none of an absent one.
pub(crate) fn flatten(root: Option<&Group>) -> Result<Elements<'_>, IllegalName> {
    let mut elements = Elements::new();
    if let Some(root) = root {
        elements.insert(ElementKey::root(), Element::Group(root));
        flatten_members(ROOT_PATH, root, &mut elements)?;
    }
    Ok(elements)
}

fn flatten_members<'a>(path: &str, group: &'a Group, elements: &mut Elements<'a>) -> Result<(), IllegalName> {
    let key = |kind: ElementKind, name: &str| {
        if is_legal_name(name) {
            return Ok(ElementKey::member(path, kind, name));
        }
        Err(IllegalName { group: path.to_owned(), kind, name: name.to_owned() })
    };
    for (name, value) in &group.values {
        elements.insert(key(ElementKind::Value, name)?, Element::Value(value));
    }
    for (name, policy) in &group.policies {
        elements.insert(key(ElementKind::Policy, name)?, Element::Policy(policy));
    }
    for (name, child) in &group.groups {
        let key = key(ElementKind::Group, name)?;
        flatten_members(key.path(), child, elements)?;
        elements.insert(key, Element::Group(child));
    }
    Ok(())
}

const ROOT_PATH: &str = "/Channel";
