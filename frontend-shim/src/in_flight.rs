//! The requests that are on their way to the nodes: numbers, seals, answers, and who must be sent what again.
//!
//! A request goes to every node at once and is *held* when `f + 1` of them say that it is durable with them: one of
//! those is correct and will press for it (protocol.md, "Requests, clients, overload"). It leaves this table when every
//! node has said so, or, once held, after a while. What a node could not take, because it was away, behind or
//! overloaded, is owed to it and sent later: nothing is dropped silently. One node's word moves nothing but what is sent
//! to that node; beginning a new session takes `f + 1` of them.
//!
//! No clock and no task here: the relay tells the time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mod_smart::{Answer, Client, Digest, ReplicaId, Request, RequestId, Sealed, Sequence, SessionId, View, Voters};

use crate::bundle_pace::BundlePace;
use crate::counters::Grievance;
use crate::frame::{RequestAnswer, ToNode};
use crate::keys::FrontendKey;
use crate::node_handle::NodeHandle;
use crate::node_limits::{
    REQUESTS_UNHELD_MAX, RESEND_AFTER, RETRY_AFTER_MAX, RETRY_AFTER_MIN, RETRY_BYTES_MAX, SETTLED_BYTES_MAX,
    SETTLED_KEPT,
};

/// The table. `W` is whoever waits for a request to be held; it is given back when that is so.
#[derive(Debug)]
pub(crate) struct InFlight<W> {
    view: View,
    key: Arc<FrontendKey>,
    nodes: Vec<Arc<NodeHandle>>,
    standings: Vec<Standing>,
    session: SessionId,
    session_window: u64,
    next: Sequence,
    requests: BTreeMap<Sequence, Outstanding<W>>,
    /// Those of them that are not held yet.
    unheld: BTreeSet<Sequence>,
    /// Requests that are held, oldest first; some may have left the table since.
    settled: VecDeque<(Sequence, Instant)>,
    settled_bytes: usize,
    /// Who says that the session has ended.
    stale: Voters,
    resend_due: Option<Instant>,
    pace: BundlePace,
    counters: Arc<RequestCounters>,
}

/// Everything about a frontend that requests need.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) view: View,
    pub(crate) key: Arc<FrontendKey>,
    pub(crate) session: SessionId,
    pub(crate) session_window: u64,
}

/// What has become of requests, for the status page.
#[derive(Debug, Default)]
pub(crate) struct RequestCounters {
    pub(crate) in_flight: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) resent: AtomicU64,
}

#[derive(Debug)]
struct Outstanding<W> {
    digest: Digest,
    frame: Bytes,
    held: Voters,
    is_settled: bool,
    sent_at: Instant,
    waiters: Vec<W>,
}

/// Where we stand with one node.
#[derive(Debug)]
struct Standing {
    is_connected: bool,
    /// What it has not been sent, or could not take.
    owed: BTreeSet<Sequence>,
    retry_at: Option<Instant>,
    retry_after: Duration,
}

impl<W> InFlight<W> {
    pub(crate) fn new(origin: Origin, nodes: Vec<Arc<NodeHandle>>, counters: Arc<RequestCounters>) -> Self {
        let standings = nodes.iter().map(|_| Standing::new()).collect();
        let Origin { view, key, session, session_window } = origin;
        Self {
            view,
            key,
            nodes,
            standings,
            session,
            session_window,
            next: Sequence(1),
            requests: BTreeMap::new(),
            unheld: BTreeSet::new(),
            settled: VecDeque::new(),
            settled_bytes: 0,
            stale: Voters::NONE,
            resend_due: None,
            pace: BundlePace::default(),
            counters,
        }
    }

    /// May another request go out now?
    pub(crate) fn has_room(&self) -> bool {
        let lowest = self.unheld.first().copied().unwrap_or(self.next);
        self.unheld.len() < REQUESTS_UNHELD_MAX && self.next.0 - lowest.0 < self.session_window
    }

    /// Until when a bundle that is not full should wait for more, if it should.
    pub(crate) fn waits_until(&self, now: Instant) -> Option<Instant> {
        self.pace.waits_until(now)
    }

