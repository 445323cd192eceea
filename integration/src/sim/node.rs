//! One simulated node: what survives its process, and the process.

use std::collections::VecDeque;
use std::time::Duration;

use mod_smart::synchronization::Claim;
use mod_smart::{Action, Event, Message, Record, Replica, ReplicaId, Request, Sealed, Time};
use orderer_node::checkpoint::CheckpointStore;
use orderer_node::journal::{Journal, JournalReader};
use orderer_node::own_requests::OwnRequests;

use super::actor::Actor;
use super::application::Application;
use super::disk::SimDisk;
use super::queue::{Frame, Life, Place, SharedBlock};

/// A node, running or not.
pub(super) struct Node {
    pub me: ReplicaId,
    pub life: Life,
    pub process: Option<Process>,
    pub is_paused: bool,
    /// What arrived during a pause.
    pub inbox: VecDeque<(Place, Frame)>,
    pub journal_disk: SimDisk,
    pub states_disk: SimDisk,
    /// The ledger: all its blocks from number 1 on, and how many of them are synced.
    pub blocks: Vec<SharedBlock>,
    pub blocks_synced: usize,
    pub actor: Option<Box<dyn Actor>>,
    /// The clients' requests that a liar has seen lately.
    pub requests_seen: Vec<Sealed<Request>>,
    /// Since when a liar has sent how many frames.
    pub sent_lately: (Time, u32),
    /// How much longer a sync takes than usual.
    pub disk_delay: Duration,
    /// A checkpoint was damaged, and nothing else.
    pub is_state_damaged: bool,
    /// The process dies when it has performed so many more actions.
    pub dies_in: Option<u32>,
}

/// The process of a node.
pub(super) struct Process {
    pub replica: Replica,
    /// When it started: a replica's clock begins there.
    pub since: Time,
    pub journal: Journal,
    pub reader: JournalReader,
    pub store: CheckpointStore,
    pub application: Application,
    /// What waits for the disk, and what the disk works on.
    pub waiting: VecDeque<Batch>,
    pub syncing: Option<Vec<Batch>>,
    /// What the replica says to itself.
    pub own: VecDeque<Event>,
    /// When the next wake is planned.
    pub wake_at: Option<Time>,
    pub timer_at: Option<Time>,
    /// What the node asks for as a client of its own.
    pub own_requests: OwnRequests,
    pub is_saving: bool,
}

/// Records, and what must not happen before they are durable.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub records: Vec<Record>,
    pub then: Vec<Action>,
}

impl Node {
    pub fn new(me: ReplicaId, actor: Option<Box<dyn Actor>>) -> Self {
        Self {
            me,
            life: 0,
            process: None,
            is_paused: false,
            inbox: VecDeque::new(),
            journal_disk: SimDisk::default(),
            states_disk: SimDisk::default(),
            blocks: Vec::new(),
            blocks_synced: 0,
            actor,
            requests_seen: Vec::new(),
            sent_lately: (Time(0), 0),
            disk_delay: Duration::ZERO,
            is_state_damaged: false,
            dies_in: None,
        }
    }

    /// Is it running and not paused?
    pub const fn is_up(&self) -> bool {
        self.process.is_some() && !self.is_paused
    }

    pub fn remember(&mut self, request: &Sealed<Request>) {
        if self.actor.is_some() {
            if self.requests_seen.len() >= 2 * super::actor::REQUESTS_SEEN_MAX {
                self.requests_seen.drain(..super::actor::REQUESTS_SEEN_MAX);
            }
            self.requests_seen.push(request.clone());
        }
    }

    /// The requests that a liar is shown.
    pub fn seen(&self) -> &[Sealed<Request>] {
        &self.requests_seen[self.requests_seen.len().saturating_sub(super::actor::REQUESTS_SEEN_MAX)..]
    }
}

