//! The only file that compares numbers with thresholds.
//!
//! Flat views give every replica weight 1, `f = floor((n-1)/3)` and `Q = ceil((n+f+1)/2)` (thesis 3.5.6). WHEAT views
//! (thesis 5.3, appendix C) need `n = 3f + 1 + delta` exactly and scale its weights by `f` to stay in integers:
//! `V_max = f + delta` on `2f` replicas, `V_min = f` on the rest, `Q_v = 2f(f + delta) + f`.
//!
//! Three thresholds exist. A *quorum* is counted by weight. *Any correct* (`f + 1`: enough that one of them is correct)
//! and *all correct* (`n - f`: as many as one may wait for) are counted by heads.

use crate::id::{GroupId, Regency, ReplicaId};

/// Voting power of a replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(pub u32);

/// The membership of one ordering group, fixed for the life of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    group: GroupId,
    weights: Vec<Weight>,
    faults: usize,
    quorum: Weight,
}

/// Most replicas a view can have; a [`Voters`] set is one machine word of this many bits.
pub const REPLICAS_MAX: usize = 128;

/// Why a view cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// No member, or more than [`REPLICAS_MAX`].
    #[error("an ordering group has 1 to {REPLICAS_MAX} replicas, not {0}")]
    Size(usize),
    /// Weights are defined for at least one fault and exactly `2f` heavy replicas.
    #[error(
        "weights need n = 3f + 1 + delta with f >= 1 and exactly {heavy_expected} heavy replicas; {heavy} were named"
    )]
    Weights {
        /// `2f`.
        heavy_expected: usize,
        /// How many distinct members of the view were named heavy.
        heavy: usize,
    },
}

impl View {
    /// A view in which every replica weighs the same. With `n < 4` no fault is tolerated.
    ///
    /// # Errors
    /// The number of replicas is out of range.
    pub fn flat(group: GroupId, n: usize) -> Result<Self, ViewError> {
        if n == 0 || n > REPLICAS_MAX {
            return Err(ViewError::Size(n));
        }
        let faults = (n - 1) / 3;
        let quorum = (n + faults + 1).div_ceil(2);
        Ok(Self { group, weights: vec![Weight(1); n], faults, quorum: Weight(quorum as u32) })
    }

    /// A WHEAT view: `n = 3f + 1 + delta`, with the replicas in `heavy` carrying `V_max`.
    ///
    /// # Errors
    /// The size is out of range, `f` is zero, or `heavy` does not name exactly `2f` members.
    pub fn weighted(group: GroupId, f: usize, delta: usize, heavy: Voters) -> Result<Self, ViewError> {
        let n = 3 * f + 1 + delta;
        if n > REPLICAS_MAX {
            return Err(ViewError::Size(n));
        }
        let named = (0..n).filter(|&i| heavy.contains(ReplicaId(i as u16))).count();
        if f == 0 || named != 2 * f || heavy.len() != 2 * f {
            return Err(ViewError::Weights { heavy_expected: 2 * f, heavy: named });
        }
        let weigh = |i: usize| if heavy.contains(ReplicaId(i as u16)) { f + delta } else { f };
        let weights = (0..n).map(|i| Weight(weigh(i) as u32)).collect();
        Ok(Self { group, weights, faults: f, quorum: Weight((2 * f * (f + delta) + f) as u32) })
    }

    /// The ordering group this is the membership of.
    #[must_use]
    pub const fn group(&self) -> GroupId {
        self.group
    }

    /// Number of replicas.
    #[must_use]
    pub fn n(&self) -> usize {
        self.weights.len()
    }

    /// How many of them may lie.
    #[must_use]
    pub const fn f(&self) -> usize {
        self.faults
    }

    /// The weight a quorum must reach.
    #[must_use]
    pub const fn quorum_weight(&self) -> Weight {
        self.quorum
    }

    /// What a member weighs.
    #[must_use]
    pub fn weight(&self, replica: ReplicaId) -> Weight {
        self.weights.get(replica.index()).copied().unwrap_or_default()
    }

    /// All members, in order.
    pub fn replicas(&self) -> impl Iterator<Item = ReplicaId> + use<> {
        (0..self.weights.len() as u16).map(ReplicaId)
    }

    /// Is this one of the members?
    #[must_use]
    pub fn has(&self, replica: ReplicaId) -> bool {
        replica.index() < self.weights.len()
    }

    /// The leader of a regency: members take turns in the order of the view.
    #[must_use]
    pub fn leader(&self, regency: Regency) -> ReplicaId {
        ReplicaId((regency.0 % self.weights.len() as u64) as u16)
    }

    /// Do these voters carry the weight of a quorum? Two quorums share a correct replica.
    #[must_use]
    pub fn is_quorum(&self, voters: Voters) -> bool {
        self.weight_of(voters) >= self.quorum
    }

    /// Do these voters share a correct replica with every quorum, if one of them forgot whatever it said? That one counts
    /// towards `f`, so a quorum will do. Where no fault is tolerated everybody must be heard.
    #[must_use]
    pub fn is_quorum_of_witnesses(&self, voters: Voters) -> bool {
        if self.faults == 0 { self.heads(voters) == self.n() } else { self.is_quorum(voters) }
    }

