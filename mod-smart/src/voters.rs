//! Sets of replicas.

use crate::id::ReplicaId;
use crate::quorum::REPLICAS_MAX;

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
