//! What all streams of one load share.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::limits::SETTLED_REMEMBERED_MAX;
use super::matching::{LaneIndex, Matching};
use super::quota::Quota;
use super::stock::Stock;

/// What all streams of one load share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) stock: Stock,
    pub(super) quota: Quota,
    /// Nothing more is to be sent.
    pub(super) stop: CancellationToken,
    /// Fell due and left out, because too many were on their way.
    pub(super) left_out: AtomicU64,
    /// How often a stream or a receiver was opened again.
    pub(super) reopened: AtomicU64,
    /// In closed loop, the free places of each lane.
    places: Vec<Semaphore>,
    matching: Mutex<Matching>,
    trouble: Mutex<Option<String>>,
}

impl Shared {
    /// For so many lanes with so many places each.
    pub(super) fn new(stock: Stock, lanes: usize, places: usize) -> Arc<Self> {
        Arc::new(Self {
            stock,
            quota: Quota::unlimited(),
            stop: CancellationToken::new(),
            left_out: AtomicU64::new(0),
            reopened: AtomicU64::new(0),
            places: (0..lanes).map(|_| Semaphore::new(places)).collect(),
            matching: Mutex::new(Matching::new(SETTLED_REMEMBERED_MAX)),
            trouble: Mutex::new(None),
        })
    }

    pub(super) fn matching(&self) -> MutexGuard<'_, Matching> {
        self.matching.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The free places of a lane.
    pub(super) fn places(&self, lane: LaneIndex) -> &Semaphore {
        &self.places[lane.0]
    }

    /// These lanes have a free place more, each once for every time it is named.
    pub(super) fn free(&self, lanes: impl IntoIterator<Item = LaneIndex>) {
        for lane in lanes {
            self.places(lane).add_permits(1);
        }
    }

    /// Takes note of the last thing that went wrong.
    pub(super) fn on_trouble(&self, what: &dyn std::fmt::Display) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(what.to_string());
    }

    /// The last thing that went wrong.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
