//! Who leads from when on, as the nodes say while everything else goes on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures::future::join_all;
use orderer_node::status::OrderingReport;
use tokio_util::task::AbortOnDropHandle;

use crate::site::Site;

/// It looks until it is dropped.
pub(super) struct Reigns {
    seen: Arc<Mutex<Vec<Beginning>>>,
    _task: AbortOnDropHandle<()>,
}

/// A regency that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Beginning {
    pub(super) at: SystemTime,
    pub(super) regency: u64,
    /// Who leads it, by its place among the nodes.
    pub(super) leader: usize,
    /// Why the one before has ended, in the nodes' words.
    pub(super) reason: String,
}

impl Reigns {
    /// Begins to look.
    pub(super) fn start(nodes: Site) -> Self {
        let seen = Arc::<Mutex<Vec<Beginning>>>::default();
        let task = tokio::spawn(look(nodes, Arc::clone(&seen)));
        Self { seen, _task: AbortOnDropHandle::new(task) }
    }

    /// The regencies that have begun since, in their order.
    pub(super) fn seen(&self) -> Vec<Beginning> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn look(nodes: Site, seen: Arc<Mutex<Vec<Beginning>>>) {
    let mut known = None;
    loop {
        let reports = join_all(nodes.ids().into_iter().map(|id| nodes.ordering(id))).await;
        let latest = reports.into_iter().flatten().filter(|it| it.is_synced).max_by_key(|report| report.regency);
        if let Some(report) = latest {
            if known.is_some_and(|known| report.regency > known) {
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(Beginning::of(&report));
            }
            known = known.max(Some(report.regency));
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

impl Beginning {
    fn of(report: &OrderingReport) -> Self {
        let change = report.regency_change.as_ref();
        let age = change.map_or(Duration::ZERO, |change| Duration::from_millis(change.age_ms));
        Self {
            at: SystemTime::now() - age,
            regency: report.regency,
            leader: usize::from(report.leader),
            reason: change.map(|change| change.reason.clone()).unwrap_or_default(),
        }
    }
}

const INTERVAL: Duration = Duration::from_millis(250);
