//! Model 7: STOP. Who can start a regency change, and whether all follow.
//!
//! Three correct replicas whose timers may expire, and a liar that sends STOP to whom it likes. *Properties.* No regency is
//! installed unless the timer of a correct replica expired; when one correct replica has installed it, the correct replicas
//! alone can bring all there, without any further timer.

use std::fmt;

use mod_smart::ReplicaId;
use mod_smart::quorum::{View, Voters};

use crate::collects::{Weights, view};
use crate::explorer::{Model, always_possible, explore};
use crate::rules::Rules;
use crate::verdict::{breaks, holds};

struct Stops {
    rules: Rules,
    view: View,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Replica {
    expired: bool,
    stopped: bool,
    installed: bool,
}

type State = [Replica; 3];

#[derive(Clone, Copy)]
enum Step {
    Expire(usize),
    Join { replica: usize, by_correct: bool },
    Install { replica: usize, by_correct: bool },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expire(replica) => write!(f, "the timer of replica {replica} expires, it sends STOP"),
            Self::Join { replica, .. } => write!(f, "replica {replica} joins the STOP of others"),
            Self::Install { replica, .. } => {
                write!(f, "replica {replica} has a quorum of STOPs and installs the regency")
            }
        }
    }
}

impl Stops {
    fn new(rules: Rules) -> Self {
        Self { rules, view: view(4, Weights::Flat) }
    }

    fn is_joined(&self, stops: Voters) -> bool {
        if !self.rules.stop_is_amplified {
            return false;
        }
        if self.rules.stop_needs_a_correct_head { self.view.is_any_correct(stops) } else { !stops.is_empty() }
    }
}

impl Model for Stops {
    type State = State;
    type Step = Step;
    type Key = State;

    fn start(&self) -> State {
        State::default()
    }

    fn steps(&self, state: &State, each: &mut dyn FnMut(Step, State)) {
        let honest: Voters = (0..3).filter(|&at| state[at].stopped).map(|at| ReplicaId(at as u16)).collect();
        let all: Voters = honest.iter().chain([ReplicaId(3)]).collect();
        for replica in 0..3 {
            let mut go = |is_possible: bool, step, change: &dyn Fn(&mut Replica)| {
                let mut next = *state;
                change(&mut next[replica]);
                if is_possible && next != *state {
                    each(step, next);
                }
            };
            go(true, Step::Expire(replica), &|me| (me.expired, me.stopped) = (true, true));
            let join = Step::Join { replica, by_correct: self.is_joined(honest) };
            go(self.is_joined(all), join, &|me| me.stopped = true);
            let install = Step::Install { replica, by_correct: self.view.is_quorum(honest) };
            go(self.view.is_quorum(all), install, &|me| me.installed = true);
        }
    }

    fn broken(&self, state: &State) -> Option<String> {
        let spurious = state.iter().any(|me| me.installed) && !state.iter().any(|me| me.expired);
        spurious.then(|| "A regency is installed and no correct replica asked for it".to_owned())
    }

    fn key(&self, state: &State) -> State {
        let mut key = *state;
        key.sort_unstable();
        key
    }

    fn is_honest(&self, step: Step) -> bool {
        match step {
            Step::Expire(_) => false,
            Step::Join { by_correct, .. } | Step::Install { by_correct, .. } => by_correct,
        }
    }
}

fn all_or_none(state: &State) -> bool {
    state.iter().all(|me| me.installed == state[0].installed)
}

#[test]
fn a_regency_change_is_wanted_by_a_correct_replica_and_reaches_all() {
    holds("STOP", always_possible(&Stops::new(Rules::ALL), all_or_none), 10);
}

#[test]
fn a_stop_joined_at_one_head_lets_a_liar_change_the_regency() {
    let rules = Rules { stop_needs_a_correct_head: false, ..Rules::ALL };
    breaks("a STOP is joined at f + 1 heads", explore(&Stops::new(rules)), 3);
}

#[test]
fn a_stop_that_nobody_joins_leaves_a_correct_replica_alone_in_its_regency() {
    let rules = Rules { stop_is_amplified: false, ..Rules::ALL };
    breaks("a STOP of f + 1 is joined", always_possible(&Stops::new(rules), all_or_none), 3);
}
