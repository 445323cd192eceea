//! Every decision has a proof that verifies, and of which every vote that is not a liar's was really cast; every certified
//! block has a quorum of signers, one of them correct at least. Where replicas only crash nobody sends a WRITE, and one signer
//! of a block is enough.

use std::collections::BTreeSet;

use mod_smart::certificate::{Vote, VoteKind};
use mod_smart::{FaultModel, Message, Record, ReplicaId};

use super::{Checker, Observation, Scene, Standing, signers};
use crate::sim::keys::Keys;

#[derive(Default)]
pub(super) struct Certificate {
    /// What replicas that are no liars have voted. A proof that says more is made of something else, however good its
    /// signatures look to whoever verifies them.
    cast: BTreeSet<(ReplicaId, Vote)>,
}

impl Checker for Certificate {
    fn name(&self) -> &'static str {
        "certificate"
    }

    fn observe(&mut self, scene: &Scene<'_>, seen: &Observation<'_>) -> Result<(), String> {
        match seen {
            Observation::Durable(replica, Record::Voted(vote)) => {
                self.cast.insert((*replica, *vote));
                Ok(())
            }
            Observation::Delivered(replica, decision) => {
                let (proof, instance) = (&decision.proof, decision.instance);
                if proof.instance() != instance || proof.epoch() != decision.epoch {
                    return Err(format!("replica {replica} delivers instance {instance} with another one's proof"));
                }
                proof.verify(scene.view, &Keys).map_err(|error| {
                    format!("replica {replica} delivers instance {instance} with a proof that fails: {error}")
                })?;
                let (epoch, digest) = (proof.epoch(), proof.digest());
                let vote = Vote { kind: VoteKind::Accept, instance, epoch, digest };
                let honest = proof.voters().iter().filter(|voter| scene.standings[voter.index()] != Standing::Liar);
                match honest.into_iter().find(|voter| !self.cast.contains(&(*voter, vote))) {
                    Some(voter) => Err(format!(
                        "replica {replica} delivers instance {instance} with a vote that replica {voter} never cast"
                    )),
                    None => Ok(()),
                }
            }
            Observation::Certified(frontend, pushes) => {
                let is_signed = pushes.iter().all(|(signer, push)| push.is_signed_by(*signer));
                let voters = signers(pushes);
                let is_correct = scene.view.fault_model() == FaultModel::Crash || scene.view.is_any_correct(voters);
                if !is_signed || !scene.view.is_delivery_quorum(voters) || !is_correct {
                    return Err(format!("frontend {frontend} certifies a block without a quorum"));
                }
                Ok(())
            }
            Observation::Sent(replica, Message::Vote(signed))
                if signed.vote.kind == VoteKind::Write && !scene.view.has_writes() =>
            {
                Err(format!("replica {replica} sends a WRITE, though nobody needs one"))
            }
            _ => Ok(()),
        }
    }
}
