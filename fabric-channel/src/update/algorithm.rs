//! The update algorithm: read set, delta, versions, overlay.

use std::collections::BTreeMap;

use super::authorisation;
use super::element::{Element, ElementKey, ElementKind, Elements, IllegalName, flatten};
use super::error::{UpdateError, UpdateSet};
use super::reading::Update;
use crate::bundle::Bundle;
use crate::config_tree::{Group, PolicyEntry, Value};
use crate::names::illegal_part;

/// The root group of the next configuration, and the elements that the update changes.
pub(super) fn apply(current: &Bundle, update: &Update) -> Result<(Group, Vec<ElementKey>), UpdateError> {
    let channel = current.channel_id().as_str();
    if update.channel_id != channel {
        return Err(UpdateError::WrongChannel { named: update.channel_id.clone(), channel: channel.to_owned() });
    }
    let present = present_elements(current);
    let read_set = elements_of(UpdateSet::Read, update.read_set.as_ref())?;
    check_read_set(&read_set, &present)?;
    let write_set = elements_of(UpdateSet::Write, update.write_set.as_ref())?;
    let delta = delta(&read_set, write_set);
    let signatures = update.signatures()?;
    check_delta(&delta, &present)?;
    authorisation::check(current, &delta, &present, &signatures)?;

    let changed = delta.keys().cloned().collect();
    let mut overlay = present;
    overlay.extend(delta);
    Ok((Overlay::new(overlay).rebuild(), changed))
}

/// The elements of the present configuration, whose names the bundle has checked.
fn present_elements(current: &Bundle) -> Elements<'_> {
    flatten(current.tree().root.as_ref()).unwrap_or_default()
}

fn elements_of(set: UpdateSet, root: Option<&Group>) -> Result<Elements<'_>, UpdateError> {
    let name_it = |IllegalName { group, kind, name }| UpdateError::IllegalName { set, kind, group, name };
    flatten(root).map_err(name_it)
}

/// Everything the author saw has to be as it was.
fn check_read_set(read_set: &Elements<'_>, present: &Elements<'_>) -> Result<(), UpdateError> {
    for (key, read) in read_set {
        let Some(existing) = present.get(key) else {
            return Err(UpdateError::ReadUnknown { element: key.clone() });
        };
        if existing.version() != read.version() {
            let (version, current) = (read.version(), existing.version());
            return Err(UpdateError::ReadVersion { element: key.clone(), version, current });
        }
    }
    Ok(())
}

/// The elements of the write set that the read set lacks or has in another version.
fn delta<'a>(read_set: &Elements<'_>, mut write_set: Elements<'a>) -> Elements<'a> {
    write_set.retain(|key, written| read_set.get(key).is_none_or(|read| read.version() != written.version()));
    write_set
}

fn check_delta(delta: &Elements<'_>, present: &Elements<'_>) -> Result<(), UpdateError> {
    if delta.is_empty() {
        return Err(UpdateError::EmptyDelta);
    }
    for (key, changed) in delta {
        check_mod_policy(key, changed.mod_policy())?;
        check_version(key, changed.version(), present.get(key).map(Element::version))?;
    }
    Ok(())
}

fn check_mod_policy(key: &ElementKey, mod_policy: &str) -> Result<(), UpdateError> {
    if mod_policy.is_empty() {
        return Err(UpdateError::ModPolicyEmpty { element: key.clone() });
    }
    if let Some(part) = illegal_part(mod_policy) {
        let (mod_policy, part) = (mod_policy.to_owned(), part.to_owned());
        return Err(UpdateError::ModPolicyIllegal { element: key.clone(), mod_policy, part });
    }
    Ok(())
}

/// Versions count up from zero, and around like Go's.
fn check_version(key: &ElementKey, version: u64, current: Option<u64>) -> Result<(), UpdateError> {
    match current {
        None if version != 0 => Err(UpdateError::NewElementVersion { element: key.clone(), version }),
        Some(current) if version != current.wrapping_add(1) => {
            Err(UpdateError::WrongVersion { element: key.clone(), version, current })
        }
        _ => Ok(()),
    }
}

/// Present elements with the changed ones on top.
struct Overlay<'a> {
    elements: Elements<'a>,
    /// Channels of Fabric 1.0 have elements without mod_policy, which nobody could ever change. As soon as the
    /// orderer group has capabilities, each update gives these elements one.
    default_mod_policy: &'static str,
}

impl<'a> Overlay<'a> {
    fn new(elements: Elements<'a>) -> Self {
        // Asked of all elements, also of one that the update takes out of its group: so do peers.
        let capabilities = ElementKey::member(ORDERER, ElementKind::Value, "Capabilities");
        let default_mod_policy = if elements.contains_key(&capabilities) { "Admins" } else { "" };
        Self { elements, default_mod_policy }
    }

    fn rebuild(&self) -> Group {
        let key = ElementKey::root();
        match self.elements.get(&key) {
            Some(Element::Group(root)) => self.rebuild_group(key.path(), root),
            _ => Group::default(),
        }
    }

    /// The group with the members it lists, each as the overlay has it. A listed member is always there: it is part
    /// of the present configuration, or new and therefore in the delta.
    fn rebuild_group(&self, path: &str, listed: &Group) -> Group {
        Group {
            version: listed.version,
            groups: rebuild_members(&listed.groups, |name, child| {
                let key = ElementKey::member(path, ElementKind::Group, name);
                let child = match self.elements.get(&key) {
                    Some(Element::Group(group)) => group,
                    _ => child,
                };
                self.rebuild_group(key.path(), child)
            }),
            values: rebuild_members(&listed.values, |name, value| {
                let mut value: Value = match self.elements.get(&ElementKey::member(path, ElementKind::Value, name)) {
                    Some(Element::Value(value)) => (*value).clone(),
                    _ => value.clone(),
                };
                self.set_mod_policy(&mut value.mod_policy);
                value
            }),
            policies: rebuild_members(&listed.policies, |name, policy| {
                let key = ElementKey::member(path, ElementKind::Policy, name);
                let mut policy: PolicyEntry = match self.elements.get(&key) {
                    Some(Element::Policy(policy)) => (*policy).clone(),
                    _ => policy.clone(),
                };
                self.set_mod_policy(&mut policy.mod_policy);
                policy
            }),
            mod_policy: match listed.mod_policy.as_str() {
                "" => self.default_mod_policy.to_owned(),
                mod_policy => mod_policy.to_owned(),
            },
            unknown: listed.unknown.clone(),
        }
    }

    fn set_mod_policy(&self, mod_policy: &mut String) {
        if mod_policy.is_empty() {
            self.default_mod_policy.clone_into(mod_policy);
        }
    }
}

fn rebuild_members<M>(listed: &BTreeMap<String, M>, member: impl Fn(&str, &M) -> M) -> BTreeMap<String, M> {
    listed.iter().map(|(name, element)| (name.clone(), member(name, element))).collect()
}

const ORDERER: &str = "/Channel/Orderer";
