//! What stands in a block was permitted by the configuration below it: every envelope signed by a writer, every
//! configuration what its update leads to.
//!
//! The replicas rely on what a quorum has looked at before it voted. Here every envelope is looked at again.

use std::sync::Arc;

use blockcutter::CutBlock;
use fabric_channel::{ChannelConfig, config_transaction, filters};
use fabric_proto::Envelope;

use super::{Checker, Observation, Scene};

pub(super) struct Permission {
    /// In force after the last block that was looked at.
    config: Arc<ChannelConfig>,
    number: u64,
}

impl Permission {
    pub fn beginning(config: Arc<ChannelConfig>) -> Self {
        Self { config, number: 0 }
    }

    fn judge(&mut self, block: &CutBlock) -> Result<(), String> {
        let wrong = |what: String| format!("block {} holds what nobody may order: {what}", block.header.number);
        for entry in &block.data {
            let envelope = Envelope::decode(entry.clone()).map_err(|error| wrong(error.to_string()))?;
            if block.is_config {
                let next =
                    config_transaction::verify(&self.config, &envelope).map_err(|error| wrong(error.to_string()))?;
                self.config = next;
            } else {
                filters::check(&self.config, &envelope, None).map_err(|error| wrong(error.to_string()))?;
            }
        }
        Ok(())
    }
}

impl Checker for Permission {
    fn name(&self) -> &'static str {
        "permission"
    }

    fn observe(&mut self, _scene: &Scene<'_>, seen: &Observation<'_>) -> Result<(), String> {
        // All replicas cut the same blocks (hash chain): whoever is first is looked at.
        match seen {
            Observation::Cut(_, block) if block.header.number == self.number + 1 => {
                self.number += 1;
                self.judge(block)
            }
            _ => Ok(()),
        }
    }
}
