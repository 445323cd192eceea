//! Durations in buckets, as Prometheus has them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use crate::status::{add_one, load};

/// How many durations fell into each bucket. Only grows.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    /// One bucket for each bound, and one for what is longer.
    buckets: [AtomicU64; BOUNDS_MICROS.len() + 1],
    sum_micros: AtomicU64,
}

/// A histogram at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HistogramSnapshot {
    /// How many durations are at most so long as the bound with the same index in [`BOUNDS_MICROS`]: each counts those
    /// before it too.
    pub cumulative: [u64; BOUNDS_MICROS.len()],
    /// How many there are.
    pub count: u64,
    /// What they add up to, in seconds.
    pub sum_s: f64,
}

impl Histogram {
    pub(super) fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        add_one(&self.buckets[BOUNDS_MICROS.partition_point(|bound| *bound < micros)]);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> HistogramSnapshot {
        let mut count = 0;
        let cumulative = std::array::from_fn(|bucket| {
            count += load(&self.buckets[bucket]);
            count
        });
        count += load(&self.buckets[BOUNDS_MICROS.len()]);
        HistogramSnapshot { cumulative, count, sum_s: load(&self.sum_micros) as f64 / 1e6 }
    }
}

/// Upper bounds of the buckets in microseconds: 5 ms to 10 s, those of Fabric's orderer.
pub const BOUNDS_MICROS: [u64; 11] =
    [5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_every_bucket_that_it_fits() {
        let histogram = Histogram::default();
        for micros in [0, 5_000, 5_001, 2_000_000, 11_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.cumulative, [2, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4]);
        assert_eq!(snapshot.count, 5);
        assert!((snapshot.sum_s - 13.010_001).abs() < 1e-9);
    }
}
