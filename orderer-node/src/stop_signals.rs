//! The signals that ask a program of this crate to stop in order.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a program does when the terminal closes that it was started from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// Stop in order.
    EndWith,
    /// What it would do anyway: whoever has that signal ignored wants the program to stay.
    Outlive,
}

/// From when this exists, no signal that means "stop" ends the process by itself.
#[derive(Debug)]
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Option<Signal>,
}

impl StopSignals {
    /// Begins to listen. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The system does not let this process listen.
    pub fn hear(terminal: Terminal) -> anyhow::Result<Self> {
        let hear = |kind| signal(kind).context("cannot listen for signals");
        let hang_up = match terminal {
            Terminal::EndWith => Some(hear(SignalKind::hangup())?),
            Terminal::Outlive => None,
        };
        Ok(Self { interrupt: hear(SignalKind::interrupt())?, terminate: hear(SignalKind::terminate())?, hang_up })
    }

    /// Waits for one, and names it.
    pub async fn next(&mut self) -> &'static str {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            _ = hang_up => "SIGHUP",
        }
    }
}
