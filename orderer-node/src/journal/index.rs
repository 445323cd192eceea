//! What readers share with the writer: where committed decisions stand.
//!
//! The newest decisions are found in memory. Of the older ones only the range of each segment is kept, and the segment
//! is read when one of them is asked for: catching up from far behind pays one reading of a segment for all of its
//! decisions.

use std::collections::BTreeMap;

use mod_smart::InstanceId;

use crate::journal::frame::Position;

/// Positions of decisions.
#[derive(Debug)]
pub(crate) struct Index {
    decided: BTreeMap<InstanceId, Position>,
    decided_max: usize,
    /// First and last instance decided in each segment.
    ranges: BTreeMap<u32, (InstanceId, InstanceId)>,
    /// All decisions of the segment that was read last.
    loaded: Option<(u32, BTreeMap<InstanceId, Position>)>,
    /// The last segment and the end of what is committed in it.
    pub(crate) committed: (u32, u32),
}

/// Where a decision is to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Here.
    At(Position),
    /// If at all, in this segment, which must be read first.
    Within(u32),
    /// Nowhere.
    Nowhere,
}

impl Index {
    /// Nothing decided. Keeps so many positions in memory.
    pub(crate) fn new(decided_max: usize) -> Self {
        Self { decided: BTreeMap::new(), decided_max, ranges: BTreeMap::new(), loaded: None, committed: (0, 0) }
    }

    /// A decision stands here. If one is there already, it says the same.
    pub(crate) fn on_decided(&mut self, instance: InstanceId, position: Position) {
        let range = self.ranges.entry(position.segment).or_insert((instance, instance));
        *range = (range.0.min(instance), range.1.max(instance));
        self.decided.entry(instance).or_insert(position);
        while self.decided.len() > self.decided_max {
            self.decided.pop_first();
        }
    }

    /// The decisions of a segment, read from it.
    pub(crate) fn on_loaded(&mut self, segment: u32, decided: BTreeMap<InstanceId, Position>) {
        self.loaded = Some((segment, decided));
    }

    /// The last instance with a decision.
    pub(crate) fn last(&self) -> Option<InstanceId> {
        self.ranges.values().map(|range| range.1).max()
    }

    /// Where does the decision of this instance stand? Segments in `read` are known not to have it.
    pub(crate) fn find(&self, instance: InstanceId, read: &[u32]) -> Found {
        let loaded = self.loaded.as_ref().and_then(|(_, decided)| decided.get(&instance));
        if let Some(position) = self.decided.get(&instance).or(loaded) {
            return Found::At(*position);
        }
        // What is forgotten is older than everything that is not.
        if self.decided.first_key_value().is_some_and(|(first, _)| *first <= instance) {
            return Found::Nowhere;
        }
        let holds = |range: &(InstanceId, InstanceId)| (range.0..=range.1).contains(&instance);
        let within = self.ranges.iter().find(|(segment, range)| holds(range) && !read.contains(segment));
        within.map_or(Found::Nowhere, |(segment, _)| Found::Within(*segment))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn old_decisions_are_sought_in_the_segments_whose_range_has_them() {
        let mut index = Index::new(3);
        let at = |instance: u64| Position { segment: (instance / 4) as u32, offset: instance as u32, length: 1 };
        for instance in [1, 2, 3, 5, 4, 6, 7, 8, 9] {
            index.on_decided(InstanceId(instance), at(instance));
        }
        assert_eq!(index.find(InstanceId(9), &[]), Found::At(at(9)));
        assert_eq!(index.find(InstanceId(5), &[]), Found::Within(1));
        assert_eq!(index.find(InstanceId(5), &[1]), Found::Nowhere);
        assert_eq!(index.find(InstanceId(10), &[]), Found::Nowhere);
        index.on_loaded(1, (4..8).map(|instance| (InstanceId(instance), at(instance))).collect());
        assert_eq!(index.find(InstanceId(5), &[]), Found::At(at(5)));
        assert_eq!(index.last(), Some(InstanceId(9)));
    }
}
