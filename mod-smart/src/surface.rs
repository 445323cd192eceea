//! Everything the protocol can hear and do.

use crate::certificate::{Proof, Vote};
use crate::checkpoint::{CheckpointVote, Manifest, StableCheckpoint};
use crate::id::{Digest, Epoch, GroupId, InstanceId, Regency, ReplicaId, RequestId};
use crate::message::Message;
use crate::record::Record;
use crate::request::Request;
use crate::seal::{Sealed, Signer};
use crate::synchronization::StopData;

/// What the shell tells a replica.
#[derive(Clone, Debug)]
pub enum Event {
    /// A client's request, sealed by it.
    Request(Sealed<Request>),
    /// A message of a replica of the group, this one included.
    Message(Sealed<Message>),
    /// The link to this replica is up (again): it may have missed anything.
    Connected(ReplicaId),
    /// The checkpoint that [`Action::TakeCheckpoint`] asked for is durable, and this is its manifest.
    CheckpointTaken {
        /// The instance after which the state was taken.
        instance: InstanceId,
        /// Manifest of [`crate::checkpoint::join_state`] of the windows and the application's snapshot.
        manifest: Manifest,
    },
    /// The state that [`Action::InstallState`] gave is durable, and the application continues from it.
    StateInstalled(InstanceId),
    /// The decided sequence holds a hand-over by the leader of this regency. Told when it is delivered; told again, or too late,
    /// it does nothing.
    HandOver {
        /// The regency whose leader asked.
        regency: Regency,
        /// Who is to lead instead.
        to: ReplicaId,
    },
    /// The deadline that [`crate::Replica::deadline`] named has passed.
    Wake,
}

/// What a replica wants done, in order.
///
/// **Actions run first to last. A [`Action::Persist`] is durable before any later `Sign`, `Send`, `Answer` or `Deliver`
/// takes effect.** The shell may collect further actions while the disk works, but nothing overtakes a barrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make this record durable.
    Persist(Record),
    /// Sign this statement with the vote key and send it. What is addressed to this replica, too, comes back as an event.
    Sign(Recipients, Statement),
    /// Send this message. Never fails: what is lost is sent again in answer to a [`crate::message::Status`].
    Send(Recipients, Message),
    /// Tell the client what became of its request.
    Answer(RequestId, Digest, Answer),
    /// Give the application this decision. Called once for each instance, in order.
    Deliver(Decision),
    /// Give the application this batch, in its place after what was given so far, but apart from what is decided: its
    /// decision follows, or [`Action::Retract`]. Comes only with [`crate::Limits::tentative`].
    DeliverTentatively(Tentative),
    /// Take back everything that was given tentatively and has not been delivered since.
    Retract,
    /// Read decisions from `from` on out of the decision log, and send them to this replica with their proofs as one
    /// [`Message::Decisions`] of bounded size.
    SendDecisions {
        /// Who asked.
        to: ReplicaId,
        /// The first instance it lacks.
        from: InstanceId,
    },
    /// Keep the state after this instance: the application's, and the session windows given here. The shell makes it
    /// durable when it likes and says so with [`Event::CheckpointTaken`]; recovery starts from the newest one. The
    /// [`Record::Mark`] of this instance stands before it in the journal.
    TakeCheckpoint {
        /// The instance after which the state is taken.
        instance: InstanceId,
        /// The replicated part of the core, for [`crate::Recovered`].
        sessions: bytes::Bytes,
    },
    /// This checkpoint is stable: keep the certificate beside the state, for whoever asks for it.
    KeepStable(StableCheckpoint),
    /// Nothing in the journal before the [`Record::Mark`] of this instance is needed any more. Recovery starts from a
    /// later checkpoint that is durable.
    Truncate(InstanceId),
    /// Read this chunk of the checkpoint after `instance`, if it is still kept, and send it as [`Message::Chunk`].
    SendChunk {
        /// Who asked.
        to: ReplicaId,
        /// Which checkpoint.
        instance: InstanceId,
        /// Which chunk of it.
        index: u32,
    },
    /// The group went on without this replica: make this state durable as the newest checkpoint, let the application
    /// continue from it, and say [`Event::StateInstalled`]. Nothing is delivered before that.
    InstallState {
        /// Why it must be believed.
        checkpoint: StableCheckpoint,
        /// The windows, for [`crate::Recovered`].
        sessions: bytes::Bytes,
        /// The application's snapshot.
        application: bytes::Bytes,
    },
    /// Somebody did what no correct replica does.
    Report(Misbehaviour),
}

/// To whom a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// Every replica of the view.
    All,
    /// Every replica of the view but this one.
    Others,
    /// One replica.
    One(ReplicaId),
}

/// What a replica signs, because somebody who did not hear it must be convinced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// WRITE or ACCEPT: a quorum of them is a certificate.
    Vote(Vote),
    /// STOPDATA: enough of them are a SYNC.
    StopData(StopData),
    /// A quorum of them is a stable checkpoint.
    Checkpoint(CheckpointVote),
}

impl Statement {
    /// Signs the statement and makes a message of it.
    #[must_use]
    pub fn sign(self, group: GroupId, me: ReplicaId, signer: &dyn Signer) -> Message {
        match self {
            Self::Vote(vote) => Message::Vote(vote.sign(group, me, signer)),
            Self::StopData(data) => Message::StopData(data.sign(group, me, signer)),
            Self::Checkpoint(vote) => Message::Checkpoint(vote.sign(group, me, signer)),
        }
    }
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

/// A batch that a quorum has written: it will be decided, unless the regency ends too early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tentative {
    /// Which instance it is about to be the decision of.
    pub instance: InstanceId,
    /// The regency in which the quorum wrote.
    pub regency: Regency,
    /// The requests to execute, in order, as in [`Decision::requests`].
    pub requests: Vec<Sealed<Request>>,
    /// How many requests of the batch were left out.
    pub skipped: usize,
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
    /// A proposal that contradicts what the synchronization phase bound the instance to.
    UnboundProposal,
    /// A chunk, a batch or a state that is not what its digest says.
    LyingHelper,
    /// Its state after an instance is not that of the quorum. Reported of this replica itself, too.
    Diverged,
}

impl std::fmt::Display for MisbehaviourKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Equivocation => "equivocation",
            Self::NotLeader => "proposal by a replica that does not lead",
            Self::InvalidBatch => "invalid batch",
            Self::DoubleVote => "double vote",
            Self::UnboundProposal => "proposal of another batch than the one bound",
            Self::LyingHelper => "helper whose data is not what its digest says",
            Self::Diverged => "state that is not the quorum's",
        })
    }
}
