//! How long a bundle waits for more envelopes: half of what acknowledgements wait on top of the way there and back.
//!
//! Every request costs each node a signature's verification, whatever it holds. While acknowledgements come as fast as they can, nobody
//! waits and a bundle leaves at once. When they come later than that, the nodes have more to do than they can, and larger
//! bundles are what helps them. The distance does not count, however far the nodes are: it is in the fastest acknowledgements too. No
//! node can make a frontend wait by itself, because an acknowledgement is the word of `f + 1`.

use std::time::{Duration, Instant};

use crate::node_limits::BUNDLE_WAIT_MAX;

/// What is known about acknowledgements, and when a bundle left last.
#[derive(Debug, Default)]
pub(crate) struct BundlePace {
    /// How long they take lately.
    usual: Duration,
    /// The fastest of the period before and of this one.
    fastest: [Option<Duration>; 2],
    period_began: Option<Instant>,
    sent_at: Option<Instant>,
}

impl BundlePace {
    /// A bundle has left.
    pub(crate) fn on_sent(&mut self, now: Instant) {
        self.sent_at = Some(now);
    }

    /// One is acknowledged after so long.
    pub(crate) fn on_held(&mut self, took: Duration, now: Instant) {
        if self.period_began.is_none_or(|began| now >= began + PERIOD) {
            self.period_began = Some(now);
            self.fastest = [self.fastest[1], None];
        }
        self.fastest[1] = Some(self.fastest[1].map_or(took, |fastest| fastest.min(took)));
        self.usual = (self.usual * (SMOOTHING - 1) + took) / SMOOTHING;
    }

    /// Until when a bundle that is not full waits; none if it does not.
    pub(crate) fn waits_until(&self, now: Instant) -> Option<Instant> {
        let fastest = self.fastest.iter().flatten().min()?;
        let wait = (self.usual.saturating_sub(*fastest) / 2).min(BUNDLE_WAIT_MAX);
        self.sent_at.map(|sent_at| sent_at + wait).filter(|until| wait >= WAIT_MIN && *until > now)
    }
}

/// How long the fastest acknowledgement is remembered, at least.
const PERIOD: Duration = Duration::from_secs(5);

/// The last acknowledgement counts this part.
const SMOOTHING: u32 = 8;

/// What a timer cannot tell from nothing.
const WAIT_MIN: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// What a bundle waits after so many acknowledgements of each of these kinds.
    fn wait_after(acknowledgements: &[(u32, Duration)]) -> Duration {
        let (mut pace, mut now) = (BundlePace::default(), Instant::now());
        for &(count, took) in acknowledgements {
            for _ in 0..count {
                now += MS;
                pace.on_held(took, now);
            }
        }
        pace.on_sent(now);
        pace.waits_until(now).map_or(Duration::ZERO, |until| until - now)
    }

    #[test]
    fn nobody_waits_while_nodes_answer_as_fast_as_they_can() {
        assert_eq!(wait_after(&[]), Duration::ZERO);
        assert_eq!(wait_after(&[(100, 3 * MS)]), Duration::ZERO);
        assert_eq!(wait_after(&[(100, 300 * MS)]), Duration::ZERO, "nodes that are far away");
        assert_eq!(wait_after(&[(100, 300 * MS), (100, 301 * MS)]), Duration::ZERO);
    }

    #[test]
    fn half_of_the_delay_is_waited_for_up_to_a_bound() {
        let wait = wait_after(&[(1, 2 * MS), (200, 12 * MS)]);
        assert!((4 * MS..=5 * MS).contains(&wait), "{wait:?}");
        assert_eq!(wait_after(&[(1, 2 * MS), (200, 1000 * MS)]), BUNDLE_WAIT_MAX);
    }

    #[test]
    fn what_was_fastest_is_forgotten_in_time() {
        let period = (PERIOD.as_millis() as u32) + 1;
        assert_eq!(wait_after(&[(1, 2 * MS), (2 * period, 50 * MS)]), Duration::ZERO, "that is the distance now");
        assert!(wait_after(&[(1, 2 * MS), (period, 50 * MS)]) > 15 * MS);
    }

    #[test]
    fn the_wait_is_over_when_it_is_over() {
        let mut pace = BundlePace::default();
        let now = Instant::now();
        pace.on_held(MS, now);
        (0..100).for_each(|_| pace.on_held(21 * MS, now));
        pace.on_sent(now);
        assert!(pace.waits_until(now).is_some() && pace.waits_until(now + BUNDLE_WAIT_MAX).is_none());
    }
}
