//! Performs the actions of a replica, in order, once the records before them are durable.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use blockcutter::command::{self, Command};
use bytes::Bytes;
use mod_smart::limits::{BODIES_PER_MESSAGE_BYTES_MAX, DECISIONS_PER_MESSAGE_MAX};
use mod_smart::{
    Action, Client, Event, GroupId, InstanceId, Message, Misbehaviour, Recipients, ReplicaId, Request, RequestId,
    Sequence, SessionId, View,
};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::application::{Application, ApplicationCounts};
use crate::checkpoint::{Checkpoint, CheckpointStore};
use crate::fault::{Fault, Faults};
use crate::journal::JournalReader;
use crate::keys::VoteKey;
use crate::mesh::MeshHandle;
use crate::sessions::SessionTable;

/// What performing needs.
#[derive(Debug)]
pub struct Performer {
    /// Who we are.
    pub me: ReplicaId,
    /// Among whom.
    pub view: View,
    /// Signs votes and our own requests.
    pub vote_key: Arc<VoteKey>,
    /// Carries messages to the other replicas.
    pub mesh: MeshHandle,
    /// Carries what we say to ourselves.
    pub own: mpsc::Sender<Event>,
    /// Where answers to frontends go.
    pub sessions: Arc<SessionTable>,
    /// Decided batches that others ask for.
    pub decisions: JournalReader,
    /// Checkpoints; taken by whoever writes one at the moment.
    pub checkpoints: Arc<tokio::sync::Mutex<CheckpointStore>>,
    /// Misbehaviour seen, by replica.
    pub misbehaviour: Arc<MisbehaviourCounts>,
    /// Numbers of our own requests: our session, and the last number used.
    pub numbers: (SessionId, Sequence),
    /// Where faults go.
    pub faults: Faults,
}

/// Misbehaviour by replica and kind, for log lines, status displays and counters.
#[derive(Debug, Default)]
pub struct MisbehaviourCounts(Mutex<BTreeMap<(ReplicaId, String), u64>>);

impl MisbehaviourCounts {
    /// Counts one more, and names the replica in a log line: the first time, and then ever more rarely.
    pub fn note(&self, replica: ReplicaId, what: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MISBEHAVIOURS_MAX && !counts.contains_key(&(replica, what.to_owned())) {
            return;
        }
        let count = counts.entry((replica, what.to_owned())).or_default();
        *count += 1;
        if count.is_power_of_two() {
            tracing::warn!(%replica, count = *count, "no correct replica does this: {what}");
        }
    }

    /// All counts.
    #[must_use]
    pub fn read(&self) -> Vec<(ReplicaId, String, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|((replica, what), count)| (*replica, what.clone(), *count)).collect()
    }
}

/// Different kinds of misbehaviour that are counted; more are let go.
const MISBEHAVIOURS_MAX: usize = 4096;

/// Performs what the disk thread lets through, until it has ended. A fault of this node is reported and ends it.
pub async fn run(
    mut performer: Performer,
    mut application: Application,
    mut durable: mpsc::Receiver<Vec<Action>>,
    counts: watch::Sender<ApplicationCounts>,
) {
    let faults = performer.faults.clone();
    if let Err(fault) = perform_all(&mut performer, &mut application, &mut durable, &counts).await {
        faults.report(fault);
    }
}

async fn perform_all(
    performer: &mut Performer,
    application: &mut Application,
    durable: &mut mpsc::Receiver<Vec<Action>>,
    counts: &watch::Sender<ApplicationCounts>,
) -> Result<(), Fault> {
    let mut ask_again = Instant::now();
    loop {
        let timer = application.next_timer().map_or(ask_again, |timer| timer.min(ask_again));
        tokio::select! {
            actions = durable.recv() => {
                let Some(actions) = actions else { return Ok(()) };
                for action in actions {
                    performer.perform(action, application).await?;
                }
                if counts.borrow().decisions != application.counts().decisions {
                    counts.send_replace(application.counts());
                }
            }
            () = tokio::time::sleep_until(timer) => {
                for (channel, number) in application.take_expired(Instant::now()) {
                    performer.request(&[Command::CutAfterTimeout { channel, number }]);
                }
                if Instant::now() >= ask_again {
                    for (channel, genesis) in application.to_open() {
                        performer.request(&[Command::OpenChannel { channel, genesis }]);
                    }
                    ask_again = Instant::now() + OPENING_REPEAT;
                }
            }
        }
    }
}

