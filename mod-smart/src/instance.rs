//! One run of VP-Consensus (thesis, algorithms 5 and 6): a proposal, the votes on it, and what follows from them.
//!
//! An instance is a plain value that an event moves; it waits for nothing and knows nothing of its neighbours. It says
//! what became true, and [`crate::replica::Replica`] says what to do about it.

use std::collections::{BTreeMap, BTreeSet};

use crate::certificate::{Proof, SignedVote, Vote, VoteKind, WriteCertificate};
use crate::id::{Digest, Epoch, InstanceId, ReplicaId};
use crate::message::Propose;
use crate::quorum::{View, Voters};
use crate::tally::{Counted, Tally};

/// One open, or soon to be opened, instance.
#[derive(Debug, Default)]
pub(crate) struct Instance {
    rounds: BTreeMap<Epoch, Round>,
    /// The quorum of ACCEPTs, once there is one.
    decided: Option<Proof>,
}

/// One epoch of an instance.
#[derive(Debug, Default)]
struct Round {
    proposal: Option<Proposal>,
    writes: Tally,
    accepts: Tally,
    wrote: bool,
    accepted: bool,
    certificate: Option<WriteCertificate>,
}

/// The leader's proposal of one epoch.
#[derive(Debug, Clone)]
pub(crate) struct Proposal {
    pub(crate) propose: Propose,
    pub(crate) digest: Digest,
    /// The bodies that are not here yet.
    pub(crate) missing: BTreeSet<Digest>,
    /// Whether the batch passed the validity test; before that no vote is cast.
    pub(crate) valid: bool,
}

/// What a vote brought about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing yet.
    None,
    /// A quorum wrote: there is a certificate.
    Certified,
    /// A quorum accepted: the instance is decided.
    Decided,
    /// The voter contradicts its own earlier vote.
    Double,
}

impl Instance {
    /// Records a proposal. `Err` carries nothing: another batch was proposed for the same epoch before.
    pub(crate) fn propose(&mut self, propose: Propose) -> Result<(), ()> {
        let digest = propose.digest();
        let round = self.rounds.entry(propose.epoch).or_default();
        match &round.proposal {
            Some(earlier) if earlier.digest != digest => Err(()),
            Some(_) => Ok(()),
            None => {
                round.proposal = Some(Proposal { propose, digest, missing: BTreeSet::new(), valid: false });
                Ok(())
            }
        }
    }

    pub(crate) fn count(&mut self, vote: SignedVote, view: &View) -> Progress {
        let Vote { kind, instance, epoch, digest } = vote.vote;
        let round = self.rounds.entry(epoch).or_default();
        let tally = match kind {
            VoteKind::Write => &mut round.writes,
            VoteKind::Accept => &mut round.accepts,
        };
        match tally.count(vote, view) {
            Counted::Waiting => Progress::None,
            Counted::Double => Progress::Double,
            Counted::Reached => {
                let votes = tally.votes_for(digest);
                match kind {
                    VoteKind::Write => {
                        round.certificate = Some(WriteCertificate::collect(instance, epoch, digest, &votes));
                        Progress::Certified
                    }
                    VoteKind::Accept => {
                        self.decided = Some(Proof::collect(instance, epoch, digest, &votes));
                        Progress::Decided
                    }
                }
            }
        }
    }

    pub(crate) fn proposal(&self, epoch: Epoch) -> Option<&Proposal> {
        self.rounds.get(&epoch)?.proposal.as_ref()
    }

    pub(crate) fn proposal_mut(&mut self, epoch: Epoch) -> Option<&mut Proposal> {
        self.rounds.get_mut(&epoch)?.proposal.as_mut()
    }

    /// Says that this replica casts its WRITE in this epoch; `false` if it did before.
    pub(crate) fn write_once(&mut self, epoch: Epoch) -> bool {
        !std::mem::replace(&mut self.rounds.entry(epoch).or_default().wrote, true)
    }

    /// Says that this replica casts its ACCEPT in this epoch; `false` if it did before.
    pub(crate) fn accept_once(&mut self, epoch: Epoch) -> bool {
        !std::mem::replace(&mut self.rounds.entry(epoch).or_default().accepted, true)
    }

    /// The WRITE certificate of this epoch, if there is one.
    pub(crate) fn certificate(&self, epoch: Epoch) -> Option<&WriteCertificate> {
        self.rounds.get(&epoch)?.certificate.as_ref()
    }

    /// The proof, if the instance is decided.
    pub(crate) const fn proof(&self) -> Option<&Proof> {
        self.decided.as_ref()
    }

    /// The proposal that the proof decided, if it is known here.
    pub(crate) fn decided_proposal(&self) -> Option<&Proposal> {
        let proof = self.decided.as_ref()?;
        self.rounds.values().filter_map(|round| round.proposal.as_ref()).find(|p| p.digest == proof.digest())
    }

    /// Who wrote or accepted in this epoch, and so holds the bodies or knows who does.
    pub(crate) fn voters(&self, epoch: Epoch, digest: Digest) -> Voters {
        let Some(round) = self.rounds.get(&epoch) else { return Voters::NONE };
        round.writes.voters(digest).iter().chain(round.accepts.voters(digest).iter()).collect()
    }

    /// The votes this replica has cast, as they came back to it.
    pub(crate) fn votes_of(&self, voter: ReplicaId) -> Vec<SignedVote> {
        let rounds = self.rounds.values();
        rounds.flat_map(|round| [round.writes.vote_of(voter), round.accepts.vote_of(voter)]).flatten().collect()
    }

    /// The digests of every proposal, for leaving them out of other batches.
    pub(crate) fn proposed(&self) -> impl Iterator<Item = Digest> {
        self.rounds
            .values()
            .filter_map(|round| round.proposal.as_ref())
            .flat_map(|p| p.propose.requests.iter().copied())
    }

    /// Every body that a valid proposal of this instance lacks.
    pub(crate) fn missing(&self) -> BTreeSet<Digest> {
        let proposals = self.rounds.values().filter_map(|round| round.proposal.as_ref());
        proposals.filter(|p| p.valid).flat_map(|p| p.missing.iter().copied()).collect()
    }

    /// A body has come. Says whether some proposal was waiting for it.
    pub(crate) fn supply(&mut self, body: Digest) -> bool {
        let mut found = false;
        for proposal in self.rounds.values_mut().filter_map(|round| round.proposal.as_mut()) {
            found |= proposal.missing.remove(&body);
        }
        found
    }
}

/// The instances from the first undelivered one on.
pub(crate) type Instances = BTreeMap<InstanceId, Instance>;
