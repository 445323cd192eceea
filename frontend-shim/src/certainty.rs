//! How sure a node is of a block that it signs, and whose signatures count together.
//!
//! A decided block stays. A tentative one was written by a quorum in one regency and stays unless that regency ends too early; it
//! is final once a quorum of nodes has signed it in *the same* regency, for then a quorum holds the certificate that binds
//! its instance (PROTOCOL.md, Tentative blocks). Who says that a block is decided may be counted with those of any
//! regency: a correct node says so of final blocks only, and a liar could as well claim to be of that regency.

use std::collections::{BTreeMap, BTreeSet};

use mod_smart::{Regency, ReplicaId, Voters};

/// How sure a node is of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// A quorum wrote it in this regency.
    Tentative(Regency),
    /// It is decided.
    Decided,
}

/// Who has signed one header, and how sure each of them is.
#[derive(Clone, Debug, Default)]
pub struct Support(BTreeMap<ReplicaId, Certainty>);

impl Support {
    /// A node says how sure it is. Only what makes it surer, or is of a later regency, changes anything.
    pub fn add(&mut self, replica: ReplicaId, certainty: Certainty) {
        let known = self.0.entry(replica).or_insert(certainty);
        *known = certainty.max(*known);
    }

    /// Everybody who has signed.
    #[must_use]
    pub fn all(&self) -> Voters {
        self.0.keys().copied().collect()
    }

    /// Those who are sure.
    #[must_use]
    pub fn decided(&self) -> Voters {
        self.of(|certainty| certainty == Certainty::Decided)
    }

    /// The sets of nodes whose signatures count together: of each regency, with those who are sure. Never empty sets.
    pub fn together(&self) -> impl Iterator<Item = Voters> {
        let certainties: BTreeSet<Certainty> = self.0.values().copied().collect();
        certainties.into_iter().map(|one| self.of(|other| other == one || other == Certainty::Decided))
    }

    fn of(&self, counts: impl Fn(Certainty) -> bool) -> Voters {
        self.0.iter().filter(|(_, certainty)| counts(**certainty)).map(|(replica, _)| *replica).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(said: &[(u16, Certainty)]) -> Vec<Vec<u16>> {
        let mut support = Support::default();
        said.iter().for_each(|(replica, certainty)| support.add(ReplicaId(*replica), *certainty));
        support.together().map(|voters| voters.iter().map(|replica| replica.0).collect()).collect()
    }

    #[test]
    fn tentative_signatures_count_with_those_of_their_regency_and_with_decided_ones() {
        use Certainty::{Decided, Tentative};
        let (early, late) = (Tentative(Regency(0)), Tentative(Regency(3)));
        assert_eq!(sets(&[]), Vec::<Vec<u16>>::new());
        assert_eq!(sets(&[(0, early), (1, late), (2, early)]), [vec![0, 2], vec![1]]);
        assert_eq!(sets(&[(0, early), (1, Decided), (2, late)]), [vec![0, 1], vec![1, 2], vec![1]]);
    }

    #[test]
    fn nobody_becomes_less_sure() {
        use Certainty::{Decided, Tentative};
        assert_eq!(sets(&[(0, Decided), (0, Tentative(Regency(9))), (1, Decided)]), [vec![0, 1]]);
        assert_eq!(
            sets(&[(0, Tentative(Regency(2))), (0, Tentative(Regency(1))), (1, Tentative(Regency(1)))]),
            [vec![1], vec![0]]
        );
    }
}
