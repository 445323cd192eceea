//! What a person sees: on a terminal one line that is rewritten, elsewhere a line each second.

use std::io::{IsTerminal as _, Write as _};

/// Standard output.
pub(super) struct Display {
    is_terminal: bool,
    /// A status line stands on the terminal and is not ended.
    is_line_open: bool,
}

impl Display {
    pub(super) fn new() -> Self {
        Self { is_terminal: std::io::stdout().is_terminal(), is_line_open: false }
    }

    /// Something that is to stay.
    pub(super) fn say(&mut self, text: &str) {
        self.end_line();
        self.write(&format!("{text}\n"));
    }

    /// Where things stand; replaces what was said before.
    pub(super) fn status(&mut self, text: &str) {
        if self.is_terminal {
            self.write(&format!("\r{text}{CLEAR_TO_END}"));
            self.is_line_open = true;
        } else {
            self.write(&format!("{text}\n"));
        }
    }

    fn end_line(&mut self) {
        if std::mem::take(&mut self.is_line_open) {
            self.write("\n");
        }
    }

    /// A reader that has gone away is no reason to stop.
    fn write(&mut self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes());
        let _ = out.flush();
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.end_line();
    }
}

const CLEAR_TO_END: &str = "\x1b[K";