    /// Numbers a body, seals it and sends it to every node.
    pub(crate) fn submit(&mut self, body: Bytes, waiters: Vec<W>, now: Instant) {
        let sequence = self.next;
        self.next = sequence.next();
        let client = Client::Frontend(self.key.id());
        let request = Request { id: RequestId { client, session: self.session, sequence }, body };
        let sealed = request.seal(self.view.group(), &*self.key);
        let frame = ToNode::Submit(sealed.bytes().clone()).encode();
        let digest = sealed.digest();
        let request = Outstanding { digest, frame, held: Voters::NONE, is_settled: false, sent_at: now, waiters };
        for (node, standing) in self.nodes.iter().zip(&mut self.standings) {
            if standing.is_connected && node.send(request.frame.clone()).is_err() {
                standing.owe(sequence, now);
                node.record.lagging.store(true, Ordering::Relaxed);
            }
        }
        self.requests.insert(sequence, request);
        self.unheld.insert(sequence);
        self.resend_due.get_or_insert(now + RESEND_AFTER);
        self.pace.on_sent(now);
        self.counters.sent.fetch_add(1, Ordering::Relaxed);
        self.count();
    }

    /// A session with this node stands: it may lack everything that it has not acknowledged.
    pub(crate) fn on_connected(&mut self, replica: ReplicaId, now: Instant) {
        let Some(standing) = self.standings.get_mut(replica.index()) else { return };
        let lacking = self.requests.iter().filter(|(_, request)| !request.held.contains(replica));
        *standing = Standing { is_connected: true, owed: lacking.map(|(id, _)| *id).collect(), ..Standing::new() };
        self.send_owed(replica, now);
    }

    /// The session is over.
    pub(crate) fn on_disconnected(&mut self, replica: ReplicaId) {
        if let Some(standing) = self.standings.get_mut(replica.index()) {
            *standing = Standing::new();
        }
    }

    /// A node has answered. Gives back who waited for what is held by it; says whether a new session must begin.
    pub(crate) fn on_answer(&mut self, replica: ReplicaId, answer: &RequestAnswer, now: Instant) -> Answered<W> {
        if !self.view.has(replica) || answer.session != self.session {
            return Answered::Nothing;
        }
        let Some(request) = self.requests.get(&answer.sequence) else {
            if answer.sequence >= self.next {
                self.complain(replica, "an answer to a request that was never made");
            }
            return Answered::Nothing;
        };
        if request.digest != answer.digest {
            self.complain(replica, "an answer to another request than the one made");
            return Answered::Nothing;
        }
        match answer.answer {
            Answer::Held => self.on_held(replica, answer.sequence, now),
            Answer::Overloaded | Answer::Window => {
                self.nodes[replica.index()].record.overloaded.fetch_add(1, Ordering::Relaxed);
                if !request.held.contains(replica) {
                    self.standings[replica.index()].owe(answer.sequence, now);
                }
                Answered::Nothing
            }
            Answer::Stale => {
                self.stale.insert(replica);
                if self.view.is_any_correct(self.stale) { Answered::SessionEnded } else { Answered::Nothing }
            }
        }
    }

    /// Begins a new session: everything that is not held is numbered and sent anew. The nodes leave out what was ordered
    /// under the old number after all.
    pub(crate) fn begin_session(&mut self, wanted: SessionId, now: Instant) {
        self.session = wanted.max(self.session.next());
        self.next = Sequence(1);
        self.stale = Voters::NONE;
        self.settled.clear();
        self.settled_bytes = 0;
        self.unheld.clear();
        for standing in &mut self.standings {
            standing.owed.clear();
            standing.retry_at = None;
        }
        for request in std::mem::take(&mut self.requests).into_values().filter(|request| !request.is_settled) {
            self.submit(body_of(&request.frame), request.waiters, now);
        }
        self.count();
    }

    /// Sends again what is due, forgets what has been kept long enough.
    pub(crate) fn on_wake(&mut self, now: Instant) {
        if self.resend_due.is_some_and(|due| due <= now) {
            self.owe_unanswered(now);
        }
        let due: Vec<ReplicaId> = (self.view.replicas())
            .filter(|replica| self.standings[replica.index()].retry_at.is_some_and(|at| at <= now))
            .collect();
        for replica in due {
            self.send_owed(replica, now);
        }
        self.forget_settled(now);
    }

