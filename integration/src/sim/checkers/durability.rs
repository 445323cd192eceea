//! Nothing leaves a replica before it is durable, and no restart makes a replica go back on its word.

use std::collections::{BTreeMap, BTreeSet};

use mod_smart::certificate::{Vote, VoteKind};
use mod_smart::{Digest, Epoch, InstanceId, Message, Record, Regency, ReplicaId, RequestId};

use super::{Checker, Observation, Scene, Standing};

#[derive(Default)]
pub(super) struct Durability {
    words: BTreeMap<ReplicaId, Word>,
    /// What is ordered needs no holder any more, and another body under its number will never be ordered.
    ordered: BTreeSet<RequestId>,
}

/// What one replica has written and said.
#[derive(Default)]
struct Word {
    votes_durable: BTreeSet<Vote>,
    proposals_durable: BTreeSet<(InstanceId, Epoch, Digest)>,
    bodies_durable: BTreeSet<Digest>,
    /// The highest regency that was asked for, entered or begun, durably.
    stopped: Regency,
    entered: Regency,
    votes_sent: BTreeMap<(VoteKind, InstanceId, Epoch), Digest>,
    proposals_sent: BTreeMap<(InstanceId, Epoch), Digest>,
    checkpoints_sent: BTreeMap<InstanceId, Digest>,
    checkpoints_durable: BTreeMap<InstanceId, Digest>,
    /// The highest regency whose STOPDATA it sent: it has left every earlier one.
    left_for: Regency,
}

impl Checker for Durability {
    fn name(&self) -> &'static str {
        "durability"
    }

    fn observe(&mut self, scene: &Scene<'_>, seen: &Observation<'_>) -> Result<(), String> {
        match seen {
            Observation::Durable(replica, record) => self.word(*replica).on_durable(record),
            Observation::Lost(replica) => self.word(*replica).on_lost(),
            Observation::Held(replica, id, digest) if scene.standings[replica.index()] != Standing::Amnesiac => {
                let is_durable = self.word(*replica).bodies_durable.contains(digest) || self.ordered.contains(id);
                return if is_durable {
                    Ok(())
                } else {
                    Err(format!("replica {replica} says that it holds request {digest}, which is not durable"))
                };
            }
            Observation::Delivered(_, decision) => {
                self.ordered.extend(decision.requests.iter().map(|request| request.value().id));
            }
            Observation::Sent(replica, message) if scene.standings[replica.index()] != Standing::Amnesiac => {
                return self
                    .word(*replica)
                    .on_sent(*replica, message)
                    .map_err(|what| format!("replica {replica} {what}"));
            }
            _ => {}
        }
        Ok(())
    }
}

impl Durability {
    fn word(&mut self, replica: ReplicaId) -> &mut Word {
        self.words.entry(replica).or_default()
    }
}

impl Word {
    fn on_durable(&mut self, record: &Record) {
        match record {
            Record::Voted(vote) => {
                self.votes_durable.insert(*vote);
            }
            Record::Proposed(propose) => {
                self.proposals_durable.insert((propose.instance, propose.epoch, propose.digest()));
            }
            Record::Body(request) => {
                self.bodies_durable.insert(request.digest());
            }
            Record::Stopped(regency) => self.stopped = self.stopped.max(*regency),
            Record::Entered(regency) => self.entered = self.entered.max(*regency),
            Record::Synced(sync) => self.entered = self.entered.max(sync.regency),
            Record::Checkpointed(vote) => {
                self.checkpoints_durable.insert(vote.instance, vote.digest);
            }
            _ => {}
        }
    }

    /// Its word still counts, but nothing of it is on its disk.
    fn on_lost(&mut self) {
        let Self { votes_sent, proposals_sent, checkpoints_sent, left_for, .. } = std::mem::take(self);
        *self = Self { votes_sent, proposals_sent, checkpoints_sent, left_for, ..Self::default() };
    }

    fn on_sent(&mut self, me: ReplicaId, message: &Message) -> Result<(), String> {
        match message {
            Message::Vote(signed) if signed.voter == me => self.on_vote(signed.vote),
            Message::Propose(propose) => {
                let (key, digest) = ((propose.instance, propose.epoch), propose.digest());
                if !self.proposals_durable.contains(&(propose.instance, propose.epoch, digest)) {
                    return Err(format!("sends a PROPOSE for instance {} that is not durable", propose.instance));
                }
                self.proposals_sent.entry(key).or_insert(digest);
                if self.proposals_sent[&key] != digest {
                    return Err(format!("proposes two batches for instance {} epoch {}", key.0, key.1));
                }
                Ok(())
            }
            // Who is in a regency wants it, whether it asked for it or was shown that it began.
            Message::Stop(regency) if *regency > self.stopped.max(self.entered) => {
                Err(format!("sends STOP for regency {regency}, which is not durable"))
            }
            Message::StopData(signed) if signed.sender == me => {
                self.left_for = self.left_for.max(signed.data.regency);
                if signed.data.regency > self.entered {
                    return Err(format!("sends STOPDATA for regency {} before it is durable", signed.data.regency));
                }
                Ok(())
            }
            Message::Checkpoint(signed) if signed.voter == me => {
                let vote = signed.vote;
                if self.checkpoints_durable.get(&vote.instance) != Some(&vote.digest) {
                    return Err(format!("sends a checkpoint vote for instance {} that is not durable", vote.instance));
                }
                if *self.checkpoints_sent.entry(vote.instance).or_insert(vote.digest) != vote.digest {
                    return Err(format!("signs two states after instance {}", vote.instance));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn on_vote(&mut self, vote: Vote) -> Result<(), String> {
        let Vote { kind, instance, epoch, digest } = vote;
        if !self.votes_durable.contains(&vote) {
            return Err(format!("sends a {kind:?} for instance {instance} epoch {epoch} that is not durable"));
        }
        let said = self.votes_sent.get(&(kind, instance, epoch)).copied();
        if said.is_some_and(|said| said != digest) {
            return Err(format!("casts two votes: {kind:?} for instance {instance} epoch {epoch}"));
        }
        if said.is_none() && epoch < Epoch::from(self.left_for) {
            return Err(format!(
                "casts a new {kind:?} for instance {instance} in epoch {epoch}, which it left for {}",
                self.left_for
            ));
        }
        self.votes_sent.insert((kind, instance, epoch), digest);
        Ok(())
    }
}
