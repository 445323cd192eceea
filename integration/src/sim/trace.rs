//! What happened, as one number that two runs of a seed must agree on, and as lines that a person can follow.

use std::collections::VecDeque;
use std::fmt;

use mod_smart::Time;

use super::keys::checksum;

/// The story of one run.
#[derive(Debug, Default)]
pub struct Trace {
    hash: u64,
    events: u64,
    lines: Option<VecDeque<String>>,
    lines_max: usize,
}

impl Trace {
    /// Keeps the number alone.
    #[must_use]
    pub fn hashed() -> Self {
        Self::default()
    }

    /// Keeps the last so many lines, too.
    #[must_use]
    pub fn written(lines_max: usize) -> Self {
        Self { lines: Some(VecDeque::new()), lines_max, ..Self::default() }
    }

    /// Something happened. The words go into the number; the line is made only if lines are kept.
    pub fn note(&mut self, now: Time, words: [u64; 4], line: impl FnOnce() -> String) {
        self.events += 1;
        let mut bytes = [0; 40];
        for (at, word) in [now.0].into_iter().chain(words).enumerate() {
            bytes[8 * at..8 * at + 8].copy_from_slice(&word.to_le_bytes());
        }
        self.hash = checksum(self.hash, &bytes);
        self.say(now, line);
    }

    /// A remark for the reader alone.
    pub fn say(&mut self, now: Time, line: impl FnOnce() -> String) {
        let Some(lines) = &mut self.lines else { return };
        if lines.len() == self.lines_max {
            lines.pop_front();
        }
        lines.push_back(format!("{:>10}  {}", Millis(now), line()));
    }

    /// Are lines kept?
    #[must_use]
    pub const fn is_written(&self) -> bool {
        self.lines.is_some()
    }

    /// The number.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// How much happened.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// The lines that were kept.
    pub fn into_lines(self) -> impl Iterator<Item = String> {
        self.lines.into_iter().flatten()
    }
}

/// A time in milliseconds with three digits.
pub struct Millis(pub Time);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.0 / 1000;
        f.pad(&format!("{}.{:03}", micros / 1000, micros % 1000))
    }
}