    /// Are these enough heads (`f + 1`) that one of them is correct?
    #[must_use]
    pub fn is_any_correct(&self, voters: Voters) -> bool {
        self.heads(voters) > self.faults
    }

    /// Are these as many heads (`n - f`) as one may wait for? Below four replicas a quorum is waited for instead.
    #[must_use]
    pub fn is_all_correct(&self, voters: Voters) -> bool {
        if self.faults == 0 { self.is_quorum(voters) } else { self.heads(voters) >= self.n() - self.faults }
    }

    fn weight_of(&self, voters: Voters) -> Weight {
        Weight(self.members(voters).map(|r| self.weights[r.index()].0).sum())
    }

    fn heads(&self, voters: Voters) -> usize {
        self.members(voters).count()
    }

    fn members(&self, voters: Voters) -> impl Iterator<Item = ReplicaId> {
        self.replicas().filter(move |&r| voters.contains(r))
    }
}

/// A set of replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Voters(u128);

impl Voters {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// Adds a replica; says whether it was new. Numbers beyond [`REPLICAS_MAX`] are never members.
    pub fn insert(&mut self, replica: ReplicaId) -> bool {
        let Some(bit) = 1_u128.checked_shl(u32::from(replica.0)) else { return false };
        let new = self.0 & bit == 0;
        self.0 |= bit;
        new
    }

    /// Is this replica in the set?
    #[must_use]
    pub fn contains(self, replica: ReplicaId) -> bool {
        1_u128.checked_shl(u32::from(replica.0)).is_some_and(|bit| self.0 & bit != 0)
    }

    /// How many replicas are in the set.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Is the set empty?
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The set as a bit mask, for codecs.
    #[must_use]
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// The set of a bit mask.
    #[must_use]
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// The members, in order.
    pub fn iter(self) -> impl Iterator<Item = ReplicaId> {
        (0..REPLICAS_MAX as u16).map(ReplicaId).filter(move |&r| self.contains(r))
    }
}

impl FromIterator<ReplicaId> for Voters {
    fn from_iter<I: IntoIterator<Item = ReplicaId>>(replicas: I) -> Self {
        let mut set = Self::NONE;
        for replica in replicas {
            set.insert(replica);
        }
        set
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId([7; 32]);

    fn views() -> Vec<View> {
        let mut views: Vec<View> = (1..=10).map(|n| View::flat(GROUP, n).unwrap()).collect();
        for f in 1..=2 {
            for delta in 0..=3 {
                let heavy = (0..2 * f as u16).map(ReplicaId).collect();
                views.push(View::weighted(GROUP, f, delta, heavy).unwrap());
            }
        }
        views
    }

    /// Fabric's own table, `common/policies/bft.go`: n = 1..13.
    #[test]
    fn flat_quorums_equal_the_counts_fabric_derives() {
        let expected = [1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 8, 8, 9];
        for (n, quorum) in (1..).zip(expected) {
            assert_eq!(View::flat(GROUP, n).unwrap().quorum_weight(), Weight(quorum), "n = {n}");
        }
    }

    #[test]
    fn any_two_quorums_share_a_correct_replica() {
        for view in views() {
            let quorums: Vec<u128> = (0..1_u128 << view.n()).filter(|&s| view.is_quorum(Voters(s))).collect();
            let minimal: Vec<u128> = quorums
                .iter()
                .copied()
                .filter(|s| (0..view.n()).all(|i| !quorums.contains(&(s & !(1 << i))) || s & (1 << i) == 0))
                .collect();
            for a in &minimal {
                for b in &minimal {
                    assert!((a & b).count_ones() as usize > view.f(), "{view:?} {a:b} {b:b}");
                }
            }
        }
    }

    #[test]
    fn the_survivors_of_any_f_crashes_are_a_quorum() {
        for view in views() {
            let all = (1_u128 << view.n()) - 1;
            for dead in (0..=all).filter(|s| s.count_ones() as usize == view.f()) {
                assert!(view.is_quorum(Voters(all & !dead)), "{view:?} {dead:b}");
            }
        }
    }

    #[test]
    fn five_replicas_with_a_spare_decide_with_the_two_heavy_and_one_more() {
        let view = View::weighted(GROUP, 1, 1, [ReplicaId(0), ReplicaId(1)].into_iter().collect()).unwrap();
        assert!(view.is_quorum([0, 1, 4].map(ReplicaId).into_iter().collect()));
        assert!(!view.is_quorum([2, 3, 4].map(ReplicaId).into_iter().collect()));
    }

    #[test]
    fn wrong_weights_are_refused() {
        let heavy = [ReplicaId(0)].into_iter().collect();
        assert_eq!(View::weighted(GROUP, 1, 1, heavy), Err(ViewError::Weights { heavy_expected: 2, heavy: 1 }));
        assert_eq!(View::flat(GROUP, 0), Err(ViewError::Size(0)));
    }
}
