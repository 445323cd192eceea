//! What all streams of one load share.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use fabric_proto::common::Status;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::limits::SETTLED_REMEMBERED_MAX;
use super::matching::{LaneIndex, Matching};
use super::mix::{Kind, Mix};
use super::quota::Quota;
use super::source::{Prepared, Recent, Sources};
use super::timeline::{Event, Timeline};

/// What all streams of one load share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) sources: Sources,
    pub(super) quota: Quota,
    /// Nothing more is to be sent.
    pub(super) stop: CancellationToken,
    /// Fell due and left out, because too many were on their way.
    pub(super) left_out: AtomicU64,
    /// How often a stream or a receiver was opened again.
    pub(super) reopened: AtomicU64,
    /// When the load began.
    pub(super) began: Instant,
    mix: Mix,
    picked: AtomicU64,
    recent: Mutex<Recent>,
    frontends: usize,
    /// In closed loop, the free places of each lane.
    places: Vec<Semaphore>,
    matching: Mutex<Matching>,
    timeline: Mutex<Timeline>,
    /// By name of the status.
    refusals: Mutex<BTreeMap<&'static str, u64>>,
    trouble: Mutex<Option<String>>,
}

/// What all streams of one load have in common from the start.
pub(super) struct Common {
    pub(super) sources: Sources,
    pub(super) mix: Mix,
    pub(super) frontends: usize,
    /// Ways to send.
    pub(super) lanes: usize,
    /// Free places of each in the beginning.
    pub(super) places: usize,
    /// What is to be marked in the time line.
    pub(super) events: Vec<Event>,
}

/// What a lane is to send.
pub(super) enum Picked {
    /// A new one.
    New(Prepared),
    /// An old one again.
    Copy(Prepared),
    /// One that should be refused; the lane beside it sends that.
    Unsigned,
}

impl Shared {
    pub(super) fn new(common: Common) -> Arc<Self> {
        Arc::new(Self {
            matching: Mutex::new(Matching::new(SETTLED_REMEMBERED_MAX, common.sources.channels())),
            sources: common.sources,
            quota: Quota::unlimited(),
            stop: CancellationToken::new(),
            left_out: AtomicU64::new(0),
            reopened: AtomicU64::new(0),
            began: Instant::now(),
            mix: common.mix,
            picked: AtomicU64::new(0),
            recent: Mutex::default(),
            frontends: common.frontends,
            places: (0..common.lanes).map(|_| Semaphore::new(common.places)).collect(),
            timeline: Mutex::new(Timeline::new(common.events)),
            refusals: Mutex::default(),
            trouble: Mutex::new(None),
        })
    }

    pub(super) fn matching(&self) -> MutexGuard<'_, Matching> {
        locked(&self.matching)
    }

    pub(super) fn timeline(&self) -> MutexGuard<'_, Timeline> {
        locked(&self.timeline)
    }

    /// Seconds since the load began.
    pub(super) fn elapsed_s(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// What is to be sent next to a frontend, as the mix says; nothing if there is no more.
    pub(super) fn pick(&self, frontend: usize) -> Option<Picked> {
        match self.mix.kind_of(self.picked.fetch_add(1, Relaxed)) {
            Kind::Unsigned => return Some(Picked::Unsigned),
            Kind::Duplicate => {
                if let Some(old) = locked(&self.recent).take_for(frontend, self.frontends) {
                    return Some(Picked::Copy(old));
                }
            }
            Kind::Signed => {}
        }
        self.sources.take().map(Picked::New)
    }

    /// A frontend has been given an envelope, which may now be sent again.
    pub(super) fn on_given(&self, frontend: usize, prepared: &Prepared) {
        if self.mix.duplicate > 0 {
            locked(&self.recent).on_sent(frontend, prepared.clone());
        }
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

    /// An envelope was answered with another status than SUCCESS.
    pub(super) fn on_refusal(&self, status: Status, info: &str) {
        *locked(&self.refusals).entry(status.as_str_name()).or_default() += 1;
        self.on_trouble(&format_args!("{}: {info}", status.as_str_name()));
    }

    /// How many were answered with which status.
    pub(super) fn refusals(&self) -> BTreeMap<String, u64> {
        locked(&self.refusals).iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    /// A stream has ended and is opened again.
    pub(super) fn on_reopened(&self, what: &str, why: &dyn Display) {
        self.reopened.fetch_add(1, Relaxed);
        self.timeline().on_event(self.elapsed_s(), format!("{what} opened again: {why}"));
    }

    /// Takes note of the last thing that went wrong.
    pub(super) fn on_trouble(&self, what: &dyn Display) {
        *locked(&self.trouble) = Some(what.to_string());
    }

    /// The last thing that went wrong.
    pub(super) fn trouble(&self) -> Option<String> {
        locked(&self.trouble).clone()
    }
}

/// Nothing here panics half-way through a change, so a poisoned lock guards a whole state.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
