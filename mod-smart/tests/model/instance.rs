//! Model 1: one instance over several regencies. Selection, certificates, decisions and tentative signatures.
//!
//! *State.* For every correct replica: its regency, and per epoch what it wrote, which certificate it holds durably and
//! what it accepted. Messages are never lost and never used up: they are a function of that history, so every delay,
//! loss, repetition and order is covered. The liar is the adversary itself: its votes for everything exist always, and
//! it may show any certificate that can be put together, or none.
//!
//! *Over-approximated, so that the result is stronger.* No leader is trusted, in no regency: each replica may be sent a
//! different PROPOSE or SYNC, as long as the choice can be recomputed from n - f collects. STOP is free: any replica may
//! enter the next regency at any time. *Abstracted.* Bodies, timers, windows: other models.
//!
//! *Properties.* Agreement: no two values are decided. Finality: a value whose block signatures satisfy the block policy
//! at a peer is never contradicted, whoever carried the signatures there.

use std::fmt;

use mod_smart::ReplicaId;
use mod_smart::quorum::{View, Voters};

use crate::collects::{Certificate, Collect, Value, Values, by_heads, select, subsets};
use crate::explorer::Model;
use crate::instance_key::Key;
use crate::rules::Rules;

/// Most correct replicas a model can have.
pub const CORRECT_MAX: usize = 5;

/// Most regencies a model can have.
const REGENCIES_MAX: u8 = 4;

/// One instance of VP-Consensus among `view.n()` replicas, one of them a liar.
pub struct OneInstance {
    pub rules: Rules,
    pub view: View,
    /// Weighs what its place in the view says.
    pub liar: ReplicaId,
    /// Regencies `0..regencies`.
    pub regencies: u8,
    pub policy: BlockPolicy,
}

/// The channel's BlockValidation policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockPolicy {
    /// Satisfied by quorums only.
    Quorum,
    /// Satisfied by any `f + 1` signers.
    AnyCorrect,
}

/// A set of values per epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PerEpoch(pub u8);

impl PerEpoch {
    pub fn at(self, epoch: u8) -> Values {
        Values(self.0 >> (2 * epoch) & 3)
    }

    pub fn with(self, epoch: u8, value: Value) -> Self {
        Self(self.0 | (value as u8) << (2 * epoch))
    }

    /// This set less one value of one epoch.
    pub fn less(self, epoch: u8, value: Value) -> Self {
        Self(self.0 & !((value as u8) << (2 * epoch)))
    }

    /// This set less one epoch.
    pub fn without(self, epoch: u8) -> Self {
        Self(self.0 & !(3 << (2 * epoch)))
    }
}

/// What a correct replica has said and knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Replica {
    pub regency: u8,
    pub wrote: PerEpoch,
    /// Certificates that its collects report.
    pub held: PerEpoch,
    pub accepted: PerEpoch,
    /// Taken over from a claim of decision; only where a broken rule allows it.
    pub adopted: Values,
}

pub type State = [Replica; CORRECT_MAX];

/// What one correct replica does.
#[derive(Clone, Copy)]
pub enum Step {
    Enter { replica: ReplicaId, regency: u8 },
    Write { replica: ReplicaId, regency: u8, value: Value, allowed: Values },
    WriteAgain { replica: ReplicaId, regency: u8, value: Value },
    Accept { replica: ReplicaId, epoch: u8, value: Value },
    AcceptLate { replica: ReplicaId, epoch: u8, value: Value },
    Forget { replica: ReplicaId },
    Adopt { replica: ReplicaId, value: Value },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Enter { replica, regency } => {
                write!(f, "replica {replica} stops regency {}, sends STOPDATA for {regency}", regency - 1)
            }
            Self::Write { replica, regency: 0, value, .. } => {
                write!(f, "replica {replica} WRITEs {value:?} in epoch 0")
            }
            Self::Write { replica, regency, value, allowed } => {
                let why = if allowed == Values::ALL { "unbound" } else { "bound" };
                write!(
                    f,
                    "replica {replica} takes a SYNC of {regency} as {why} and WRITEs {value:?} in epoch {regency}"
                )
            }
            Self::WriteAgain { replica, regency, value } => {
                write!(f, "replica {replica} restarts, has forgotten its WRITE and WRITEs {value:?} in epoch {regency}")
            }
            Self::Accept { replica, epoch, value } => {
                write!(f, "replica {replica} holds a certificate of ({epoch}, {value:?}), signs and ACCEPTs")
            }
            Self::AcceptLate { replica, epoch, value } => {
                write!(f, "replica {replica} has left epoch {epoch}, and still ACCEPTs {value:?} there")
            }
            Self::Forget { replica } => write!(f, "replica {replica} restarts and has forgotten its certificate"),
            Self::Adopt { replica, value } => {
                write!(f, "replica {replica} is shown that {value:?} is decided, and delivers it")
            }
        }
    }
}

