//! The only file that compares numbers with thresholds.
//!
//! Flat views give every replica weight 1, `f = floor((n-1)/3)` and `Q = ceil((n+f+1)/2)` (thesis 3.5.6). WHEAT views
//! (thesis 5.3, appendix C) need `n = 3f + 1 + delta` exactly and scale its weights by `f` to stay in integers:
//! `V_max = f + delta` on `2f` replicas, `V_min = f` on the rest, `Q_v = 2f(f + delta) + f`.
//!
//! Where replicas only crash, `f = floor((n-1)/2)` and `Q = floor(n/2) + 1`; with weights `n = 2f + 1 + delta`, `f` replicas
//! are heavy and `Q_v = f(f + delta) + f`.
//!
//! Three thresholds exist. A *quorum* is counted by weight. *Any correct* (`f + 1`: enough that one of them is correct)
//! and *all correct* (`n - f`: as many as one may wait for) are counted by heads. Two more follow from the fault model: how
//! many votes bind an instance, and how many equal blocks are one to deliver.

use crate::id::{GroupId, Regency, ReplicaId};
pub use crate::voters::Voters;

/// Voting power of a replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(pub u32);

/// What a faulty replica may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultModel {
    /// Anything.
    #[default]
    Byzantine,
    /// Nothing: it crashes, and comes back with its memory. Whoever lies breaks the group.
    Crash,
}

/// The membership of one ordering group, fixed for the life of the group: members, weights, fault model, order of leaders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    group: GroupId,
    model: FaultModel,
    weights: Vec<Weight>,
    faults: usize,
    quorum: Weight,
    /// Every member once: the leaders of the first `n` regencies.
    leaders: Vec<ReplicaId>,
}

/// Most replicas a view can have; a [`Voters`] set is one machine word of this many bits.
pub const REPLICAS_MAX: usize = 128;

/// Why a view cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// No member, or more than [`REPLICAS_MAX`].
    #[error("an ordering group has 1 to {REPLICAS_MAX} replicas, not {0}")]
    Size(usize),
    /// Weights are defined for at least one fault and exactly `2f` heavy replicas, or `f` where replicas only crash.
    #[error(
        "weights need n = 3f + 1 + delta (2f + 1 + delta for crashes only) with f >= 1 and exactly {heavy_expected} heavy \
         replicas; {heavy} were named"
    )]
    Weights {
        /// `2f`, or `f` where replicas only crash.
        heavy_expected: usize,
        /// How many distinct members of the view were named heavy.
        heavy: usize,
    },
    /// A leader was named twice, or is no member.
    #[error("replica {0} is named twice in the order of leaders, or is no member")]
    Leaders(ReplicaId),
}

impl View {
    /// A view in which every replica weighs the same. With `n < 4` no fault is tolerated.
    ///
    /// # Errors
    /// The number of replicas is out of range.
    pub fn flat(group: GroupId, n: usize) -> Result<Self, ViewError> {
        let faults = n.saturating_sub(1) / 3;
        Self::of_equals(group, FaultModel::Byzantine, n, faults, (n + faults + 1).div_ceil(2))
    }

    /// A WHEAT view: `n = 3f + 1 + delta`, with the replicas in `heavy` carrying `V_max`.
    ///
    /// # Errors
    /// The size is out of range, `f` is zero, or `heavy` does not name exactly `2f` members.
    pub fn weighted(group: GroupId, f: usize, delta: usize, heavy: Voters) -> Result<Self, ViewError> {
        let quorum = 2 * f * (f + delta) + f;
        Self::of_two_weights(group, FaultModel::Byzantine, 3 * f + 1 + delta, (f, delta), heavy, 2 * f, quorum)
    }

    /// A view of replicas that only crash, each weighing the same: `f = floor((n-1)/2)`, and a majority is a quorum.
    ///
    /// # Errors
    /// The number of replicas is out of range.
    pub fn crash_only(group: GroupId, n: usize) -> Result<Self, ViewError> {
        Self::of_equals(group, FaultModel::Crash, n, n.saturating_sub(1) / 2, n / 2 + 1)
    }

    /// A WHEAT view of replicas that only crash: `n = 2f + 1 + delta`, with the replicas in `heavy` carrying `V_max`.
    ///
    /// # Errors
    /// The size is out of range, `f` is zero, or `heavy` does not name exactly `f` members.
    pub fn crash_only_weighted(group: GroupId, f: usize, delta: usize, heavy: Voters) -> Result<Self, ViewError> {
        let quorum = f * (f + delta) + f;
        Self::of_two_weights(group, FaultModel::Crash, 2 * f + 1 + delta, (f, delta), heavy, f, quorum)
    }

    fn of_equals(group: GroupId, model: FaultModel, n: usize, faults: usize, quorum: usize) -> Result<Self, ViewError> {
        if n == 0 || n > REPLICAS_MAX {
            return Err(ViewError::Size(n));
        }
        Ok(Self::of_weights(group, model, vec![Weight(1); n], faults, quorum))
    }

