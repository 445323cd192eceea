//! Latencies in a histogram of constant size, and what is said about them.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::limits::LATENCY_MAX;

/// Microseconds from 1 to [`LATENCY_MAX`], told apart to three digits.
#[derive(Clone, Debug)]
pub(super) struct LatencyHistogram(Histogram<u64>);

/// What is said about latencies; milliseconds. All zero if there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Envelopes measured.
    pub count: u64,
    /// Half of them took at most so long.
    pub p50_ms: f64,
    /// Nine of ten.
    pub p90_ms: f64,
    /// Ninety-nine of a hundred.
    pub p99_ms: f64,
    /// All but one of a thousand.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// The arithmetic mean.
    pub mean_ms: f64,
}

/// So large a share of the envelopes took at most so long.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencyPoint {
    /// Milliseconds.
    pub ms: f64,
    /// From 0 to 1.
    pub share: f64,
}

impl LatencyHistogram {
    /// Nothing measured yet.
    pub(super) fn new() -> Self {
        let max_us = LATENCY_MAX.as_micros() as u64;
        Self(Histogram::new_with_bounds(1, max_us, 3).expect("the bounds are in order"))
    }

    /// One more. What is longer than the longest counts as that.
    pub(super) fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }

    /// What is said about them.
    pub(super) fn percentiles(&self) -> Percentiles {
        let at = |quantile| millis(self.0.value_at_quantile(quantile) as f64);
        Percentiles {
            count: self.0.len(),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: millis(self.0.max() as f64),
            mean_ms: millis(self.0.mean()),
        }
    }

    /// The distribution in not more than 200 points, closer together towards the slowest. Empty if nothing was measured.
    pub(super) fn distribution(&self) -> Vec<LatencyPoint> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let even = (0..EVEN_POINTS).map(|number| number as f64 / EVEN_POINTS as f64);
        let tails =
            TAILS.into_iter().flat_map(|tail| (0..9).map(move |number| 1.0 - tail * (1.0 - number as f64 / 10.0)));
        let mut points: Vec<LatencyPoint> = Vec::new();
        for share in even.chain(tails).chain([1.0]) {
            let ms = millis(self.0.value_at_quantile(share) as f64);
            match points.last_mut() {
                // A step: only its upper end is needed.
                Some(last) if last.ms >= ms => last.share = share,
                _ => points.push(LatencyPoint { ms, share }),
            }
        }
        points
    }
}

/// So many points at even shares.
const EVEN_POINTS: u32 = 150;
/// Behind them, nine points for each of these shares of the slowest.
const TAILS: [f64; 4] = [1.0 / EVEN_POINTS as f64, 1e-3, 1e-4, 1e-5];

fn millis(micros: f64) -> f64 {
    micros / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_a_known_sequence() {
        let mut histogram = LatencyHistogram::new();
        for ms in (1..=2000).rev() {
            histogram.record(Duration::from_millis(ms));
        }
        let found = histogram.percentiles();
        assert_eq!(found.count, 2000);
        for (found, expected) in [
            (found.p50_ms, 1000.0),
            (found.p90_ms, 1800.0),
            (found.p99_ms, 1980.0),
            (found.p999_ms, 1998.0),
            (found.max_ms, 2000.0),
            (found.mean_ms, 1000.5),
        ] {
            assert!((found - expected).abs() <= expected / 1000.0, "{found} is not {expected}");
        }
    }

    #[test]
    fn the_rank_is_the_smallest_that_covers_the_share() {
        let mut histogram = LatencyHistogram::new();
        (0..99).for_each(|_| histogram.record(Duration::from_millis(1)));
        histogram.record(Duration::from_millis(500));
        let found = histogram.percentiles();
        assert!(found.p99_ms < 1.01, "99 of 100 took a millisecond: {found:?}");
        assert!(found.p999_ms > 499.0, "the last one did not: {found:?}");
    }

    #[test]
    fn nothing_and_too_much() {
        assert_eq!(LatencyHistogram::new().percentiles(), Percentiles::default());
        let mut histogram = LatencyHistogram::new();
        histogram.record(LATENCY_MAX * 3);
        let found = histogram.percentiles();
        assert!((found.max_ms - millis(LATENCY_MAX.as_micros() as f64)).abs() < found.max_ms / 500.0, "{found:?}");
    }

    #[test]
    fn the_distribution_rises_to_all_of_them() {
        let mut histogram = LatencyHistogram::new();
        assert_eq!(histogram.distribution(), []);
        (1..=100_000).for_each(|us| histogram.record(Duration::from_micros(us)));
        let points = histogram.distribution();
        assert!((150..=200).contains(&points.len()), "{} points", points.len());
        assert!(points.is_sorted_by(|one, next| one.ms < next.ms && one.share < next.share));
        assert!(points.iter().all(|point| (point.ms - point.share * 100.0).abs() < 0.2), "{points:?}");
        assert!(points.last().is_some_and(|last| last.share >= 1.0));
    }

    #[test]
    fn a_step_is_one_point() {
        let mut histogram = LatencyHistogram::new();
        (0..99).for_each(|_| histogram.record(Duration::from_millis(1)));
        histogram.record(Duration::from_millis(500));
        let points = histogram.distribution();
        assert_eq!(points.len(), 2, "{points:?}");
        assert!((points[0].share - 0.99).abs() < 0.01 && points[1].share >= 1.0, "{points:?}");
    }
}
