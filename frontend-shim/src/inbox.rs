//! The pushed blocks of one channel that wait for its collector: bounded, and filled without waiting.
//!
//! Each node has two places for each block of the window, one for what it says before the block is decided (its latest
//! regency counts) and one for what it says then, so what a node sends in excess can only hurt itself. Bodies are
//! taken from the node whose turn it is and from one that was asked, up to a bound for each node. Links put blocks in; the
//! collector looks at those of the next number and moves the window, which gives the nodes credit to push more.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mod_smart::{FrontendId, ReplicaId, View, Voters};
use tokio::sync::Notify;

use crate::certainty::Certainty;
use crate::channels::Channel;
use crate::counters::Grievance;
use crate::frame::{Bodies, Push, ToNode, body_source};
use crate::node_handle::NodeHandle;
use crate::node_limits::{BODY_BYTES_PER_NODE_MAX, WINDOW_BLOCKS_MAX};

/// The blocks that wait.
#[derive(Debug)]
pub(crate) struct Inbox {
    channel: Arc<Channel>,
    genesis: [u8; 32],
    frontend: FrontendId,
    bodies: Bodies,
    nodes: Vec<Arc<NodeHandle>>,
    view: View,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// The block that the collector works on.
    next: u64,
    /// The first block that nobody may push yet.
    until: u64,
    pushes: BTreeMap<u64, BTreeMap<Place, Push>>,
    /// Bytes of bodies held from each node.
    body_bytes: Vec<usize>,
    /// How far each node has been told that it may push.
    credited: Vec<u64>,
    /// Who was asked for the body of the next block.
    asked: Voters,
}

/// Whose push it is, and whether of a decided block.
type Place = (ReplicaId, bool);

/// What goes wrong with a push: something to hold against its sender.
type Complaint = (Grievance, String);

impl Inbox {
    pub(crate) fn new(
        channel: Arc<Channel>,
        genesis: [u8; 32],
        frontend: FrontendId,
        bodies: Bodies,
        (view, nodes): (View, Vec<Arc<NodeHandle>>),
    ) -> Self {
        let next = channel.ledger().certified_height();
        let state = State {
            next,
            until: next + WINDOW_BLOCKS_MAX,
            pushes: BTreeMap::new(),
            body_bytes: vec![0; nodes.len()],
            credited: vec![0; nodes.len()],
            asked: Voters::NONE,
        };
        Self { channel, genesis, frontend, bodies, nodes, view, state: Mutex::new(state), changed: Notify::new() }
    }

    pub(crate) const fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// Header hash of block 0 as it is here.
    pub(crate) const fn genesis(&self) -> [u8; 32] {
        self.genesis
    }

    pub(crate) fn nodes(&self) -> &[Arc<NodeHandle>] {
        &self.nodes
    }

    /// Takes a block from a node, or holds it against the node.
    pub(crate) fn put(&self, node: &NodeHandle, push: Push) {
        let number = push.number;
        let (is_next, outcome) = {
            let mut state = self.lock();
            (number == state.next, self.place(&mut state, node.replica, push))
        };
        if let Err((grievance, what)) = outcome {
            node.record.complain(grievance, &format!("channel {}, block {number}: {what}", self.channel.id()));
        }
        if is_next {
            self.changed.notify_one();
        }
    }

    /// Waits until there may be something new for the next block.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What there is of the next block.
    pub(crate) fn of_next(&self) -> Vec<(ReplicaId, Push)> {
        let state = self.lock();
        let pushes = state.pushes.get(&state.next).into_iter().flatten();
        pushes.map(|((replica, _), push)| (*replica, push.clone())).collect()
    }

    /// Asks a node for the body of the next block. False if it cannot be asked now.
    pub(crate) fn fetch(&self, replica: ReplicaId) -> bool {
        let mut state = self.lock();
        let fetch = ToNode::FetchBlock { channel: self.channel.id().clone(), number: state.next };
        let is_sent = self.nodes[replica.index()].send(fetch.encode()).is_ok();
        if is_sent {
            state.asked.insert(replica);
        }
        is_sent
    }

    /// Forgets what a node has sent as the body of the next block: it has turned out wrong.
    pub(crate) fn drop_body(&self, replica: ReplicaId) {
        let mut state = self.lock();
        let number = state.next;
        [false, true].into_iter().for_each(|is_decided| state.take_body(number, (replica, is_decided)));
    }

    /// Goes on to the block after the next one, with a window of so many blocks.
    pub(crate) fn advance(&self, window_blocks: u64) {
        let mut state = self.lock();
        let done = state.next;
        let places: Vec<_> = state.pushes.get(&done).into_iter().flat_map(BTreeMap::keys).copied().collect();
        for place in places {
            state.take_body(done, place);
        }
        state.pushes.remove(&done);
        state.next += 1;
        state.asked = Voters::NONE;
        // Credit that was given is not taken back.
        state.until = state.until.max(state.next + window_blocks);
        drop(state);
    }

    /// Goes on to this block, a later one, with a window of so many blocks.
    pub(crate) fn skip_to(&self, number: u64, window_blocks: u64) {
        while self.lock().next < number {
            self.advance(window_blocks);
        }
    }

