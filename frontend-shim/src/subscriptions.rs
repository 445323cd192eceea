//! The channels of a frontend as its links see them: where pushed blocks go, and what nodes say is open.
//!
//! A frontend serves the channels that its own operator gave it. A channel takes envelopes once `f + 1` nodes say that
//! it is open and began with the same block as here: one of them is correct.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fabric_proto::ChannelId;
use mod_smart::{ReplicaId, View, Voters};

use crate::channels::ChannelState;
use crate::counters::Grievance;
use crate::frame::{CHANNELS_MAX, Opened, Push};
use crate::inbox::Inbox;
use crate::node_handle::NodeHandle;

/// The channels of a frontend.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    view: View,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    inboxes: BTreeMap<ChannelId, Arc<Inbox>>,
    /// For each replica, the channels it says are open with the block they began with. Also channels that we do not
    /// have yet: a node says it once.
    opened: Vec<BTreeMap<ChannelId, [u8; 32]>>,
}

impl Subscriptions {
    pub(crate) fn new(view: View) -> Self {
        let opened = vec![BTreeMap::new(); view.n()];
        Self { view, state: Mutex::new(State { inboxes: BTreeMap::new(), opened }) }
    }

    /// Subscribes to a channel at every node that there is a session with; the others follow when theirs stands. False
    /// if it is subscribed to already.
    pub(crate) fn add(&self, inbox: Arc<Inbox>) -> bool {
        let id = inbox.channel().id().clone();
        let mut state = self.lock();
        if state.inboxes.contains_key(&id) {
            return false;
        }
        state.inboxes.insert(id.clone(), inbox.clone());
        self.open_if_enough(&state, &id);
        drop(state);
        inbox.extend_credit();
        true
    }

    /// Lets go of a channel, at all nodes.
    pub(crate) fn remove(&self, id: &ChannelId) {
        let removed = self.lock().inboxes.remove(id);
        if let Some(inbox) = removed {
            inbox.unsubscribe();
        }
    }

    /// Do enough nodes say that a channel is open at them?
    pub(crate) fn is_open(&self, id: &ChannelId) -> bool {
        let state = self.lock();
        let Some(inbox) = state.inboxes.get(id) else { return false };
        self.is_said_to_be_open(&state, inbox)
    }

    /// Removes all channels.
    pub(crate) fn clear(&self) {
        self.lock().inboxes.clear();
    }

    /// Asks a node whose session has just begun for the blocks of all channels.
    pub(crate) fn subscribe_all(&self, node: &NodeHandle) {
        let inboxes: Vec<_> = self.lock().inboxes.values().cloned().collect();
        for inbox in inboxes {
            inbox.on_connected(node);
        }
    }

    /// A node's session begins with all that is open at it.
    pub(crate) fn on_welcome(&self, node: &NodeHandle, channels: Vec<Opened>) {
        self.lock().opened[node.replica.index()].clear();
        for opened in channels {
            self.note_opened(node, opened);
        }
    }

    /// A node says that a channel has opened there. It may have joined it only now, and have passed over what it was asked
    /// for before, so it is asked for the blocks again.
    pub(crate) fn on_opened(&self, node: &NodeHandle, opened: Opened) {
        if let Some(inbox) = self.note_opened(node, opened) {
            inbox.on_connected(node);
        }
    }

    /// Gives the channel's inbox, if it is one of ours that began with the same block.
    fn note_opened(&self, node: &NodeHandle, opened: Opened) -> Option<Arc<Inbox>> {
        let mut state = self.lock();
        let of_node = &mut state.opened[node.replica.index()];
        if of_node.len() >= CHANNELS_MAX && !of_node.contains_key(&opened.channel) {
            node.record.complain(Grievance::Garbage, &"more open channels than a group can have");
            return None;
        }
        of_node.insert(opened.channel.clone(), opened.genesis);
        let inbox = state.inboxes.get(&opened.channel).cloned();
        if inbox.as_ref().is_some_and(|inbox| inbox.genesis() != opened.genesis) {
            let detail = format!("channel {} began with another block there than here", opened.channel);
            node.record.complain(Grievance::WrongHeader, &detail);
        }
        self.open_if_enough(&state, &opened.channel);
        inbox.filter(|inbox| inbox.genesis() == opened.genesis)
    }

    /// A node has pushed a block.
    pub(crate) fn on_push(&self, node: &NodeHandle, push: Push) {
        node.record.pushes.fetch_add(1, Ordering::Relaxed);
        let inbox = self.lock().inboxes.get(&push.channel).cloned();
        match inbox {
            Some(inbox) => inbox.put(node, push),
            // Normal for a moment after a channel was removed here; otherwise a block that nobody asked for.
            None => node.record.complain(Grievance::BeyondCredit, &format!("channel {}", push.channel)),
        }
    }

    fn open_if_enough(&self, state: &State, id: &ChannelId) {
        let Some(inbox) = state.inboxes.get(id) else { return };
        let channel = inbox.channel();
        if channel.state() == ChannelState::Opening && self.is_said_to_be_open(state, inbox) {
            tracing::info!("channel {id} is open");
            channel.enter_state(ChannelState::Open);
        }
    }

    fn is_said_to_be_open(&self, state: &State, inbox: &Inbox) -> bool {
        let id = inbox.channel().id();
        let says_so = |replica: &ReplicaId| state.opened[replica.index()].get(id) == Some(&inbox.genesis());
        let voters: Voters = self.view.replicas().filter(says_so).collect();
        self.view.is_any_correct(voters)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
