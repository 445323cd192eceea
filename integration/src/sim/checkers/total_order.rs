//! Every application is given decisions in instance order, from the state its process began with and without a gap.

use std::collections::BTreeMap;

use mod_smart::{InstanceId, ReplicaId};

use super::{Checker, Observation, Scene};

#[derive(Default)]
pub(super) struct TotalOrder(BTreeMap<ReplicaId, InstanceId>);

impl Checker for TotalOrder {
    fn name(&self) -> &'static str {
        "total order"
    }

    fn observe(&mut self, _: &Scene<'_>, seen: &Observation<'_>) -> Result<(), String> {
        match seen {
            Observation::Started(replica, instance) => {
                self.0.insert(*replica, *instance);
            }
            Observation::Installed(replica, instance) => {
                let before = self.0.insert(*replica, *instance).unwrap_or_default();
                if *instance <= before {
                    return Err(format!(
                        "replica {replica} goes back from instance {before} to a state after {instance}"
                    ));
                }
            }
            Observation::Delivered(replica, decision) => {
                let before = self.0.insert(*replica, decision.instance).unwrap_or_default();
                if decision.instance != before.next() {
                    return Err(format!("replica {replica} is given instance {} after {before}", decision.instance));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
