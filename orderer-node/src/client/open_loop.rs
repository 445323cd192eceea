//! Envelopes at a rate, whatever becomes of the ones before.
//!
//! A slow service does not slow the load down, so that its latencies show: an envelope counts from the moment it was
//! due, not from when there was room for it. What would exceed the bounds is left out and counted.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::task::AbortOnDropHandle;

use super::connection::Endpoint;
use super::envelopes::EnvelopeFactory;
use super::lane::{Job, Lane};
use super::latency::{EnvelopeKey, LatencyRecorder};
use super::limits::{OUTSTANDING_MAX, SIGNED_AHEAD_MAX, STREAM_OUTSTANDING_MAX};

/// What load to make.
#[derive(Clone, Debug)]
pub struct LoadPlan {
    /// Where to send; each gets the same share. Not empty.
    pub endpoints: Vec<Endpoint>,
    /// Broadcast streams to each of them, each on a connection of its own.
    pub streams_per_endpoint: usize,
    /// Envelopes per second.
    pub rate_per_s: u32,
}

/// A load that is running. Dropping it ends it at once.
#[derive(Debug)]
pub struct OpenLoop {
    pacer: AbortOnDropHandle<()>,
    lanes: Vec<AbortOnDropHandle<()>>,
    shared: Arc<Shared>,
}

/// What became of the envelopes so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadCounts {
    /// Envelopes that fell due.
    pub due: u64,
    /// Of them, answered with SUCCESS.
    pub acknowledged: u64,
    /// Of them, refused for good.
    pub refused: u64,
    /// Of them, left out because too many were on their way.
    pub left_out: u64,
    /// How often one was sent again.
    pub resent: u64,
    /// The last thing that went wrong.
    pub trouble: Option<String>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) recorder: Arc<LatencyRecorder>,
    pub(super) due: AtomicU64,
    pub(super) acknowledged: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) left_out: AtomicU64,
    pub(super) resent: AtomicU64,
    trouble: Mutex<Option<String>>,
}

impl OpenLoop {
    /// Starts sending `envelopes` at the rate of the plan; ends by itself when there are no more of them.
    #[must_use]
    pub fn start(plan: LoadPlan, envelopes: mpsc::Receiver<Bytes>, recorder: Arc<LatencyRecorder>) -> Self {
        let shared = Arc::new(Shared {
            recorder,
            due: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
            resent: AtomicU64::new(0),
            trouble: Mutex::new(None),
        });
        let endpoints: Arc<[Endpoint]> = plan.endpoints.into();
        let (mut lanes, mut queues) = (Vec::new(), Vec::new());
        for home in (0..endpoints.len()).cycle().take(endpoints.len() * plan.streams_per_endpoint) {
            let (queue, jobs) = mpsc::channel(STREAM_OUTSTANDING_MAX);
            let lane = Lane::new(Arc::clone(&endpoints), home, jobs, Arc::clone(&shared));
            lanes.push(AbortOnDropHandle::new(tokio::spawn(lane.run())));
            queues.push(queue);
        }
        let pacer = Pacer { queues, turn: 0, envelopes, shared: Arc::clone(&shared) };
        let pacer = AbortOnDropHandle::new(tokio::spawn(pacer.run(plan.rate_per_s)));
        Self { pacer, lanes, shared }
    }

    /// What became of the envelopes so far.
    #[must_use]
    pub fn counts(&self) -> LoadCounts {
        self.shared.counts()
    }

    /// True when there were no more envelopes and all have been answered.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.pacer.is_finished() && self.lanes.iter().all(AbortOnDropHandle::is_finished)
    }

    /// Lets no more envelopes fall due and waits until all are answered, at most for `patience`.
    pub async fn stop(self, patience: Duration) -> LoadCounts {
        // With the pacer go the queues' senders, by which the lanes learn that nothing more comes.
        drop(self.pacer);
        let answered = async {
            for lane in self.lanes {
                let _ = lane.await;
            }
        };
        let _ = tokio::time::timeout(patience, answered).await;
        self.shared.counts()
    }
}

impl Shared {
    pub(super) fn on_trouble(&self, what: &dyn std::fmt::Display) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(what.to_string());
    }

    fn counts(&self) -> LoadCounts {
        LoadCounts {
            due: self.due.load(Relaxed),
            acknowledged: self.acknowledged.load(Relaxed),
            refused: self.refused.load(Relaxed),
            left_out: self.left_out.load(Relaxed),
            resent: self.resent.load(Relaxed),
            trouble: self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

impl EnvelopeFactory {
    /// Signs transactions with so many bytes of data on a thread of its own, a few thousand ahead of whoever takes
    /// them. The thread ends when the receiver is dropped.
    #[must_use]
    pub fn sign_ahead(&self, data_bytes: usize) -> mpsc::Receiver<Bytes> {
        let (sender, receiver) = mpsc::channel(SIGNED_AHEAD_MAX);
        let factory = self.clone();
        std::thread::spawn(move || while sender.blocking_send(factory.transaction_of_size(data_bytes)).is_ok() {});
        receiver
    }
}

/// Hands out envelopes as they fall due.
struct Pacer {
    queues: Vec<mpsc::Sender<Job>>,
    turn: usize,
    envelopes: mpsc::Receiver<Bytes>,
    shared: Arc<Shared>,
}

impl Pacer {
    async fn run(mut self, rate_per_s: u32) {
        let start = Instant::now();
        let due_at = |number: u64| start + Duration::from_secs_f64(number as f64 / f64::from(rate_per_s));
        let mut number = 0;
        loop {
            let Some(envelope) = self.envelopes.recv().await else { return };
            let due = due_at(number);
            if due > Instant::now() {
                tokio::time::sleep_until(due.into()).await;
            }
            self.on_due(envelope, due);
            number += 1;
        }
    }

    /// Gives an envelope to the next lane that has room.
    fn on_due(&mut self, envelope: Bytes, due: Instant) {
        self.shared.due.fetch_add(1, Relaxed);
        let key = EnvelopeKey::of(&envelope);
        let mut job = Job { key, envelope };
        if self.shared.recorder.outstanding() < OUTSTANDING_MAX {
            self.shared.recorder.on_submitted(key, due);
            for _ in 0..self.queues.len() {
                self.turn = (self.turn + 1) % self.queues.len();
                match self.queues[self.turn].try_send(job) {
                    Ok(()) => return,
                    Err(TrySendError::Full(back) | TrySendError::Closed(back)) => job = back,
                }
            }
            self.shared.recorder.on_refused(key);
        }
        self.shared.left_out.fetch_add(1, Relaxed);
    }
}
