//! Between this tree and the generated messages, which hold the known fields only.

use std::collections::BTreeMap;

use fabric_proto::common::{Config, ConfigGroup, ConfigPolicy, ConfigValue, Policy};

use super::{ConfigTree, Group, PolicyBody, PolicyEntry, UnknownFields, Value};

impl From<&Config> for ConfigTree {
    fn from(config: &Config) -> Self {
        Self { sequence: config.sequence, root: config.channel_group.as_ref().map(Group::from) }
    }
}

impl From<&ConfigGroup> for Group {
    fn from(group: &ConfigGroup) -> Self {
        Self {
            version: group.version,
            groups: converted(&group.groups),
            values: converted(&group.values),
            policies: converted(&group.policies),
            mod_policy: group.mod_policy.clone(),
            unknown: UnknownFields::default(),
        }
    }
}

impl From<&ConfigValue> for Value {
    fn from(value: &ConfigValue) -> Self {
        Self {
            version: value.version,
            value: value.value.clone(),
            mod_policy: value.mod_policy.clone(),
            unknown: UnknownFields::default(),
        }
    }
}

impl From<&ConfigPolicy> for PolicyEntry {
    fn from(entry: &ConfigPolicy) -> Self {
        Self {
            version: entry.version,
            policy: entry.policy.as_ref().map(|policy| PolicyBody {
                kind: policy.r#type,
                value: policy.value.clone(),
                unknown: UnknownFields::default(),
            }),
            mod_policy: entry.mod_policy.clone(),
            unknown: UnknownFields::default(),
        }
    }
}

impl From<&ConfigTree> for Config {
    fn from(tree: &ConfigTree) -> Self {
        Self { sequence: tree.sequence, channel_group: tree.root.as_ref().map(ConfigGroup::from) }
    }
}

impl From<&Group> for ConfigGroup {
    fn from(group: &Group) -> Self {
        Self {
            version: group.version,
            groups: converted(&group.groups),
            values: converted(&group.values),
            policies: converted(&group.policies),
            mod_policy: group.mod_policy.clone(),
        }
    }
}

impl From<&Value> for ConfigValue {
    fn from(value: &Value) -> Self {
        Self { version: value.version, value: value.value.clone(), mod_policy: value.mod_policy.clone() }
    }
}

impl From<&PolicyEntry> for ConfigPolicy {
    fn from(entry: &PolicyEntry) -> Self {
        Self {
            version: entry.version,
            policy: entry.policy.as_ref().map(|body| Policy { r#type: body.kind, value: body.value.clone() }),
            mod_policy: entry.mod_policy.clone(),
        }
    }
}

fn converted<'a, A, B: From<&'a A>>(members: &'a BTreeMap<String, A>) -> BTreeMap<String, B> {
    members.iter().map(|(name, member)| (name.clone(), B::from(member))).collect()
}
