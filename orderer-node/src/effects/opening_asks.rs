//! When to ask the group for the opening of channels: at once for what is new, ever more rarely for what was asked for.
//!
//! An ask that was made is kept by the replicas until it is ordered. As long as no quorum is there each repeat would wait
//! beside the first, with all that it says.

use std::time::Duration;

use blockcutter::Command;
use tokio::time::Instant;

/// What was asked for, and when to look again.
#[derive(Debug)]
pub(super) struct OpeningAsks {
    asked: Vec<Command>,
    due: Instant,
    repeat_at: Instant,
    pause: Duration,
}

impl OpeningAsks {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { asked: Vec::new(), due: now, repeat_at: now, pause: LOOKED_AFTER }
    }

    pub(super) const fn due(&self) -> Instant {
        self.due
    }

    pub(super) fn look_now(&mut self) {
        self.due = Instant::now();
    }

    /// What to ask for now, of all that is `wanted`.
    pub(super) fn take_due(&mut self, wanted: impl FnOnce() -> Vec<Command>) -> Vec<Command> {
        let now = Instant::now();
        if now < self.due {
            return Vec::new();
        }
        self.due = now + LOOKED_AFTER;
        let wanted = wanted();
        if wanted != self.asked {
            self.pause = LOOKED_AFTER;
        } else if now < self.repeat_at {
            return Vec::new();
        }
        self.pause = (self.pause * 2).min(REPEATED_AFTER_MAX);
        self.repeat_at = now + self.pause;
        self.asked.clone_from(&wanted);
        wanted
    }
}

const LOOKED_AFTER: Duration = Duration::from_secs(3);
const REPEATED_AFTER_MAX: Duration = Duration::from_secs(300);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fabric_proto::ChannelId;

    use super::*;

    fn open(channel: &str) -> Command {
        Command::OpenChannel { channel: ChannelId::new(channel).unwrap(), genesis: bytes::Bytes::new() }
    }

    #[test]
    fn what_is_new_is_asked_for_at_once_and_repeats_become_rare() {
        let mut asks = OpeningAsks::new();
        let mut look = |wanted: &[Command], repeats: bool| {
            asks.look_now();
            if repeats {
                asks.repeat_at = Instant::now();
            }
            (asks.take_due(|| wanted.to_vec()).len(), asks.pause.as_secs())
        };
        assert_eq!(look(&[open("a")], false), (1, 6));
        assert_eq!(look(&[open("a")], false), (0, 6));
        assert_eq!(look(&[open("a")], true), (1, 12));
        assert_eq!(look(&[open("b")], false), (1, 6), "another wish in the place of the first");
        for _ in 0..10 {
            look(&[open("b")], true);
        }
        assert_eq!(look(&[open("b")], true), (1, 300));
        assert_eq!(look(&[], false), (0, 6));
        asks.due = Instant::now() + LOOKED_AFTER;
        assert!(asks.take_due(|| unreachable!("not due")).is_empty());
    }
}
