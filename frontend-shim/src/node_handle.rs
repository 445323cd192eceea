//! One node as the rest of the frontend sees it: a place to put frames, and what is known of it.
//!
//! Frames can be put only while a session stands: what was meant for an old session never leaks into the next, which
//! begins with what its node lacks.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use mod_smart::ReplicaId;
use tokio::sync::Notify;

use crate::counters::NodeRecord;
use crate::node_limits::{OUTBOX_BYTES_MAX, OUTBOX_FRAMES_MAX};
use crate::outbox::Outbox;

/// A node of the group.
#[derive(Debug)]
pub struct NodeHandle {
    /// Its place in the view.
    pub replica: ReplicaId,
    /// What has been seen of it.
    pub record: NodeRecord,
    outbox: ArcSwapOption<Outbox>,
    shown_up: Notify,
}

/// The frame was not taken: there is no session, or too much waits already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node takes no more now")]
pub struct NotSent;

impl NodeHandle {
    /// A node without a session.
    #[must_use]
    pub fn new(replica: ReplicaId, name: String) -> Self {
        Self {
            replica,
            record: NodeRecord::new(replica, name),
            outbox: ArcSwapOption::empty(),
            shown_up: Notify::new(),
        }
    }

    /// Does a session stand?
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.record.connected.load(Ordering::Relaxed)
    }

    /// Puts a frame into the session's outbox.
    ///
    /// # Errors
    /// It was not taken.
    pub fn send(&self, frame: Bytes) -> Result<(), NotSent> {
        let outbox = self.outbox.load();
        outbox.as_ref().ok_or(NotSent)?.push(frame).map_err(|_| NotSent)
    }

    /// The node is known to be up. One such sign is remembered until it is needed, so one of long ago can cost one
    /// attempt that comes early.
    pub(crate) fn show_up(&self) {
        self.shown_up.notify_one();
    }

    /// Waits for a sign that the node is up.
    pub(crate) async fn shown_up(&self) {
        self.shown_up.notified().await;
    }

    /// A session stands from now on; gives the outbox that its writer drains.
    pub(crate) fn open(&self) -> Arc<Outbox> {
        let outbox = Arc::new(Outbox::new(OUTBOX_BYTES_MAX, OUTBOX_FRAMES_MAX));
        self.outbox.store(Some(outbox.clone()));
        self.record.connected.store(true, Ordering::Relaxed);
        self.record.sessions.fetch_add(1, Ordering::Relaxed);
        outbox
    }

    /// The session is over.
    pub(crate) fn close(&self) {
        self.outbox.store(None);
        self.record.connected.store(false, Ordering::Relaxed);
    }
}
