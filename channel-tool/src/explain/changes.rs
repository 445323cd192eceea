//! Old and new, element by element.

use std::collections::BTreeSet;

use fabric_channel::authoring::{Content, Difference, differences};
use fabric_channel::config_tree::ConfigTree;

use crate::inspect::element;
use crate::words::{indented, line, policy_entry, value_lines};

/// Every difference between two configurations.
pub(crate) fn describe_changes(old: &ConfigTree, new: &ConfigTree, report: &mut String) {
    let found = differences(old, new);
    if found.is_empty() {
        line!(report, "changes: none");
        return;
    }
    line!(report, "changes");
    found.iter().for_each(|difference| describe(difference, report));
}

fn describe(difference: &Difference<'_>, report: &mut String) {
    let path = &difference.path;
    match (difference.old, difference.new) {
        (None, Some(new)) => {
            line!(report, "  + {} {path}", kind(new));
            report.push_str(&indented(&text(path, new), 3));
        }
        (Some(old), None) => line!(report, "  - {} {path}", kind(old)),
        (Some(old), Some(new)) => {
            line!(report, "  ~ {} {path}", kind(new));
            describe_change(path, old, new, report);
        }
        (None, None) => {}
    }
}

fn describe_change(path: &str, old: Content<'_>, new: Content<'_>, report: &mut String) {
    if mod_policy(old) != mod_policy(new) {
        line!(report, "      mod_policy {:?} -> {:?}", mod_policy(old), mod_policy(new));
    }
    if matches!(new, Content::Group(_)) {
        return;
    }
    let (old, new) = (text(path, old), text(path, new));
    // Of long lists only the lines that differ are of interest.
    let only_in = |lines: &str, others: &str| -> Vec<String> {
        let others: BTreeSet<&str> = others.lines().collect();
        lines.lines().filter(|line| !others.contains(line)).map(str::to_owned).collect()
    };
    let (gone, come) = (only_in(&old, &new), only_in(&new, &old));
    if gone.is_empty() && come.is_empty() && old == new {
        line!(report, "      (same in words, other bytes)");
    }
    gone.iter().for_each(|line| line!(report, "      old: {line}"));
    come.iter().for_each(|line| line!(report, "      new: {line}"));
}

fn text(path: &str, content: Content<'_>) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    match content {
        Content::Group(group) => element(name, group),
        Content::Value(value) => value_lines(name, &value.value).join("\n"),
        Content::Policy(policy) => policy_entry(policy),
    }
}

fn kind(content: Content<'_>) -> &'static str {
    match content {
        Content::Group(_) => "group",
        Content::Value(_) => "value",
        Content::Policy(_) => "policy",
    }
}

fn mod_policy(content: Content<'_>) -> &str {
    match content {
        Content::Group(group) => &group.mod_policy,
        Content::Value(value) => &value.mod_policy,
        Content::Policy(policy) => &policy.mod_policy,
    }
}
