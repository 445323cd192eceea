//! What a liar remembers of what it heard: enough to use signatures again, and no more than so much.

use std::collections::{BTreeMap, VecDeque};

use mod_smart::certificate::{SignedVote, Vote};
use mod_smart::checkpoint::{CheckpointVote, SignedCheckpoint};
use mod_smart::synchronization::SignedStopData;
use mod_smart::{Digest, Message, Regency, ReplicaId};

use super::forge::Signatures;

/// Signatures by what they are for.
#[derive(Debug, Default)]
pub(super) struct Memory {
    votes: BTreeMap<(u64, u64, Vote), Signatures>,
    checkpoints: BTreeMap<CheckpointVote, Signatures>,
    collects: BTreeMap<(Regency, ReplicaId), SignedStopData>,
    /// What was proposed lately, by the digest of the batch.
    batches: VecDeque<(Digest, Vec<Digest>)>,
    /// The highest regency anybody was seen in.
    pub(super) regency: Regency,
}

/// Distinct statements of one kind that are remembered; the oldest instances and regencies are forgotten first.
const STATEMENTS_MAX: usize = 128;
const BATCHES_MAX: usize = 32;

impl Memory {
    /// Remembers what is worth it.
    pub(super) fn hear(&mut self, message: &Message) {
        self.regency = super::forge::regency_of(message).unwrap_or_default().max(self.regency);
        match message {
            Message::Vote(signed) => self.hear_vote(signed),
            Message::Propose(propose) => self.hear_batch(&propose.requests),
            Message::Checkpoint(signed) => self.hear_checkpoint(signed),
            Message::StopData(signed) => self.hear_collect(signed),
            Message::Sync(sync) => sync.collects.iter().for_each(|collect| self.hear_collect(collect)),
            _ => {}
        }
    }

    /// Every signature heard for this vote.
    pub(super) fn signatures(&self, vote: Vote) -> Signatures {
        self.votes.get(&(vote.instance.0, vote.epoch.0, vote)).cloned().unwrap_or_default()
    }

    /// The votes heard, those of the newest instances last.
    pub(super) fn votes(&self) -> impl DoubleEndedIterator<Item = (Vote, &Signatures)> {
        self.votes.iter().map(|((_, _, vote), signatures)| (*vote, signatures))
    }

    /// The newest checkpoint vote, with everybody who was heard to sign it.
    pub(super) fn newest_checkpoint(&self) -> Option<(CheckpointVote, &Signatures)> {
        self.checkpoints.last_key_value().map(|(vote, signatures)| (*vote, signatures))
    }

    /// Every STOPDATA heard for this regency.
    pub(super) fn collects_of(&self, regency: Regency) -> impl Iterator<Item = &SignedStopData> {
        self.collects.range((regency, ReplicaId(0))..=(regency, ReplicaId(u16::MAX))).map(|(_, collect)| collect)
    }

    /// Every STOPDATA heard for any regency.
    pub(super) fn collects(&self) -> impl DoubleEndedIterator<Item = &SignedStopData> {
        self.collects.values()
    }

    /// The requests of a batch that was proposed lately.
    pub(super) fn batch(&self, digest: Digest) -> Option<&[Digest]> {
        self.batches.iter().find(|(of, _)| *of == digest).map(|(_, requests)| &requests[..])
    }

    fn hear_batch(&mut self, requests: &[Digest]) {
        if self.batches.len() == BATCHES_MAX {
            self.batches.pop_front();
        }
        self.batches.push_back((Digest::of_batch(requests), requests.to_vec()));
    }

    fn hear_vote(&mut self, signed: &SignedVote) {
        let vote = signed.vote;
        self.votes.entry((vote.instance.0, vote.epoch.0, vote)).or_default().insert(signed.voter, signed.signature);
        if self.votes.len() > STATEMENTS_MAX {
            self.votes.pop_first();
        }
    }

    fn hear_checkpoint(&mut self, signed: &SignedCheckpoint) {
        self.checkpoints.entry(signed.vote).or_default().insert(signed.voter, signed.signature);
        if self.checkpoints.len() > STATEMENTS_MAX {
            self.checkpoints.pop_first();
        }
    }

    fn hear_collect(&mut self, collect: &SignedStopData) {
        self.collects.insert((collect.data.regency, collect.sender), collect.clone());
        if self.collects.len() > STATEMENTS_MAX {
            self.collects.pop_first();
        }
    }
}
