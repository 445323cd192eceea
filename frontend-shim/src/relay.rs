//! Carries envelopes to the nodes: the frontend as a client of Mod-SMaRt.
//!
//! Envelopes that wait together are bundled into one request, configurations in commands of their own; what does not fill one
//! waits for more only while the nodes are slow to acknowledge ([`crate::bundle_pace`]). A client's future completes when `f + 1` nodes hold its request durably ([`crate::in_flight`]).
//! What is taken and not yet acknowledged is bounded in bytes, and past the bound, or with too few nodes in reach, a
//! client is refused at once. A client that gives up does not take its envelope back: once sent, it stays until it is acknowledged.
//!
//! One task owns the table; clients reach it through a queue that the byte bound keeps short, nodes through one that
//! makes their links wait.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use blockcutter::BundleBuilder;
use fabric_proto::ChannelId;
use futures::future::BoxFuture;
use mod_smart::{ReplicaId, SessionId, View};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::broadcast::{Order, Submit, SubmitError};
use crate::frame::RequestAnswer;
use crate::in_flight::{Answered, InFlight, Origin, RequestCounters};
use crate::node_handle::NodeHandle;
use crate::node_limits::{
    ANSWERS_WAITING_MAX, BUNDLE_BYTES_MAX, BUNDLE_ENVELOPES_MAX, ENVELOPE_OVERHEAD_BYTES, SUBMIT_TIMEOUT,
    SUBMITTED_BYTES_MAX,
};

/// Where clients put envelopes.
#[derive(Debug)]
pub(crate) struct Relay {
    view: View,
    nodes: Vec<Arc<NodeHandle>>,
    waiting: mpsc::UnboundedSender<Waiting>,
    room: Arc<Semaphore>,
    counters: Arc<RelayCounters>,
}

/// What has become of envelopes, for the status page.
#[derive(Debug, Default)]
pub(crate) struct RelayCounters {
    pub(crate) requests: Arc<RequestCounters>,
    pub(crate) held: AtomicU64,
    pub(crate) overloaded: AtomicU64,
    pub(crate) timed_out: AtomicU64,
}

/// What links tell the relay.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// A session with this node stands.
    Connected(ReplicaId),
    /// It is over.
    Disconnected(ReplicaId),
    /// A node has answered a request.
    Answer(ReplicaId, RequestAnswer),
}

/// The relay of a frontend before it runs.
pub(crate) struct RelayTask {
    waiting: mpsc::UnboundedReceiver<Waiting>,
    links: mpsc::Receiver<LinkEvent>,
    queue: VecDeque<Waiting>,
    queued_bytes: usize,
    /// Until when the queue waits to become a larger bundle.
    gathers_until: Option<Instant>,
    table: InFlight<Waiter>,
    counters: Arc<RelayCounters>,
}

/// An envelope that has not been sent yet.
#[derive(Debug)]
struct Waiting {
    channel: ChannelId,
    order: Order,
    since: Instant,
    waiter: Waiter,
}

/// A client that waits, and the room its envelope takes.
#[derive(Debug)]
pub(crate) struct Waiter {
    done: oneshot::Sender<()>,
    _room: OwnedSemaphorePermit,
}

/// Makes a relay to these nodes: the clients' side, the links' side, and the task between them.
pub(crate) fn relay(origin: Origin, nodes: Vec<Arc<NodeHandle>>) -> (Relay, mpsc::Sender<LinkEvent>, RelayTask) {
    let counters = Arc::<RelayCounters>::default();
    let (waiting_sender, waiting) = mpsc::unbounded_channel();
    let (link_sender, links) = mpsc::channel(ANSWERS_WAITING_MAX);
    let relay = Relay {
        view: origin.view.clone(),
        nodes: nodes.clone(),
        waiting: waiting_sender,
        room: Arc::new(Semaphore::new(SUBMITTED_BYTES_MAX)),
        counters: counters.clone(),
    };
    let table = InFlight::new(origin, nodes, counters.requests.clone());
    let queue = VecDeque::new();
    let task = RelayTask { waiting, links, queue, queued_bytes: 0, gathers_until: None, table, counters };
    (relay, link_sender, task)
}

impl Waiting {
    fn bytes(&self) -> usize {
        self.order.envelope().len()
    }
}

impl Relay {
    pub(crate) fn counters(&self) -> &RelayCounters {
        &self.counters
    }

    /// Bytes of envelopes that are taken and not yet acknowledged.
    pub(crate) fn submitted_bytes(&self) -> usize {
        SUBMITTED_BYTES_MAX - self.room.available_permits()
    }

    /// Are there sessions with so many nodes that what they hold cannot be lost?
    pub(crate) fn is_in_reach(&self) -> bool {
        let connected = self.nodes.iter().filter(|node| node.is_connected());
        self.view.is_any_correct(connected.map(|node| node.replica).collect())
    }

    fn take(&self, channel: &ChannelId, order: Order) -> Result<oneshot::Receiver<()>, SubmitError> {
        // Too few nodes to hold it: the client does better with another orderer than with waiting for this one.
        if !self.is_in_reach() {
            return Err(SubmitError::NotOpen);
        }
        // An envelope above the whole bound takes all of it: it can be sent when nothing else is.
        let bytes = (order.envelope().len() + ENVELOPE_OVERHEAD_BYTES).min(SUBMITTED_BYTES_MAX);
        let Ok(room) = self.room.clone().try_acquire_many_owned(bytes as u32) else {
            self.counters.overloaded.fetch_add(1, Ordering::Relaxed);
            return Err(SubmitError::Overloaded);
        };
        let (done, held) = oneshot::channel();
        let waiter = Waiter { done, _room: room };
        let waiting = Waiting { channel: channel.clone(), order, since: Instant::now(), waiter };
        self.waiting.send(waiting).map_err(|_| SubmitError::Closed)?;
        Ok(held)
    }
}

