//! What is asked of the time in what clients send: Fabric's `General.Authentication` (contract §1.4, §2.1).
//!
//! Nothing on the client side looks at the system's clock by itself, so that a test can let a certificate expire between
//! two blocks.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::limits::TIMESTAMP_WINDOW;

/// How strictly the times in requests and certificates are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// Greatest distance of a Deliver request's timestamp from the clock here.
    pub time_window: Duration,
    /// Takes creators whose certificates have expired, in Broadcast and in Deliver.
    pub no_expiration_checks: bool,
}

impl Default for Authentication {
    /// Fabric's: fifteen minutes, and expired certificates are refused.
    fn default() -> Self {
        Self { time_window: TIMESTAMP_WINDOW, no_expiration_checks: false }
    }
}

/// Says what time it is. Clones are one clock.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// The clock of the system.
    #[must_use]
    pub fn system() -> Self {
        Self::new(SystemTime::now)
    }

    /// A clock that shows what this says.
    #[must_use]
    pub fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// The rules with the clock they go by.
#[derive(Clone, Debug)]
pub(crate) struct Timing {
    pub(crate) authentication: Authentication,
    pub(crate) clock: Clock,
}

impl Timing {
    pub(crate) fn moment(&self) -> Moment {
        Moment { now: self.clock.now(), checks_expiry: !self.authentication.no_expiration_checks }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self { authentication: Authentication::default(), clock: Clock::system() }
    }
}

/// The time one message is judged at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// What time it is.
    pub now: SystemTime,
    /// Are certificates looked at for whether they have expired?
    pub checks_expiry: bool,
}

impl Moment {
    /// This time, by which certificates may have expired.
    #[must_use]
    pub const fn at(now: SystemTime) -> Self {
        Self { now, checks_expiry: true }
    }

    /// Seconds since 1970. A clock before that is taken for one at its beginning.
    #[must_use]
    pub fn unix_s(self) -> i64 {
        let since = self.now.duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    }

    /// The time for a check of expiry; `None` if there is none to be made.
    #[must_use]
    pub fn expiry_unix_s(self) -> Option<i64> {
        self.checks_expiry.then(|| self.unix_s())
    }

    /// Has a certificate expired that is valid up to and including this second? As Fabric's Deliver counts, not a
    /// moment earlier.
    #[must_use]
    pub fn is_after(self, end_unix_s: i64) -> bool {
        let Ok(end) = u64::try_from(end_unix_s) else { return self.checks_expiry };
        let end = UNIX_EPOCH.checked_add(Duration::from_secs(end));
        self.checks_expiry && end.is_some_and(|end| self.now > end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_good_to_its_last_second_and_for_ever_without_the_check() {
        let at = |millis: u64| Moment::at(UNIX_EPOCH + Duration::from_millis(millis));
        assert!(!at(5_000).is_after(5));
        assert!(at(5_001).is_after(5));
        assert!(at(0).is_after(-1));
        assert!(!Moment { checks_expiry: false, ..at(9_000) }.is_after(5));
        assert!(!at(9_000).is_after(i64::MAX));
        assert_eq!((at(5_900).unix_s(), at(5_900).expiry_unix_s()), (5, Some(5)));
    }
}
