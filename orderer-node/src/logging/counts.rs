//! How many entries the log has seen: Fabric's `logging_entries_checked` and `logging_entries_written`.

use std::sync::atomic::{AtomicU64, Ordering};

use tracing::Level;

/// Counts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogCounts {
    written: [u64; LEVELS],
    left_out: [u64; LEVELS],
}

/// Counts since the start.
#[derive(Debug, Default)]
pub(super) struct Counts {
    written: [AtomicU64; LEVELS],
    /// Of a level that some logger writes, but not the one of this entry.
    left_out: [AtomicU64; LEVELS],
}

impl LogCounts {
    /// The level as Fabric calls it; how many entries were looked at, because some logger writes that level; and how many were
    /// written.
    #[must_use]
    pub fn by_level(&self) -> [(&'static str, u64, u64); LEVELS] {
        std::array::from_fn(|at| (NAMES[at], self.written[at] + self.left_out[at], self.written[at]))
    }
}

impl Counts {
    pub(super) fn on_written(&self, level: Level) {
        self.written[place(level)].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn on_left_out(&self, level: Level) {
        self.left_out[place(level)].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> LogCounts {
        let read = |counts: &[AtomicU64; LEVELS]| std::array::from_fn(|at| counts[at].load(Ordering::Relaxed));
        LogCounts { written: read(&self.written), left_out: read(&self.left_out) }
    }
}

fn place(level: Level) -> usize {
    match level {
        Level::TRACE => 0,
        Level::DEBUG => 1,
        Level::INFO => 2,
        Level::WARN => 3,
        Level::ERROR => 4,
    }
}

const LEVELS: usize = 5;
const NAMES: [&str; LEVELS] = ["payload", "debug", "info", "warn", "error"];
