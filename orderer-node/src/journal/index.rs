//! What readers share with the writer: where committed decisions stand.
//!
//! The newest decisions are found in memory. Of the older ones only the range of each segment is kept, and the segment
//! is read when one of them is asked for: catching up from far behind pays one reading of a segment for all of its
//! decisions.

use std::collections::BTreeMap;

use mod_smart::InstanceId;

use crate::journal::frame::Position;
use crate::journal::limits::MARKS_MAX;

/// Positions of decisions.
#[derive(Debug)]
pub(crate) struct Index {
    decided: BTreeMap<InstanceId, Position>,
    decided_max: usize,
    /// First and last instance decided in each segment.
    ranges: BTreeMap<u32, (InstanceId, InstanceId)>,
    /// All decisions of the segment that was read last.
    loaded: Option<(u32, BTreeMap<InstanceId, Position>)>,
    /// The segment in which the mark of each checkpoint stands.
    marks: BTreeMap<InstanceId, u32>,
    /// The first segment of the journal.
    first: u32,
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
    /// Nothing decided, in a journal that begins with segment `first`. Keeps so many positions in memory.
    pub(crate) fn new(decided_max: usize, first: u32) -> Self {
        let (decided, ranges, marks) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { decided, decided_max, ranges, loaded: None, marks, first, committed: (first, 0) }
    }

    /// The number of the first segment.
    pub(crate) const fn first(&self) -> u32 {
        self.first
    }

    /// The mark of a checkpoint stands in this segment. If it stands in an earlier one as well, that counts.
    pub(crate) fn on_mark(&mut self, instance: InstanceId, segment: u32) {
        self.marks.entry(instance).or_insert(segment);
        while self.marks.len() > MARKS_MAX {
            self.marks.pop_first();
        }
    }

    /// Is the mark of this checkpoint known?
    pub(crate) fn has_mark(&self, instance: InstanceId) -> bool {
        self.marks.contains_key(&instance)
    }

    /// The segment in which this mark stands, or the newest mark before it that is known.
    pub(crate) fn segment_of_mark(&self, instance: InstanceId) -> Option<u32> {
        self.marks.range(..=instance).next_back().map(|(_, segment)| *segment)
    }

    /// The journal begins with this segment from now on.
    pub(crate) fn forget_before(&mut self, first: u32) {
        self.first = first;
        self.decided.retain(|_, position| position.segment >= first);
        self.ranges.retain(|segment, _| *segment >= first);
        self.marks.retain(|_, segment| *segment >= first);
        self.loaded.take_if(|(segment, _)| *segment < first);
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
        let mut index = Index::new(3, 0);
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
        index.forget_before(2);
        assert_eq!(
            (index.find(InstanceId(5), &[]), index.find(InstanceId(8), &[])),
            (Found::Nowhere, Found::At(at(8)))
        );
    }

    #[test]
    fn a_mark_that_is_not_known_stands_for_the_one_before_it() {
        let mut index = Index::new(3, 0);
        for (instance, segment) in [(10, 1), (20, 2), (20, 5), (30, 6)] {
            index.on_mark(InstanceId(instance), segment);
        }
        let segment = |index: &Index, instance| index.segment_of_mark(InstanceId(instance));
        assert_eq!([9, 10, 19, 20, 35].map(|at| segment(&index, at)), [None, Some(1), Some(1), Some(2), Some(6)]);
        index.forget_before(2);
        assert_eq!([10, 20].map(|at| segment(&index, at)), [None, Some(2)]);
    }
}