    fn of_two_weights(
        group: GroupId,
        model: FaultModel,
        n: usize,
        (f, delta): (usize, usize),
        heavy: Voters,
        heavy_expected: usize,
        quorum: usize,
    ) -> Result<Self, ViewError> {
        if n > REPLICAS_MAX {
            return Err(ViewError::Size(n));
        }
        let is_heavy = |i: usize| heavy.contains(ReplicaId(i as u16));
        let named = (0..n).filter(|&i| is_heavy(i)).count();
        if f == 0 || named != heavy_expected || heavy.len() != heavy_expected {
            return Err(ViewError::Weights { heavy_expected, heavy: named });
        }
        let weights = (0..n).map(|i| Weight(if is_heavy(i) { f + delta } else { f } as u32)).collect();
        Ok(Self::of_weights(group, model, weights, f, quorum))
    }

    fn of_weights(group: GroupId, model: FaultModel, weights: Vec<Weight>, faults: usize, quorum: usize) -> Self {
        let leaders = (0..weights.len() as u16).map(ReplicaId).collect();
        Self { group, model, weights, faults, quorum: Weight(quorum as u32), leaders }
    }

    /// The same view with another order of leaders: these first, and then the others in the order of the view.
    ///
    /// # Errors
    /// One of them is named twice, or is no member.
    pub fn with_leaders(mut self, first: &[ReplicaId]) -> Result<Self, ViewError> {
        let mut named = Voters::NONE;
        for &leader in first {
            if !self.has(leader) || !named.insert(leader) {
                return Err(ViewError::Leaders(leader));
            }
        }
        let rest = self.replicas().filter(|&replica| !named.contains(replica));
        self.leaders = first.iter().copied().chain(rest).collect();
        Ok(self)
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

    /// How many of them may be faulty.
    #[must_use]
    pub const fn f(&self) -> usize {
        self.faults
    }

    /// What a faulty one may do.
    #[must_use]
    pub const fn fault_model(&self) -> FaultModel {
        self.model
    }

    /// The weight a quorum must reach.
    #[must_use]
    pub const fn quorum_weight(&self) -> Weight {
        self.quorum
    }

    /// What this member weighs in a quorum; nothing if it is none.
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

    /// The leader of a regency: members take turns in the order of leaders.
    #[must_use]
    pub fn leader(&self, regency: Regency) -> ReplicaId {
        self.leaders[(regency.0 % self.leaders.len() as u64) as usize]
    }

    /// The lowest regency after this one that `leader` leads. `None` if it is no member, or the numbers end.
    #[must_use]
    pub fn next_led_by(&self, leader: ReplicaId, after: Regency) -> Option<Regency> {
        let mut later = (1..=self.n() as u64).map_while(|more| after.0.checked_add(more)).map(Regency);
        later.find(|&regency| self.leader(regency) == leader)
    }

    /// Do these voters carry the weight of a quorum? Two quorums share a correct replica.
    #[must_use]
    pub fn is_quorum(&self, voters: Voters) -> bool {
        self.weight_of(voters) >= self.quorum
    }

    /// Must replicas tell each other what they wrote before it binds? Where nobody lies the word of the leader is enough.
    #[must_use]
    pub fn has_writes(&self) -> bool {
        self.model == FaultModel::Byzantine
    }

    /// Do the WRITEs of these voters bind an instance? Where nobody lies whoever says that a batch was proposed is believed:
    /// no vote is needed.
    #[must_use]
    pub fn is_certificate(&self, voters: Voters) -> bool {
        match self.model {
            FaultModel::Byzantine => self.is_quorum(voters),
            FaultModel::Crash => true,
        }
    }

    /// Have enough replicas pushed a decided block that it is the one? Where nobody lies the first has told the truth. What
    /// peers ask of its signatures is another matter.
    #[must_use]
    pub fn is_delivery_quorum(&self, voters: Voters) -> bool {
        match self.model {
            FaultModel::Byzantine => self.is_quorum(voters),
            FaultModel::Crash => self.heads(voters) > 0,
        }
    }

    /// Are these enough for a new group to begin? Where a fault is tolerated and anybody may lie a quorum is; else nobody can tell
    /// a member that comes late from one that forgot what it said, and all of them begin together.
    #[must_use]
    pub fn is_founding_quorum(&self, voters: Voters) -> bool {
        match self.model {
            FaultModel::Byzantine => self.is_quorum_of_witnesses(voters),
            FaultModel::Crash => self.heads(voters) == self.n(),
        }
    }

    /// Do these voters share a replica that remembers with every quorum, if one of them forgot whatever it said? That one
    /// counts towards `f`, so a quorum will do, unless replicas only crash: then two quorums may share that one alone, and so
    /// many are heard that the others with it are none. Where no fault is tolerated everybody must be heard.
    #[must_use]
    pub fn is_quorum_of_witnesses(&self, voters: Voters) -> bool {
        if self.faults == 0 {
            return self.heads(voters) == self.n();
        }
        match self.model {
            FaultModel::Byzantine => self.is_quorum(voters),
            FaultModel::Crash => {
                let without = |forgetful| {
                    let unheard = |&replica: &ReplicaId| replica == forgetful || !voters.contains(replica);
                    self.replicas().filter(unheard).collect()
                };
                self.heads(voters) > 0 && self.members(voters).all(|forgetful| !self.is_quorum(without(forgetful)))
            }
        }
    }

    /// Are these enough heads (`f + 1`) that one of them is correct?
    #[must_use]
    pub fn is_any_correct(&self, voters: Voters) -> bool {
        self.heads(voters) > self.faults
    }

    /// Are these as many heads (`n - f`) as one may wait for? Where no fault is tolerated a quorum is waited for instead.
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
            let quorums: Vec<u128> =
                (0..1_u128 << view.n()).filter(|&s| view.is_quorum(Voters::from_bits(s))).collect();
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
                assert!(view.is_quorum(Voters::from_bits(all & !dead)), "{view:?} {dead:b}");
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
    fn where_replicas_only_crash_a_majority_is_a_quorum() {
        for (n, (quorum, f)) in (1..).zip([(1, 0), (2, 0), (2, 1), (3, 1), (3, 2), (4, 2), (4, 3)]) {
            let view = View::crash_only(GROUP, n).unwrap();
            assert_eq!((view.quorum_weight(), view.f()), (Weight(quorum), f), "n = {n}");
        }
    }

    /// Figure 5.10b of the thesis: two of four replicas decide, if one of them is the heavy one.
    #[test]
    fn the_heavy_one_of_four_replicas_that_only_crash_decides_with_any_other() {
        let view = View::crash_only_weighted(GROUP, 1, 1, [ReplicaId(2)].into_iter().collect()).unwrap();
        assert!(view.is_quorum([0, 2].map(ReplicaId).into_iter().collect()));
        assert!(!view.is_quorum([0, 1].map(ReplicaId).into_iter().collect()));
        assert!(view.is_quorum([0, 1, 3].map(ReplicaId).into_iter().collect()));
    }

    /// Published hole 6: what is enough where nobody lies must never be where somebody may.
    #[test]
    fn one_vote_binds_and_delivers_nothing_where_anybody_may_lie() {
        let one: Voters = [ReplicaId(0)].into_iter().collect();
        for view in views() {
            assert!(!view.is_certificate(Voters::NONE) && view.has_writes());
            assert_eq!(view.is_certificate(one), view.is_quorum(one));
            assert_eq!(view.is_delivery_quorum(one), view.is_quorum(one));
        }
        let view = View::crash_only(GROUP, 3).unwrap();
        assert!(view.is_certificate(Voters::NONE) && view.is_delivery_quorum(one) && !view.has_writes());
        assert!(!view.is_delivery_quorum([ReplicaId(7)].into_iter().collect()), "no member");
    }

    #[test]
    fn leaders_take_turns_in_the_order_named_and_the_others_after_them() {
        let view = View::flat(GROUP, 5).unwrap().with_leaders(&[ReplicaId(3), ReplicaId(1)]).unwrap();
        let leaders: Vec<u16> = (0..7).map(|regency| view.leader(Regency(regency)).0).collect();
        assert_eq!(leaders, [3, 1, 0, 2, 4, 3, 1]);
        assert_eq!(view.next_led_by(ReplicaId(3), Regency(0)), Some(Regency(5)));
        assert_eq!(view.next_led_by(ReplicaId(4), Regency(4)), Some(Regency(9)));
        assert_eq!(view.next_led_by(ReplicaId(9), Regency(4)), None);
        assert_eq!(view.next_led_by(ReplicaId(1), Regency(u64::MAX)), None);
    }

    #[test]
    fn an_order_of_leaders_names_members_once() {
        let view = || View::flat(GROUP, 4).unwrap();
        assert_eq!(view().with_leaders(&[]), Ok(view()));
        assert_eq!(view().with_leaders(&[ReplicaId(4)]), Err(ViewError::Leaders(ReplicaId(4))));
        let twice = [ReplicaId(1), ReplicaId(1)];
        assert_eq!(view().with_leaders(&twice), Err(ViewError::Leaders(ReplicaId(1))));
    }

    #[test]
    fn wrong_weights_are_refused() {
        let heavy = [ReplicaId(0)].into_iter().collect();
        assert_eq!(View::weighted(GROUP, 1, 1, heavy), Err(ViewError::Weights { heavy_expected: 2, heavy: 1 }));
        assert_eq!(
            View::crash_only_weighted(GROUP, 2, 1, heavy),
            Err(ViewError::Weights { heavy_expected: 2, heavy: 1 })
        );
        assert_eq!(View::flat(GROUP, 0), Err(ViewError::Size(0)));
        assert_eq!(View::crash_only(GROUP, 0), Err(ViewError::Size(0)));
    }
}
