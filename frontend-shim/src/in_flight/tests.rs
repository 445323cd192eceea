//! The table before nodes whose outboxes are looked into.
#![allow(clippy::unwrap_used)]

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
    let nodes: Vec<_> = (0..n as u16).map(|i| Arc::new(NodeHandle::new(ReplicaId(i), format!("node {i}")))).collect();
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
