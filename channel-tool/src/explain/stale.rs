//! Whether an update was made from the present configuration: every element it saw has to be as it was.

use std::collections::BTreeMap;

use fabric_channel::authoring::SignedUpdate;
use fabric_channel::config_tree::{ConfigTree, Group};

use crate::words::line;

/// Names every element that has another version than the update supposes; nothing if there is none.
pub(super) fn describe_stale(current: &ConfigTree, update: &SignedUpdate, report: &mut String) {
    let present = current.root.as_ref().map(versions).unwrap_or_default();
    let read = versions(update.read_set());
    let mut lines = Vec::new();
    for (element, version) in &read {
        match present.get(element) {
            None => lines.push(format!("{element}: read at version {version}, is not there now")),
            Some(now) if now != version => lines.push(format!("{element}: read at version {version}, is at {now} now")),
            Some(_) => {}
        }
    }
    for (element, version) in versions(update.write_set()) {
        let Some(now) = present.get(&element).filter(|_| !read.contains_key(&element)) else {
            continue;
        };
        let next = now.wrapping_add(1);
        if version != next {
            lines.push(format!("{element}: written as version {version}, has to become {next} now"));
        }
    }
    if !lines.is_empty() {
        line!(report, "not made from this configuration");
        lines.iter().for_each(|line| line!(report, "  {line}"));
    }
}

/// The version of each element, under its kind and path.
fn versions(root: &Group) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    collect("/Channel", root, &mut found);
    found
}

fn collect(path: &str, group: &Group, found: &mut BTreeMap<String, u64>) {
    found.insert(format!("group {path}"), group.version);
    found.extend(group.values.iter().map(|(name, value)| (format!("value {path}/{name}"), value.version)));
    found.extend(group.policies.iter().map(|(name, policy)| (format!("policy {path}/{name}"), policy.version)));
    for (name, child) in &group.groups {
        collect(&format!("{path}/{name}"), child, found);
    }
}