impl Model for OneInstance {
    type State = State;
    type Step = Step;
    type Key = Key;

    fn start(&self) -> State {
        assert!(self.regencies <= REGENCIES_MAX && self.view.n() <= CORRECT_MAX + 1);
        State::default()
    }

    fn steps(&self, state: &State, each: &mut dyn FnMut(Step, State)) {
        let allowed: Vec<Values> = (0..self.regencies).map(|regency| self.allowed(state, regency)).collect();
        for (at, replica) in self.correct() {
            let mut go = |step, change: &dyn Fn(&mut Replica)| {
                let mut next = *state;
                change(&mut next[at]);
                each(step, next);
            };
            let me = state[at];
            let regency = me.regency;
            if regency + 1 < self.regencies {
                go(Step::Enter { replica, regency: regency + 1 }, &|me| me.regency += 1);
            }
            let wrote = me.wrote.at(regency);
            let allowed = allowed[usize::from(regency)];
            for value in allowed.iter() {
                let write = |me: &mut Replica| me.wrote = me.wrote.with(regency, value);
                if wrote == Values::NONE {
                    go(Step::Write { replica, regency, value, allowed }, &write);
                } else if !self.rules.write_is_durable && !wrote.has(value) {
                    go(Step::WriteAgain { replica, regency, value }, &write);
                }
            }
            for value in Value::BOTH {
                if self.may_accept(state, &me, regency, value) {
                    go(Step::Accept { replica, epoch: regency, value }, &|me| {
                        me.held = me.held.with(regency, value);
                        me.accepted = me.accepted.with(regency, value);
                    });
                }
                for epoch in (0..regency).filter(|_| !self.rules.left_is_left) {
                    if self.may_accept(state, &me, epoch, value) {
                        let accept = |me: &mut Replica| me.accepted = me.accepted.with(epoch, value);
                        go(Step::AcceptLate { replica, epoch, value }, &accept);
                    }
                }
                if regency > 0 && me.adopted == Values::NONE && self.is_believed_decided(state, value) {
                    go(Step::Adopt { replica, value }, &|me| me.adopted = me.adopted.with(value));
                }
            }
            if !self.rules.certificate_is_durable && me.held.at(regency) != Values::NONE {
                go(Step::Forget { replica }, &|me| me.held = me.held.without(regency));
            }
        }
    }

    fn broken(&self, state: &State) -> Option<String> {
        let decided = self.decided(state);
        let adopted = state.iter().fold(Values::NONE, |all, replica| all.and(replica.adopted));
        if decided.and(adopted) == Values::ALL {
            return Some("AGREEMENT: X and Y are both decided".to_owned());
        }
        let last = Value::BOTH.into_iter().find(|&value| {
            self.is_final_at_a_peer(state, value)
                && (decided.has(value.other()) || self.is_final_at_a_peer(state, value.other()))
        })?;
        Some(format!("FINALITY: signatures over {last:?} satisfy a peer, and {:?} is decided or final", last.other()))
    }

    fn key(&self, state: &State) -> Key {
        Key::of(self, state)
    }
}

impl OneInstance {
    /// The correct replicas: position in the state, and name.
    pub fn correct(&self) -> impl Iterator<Item = (usize, ReplicaId)> {
        self.view.replicas().filter(|&replica| replica != self.liar).enumerate()
    }

    /// The view keeps its weights to itself; the first two of a weighted view are the heavy ones.
    pub fn is_heavy(&self, replica: ReplicaId) -> bool {
        self.view != by_heads(&self.view) && replica.index() < 2
    }

    /// The liar and the correct replicas for which this holds.
    pub fn with_liar(&self, state: &State, says: impl Fn(&Replica) -> bool) -> Voters {
        let correct = self.correct().filter(|&(at, _)| says(&state[at])).map(|(_, replica)| replica);
        correct.chain([self.liar]).collect()
    }

