//! Starting again from a checkpoint and the journal, record by record.
//!
//! What was said before the crash is said again and nothing else: proposals and votes are re-sent as recorded, bodies
//! that were promised wait again, decisions after the checkpoint are delivered again to the application that was
//! restored to it.

use bytes::Bytes;

use crate::certificate::{Vote, VoteKind};
use crate::codec::CodecError;
use crate::id::{Digest, InstanceId, ReplicaId, Time};
use crate::limits::Limits;
use crate::message::{Message, Propose};
use crate::pending::Entrance;
use crate::quorum::View;
use crate::record::{Decided, Record};
use crate::replica::Replica;
use crate::seal::Sealed;
use crate::sessions::Sessions;
use crate::surface::{Action, Recipients};

/// A replica that reads its journal.
#[derive(Debug)]
pub struct Recovered {
    replica: Replica,
    proposed: Vec<Propose>,
    voted: Vec<Vote>,
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
    /// Begins with a checkpoint (the instance after which it was taken, and the windows), or with nothing.
    ///
    /// # Errors
    /// The checkpoint does not decode.
    pub fn new(
        me: ReplicaId,
        view: View,
        limits: Limits,
        checkpoint: Option<(InstanceId, Bytes)>,
    ) -> Result<Self, RecoveryError> {
        let mut replica = Replica::new(me, view, limits);
        if let Some((instance, sessions)) = checkpoint {
            let width = replica.limits.session_window;
            replica.sessions =
                Sessions::decode(sessions, width).map_err(|error| RecoveryError::Checkpoint(instance, error))?;
            replica.delivered = instance;
        }
        Ok(Self { replica, proposed: Vec::new(), voted: Vec::new() })
    }

    /// Reads one record, in journal order. The only actions are deliveries and checkpoints, which are durable already.
    ///
    /// # Errors
    /// The journal does not continue the checkpoint, or contradicts itself.
    pub fn replay(&mut self, record: Record, actions: &mut Vec<Action>) -> Result<(), RecoveryError> {
        match record {
            Record::Body(request) => {
                let unbounded = Limits { pending_bytes_max: usize::MAX, ..self.replica.limits.clone() };
                let sessions = &self.replica.sessions;
                let admitted = self.replica.pending.admit(Time(0), &request, Entrance::Needed, sessions, &unbounded);
                debug_assert_ne!(admitted, Err(crate::surface::Answer::Overloaded));
            }
            Record::Proposed(propose) => self.proposed.push(propose),
            Record::Voted(vote) => self.voted.push(vote),
            Record::Certified(_) => {}
            Record::Decided(decided) => self.replay_decided(decided, actions)?,
        }
        Ok(())
    }

    /// Ends the reading: the replica, and what it says again.
    #[must_use]
    pub fn finish(mut self, actions: &mut Vec<Action>) -> Replica {
        let replica = &mut self.replica;
        replica.pending.remove_ended(&replica.sessions);
        let first = replica.delivered;
        for propose in self.proposed.into_iter().filter(|propose| propose.instance > first) {
            if let Some(instance) = replica.instance_mut(propose.instance)
                && instance.propose(propose.clone()).is_ok()
            {
                actions.push(Action::Send(Recipients::Others, Message::Propose(propose)));
            }
        }
        for vote in self.voted.into_iter().filter(|vote| vote.instance > first) {
            let Some(instance) = replica.instance_mut(vote.instance) else { continue };
            let cast = match vote.kind {
                VoteKind::Write => instance.write_once(vote.epoch),
                VoteKind::Accept => instance.accept_once(vote.epoch),
            };
            if cast {
                actions.push(Action::Vote(vote));
            }
        }
        // The crash may have come between a proposal's record and that of the vote for it.
        self.replica.open_next(Time(0), actions);
        self.replica
    }

    fn replay_decided(&mut self, decided: Decided, actions: &mut Vec<Action>) -> Result<(), RecoveryError> {
        let (replica, found) = (&mut self.replica, decided.proof.instance());
        self.proposed.retain(|propose| propose.instance > found);
        self.voted.retain(|vote| vote.instance > found);
        if found <= replica.delivered {
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
        replica.deliver(decided, bodies, actions);
        Ok(())
    }
}
