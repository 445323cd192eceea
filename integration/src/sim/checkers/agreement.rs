//! No two correct replicas are given different decisions for one instance, or have different states after one.

use std::collections::BTreeMap;

use mod_smart::{Decision, Digest, InstanceId, ReplicaId, Sealed};

use super::{Checker, Observation, Scene};

#[derive(Default)]
pub(super) struct Agreement {
    decided: BTreeMap<InstanceId, (ReplicaId, Content)>,
    states: BTreeMap<InstanceId, (ReplicaId, Digest)>,
}

/// The decided batch, what of it is executed, and how much is not.
#[derive(PartialEq, Eq)]
struct Content {
    batch: Digest,
    requests: Vec<Digest>,
    skipped: usize,
}

impl Content {
    fn of(decision: &Decision) -> Self {
        Self {
            batch: decision.proof.digest(),
            requests: decision.requests.iter().map(Sealed::digest).collect(),
            skipped: decision.skipped,
        }
    }
}

impl Checker for Agreement {
    fn name(&self) -> &'static str {
        "agreement"
    }

    fn observe(&mut self, _: &Scene<'_>, seen: &Observation<'_>) -> Result<(), String> {
        match seen {
            Observation::Delivered(replica, decision) => {
                let content = Content::of(decision);
                let (first, known) =
                    self.decided.entry(decision.instance).or_insert_with(|| (*replica, Content::of(decision)));
                if *known != content {
                    return Err(format!(
                        "fork at instance {}: replica {first} has {} with {} requests, replica {replica} has {} with {}",
                        decision.instance,
                        known.batch,
                        known.requests.len(),
                        content.batch,
                        content.requests.len()
                    ));
                }
            }
            Observation::State(replica, instance, digest) => {
                let (first, known) = *self.states.entry(*instance).or_insert((*replica, *digest));
                if known != *digest {
                    return Err(format!(
                        "replicas {first} and {replica} have different states after instance {instance}"
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