impl Performer {
    async fn perform(&mut self, action: Action, application: &mut Application) -> Result<(), Fault> {
        match action {
            Action::Persist(_) => unreachable!("records go to the disk thread before this"),
            Action::Vote(vote) => {
                let message = Message::Vote(vote.sign(self.group(), self.me, &*self.vote_key));
                self.send(Recipients::Others, &message);
                self.tell_ourselves(Event::Message(message.loop_back(self.me)));
            }
            Action::Send(to, message) => self.send(to, &message),
            Action::Answer(id, digest, answer) => self.sessions.answer(id, digest, answer),
            Action::Deliver(decision) => application.deliver(decision).await?,
            Action::SendDecisions { to, from } => self.send_decisions(to, from),
            Action::TakeCheckpoint { instance, sessions } => self.take_checkpoint(instance, sessions, application),
            Action::Report(Misbehaviour { replica, kind }) => self.misbehaviour.note(replica, &kind.to_string()),
        }
        Ok(())
    }

    fn group(&self) -> GroupId {
        self.view.group()
    }

    /// The mesh keeps its own bounds; what it drops is sent again when the receiver says where it stands.
    fn send(&self, to: Recipients, message: &Message) {
        let bytes = message.encode();
        match to {
            Recipients::One(peer) => self.mesh.send(peer, &bytes),
            Recipients::Others => self.mesh.send_others(&bytes),
        }
    }

    /// The protocol bounds what a replica says to itself, so a full queue is a mistake of ours; its repair is the same as
    /// after a loss.
    fn tell_ourselves(&self, event: Event) {
        if self.own.try_send(event).is_err() {
            tracing::error!("the replica does not hear itself: its own queue is full or closed");
        }
    }

    /// Asks the group for something as a client of our own. A copy that is lost is offered again by the replica, in
    /// whose pending requests it is.
    fn request(&mut self, commands: &[Command]) {
        let (session, sequence) = &mut self.numbers;
        *sequence = sequence.next();
        let id = RequestId { client: Client::Replica(self.me), session: *session, sequence: *sequence };
        let request = Request { id, body: command::encode(commands) }.seal(self.group(), &*self.vote_key);
        self.send(Recipients::Others, &Message::Bodies(vec![request.clone()]));
        self.tell_ourselves(Event::Request(request));
    }

    /// Reads the decision log beside the task; the core limits how often a replica is served.
    fn send_decisions(&self, to: ReplicaId, from: InstanceId) {
        let (decisions, mesh) = (self.decisions.clone(), self.mesh.clone());
        tokio::task::spawn_blocking(move || {
            match decisions.read_decisions(from, BODIES_PER_MESSAGE_BYTES_MAX, DECISIONS_PER_MESSAGE_MAX) {
                Ok(batches) if batches.is_empty() => {}
                Ok(batches) => mesh.send(to, &Message::Decisions(batches).encode()),
                Err(error) => tracing::error!(%error, %from, "cannot read decisions for replica {to}"),
            }
        });
    }

    /// The snapshot is taken now, in its place in the order. It is written once every block it speaks of is in its ledger
    /// and synced, for recovery replays nothing before it. While one is being written the next is skipped: recovery
    /// starts from an older one then.
    fn take_checkpoint(&self, instance: InstanceId, sessions: Bytes, application: &Application) {
        let Ok(mut store) = Arc::clone(&self.checkpoints).try_lock_owned() else { return };
        let checkpoint = Checkpoint { instance, sessions, application: application.snapshot() };
        let (faults, ledgers) = (self.faults.clone(), application.ledgers());
        tokio::spawn(async move {
            for (ledger, height) in &ledgers {
                if ledger.watch().wait_for(|heights| heights.height >= *height).await.is_err() {
                    return;
                }
            }
            let save = move || -> Result<(), Fault> {
                ledgers.iter().try_for_each(|(ledger, _)| ledger.sync())?;
                Ok(store.save(&checkpoint)?)
            };
            match tokio::task::spawn_blocking(save).await {
                Ok(Ok(())) => {}
                Ok(Err(fault)) => faults.report(fault),
                Err(_) => faults.report(Fault::Ended("checkpoint")),
            }
        });
    }
}

/// How often a node that joined a channel asks again for its opening.
const OPENING_REPEAT: std::time::Duration = std::time::Duration::from_secs(3);
