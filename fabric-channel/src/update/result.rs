//! What an update leads to.

use fabric_proto::Envelope;
use fabric_proto::common;

use super::element::ElementKey;
use crate::bundle::Bundle;
use crate::config_content::ConfigContent;
use crate::config_tree::{ConfigTree, Group};

/// The configuration that an authorised update leads to. Not yet known to be a valid channel.
#[derive(Debug, Clone)]
pub struct ProposedConfig {
    config: ConfigTree,
    last_update: common::Envelope,
    changed: Vec<ElementKey>,
    write_set: Option<Group>,
    has_effect: bool,
}

impl ProposedConfig {
    pub(super) fn new(
        current: &Bundle,
        root: Group,
        changed: Vec<ElementKey>,
        write_set: Option<Group>,
        envelope: &Envelope,
    ) -> Self {
        let has_effect = current.tree().root.as_ref() != Some(&root);
        // Sequences count around like Go's; nobody will live to see it.
        let config = ConfigTree { sequence: current.sequence().wrapping_add(1), root: Some(root) };
        let last_update =
            common::Envelope { payload: envelope.payload().clone(), signature: envelope.signature().clone() };
        Self { config, last_update, changed, write_set, has_effect }
    }

    /// The configuration, its sequence one higher.
    #[must_use]
    pub fn config(&self) -> &ConfigTree {
        &self.config
    }

    /// The content of the CONFIG payload.
    #[must_use]
    pub fn to_content(&self) -> ConfigContent {
        ConfigContent { config: Some(self.config.clone()), last_update: Some(self.last_update.clone()) }
    }

    /// The elements that the update writes, by path.
    #[must_use]
    pub fn changed(&self) -> &[ElementKey] {
        &self.changed
    }

    /// False if nothing but the sequence changes: all changed elements are new ones that no group lists. Anybody who
    /// may write to the channel can make such an update, without any signature of an administrator.
    #[must_use]
    pub fn has_effect(&self) -> bool {
        self.has_effect
    }

    pub(crate) fn write_set(&self) -> Option<&Group> {
        self.write_set.as_ref()
    }
}
