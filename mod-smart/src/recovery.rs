//! Starting again from a checkpoint and the journal, record by record.
//!
//! What was said before the crash is said again and nothing else: proposals and votes are re-sent as recorded, bodies
//! that were promised wait again, decisions after the checkpoint are delivered again to the application that was
//! restored to it. The regency is the one that was entered last, with its SYNC or without.

use bytes::Bytes;

use crate::certificate::{Vote, VoteKind, WriteCertificate};
use crate::checkpoint::{Manifest, StableCheckpoint};
use crate::codec::CodecError;
use crate::id::{Digest, InstanceId, Regency, ReplicaId, Time};
use crate::limits::Limits;
use crate::message::{Message, Propose};
use crate::pending::Entrance;
use crate::quorum::View;
use crate::record::{Decided, Record, Silence};
use crate::replica::Replica;
use crate::replica::probation::Probation;
use crate::replica::synchronization::Regencies;
use crate::seal::Sealed;
use crate::sessions::Sessions;
use crate::surface::{Action, Recipients, Statement};
use crate::synchronization::{Evidence, Sync};

/// The newest checkpoint that is durable here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The instance after which it was taken.
    pub instance: InstanceId,
    /// The windows, as [`Action::TakeCheckpoint`] or [`Action::InstallState`] gave them.
    pub sessions: Bytes,
    /// The manifest of the state.
    pub manifest: Manifest,
    /// The newest certificate that was kept, of this state or of another one.
    pub stable: Option<StableCheckpoint>,
    /// Older states that are kept too. The newest need not be stable: then one of these is what can be given to whoever is far
    /// behind.
    pub older: Vec<(InstanceId, Manifest)>,
}

/// A replica that reads its journal.
#[derive(Debug)]
pub struct Recovered {
    replica: Replica,
    log: Log,
    /// A checkpoint was due after this instance, and its mark was not read yet.
    unmarked: Option<InstanceId>,
    silence: Option<Silence>,
    /// Was there anything to start from?
    has_past: bool,
    proposed: Vec<Propose>,
    voted: Vec<Vote>,
    certified: Vec<WriteCertificate>,
    wanted: Regency,
    entered: Regency,
    sync: Option<Sync>,
}

/// Why a journal does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryError {
    /// The checkpoint's windows do not decode.
    #[error("the checkpoint after instance {0} is not readable: {1}")]
    Checkpoint(InstanceId, CodecError),
    /// A decision is missing between the checkpoint (or the decision before) and this one.
    #[error("the journal goes from instance {delivered} to {found}")]
    Gap {
        /// The last instance read.
        delivered: InstanceId,
        /// The next one found.
        found: InstanceId,
    },
    /// A decision names a body that stands nowhere before it.
    #[error("instance {instance} names request {digest}, whose body is not in the journal")]
    Body {
        /// The instance.
        instance: InstanceId,
        /// The missing body.
        digest: Digest,
    },
}

impl Recovered {
    /// Begins with a checkpoint, or with nothing.
    ///
    /// # Errors
    /// The checkpoint does not decode.
    pub fn new(me: ReplicaId, view: View, limits: Limits, checkpoint: Option<Restored>) -> Result<Self, RecoveryError> {
        let has_past = checkpoint.is_some();
        let mut replica = Replica::new(me, view, limits);
        if let Some(Restored { instance, sessions, manifest, stable, older }) = checkpoint {
            let width = replica.limits.session_window;
            replica.sessions =
                Sessions::decode(sessions, width).map_err(|error| RecoveryError::Checkpoint(instance, error))?;
            replica.delivered = instance;
            replica.pending.ordered.delivered(instance);
            for (instance, manifest) in older {
                replica.checkpoints.restore(instance, manifest);
            }
            replica.checkpoints.restore(instance, manifest);
            if let Some(stable) = stable {
                if stable.instance() == instance {
                    replica.delivered_by = Evidence::Checkpoint(stable.clone());
                }
                replica.checkpoints.learn(stable);
            }
        }
        Ok(Self {
            replica,
            log: Log::default(),
            unmarked: None,
            silence: None,
            has_past,
            proposed: Vec::new(),
            voted: Vec::new(),
            certified: Vec::new(),
            wanted: Regency(0),
            entered: Regency(0),
            sync: None,
        })
    }

    /// Reads one record, in journal order. The journal may begin in the middle, where it was cut, and may lack decisions
    /// that the checkpoint stands for. The only actions are deliveries, and checkpoints to take again.
    ///
    /// # Errors
    /// The journal does not continue the checkpoint, or contradicts itself.
    pub fn replay(&mut self, record: Record, actions: &mut Vec<Action>) -> Result<(), RecoveryError> {
        self.has_past = true;
        match record {
            Record::Body(request) => {
                let unbounded = Limits { pending_bytes_max: usize::MAX, ..self.replica.limits.clone() };
                let sessions = &self.replica.sessions;
                let admitted = self.replica.pending.admit(Time(0), &request, Entrance::Needed, sessions, &unbounded);
                debug_assert_ne!(admitted, Err(crate::surface::Answer::Overloaded));
                self.replica.pending.renew(request.digest());
            }
            Record::Proposed(propose) => self.proposed.push(propose),
            Record::Voted(vote) => self.voted.push(vote),
            Record::Certified(certificate) => self.certified.push(certificate),
            Record::Decided(decided) => self.replay_decided(decided, actions)?,
            Record::Stopped(regency) => self.wanted = self.wanted.max(regency),
            Record::Entered(regency) => self.entered = self.entered.max(regency),
            Record::Synced(sync) => {
                if self.sync.as_ref().is_none_or(|known| known.regency < sync.regency) {
                    self.sync = Some(sync);
                }
            }
            Record::Checkpointed(vote) => self.replica.checkpoints.say(vote),
            Record::Stable(stable) => drop(self.replica.checkpoints.learn(stable)),
            Record::Mark(instance) => {
                self.unmarked = None;
                self.log.marks += 1;
                if self.log.marks == 2 {
                    self.log.second_mark = instance;
                }
                self.replica.pending.marked();
                self.replica.checkpoints.mark(instance);
            }
            Record::Silent(silence) => self.silence = Some(silence),
            Record::Readmitted => self.silence = None,
        }
        Ok(())
    }

