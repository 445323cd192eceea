//! The de-duplication memory of one channel: which envelopes were ordered lately.
//!
//! A client's gateway may send one envelope through several frontends, and each of them has it ordered; only the first
//! becomes part of the chain. The memory holds the digests of the last [`ORDERED_DIGESTS_MAX`] ordered envelopes and
//! forgets the oldest first, so it is replicated state of bounded size and the same on every replica.

use std::collections::{BTreeSet, VecDeque};

use crate::limits::ORDERED_DIGESTS_MAX;

/// SHA-256 of the bytes of an envelope.
pub type EnvelopeDigest = [u8; 32];

/// The digests of the last ordered envelopes. `digests` and `members` hold the same, once each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderedDigests {
    digests: VecDeque<EnvelopeDigest>,
    members: Members,
}

/// A set of digests that is asked three times for every envelope. Their first bits tell which of many small trees they are in, so
/// that a question costs one or two nodes of memory. Whoever makes digests that all begin alike makes one tree of them, which is
/// what the set would be without the division.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Members(Vec<BTreeSet<EnvelopeDigest>>);

impl OrderedDigests {
    /// Was this envelope ordered lately?
    #[must_use]
    pub fn contains(&self, digest: &EnvelopeDigest) -> bool {
        self.members.contains(digest)
    }

    /// Remembers an envelope; says whether it was new. One that is known keeps its age.
    pub fn insert(&mut self, digest: EnvelopeDigest) -> bool {
        if !self.members.insert(digest) {
            return false;
        }
        self.digests.push_back(digest);
        if self.digests.len() > ORDERED_DIGESTS_MAX
            && let Some(oldest) = self.digests.pop_front()
        {
            self.members.remove(&oldest);
        }
        true
    }

    /// The digests, oldest first.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &EnvelopeDigest> {
        self.digests.iter()
    }
}

impl Members {
    fn contains(&self, digest: &EnvelopeDigest) -> bool {
        self.0.get(tree_of(digest)).is_some_and(|tree| tree.contains(digest))
    }

    fn insert(&mut self, digest: EnvelopeDigest) -> bool {
        if self.0.is_empty() {
            self.0.resize_with(TREES, BTreeSet::new);
        }
        self.0.get_mut(tree_of(&digest)).is_some_and(|tree| tree.insert(digest))
    }

    fn remove(&mut self, digest: &EnvelopeDigest) {
        if let Some(tree) = self.0.get_mut(tree_of(digest)) {
            tree.remove(digest);
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.iter().map(BTreeSet::len).sum()
    }
}

fn tree_of(digest: &EnvelopeDigest) -> usize {
    usize::from(u16::from_be_bytes([digest[0], digest[1]])) % TREES
}

/// Sixteen digests in each.
const TREES: usize = ORDERED_DIGESTS_MAX / 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: usize) -> EnvelopeDigest {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_be_bytes());
        digest
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut ordered = OrderedDigests::default();
        for number in 0..ORDERED_DIGESTS_MAX {
            assert!(ordered.insert(digest(number)));
        }
        assert!(!ordered.insert(digest(0)), "still remembered");
        assert!(ordered.insert(digest(ORDERED_DIGESTS_MAX)));
        assert!(!ordered.contains(&digest(0)), "a repeat does not make it younger");
        assert!(ordered.contains(&digest(1)));
        assert!(ordered.insert(digest(0)));
        assert_eq!(ordered.iter().len(), ORDERED_DIGESTS_MAX);
        assert_eq!(ordered.members.len(), ORDERED_DIGESTS_MAX);
    }
}
