//! How blocks are cut.

use super::{EditError, edit_value, group_mut};
use crate::config_tree::ConfigTree;

/// New limits; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchEdit {
    /// Envelopes in a block.
    pub max_message_count: Option<u32>,
    /// Size in bytes above which an envelope is refused.
    pub absolute_max_bytes: Option<u32>,
    /// Size in bytes at which a block is cut.
    pub preferred_max_bytes: Option<u32>,
    /// How long an envelope may wait for its block to fill, as Go writes durations: `2s`, `500ms`.
    pub timeout: Option<String>,
}

impl BatchEdit {
    /// Sets the limits.
    ///
    /// # Errors
    /// [`EditError`] if there is no orderer group, or its values do not parse.
    pub fn apply(&self, tree: &mut ConfigTree) -> Result<(), EditError> {
        let orderer = group_mut(tree, &["Orderer"])?;
        let numbers = [self.max_message_count, self.absolute_max_bytes, self.preferred_max_bytes];
        if numbers.iter().any(Option::is_some) {
            edit_value(orderer, ORDERER, "BatchSize", |fields| {
                for (number, value) in (1..).zip(numbers) {
                    value.into_iter().for_each(|value| fields.set_number(number, value.into()));
                }
                Ok(())
            })?;
        }
        if let Some(timeout) = &self.timeout {
            edit_value(orderer, ORDERER, "BatchTimeout", |fields| {
                fields.set_contents(1, [timeout]);
                Ok(())
            })?;
        }
        Ok(())
    }
}

const ORDERER: &str = "/Channel/Orderer";
