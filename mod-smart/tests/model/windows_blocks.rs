//! The blocks of model 2: what a peer may be made to believe by tentative signatures.
//!
//! Requests `a` and `c` make blocks of the channel looked at, `b` is another channel's. A replica signs the block of an
//! instance when it holds its WRITE certificate; everything before is decided, because one instance is open at a time. The
//! liar signs everything, and a lying frontend carries any signatures to a peer: the peer sees what is signed, and neither
//! regency nor instance unless the signed bytes name it.

use mod_smart::quorum::Voters;

use crate::windows::Windows;
use crate::windows_state::{Batch, State, voters};

/// What a signature over a block covers: its number, its request, and its instance where the rule says so.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Signed {
    number: usize,
    request: u8,
    instance: Option<u8>,
}

impl Windows {
    /// A peer holds signatures over a block, and another block with its number is decided.
    pub fn contradicted_block(&self, state: &State) -> Option<String> {
        let decided = self.chain(state, (1..=self.instances).take_while(|&k| self.is_decided(state, k)).last()?);
        let mut signed: Vec<(Signed, Voters)> = Vec::new();
        for regency in 0..self.regencies {
            for instance in 1..=self.instances {
                let Some(block) = self.tentative(state, regency, instance) else { continue };
                let signers = voters(state, true, |me| me.held.has(regency, instance));
                match signed.iter_mut().find(|(known, _)| *known == block) {
                    Some((_, known)) => *known = known.iter().chain(signers.iter()).collect(),
                    None => signed.push((block, signers)),
                }
            }
        }
        let is_false = |block: &Signed| decided.get(block.number).is_some_and(|&known| known != block.request);
        let (block, _) = signed.iter().find(|(block, signers)| self.view.is_quorum(*signers) && is_false(block))?;
        let (number, request) = (block.number, Batch::Request(block.request));
        Some(format!("FINALITY: a peer holds signatures over {request} as block {number}, another is decided"))
    }

    /// The block that holders of this certificate sign tentatively.
    fn tentative(&self, state: &State, regency: u8, instance: u8) -> Option<Signed> {
        let Batch::Request(request) = state.batch(regency, instance) else { return None };
        let before = self.chain(state, instance - 1);
        let carried_over = regency > 0 && instance <= state.top[usize::from(regency)] + self.alpha;
        if !makes_block(request) || before.contains(&request) || self.rules.tentative_is_first_regency && carried_over {
            return None;
        }
        let instance = self.rules.block_names_its_instance.then_some(instance);
        Some(Signed { number: before.len(), request, instance })
    }

    /// The blocks made by instances `1..=delivered`.
    fn chain(&self, state: &State, delivered: u8) -> Vec<u8> {
        self.log(state, delivered).into_iter().filter(|&request| makes_block(request)).collect()
    }
}

const fn makes_block(request: u8) -> bool {
    request != 2
}
