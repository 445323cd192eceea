//! The update that leads from one configuration to another.
//!
//! The sets are minimal in the way that Fabric's `configtxlator compute_update` makes them, because administrators
//! read them before they sign: a changed leaf stands in the write set only, with the next version; a group whose list
//! of members changes is written anew with the next version and lists the members that stay by their versions, in
//! both sets; a group on the way to a change stands in both sets with its version. Versions in the desired tree are
//! not looked at. Contract §2.4.

use std::collections::BTreeMap;

use thiserror::Error;

use super::leaf::Leaf;
use crate::config_tree::{ConfigTree, Group};

/// Read set and write set of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateSets {
    /// What must still be as the author saw it.
    pub read_set: Group,
    /// What shall be.
    pub write_set: Group,
}

/// Why there is no update between two configurations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoDifference {
    /// They are equal but for their versions.
    #[error("nothing would change: the configuration is already as it shall be")]
    Equal,
    /// One of them is empty.
    #[error("a configuration without channel group cannot be compared")]
    NoChannelGroup,
}

/// Computes the smallest update that leads from `current` to `desired`.
///
/// # Errors
/// [`NoDifference`].
pub fn compute_update(current: &ConfigTree, desired: &ConfigTree) -> Result<UpdateSets, NoDifference> {
    let (Some(current), Some(desired)) = (&current.root, &desired.root) else {
        return Err(NoDifference::NoChannelGroup);
    };
    let change = Group::change(current, desired).ok_or(NoDifference::Equal)?;
    Ok(UpdateSets { read_set: change.read.unwrap_or_default(), write_set: change.write })
}

/// How one member gets from what it is to what it shall be.
struct Change<M> {
    /// What the read set says of it, if anything.
    read: Option<M>,
    write: M,
}

/// A group, value or policy.
trait Member: Sized {
    /// None if both are equal but for versions.
    fn change(current: &Self, desired: &Self) -> Option<Change<Self>>;
    /// Nothing but the version: how a set names a member that stays.
    fn mention(&self) -> Self;
    /// As a member that does not exist yet.
    fn as_new(&self) -> Self;
}

impl<L: Leaf> Member for L {
    fn change(current: &Self, desired: &Self) -> Option<Change<Self>> {
        let write = || desired.at_version(current.version().wrapping_add(1));
        (!desired.is_same(current)).then(|| Change { read: None, write: write() })
    }

    fn mention(&self) -> Self {
        Self::default().at_version(self.version())
    }

    fn as_new(&self) -> Self {
        self.at_version(0)
    }
}

impl Member for Group {
    fn change(current: &Self, desired: &Self) -> Option<Change<Self>> {
        let groups = Members::compare(&current.groups, &desired.groups);
        let values = Members::compare(&current.values, &desired.values);
        let policies = Members::compare(&current.policies, &desired.policies);
        let is_own_change = groups.is_list_changed
            || values.is_list_changed
            || policies.is_list_changed
            || current.mod_policy != desired.mod_policy
            || current.unknown != desired.unknown;
        if !is_own_change && groups.write.is_empty() && values.write.is_empty() && policies.write.is_empty() {
            return None;
        }
        let mut read = current.mention();
        let mut write = current.mention();
        if is_own_change {
            write.version = current.version.wrapping_add(1);
            write.mod_policy.clone_from(&desired.mod_policy);
            write.unknown = desired.unknown.clone();
        }
        groups.place(is_own_change, &mut read.groups, &mut write.groups);
        values.place(is_own_change, &mut read.values, &mut write.values);
        policies.place(is_own_change, &mut read.policies, &mut write.policies);
        Some(Change { read: Some(read), write })
    }

    fn mention(&self) -> Self {
        Self { version: self.version, ..Self::default() }
    }

    fn as_new(&self) -> Self {
        Self {
            version: 0,
            groups: all_new(&self.groups),
            values: all_new(&self.values),
            policies: all_new(&self.policies),
            mod_policy: self.mod_policy.clone(),
            unknown: self.unknown.clone(),
        }
    }
}

fn all_new<M: Member>(members: &BTreeMap<String, M>) -> BTreeMap<String, M> {
    members.iter().map(|(name, member)| (name.clone(), member.as_new())).collect()
}

/// The members of one kind in one group.
struct Members<M> {
    read: BTreeMap<String, M>,
    write: BTreeMap<String, M>,
    /// Those that stay as they are, by version only.
    same: BTreeMap<String, M>,
    /// True if one comes or goes: then the group itself changes.
    is_list_changed: bool,
}

impl<M: Member + Clone> Members<M> {
    fn compare(current: &BTreeMap<String, M>, desired: &BTreeMap<String, M>) -> Self {
        let is_list_changed = !current.keys().eq(desired.keys());
        let (mut read, mut write, mut same) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (name, wanted) in desired {
            let Some(present) = current.get(name) else {
                write.insert(name.clone(), wanted.as_new());
                continue;
            };
            let Some(change) = M::change(present, wanted) else {
                same.insert(name.clone(), present.mention());
                continue;
            };
            read.extend(change.read.map(|member| (name.clone(), member)));
            write.insert(name.clone(), change.write);
        }
        Self { read, write, same, is_list_changed }
    }

    /// A group that is written anew lists also the members that stay.
    fn place(self, with_same: bool, read: &mut BTreeMap<String, M>, write: &mut BTreeMap<String, M>) {
        read.extend(self.read);
        write.extend(self.write);
        if with_same {
            read.extend(self.same.clone());
            write.extend(self.same);
        }
    }
}
