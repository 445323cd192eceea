//! A block that could be shown to a peer with the signatures of a quorum is on the chain.
//!
//! A peer sees what a signature covers: the header and the metadata value. It sees neither who is sure nor the regency, and
//! a lying frontend can carry to it whatever was ever signed. Liars sign everything.

use std::collections::BTreeMap;

use blockcutter::CutBlock;
use bytes::Bytes;
use mod_smart::{ReplicaId, Voters};

use super::{Checker, Observation, Scene};

#[derive(Default)]
pub(super) struct Finality {
    /// Who has signed what, by number.
    signed: BTreeMap<u64, BTreeMap<([u8; 32], Bytes), Voters>>,
    /// Header hashes of what was decided.
    decided: BTreeMap<u64, [u8; 32]>,
}

impl Checker for Finality {
    fn name(&self) -> &'static str {
        "finality"
    }

    fn observe(&mut self, scene: &Scene<'_>, seen: &Observation<'_>) -> Result<(), String> {
        match seen {
            Observation::Foretold(replica, block) => self.sign(scene, *replica, block),
            Observation::Cut(replica, block) => {
                self.decided.entry(block.header.number).or_insert(block.header_hash);
                self.sign(scene, *replica, block)
            }
            Observation::Certified(frontend, pushes) => {
                let Some((_, push)) = pushes.first() else { return Ok(()) };
                let known = self.decided.get(&push.header.number);
                if known.is_some_and(|hash| *hash != push.header.hash()) {
                    return Err(format!("frontend {frontend} certified a false block {}", push.header.number));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Finality {
    fn sign(&mut self, scene: &Scene<'_>, replica: ReplicaId, block: &CutBlock) -> Result<(), String> {
        let number = block.header.number;
        let of_number = self.signed.entry(number).or_default();
        of_number.entry((block.header_hash, block.metadata_value.clone())).or_default().insert(replica);
        let Some(decided) = self.decided.get(&number) else { return Ok(()) };
        let liars = || scene.view.replicas().filter(|replica| scene.is_faulty(*replica));
        let shown = of_number.iter().filter(|((hash, _), _)| hash != decided);
        for (_, signers) in shown {
            let voters: Voters = signers.iter().chain(liars()).collect();
            if scene.view.is_quorum(voters) {
                let signers: Vec<String> = signers.iter().map(|replica| replica.to_string()).collect();
                return Err(format!(
                    "another block {number} than the decided one was signed by {}: with the liars a quorum",
                    signers.join(", ")
                ));
            }
        }
        Ok(())
    }
}
