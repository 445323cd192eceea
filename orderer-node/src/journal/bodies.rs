//! Where the bodies of requests stand, from the time they are journalled until they are decided, and a little longer.

use std::collections::HashMap;

use mod_smart::Digest;

use crate::journal::frame::Position;

/// Positions of bodies that a decision may name. Bounded once [`Bodies::bound`] is called.
#[derive(Debug, Default)]
pub(crate) struct Bodies {
    /// Journalled and not decided.
    waiting: HashMap<Digest, Position>,
    /// Decided lately: a batch that was bound in an earlier regency may name a request again.
    recent: [HashMap<Digest, Position>; 2],
}

impl Bodies {
    /// A body stands here. The last of several counts: it stands before whatever will refer to it, and is kept longest
    /// when the journal is truncated.
    pub(crate) fn on_body(&mut self, digest: Digest, position: Position) {
        match self.recent.iter_mut().find_map(|decided| decided.get_mut(&digest)) {
            Some(decided) => *decided = position,
            None => drop(self.waiting.insert(digest, position)),
        }
    }

    /// A decision names this request: where is its body? None if it was forgotten.
    pub(crate) fn on_decided(&mut self, digest: Digest) -> Option<Position> {
        let Some(position) = self.waiting.remove(&digest) else { return self.recent(digest) };
        self.recent[0].insert(digest, position);
        Some(position)
    }

    /// Forgets the oldest of more than `waiting_max` undecided bodies, and what was decided long ago.
    pub(crate) fn bound(&mut self, waiting_max: usize, recent_max: usize) {
        if self.recent[0].len() >= recent_max {
            self.recent.swap(0, 1);
            self.recent[0].clear();
        }
        if self.waiting.len() <= waiting_max {
            return;
        }
        // More than had to be, so that this happens rarely.
        let surplus = (self.waiting.len() - waiting_max + waiting_max / 8).min(self.waiting.len() - 1);
        let mut positions: Vec<Position> = self.waiting.values().copied().collect();
        let (_, oldest_kept, _) = positions.select_nth_unstable(surplus);
        let oldest_kept = *oldest_kept;
        self.waiting.retain(|_, position| *position >= oldest_kept);
    }

    /// The positions of all undecided bodies, in no order.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = Position> + '_ {
        self.waiting.values().copied()
    }

    fn recent(&self, digest: Digest) -> Option<Position> {
        self.recent.iter().find_map(|decided| decided.get(&digest)).copied()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn digest(number: u32) -> Digest {
        let mut digest = Digest([0; 32]);
        digest.0[..4].copy_from_slice(&number.to_be_bytes());
        digest
    }

    fn position(number: u32) -> Position {
        Position { segment: 0, offset: number, length: 1 }
    }

    #[test]
    fn the_oldest_undecided_and_the_long_decided_are_forgotten() {
        let mut bodies = Bodies::default();
        for number in 0..100 {
            bodies.on_body(digest(number), position(number));
            bodies.bound(16, 4);
            assert!(bodies.waiting.len() <= 16);
            assert!(bodies.waiting.contains_key(&digest(number)), "never the newest");
        }
        assert_eq!(bodies.on_decided(digest(3)), None);
        for number in 92..100 {
            assert_eq!(bodies.on_decided(digest(number)), Some(position(number)));
            bodies.bound(16, 4);
            assert!(bodies.recent.iter().map(HashMap::len).sum::<usize>() <= 8);
        }
        assert_eq!(bodies.on_decided(digest(99)), Some(position(99)), "decided again");
        bodies.on_body(digest(99), position(1000));
        assert_eq!(bodies.on_decided(digest(99)), Some(position(1000)), "the last body counts");
    }
}
