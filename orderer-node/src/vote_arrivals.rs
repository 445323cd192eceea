//! Who is the straggler: how long after the first vote of a kind in an instance the votes of each node arrive here.
//!
//! A quorum waits for its slowest member, so the node whose votes come last tells where a group's latency comes from. Nothing
//! is decided by these figures.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mod_smart::certificate::{Vote, VoteKind};
use mod_smart::quorum::Voters;
use mod_smart::{InstanceId, ReplicaId};

/// The delays of all members of a group.
#[derive(Debug, Default)]
pub struct VoteArrivals(Mutex<Arrivals>);

#[derive(Debug, Default)]
struct Arrivals {
    /// The rounds of votes that began last, oldest first.
    rounds: VecDeque<Round>,
    delays: BTreeMap<ReplicaId, VoteDelays>,
}

/// One kind of vote in one instance.
#[derive(Debug)]
struct Round {
    instance: InstanceId,
    kind: VoteKind,
    began: Instant,
    seen: Voters,
}

/// How late the votes of one node were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VoteDelays {
    /// Votes.
    pub votes: u64,
    /// Their delays together.
    pub total: Duration,
}

impl VoteArrivals {
    /// A vote of this member has arrived and was found to be its own.
    pub fn note(&self, voter: ReplicaId, vote: &Vote) {
        self.note_at(voter, vote, Instant::now());
    }

    /// The delays so far, by member.
    #[must_use]
    pub fn read(&self) -> BTreeMap<ReplicaId, VoteDelays> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).delays.clone()
    }

    fn note_at(&self, voter: ReplicaId, vote: &Vote, now: Instant) {
        let mut arrivals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_this = |round: &&mut Round| round.instance == vote.instance && round.kind == vote.kind;
        let began = match arrivals.rounds.iter_mut().rev().find(is_this) {
            Some(round) => {
                // Votes are sent again after a connection broke; the first one counts.
                if !round.seen.insert(voter) {
                    return;
                }
                round.began
            }
            None => {
                if arrivals.rounds.len() >= ROUNDS_MAX {
                    arrivals.rounds.pop_front();
                }
                let mut seen = Voters::default();
                seen.insert(voter);
                arrivals.rounds.push_back(Round { instance: vote.instance, kind: vote.kind, began: now, seen });
                now
            }
        };
        let delays = arrivals.delays.entry(voter).or_default();
        delays.votes += 1;
        delays.total += now.saturating_duration_since(began);
    }
}

/// A vote that comes later than so many rounds is taken for the first one of its round.
const ROUNDS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use mod_smart::{Digest, Epoch};

    use super::*;

    #[test]
    fn the_delay_is_counted_from_the_first_vote_of_the_same_kind_and_once() {
        let arrivals = VoteArrivals::default();
        let now = Instant::now();
        let vote =
            |kind, instance| Vote { kind, instance: InstanceId(instance), epoch: Epoch(0), digest: Digest([0; 32]) };
        let note = |replica, kind, instance, ms| {
            arrivals.note_at(ReplicaId(replica), &vote(kind, instance), now + Duration::from_millis(ms));
        };
        note(1, VoteKind::Write, 7, 0);
        note(2, VoteKind::Write, 7, 5);
        note(1, VoteKind::Accept, 7, 10);
        note(2, VoteKind::Accept, 7, 40);
        note(2, VoteKind::Accept, 7, 90);
        let delays = arrivals.read();
        assert_eq!(delays[&ReplicaId(1)], VoteDelays { votes: 2, total: Duration::ZERO });
        assert_eq!(delays[&ReplicaId(2)], VoteDelays { votes: 2, total: Duration::from_millis(35) });
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let arrivals = VoteArrivals::default();
        for instance in 0..10_000 {
            let vote = Vote {
                kind: VoteKind::Write,
                instance: InstanceId(instance),
                epoch: Epoch(0),
                digest: Digest([0; 32]),
            };
            arrivals.note(ReplicaId(1), &vote);
        }
        assert_eq!(arrivals.0.lock().map(|arrivals| arrivals.rounds.len()).ok(), Some(ROUNDS_MAX));
    }
}
