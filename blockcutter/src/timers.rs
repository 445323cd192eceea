//! The local timers of open cuts.
//!
//! A timer changes nothing by itself: when it fires, the replica asks for the cut with an ordered command. It fires again,
//! because the command may be lost, and ever later, because it may only be waiting behind those of others.

use std::collections::BTreeMap;
use std::time::Duration;

use fabric_proto::ChannelId;
use mod_smart::Time;

use crate::ordering::Ordering;

/// One timer for each channel whose cut is open.
#[derive(Clone, Debug, Default)]
pub struct CutTimers(BTreeMap<ChannelId, CutTimer>);

#[derive(Clone, Debug)]
struct CutTimer {
    at: Time,
    /// The block that the cut will become.
    number: u64,
    /// How long after that it fires again.
    repeat: Duration,
}

impl CutTimers {
    /// Timers for all cuts that are open in this state: each gets its whole time again.
    #[must_use]
    pub fn of(ordering: &Ordering, now: Time) -> Self {
        let mut timers = Self::default();
        for channel in ordering.channels() {
            if let Some(cut) = ordering.open_cut(channel) {
                timers.open(now, channel.clone(), cut.number, cut.timeout);
            }
        }
        timers
    }

    /// A cut opened that will become this block ([`Output::CutOpened`](crate::Output::CutOpened)).
    pub fn open(&mut self, now: Time, channel: ChannelId, number: u64, timeout: Duration) {
        self.0.insert(channel, CutTimer { at: now.after(timeout), number, repeat: REPEAT });
    }

    /// When the next of them fires.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        self.0.values().map(|timer| timer.at).min()
    }

    /// The cuts that are still open though their time is over: they are to be asked for.
    pub fn take_expired(&mut self, now: Time, ordering: &Ordering) -> Vec<(ChannelId, u64)> {
        let mut expired = Vec::new();
        self.0.retain(|channel, timer| {
            let is_open = ordering.open_cut(channel).is_some_and(|cut| cut.number == timer.number);
            if is_open && timer.fires(now) {
                expired.push((channel.clone(), timer.number));
            }
            is_open
        });
        expired
    }
}

impl CutTimer {
    /// Is it time? Then it is again after twice as long.
    fn fires(&mut self, now: Time) -> bool {
        if now < self.at {
            return false;
        }
        self.at = now.after(self.repeat);
        self.repeat = (self.repeat * 2).min(REPEAT_MAX);
        true
    }
}

/// How long after its first firing the timer of a cut that is still open fires again.
const REPEAT: Duration = Duration::from_secs(2);

/// The longest time between two firings.
const REPEAT_MAX: Duration = Duration::from_secs(64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_that_stays_open_is_asked_for_ever_more_rarely() {
        let begun = Time(0).after(Duration::from_millis(100));
        let firings = |seconds: u32| {
            let mut timer = CutTimer { at: begun, number: 7, repeat: REPEAT };
            (0..seconds * 10).filter(|tenth| timer.fires(begun.after(Duration::from_millis(100) * *tenth))).count()
        };
        // After 0, 2, 6, 14, 30 and 62 s, and then every 64 s.
        assert_eq!(firings(62), 5);
        assert_eq!(firings(3600), 61);
    }
}
