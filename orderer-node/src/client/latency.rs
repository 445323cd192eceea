//! From submitted to delivered: how long it took, and whether it happened at all.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use sha2::{Digest as _, Sha256};

use super::limits::{DELIVERED_REMEMBERED_MAX, LATENCY_MAX};

/// What an envelope is recognised by in a block: SHA-256 of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EnvelopeKey([u8; 32]);

impl EnvelopeKey {
    /// The key of an encoded envelope.
    #[must_use]
    pub fn of(envelope: &[u8]) -> Self {
        Self(Sha256::digest(envelope).into())
    }
}

/// Pairs submissions with deliveries. Shared by those who submit and those who receive.
#[derive(Debug)]
pub struct LatencyRecorder(Mutex<Record>);

/// Latencies of what was delivered so far, from the moment it was due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    /// Envelopes measured.
    pub count: u64,
    /// Half of them took at most so long.
    pub p50: Duration,
    /// Nine of ten.
    pub p90: Duration,
    /// Ninety-nine of a hundred.
    pub p99: Duration,
    /// All but one of a thousand.
    pub p999: Duration,
    /// The longest.
    pub max: Duration,
    /// The arithmetic mean.
    pub mean: Duration,
}

/// What has not come to an end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unaccounted {
    /// Answered with SUCCESS and not delivered: lost, once nothing is on its way any more.
    pub acknowledged: usize,
    /// Neither answered with SUCCESS nor delivered.
    pub unanswered: usize,
    /// Delivered more than once.
    pub repeated: u64,
}

#[derive(Debug)]
struct Record {
    underway: HashMap<EnvelopeKey, Underway>,
    delivered: HashSet<EnvelopeKey>,
    /// The same, oldest first.
    delivered_order: VecDeque<EnvelopeKey>,
    repeated: u64,
    histogram_us: Histogram<u64>,
}

#[derive(Debug)]
struct Underway {
    due: Instant,
    is_acknowledged: bool,
}

impl Default for LatencyRecorder {
    fn default() -> Self {
        Self::new()
    }
}

impl LatencyRecorder {
    /// Nothing measured yet.
    #[must_use]
    pub fn new() -> Self {
        let max_us = LATENCY_MAX.as_micros() as u64;
        let histogram_us = Histogram::new_with_bounds(1, max_us, 3).expect("the bounds are in order");
        Self(Mutex::new(Record {
            underway: HashMap::new(),
            delivered: HashSet::new(),
            delivered_order: VecDeque::new(),
            repeated: 0,
            histogram_us,
        }))
    }

    /// An envelope that fell due at `due` is about to be sent.
    pub fn on_submitted(&self, key: EnvelopeKey, due: Instant) {
        self.record().underway.insert(key, Underway { due, is_acknowledged: false });
    }

    /// It was answered with SUCCESS.
    pub fn on_acknowledged(&self, key: EnvelopeKey) {
        if let Some(underway) = self.record().underway.get_mut(&key) {
            underway.is_acknowledged = true;
        }
    }

    /// It was refused for good: it is not expected any more.
    pub fn on_refused(&self, key: EnvelopeKey) {
        self.record().underway.remove(&key);
    }

    /// An envelope arrived in a block at `at`; how long it took, if it is one of ours and arrives for the first time.
    pub fn on_delivered(&self, key: EnvelopeKey, at: Instant) -> Option<Duration> {
        let mut record = self.record();
        let Entry::Occupied(underway) = record.underway.entry(key) else {
            if record.delivered.contains(&key) {
                record.repeated += 1;
            }
            return None;
        };
        let latency = at.saturating_duration_since(underway.remove().due);
        record.histogram_us.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        record.remember(key);
        Some(latency)
    }

    /// Envelopes submitted and not delivered.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.record().underway.len()
    }

    /// What is missing or too much.
    #[must_use]
    pub fn unaccounted(&self) -> Unaccounted {
        let record = self.record();
        let acknowledged = record.underway.values().filter(|underway| underway.is_acknowledged).count();
        Unaccounted { acknowledged, unanswered: record.underway.len() - acknowledged, repeated: record.repeated }
    }

    /// The latencies so far.
    #[must_use]
    pub fn latencies(&self) -> Latencies {
        let record = self.record();
        let histogram = &record.histogram_us;
        let at = |quantile| Duration::from_micros(histogram.value_at_quantile(quantile));
        Latencies {
            count: histogram.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: Duration::from_micros(histogram.max()),
            mean: Duration::from_micros(histogram.mean() as u64),
        }
    }

    /// Forgets the latencies so far, not what is underway: what comes before is a warm-up.
    pub fn reset_latencies(&self) {
        self.record().histogram_us.reset();
    }

    fn record(&self) -> std::sync::MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    fn remember(&mut self, key: EnvelopeKey) {
        if self.delivered_order.len() == DELIVERED_REMEMBERED_MAX
            && let Some(oldest) = self.delivered_order.pop_front()
        {
            self.delivered.remove(&oldest);
        }
        self.delivered.insert(key);
        self.delivered_order.push_back(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> EnvelopeKey {
        EnvelopeKey::of(&number.to_be_bytes())
    }

    #[test]
    fn quantiles_come_from_due_times() {
        let (recorder, start) = (LatencyRecorder::new(), Instant::now());
        for number in 1..=1000 {
            recorder.on_submitted(key(number), start);
        }
        for number in 1..=1000_u32 {
            let took = Duration::from_millis(number.into());
            assert_eq!(recorder.on_delivered(key(number), start + took), Some(took));
        }
        let latencies = recorder.latencies();
        assert_eq!(latencies.count, 1000);
        for (found, expected_ms) in
            [(latencies.p50, 500), (latencies.p90, 900), (latencies.p99, 990), (latencies.max, 1000)]
        {
            let expected = Duration::from_millis(expected_ms);
            assert!(found.abs_diff(expected) < Duration::from_millis(2), "{found:?}, not {expected:?}");
        }
        assert_eq!(recorder.unaccounted(), Unaccounted::default());
    }

    #[test]
    fn what_is_missing_and_what_comes_twice_is_counted() {
        let (recorder, now) = (LatencyRecorder::new(), Instant::now());
        for number in 0..5 {
            recorder.on_submitted(key(number), now);
        }
        recorder.on_acknowledged(key(0));
        recorder.on_acknowledged(key(1));
        recorder.on_refused(key(2));
        recorder.on_delivered(key(1), now);
        recorder.on_delivered(key(1), now);
        assert_eq!(recorder.on_delivered(key(77), now), None, "somebody else's");
        assert_eq!(recorder.unaccounted(), Unaccounted { acknowledged: 1, unanswered: 2, repeated: 1 });
        assert_eq!(recorder.outstanding(), 3);
    }

    #[test]
    fn the_memory_of_delivered_envelopes_is_bounded() {
        let (recorder, now) = (LatencyRecorder::new(), Instant::now());
        for number in 0..=DELIVERED_REMEMBERED_MAX as u32 {
            recorder.on_submitted(key(number), now);
            recorder.on_delivered(key(number), now);
        }
        assert_eq!(recorder.record().delivered.len(), DELIVERED_REMEMBERED_MAX);
        recorder.on_delivered(key(0), now);
        recorder.on_delivered(key(1), now);
        assert_eq!(recorder.unaccounted().repeated, 1, "the first one is forgotten, the second one is not");
    }
}
