//! All policies of a channel, in the shape of its group tree.
//!
//! A group knows its own policies and, under relative paths such as `Org1/Admins`, those of its descendants.
//! Implicit meta policies are resolved after all children. Contract §2.8, Appendix C 15.

use std::collections::BTreeMap;
use std::sync::Arc;

use fabric_proto::common::{ConfigGroup, Policy as PolicyMessage};
use thiserror::Error;

use crate::limits::GROUP_DEPTH_MAX;
use crate::msps::Msps;
use crate::policy::{ImplicitMetaPolicy, Policy, PolicyError, SignaturePolicy};

/// The policies of one group and its descendants.
#[derive(Debug, Clone)]
pub struct PolicyTree {
    /// Without a leading separator: `Channel`, `Channel/Orderer`.
    path: String,
    /// Own policies by name, those of descendants by relative path.
    policies: BTreeMap<String, Arc<Policy>>,
    children: BTreeMap<String, PolicyTree>,
}

/// Why the policies of a configuration are refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PolicyTreeError {
    /// One policy does not compile.
    #[error("policy /{path}/{name}: {why}")]
    Policy {
        /// Path of the group.
        path: String,
        /// Name of the policy.
        name: String,
        /// What is wrong with it.
        why: PolicyError,
    },
    /// Groups nested too deeply.
    #[error("group /{path} lies deeper than {GROUP_DEPTH_MAX} levels")]
    TooDeep {
        /// Path of the group.
        path: String,
    },
}

impl PolicyTree {
    /// Compiles all policies of a configuration, whose root group is called `Channel`.
    ///
    /// # Errors
    /// [`PolicyTreeError`] names the first policy that does not compile.
    pub fn compile(root: &ConfigGroup, msps: &Msps) -> Result<Self, PolicyTreeError> {
        Self::compile_group(ROOT.to_owned(), root, msps, 0)
    }

    fn compile_group(path: String, group: &ConfigGroup, msps: &Msps, depth: usize) -> Result<Self, PolicyTreeError> {
        if depth > GROUP_DEPTH_MAX {
            return Err(PolicyTreeError::TooDeep { path });
        }
        let mut children = BTreeMap::new();
        for (name, child) in &group.groups {
            let child_path = format!("{path}{SEPARATOR}{name}");
            let child = Self::compile_group(child_path, child, msps, depth + 1)?;
            children.insert(name.clone(), child);
        }
        let mut policies = BTreeMap::new();
        for (name, entry) in &group.policies {
            let policy = compile_policy(entry.policy.as_ref(), &children, msps)
                .map_err(|why| PolicyTreeError::Policy { path: path.clone(), name: name.clone(), why })?;
            policies.insert(name.clone(), Arc::new(policy));
        }
        for (name, child) in &children {
            for (relative, policy) in &child.policies {
                policies.insert(format!("{name}{SEPARATOR}{relative}"), Arc::clone(policy));
            }
        }
        Ok(Self { path, policies, children })
    }

    /// Finds a policy by name, by descending relative path, or by absolute path.
    ///
    /// An absolute path has to begin with the path of this group; as in Fabric, the one character after it is
    /// skipped without a look. The path of the group itself names no policy.
    #[must_use]
    pub fn policy(&self, id: &str) -> Option<&Arc<Policy>> {
        let relative = match id.strip_prefix(SEPARATOR) {
            None => id,
            Some(absolute) => absolute.strip_prefix(self.path.as_str())?.get(1..)?,
        };
        self.policies.get(relative)
    }

    /// True if `id` is the absolute path of this group itself.
    fn is_at(&self, id: &str) -> bool {
        id.strip_prefix(SEPARATOR) == Some(self.path.as_str())
    }

    /// The policies of the group at an absolute path, which has to begin with the path of this group.
    #[must_use]
    pub fn group(&self, path: &str) -> Option<&PolicyTree> {
        let relative = path.strip_prefix(SEPARATOR)?.strip_prefix(self.path.as_str())?;
        match relative.strip_prefix(SEPARATOR) {
            None if relative.is_empty() => Some(self),
            None => None,
            Some(names) => names.split(SEPARATOR).try_fold(self, |group, name| group.child(name)),
        }
    }

    /// The policies of a child group.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&PolicyTree> {
        self.children.get(name)
    }
}

fn compile_policy(
    message: Option<&PolicyMessage>,
    children: &BTreeMap<String, PolicyTree>,
    msps: &Msps,
) -> Result<Policy, PolicyError> {
    let message = message.ok_or(PolicyError::Missing)?;
    match message.r#type {
        TYPE_SIGNATURE => SignaturePolicy::from_bytes(&message.value, msps).map(Policy::Signature),
        TYPE_IMPLICIT_META => {
            let resolve = |sub_policy: &str| {
                if children.values().any(|child| child.is_at(sub_policy)) {
                    return Err(PolicyError::SubPolicyIsGroup(sub_policy.to_owned()));
                }
                let found = children.iter().map(|(name, child)| (name.clone(), child.policy(sub_policy).cloned()));
                Ok(found.collect())
            };
            ImplicitMetaPolicy::compile(&message.value, resolve).map(Policy::ImplicitMeta)
        }
        other => Err(PolicyError::Type(other)),
    }
}

const ROOT: &str = "Channel";
const SEPARATOR: char = '/';
const TYPE_SIGNATURE: i32 = fabric_proto::common::policy::PolicyType::Signature as i32;
const TYPE_IMPLICIT_META: i32 = fabric_proto::common::policy::PolicyType::ImplicitMeta as i32;
