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

/// Starts the thread. It ends when nothing more is to be sent.
pub(super) fn start(rate_per_s: u32, lanes: Vec<mpsc::Sender<Instant>>, shared: Arc<Shared>) {
    thread::spawn(move || {
        let start = Instant::now();
        for number in 0_u64.. {
            let due = start + due_after(number, rate_per_s);
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

/// When an envelope is due, from the start. Computed from its number, so that errors do not add up.
fn due_after(number: u64, rate_per_s: u32) -> Duration {
    let rate = u64::from(rate_per_s);
    Duration::from_secs(number / rate) + Duration::from_nanos(number % rate * 1_000_000_000 / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dues_are_even_and_do_not_drift() {
        for rate in [1, 3, 300, 999_983] {
            assert_eq!(due_after(0, rate), Duration::ZERO);
            assert_eq!(
                due_after(u64::from(rate) * 86_400, rate),
                Duration::from_secs(86_400),
                "after a day at {rate}/s"
            );
            let interval = due_after(8, rate) - due_after(7, rate);
            assert!(
                interval.abs_diff(Duration::from_secs(1) / rate) <= Duration::from_nanos(1),
                "{interval:?} at {rate}/s"
            );
        }
    }
}
