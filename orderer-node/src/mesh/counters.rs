//! What happened on the links with one peer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use mod_smart::ReplicaId;

/// Figures of the links with one peer since the mesh was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PeerCounters {
    /// The peer.
    pub replica: u16,
    /// Where it is dialled.
    pub address: String,
    /// Does the link to it stand?
    pub connected: bool,
    /// Does the link from it stand?
    pub heard: bool,
    /// Links to it that came to stand.
    pub links: u64,
    /// Attempts to dial it that failed, refusals included.
    pub dials_failed: u64,
    /// Consensus frames written.
    pub frames_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Consensus frames read.
    pub frames_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Frames that gave way to newer ones or were outdated.
    pub dropped: u64,
    /// Bytes that wait to be sent.
    pub queued_bytes: u64,
    /// What was not accepted from it, by reason.
    pub rejects: BTreeMap<&'static str, u64>,
    /// Why it last refused a link, if none has stood since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// The figures while they grow.
#[derive(Debug, Default)]
pub(super) struct Meter {
    connected: AtomicBool,
    heard: AtomicU64,
    links: AtomicU64,
    dials_failed: AtomicU64,
    frames_out: AtomicU64,
    bytes_out: AtomicU64,
    frames_in: AtomicU64,
    bytes_in: AtomicU64,
    dropped: AtomicU64,
    rejects: Mutex<BTreeMap<&'static str, u64>>,
    refused: Mutex<Option<String>>,
}

impl Meter {
    pub(super) fn on_connected(&self) {
        self.connected.store(true, Ordering::Relaxed);
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = None;
        add(&self.links, 1);
    }

    pub(super) fn on_disconnected(&self) {
        self.connected.store(false, Ordering::Relaxed);
    }

    pub(super) fn on_dial_failed(&self) {
        add(&self.dials_failed, 1);
    }

    pub(super) fn on_refused(&self, why: &str) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_owned());
    }

    /// Links are replaced before the older one has ended, so they are counted.
    pub(super) fn on_inbound(&self) {
        add(&self.heard, 1);
    }

    pub(super) fn on_inbound_end(&self) {
        self.heard.fetch_sub(1, Ordering::Relaxed);
    }

    /// Does a link from it stand?
    pub(super) fn is_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed) > 0
    }

    pub(super) fn on_sent(&self, frames: u64, bytes: u64) {
        add(&self.frames_out, frames);
        add(&self.bytes_out, bytes);
    }

    pub(super) fn on_received(&self, bytes: u64) {
        add(&self.frames_in, 1);
        add(&self.bytes_in, bytes);
    }

    pub(super) fn on_dropped(&self, frames: u64) {
        add(&self.dropped, frames);
    }

    pub(super) fn on_reject(&self, reason: &'static str) {
        *self.rejects.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_default() += 1;
    }

    pub(super) fn counters(&self, replica: ReplicaId, address: String, queued_bytes: usize) -> PeerCounters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PeerCounters {
            replica: replica.0,
            address,
            connected: self.connected.load(Ordering::Relaxed),
            heard: self.is_heard(),
            links: read(&self.links),
            dials_failed: read(&self.dials_failed),
            frames_out: read(&self.frames_out),
            bytes_out: read(&self.bytes_out),
            frames_in: read(&self.frames_in),
            bytes_in: read(&self.bytes_in),
            dropped: read(&self.dropped),
            queued_bytes: queued_bytes as u64,
            rejects: self.rejects.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            refused: self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

fn add(counter: &AtomicU64, value: u64) {
    counter.fetch_add(value, Ordering::Relaxed);
}
