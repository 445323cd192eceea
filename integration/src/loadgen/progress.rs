//! A progress bar, on a terminal only.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// One bar at a time.
pub(super) struct Progress {
    is_shown: bool,
}

impl Progress {
    /// Shown if somebody looks.
    pub(super) fn new() -> Self {
        Self { is_shown: std::io::stderr().is_terminal() }
    }

    /// A bar for envelopes.
    pub(super) fn envelopes(&self, what: &'static str, count: u64) -> ProgressBar {
        self.bar(what, count, "{prefix} [{bar:40}] {pos}/{len} {msg}")
    }

    /// A bar for time, to be moved in milliseconds.
    pub(super) fn time(&self, what: &'static str, duration: Duration) -> ProgressBar {
        self.bar(what, duration.as_millis() as u64, "{prefix} [{bar:40}] {elapsed} {msg}")
    }

    fn bar(&self, what: &'static str, length: u64, template: &str) -> ProgressBar {
        let target = if self.is_shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::with_draw_target(Some(length), target).with_style(style).with_prefix(what)
    }
}