impl Process {
    /// What a replica's own clock says at this time.
    pub const fn clock(&self, now: Time) -> Time {
        Time(now.0 - self.since.0)
    }

    /// When the replica wants to be woken.
    pub fn deadline(&self) -> Time {
        Time(self.replica.deadline().0.saturating_add(self.since.0))
    }

    /// Takes what a replica asks for to the queue of the disk, like the node's own task: what comes before the first barrier
    /// waits for no record of this run; then come all its records, and after them the rest.
    pub fn enqueue(&mut self, actions: Vec<Action>) {
        let is_record = |action: &Action| matches!(action, Action::Persist(_));
        let barrier = actions.iter().position(is_record).unwrap_or(actions.len());
        let (mut free, mut held) = (Batch::default(), Batch::default());
        for (at, action) in actions.into_iter().enumerate() {
            match action {
                Action::Persist(record) => held.records.push(record),
                action if at < barrier => free.then.push(action),
                action => held.then.push(action),
            }
        }
        self.waiting
            .extend([free, held].into_iter().filter(|batch| !batch.records.is_empty() || !batch.then.is_empty()));
    }
}

/// A message in a few words, for the trace.
pub(super) fn describe(message: &Message) -> String {
    match message {
        Message::Propose(propose) => {
            format!(
                "PROPOSE i{} e{} {} [{}]",
                propose.instance,
                propose.epoch,
                propose.digest(),
                propose.requests.len()
            )
        }
        Message::Vote(signed) => {
            let vote = signed.vote;
            format!("{} i{} e{} {}", format!("{:?}", vote.kind).to_uppercase(), vote.instance, vote.epoch, vote.digest)
        }
        Message::Status(status) => format!(
            "STATUS r{} wants {} delivered {}{}{}",
            status.regency,
            status.wants,
            status.delivered,
            if status.is_synced { "" } else { " unsynced" },
            if status.is_silent { " silent" } else { "" }
        ),
        Message::FetchBodies(digests) => format!("fetch bodies [{}]", digests.len()),
        Message::Bodies(bodies) => format!("bodies [{}]", bodies.len()),
        Message::Offer(requests) => format!("OFFER [{}]", requests.len()),
        Message::FetchDecisions(from) => format!("fetch decisions from {from}"),
        Message::Decisions(decisions) => {
            let span = decisions.first().zip(decisions.last());
            let span = span.map(|(a, b)| format!("{}..{}", a.proof.instance(), b.proof.instance()));
            format!("decisions {}", span.unwrap_or_default())
        }
        Message::Stop(regency) => format!("STOP r{regency}"),
        Message::StopData(signed) => {
            let data = &signed.data;
            let claims = data.claims.iter().map(|claim| match claim {
                Claim::Written(written) => format!(" written i{} e{}", written.instance(), written.epoch()),
                Claim::Decided(proof) => format!(" decided i{} e{}", proof.instance(), proof.epoch()),
            });
            format!("STOPDATA r{} delivered {}{}", data.regency, data.delivered.instance(), claims.collect::<String>())
        }
        Message::Sync(sync) => format!("SYNC r{} [{}]", sync.regency, sync.collects.len()),
        Message::FetchBatch(instance, digest) => format!("fetch batch i{instance} {digest}"),
        Message::Batch(instance, requests) => format!("batch i{instance} [{}]", requests.len()),
        Message::Checkpoint(signed) => format!("CHECKPOINT {} {}", signed.vote.instance, signed.vote.digest),
        Message::Stable(checkpoint, _) => format!("stable {}", checkpoint.instance()),
        Message::FetchChunk(instance, index) => format!("fetch chunk {instance}/{index}"),
        Message::Chunk(instance, index, bytes) => format!("chunk {instance}/{index} [{}]", bytes.len()),
        Message::Probe(nonce) => format!("PROBE {nonce:x}"),
        Message::ProbeReply(reply) => format!("probe reply delivered {}", reply.delivered.instance()),
    }
}
