//! Whose turn it is to bring the body of a block that is otherwise complete.
//!
//! The node whose turn it is gets a moment; then another one that has signed the block is asked, and so on around, with
//! growing patience. Who owed a body and did not bring it is skipped for a while, so a silent node costs one short pause
//! and not one per turn. No clock here: the collector tells the time.

use std::time::{Duration, Instant};

use mod_smart::{ReplicaId, Voters};

use crate::node_limits::{BODY_AFTER_MAX, BODY_AFTER_MIN, SILENT_SOURCE_SKIPPED};

/// Which nodes have owed bodies and not brought them.
#[derive(Debug)]
pub(crate) struct Silence(Vec<Option<Instant>>);

impl Silence {
    /// Nobody yet, of so many nodes.
    pub(crate) fn new(nodes: usize) -> Self {
        Self(vec![None; nodes])
    }

    pub(crate) fn blame(&mut self, replica: ReplicaId, now: Instant) {
        self.0[replica.index()] = Some(now + SILENT_SOURCE_SKIPPED);
    }

    pub(crate) fn is_skipped(&self, replica: ReplicaId, now: Instant) -> bool {
        self.0[replica.index()].is_some_and(|until| now < until)
    }
}

/// The search for one body.
#[derive(Debug)]
pub(crate) struct BodySearch {
    /// Whose turn it is, or was.
    turn: ReplicaId,
    /// Is it given time?
    is_awaited: bool,
    deadline: Instant,
    patience: Duration,
}

/// Begins with the node whose turn it is, unless that one is skipped.
pub(crate) fn search(source: ReplicaId, silence: &Silence, now: Instant) -> BodySearch {
    let is_awaited = !silence.is_skipped(source, now);
    let deadline = if is_awaited { now + BODY_AFTER_MIN } else { now };
    BodySearch { turn: source, is_awaited, deadline, patience: BODY_AFTER_MIN }
}

impl BodySearch {
    /// When somebody else is to be asked.
    pub(crate) const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Who has let the deadline pass; said once.
    pub(crate) fn overdue(&mut self, now: Instant) -> Option<ReplicaId> {
        let is_overdue = now >= self.deadline && std::mem::take(&mut self.is_awaited);
        is_overdue.then_some(self.turn)
    }

    /// A node has brought something else: if it is the one that was waited for, no more of that.
    pub(crate) fn on_wrong(&mut self, replica: ReplicaId, now: Instant) {
        if replica == self.turn {
            self.is_awaited = false;
            self.deadline = now;
        }
    }

    /// The nodes to ask next, best first: those that hold the block, going around from the one that was waited for,
    /// skipped ones last.
    pub(crate) fn next_sources(&self, holders: Voters, silence: &Silence, now: Instant) -> Vec<ReplicaId> {
        let mut sources: Vec<_> = holders.iter().collect();
        let after = sources.iter().position(|replica| *replica > self.turn).unwrap_or(0);
        sources.rotate_left(after);
        sources.sort_by_key(|replica| silence.is_skipped(*replica, now));
        sources
    }

    /// This one was asked.
    pub(crate) fn on_asked(&mut self, replica: ReplicaId, now: Instant) {
        self.turn = replica;
        self.is_awaited = true;
        self.deadline = now + self.patience;
        self.patience = (self.patience * 2).min(BODY_AFTER_MAX);
    }

    /// Nobody could be asked: all their links are down or full.
    pub(crate) fn on_nobody(&mut self, now: Instant) {
        self.deadline = now + BODY_AFTER_MIN;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voters(replicas: &[u16]) -> Voters {
        replicas.iter().map(|r| ReplicaId(*r)).collect()
    }

    #[test]
    fn a_source_is_waited_for_and_then_the_others_go_around() {
        let (now, mut silence) = (Instant::now(), Silence::new(4));
        let mut search = search(ReplicaId(2), &silence, now);
        assert_eq!((search.overdue(now), search.deadline()), (None, now + BODY_AFTER_MIN));
        let late = now + BODY_AFTER_MIN;
        assert_eq!((search.overdue(late), search.overdue(late)), (Some(ReplicaId(2)), None), "blamed once");
        silence.blame(ReplicaId(2), now);
        assert_eq!(search.next_sources(voters(&[0, 1, 2, 3]), &silence, now), [3, 0, 1, 2].map(ReplicaId));
        assert_eq!(search.next_sources(voters(&[0, 1]), &silence, now), [0, 1].map(ReplicaId));
        search.on_asked(ReplicaId(3), now);
        assert_eq!(search.deadline(), now + BODY_AFTER_MIN);
        search.on_asked(ReplicaId(0), now);
        assert_eq!(search.deadline(), now + BODY_AFTER_MIN * 2, "bodies may be large");
        search.on_wrong(ReplicaId(3), now);
        assert_eq!(search.deadline(), now + BODY_AFTER_MIN * 2, "too late to matter");
        search.on_wrong(ReplicaId(0), now);
        assert_eq!((search.deadline(), search.overdue(late)), (now, None), "blamed for that, not for silence");
    }

    #[test]
    fn a_silent_source_is_skipped_for_a_while() {
        let (now, mut silence) = (Instant::now(), Silence::new(4));
        silence.blame(ReplicaId(1), now);
        let mut skipping = search(ReplicaId(1), &silence, now);
        assert_eq!((skipping.deadline(), skipping.overdue(now)), (now, None), "no pause for it and no new blame");
        let later = now + SILENT_SOURCE_SKIPPED;
        assert_eq!(search(ReplicaId(1), &silence, later).deadline(), later + BODY_AFTER_MIN, "forgiven");
    }
}
