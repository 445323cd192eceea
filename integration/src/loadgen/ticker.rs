//! Ends a tick of the time line again and again, as long as the load goes on.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::args::NamedProcess;
use super::percentiles::LatencyHistogram;
use super::sampler::Sampler;
use super::shared::Shared;

/// Ticks that go on.
pub(super) struct Ticker {
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl Ticker {
    /// The first tick begins now.
    pub(super) fn start(shared: Arc<Shared>, nodes: &[NamedProcess], every: Duration) -> Self {
        let (stop, sampler) = (CancellationToken::new(), Sampler::start(nodes));
        let task = AbortOnDropHandle::new(tokio::spawn(run(shared, sampler, every, stop.clone())));
        Self { stop, task }
    }

    /// Ends the last tick.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        // It fails only if it panicked, and then there are fewer ticks.
        drop(self.task.await);
    }
}

async fn run(shared: Arc<Shared>, mut sampler: Sampler, every: Duration, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first one is at once.
    ticks.tick().await;
    loop {
        let is_last = tokio::select! {
            _ = ticks.tick() => false,
            () = stop.cancelled() => true,
        };
        // Made before the lock is taken.
        let next = LatencyHistogram::new();
        let (tally, latencies) = shared.matching().end_tick(next);
        let (at_s, latencies, processes) = (shared.elapsed_s(), latencies.percentiles(), sampler.sample());
        shared.timeline().on_tick(at_s, &tally, &latencies, processes);
        if is_last {
            return;
        }
    }
}
