//! What a group of certain consenters goes by, where its members are set up alike.

use std::collections::BTreeSet;

use super::{FaultModel, GroupSettings};

/// Why the weights of some settings are not those of a set of consenters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// The set has another size.
    #[error(
        "delta {delta} with {heavy} heavy consenters is for {expected} consenters (f = {faults}), and there are {actual}"
    )]
    Size {
        /// How many spare members.
        delta: usize,
        /// How many heavy ones.
        heavy: usize,
        /// The faults that the weights are made for.
        faults: usize,
        /// How many consenters that makes.
        expected: usize,
        /// How many there are.
        actual: usize,
    },
    /// Somebody heavy is none of them.
    #[error("heavy names consenter {0}, which is none of them")]
    NoMember(u32),
}

/// What a group goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The settings in force, in the one form that they have for these consenters.
    pub in_force: GroupSettings,
    /// Why the weights that were written are not in force, if they are not.
    pub misfit: Option<Misfit>,
}

impl GroupSettings {
    /// What a group of the consenters with these ids, in ascending order, goes by: weights that do not fit them fall away, and
    /// so do leaders that are none of them. A function of the settings and the ids alone, so all members come to the same.
    #[must_use]
    pub fn settle(&self, ids: &[u32]) -> Settled {
        let misfit = self.misfit(ids);
        let mut in_force = Self { leaders: shortest_prefix(&self.leaders, ids), ..self.clone() };
        if misfit.is_some() {
            in_force.delta = 0;
            in_force.heavy = BTreeSet::new();
        }
        Settled { in_force, misfit }
    }

    fn misfit(&self, ids: &[u32]) -> Option<Misfit> {
        if self.heavy.is_empty() {
            return None;
        }
        let faults = self.weighted_faults();
        let replicas_per_fault: usize = match self.fault_model {
            FaultModel::Byzantine => 3,
            FaultModel::Crash => 2,
        };
        let expected = replicas_per_fault.saturating_mul(faults).saturating_add(1).saturating_add(self.delta);
        if expected != ids.len() {
            let (delta, heavy, actual) = (self.delta, self.heavy.len(), ids.len());
            return Some(Misfit::Size { delta, heavy, faults, expected, actual });
        }
        self.heavy.iter().find(|id| !ids.contains(id)).map(|&id| Misfit::NoMember(id))
    }
}

/// Of the named leaders those that are members, without the last ones whose turn it would be anyway: one order of leaders has
/// one form.
fn shortest_prefix(leaders: &[u32], ids: &[u32]) -> Vec<u32> {
    let mut named: Vec<u32> = leaders.iter().copied().filter(|id| ids.contains(id)).collect();
    while let Some(last) = named.last() {
        let comes_anyway = ids.iter().find(|id| !named[..named.len() - 1].contains(id)) == Some(last);
        if !comes_anyway {
            break;
        }
        named.pop();
    }
    named
}
