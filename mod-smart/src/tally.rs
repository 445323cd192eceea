//! Counts distinct voters for one digest and says *reached* exactly once. How many are enough is not known here.

use std::collections::BTreeMap;

use crate::certificate::SignedVote;
use crate::id::{Digest, ReplicaId};
use crate::quorum::Voters;

/// The votes of one kind in one epoch of one instance.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    votes: BTreeMap<ReplicaId, SignedVote>,
    reached: bool,
}

/// What a vote did to a tally.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// It was there already, or it is one more and they are not enough, or enough were reached before.
    Waiting,
    /// With it the votes for its digest are enough.
    Reached,
    /// Its voter voted for another digest before; the first vote stands.
    Double,
}

impl Tally {
    pub(crate) fn count(&mut self, vote: SignedVote, is_enough: impl Fn(Voters) -> bool) -> Counted {
        if let Some(earlier) = self.votes.get(&vote.voter) {
            return if earlier.vote == vote.vote { Counted::Waiting } else { Counted::Double };
        }
        self.votes.insert(vote.voter, vote);
        if self.reached || !is_enough(self.voters(vote.vote.digest)) {
            return Counted::Waiting;
        }
        self.reached = true;
        Counted::Reached
    }

    /// Who voted for this digest.
    pub(crate) fn voters(&self, digest: Digest) -> Voters {
        self.votes.values().filter(|v| v.vote.digest == digest).map(|v| v.voter).collect()
    }

    /// The votes for this digest, in the order of the voters.
    pub(crate) fn votes_for(&self, digest: Digest) -> Vec<SignedVote> {
        self.votes.values().filter(|v| v.vote.digest == digest).copied().collect()
    }

    /// The vote this replica cast.
    pub(crate) fn vote_of(&self, voter: ReplicaId) -> Option<SignedVote> {
        self.votes.get(&voter).copied()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::certificate::{Vote, VoteKind};
    use crate::id::{Epoch, GroupId, InstanceId};
    use crate::quorum::View;
    use crate::seal::Signature;

    fn vote(voter: u16, digest: u8) -> SignedVote {
        let vote =
            Vote { kind: VoteKind::Write, instance: InstanceId(1), epoch: Epoch(0), digest: Digest([digest; 32]) };
        SignedVote { vote, voter: ReplicaId(voter), signature: Signature([0; 64]) }
    }

    #[test]
    fn a_quorum_is_said_once_and_a_repeated_vote_weighs_nothing() {
        let view = View::flat(GroupId([0; 32]), 4).unwrap();
        let is_quorum = |voters| view.is_quorum(voters);
        let mut tally = Tally::default();
        assert_eq!(tally.count(vote(0, 1), is_quorum), Counted::Waiting);
        assert_eq!(tally.count(vote(0, 1), is_quorum), Counted::Waiting);
        assert_eq!(tally.count(vote(1, 1), is_quorum), Counted::Waiting);
        assert_eq!(tally.count(vote(2, 2), is_quorum), Counted::Waiting);
        assert_eq!(tally.count(vote(2, 1), is_quorum), Counted::Double);
        assert_eq!(tally.count(vote(3, 1), is_quorum), Counted::Reached);
        assert_eq!(tally.votes_for(Digest([1; 32])).len(), 3);
    }
}