    /// When [`InFlight::on_wake`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let settled = self.settled.front().map(|(_, since)| *since + SETTLED_KEPT);
        let retries = self.standings.iter().filter_map(|standing| standing.retry_at);
        retries.chain(self.resend_due).chain(settled).min()
    }

    fn on_held(&mut self, replica: ReplicaId, sequence: Sequence, now: Instant) -> Answered<W> {
        let standing = &mut self.standings[replica.index()];
        standing.owed.remove(&sequence);
        standing.retry_after = RETRY_AFTER_MIN;
        let Some(request) = self.requests.get_mut(&sequence) else { return Answered::Nothing };
        if request.held.contains(replica) {
            return Answered::Nothing;
        }
        self.nodes[replica.index()].record.held.fetch_add(1, Ordering::Relaxed);
        request.held.insert(replica);
        let mut waiters = Vec::new();
        if !request.is_settled && self.view.is_any_correct(request.held) {
            request.is_settled = true;
            self.pace.on_held(now.saturating_duration_since(request.sent_at), now);
            waiters = std::mem::take(&mut request.waiters);
            self.unheld.remove(&sequence);
            self.settled_bytes += request.frame.len();
            self.settled.push_back((sequence, now));
        }
        if request.is_settled && self.view.replicas().all(|member| request.held.contains(member)) {
            self.forget(sequence);
        }
        self.forget_settled(now);
        self.count();
        if waiters.is_empty() { Answered::Nothing } else { Answered::Held(waiters) }
    }

    /// Correct nodes answer every request, so this is for answers that a node has forgotten.
    fn owe_unanswered(&mut self, now: Instant) {
        let mut earliest: Option<Instant> = None;
        for sequence in &self.unheld {
            let Some(request) = self.requests.get_mut(sequence) else { continue };
            if request.sent_at + RESEND_AFTER <= now {
                request.sent_at = now;
                for (standing, node) in self.standings.iter_mut().zip(&self.nodes) {
                    if standing.is_connected && !request.held.contains(node.replica) {
                        standing.owed.insert(*sequence);
                        standing.retry_at.get_or_insert(now);
                    }
                }
            }
            let due = request.sent_at + RESEND_AFTER;
            earliest = Some(earliest.map_or(due, |earliest| earliest.min(due)));
        }
        self.resend_due = earliest;
    }

    fn send_owed(&mut self, replica: ReplicaId, now: Instant) {
        let (node, standing) = (&self.nodes[replica.index()], &mut self.standings[replica.index()]);
        standing.retry_at = None;
        let mut bytes = 0;
        while let Some(sequence) = standing.owed.first().copied() {
            if let Some(request) = self.requests.get(&sequence) {
                let is_enough = bytes > 0 && bytes + request.frame.len() > RETRY_BYTES_MAX;
                if is_enough || node.send(request.frame.clone()).is_err() {
                    standing.retry_at = Some(now + RETRY_AFTER_MIN);
                    break;
                }
                bytes += request.frame.len();
                self.counters.resent.fetch_add(1, Ordering::Relaxed);
            }
            standing.owed.remove(&sequence);
        }
        node.record.lagging.store(!standing.owed.is_empty(), Ordering::Relaxed);
    }

    fn forget_settled(&mut self, now: Instant) {
        while let Some(&(sequence, since)) = self.settled.front() {
            if self.settled_bytes <= SETTLED_BYTES_MAX && now < since + SETTLED_KEPT {
                return;
            }
            self.forget(sequence);
            self.settled.pop_front();
        }
    }

    fn forget(&mut self, sequence: Sequence) {
        let Some(request) = self.requests.remove(&sequence) else { return };
        self.settled_bytes -= request.frame.len();
        for standing in &mut self.standings {
            standing.owed.remove(&sequence);
        }
        while self.settled.front().is_some_and(|(oldest, _)| !self.requests.contains_key(oldest)) {
            self.settled.pop_front();
        }
    }

    fn complain(&self, replica: ReplicaId, what: &str) {
        self.nodes[replica.index()].record.complain(Grievance::Garbage, &what);
    }

    fn count(&self) {
        self.counters.in_flight.store(self.unheld.len() as u64, Ordering::Relaxed);
    }
}

/// What an answer leads to.
#[derive(Debug)]
pub(crate) enum Answered<W> {
    /// Nothing yet.
    Nothing,
    /// A request is held; these waited for it.
    Held(Vec<W>),
    /// A correct node says that our session has ended.
    SessionEnded,
}

impl Standing {
    const fn new() -> Self {
        Self { is_connected: false, owed: BTreeSet::new(), retry_at: None, retry_after: RETRY_AFTER_MIN }
    }

    fn owe(&mut self, sequence: Sequence, now: Instant) {
        self.owed.insert(sequence);
        if self.retry_at.is_none() {
            self.retry_at = Some(now + self.retry_after);
            self.retry_after = (self.retry_after * 2).min(RETRY_AFTER_MAX);
        }
    }
}

/// The body inside a Submit frame of our own making.
fn body_of(frame: &Bytes) -> Bytes {
    let sealed = Sealed::<Request>::trusted(frame.slice(SUBMIT_HEAD_BYTES..));
    sealed.expect("a frame of our own holds a request").value().body.clone()
}

/// Length and kind, which come before the request.
const SUBMIT_HEAD_BYTES: usize = 5;

#[cfg(test)]
mod tests;
