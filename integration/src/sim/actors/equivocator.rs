//! *Attack.* As leader: two batches for one instance and epoch, one for each half of the group. As anybody: WRITE and
//! ACCEPT for both, each half hearing the one that suits it, and ACCEPT without waiting for a certificate.
//!
//! *Known as* the first attack on every agreement since Lamport, Shostak and Pease (1982).
//!
//! *Answer.* A correct replica writes once in an epoch, and two quorums share a correct replica, so at most one of the
//! batches gets a certificate; an ACCEPT counts for nothing but a quorum of them. The next regency is bound by the
//! certificate if there is one.

use std::collections::BTreeMap;

use mod_smart::certificate::{Vote, VoteKind};
use mod_smart::message::Propose;
use mod_smart::{Digest, Epoch, InstanceId, Message, ReplicaId};

use super::forge;
use super::sides::{Side, other_batch, side};
use crate::sim::actor::{Actor, Hand};

/// Keeps two stories for each instance.
#[derive(Debug, Default)]
pub(super) struct Equivocator {
    stories: BTreeMap<(InstanceId, Epoch), Story>,
}

/// The two batches of an instance.
#[derive(Debug)]
struct Story {
    front: Vec<Digest>,
    back: Option<Vec<Digest>>,
}

/// Stories that are remembered.
const STORIES_MAX: usize = 64;

pub(super) fn make(_seed: u64) -> Box<dyn Actor> {
    Box::new(Equivocator::default())
}

impl Actor for Equivocator {
    fn name(&self) -> &'static str {
        "equivocator"
    }

    fn on_send(&mut self, to: ReplicaId, message: Message, hand: &mut Hand<'_>) {
        match message {
            Message::Propose(propose) => self.propose(to, propose, hand),
            Message::Vote(signed) if forge::is_own_vote(&signed, hand) => self.vote(to, signed.vote, hand),
            message => hand.send(to, message),
        }
    }

    /// A leader of ours tells us both batches; our own honest replica believes the first.
    fn on_receive(&mut self, from: ReplicaId, message: &Message, hand: &mut Hand<'_>) -> bool {
        let Message::Propose(propose) = message else { return true };
        if !hand.coalition.contains(from) {
            return true;
        }
        let at = (propose.instance, propose.epoch);
        match self.stories.get_mut(&at) {
            None => self.remember(at, propose.requests.clone()),
            Some(story) if story.front != propose.requests => {
                story.back = Some(propose.requests.clone());
                return false;
            }
            Some(_) => {}
        }
        true
    }
}

impl Equivocator {
    /// Proposes what this replica is to believe. Other liars hear both.
    pub(super) fn propose(&mut self, to: ReplicaId, propose: Propose, hand: &mut Hand<'_>) {
        let at = (propose.instance, propose.epoch);
        self.remember(at, propose.requests.clone());
        let Some(story) = self.stories.get_mut(&at) else { return };
        let back = story.back.get_or_insert_with(|| other_batch(&propose.requests, hand)).clone();
        let other = Message::Propose(Propose { requests: back, ..propose });
        if hand.coalition.contains(to) {
            hand.send(to, Message::Propose(propose));
            hand.send(to, other);
        } else if side(at.0, at.1, to) == Side::Front {
            hand.send(to, Message::Propose(propose));
        } else {
            hand.send(to, other);
        }
    }

    /// Votes for what this replica was made to believe, and accepts it before anybody could.
    pub(super) fn vote(&self, to: ReplicaId, vote: Vote, hand: &mut Hand<'_>) {
        let story = self.stories.get(&(vote.instance, vote.epoch));
        let back = story.and_then(|story| story.back.as_ref()).map(|batch| Digest::of_batch(batch));
        let told = back.filter(|_| side(vote.instance, vote.epoch, to) == Side::Back);
        let vote = Vote { digest: told.unwrap_or(vote.digest), ..vote };
        hand.send(to, forge::vote(vote, hand));
        if vote.kind == VoteKind::Write && told.is_some() {
            hand.send(to, forge::vote(Vote { kind: VoteKind::Accept, ..vote }, hand));
        }
    }

    fn remember(&mut self, at: (InstanceId, Epoch), front: Vec<Digest>) {
        self.stories.entry(at).or_insert(Story { front, back: None });
        if self.stories.len() > STORIES_MAX {
            self.stories.pop_first();
        }
    }
}