    /// Tells the nodes how far they may push, if it is worth a frame.
    pub(crate) fn extend_credit(&self) {
        let mut state = self.lock();
        let is_due = |credited: u64, state: &State| {
            let left = credited.saturating_sub(state.next);
            credited < state.until && left <= (state.until - state.next) * 3 / 4
        };
        for node in &self.nodes {
            let credited = state.credited[node.replica.index()];
            if is_due(credited, &state) {
                self.credit(&mut state, node);
            }
        }
    }

    /// A new session knows nothing of what was said in the one before, nor does a node that has just joined the channel.
    pub(crate) fn on_connected(&self, node: &NodeHandle) {
        let mut state = self.lock();
        self.credit(&mut state, node);
    }

    /// Says that no more is wanted. A node without a session has nothing to forget.
    pub(crate) fn unsubscribe(&self) {
        let unsubscribe = ToNode::Unsubscribe { channel: self.channel.id().clone() }.encode();
        for node in &self.nodes {
            let _ = node.send(unsubscribe.clone());
        }
    }

    fn credit(&self, state: &mut State, node: &NodeHandle) {
        let subscribe = ToNode::Subscribe { channel: self.channel.id().clone(), from: state.next, until: state.until };
        let credited = if node.send(subscribe.encode()).is_ok() { state.until } else { 0 };
        state.credited[node.replica.index()] = credited;
    }

    fn place(&self, state: &mut State, replica: ReplicaId, mut push: Push) -> Result<(), Complaint> {
        let number = push.number;
        if number < state.next {
            // Slower than the quorum, or repeated after a reconnect.
            return Ok(());
        }
        if number >= state.until {
            return Err((Grievance::BeyondCredit, format!("blocks below {} were asked for", state.until)));
        }
        let body = self.wanted_body(state, replica, &mut push);
        let place = (replica, push.certainty == Certainty::Decided);
        let known = state.pushes.get(&number).and_then(|of_number| of_number.get(&place));
        match known.map(|known| (push.certainty.cmp(&known.certainty), is_same_header(known, &push))) {
            Some((Ordering::Less, _)) => return Ok(()),
            Some((Ordering::Equal, false)) => {
                return Err((Grievance::WrongHeader, "two headers under one number".to_owned()));
            }
            Some((Ordering::Equal, true)) => {}
            None | Some((Ordering::Greater, _)) => {
                state.take_body(number, place);
                state.pushes.entry(number).or_default().insert(place, push);
            }
        }
        if let Some(body) = body? {
            state.keep_body(number, place, body);
        }
        Ok(())
    }

