//! Checkpoints: taking them, agreeing on them, and forgetting what lies before them.
//!
//! Each interval leaves a *mark* in the journal. Whatever recovery from a checkpoint needs and may stand further back is
//! written again behind its mark: the regency, votes of open instances, and every body that waits since before the mark
//! before. So recovery from a checkpoint needs nothing before the mark preceding it, and the bodies of every decision
//! after a mark stand after the mark before. When a checkpoint is stable and ours is the same, the journal is cut two marks
//! before it: one interval of decisions stays, for replicas that are a little behind.

use std::collections::{BTreeMap, BTreeSet};

use super::{Replica, report, send};
use crate::checkpoint::{CheckpointVote, Manifest, SignedCheckpoint, StableCheckpoint};
use crate::id::{Digest, Epoch, InstanceId, Regency, ReplicaId};
use crate::limits::{CHECKPOINT_VOTES_MAX, CHECKPOINTS_KEPT_MAX};
use crate::message::{Message, Status};
use crate::quorum::{View, Voters};
use crate::record::Record;
use crate::surface::{Action, MisbehaviourKind, Recipients, Statement};

/// What this replica knows of checkpoints.
#[derive(Debug, Default)]
pub(crate) struct Checkpoints {
    /// The newest stable one.
    stable: Option<StableCheckpoint>,
    /// Digests of the newest stable ones, for what comes late.
    agreed: BTreeMap<InstanceId, Digest>,
    /// Manifests of our own newest ones.
    taken: BTreeMap<InstanceId, Manifest>,
    /// What this replica voted for last.
    said: BTreeMap<InstanceId, Digest>,
    /// The newest votes of every replica.
    votes: BTreeMap<ReplicaId, BTreeMap<InstanceId, SignedCheckpoint>>,
    /// The marks in the journal, from the one it was cut at on.
    marks: BTreeSet<InstanceId>,
    /// The mark that the journal was cut at, since this replica started.
    cut_at: InstanceId,
    /// Decisions up to here are no longer in our log.
    log_start: InstanceId,
}

/// What a checkpoint vote is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    New,
    /// It was heard before, or its voter said something newer so often that it does not matter any more.
    Old,
    /// The voter contradicts itself.
    Double,
}

impl Checkpoints {
    /// The newest instance whose state is known to be a quorum's; zero if there is none.
    pub(crate) fn stable_instance(&self) -> InstanceId {
        self.stable.as_ref().map_or(InstanceId(0), StableCheckpoint::instance)
    }

    /// Decisions up to here are no longer in our log.
    pub(crate) const fn log_start(&self) -> InstanceId {
        self.log_start
    }

    /// The newest stable checkpoint, if its state is one of ours, for whoever needs it.
    pub(crate) fn to_give(&self) -> Option<(&StableCheckpoint, &Manifest)> {
        let stable = self.stable.as_ref()?;
        let manifest = self.taken.get(&stable.instance()).filter(|manifest| manifest.digest() == stable.digest())?;
        Some((stable, manifest))
    }

    /// Do we keep this chunk?
    pub(crate) fn has_chunk(&self, instance: InstanceId, index: u32) -> bool {
        self.taken.get(&instance).is_some_and(|manifest| (index as usize) < manifest.chunks())
    }

    /// Takes a checkpoint of ours from the disk.
    pub(crate) fn restore(&mut self, instance: InstanceId, manifest: Manifest) {
        keep_newest(&mut self.taken, instance, manifest, CHECKPOINTS_KEPT_MAX);
    }

    /// Takes a certificate from the disk, or from a transfer. Says whether it was news.
    pub(crate) fn learn(&mut self, stable: StableCheckpoint) -> bool {
        keep_newest(&mut self.agreed, stable.instance(), stable.digest(), CHECKPOINT_VOTES_MAX);
        let is_newer = stable.instance() > self.stable_instance();
        if is_newer {
            self.stable = Some(stable);
        }
        is_newer
    }

    /// Takes a vote of ours from the journal, or notes one.
    pub(crate) fn say(&mut self, vote: CheckpointVote) {
        keep_newest(&mut self.said, vote.instance, vote.digest, CHECKPOINT_VOTES_MAX);
    }