    /// Is there a certificate that this replica does not hold, and has it accepted nothing else in this epoch?
    fn may_accept(&self, state: &State, me: &Replica, epoch: u8, value: Value) -> bool {
        let is_new = me.held.at(epoch) == Values::NONE && !me.accepted.at(epoch).has(value.other());
        is_new && self.is_certified(state, &self.view, epoch, value)
    }

    /// Can the votes be put together that this view takes for a quorum of WRITEs?
    pub fn is_certified(&self, state: &State, view: &View, epoch: u8, value: Value) -> bool {
        if !self.rules.voters_are_distinct {
            return true; // The liar repeats its own vote as often as it takes.
        }
        if !self.rules.votes_are_of_one_epoch {
            let pairs = |epoch| self.with_liar(state, |me| me.wrote.at(epoch).has(value)).len();
            return (0..=epoch).map(pairs).sum::<usize>() >= view.quorum_weight().0 as usize;
        }
        view.is_quorum(self.with_liar(state, |me| me.wrote.at(epoch).has(value)))
    }

    pub fn decided(&self, state: &State) -> Values {
        let accepted = |epoch, value| self.with_liar(state, |me| me.accepted.at(epoch).has(value));
        let is_decided = |value| (0..self.regencies).any(|epoch| self.view.is_quorum(accepted(epoch, value)));
        Values::NONE.with_all(is_decided)
    }

    /// Does a SYNC convince a replica that this value is decided although it may not be?
    fn is_believed_decided(&self, state: &State, value: Value) -> bool {
        let certified = |epoch| self.is_certified(state, &self.view, epoch, value);
        !self.rules.decision_is_proven || !self.rules.type_is_signed && (0..self.regencies).any(certified)
    }

    /// Do the block signatures over this value, from any regencies, satisfy the policy that peers verify?
    fn is_final_at_a_peer(&self, state: &State, value: Value) -> bool {
        if self.policy != BlockPolicy::Quorum && self.rules.tentative_needs_strong_policy {
            return false; // Nothing is signed before it is decided.
        }
        let signing = if self.rules.tentative_is_first_regency { 1 } else { self.regencies };
        let signers = self.with_liar(state, |me| (0..signing).any(|epoch| me.accepted.at(epoch).has(value)));
        match self.policy {
            BlockPolicy::Quorum => self.view.is_quorum(signers),
            BlockPolicy::AnyCorrect => self.view.is_any_correct(signers),
        }
    }

    /// What some SYNC lets a replica WRITE in this regency.
    fn allowed(&self, state: &State, regency: u8) -> Values {
        if regency == 0 || !self.rules.choice_is_recomputed {
            return Values::ALL;
        }
        let mut offers: Vec<(ReplicaId, Collect)> = vec![(self.liar, None)];
        offers.extend(self.forgeries(state, regency).map(|certificate| (self.liar, Some(certificate))));
        for (at, replica) in self.correct() {
            let oldest = if self.rules.stopdata_is_bound { regency } else { 1 };
            for signed_for in oldest..=regency.min(state[at].regency) {
                offers.push((replica, highest_below(&state[at], signed_for)));
            }
        }
        let mut allowed = Values::NONE;
        for collects in subsets(&offers, self.view.n() - self.view.f()) {
            let distinct: Voters = collects.iter().map(|&(replica, _)| replica).collect();
            if distinct.len() == collects.len() {
                allowed = allowed.and(select(&self.rules, &self.view, &collects));
            }
        }
        allowed
    }

    /// The certificates that the liar can show in a collect for this regency and have taken for valid.
    fn forgeries(&self, state: &State, regency: u8) -> impl Iterator<Item = Certificate> {
        let view = if self.rules.certificates_are_weighed { self.view.clone() } else { by_heads(&self.view) };
        let end = if self.rules.epoch_is_bounded { regency } else { self.regencies };
        let passes = move |epoch, value| {
            let exists = |epoch| self.is_certified(state, &view, epoch, value);
            exists(epoch) || !self.rules.epoch_is_signed && (0..self.regencies).any(exists)
        };
        let all = (0..end).flat_map(|epoch| Value::BOTH.map(|value| Certificate { epoch, value }));
        all.filter(move |certificate| passes(certificate.epoch, certificate.value))
    }
}

fn highest_below(me: &Replica, regency: u8) -> Collect {
    let of = |epoch| me.held.at(epoch).iter().next().map(|value| Certificate { epoch, value });
    (0..regency).rev().find_map(of)
}

#[cfg(test)]
#[path = "instance_tests.rs"]
mod tests;
