//! The selection rule, restated: what n - f collects allow a leader to propose.
//!
//! A collect is what one replica reports about one instance when it enters a regency: the WRITE certificate of the
//! highest epoch that it holds, or nothing. The rule: *the valid certificate of the highest epoch binds; if none of the
//! collects has one, the instance is unbound*.

use mod_smart::quorum::{View, Voters};
use mod_smart::{GroupId, ReplicaId};

use crate::rules::Rules;

/// One of two values; `X` and `Y` are interchangeable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    X = 1,
    Y = 2,
}

impl Value {
    pub const BOTH: [Self; 2] = [Self::X, Self::Y];

    /// The value that this one is not.
    pub const fn other(self) -> Self {
        match self {
            Self::X => Self::Y,
            Self::Y => Self::X,
        }
    }
}

/// A set of values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Values(pub u8);

impl Values {
    pub const NONE: Self = Self(0);
    pub const ALL: Self = Self(3);

    pub const fn has(self, value: Value) -> bool {
        self.0 & value as u8 != 0
    }

    #[must_use]
    pub const fn with(self, value: Value) -> Self {
        Self(self.0 | value as u8)
    }

    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// This set and every value for which the predicate holds.
    #[must_use]
    pub fn with_all(self, holds: impl Fn(Value) -> bool) -> Self {
        Value::BOTH.into_iter().filter(|&value| holds(value)).fold(self, Self::with)
    }

    pub fn iter(self) -> impl Iterator<Item = Value> {
        Value::BOTH.into_iter().filter(move |&value| self.has(value))
    }
}

/// A WRITE certificate as a collect shows it. Whether it is valid is settled before it gets here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificate {
    pub epoch: u8,
    pub value: Value,
}

/// What one replica reports about the instance.
pub type Collect = Option<Certificate>;

/// What these collects of n - f distinct replicas allow to be proposed. Two values only if the rule fails to choose.
pub fn select(rules: &Rules, view: &View, collects: &[(ReplicaId, Collect)]) -> Values {
    let counts = |certificate: &Certificate| rules.nothing_is_not_epoch_zero || certificate.epoch > 0;
    let shown = || collects.iter().filter_map(|&(_, collect)| collect).filter(counts);
    let Some(highest) = shown().map(|certificate| certificate.epoch).max() else { return Values::ALL };
    let silent: Voters =
        collects.iter().filter(|(_, collect)| collect.is_none()).map(|&(replica, _)| replica).collect();
    if !rules.one_certificate_binds && by_heads(view).is_quorum(silent) {
        return Values::ALL;
    }
    let bind = shown().filter(|certificate| certificate.epoch == highest);
    bind.fold(Values::NONE, |bound, certificate| bound.with(certificate.value))
}

/// The same replicas with their weights forgotten.
pub fn by_heads(view: &View) -> View {
    View::flat(view.group(), view.n()).unwrap()
}

/// All sets of `k` of these.
pub fn subsets<T: Copy>(of: &[T], k: usize) -> Vec<Vec<T>> {
    let chosen = (0..1_u32 << of.len()).filter(|mask| mask.count_ones() as usize == k);
    chosen.map(|mask| (0..of.len()).filter(|i| mask & 1 << i != 0).map(|i| of[i]).collect()).collect()
}

/// The view of the models: flat for `delta = None`, else WHEAT weights with the heavy replicas first; `f = 1`.
pub fn view(n: usize, weighted: Weights) -> View {
    let group = GroupId([1; 32]);
    match weighted {
        Weights::Flat => View::flat(group, n).unwrap(),
        Weights::Wheat => View::weighted(group, 1, n - 4, [ReplicaId(0), ReplicaId(1)].into_iter().collect()).unwrap(),
    }
}

/// How the replicas of a model weigh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    Flat,
    Wheat,
}

#[cfg(test)]
#[path = "collects_tests.rs"]
mod tests;
