//! Whose signature each changed element asks for, who has signed, and who is missing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use fabric_channel::authoring::SignedUpdate;
use fabric_channel::config_tree::{ConfigTree, Group};
use fabric_channel::limits::UPDATE_SIGNATURES_MAX;
use fabric_channel::update::{ElementKey, ElementKind};
use fabric_channel::{Bundle, Identity, Policy, Shortfall, SignedData, SubShortfall};
use fabric_proto::common::SignatureHeader;
use prost::Message as _;

use crate::words::{self, line};

/// The signatures of an update, judged.
#[derive(Debug, Default)]
pub(crate) struct Signers {
    /// Whose signatures count.
    good: Vec<Identity>,
    /// One line for each signature.
    lines: Vec<String>,
}

impl Signers {
    /// Verifies the signatures under the present configuration; an update with more than it may have is refused anyway.
    pub(crate) fn read(current: &Bundle, update: &SignedUpdate) -> Self {
        let entries = update.content().signatures.iter().take(UPDATE_SIGNATURES_MAX).map(|entry| {
            let header = SignatureHeader::decode(entry.signature_header.clone()).unwrap_or_default();
            (update.preimage(&entry.signature_header), header.creator, &entry.signature)
        });
        let entries: Vec<_> = entries.collect();
        let signed: Vec<SignedData<'_>> =
            entries.iter().map(|(data, identity, signature)| SignedData { data, identity, signature }).collect();
        let lines = signed.iter().map(|entry| judge(current, entry)).collect();
        Self { good: current.msps().distinct_signers(&signed), lines }
    }

    /// One line for each signature.
    pub(crate) fn describe(&self, report: &mut String) {
        line!(report, "signatures: {}", self.lines.len());
        self.lines.iter().for_each(|line| line!(report, "  {line}"));
    }
}

fn judge(current: &Bundle, entry: &SignedData<'_>) -> String {
    let name = words::identity(entry.identity);
    let identity = match current.msps().deserialise(entry.identity) {
        Ok(identity) => identity,
        Err(why) => return format!("{name}: does not count, {why}"),
    };
    if let Err(why) = identity.verify(entry.data, entry.signature) {
        return format!("{name}: does not count, {why}");
    }
    if let Err(why) = identity.validity() {
        return format!("{name}: does not count, {why}");
    }
    format!("{name}: good, {}", words::expiry(identity.certificate()))
}

/// For each policy that governs changed elements: the elements, the policy in words, and what it lacks.
pub(crate) fn describe_authority(current: &Bundle, changed: &[ElementKey], signers: &Signers, report: &mut String) {
    let mut by_policy: BTreeMap<String, Vec<&ElementKey>> = BTreeMap::new();
    let mut ungoverned = Vec::new();
    for element in changed {
        match governing_policy(current.tree(), element) {
            Some(path) => by_policy.entry(path).or_default().push(element),
            None if is_listed(changed, element) => {}
            None => ungoverned.push(element),
        }
    }
    line!(report, "who has to sign");
    for (path, elements) in by_policy {
        line!(report, "  {path}: {}", policy_words(current.tree(), &path));
        elements.iter().for_each(|element| line!(report, "    for {element}"));
        match current.policies().policy(&path) {
            Some(policy) => describe_standing(policy, signers, report),
            None => line!(report, "    no such policy: nobody can change these"),
        }
    }
    for element in ungoverned {
        line!(report, "  {element} is new, but no changed group lists it: it would be dropped");
    }
}

/// A new element needs nobody's signature: who may change the group that lists it decides.
fn is_listed(changed: &[ElementKey], element: &ElementKey) -> bool {
    let parent = element.path().rsplit_once('/').map(|(parent, _)| parent);
    changed.iter().any(|other| other.kind() == ElementKind::Group && Some(other.path()) == parent)
}

fn describe_standing(policy: &Policy, signers: &Signers, report: &mut String) {
    let standing = standing(&policy.shortfall(&signers.good));
    if policy.is_satisfied_by(&signers.good) {
        line!(report, "    satisfied: {standing}");
    } else {
        line!(report, "    not satisfied: {standing}");
    }
}

/// `needs Admins of 2 of Org1, Org2: 1 signed (Org1), missing 1 of Org2 (1 of (an admin of Org2MSP))`
fn standing(shortfall: &Shortfall) -> String {
    let (sub_policy, needed, satisfied, missing) = match shortfall {
        Shortfall::Rule(rule) => return format!("needs {rule}"),
        Shortfall::SubPolicies { sub_policy, needed, satisfied, missing } => (sub_policy, *needed, satisfied, missing),
    };
    let mut names: Vec<&str> = satisfied.iter().map(String::as_str).collect();
    names.extend(missing.iter().map(|part| part.group.as_str()));
    names.sort_unstable();
    let mut text = format!("needs {sub_policy} of {needed} of {}: {} signed", names.join(", "), satisfied.len());
    if !satisfied.is_empty() {
        let _ = write!(text, " ({})", satisfied.join(", "));
    }
    let lacking = needed.saturating_sub(satisfied.len());
    if lacking > 0 {
        let missing: Vec<String> = missing.iter().map(missing_part).collect();
        let _ = write!(text, ", missing {lacking} of {}", missing.join(", "));
    }
    text
}

fn missing_part(part: &SubShortfall) -> String {
    match &part.why {
        None => format!("{} (it has no such policy)", part.group),
        Some(Shortfall::Rule(rule)) => format!("{} ({rule})", part.group),
        Some(deeper) => format!("{} ({})", part.group, standing(deeper)),
    }
}

/// The absolute path of the policy that governs an element now; none for an element that does not exist yet.
fn governing_policy(tree: &ConfigTree, element: &ElementKey) -> Option<String> {
    let path = element.path();
    let (parent, name) = path.rsplit_once('/')?;
    let (group, mod_policy) = match element.kind() {
        ElementKind::Group => (path, &group_at(tree, path)?.mod_policy),
        ElementKind::Value => (parent, &group_at(tree, parent)?.values.get(name)?.mod_policy),
        ElementKind::Policy => (parent, &group_at(tree, parent)?.policies.get(name)?.mod_policy),
    };
    Some(if mod_policy.starts_with('/') { mod_policy.clone() } else { format!("{group}/{mod_policy}") })
}

fn policy_words(tree: &ConfigTree, path: &str) -> String {
    let entry = path.rsplit_once('/').and_then(|(group, name)| group_at(tree, group)?.policies.get(name));
    entry.map_or_else(|| "not found".to_owned(), words::policy_entry)
}

fn group_at<'a>(tree: &'a ConfigTree, path: &str) -> Option<&'a Group> {
    let names = path.strip_prefix("/Channel")?;
    names.split('/').filter(|name| !name.is_empty()).try_fold(tree.root.as_ref()?, |group, name| group.groups.get(name))
}