    /// Takes the body out of a push, and says whether it is one that this node may send.
    fn wanted_body(&self, state: &State, replica: ReplicaId, push: &mut Push) -> Result<Option<Bytes>, Complaint> {
        let Some(body) = push.body.take() else { return Ok(None) };
        let is_its_turn = body_source(self.frontend, push.number, &self.view) == replica;
        let is_asked = push.number == state.next && state.asked.contains(replica);
        if self.bodies == Bodies::Pushed && (is_its_turn || is_asked) {
            return Ok(Some(body));
        }
        Err((Grievance::BeyondCredit, "a body that was not asked for".to_owned()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A body beyond the bound is forgotten; it is asked for when its turn comes. One body always fits, and so does one
    /// of the next block.
    fn keep_body(&mut self, number: u64, place: Place, body: Bytes) {
        let held = &mut self.body_bytes[place.0.index()];
        let Some(push) = self.pushes.get_mut(&number).and_then(|of_number| of_number.get_mut(&place)) else { return };
        let has_room = *held == 0 || number == self.next || *held + body.len() <= BODY_BYTES_PER_NODE_MAX;
        if push.body.is_none() && has_room {
            *held += body.len();
            push.body = Some(body);
        }
    }

    fn take_body(&mut self, number: u64, place: Place) {
        let push = self.pushes.get_mut(&number).and_then(|of_number| of_number.get_mut(&place));
        if let Some(body) = push.and_then(|push| push.body.take()) {
            self.body_bytes[place.0.index()] -= body.len();
        }
    }
}

fn is_same_header(a: &Push, b: &Push) -> bool {
    a.previous_hash == b.previous_hash && a.data_hash == b.data_hash && a.metadata_value == b.metadata_value
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fabric_channel::ChannelConfig;
    use fabric_proto::common::Block;
    use mod_smart::GroupId;
    use prost::Message as _;

    use super::*;
    use crate::channels::Channels;
    use crate::ledger::Ledger;

    const FRONTEND: FrontendId = FrontendId([0; 32]);

    fn inbox(bodies: Bodies) -> (Inbox, tempfile::TempDir) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/chain/0.block");
        let genesis = Bytes::from(std::fs::read(path).unwrap());
        let config = ChannelConfig::from_block(&Block::decode(genesis.clone()).unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        ledger.append(0, genesis).unwrap();
        let channel = Channels::new().unwrap().add(config, Arc::new(ledger)).unwrap();
        let view = View::flat(GroupId([0; 32]), 4).unwrap();
        let nodes = (0..4).map(|i| Arc::new(NodeHandle::new(ReplicaId(i), format!("node {i}")))).collect();
        (Inbox::new(channel, [0; 32], FRONTEND, bodies, (view, nodes)), dir)
    }

    fn push(inbox: &Inbox, replica: u16, number: u64, body_bytes: Option<usize>) {
        let push = Push {
            channel: inbox.channel().id().clone(),
            number,
            certainty: Certainty::Decided,
            previous_hash: [1; 32],
            data_hash: [2; 32],
            metadata_value: Bytes::new(),
            signature: Bytes::new(),
            body: body_bytes.map(|bytes| vec![0; bytes].into()),
        };
        inbox.put(&inbox.nodes()[usize::from(replica)], push);
    }

    /// Which of these blocks have bodies from a node.
    fn held(inbox: &Inbox, replica: u16) -> Vec<u64> {
        let state = inbox.lock();
        let of_node =
            state.pushes.iter().filter_map(|(number, of)| Some((*number, of.get(&(ReplicaId(replica), true))?)));
        of_node.filter(|(_, push)| push.body.is_some()).map(|(number, _)| number).collect()
    }

    fn seen(inbox: &Inbox, replica: usize, grievance: Grievance) -> u64 {
        inbox.nodes()[replica].record.count(grievance)
    }

    #[test]
    fn the_bodies_of_one_node_are_bounded_except_for_the_next_block() {
        let (inbox, _dir) = inbox(Bodies::Pushed);
        let half = BODY_BYTES_PER_NODE_MAX / 2;
        for number in [5, 9, 13] {
            push(&inbox, 1, number, Some(half + 1));
        }
        assert_eq!(held(&inbox, 1), [5], "one always fits");
        push(&inbox, 1, 17, Some(half - 1));
        assert_eq!(held(&inbox, 1), [5, 17]);
        push(&inbox, 1, 1, Some(half));
        assert_eq!(held(&inbox, 1), [1, 5, 17]);
        assert_eq!(inbox.of_next().len(), 1);
        assert_eq!(inbox.lock().body_bytes[1], half + half + half);
        for _ in 1..=17 {
            inbox.advance(WINDOW_BLOCKS_MAX);
        }
        assert_eq!(inbox.lock().body_bytes[1], 0);
        assert!(inbox.lock().pushes.is_empty());
        assert_eq!(seen(&inbox, 1, Grievance::BeyondCredit), 0, "too much is not wrong");
    }

    #[test]
    fn only_whose_turn_it_is_and_who_was_asked_may_send_a_body() {
        let (inbox, _dir) = inbox(Bodies::Pushed);
        push(&inbox, 1, 1, None);
        push(&inbox, 2, 1, Some(10));
        assert_eq!((held(&inbox, 2), seen(&inbox, 2, Grievance::BeyondCredit)), (vec![], 1));
        assert!(!inbox.fetch(ReplicaId(2)), "no session");
        let outbox = inbox.nodes()[2].open();
        assert!(inbox.fetch(ReplicaId(2)));
        assert!(outbox.pop().is_some());
        push(&inbox, 2, 1, Some(10));
        push(&inbox, 1, 1, Some(20));
        assert_eq!((held(&inbox, 2), held(&inbox, 1)), (vec![1], vec![1]));
        inbox.drop_body(ReplicaId(2));
        let body_bytes = inbox.lock().body_bytes.clone();
        assert_eq!((held(&inbox, 2), body_bytes), (vec![], vec![0, 20, 0, 0]));

        let (shared, _dir) = super::tests::inbox(Bodies::SharedLedger);
        push(&shared, 1, 1, Some(10));
        assert_eq!((held(&shared, 1), seen(&shared, 1, Grievance::BeyondCredit)), (vec![], 1));
        assert_eq!(shared.of_next().len(), 1, "its header counts all the same");
    }

    #[test]
    fn late_blocks_are_nothing_and_blocks_beyond_the_window_are_held_against_their_node() {
        let (inbox, _dir) = inbox(Bodies::Pushed);
        push(&inbox, 0, 0, None);
        push(&inbox, 0, WINDOW_BLOCKS_MAX, None);
        assert_eq!(seen(&inbox, 0, Grievance::BeyondCredit), 0);
        push(&inbox, 0, 1 + WINDOW_BLOCKS_MAX, None);
        push(&inbox, 0, u64::MAX, None);
        assert_eq!(seen(&inbox, 0, Grievance::BeyondCredit), 2);
        assert_eq!(inbox.lock().pushes.len(), 1);
    }

    #[test]
    fn a_smaller_window_takes_no_credit_back() {
        let (inbox, _dir) = inbox(Bodies::Pushed);
        inbox.advance(4);
        assert_eq!(inbox.lock().until, 1 + WINDOW_BLOCKS_MAX);
        for _ in 0..WINDOW_BLOCKS_MAX {
            inbox.advance(4);
        }
        let state = inbox.lock();
        assert_eq!(state.until, state.next + 4);
    }
}