    /// Notes that a mark stands in the journal.
    pub(crate) fn mark(&mut self, instance: InstanceId) {
        self.marks.insert(instance);
        if self.marks.len() > MARKS_MAX {
            self.marks.pop_first();
        }
    }

    /// Notes that the log begins after this instance.
    pub(crate) const fn begin_log(&mut self, after: InstanceId) {
        self.log_start = after;
    }

    fn hear(&mut self, signed: SignedCheckpoint) -> Heard {
        let votes = self.votes.entry(signed.voter).or_default();
        match votes.get(&signed.vote.instance) {
            Some(earlier) if earlier.vote == signed.vote => return Heard::Old,
            Some(_) => return Heard::Double,
            None => {}
        }
        let is_full = votes.len() >= CHECKPOINT_VOTES_MAX;
        if is_full && votes.first_key_value().is_some_and(|(oldest, _)| *oldest > signed.vote.instance) {
            return Heard::Old;
        }
        keep_newest(votes, signed.vote.instance, signed, CHECKPOINT_VOTES_MAX);
        Heard::New
    }

    fn votes_for(&self, instance: InstanceId) -> impl Iterator<Item = &SignedCheckpoint> {
        self.votes.values().filter_map(move |votes| votes.get(&instance))
    }

    /// The certificate that this vote completes, if it does.
    fn certificate(&self, vote: CheckpointVote, view: &View) -> Option<StableCheckpoint> {
        let equal: Vec<SignedCheckpoint> =
            self.votes_for(vote.instance).filter(|signed| signed.vote == vote).copied().collect();
        let voters: Voters = equal.iter().map(|signed| signed.voter).collect();
        view.is_quorum(voters).then(|| StableCheckpoint::collect(vote, &equal))
    }

    /// Cuts the journal for a checkpoint that is stable and ours. Gives the mark to cut at, if that is a new one.
    fn cut(&mut self, instance: InstanceId) -> Option<InstanceId> {
        let mut before = self.marks.range(..instance).rev();
        let (log_start, mark) = (*before.next()?, *before.next()?);
        if mark <= self.cut_at {
            return None;
        }
        self.log_start = self.log_start.max(log_start);
        self.marks = self.marks.split_off(&mark);
        self.cut_at = mark;
        Some(mark)
    }
}

impl Replica {
    /// Takes a checkpoint when the interval is full. Called after each delivery.
    pub(super) fn checkpoint_if_due(&mut self, actions: &mut Vec<Action>) {
        if self.is_checkpoint_due() {
            self.mark(self.delivered, actions);
            self.take_checkpoint(actions);
        }
    }

    pub(crate) const fn is_checkpoint_due(&self) -> bool {
        self.delivered.0.is_multiple_of(self.limits.checkpoint_interval)
    }

    pub(crate) fn take_checkpoint(&mut self, actions: &mut Vec<Action>) {
        self.pending.remove_ended(&self.sessions);
        actions.push(Action::TakeCheckpoint { instance: self.delivered, sessions: self.sessions.encode() });
    }

    /// Leaves a mark in the journal, and behind it whatever recovery needs and may stand too far back.
    pub(crate) fn mark(&mut self, instance: InstanceId, actions: &mut Vec<Action>) {
        self.checkpoints.mark(instance);
        let mut records = vec![Record::Mark(instance)];
        records.extend(self.probation.record());
        let wanted = self.regencies.wants(self.me);
        records.extend((wanted > Regency(0)).then_some(Record::Stopped(wanted)));
        records.extend((!self.regencies.is_synced()).then_some(Record::Entered(self.regencies.current)));
        records.extend(self.regencies.sync.clone().map(Record::Synced));
        records.extend(self.checkpoints.stable.clone().map(Record::Stable));
        let leads = |epoch: Epoch| self.view.leader(Regency(epoch.0)) == self.me;
        for (id, instance) in &self.instances {
            records.extend(instance.records(*id, leads));
        }
        records.extend(self.pending.mark().into_iter().map(Record::Body));
        actions.extend(records.into_iter().map(Action::Persist));
    }

