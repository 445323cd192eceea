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
    unheld: usize,
    /// Requests that are held, oldest first; some may have left the table since.
    settled: VecDeque<(Sequence, Instant)>,
    settled_bytes: usize,
    /// Who says that the session has ended.
    stale: Voters,
    resend_due: Option<Instant>,
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
            unheld: 0,
            settled: VecDeque::new(),
            settled_bytes: 0,
            stale: Voters::NONE,
            resend_due: None,
            counters,
        }
    }

    /// May another request go out now?
    pub(crate) fn has_room(&self) -> bool {
        let lowest = self.requests.iter().find(|(_, request)| !request.is_settled).map_or(self.next, |(low, _)| *low);
        self.unheld < REQUESTS_UNHELD_MAX && self.next.0 - lowest.0 < self.session_window
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
        self.unheld += 1;
        self.resend_due.get_or_insert(now + RESEND_AFTER);
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
        self.unheld = 0;
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
            waiters = std::mem::take(&mut request.waiters);
            self.unheld -= 1;
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
        let mut earliest = None;
        for (sequence, request) in self.requests.iter_mut().filter(|(_, request)| !request.is_settled) {
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
            earliest = Some(earliest.map_or(due, |earliest: Instant| earliest.min(due)));
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
        self.counters.in_flight.store(self.unheld as u64, Ordering::Relaxed);
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
#[allow(clippy::unwrap_used)]
mod tests {
    use mod_smart::GroupId;

    use super::*;
    use crate::framing::Frame;
    use crate::outbox::Outbox;

    const GROUP: GroupId = GroupId([5; 32]);
    const WINDOW: u64 = 8;

    /// The table before four nodes whose outboxes are looked into.
    struct World {
        table: InFlight<&'static str>,
        outboxes: Vec<Arc<Outbox>>,
        now: Instant,
    }

    fn world(n: usize) -> World {
        let nodes: Vec<_> =
            (0..n as u16).map(|i| Arc::new(NodeHandle::new(ReplicaId(i), format!("node {i}")))).collect();
        let outboxes = nodes.iter().map(|node| node.open()).collect();
        let origin = Origin {
            view: View::flat(GROUP, n).unwrap(),
            key: Arc::new(FrontendKey::generate().unwrap()),
            session: SessionId(100),
            session_window: WINDOW,
        };
        let mut world = World { table: InFlight::new(origin, nodes, Arc::default()), outboxes, now: Instant::now() };
        for i in 0..n as u16 {
            world.table.on_connected(ReplicaId(i), world.now);
        }
        world
    }

    impl World {
        /// The requests that a node would be sent now.
        fn sent(&self, replica: usize) -> Vec<Sealed<Request>> {
            let frames = std::iter::from_fn(|| self.outboxes[replica].pop());
            frames
                .map(|frame| {
                    let payload = frame.slice(5..);
                    let ToNode::Submit(bytes) = ToNode::decode(Frame { kind: frame[4], payload }).unwrap() else {
                        panic!("not a request")
                    };
                    Sealed::<Request>::trusted(bytes).unwrap()
                })
                .collect()
        }

        fn sequences(&self, replica: usize) -> Vec<u64> {
            self.sent(replica).iter().map(|request| request.value().id.sequence.0).collect()
        }

        fn submit(&mut self, body: &'static str) {
            self.table.submit(Bytes::from_static(body.as_bytes()), vec![body], self.now);
        }

        fn answer(&mut self, replica: u16, sequence: u64, answer: Answer) -> Vec<&'static str> {
            let digest = self.table.requests.get(&Sequence(sequence)).map_or(Digest([0; 32]), |r| r.digest);
            let answer = RequestAnswer { session: self.table.session, sequence: Sequence(sequence), digest, answer };
            match self.table.on_answer(ReplicaId(replica), &answer, self.now) {
                Answered::Nothing => Vec::new(),
                Answered::Held(waiters) => waiters,
                Answered::SessionEnded => vec!["session ended"],
            }
        }

        fn pass(&mut self, time: Duration) {
            self.now += time;
            self.table.on_wake(self.now);
        }
    }

    #[test]
    fn a_request_is_held_at_exactly_f_plus_one_distinct_nodes() {
        let mut world = world(4);
        world.submit("a");
        for replica in 0..4 {
            assert_eq!(world.sequences(replica), [1]);
        }
        assert!(world.answer(3, 1, Answer::Held).is_empty(), "f are not enough");
        assert!(world.answer(3, 1, Answer::Held).is_empty(), "nor is one of them twice");
        assert_eq!(world.answer(1, 1, Answer::Held), ["a"]);
        assert!(world.answer(2, 1, Answer::Held).is_empty(), "said once");
        assert_eq!(world.table.requests.len(), 1, "kept for the last node");
        world.answer(0, 1, Answer::Held);
        assert!(world.table.requests.is_empty() && world.table.settled.is_empty());
        assert_eq!(world.table.settled_bytes, 0);
        assert_eq!(world.table.nodes[3].record.snapshot().held, 1);
    }

    #[test]
    fn an_answer_about_another_request_counts_for_nothing() {
        let mut world = world(4);
        world.submit("a");
        let digest = Digest([9; 32]);
        for replica in 0..4 {
            let wrong = RequestAnswer { session: SessionId(100), sequence: Sequence(1), digest, answer: Answer::Held };
            assert!(matches!(world.table.on_answer(ReplicaId(replica), &wrong, world.now), Answered::Nothing));
        }
        world.answer(2, 77, Answer::Held);
        assert_eq!(world.table.nodes[2].record.count(Grievance::Garbage), 2);
        assert!(world.answer(9, 1, Answer::Held).is_empty(), "no member");
        assert_eq!(world.table.requests.len(), 1);
    }

    #[test]
    fn what_a_node_was_too_loaded_for_is_sent_again_with_growing_pauses() {
        let mut world = world(4);
        world.submit("a");
        world.sent(2);
        for pause in [RETRY_AFTER_MIN, RETRY_AFTER_MIN * 2, RETRY_AFTER_MIN * 4] {
            world.answer(2, 1, Answer::Overloaded);
            world.pass(pause - Duration::from_millis(1));
            assert!(world.sequences(2).is_empty());
            world.pass(Duration::from_millis(1));
            assert_eq!(world.sequences(2), [1]);
        }
        world.answer(2, 1, Answer::Held);
        world.submit("b");
        world.sent(2);
        world.answer(2, 2, Answer::Window);
        assert_eq!(world.table.deadline(), Some(world.now + RETRY_AFTER_MIN), "a node that holds is fresh again");
        assert_eq!(world.table.nodes[2].record.snapshot().overloaded, 4);
    }

    #[test]
    fn a_node_that_comes_back_is_sent_all_that_it_did_not_acknowledge() {
        let mut world = world(4);
        world.table.on_disconnected(ReplicaId(3));
        for body in ["a", "b", "c"] {
            world.submit(body);
        }
        assert!(world.sequences(3).is_empty(), "away");
        for replica in 0..3 {
            world.answer(replica, 2, Answer::Held);
        }
        world.pass(SETTLED_KEPT / 2);
        world.table.on_connected(ReplicaId(3), world.now);
        assert_eq!(world.sequences(3), [1, 2, 3], "also the one that is held already");
        world.sent(0);
        world.table.on_connected(ReplicaId(0), world.now);
        assert_eq!(world.sequences(0), [1, 3], "it said that it holds the other");
    }

    #[test]
    fn held_requests_are_kept_for_a_while_only() {
        let mut world = world(4);
        world.submit("a");
        world.answer(0, 1, Answer::Held);
        world.answer(1, 1, Answer::Held);
        assert_eq!(world.table.requests.len(), 1);
        world.pass(SETTLED_KEPT);
        assert!(world.table.requests.is_empty());
        let large: &'static str = "x".repeat(SETTLED_BYTES_MAX / 2).leak();
        for (sequence, left) in [(2, 1), (3, 1), (4, 1)] {
            world.submit(large);
            world.answer(0, sequence, Answer::Held);
            world.answer(1, sequence, Answer::Held);
            assert_eq!(world.table.requests.len(), left, "bounded in bytes");
        }
    }

    #[test]
    fn a_node_that_stops_reading_lags_and_the_others_do_not_notice() {
        let mut world = world(4);
        let large: &'static str = "x".repeat(5 << 20).leak();
        for _ in 0..5 {
            world.submit(large);
            for replica in 0..3 {
                assert_eq!(world.sequences(replica).len(), 1);
            }
        }
        let lagging = || world.table.nodes[3].record.snapshot().lagging;
        assert!(lagging());
        assert_eq!(world.sequences(3), [1, 2, 3], "16 MiB fit");
        world.pass(RETRY_AFTER_MIN);
        assert_eq!(world.sequences(3), [4], "a round of bounded size");
        world.pass(RETRY_AFTER_MIN);
        assert_eq!(world.sequences(3), [5]);
        assert!(!world.table.nodes[3].record.snapshot().lagging);
    }

    #[test]
    fn an_answer_that_never_comes_is_asked_for_again() {
        let mut world = world(4);
        world.submit("a");
        world.answer(0, 1, Answer::Held);
        for replica in 0..4 {
            world.sent(replica);
        }
        world.pass(RESEND_AFTER);
        assert!(world.sequences(0).is_empty(), "has answered");
        for replica in 1..4 {
            assert_eq!(world.sequences(replica), [1]);
        }
        assert_eq!(world.table.deadline(), Some(world.now + RESEND_AFTER));
    }

    #[test]
    fn a_session_ends_when_a_correct_node_says_so() {
        let mut world = world(4);
        for body in ["a", "b", "c"] {
            world.submit(body);
        }
        world.answer(0, 2, Answer::Held);
        world.answer(1, 2, Answer::Held);
        assert!(world.answer(2, 1, Answer::Stale).is_empty(), "one may lie");
        assert!(world.answer(2, 3, Answer::Stale).is_empty(), "as often as it likes");
        assert_eq!(world.answer(3, 1, Answer::Stale), ["session ended"]);
        world.sent(0);
        world.table.begin_session(SessionId(7), world.now);
        assert_eq!(world.table.session, SessionId(101), "sessions only grow");
        let again = world.sent(0);
        let ids: Vec<_> = again.iter().map(|r| (r.value().id.session.0, r.value().id.sequence.0)).collect();
        assert_eq!(ids, [(101, 1), (101, 2)]);
        assert_eq!(again[1].value().body, "c");
        world.answer(0, 1, Answer::Held);
        assert_eq!(world.answer(1, 1, Answer::Held), ["a"]);
    }

    #[test]
    fn so_many_requests_go_out_without_an_answer_and_no_more() {
        let mut world = world(4);
        for sent in 0..WINDOW {
            assert!(world.table.has_room(), "{sent}");
            world.submit("a");
        }
        assert!(!world.table.has_room(), "the window of the session");
        for sequence in 2..=WINDOW {
            world.answer(0, sequence, Answer::Held);
            world.answer(1, sequence, Answer::Held);
        }
        assert!(!world.table.has_room(), "its low edge has not moved");
        world.answer(0, 1, Answer::Held);
        world.answer(1, 1, Answer::Held);
        assert!(world.table.has_room());
    }

    #[test]
    fn one_node_alone_is_its_own_f_plus_one() {
        let mut world = world(1);
        world.submit("a");
        assert_eq!(world.answer(0, 1, Answer::Held), ["a"]);
        assert!(world.table.requests.is_empty());
    }
}
