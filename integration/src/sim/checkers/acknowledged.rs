//! What `f + 1` replicas said they hold is ordered, whatever happened in between.

use std::collections::{BTreeMap, BTreeSet};

use mod_smart::{Digest, RequestId, Sealed};

use super::{Checker, Observation, Scene};

#[derive(Default)]
pub(super) struct Acknowledged {
    promised: BTreeMap<Digest, RequestId>,
    ordered: BTreeSet<Digest>,
}

impl Checker for Acknowledged {
    fn name(&self) -> &'static str {
        "acknowledged-never-lost"
    }

    fn observe(&mut self, _: &Scene<'_>, seen: &Observation<'_>) -> Result<(), String> {
        match seen {
            Observation::Acknowledged(id, digest) => {
                self.promised.insert(*digest, *id);
            }
            Observation::Delivered(_, decision) => {
                self.ordered.extend(decision.requests.iter().map(Sealed::digest));
            }
            Observation::Ended(_) => {
                if let Some((_, id)) = self.promised.iter().find(|(digest, _)| !self.ordered.contains(*digest)) {
                    return Err(format!("request {id} was acknowledged and never ordered"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
