//! Everything the protocol can hear and do.

use crate::certificate::{Proof, Vote};
use crate::id::{Digest, Epoch, InstanceId, ReplicaId, RequestId};
use crate::message::Message;
use crate::record::Record;
use crate::request::Request;
use crate::seal::Sealed;

/// What the shell tells a replica.
#[derive(Clone, Debug)]
pub enum Event {
    /// A client's request, sealed by it.
    Request(Sealed<Request>),
    /// A message of a replica of the group, this one included.
    Message(Sealed<Message>),
    /// The link to this replica is up (again): it may have missed anything.
    Connected(ReplicaId),
    /// The deadline that [`crate::Replica::deadline`] named has passed.
    Wake,
}

/// What a replica wants done, in order.
///
/// **Actions run first to last. A [`Action::Persist`] is durable before any later `Vote`, `Send`, `Answer` or `Deliver`
/// takes effect.** The shell may collect further actions while the disk works, but nothing overtakes a barrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make this record durable.
    Persist(Record),
    /// Sign this vote and send it to every replica of the view, this one included.
    Vote(Vote),
    /// Send this message. Never fails: what is lost is sent again in answer to a [`crate::message::Status`].
    Send(Recipients, Message),
    /// Tell the client what became of its request.
    Answer(RequestId, Digest, Answer),
    /// Give the application this decision. Called once for each instance, in order.
    Deliver(Decision),
    /// Read decisions from `from` on out of the decision log, and send them to this replica with their proofs as one
    /// [`Message::Decisions`] of bounded size.
    SendDecisions {
        /// Who asked.
        to: ReplicaId,
        /// The first instance it lacks.
        from: InstanceId,
    },
    /// Keep the state after this instance: the application's, and the session windows given here. It becomes durable
    /// when the shell likes; recovery starts from the newest one.
    TakeCheckpoint {
        /// The instance after which the state is taken.
        instance: InstanceId,
        /// The replicated part of the core, for [`crate::Recovered`].
        sessions: bytes::Bytes,
    },
    /// Somebody did what no correct replica does.
    Report(Misbehaviour),
}

/// To whom a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// Every replica of the view but this one.
    Others,
    /// One replica.
    One(ReplicaId),
}

/// What became of a request at this replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Its body is durable here, or it has been ordered.
    Held,
    /// Too much is waiting; to be sent again later.
    Overloaded,
    /// Its number is at or beyond the end of its session's window; to be sent again later.
    Window,
    /// Its session has ended; it will never be ordered.
    Stale,
}

/// A decided batch, ready for the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Which instance decided it.
    pub instance: InstanceId,
    /// In which epoch.
    pub epoch: Epoch,
    /// Why everybody must believe it.
    pub proof: Proof,
    /// The requests to execute, in order. What was ordered before, or fell outside its session, is left out by a rule
    /// that every replica computes alike.
    pub requests: Vec<Sealed<Request>>,
    /// How many requests of the batch were left out.
    pub skipped: usize,
}

/// Misbehaviour that was seen, for logs and counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Misbehaviour {
    /// Who.
    pub replica: ReplicaId,
    /// What.
    pub kind: MisbehaviourKind,
}

/// The kinds of misbehaviour the core can tell from bad luck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MisbehaviourKind {
    /// Two proposals for one instance and epoch.
    Equivocation,
    /// A proposal from a replica that does not lead the epoch it names.
    NotLeader,
    /// A proposal that no correct leader makes: repeated requests, requests that were ordered before, too large.
    InvalidBatch,
    /// Two different votes of one kind for one instance and epoch.
    DoubleVote,
}

impl std::fmt::Display for MisbehaviourKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Equivocation => "equivocation",
            Self::NotLeader => "proposal by a replica that does not lead",
            Self::InvalidBatch => "invalid batch",
            Self::DoubleVote => "double vote",
        })
    }
}
