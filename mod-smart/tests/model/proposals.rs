//! Model 3: a leader that restarts. What it proposed must be durable before it leaves.
//!
//! One regency, one instance, leader 0 correct; the liar (replica 3) is silent, so the three correct WRITEs are needed.
//! WRITEs are durable here: what is looked at is the PROPOSE alone. *Properties.* A correct leader never signs two
//! proposals for one epoch (others would name it a liar for it); its regency can always finish.

use std::fmt;

use crate::collects::{Value, Values};
use crate::explorer::{Model, always_possible, explore};
use crate::rules::Rules;
use crate::verdict::{breaks, holds};

struct Proposals {
    rules: Rules,
    blame: Blame,
}

/// Whether two proposals are wrong in themselves, or only what follows from them.
#[derive(PartialEq, Eq)]
enum Blame {
    Signing,
    Nothing,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    signed: Values,
    remembered: Option<Value>,
    wrote: [Option<Value>; 3],
}

#[derive(Clone, Copy)]
enum Step {
    Propose(Value),
    Restart,
    Write(usize, Value),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Propose(value) => write!(f, "the leader proposes {value:?}"),
            Self::Restart => write!(f, "the leader restarts and has forgotten its PROPOSE"),
            Self::Write(replica, value) => write!(f, "replica {replica} receives PROPOSE {value:?} and WRITEs it"),
        }
    }
}

impl Model for Proposals {
    type State = State;
    type Step = Step;
    type Key = State;

    fn start(&self) -> State {
        State { signed: Values::NONE, remembered: None, wrote: [None; 3] }
    }

    fn steps(&self, state: &State, each: &mut dyn FnMut(Step, State)) {
        if state.remembered.is_none() {
            for value in Value::BOTH {
                let next = State { signed: state.signed.with(value), remembered: Some(value), ..*state };
                each(Step::Propose(value), next);
            }
        } else if !self.rules.propose_is_durable {
            each(Step::Restart, State { remembered: None, ..*state });
        }
        for replica in (0..3).filter(|&replica| state.wrote[replica].is_none()) {
            for value in state.signed.iter() {
                let mut next = *state;
                next.wrote[replica] = Some(value);
                each(Step::Write(replica, value), next);
            }
        }
    }

    fn broken(&self, state: &State) -> Option<String> {
        let two = self.blame == Blame::Signing && state.signed == Values::ALL;
        two.then(|| "ACCOUNTABILITY: a correct leader signed two proposals for one epoch".to_owned())
    }

    fn key(&self, state: &State) -> State {
        *state
    }
}

fn is_certified(state: &State) -> bool {
    state.wrote[0].is_some() && state.wrote.iter().all(|wrote| *wrote == state.wrote[0])
}

#[test]
fn a_regency_with_a_correct_leader_finishes_whenever_it_restarts() {
    let model = Proposals { rules: Rules::ALL, blame: Blame::Signing };
    holds("a leader that restarts", always_possible(&model, is_certified), 15);
}

#[test]
fn a_forgotten_propose_makes_a_correct_leader_look_like_a_liar() {
    let rules = Rules { propose_is_durable: false, ..Rules::ALL };
    breaks("PROPOSE is durable", explore(&Proposals { rules, blame: Blame::Signing }), 3);
}

#[test]
fn a_forgotten_propose_splits_the_writes_so_that_the_regency_can_never_finish() {
    let rules = Rules { propose_is_durable: false, ..Rules::ALL };
    let model = Proposals { rules, blame: Blame::Nothing };
    breaks("PROPOSE is durable", always_possible(&model, is_certified), 5);
}
