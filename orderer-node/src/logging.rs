//! The log of the `orderer` program, told what to do as Fabric's is: `FABRIC_LOGGING_SPEC` says which lines, and
//! `FABRIC_LOGGING_FORMAT` how they look. Lines go to standard error.
//!
//! * A specification is `[logger[,logger...]=]level[:...]`; see [`Spec`]. It can be read and replaced while the node runs.
//! * A format is `json`, `logfmt`, or text with verbs (`%{time}`, `%{level:.4s}`, ...); see [`Format`]. Without one, lines
//!   have Fabric's usual shape:
//!
//! ```text
//! 2026-11-22 00:00:00.000 UTC 0001 INFO [orderer.common.server] node -> Beginning to serve requests
//! ```
//!
//! Loggers have Fabric's names where there is one of the same meaning, so that a specification made for Fabric quiets or
//! opens what it should; [`names`] has the table. Times are UTC. Colours appear on terminals only.

mod counts;
mod fields;
mod format;
mod line;
pub mod names;
mod pad;
mod spec;
#[cfg(test)]
mod tests;
mod time;

use std::io::IsTerminal as _;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tracing::Metadata;
use tracing::subscriber::Interest;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Filter, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry};

use self::counts::Counts;
pub use self::counts::LogCounts;
pub use self::format::{Format, FormatError};
use self::line::Lines;
pub use self::spec::{Spec, SpecError};

/// The running log: its specification and its counts. Clones are the same log.
#[derive(Clone, Debug)]
pub struct LogControl {
    spec: Arc<ArcSwap<Spec>>,
    counts: Arc<Counts>,
}

/// Why the log cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The specification is wrong.
    #[error("FABRIC_LOGGING_SPEC: {0}")]
    Spec(#[from] SpecError),
    /// The format is wrong.
    #[error("FABRIC_LOGGING_FORMAT: {0}")]
    Format(#[from] FormatError),
    /// This process has a log already.
    #[error("the log of this process has been started before")]
    Twice,
}

/// Starts the log of this process: everything that any crate says, as far as `spec` lets it through, goes to standard error.
///
/// # Errors
/// One of the texts is wrong, or the process has a log already.
pub fn start(spec: &str, format: &str) -> Result<LogControl, LoggingError> {
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let (control, subscriber) = subscriber(spec, format, colours, std::io::stderr)?;
    subscriber.try_init().map_err(|_| LoggingError::Twice)?;
    Ok(control)
}

/// The log as a subscriber that writes wherever it is told to.
fn subscriber<W>(
    spec: &str,
    format: &str,
    colours: bool,
    writer: W,
) -> Result<(LogControl, impl tracing::Subscriber + Send + Sync), LoggingError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let control = LogControl { spec: Arc::new(ArcSwap::from_pointee(spec.parse()?)), counts: Arc::default() };
    let lines = Lines::new(format.parse()?, colours, Arc::clone(&control.counts));
    let layer = tracing_subscriber::fmt::layer().event_format(lines).with_writer(writer);
    let subscriber = Registry::default().with(layer.with_filter(SpecFilter(control.clone())));
    Ok((control, subscriber))
}

impl LogControl {
    /// The specification in force, in its canonical form: loggers in order, the level of all others last.
    #[must_use]
    pub fn spec(&self) -> String {
        self.spec.load().to_string()
    }

    /// Puts another specification in force, at once.
    ///
    /// # Errors
    /// It is not one; the old one stays.
    pub fn set_spec(&self, spec: &str) -> Result<(), SpecError> {
        self.spec.store(Arc::new(spec.parse()?));
        tracing::callsite::rebuild_interest_cache();
        Ok(())
    }

    /// How many lines there were since the start, by level.
    #[must_use]
    pub fn counts(&self) -> LogCounts {
        self.counts.read()
    }
}

/// Lets through what the specification in force lets through. The answer for each place in the code is remembered until
/// the specification changes; only a level that some logger writes and others do not is asked about, and counted, each time.
struct SpecFilter(LogControl);

impl SpecFilter {
    fn allows(&self, metadata: &Metadata<'_>) -> bool {
        self.0.spec.load().allows(&names::logger_of(metadata.target()), *metadata.level())
    }
}

impl<S> Filter<S> for SpecFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        let is_allowed = self.allows(metadata);
        if !is_allowed && metadata.is_event() {
            self.0.counts.on_left_out(*metadata.level());
        }
        is_allowed
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.allows(metadata) {
            Interest::always()
        } else if self.0.spec.load().most_verbose() >= *metadata.level() {
            Interest::sometimes()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0.spec.load().most_verbose())
    }
}
