//! The `channel` program.

use std::io::Write as _;
use std::process::ExitCode;

use channel_tool::arguments::Arguments;
use clap::Parser as _;

/// 0 if all is good, 1 if something is refused or invalid, 2 if the command line makes no sense.
fn main() -> ExitCode {
    let mut report = String::new();
    let ended = channel_tool::run(Arguments::parse(), &mut report);
    // Whoever closes the pipe early has seen enough.
    let _ = std::io::stdout().write_all(report.as_bytes());
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", channel_tool::describe(&error));
            channel_tool::exit_code(&error)
        }
    }
}
