//! A configuration as a tree.

use fabric_channel::config_tree::{ConfigTree, Group, UnknownFields};

use crate::words::{line, policy_entry, value_lines};

/// Every group with its version and mod_policy, then its values, policies and groups.
pub(super) fn describe(tree: &ConfigTree, report: &mut String) {
    line!(report, "configuration, sequence {}", tree.sequence);
    match &tree.root {
        Some(root) => describe_group("/Channel", root, 0, report),
        None => line!(report, "  no channel group"),
    }
}

/// Names end with the version, and with the mod_policy where it is not the usual `Admins`. In the sets of an update,
/// members that stay are there with their version only.
pub(super) fn describe_group(name: &str, group: &Group, depth: usize, report: &mut String) {
    line!(report, "{:2$}{name}{}", "", tag(group.version, group_mod_policy(group), &group.unknown), 2 * depth);
    let indent = 2 * depth + 2;
    for (key, value) in &group.values {
        if value.value.is_empty() && value.mod_policy.is_empty() && value.unknown.is_empty() {
            line!(report, "{:indent$}{key}: as it is  [v{}]", "", value.version);
            continue;
        }
        let lines = value_lines(key, &value.value);
        let tag = tag(value.version, &value.mod_policy, &value.unknown);
        if let [line] = &lines[..] {
            line!(report, "{:indent$}{key}: {line}{tag}", "");
        } else {
            line!(report, "{:indent$}{key}:{tag}", "");
            lines.iter().for_each(|line| line!(report, "{:1$}{line}", "", indent + 2));
        }
    }
    for (key, entry) in &group.policies {
        if entry.policy.is_none() && entry.mod_policy.is_empty() && entry.unknown.is_empty() {
            line!(report, "{:indent$}policy {key}: as it is  [v{}]", "", entry.version);
            continue;
        }
        let tag = tag(entry.version, &entry.mod_policy, &entry.unknown);
        line!(report, "{:indent$}policy {key}: {}{tag}", "", policy_entry(entry));
    }
    for (name, child) in &group.groups {
        describe_group(name, child, depth + 1, report);
    }
}

/// A group without one is on the way to a change, or belongs to a channel of Fabric 1.0.
fn group_mod_policy(group: &Group) -> &str {
    if group.mod_policy.is_empty() { "Admins" } else { &group.mod_policy }
}

fn tag(version: u64, mod_policy: &str, unknown: &UnknownFields) -> String {
    let mut tag = format!("  [v{version}");
    match mod_policy {
        "Admins" => {}
        "" => tag.push_str(", no mod_policy"),
        other => tag.push_str(&format!(", changed by {other}")),
    }
    if !unknown.is_empty() {
        tag.push_str(&format!(", {} bytes of unknown fields", unknown.as_bytes().len()));
    }
    tag + "]"
}