impl Submit for Relay {
    fn submit(&self, channel: &ChannelId, order: Order) -> BoxFuture<'static, Result<(), SubmitError>> {
        let held = match self.take(channel, order) {
            Ok(held) => held,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let counters = self.counters.clone();
        Box::pin(async move {
            let Ok(held) = tokio::time::timeout(SUBMIT_TIMEOUT, held).await else {
                counters.timed_out.fetch_add(1, Ordering::Relaxed);
                return Err(SubmitError::TimedOut);
            };
            held.map_err(|_| SubmitError::Closed)
        })
    }
}

impl RelayTask {
    /// Runs until `stop`, or until nobody can submit any more. Who still waits then learns that the relay has closed.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut arrived = Vec::new();
        let mut events = Vec::new();
        loop {
            let deadline = self.table.deadline().into_iter().chain(self.gathers_until).min();
            tokio::select! {
                () = stop.cancelled() => return,
                count = self.waiting.recv_many(&mut arrived, TAKEN_AT_ONCE) => {
                    if count == 0 {
                        return;
                    }
                    self.queued_bytes += arrived.iter().map(Waiting::bytes).sum::<usize>();
                    self.queue.extend(arrived.drain(..));
                }
                _ = self.links.recv_many(&mut events, TAKEN_AT_ONCE), if !self.links.is_closed() => {
                    for event in events.drain(..) {
                        self.on_link_event(event);
                    }
                }
                () = sleep_until(deadline), if deadline.is_some() => self.table.on_wake(Instant::now()),
            }
            self.send_bundles();
        }
    }

    fn on_link_event(&mut self, event: LinkEvent) {
        let now = Instant::now();
        match event {
            LinkEvent::Connected(replica) => self.table.on_connected(replica, now),
            LinkEvent::Disconnected(replica) => self.table.on_disconnected(replica),
            LinkEvent::Answer(replica, answer) => match self.table.on_answer(replica, &answer, now) {
                Answered::Nothing => {}
                Answered::Held(waiters) => self.on_held(waiters),
                Answered::SessionEnded => {
                    tracing::warn!("the nodes have ended our session; a new one begins");
                    self.table.begin_session(session_of_now(), now);
                }
            },
        }
    }

    fn on_held(&self, waiters: Vec<Waiter>) {
        self.counters.held.fetch_add(waiters.len() as u64, Ordering::Relaxed);
        for waiter in waiters {
            // A client that has gone does not want to know.
            let _ = waiter.done.send(());
        }
    }

    fn send_bundles(&mut self) {
        let now = Instant::now();
        self.forget_given_up(now);
        self.gathers_until = None;
        while self.table.has_room() && !self.queue.is_empty() {
            let is_full = self.queue.len() >= BUNDLE_ENVELOPES_MAX || self.queued_bytes >= BUNDLE_BYTES_MAX;
            if !is_full && let Some(until) = self.table.waits_until(now) {
                self.gathers_until = Some(until);
                return;
            }
            let mut bundle = BundleBuilder::new();
            let mut waiters = Vec::new();
            while self.queue.front().is_some_and(|next| fits(&bundle, next))
                && let Some(next) = self.queue.pop_front()
            {
                self.queued_bytes -= next.bytes();
                push(&mut bundle, &next.channel, next.order);
                waiters.push(next.waiter);
            }
            self.table.submit(bundle.finish(), waiters, now);
        }
    }

    /// What was not sent by the time its client was told so is not sent any more, and makes room.
    fn forget_given_up(&mut self, now: Instant) {
        while self.queue.front().is_some_and(|oldest| oldest.since + SUBMIT_TIMEOUT <= now) {
            self.queued_bytes -= self.queue.pop_front().map_or(0, |oldest| oldest.bytes());
        }
    }
}

/// A session number that no earlier life of this frontend has used: the time in microseconds.
pub(crate) fn session_of_now() -> SessionId {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SessionId(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// The first always does: what was admitted is within the bounds of a request's body.
fn fits(bundle: &BundleBuilder, next: &Waiting) -> bool {
    bundle.is_empty()
        || (bundle.len() < BUNDLE_ENVELOPES_MAX
            && bundle.bytes() + next.order.envelope().len() <= BUNDLE_BYTES_MAX
            && has_room_for(bundle, &next.channel, &next.order))
}

fn has_room_for(bundle: &BundleBuilder, channel: &ChannelId, order: &Order) -> bool {
    match order {
        Order::Envelope { sequence, envelope } => bundle.has_room_for(channel, *sequence, envelope),
        Order::Config { envelope, .. } => bundle.has_room_for_config(channel, envelope),
    }
}

fn push(bundle: &mut BundleBuilder, channel: &ChannelId, order: Order) {
    match order {
        Order::Envelope { sequence, envelope } => bundle.push(channel, sequence, envelope),
        Order::Config { sequence, envelope } => bundle.push_config(channel, sequence, envelope),
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Envelopes, or answers, taken from their queue in one turn.
const TAKEN_AT_ONCE: usize = 4 * BUNDLE_ENVELOPES_MAX;
