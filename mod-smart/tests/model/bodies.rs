//! Model 4: the body of a request. When it must be durable, and what SUCCESS promises.
//!
//! One request, one instance, three correct replicas and a liar that votes and answers `Held` but keeps no body. Frontends
//! send the body to whom they like. A power cut takes what is in memory, everywhere at once; votes and answers that have
//! left stay. *Properties.* The body of a decided batch is never lost; an acknowledged request is always durable at one
//! correct replica.

use std::fmt;

use mod_smart::ReplicaId;
use mod_smart::quorum::{View, Voters};

use crate::collects::{Weights, view};
use crate::explorer::{Model, explore};
use crate::rules::Rules;
use crate::verdict::{breaks, holds};

struct Bodies {
    rules: Rules,
    view: View,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Body {
    #[default]
    Missing,
    InMemory,
    Durable,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Replica {
    body: Body,
    answered: bool,
    wrote: bool,
    accepted: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct State {
    replicas: [Replica; 3],
    liar_answered: bool,
}

#[derive(Clone, Copy)]
enum Step {
    Receive(usize),
    Sync(usize),
    Answer(usize),
    LiarAnswers,
    Write(usize),
    Accept(usize),
    PowerCut,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Receive(replica) => write!(f, "replica {replica} receives the body into memory"),
            Self::Sync(replica) => write!(f, "replica {replica} has made the body durable"),
            Self::Answer(replica) => write!(f, "replica {replica} answers Held"),
            Self::LiarAnswers => write!(f, "the liar answers Held and holds nothing"),
            Self::Write(replica) => write!(f, "replica {replica} WRITEs"),
            Self::Accept(replica) => write!(f, "replica {replica} holds a certificate and ACCEPTs"),
            Self::PowerCut => write!(f, "all replicas lose power and start again"),
        }
    }
}

impl Bodies {
    fn new(rules: Rules) -> Self {
        Self { rules, view: view(4, Weights::Flat) }
    }

    fn with_liar(state: &State, says: impl Fn(&Replica) -> bool) -> Voters {
        (0..4).filter(|&at| at == 3 || says(&state.replicas[at])).map(|at| ReplicaId(at as u16)).collect()
    }
}

impl Model for Bodies {
    type State = State;
    type Step = Step;
    type Key = State;

    fn start(&self) -> State {
        State::default()
    }

    fn steps(&self, state: &State, each: &mut dyn FnMut(Step, State)) {
        let enough = |is_durable: bool| if is_durable { Body::Durable } else { Body::InMemory };
        let certified = self.view.is_quorum(Self::with_liar(state, |me| me.wrote));
        for at in 0..3 {
            let me = state.replicas[at];
            let mut go = |is_possible: bool, step, change: &dyn Fn(&mut Replica)| {
                let mut next = *state;
                change(&mut next.replicas[at]);
                if is_possible && next != *state {
                    each(step, next);
                }
            };
            go(me.body == Body::Missing, Step::Receive(at), &|me| me.body = Body::InMemory);
            go(me.body == Body::InMemory, Step::Sync(at), &|me| me.body = Body::Durable);
            go(me.body >= enough(self.rules.held_means_durable), Step::Answer(at), &|me| me.answered = true);
            go(me.body >= enough(self.rules.body_is_durable), Step::Write(at), &|me| me.wrote = true);
            go(certified, Step::Accept(at), &|me| me.accepted = true);
        }
        if !state.liar_answered {
            each(Step::LiarAnswers, State { liar_answered: true, ..*state });
        }
        if state.replicas.iter().any(|me| me.body == Body::InMemory) {
            let lose = |body| if body == Body::InMemory { Body::Missing } else { body };
            let replicas = state.replicas.map(|me| Replica { body: lose(me.body), ..me });
            each(Step::PowerCut, State { replicas, ..*state });
        }
    }

    fn broken(&self, state: &State) -> Option<String> {
        let is_decided = self.view.is_quorum(Self::with_liar(state, |me| me.accepted));
        if is_decided && state.replicas.iter().all(|me| me.body == Body::Missing) {
            return Some("DURABILITY: a batch is decided and no correct replica has its body".to_owned());
        }
        let answers: Voters = {
            let says = |at: usize| if at == 3 { state.liar_answered } else { state.replicas[at].answered };
            (0..4).filter(|&at| says(at)).map(|at| ReplicaId(at as u16)).collect()
        };
        let enough =
            self.view.is_any_correct(answers) || !self.rules.success_needs_a_correct_head && !answers.is_empty();
        let is_lost = enough && state.replicas.iter().all(|me| me.body != Body::Durable);
        is_lost.then(|| "DURABILITY: a request is acknowledged and durable at no correct replica".to_owned())
    }

    fn key(&self, state: &State) -> State {
        let mut key = *state;
        key.replicas.sort_unstable();
        key
    }
}

#[test]
fn what_is_decided_or_acknowledged_survives_power_cuts() {
    holds("bodies", explore(&Bodies::new(Rules::ALL)), 100);
}

#[test]
fn a_write_before_the_body_is_durable_decides_what_a_power_cut_can_take() {
    let rules = Rules { body_is_durable: false, ..Rules::ALL };
    breaks("a WRITE waits for durable bodies", explore(&Bodies::new(rules)), 7);
}

#[test]
fn an_answer_before_the_body_is_durable_acknowledges_what_a_power_cut_can_take() {
    let rules = Rules { held_means_durable: false, ..Rules::ALL };
    breaks("Held means durable", explore(&Bodies::new(rules)), 3);
}

#[test]
fn one_answer_may_be_a_lie() {
    let rules = Rules { success_needs_a_correct_head: false, ..Rules::ALL };
    breaks("SUCCESS needs f + 1 answers", explore(&Bodies::new(rules)), 1);
}
