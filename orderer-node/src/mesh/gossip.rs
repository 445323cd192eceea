//! What a peer is told besides consensus: the frontends and vote keys in our keyring that it has not heard of on this
//! connection.
//!
//! The keyring is the one list. A link remembers what it has told and tells the difference, at its start and after each
//! change, so nothing is queued, nothing is lost with a connection, and nothing is told twice over one.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use mod_smart::{FrontendId, ReplicaId};
use tokio::sync::watch;

use super::frame::MeshFrame;
use crate::keys::NodeKeyring;

/// What one connection has told.
#[derive(Debug)]
pub(super) struct Gossip {
    keyring: Arc<NodeKeyring>,
    changes: watch::Receiver<u64>,
    frontends: BTreeSet<FrontendId>,
    replicas: BTreeSet<ReplicaId>,
}

impl Gossip {
    /// Nothing told yet. The two ends of the link know their own bindings from the Hellos.
    pub(super) fn new(keyring: Arc<NodeKeyring>, ends: [ReplicaId; 2]) -> Self {
        let mut changes = keyring.changes();
        changes.mark_changed();
        Self { keyring, changes, frontends: BTreeSet::new(), replicas: ends.into() }
    }

    /// Waits until there may be something to tell, which is so at first. Cancel-safe.
    pub(super) async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            // Unreachable while `keyring` is held; a wait for ever is the right answer to "no more changes".
            std::future::pending::<()>().await;
        }
    }

    /// The frames that tell what has not been told.
    pub(super) fn news(&mut self) -> Vec<Bytes> {
        let mut frames = Vec::new();
        for binding in self.keyring.bindings() {
            if self.replicas.insert(binding.replica) {
                frames.push(MeshFrame::Binding(binding).encode());
            }
        }
        let group = self.keyring.group();
        let mut told = BTreeSet::new();
        for credential in self.keyring.credentials() {
            told.insert(credential.frontend);
            if !self.frontends.contains(&credential.frontend) {
                frames.push(MeshFrame::Introduce { group, credential }.encode());
            }
        }
        // Forgets those that are gone, so this set is no larger than the keyring's.
        self.frontends = told;
        frames
    }
}
