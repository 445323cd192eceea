//! Performs the actions of a replica, in order, once the records before them are durable.

mod keeping;
mod opening_asks;
mod progress;
mod serving;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use blockcutter::command::Command;
use fabric_proto::ChannelId;
use mod_smart::{Action, Event, GroupId, InstanceId, Message, Misbehaviour, Recipients, Regency, ReplicaId, View};
use tokio::sync::{mpsc, oneshot, watch};

use crate::application::{Application, ApplicationCounts};
use crate::fault::{Fault, Faults};
use crate::joined::JoinedChannel;
use crate::keys::VoteKey;
use crate::mesh::MeshHandle;
use crate::own_requests::OwnRequests;
use crate::sessions::SessionTable;

use self::opening_asks::OpeningAsks;
pub use keeping::{Asked, Keeping};
pub use progress::Progress;
pub use serving::{DamageSeen, Serving};

/// What performing needs.
#[derive(Debug)]
pub struct Performer {
    /// Who we are.
    pub me: ReplicaId,
    /// Among whom.
    pub view: View,
    /// Signs statements and our own requests.
    pub vote_key: Arc<VoteKey>,
    /// Carries messages to the other replicas.
    pub mesh: MeshHandle,
    /// Carries what we say to ourselves.
    pub own: mpsc::Sender<Event>,
    /// Where answers to frontends go.
    pub sessions: Arc<SessionTable>,
    /// Reads what others ask for.
    pub serving: Serving,
    /// Keeps checkpoints.
    pub keeping: Keeping,
    /// Misbehaviour seen, by replica.
    pub misbehaviour: Arc<MisbehaviourCounts>,
    /// What we ask for as a client of our own.
    pub own_requests: OwnRequests,
    /// The newest checkpoint whose chunks were asked for.
    pub transferring: InstanceId,
    /// Makes the group go on while this replica waits for that.
    pub progress: Progress,
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

/// What the administrator wants of a group at work. It has its place in the order of deliveries.
#[derive(Debug)]
pub enum Control {
    /// Take in a channel.
    Join {
        /// Its name.
        id: ChannelId,
        /// The channel.
        channel: Arc<JoinedChannel>,
        /// Told when it is in, or why it cannot be.
        done: oneshot::Sender<Result<(), Fault>>,
    },
    /// Let go of a channel.
    Leave {
        /// Its name.
        id: ChannelId,
        /// Told when the group does not touch its ledger any more.
        done: oneshot::Sender<()>,
    },
    /// Give the lead to another replica.
    HandOver {
        /// To whom.
        to: ReplicaId,
        /// Told the regency whose lead is given away, if it is ours to give; else who leads, and which regency.
        done: oneshot::Sender<Result<Regency, (ReplicaId, Regency)>>,
    },
}

/// What comes in.
#[derive(Debug)]
pub struct Orders {
    /// What the disk thread lets through.
    pub durable: mpsc::Receiver<Vec<Action>>,
    /// What the administrator wants.
    pub control: mpsc::Receiver<Control>,
}

/// Performs what the disk thread lets through, until it has ended. A fault of this node is reported and ends it.
pub async fn run(
    mut performer: Performer,
    mut application: Application,
    mut orders: Orders,
    counts: watch::Sender<ApplicationCounts>,
) {
    let faults = performer.faults.clone();
    if let Err(fault) = perform_all(&mut performer, &mut application, &mut orders, &counts).await {
        faults.report(fault);
    }
}

async fn perform_all(
    performer: &mut Performer,
    application: &mut Application,
    orders: &mut Orders,
    counts: &watch::Sender<ApplicationCounts>,
) -> Result<(), Fault> {
    let mut openings = OpeningAsks::new();
    loop {
        let timer = performer.progress.due().min(openings.due());
        let timer = application.next_timer().map_or(timer, |cut| cut.min(timer));
        tokio::select! {
            Some(control) = orders.control.recv() => {
                let is_join = matches!(control, Control::Join { .. });
                obey(control, performer, application);
                if is_join {
                    openings.look_now();
                }
            }
            actions = orders.durable.recv() => {
                let Some(actions) = actions else { return Ok(()) };
                for action in actions {
                    performer.perform(action, application).await?;
                }
                if counts.borrow().decisions != application.counts().decisions {
                    counts.send_replace(application.counts());
                }
            }
            () = tokio::time::sleep_until(timer) => {
                for (channel, number) in application.take_expired() {
                    performer.request(&[Command::CutAfterTimeout { channel, number }]);
                }
                if performer.progress.is_wanted() {
                    performer.request(&[]);
                }
                for ask in openings.take_due(|| application.to_open()) {
                    performer.request(&[ask]);
                }
            }
        }
    }
}

fn obey(control: Control, performer: &mut Performer, application: &Application) {
    // Whoever asked may have gone; what was asked for is done all the same.
    match control {
        Control::Join { id, channel, done } => {
            let _ = done.send(application.join(&id, &channel));
        }
        Control::Leave { id, done } => {
            application.leave(&id);
            let _ = done.send(());
        }
        Control::HandOver { to, done } => {
            let _ = done.send(performer.hand_over(to));
        }
    }
}

impl Performer {
    async fn perform(&mut self, action: Action, application: &mut Application) -> Result<(), Fault> {
        match action {
            Action::Persist(_) => unreachable!("records go to the disk thread before this"),
            Action::Sign(to, statement) => self.send(to, statement.sign(self.group(), self.me, &*self.vote_key)),
            Action::Send(to, message) => self.send(to, message),
            Action::Answer(id, digest, answer) => {
                self.own_requests.on_answer(id, answer);
                self.sessions.answer(id, digest, answer);
            }
            Action::Deliver(decision) => {
                application.deliver(decision).await?;
                if let Some(hand_over) = application.take_hand_over() {
                    self.tell_ourselves(hand_over);
                }
            }
            Action::DeliverTentatively(tentative) => application.deliver_tentatively(&tentative).await?,
            Action::Retract => application.retract(),
            Action::SendDecisions { to, from } => self.serving.send_decisions(to, from),
            Action::SendChunk { to, instance, index } => self.serving.send_chunk(to, instance, index),
            // A snapshot costs time, so it is taken only if it will be used.
            Action::TakeCheckpoint { instance, sessions } if self.keeping.is_free() => {
                self.keeping.save(Asked::now(instance, sessions, application));
            }
            Action::TakeCheckpoint { instance, .. } => {
                tracing::debug!(%instance, "a checkpoint was left out: the one before it is still being saved");
            }
            Action::KeepStable(stable) => self.keeping.keep_stable(stable),
            Action::Truncate(mark) => self.keeping.truncate(mark),
            Action::InstallState { checkpoint, sessions, application: snapshot } => {
                let instance = checkpoint.instance();
                tracing::info!(%instance, bytes = snapshot.len(), "state transfer: the state has come in full");
                self.keeping.install(checkpoint, (sessions, snapshot), application)?;
            }
            Action::Report(Misbehaviour { replica, kind }) => self.misbehaviour.note(replica, &kind.to_string()),
        }
        Ok(())
    }

