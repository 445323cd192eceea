//! What a new configuration changes, in one line for the log.

use fabric_channel::Bundle;
use fabric_channel::config_tree::Group;

/// The paths of the elements that differ, the first few of them.
pub(crate) fn difference(before: &Bundle, after: &Bundle) -> String {
    let mut paths = Vec::new();
    if let (Some(before), Some(after)) = (&before.tree().root, &after.tree().root) {
        compare("/Channel", before, after, &mut paths);
    }
    if paths.is_empty() {
        return "nothing in it has changed".to_owned();
    }
    let more = paths.len().saturating_sub(PATHS_SHOWN_MAX);
    paths.truncate(PATHS_SHOWN_MAX);
    let shown = paths.join(", ");
    if more > 0 { format!("changed are {shown} and {more} more") } else { format!("changed are {shown}") }
}

fn compare(path: &str, before: &Group, after: &Group, paths: &mut Vec<String>) {
    if before.mod_policy != after.mod_policy {
        paths.push(format!("the mod_policy of {path}"));
    }
    let names = before.values.keys().chain(after.values.keys().filter(|name| !before.values.contains_key(*name)));
    let changed = names.filter(|name| before.values.get(*name) != after.values.get(*name));
    paths.extend(changed.map(|name| format!("{path}/{name}")));
    let names = before.policies.keys().chain(after.policies.keys().filter(|name| !before.policies.contains_key(*name)));
    let changed = names.filter(|name| before.policies.get(*name) != after.policies.get(*name));
    paths.extend(changed.map(|name| format!("policy {path}/{name}")));
    for (name, group) in &after.groups {
        match before.groups.get(name) {
            Some(old) => compare(&format!("{path}/{name}"), old, group, paths),
            None => paths.push(format!("{path}/{name} (new)")),
        }
    }
    let gone = before.groups.keys().filter(|name| !after.groups.contains_key(*name));
    paths.extend(gone.map(|name| format!("{path}/{name} (gone)")));
}

const PATHS_SHOWN_MAX: usize = 8;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;
    use fabric_channel::ChannelConfig;
    use fabric_proto::common::Block;
    use prost::Message as _;

    use super::*;

    #[test]
    fn what_has_changed_is_named_and_nothing_else() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/chain/0.block");
        let genesis = Block::decode(Bytes::from(std::fs::read(path).unwrap())).unwrap();
        let before = ChannelConfig::from_block(&genesis).unwrap();
        assert_eq!(difference(before.bundle(), before.bundle()), "nothing in it has changed");
        let mut tree = before.bundle().tree().clone();
        let root = tree.root.as_mut().unwrap();
        let orderer = root.groups.get_mut("Orderer").unwrap();
        orderer.values.get_mut("BatchSize").unwrap().version += 1;
        orderer.policies.get_mut("Admins").unwrap().version += 1;
        let application = root.groups.get_mut("Application").unwrap();
        application.groups.remove("Org2").unwrap();
        let new = application.groups["Org1"].clone();
        application.groups.insert("Org3".to_owned(), new);
        let after = Bundle::from_tree("bftch", tree).unwrap();
        let expected = "changed are /Channel/Application/Org3 (new), /Channel/Application/Org2 (gone), \
                        /Channel/Orderer/BatchSize, policy /Channel/Orderer/Admins";
        assert_eq!(difference(before.bundle(), &after), expected);
    }
}
