//! Every decision has a proof that verifies, and every certified block a quorum of signers, one of them correct at least.

use super::{Checker, Observation, Scene, signers};
use crate::sim::keys::Keys;

pub(super) struct Certificate;

impl Checker for Certificate {
    fn name(&self) -> &'static str {
        "certificate"
    }

    fn observe(&mut self, scene: &Scene<'_>, seen: &Observation<'_>) -> Result<(), String> {
        match seen {
            Observation::Delivered(replica, decision) => {
                let (proof, instance) = (&decision.proof, decision.instance);
                if proof.instance() != instance || proof.epoch() != decision.epoch {
                    return Err(format!("replica {replica} delivers instance {instance} with another one's proof"));
                }
                proof.verify(scene.view, &Keys).map_err(|error| {
                    format!("replica {replica} delivers instance {instance} with a proof that fails: {error}")
                })
            }
            Observation::Certified(frontend, pushes) => {
                let is_signed = pushes.iter().all(|(signer, push)| push.is_signed_by(*signer));
                let voters = signers(pushes);
                if !is_signed || !scene.view.is_quorum(voters) || !scene.view.is_any_correct(voters) {
                    return Err(format!("frontend {frontend} certifies a block without a quorum"));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
