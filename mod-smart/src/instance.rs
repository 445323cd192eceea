//! One run of VP-Consensus (thesis, algorithms 5 and 6): a proposal, the votes on it, and what follows from them.
//!
//! An instance is a plain value that an event moves; it waits for nothing and knows nothing of its neighbours. It says
//! what became true, and [`crate::replica::Replica`] says what to do about it.

use std::collections::{BTreeMap, BTreeSet};

use crate::certificate::{Proof, SignedVote, Vote, VoteKind, WriteCertificate};
use crate::id::{Digest, Epoch, InstanceId, ReplicaId};
use crate::message::Propose;
use crate::quorum::{View, Voters};
use crate::record::Record;
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
    /// What this replica wrote and accepted here.
    wrote: Option<Digest>,
    accepted: Option<Digest>,
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
        let counted = match kind {
            VoteKind::Write => tally.count(vote, |voters| view.is_certificate(voters)),
            VoteKind::Accept => tally.count(vote, |voters| view.is_quorum(voters)),
        };
        match counted {
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

    /// Where nobody lies a proposal needs no votes to bind: whoever holds it is believed. `false` if it was certified before.
    pub(crate) fn certify_unvoted(&mut self, instance: InstanceId, epoch: Epoch, digest: Digest) -> bool {
        let round = self.rounds.entry(epoch).or_default();
        let is_new = round.certificate.is_none();
        round.certificate.get_or_insert_with(|| WriteCertificate::collect(instance, epoch, digest, &[]));
        is_new
    }

    /// Takes a proof that came by another way than our own counting.
    pub(crate) fn adopt(&mut self, proof: Proof) {
        self.decided.get_or_insert(proof);
    }

    /// Takes a certificate back from the journal.
    pub(crate) fn restore_certificate(&mut self, certificate: WriteCertificate) {
        let epoch = certificate.epoch();
        self.rounds.entry(epoch).or_default().certificate = Some(certificate);
    }

    /// The WRITE certificate of the highest epoch, if there is any.
    pub(crate) fn highest_certificate(&self) -> Option<&WriteCertificate> {
        self.rounds.values().rev().find_map(|round| round.certificate.as_ref())
    }

    /// The requests of the batch with this digest, whoever proposed it and when.
    pub(crate) fn batch(&self, digest: Digest) -> Option<&[Digest]> {
        let mut proposals = self.rounds.values().filter_map(|round| round.proposal.as_ref());
        proposals.find(|p| p.digest == digest).map(|p| p.propose.requests.as_slice())
    }

    /// Takes a batch that a certificate or a proof of this epoch names. It takes the place of whatever the leader of that
    /// epoch told us.
    pub(crate) fn learn_batch(&mut self, propose: Propose) {
        let digest = propose.digest();
        let round = self.rounds.entry(propose.epoch).or_default();
        round.proposal = Some(Proposal { propose, digest, missing: BTreeSet::new(), valid: false });
    }

    /// A later regency begins: of the earlier epochs only what binds, and what was said here, is kept.
    pub(crate) fn leave(&mut self, epoch: Epoch) {
        self.rounds.retain(|at, round| *at >= epoch || round.wrote.is_some() || round.certificate.is_some());
    }

    pub(crate) fn proposal(&self, epoch: Epoch) -> Option<&Proposal> {
        self.rounds.get(&epoch)?.proposal.as_ref()
    }

    pub(crate) fn proposal_mut(&mut self, epoch: Epoch) -> Option<&mut Proposal> {
        self.rounds.get_mut(&epoch)?.proposal.as_mut()
    }

    /// Says that this replica casts its WRITE in this epoch; `false` if it did before.
    pub(crate) fn write_once(&mut self, epoch: Epoch, digest: Digest) -> bool {
        note_once(&mut self.rounds.entry(epoch).or_default().wrote, digest)
    }

    /// Says that this replica casts its ACCEPT in this epoch; `false` if it did before.
    pub(crate) fn accept_once(&mut self, epoch: Epoch, digest: Digest) -> bool {
        note_once(&mut self.rounds.entry(epoch).or_default().accepted, digest)
    }

    /// Has this replica ever voted here?
    pub(crate) fn has_voted(&self) -> bool {
        self.rounds.values().any(|round| round.wrote.is_some() || round.accepted.is_some())
    }

    /// The WRITE certificate of this epoch, if there is one.
    pub(crate) fn certificate(&self, epoch: Epoch) -> Option<&WriteCertificate> {
        self.rounds.get(&epoch)?.certificate.as_ref()
    }

    /// The proof, if the instance is decided.
    pub(crate) const fn proof(&self) -> Option<&Proof> {
        self.decided.as_ref()
    }

    /// Did this replica accept in this epoch?
    pub(crate) fn has_accepted(&self, epoch: Epoch) -> bool {
        self.rounds.get(&epoch).is_some_and(|round| round.accepted.is_some())
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

    /// What the journal must hold of this instance: what was said here and what binds it, and what was proposed here.
    pub(crate) fn records(&self, instance: InstanceId, leads: impl Fn(Epoch) -> bool) -> Vec<Record> {
        let mut records = Vec::new();
        for (&epoch, round) in &self.rounds {
            let vote = |kind, digest| Record::Voted(Vote { kind, instance, epoch, digest });
            let is_bound = round.wrote.is_some() || round.certificate.is_some();
            let proposal = round.proposal.as_ref().filter(|_| is_bound || leads(epoch));
            records.extend(proposal.map(|proposal| Record::Proposed(proposal.propose.clone())));
            records.extend(round.wrote.map(|digest| vote(VoteKind::Write, digest)));
            records.extend(round.certificate.clone().map(Record::Certified));
            records.extend(round.accepted.map(|digest| vote(VoteKind::Accept, digest)));
        }
        records
    }

    /// The requests of every proposal that can still be decided: of this epoch, or of the batch that the instance is bound
    /// to or was decided to be. What else was proposed in regencies that were left has to be proposed again.
    pub(crate) fn proposed(&self, epoch: Epoch, bound: Option<Digest>) -> impl Iterator<Item = Digest> {
        let decided = self.decided.as_ref().map(Proof::digest);
        self.rounds
            .values()
            .filter_map(|round| round.proposal.as_ref())
            .filter(move |p| p.propose.epoch == epoch || Some(p.digest) == bound || Some(p.digest) == decided)
            .flat_map(|p| p.propose.requests.iter().copied())
    }

    /// The valid proposals of this instance that lack bodies.
    pub(crate) fn incomplete(&self) -> impl Iterator<Item = &Proposal> {
        let proposals = self.rounds.values().filter_map(|round| round.proposal.as_ref());
        proposals.filter(|p| p.valid && !p.missing.is_empty())
    }

    /// Every body that a valid proposal of this instance lacks.
    pub(crate) fn missing(&self) -> BTreeSet<Digest> {
        self.incomplete().flat_map(|p| p.missing.iter().copied()).collect()
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

fn note_once(said: &mut Option<Digest>, digest: Digest) -> bool {
    let is_first = said.is_none();
    said.get_or_insert(digest);
    is_first
}

/// The instances from the first undelivered one on.
pub(crate) type Instances = BTreeMap<InstanceId, Instance>;