    fn group(&self) -> GroupId {
        self.view.group()
    }

    /// The mesh keeps its own bounds; what it drops is sent again when the receiver says where it stands. What we say to
    /// ourselves goes the same way as what others say: as an event.
    fn send(&mut self, to: Recipients, message: Message) {
        if let Message::FetchChunk(instance, _) = message
            && instance > self.transferring
        {
            self.transferring = instance;
            tracing::info!(%instance, "state transfer: the log of the others begins after what is missing here");
        }
        match to {
            Recipients::One(peer) if peer == self.me => {
                self.tell_ourselves(Event::Message(message.loop_back(self.me)));
            }
            Recipients::One(peer) => self.mesh.send(peer, &message.encode()),
            Recipients::Others => self.mesh.send_others(&message.encode()),
            Recipients::All => {
                self.mesh.send_others(&message.encode());
                self.tell_ourselves(Event::Message(message.loop_back(self.me)));
            }
        }
    }

    /// The protocol bounds what a replica says to itself, so a full queue is a mistake of ours; its repair is the same as
    /// after a loss.
    fn tell_ourselves(&self, event: Event) {
        if self.own.try_send(event).is_err() {
            tracing::error!("the replica does not hear itself: its own queue is full or closed");
        }
    }

    /// Asks the group that another replica lead, if we do.
    fn hand_over(&mut self, to: ReplicaId) -> Result<Regency, (ReplicaId, Regency)> {
        let (leader, regency) = self.progress.leader();
        if leader != self.me {
            return Err((leader, regency));
        }
        tracing::info!(%regency, %to, "the operator of this node gives the lead to another one");
        self.request(&[Command::HandOver { regency, to }]);
        Ok(regency)
    }

    /// Asks the group for something as a client of our own. A copy that is lost is offered again by the replica, in
    /// whose pending requests it is.
    fn request(&mut self, commands: &[Command]) {
        let group = self.group();
        let requests = self.own_requests.ask(group, &*self.vote_key, commands);
        self.send(Recipients::Others, Message::Bodies(requests.clone()));
        for request in requests {
            self.tell_ourselves(Event::Request(request));
        }
    }
}