    /// Ends the reading: the replica, and what it says again.
    #[must_use]
    pub fn finish(mut self, actions: &mut Vec<Action>) -> Replica {
        let replica = &mut self.replica;
        replica.pending.remove_ended(&replica.sessions);
        replica.probation = Probation::recover(self.silence, self.has_past);
        replica.checkpoints.begin_log(self.log.start(replica.delivered));
        replica.regencies = Regencies::recover(self.wanted, self.entered, self.sync, replica.me);
        let (first, epoch) = (replica.delivered, replica.epoch());
        let leads = replica.leader() == replica.me;
        for propose in self.proposed.into_iter().filter(|propose| propose.instance > first) {
            if let Some(instance) = replica.instance_mut(propose.instance)
                && instance.propose(propose.clone()).is_ok()
                && leads
                && propose.epoch == epoch
            {
                actions.push(Action::Send(Recipients::Others, Message::Propose(propose)));
            }
        }
        for certificate in self.certified.into_iter().filter(|certificate| certificate.instance() > first) {
            if let Some(instance) = replica.instance_mut(certificate.instance()) {
                instance.restore_certificate(certificate);
            }
        }
        for vote in self.voted.into_iter().filter(|vote| vote.instance > first) {
            let Some(instance) = replica.instance_mut(vote.instance) else { continue };
            let cast = match vote.kind {
                VoteKind::Write => instance.write_once(vote.epoch, vote.digest),
                VoteKind::Accept => instance.accept_once(vote.epoch, vote.digest),
            };
            if cast && vote.epoch == epoch {
                actions.push(Action::Sign(Recipients::All, Statement::Vote(vote)));
            }
        }
        if !replica.regencies.is_synced() {
            replica.report_standing(actions);
        }
        replica.adopt_proofs();
        if let Some(instance) = self.unmarked {
            replica.mark(instance, actions);
        }
        replica.repeat_checkpoint_vote(actions);
        // The crash may have come between a proposal's record and that of the vote for it.
        self.replica.open_next(Time(0), actions);
        self.replica
    }

    /// Ends the reading for a replica whose journal was lost or is damaged: nothing of it was replayed, so it does not know
    /// what it has said, and is silent until that can do no harm. The number tells the answers to its question from those
    /// to an earlier one: no two losses have the same.
    #[must_use]
    pub fn finish_silent(mut self, nonce: u64, actions: &mut Vec<Action>) -> Replica {
        let silence = Silence { nonce, until: None };
        self.silence = Some(silence);
        actions.push(Action::Persist(Record::Silent(silence)));
        self.finish(actions)
    }

    fn replay_decided(&mut self, decided: Decided, actions: &mut Vec<Action>) -> Result<(), RecoveryError> {
        let (replica, found) = (&mut self.replica, decided.proof.instance());
        self.proposed.retain(|propose| propose.instance > found);
        self.voted.retain(|vote| vote.instance > found);
        self.certified.retain(|certificate| certificate.instance() > found);
        self.log.decided(found);
        if found <= replica.delivered {
            replica.pending.ordered.decided_before(found, &decided.requests);
            if found == replica.delivered {
                replica.delivered_by = Evidence::Decision(decided.proof);
            }
            return Ok(());
        }
        if found != replica.delivered.next() {
            return Err(RecoveryError::Gap { delivered: replica.delivered, found });
        }
        let mut bodies = Vec::with_capacity(decided.requests.len());
        for digest in &decided.requests {
            let body = replica.pending.body(*digest);
            bodies.push(body.cloned().ok_or(RecoveryError::Body { instance: found, digest: *digest })?);
        }
        let bodies: Vec<Sealed<_>> = bodies;
        let mut performed = Vec::new();
        replica.deliver(Time(0), decided, bodies, &mut performed);
        if replica.is_checkpoint_due() {
            self.unmarked = Some(found);
            replica.take_checkpoint(&mut performed);
        }
        actions.extend(performed.into_iter().filter(|action| !matches!(action, Action::Persist(_))));
        Ok(())
    }
}

/// What the journal can give of the decision log.
#[derive(Debug, Default)]
struct Log {
    /// The first and the last decision in it.
    range: Option<(InstanceId, InstanceId)>,
    /// The last instance that is missing between two decisions: a state was taken over there.
    gap: InstanceId,
    marks: usize,
    second_mark: InstanceId,
}

impl Log {
    fn decided(&mut self, instance: InstanceId) {
        let before = InstanceId(instance.0.saturating_sub(1));
        let (first, last) = self.range.unwrap_or((instance, before));
        if instance > last.next() {
            self.gap = before;
        }
        self.range = Some((first, last.max(instance)));
    }

    /// Decisions up to here may be missing, or their bodies may. A journal that was cut holds three marks at least, and the
    /// bodies of every decision after its second one.
    fn start(&self, delivered: InstanceId) -> InstanceId {
        let Some((first, last)) = self.range else { return delivered };
        if last < delivered {
            return delivered;
        }
        let first_whole =
            if first.0 > 1 && self.marks >= 2 { self.second_mark } else { InstanceId(first.0.saturating_sub(1)) };
        first_whole.max(self.gap)
    }
}
