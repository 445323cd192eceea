//! What an update would lead to if everybody whom it needs had signed.
//!
//! Authorisation comes first in the update algorithm, so that an update without signatures fails before anybody
//! learns whether its result would be valid. Here the same algorithm runs on a copy of the present configuration in
//! which a policy that nobody has to satisfy governs every element, and the copy's traces are removed from the
//! result.

use std::collections::BTreeMap;

use fabric_proto::Envelope;
use fabric_proto::common::{SignaturePolicyEnvelope, policy};
use prost::Message as _;
use thiserror::Error;

use crate::block_policy::n_out_of;
use crate::bundle::Bundle;
use crate::config::ChannelConfig;
use crate::config_change::{ChangeError, ConfigChange, OrderableError};
use crate::config_tree::{ConfigTree, Group, PolicyBody, PolicyEntry};
use crate::policy_tree::PolicyTree;
use crate::raft_metadata::ExpiryCheck;
use crate::update::{self, ElementKey};

/// The result of an update whose signatures were not looked at.
#[derive(Debug, Clone)]
pub struct Outcome {
    tree: ConfigTree,
    changed: Vec<ElementKey>,
    validity: Result<ChannelConfig, OutcomeFlaw>,
}

/// Why no orderer should order a configuration, however many have signed the update to it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OutcomeFlaw {
    /// Fabric refuses it too.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// Fabric would let it pass, and its orderers would halt.
    #[error(transparent)]
    Orderable(#[from] OrderableError),
}

impl Outcome {
    /// Evaluates an update as if it were signed by everybody.
    ///
    /// # Errors
    /// [`ChangeError`] if it cannot be applied to the present configuration at all.
    pub fn of(current: &Bundle, envelope: &Envelope, expiry: ExpiryCheck) -> Result<Self, ChangeError> {
        let open = Open::new(current)?;
        let proposed = update::propose(&open.bundle, envelope)?;
        let tree = open.restore(proposed.config(), current);
        let validity = open.judge(current, &tree, envelope, expiry);
        Ok(Self { tree, changed: proposed.changed().to_vec(), validity })
    }

    /// The configuration that it leads to.
    #[must_use]
    pub fn tree(&self) -> &ConfigTree {
        &self.tree
    }

    /// The elements that it writes, by path.
    #[must_use]
    pub fn changed(&self) -> &[ElementKey] {
        &self.changed
    }

    /// The configuration taken apart, if it can follow the present one.
    ///
    /// # Errors
    /// [`OutcomeFlaw`].
    pub fn config(&self) -> Result<&ChannelConfig, &OutcomeFlaw> {
        self.validity.as_ref()
    }
}

/// The present configuration, open to everybody.
struct Open {
    bundle: Bundle,
    /// Name of the policy in the root group that nobody has to satisfy.
    policy: String,
    /// Its absolute path, which governs every element.
    mod_policy: String,
}

impl Open {
    fn new(current: &Bundle) -> Result<Self, ChangeError> {
        let mut tree = current.tree().clone();
        let mut policy = POLICY.to_owned();
        if let Some(root) = &mut tree.root {
            while root.policies.contains_key(&policy) {
                policy.push('-');
            }
            let mod_policy = format!("{ROOT_PATH}/{policy}");
            open_group(root, ROOT_PATH, current.policies(), &mod_policy);
            root.policies.insert(policy.clone(), satisfied_by_nobody());
        }
        let bundle = Bundle::from_tree(current.channel_id().as_str(), tree)?;
        let mod_policy = format!("{ROOT_PATH}/{policy}");
        Ok(Self { bundle, policy, mod_policy })
    }

    fn restore(&self, result: &ConfigTree, current: &Bundle) -> ConfigTree {
        let mut tree = result.clone();
        if let Some(root) = &mut tree.root {
            root.policies.remove(&self.policy);
            self.restore_group(root, current.tree().root.as_ref());
        }
        tree
    }

    /// Elements that the update does not write have their own mod_policy back.
    fn restore_group(&self, group: &mut Group, present: Option<&Group>) {
        let Some(present) = present else {
            return;
        };
        let restore = |mod_policy: &mut String, present: &str| {
            if *mod_policy == self.mod_policy {
                present.clone_into(mod_policy);
            }
        };
        restore(&mut group.mod_policy, &present.mod_policy);
        for (element, present) in pairs(&mut group.values, &present.values) {
            restore(&mut element.mod_policy, &present.mod_policy);
        }
        for (element, present) in pairs(&mut group.policies, &present.policies) {
            restore(&mut element.mod_policy, &present.mod_policy);
        }
        for (element, present) in pairs(&mut group.groups, &present.groups) {
            self.restore_group(element, Some(present));
        }
    }

    fn judge(
        &self,
        current: &Bundle,
        tree: &ConfigTree,
        envelope: &Envelope,
        expiry: ExpiryCheck,
    ) -> Result<ChannelConfig, OutcomeFlaw> {
        ConfigChange::evaluate(&self.bundle, envelope, expiry)?.check_orderable()?;
        let next = Bundle::from_tree(current.channel_id().as_str(), tree.clone()).map_err(ChangeError::from)?;
        Ok(ChannelConfig::from_bundle(next).map_err(OrderableError::from)?)
    }
}

/// A mod_policy that names no policy stays: nobody can satisfy it, so the element cannot be changed.
fn open_group(group: &mut Group, path: &str, policies: &PolicyTree, mod_policy: &str) {
    let open = |present: &mut String| {
        let found = if present.starts_with('/') {
            policies.policy(present)
        } else {
            policies.group(path).and_then(|group| group.policy(present))
        };
        if found.is_some() {
            mod_policy.clone_into(present);
        }
    };
    open(&mut group.mod_policy);
    group.values.values_mut().for_each(|value| open(&mut value.mod_policy));
    group.policies.values_mut().for_each(|policy| open(&mut policy.mod_policy));
    for (name, child) in &mut group.groups {
        open_group(child, &format!("{path}/{name}"), policies, mod_policy);
    }
}

fn satisfied_by_nobody() -> PolicyEntry {
    let rule = SignaturePolicyEnvelope { version: 0, rule: Some(n_out_of(0, Vec::new())), identities: Vec::new() };
    let kind = policy::PolicyType::Signature.into();
    let body = PolicyBody { kind, value: rule.encode_to_vec().into(), ..PolicyBody::default() };
    PolicyEntry { policy: Some(body), mod_policy: "Admins".to_owned(), ..PolicyEntry::default() }
}

/// Members of both maps, by name.
fn pairs<'a, M>(
    changed: &'a mut BTreeMap<String, M>,
    present: &'a BTreeMap<String, M>,
) -> impl Iterator<Item = (&'a mut M, &'a M)> {
    changed.iter_mut().filter_map(|(name, member)| Some((member, present.get(name)?)))
}

const ROOT_PATH: &str = "/Channel";
const POLICY: &str = "Anybody";
