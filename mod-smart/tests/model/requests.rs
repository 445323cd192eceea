//! Model 5: the window of a session. What is acknowledged must not slide out of it.
//!
//! One session of a client, requests `1..=5`, a window of two. Replicas execute the same decided sequence, some later than
//! others: a request may be acknowledged in the state after any prefix of it. Whatever a leader proposes that is outside the
//! window when its turn comes is skipped. *Property.* A request that was acknowledged and is not yet ordered is never
//! below the window: it can still be ordered.

use std::fmt;
use std::ops::RangeInclusive;

use crate::explorer::{Model, always_possible, explore};
use crate::rules::Rules;
use crate::verdict::{breaks, holds};

const REQUESTS: u8 = 5;
const WINDOW: u8 = 2;

struct Session {
    rules: Rules,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct State {
    /// The decided sequence, zeros behind its end.
    order: [u8; REQUESTS as usize],
    acknowledged: u8,
}

#[derive(Clone, Copy)]
enum Step {
    Acknowledge { request: u8, after: usize },
    Order(u8),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acknowledge { request, after } => {
                write!(f, "request {request} is acknowledged by replicas that have executed {after} requests")
            }
            Self::Order(request) => write!(f, "request {request} is ordered"),
        }
    }
}

impl Session {
    /// What may be admitted after this prefix of the decided sequence, apart from what is in it.
    fn window(&self, executed: &[u8]) -> RangeInclusive<u8> {
        if self.rules.window_waits_for_lowest {
            let low = (1..).find(|request| !executed.contains(request)).unwrap_or(1);
            return low..=low + WINDOW - 1;
        }
        let highest = executed.iter().max().copied().unwrap_or_default();
        (highest + 1).saturating_sub(WINDOW)..=highest + WINDOW
    }

    fn admits(&self, executed: &[u8], request: u8) -> bool {
        self.window(executed).contains(&request) && !executed.contains(&request)
    }
}

fn executed(state: &State) -> &[u8] {
    let length = state.order.iter().take_while(|&&request| request > 0).count();
    &state.order[..length]
}

impl Model for Session {
    type State = State;
    type Step = Step;
    type Key = State;

    fn start(&self) -> State {
        State::default()
    }

    fn steps(&self, state: &State, each: &mut dyn FnMut(Step, State)) {
        let executed = executed(state);
        for request in 1..=REQUESTS {
            if self.admits(executed, request) {
                let mut next = *state;
                next.order[executed.len()] = request;
                each(Step::Order(request), next);
            }
            for after in (0..=executed.len()).filter(|&after| self.admits(&executed[..after], request)) {
                let acknowledged = state.acknowledged | 1 << request;
                if acknowledged != state.acknowledged {
                    each(Step::Acknowledge { request, after }, State { acknowledged, ..*state });
                }
            }
        }
    }

    fn broken(&self, state: &State) -> Option<String> {
        let executed = executed(state);
        let is_lost = |&request: &u8| {
            state.acknowledged & 1 << request != 0
                && !executed.contains(&request)
                && request < *self.window(executed).start()
        };
        let lost = (1..=REQUESTS).find(is_lost)?;
        Some(format!("ACKNOWLEDGED: request {lost} was acknowledged, is not ordered, and has left the window"))
    }

    fn key(&self, state: &State) -> State {
        *state
    }
}

#[test]
fn an_acknowledged_request_stays_in_its_window_until_it_is_ordered() {
    let model = Session { rules: Rules::ALL };
    let all_ordered = |state: &State| executed(state).len() == usize::from(REQUESTS);
    holds("the window of a session", always_possible(&model, all_ordered), 50);
}

#[test]
fn a_window_that_follows_the_highest_request_slides_past_an_acknowledged_one() {
    let rules = Rules { window_waits_for_lowest: false, ..Rules::ALL };
    breaks("the window waits for its lowest request", explore(&Session { rules }), 3);
}
