//! The way from one process to another: when what leaves now arrives. All connections between the two share it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::matrix::OneWay;

/// One direction between two processes.
#[derive(Debug)]
pub(super) struct Line {
    delay: OneWay,
    bytes_per_s: Option<f64>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    noise: Noise,
    /// When the last byte so far has left.
    free_at: Option<Instant>,
}

impl Line {
    /// A line with this delay; without a deviation it is always the same. `seed` makes its jitter repeatable.
    pub(super) fn new(delay: OneWay, bytes_per_s: Option<f64>, seed: u64) -> Self {
        Self { delay, bytes_per_s, state: Mutex::new(State { noise: Noise::new(seed), free_at: None }) }
    }

    /// The mean delay.
    pub(super) const fn delay(&self) -> Duration {
        self.delay.mean
    }

    /// When so many bytes arrive that are given to the line now: after what was given before has left, and they themselves
    /// have, and the delay. A delay below zero is none.
    pub(super) fn arrival(&self, now: Instant, bytes: usize) -> Instant {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = state.free_at.map_or(now, |free_at| free_at.max(now));
        let sending = self.bytes_per_s.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(bytes as f64 / rate));
        let left = begin + sending;
        state.free_at = Some(left);
        let (mean, deviation) = (self.delay.mean.as_secs_f64(), self.delay.deviation.as_secs_f64());
        let delay = if deviation > 0.0 { (mean + deviation * state.noise.normal()).max(0.0) } else { mean };
        left + Duration::from_secs_f64(delay)
    }

    /// How many bytes one connection may have on the line before its sender has to wait: twice what the line itself holds.
    pub(super) fn room(&self) -> usize {
        let held = self.bytes_per_s.map_or(0.0, |rate| rate * self.delay.mean.as_secs_f64() * 2.0);
        (held as usize).clamp(ROOM_MIN, ROOM_MAX)
    }
}

/// Numbers that look random and are the same for the same seed: `SplitMix64`.
#[derive(Debug)]
struct Noise(u64);

impl Noise {
    const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Above 0, at most 1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        ((mixed >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// Normal with mean 0 and deviation 1, by the method of Box and Muller.
    fn normal(&mut self) -> f64 {
        let (radius, angle) = ((-2.0 * self.unit().ln()).sqrt(), std::f64::consts::TAU * self.unit());
        radius * angle.cos()
    }
}

const ROOM_MIN: usize = 4 << 20;
const ROOM_MAX: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const MEAN: Duration = Duration::from_millis(100);

    fn line(deviation_ms: u64, bytes_per_s: Option<f64>) -> Line {
        Line::new(OneWay { mean: MEAN, deviation: Duration::from_millis(deviation_ms) }, bytes_per_s, 7)
    }

    #[test]
    fn without_jitter_everything_takes_equally_long() {
        let (line, now) = (line(0, None), Instant::now());
        for step in [0, 3, 3, 1_000] {
            let at = now + Duration::from_millis(step);
            assert_eq!(line.arrival(at, 1 << 20), at + MEAN);
        }
        assert_eq!(line.delay(), MEAN);
    }

    #[test]
    fn jitter_has_the_mean_and_the_deviation_asked_for_and_is_the_same_again() {
        let (one, same, now) = (line(10, None), line(10, None), Instant::now());
        let delays: Vec<f64> = (0..10_000).map(|_| (one.arrival(now, 1) - now).as_secs_f64() * 1e3).collect();
        let mean = delays.iter().sum::<f64>() / delays.len() as f64;
        let deviation = (delays.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / delays.len() as f64).sqrt();
        assert!((mean - 100.0).abs() < 0.5 && (deviation - 10.0).abs() < 0.5, "{mean} +- {deviation}");
        assert!((0..100).all(|at| ((same.arrival(now, 1) - now).as_secs_f64() * 1e3 - delays[at]).abs() < 1e-9));
    }

    #[test]
    fn a_delay_is_never_below_zero() {
        let (line, now) = (Line::new(OneWay { mean: Duration::ZERO, deviation: MEAN }, None, 1), Instant::now());
        let arrivals: Vec<Instant> = (0..1_000).map(|_| line.arrival(now, 1)).collect();
        assert!(arrivals.iter().all(|at| *at >= now) && arrivals.contains(&now));
    }

    #[test]
    fn what_is_given_faster_than_the_bandwidth_queues_and_what_is_slower_does_not() {
        let (line, now) = (line(0, Some(1e6)), Instant::now());
        let millis = |ms| now + MEAN + Duration::from_millis(ms);
        assert_eq!([10_000, 10_000, 5_000].map(|bytes| line.arrival(now, bytes)), [millis(10), millis(20), millis(25)]);
        let later = now + Duration::from_secs(1);
        assert_eq!(line.arrival(later, 1_000), later + MEAN + Duration::from_millis(1));
    }

    #[test]
    fn room_is_twice_what_the_line_holds_within_bounds() {
        assert_eq!((line(0, None).room(), line(0, Some(1e6)).room()), (ROOM_MIN, ROOM_MIN));
        assert_eq!((line(0, Some(1e8)).room(), line(0, Some(1e10)).room()), (20_000_000, ROOM_MAX));
    }
}
