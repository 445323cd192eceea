//! Under which settings the groups of this node were founded, on disk: one small file in the folder of each.
//!
//! Other settings make another group, which knows nothing of what the one before has ordered (PROTOCOL.md, Settings). A node
//! whose settings were changed would wait there for members that never come, so it says what is different instead.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, bail};
use frontend_shim::group::OrderingGroup;
use frontend_shim::group_settings::GroupSettings;
use mod_smart::GroupId;
use serde::{Deserialize, Serialize};

use crate::disk::{DirDisk, Disk as _};

/// The content of the file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Founded {
    /// [`OrderingGroup::plain_id`], in hex.
    consenters: String,
    ordering: GroupSettings,
}

/// Notes what a group is founded with, before anything else is written for it. `groups` holds a folder for each group.
///
/// # Errors
/// The same consenters have worked here under other settings, or the disk fails.
pub(super) fn keep(groups: &Path, group: &OrderingGroup) -> anyhow::Result<()> {
    let folder = groups.join(hex::encode(group.id().0));
    if folder.join(FILE).exists() {
        return Ok(());
    }
    if !folder.exists()
        && let Some(before) = others(groups, group)?
    {
        let ours = group.settings();
        let difference = ours.difference(&before).map_or_else(String::new, |difference| format!(": {difference}"));
        bail!(
            "the configuration has other settings in its section of ordering than those under which this node has ordered with \
             the same consenters (here: the configuration, there: before){difference}. Put them back, on all nodes and \
             frontends; they were: {before}"
        );
    }
    let founded = Founded { consenters: hex::encode(group.plain_id().0), ordering: group.settings().clone() };
    let text = toml::to_string(&founded).context("cannot write the settings of the group")?;
    write(&folder, &format!("{NOTICE}{text}")).context("cannot keep the settings of the group")
}

/// The settings of another group of the same consenters that has worked here.
fn others(groups: &Path, group: &OrderingGroup) -> anyhow::Result<Option<GroupSettings>> {
    // Before there were settings nothing was noted: such a group has the plain id for its name.
    let plain = groups.join(hex::encode(group.plain_id().0));
    if plain.exists() && !plain.join(FILE).exists() {
        return Ok(Some(GroupSettings::plain()));
    }
    let entries = match std::fs::read_dir(groups) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", groups.display())),
    };
    for entry in entries {
        let file = entry.with_context(|| format!("cannot read {}", groups.display()))?.path().join(FILE);
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        };
        let founded: Founded = toml::from_str(&text)
            .with_context(|| format!("{} does not tell the settings of a group", file.display()))?;
        if founded.consenters == hex::encode(group.plain_id().0) {
            return Ok(Some(founded.ordering));
        }
    }
    Ok(None)
}

fn write(folder: &Path, text: &str) -> anyhow::Result<()> {
    let disk = DirDisk::open(folder)?;
    disk.remove(NEW)?;
    let file = disk.create(NEW)?;
    file.write_at(0, text.as_bytes())?;
    file.sync()?;
    disk.rename(NEW, FILE)?;
    Ok(disk.sync_names()?)
}

/// Does a group with this id have a folder here?
pub(super) fn is_known(groups: &Path, group: GroupId) -> bool {
    groups.join(hex::encode(group.0)).exists()
}

const FILE: &str = "settings.toml";
const NEW: &str = "settings.new";
const NOTICE: &str =
    "# What this group was founded with. It is part of the group's name: changes here mean nothing.\n\n";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fabric_channel::ChannelConfig;
    use fabric_proto::common::Block;
    use frontend_shim::group::ordering_group_after;
    use prost::Message as _;

    use super::*;

    const BFT: &[u8] = include_bytes!("../../../fabric-channel/tests/data/bft/genesis.block");

    fn group(moves: u64, settings: &str) -> OrderingGroup {
        let config = ChannelConfig::from_block(&Block::decode(BFT).unwrap()).unwrap();
        ordering_group_after(&config, moves, &toml::from_str(settings).unwrap()).unwrap()
    }

    #[test]
    fn a_start_under_other_settings_is_refused_with_the_difference_and_those_of_before_are_taken_again() {
        let groups = tempfile::tempdir().unwrap();
        let keep = |settings: &str| keep(groups.path(), &group(0, settings)).map_err(|error| error.to_string());
        keep("window = 4").unwrap();
        keep("window = 4").unwrap();
        let error = keep("window = 1").unwrap_err();
        assert!(error.contains("`window` is 1 here and 4 there"), "{error}");
        assert!(error.ends_with("they were: window 4"), "{error}");
        assert!(keep("window = 4\ntentative = true").unwrap_err().contains("`tentative` is true here and false there"));
        assert_eq!(keep("window = 4"), Ok(()));
        assert_eq!(std::fs::read_dir(groups.path()).unwrap().count(), 1, "a refused group leaves nothing");
    }

    #[test]
    fn a_group_from_before_there_were_settings_has_plain_ones() {
        let groups = tempfile::tempdir().unwrap();
        std::fs::create_dir(groups.path().join(hex::encode(group(0, "").plain_id().0))).unwrap();
        assert!(keep(groups.path(), &group(0, "window = 4")).unwrap_err().to_string().contains("4 here and 1 there"));
        keep(groups.path(), &group(0, "window = 1")).unwrap();
        assert!(keep(groups.path(), &group(0, "window = 4")).is_err(), "noted or not");
    }

    #[test]
    fn other_consenters_and_other_incarnations_are_other_groups() {
        let groups = tempfile::tempdir().unwrap();
        keep(groups.path(), &group(0, "window = 4")).unwrap();
        keep(groups.path(), &group(1, "window = 1")).unwrap();
        assert!(is_known(groups.path(), group(1, "window = 1").id()));
    }
}
