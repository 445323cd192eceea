//! Ends a tick of the time line again and again, as long as the load goes on.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::task::AbortOnDropHandle;

use super::args::NamedProcess;
use super::percentiles::LatencyHistogram;
use super::sampler::Sampler;
use super::shared::Shared;

/// Starts it. It ends when it is dropped.
pub(super) fn start(shared: Arc<Shared>, nodes: &[NamedProcess], tick: Duration) -> AbortOnDropHandle<()> {
    let mut sampler = Sampler::start(nodes);
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut ticks = tokio::time::interval(tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first one is at once.
        ticks.tick().await;
        loop {
            ticks.tick().await;
            // Made before the lock is taken.
            let next = LatencyHistogram::new();
            let (tally, latencies) = shared.matching().end_tick(next);
            let (at_s, latencies, processes) = (shared.elapsed_s(), latencies.percentiles(), sampler.sample());
            shared.timeline().on_tick(at_s, &tally, &latencies, processes);
        }
    }))
}
