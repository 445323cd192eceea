//! The clock of a replica. It stands still while the replica's own disk does.
//!
//! Nothing that matters can leave a replica while its disk keeps a commit, so no timer of it is of use then; and a replica
//! that waits for its own disk must not hold that against the leader. Whoever's disk is well goes on to count, so a leader
//! whose disk is stuck is accused all the same.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mod_smart::Time;

/// Nanoseconds since it was started, less the time for which the disk stood still.
#[derive(Clone, Debug)]
pub struct Clock {
    started: Instant,
    disk: Arc<Mutex<Standstill>>,
}

/// What the disk keeps the clock from.
#[derive(Debug, Default)]
struct Standstill {
    /// A commit is under way since then.
    since: Option<Instant>,
    /// How long earlier commits stood still.
    total: Duration,
}

impl Standstill {
    /// How long the commit under way has stood still.
    fn current(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed().saturating_sub(COMMIT_USUAL))
    }
}

impl Clock {
    /// Starts now.
    #[must_use]
    pub fn start() -> Self {
        // Time 0 lies in the past, so that a replica can reckon with ages.
        Self { started: Instant::now(), disk: Arc::default() }
    }

    /// What time it is. Never goes back.
    #[must_use]
    pub fn now(&self) -> Time {
        let disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = self.started.elapsed().saturating_sub(disk.total + disk.current());
        Time(u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX))
    }

    /// When to look whether it is this time. While the clock stands still, that is now and then.
    #[must_use]
    pub fn instant(&self, time: Time) -> tokio::time::Instant {
        let disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let at = self.started + disk.total + Duration::from_nanos(time.0);
        let soonest = if disk.current() > Duration::ZERO { Instant::now() + STANDSTILL_LOOK } else { at };
        tokio::time::Instant::from_std(at.max(soonest))
    }

    /// When it was this time.
    #[must_use]
    pub fn past(&self, time: Time) -> Instant {
        let disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        self.started + disk.total + Duration::from_nanos(time.0)
    }

    /// A commit begins.
    pub(crate) fn commit_begins(&self) {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner).since = Some(Instant::now());
    }

    /// The commit has ended.
    pub(crate) fn commit_ends(&self) {
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let stood_still = disk.current();
        disk.total += stood_still;
        disk.since = None;
    }
}

/// A commit may take so long before the clock stands still.
const COMMIT_USUAL: Duration = Duration::from_millis(50);

/// How often to look at a clock that stands still.
const STANDSTILL_LOOK: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_stands_still_while_the_disk_does_and_never_goes_back() {
        let clock = Clock::start();
        clock.commit_begins();
        std::thread::sleep(COMMIT_USUAL * 2);
        let stuck = clock.now();
        std::thread::sleep(COMMIT_USUAL * 4);
        assert!(clock.now() <= stuck.after(COMMIT_USUAL / 2), "it stands still");
        let look = clock.instant(stuck) - tokio::time::Instant::now();
        assert!(look > Duration::ZERO, "nobody spins until then");
        clock.commit_ends();
        let after = clock.now();
        assert!(after >= stuck && after <= stuck.after(COMMIT_USUAL), "and goes on from there");
        std::thread::sleep(COMMIT_USUAL);
        assert!(clock.now() >= after.after(COMMIT_USUAL / 2));
    }

    #[test]
    fn usual_commits_cost_no_time() {
        let clock = Clock::start();
        for _ in 0..5 {
            clock.commit_begins();
            std::thread::sleep(Duration::from_millis(5));
            clock.commit_ends();
        }
        assert!(clock.now() >= Time(25_000_000));
    }
}
