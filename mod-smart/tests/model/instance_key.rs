//! When two states of [`OneInstance`] are the same for everything that can follow.
//!
//! Replicas of equal weight are interchangeable, and so are the two values. With all rules of the instance on, history
//! that can change nothing any more is left out as well:
//! - votes for a value of an epoch, once they are a quorum (a flag remains) or can no longer become one;
//! - ACCEPTs likewise (what remains is that the value is decided);
//! - certificates below the lowest regency that may still take a SYNC, except the highest of each replica.
//!
//! With a rule dropped, history may matter in ways that this list does not know: the whole state is the key then.

use crate::collects::{Value, Values};
use crate::instance::{BlockPolicy, CORRECT_MAX, OneInstance, PerEpoch, Replica, State};
use crate::rules::Rules;

/// What tells states apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Key {
    certified: PerEpoch,
    decided: Values,
    replicas: [(Replica, bool); CORRECT_MAX],
}

impl Key {
    pub fn of(model: &OneInstance, state: &State) -> Self {
        let mut key = Self { replicas: state.map(|me| (me, false)), ..Self::default() };
        let rest = Rules {
            tentative_needs_strong_policy: model.rules.tentative_needs_strong_policy,
            tentative_is_first_regency: model.rules.tentative_is_first_regency,
            ..Rules::ALL
        };
        if model.rules == rest {
            key.forget(model, state);
        }
        key.sorted(model).min(key.renamed().sorted(model))
    }

    fn forget(&mut self, model: &OneInstance, state: &State) {
        self.decided = model.decided(state);
        for (me, has_written) in &mut self.replicas {
            *has_written = me.wrote.at(me.regency) != Values::NONE;
        }
        let all_signatures_matter = !model.rules.tentative_is_first_regency
            || model.policy == BlockPolicy::AnyCorrect && !model.rules.tentative_needs_strong_policy;
        for epoch in 0..model.regencies {
            for value in Value::BOTH {
                let may_write = |me: &Replica| {
                    let wrote = me.wrote.at(epoch);
                    wrote.has(value) || wrote == Values::NONE && me.regency <= epoch
                };
                let certified = model.is_certified(state, &model.view, epoch, value);
                if certified {
                    self.certified = self.certified.with(epoch, value);
                }
                if certified || !model.view.is_quorum(model.with_liar(state, may_write)) {
                    self.replicas.iter_mut().for_each(|(me, _)| me.wrote = me.wrote.less(epoch, value));
                }
                let may_accept = |me: &Replica| {
                    let accepted = me.accepted.at(epoch);
                    accepted.has(value) || accepted == Values::NONE && me.regency <= epoch
                };
                let settled = self.decided.has(value) || !model.view.is_quorum(model.with_liar(state, may_accept));
                if settled && !all_signatures_matter {
                    self.replicas.iter_mut().for_each(|(me, _)| me.accepted = me.accepted.less(epoch, value));
                }
            }
        }
        let takes_sync = |me: &Replica| me.regency + u8::from(me.wrote.at(me.regency) != Values::NONE);
        let lowest = model.correct().map(|(at, _)| takes_sync(&state[at])).min().unwrap_or_default();
        for (me, _) in &mut self.replicas {
            let highest = (0..lowest).rev().find(|&epoch| me.held.at(epoch) != Values::NONE);
            for epoch in (0..lowest).filter(|&epoch| Some(epoch) != highest) {
                me.held = me.held.without(epoch);
            }
        }
    }

    fn renamed(mut self) -> Self {
        let swap = |set: PerEpoch| PerEpoch((set.0 & 0x55) << 1 | (set.0 & 0xaa) >> 1);
        self.certified = swap(self.certified);
        self.decided = swap_values(self.decided);
        for (me, _) in &mut self.replicas {
            me.wrote = swap(me.wrote);
            me.held = swap(me.held);
            me.accepted = swap(me.accepted);
            me.adopted = swap_values(me.adopted);
        }
        self
    }

    fn sorted(mut self, model: &OneInstance) -> Self {
        let heavy = model.correct().filter(|&(_, replica)| model.is_heavy(replica)).count();
        self.replicas[..heavy].sort_unstable();
        self.replicas[heavy..model.view.n() - 1].sort_unstable();
        self
    }
}

fn swap_values(set: Values) -> Values {
    Values((set.0 & 1) << 1 | set.0 >> 1)
}
