//! How a command ends badly.

use std::process::ExitCode;

use thiserror::Error;

use crate::words::printable;

/// The arguments make no sense together.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// The error for arguments that make no sense.
pub(crate) fn usage(text: impl Into<String>) -> anyhow::Error {
    Usage(text.into()).into()
}

/// What the program exits with: 2 for its arguments, 1 for all that is invalid or refused.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
}

/// An error with its causes in one line. Many errors print their cause themselves; it is not repeated.
#[must_use]
pub fn describe(error: &anyhow::Error) -> String {
    let text = error.chain().fold(String::new(), |text, cause| {
        let cause = cause.to_string();
        match text.as_str() {
            "" => cause,
            said if said.ends_with(&cause) => text,
            _ => format!("{text}: {cause}"),
        }
    });
    printable(&text)
}
