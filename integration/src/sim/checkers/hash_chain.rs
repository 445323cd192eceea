//! There is one chain of blocks, every block names the one before it, and what frontends certify is on it.

use std::collections::BTreeMap;

use frontend_shim::certainty::Certainty;
use mod_smart::ReplicaId;

use super::{Checker, Observation, Scene};

#[derive(Default)]
pub(super) struct HashChain {
    /// Header hashes by number, and who cut the block first.
    chain: BTreeMap<u64, ([u8; 32], ReplicaId)>,
}

impl Checker for HashChain {
    fn name(&self) -> &'static str {
        "hash chain"
    }

    fn observe(&mut self, _: &Scene<'_>, seen: &Observation<'_>) -> Result<(), String> {
        match seen {
            Observation::Cut(replica, block) => {
                let number = block.header.number;
                let (known, first) = *self.chain.entry(number).or_insert((block.header_hash, *replica));
                if known != block.header_hash {
                    return Err(format!("replicas {first} and {replica} cut different blocks {number}"));
                }
                let before = number.checked_sub(1).and_then(|before| self.chain.get(&before));
                if before.is_some_and(|(hash, _)| hash[..] != block.header.previous_hash[..]) {
                    return Err(format!("block {number} of replica {replica} does not name block {}", number - 1));
                }
            }
            Observation::Certified(frontend, pushes) => {
                let Some((_, push)) = pushes.first() else { return Ok(()) };
                let number = push.header.number;
                match self.chain.get(&number) {
                    Some((hash, _)) if *hash == push.header.hash() => {}
                    Some(_) => return Err(format!("frontend {frontend} certified a false block {number}")),
                    // Final before anybody heard of the decision. What is cut later has to be this.
                    None if pushes.iter().any(|(_, push)| push.certainty != Certainty::Decided) => {
                        let first = pushes.first().map_or(ReplicaId(0), |(replica, _)| *replica);
                        self.chain.insert(number, (push.header.hash(), first));
                    }
                    None => {
                        return Err(format!("frontend {frontend} certified block {number}, which nobody correct cut"));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
