//! Keeps a log readable when somebody else decides how often something happens.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lets one line through per interval.
#[derive(Debug, Default)]
pub(super) struct LogPace {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    held_back: u64,
}

impl LogPace {
    /// Is a line due? If so, how many were held back since the last one.
    pub(super) fn due(&self) -> Option<u64> {
        self.due_at(Instant::now())
    }

    fn due_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| now - last < INTERVAL) {
            state.held_back += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.held_back))
    }
}

const INTERVAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_per_interval() {
        let (pace, start) = (LogPace::default(), Instant::now());
        assert_eq!(pace.due_at(start), Some(0));
        assert_eq!((pace.due_at(start), pace.due_at(start)), (None, None));
        assert_eq!(pace.due_at(start + INTERVAL), Some(2));
        assert_eq!(pace.due_at(start + INTERVAL), None);
    }
}
