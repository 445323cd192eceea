//! How far the load is: a bar on a terminal, a line each second elsewhere.

use std::io::IsTerminal as _;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// One bar at a time.
pub(super) struct Progress {
    is_shown: bool,
    /// Seconds at which the last line was written.
    line_s: AtomicU64,
}

impl Progress {
    /// A bar if somebody looks.
    pub(super) fn new() -> Self {
        Self { is_shown: std::io::stderr().is_terminal(), line_s: AtomicU64::new(0) }
    }

    /// A bar for envelopes.
    pub(super) fn envelopes(&self, what: &'static str, count: u64) -> ProgressBar {
        self.bar(what, count, "{prefix} [{bar:40}] {pos}/{len} {msg}")
    }

    /// A bar for time, to be moved in milliseconds.
    pub(super) fn time(&self, what: &'static str, duration: Duration) -> ProgressBar {
        self.bar(what, duration.as_millis() as u64, "{prefix} [{bar:40}] {elapsed} {msg}")
    }

    /// Where there is no bar, a line in every second.
    pub(super) fn line(&self, elapsed: Duration, text: &str) {
        let seconds = elapsed.as_secs();
        if !self.is_shown && self.line_s.swap(seconds, Relaxed) != seconds {
            eprintln!("loadgen: {seconds} s, {text}");
        }
    }

    fn bar(&self, what: &'static str, length: u64, template: &str) -> ProgressBar {
        let target = if self.is_shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::with_draw_target(Some(length), target).with_style(style).with_prefix(what)
    }
}
