//! Nothing is ordered twice: no request id in the sequence of decisions, no envelope in the chain.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use mod_smart::{InstanceId, RequestId};

use super::{Checker, Observation, Scene};

#[derive(Default)]
pub(super) struct NoDuplicate {
    /// The first instance that is not looked at yet: agreement makes all replicas' decisions equal.
    next: InstanceId,
    ordered: BTreeMap<RequestId, InstanceId>,
    blocks: u64,
    envelopes: BTreeSet<Bytes>,
}

impl Checker for NoDuplicate {
    fn name(&self) -> &'static str {
        "no duplicate"
    }

    fn observe(&mut self, _: &Scene<'_>, seen: &Observation<'_>) -> Result<(), String> {
        match seen {
            Observation::Delivered(replica, decision) if decision.instance > self.next => {
                self.next = decision.instance;
                for request in &decision.requests {
                    let id = request.value().id;
                    if let Some(before) = self.ordered.insert(id, decision.instance) {
                        return Err(format!(
                            "replica {replica} executes request {id} in instance {} and again in {}",
                            before, decision.instance
                        ));
                    }
                }
            }
            Observation::Cut(replica, block) if block.header.number > self.blocks => {
                self.blocks = block.header.number;
                for envelope in &block.data {
                    if !self.envelopes.insert(envelope.clone()) {
                        return Err(format!(
                            "replica {replica} puts an envelope into block {} that stands in an earlier one",
                            block.header.number
                        ));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
