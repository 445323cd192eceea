//! Says when envelopes fall due in open loop: at even intervals, each given to the next lane in turn.
//!
//! A thread of its own, because the runtime's timers know only whole milliseconds. What fell due while the thread could
//! not run is due at the time intended, not at the time it got to it: that is no omission of the orderer's making.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use orderer_node::client::OUTSTANDING_MAX;
use tokio::sync::mpsc;

use super::shared::Shared;

/// A rate that is reached in a straight line from nothing, and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    pub(super) rate_per_s: u32,
    /// How long it takes to reach the rate.
    pub(super) ramp: Duration,
}

/// Starts the thread. It ends when nothing more is to be sent.
pub(super) fn start(schedule: Schedule, lanes: Vec<mpsc::Sender<Instant>>, shared: Arc<Shared>) {
    thread::spawn(move || {
        let start = Instant::now();
        for number in 0_u64.. {
            let due = start + schedule.due_after(number);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if shared.stop.is_cancelled() || !shared.quota.take() {
                return;
            }
            let lane = &lanes[(number % lanes.len() as u64) as usize];
            let has_room = shared.matching().tally().underway < OUTSTANDING_MAX;
            if !has_room || lane.try_send(due).is_err() {
                shared.left_out.fetch_add(1, Relaxed);
            }
        }
    });
}

impl Schedule {
    /// When an envelope is due, from the start. Computed from its number, so that errors do not add up.
    fn due_after(&self, number: u64) -> Duration {
        let of_ramp = self.of_ramp();
        if number < of_ramp {
            // The area under the line up to here is the number.
            let ramp_s = self.ramp.as_secs_f64();
            return Duration::from_secs_f64((2.0 * number as f64 * ramp_s / f64::from(self.rate_per_s)).sqrt());
        }
        let (number, rate) = (number - of_ramp, u64::from(self.rate_per_s));
        self.ramp + Duration::from_secs(number / rate) + Duration::from_nanos(number % rate * 1_000_000_000 / rate)
    }

    /// How many fall due before the rate is reached.
    pub(super) fn of_ramp(&self) -> u64 {
        (f64::from(self.rate_per_s) * self.ramp.as_secs_f64() / 2.0) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dues_are_even_and_do_not_drift() {
        for rate in [1, 3, 300, 999_983] {
            let schedule = Schedule { rate_per_s: rate, ramp: Duration::ZERO };
            assert_eq!(schedule.due_after(0), Duration::ZERO);
            assert_eq!(
                schedule.due_after(u64::from(rate) * 86_400),
                Duration::from_secs(86_400),
                "after a day at {rate}/s"
            );
            let interval = schedule.due_after(8) - schedule.due_after(7);
            assert!(
                interval.abs_diff(Duration::from_secs(1) / rate) <= Duration::from_nanos(1),
                "{interval:?} at {rate}/s"
            );
        }
    }

    #[test]
    fn a_ramp_is_a_straight_line_up_to_the_rate() {
        let schedule = Schedule { rate_per_s: 1000, ramp: Duration::from_secs(10) };
        let before = |seconds| (0..20_000).take_while(|&number| schedule.due_after(number) < seconds).count();
        let counts: Vec<_> = [1, 2, 5, 10, 11].into_iter().map(|s| before(Duration::from_secs(s))).collect();
        for (count, expected) in counts.into_iter().zip([50, 200, 1250, 5000, 6000]) {
            assert!(count.abs_diff(expected) <= 1, "{count} instead of {expected}");
        }
        assert!((0..20_000).map(|number| schedule.due_after(number)).is_sorted(), "also where the line ends");
    }
}
