//! Model 6: the signatures of a decided block. What they cover must not depend on who signs when.
//!
//! A block is decided; three correct replicas sign it, each when it delivers and each once, in whatever regency it then is; a
//! frontend needs a quorum of signatures over equal bytes. The liar signs nothing. *Property.* The signatures can always
//! be completed.

use std::fmt;

use crate::explorer::{Model, always_possible};
use crate::rules::Rules;
use crate::verdict::{breaks, holds};

struct Signatures {
    rules: Rules,
}

const REGENCIES: u8 = 3;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Replica {
    regency: u8,
    /// What it signed: the block, and a regency if the rule is broken.
    signed: Option<u8>,
}

type State = [Replica; 3];

#[derive(Clone, Copy)]
enum Step {
    Sign { replica: usize, regency: u8 },
    Enter { replica: usize, regency: u8 },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sign { replica, regency } => {
                write!(f, "replica {replica} delivers and signs the block in regency {regency}")
            }
            Self::Enter { replica, regency } => write!(f, "replica {replica} enters regency {regency}"),
        }
    }
}

impl Model for Signatures {
    type State = State;
    type Step = Step;
    type Key = State;

    fn start(&self) -> State {
        State::default()
    }

    fn steps(&self, state: &State, each: &mut dyn FnMut(Step, State)) {
        for replica in 0..3 {
            let Replica { regency, signed } = state[replica];
            if signed.is_none() {
                let mut next = *state;
                next[replica].signed = Some(if self.rules.block_names_no_regency { 0 } else { regency });
                each(Step::Sign { replica, regency }, next);
            }
            if regency + 1 < REGENCIES {
                let mut next = *state;
                next[replica].regency += 1;
                each(Step::Enter { replica, regency: regency + 1 }, next);
            }
        }
    }

    fn broken(&self, _state: &State) -> Option<String> {
        None
    }

    fn key(&self, state: &State) -> State {
        let mut key = *state;
        key.sort_unstable();
        key
    }
}

fn is_certified(state: &State) -> bool {
    state[0].signed.is_some() && state.iter().all(|me| me.signed == state[0].signed)
}

#[test]
fn the_signatures_of_a_decided_block_can_always_be_completed() {
    holds("block signatures", always_possible(&Signatures { rules: Rules::ALL }, is_certified), 50);
}

#[test]
fn a_regency_inside_the_signed_value_splits_the_signatures_for_ever() {
    let rules = Rules { block_names_no_regency: false, ..Rules::ALL };
    breaks("the signed value names no regency", always_possible(&Signatures { rules }, is_certified), 2);
}