    /// The shell has kept our state: the others learn its digest, once.
    pub(super) fn on_checkpoint_taken(&mut self, instance: InstanceId, manifest: Manifest, actions: &mut Vec<Action>) {
        let digest = manifest.digest();
        self.checkpoints.restore(instance, manifest);
        match self.checkpoints.said.get(&instance) {
            Some(earlier) if *earlier != digest => report(self.me, MisbehaviourKind::Diverged, actions),
            None if !self.is_silent() => {
                let vote = CheckpointVote { instance, digest };
                self.checkpoints.say(vote);
                actions.push(Action::Persist(Record::Checkpointed(vote)));
                actions.push(Action::Sign(Recipients::All, Statement::Checkpoint(vote)));
            }
            _ => {}
        }
        self.compare_state(instance, actions);
    }

    /// Says the newest vote again after a restart: it may not have left.
    pub(crate) fn repeat_checkpoint_vote(&self, actions: &mut Vec<Action>) {
        if let Some((&instance, &digest)) = self.checkpoints.said.last_key_value()
            && !self.is_silent()
        {
            let vote = CheckpointVote { instance, digest };
            actions.push(Action::Sign(Recipients::All, Statement::Checkpoint(vote)));
        }
    }

    /// A peer lacks a checkpoint that we voted for: perhaps it lacks our vote.
    pub(super) fn repair_checkpoint(&self, sender: ReplicaId, status: Status, actions: &mut Vec<Action>) {
        let own = self.checkpoints.votes.get(&self.me).into_iter().flat_map(BTreeMap::values);
        for signed in own.filter(|own| own.vote.instance > status.stable && own.vote.instance <= status.delivered) {
            send(sender, Message::Checkpoint(*signed), actions);
        }
    }

    /// A vote of a replica, this one included. Its signature was checked before it came here.
    pub(super) fn on_checkpoint(&mut self, signed: SignedCheckpoint, actions: &mut Vec<Action>) {
        let CheckpointVote { instance, digest } = signed.vote;
        if instance.0 == 0 || !instance.0.is_multiple_of(self.limits.checkpoint_interval) {
            return;
        }
        match self.checkpoints.hear(signed) {
            Heard::Old => return,
            Heard::Double => return report(signed.voter, MisbehaviourKind::DoubleVote, actions),
            Heard::New => {}
        }
        if let Some(agreed) = self.checkpoints.agreed.get(&instance) {
            if *agreed != digest && signed.voter != self.me {
                report(signed.voter, MisbehaviourKind::Diverged, actions);
            }
        } else if instance > self.checkpoints.stable_instance()
            && let Some(stable) = self.checkpoints.certificate(signed.vote, &self.view)
        {
            self.become_stable(stable, actions);
        }
    }

    /// A quorum has the same state: whoever comes later can start from it, and whoever has another one is named.
    fn become_stable(&mut self, stable: StableCheckpoint, actions: &mut Vec<Action>) {
        let (instance, digest) = (stable.instance(), stable.digest());
        actions.push(Action::Persist(Record::Stable(stable.clone())));
        actions.push(Action::KeepStable(stable.clone()));
        self.checkpoints.learn(stable);
        for signed in self.checkpoints.votes_for(instance).filter(|signed| signed.vote.digest != digest) {
            if signed.voter != self.me {
                report(signed.voter, MisbehaviourKind::Diverged, actions);
            }
        }
        self.compare_state(instance, actions);
    }

    /// Both are known, the quorum's state and ours: they are one, and the journal is cut; or ours is wrong.
    fn compare_state(&mut self, instance: InstanceId, actions: &mut Vec<Action>) {
        let agreed = self.checkpoints.agreed.get(&instance);
        let (Some(agreed), Some(manifest)) = (agreed, self.checkpoints.taken.get(&instance)) else { return };
        if manifest.digest() != *agreed {
            return report(self.me, MisbehaviourKind::Diverged, actions);
        }
        if let Some(mark) = self.checkpoints.cut(instance) {
            actions.push(Action::Truncate(mark));
        }
    }
}

fn keep_newest<K: Ord + Copy, T>(kept: &mut BTreeMap<K, T>, at: K, value: T, count_max: usize) {
    kept.insert(at, value);
    while kept.len() > count_max {
        kept.pop_first();
    }
}

/// Marks that are remembered. When no checkpoint becomes stable for so many intervals, the journal is cut later.
const MARKS_MAX: usize = 64;
