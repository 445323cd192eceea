//! An error in one line, for people.

/// The error and its causes, separated by colons. A cause that the text before it ends with already is not said twice.
#[must_use]
pub fn describe(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read a: {source}")]
    struct Unreadable {
        source: io::Error,
    }

    #[test]
    fn every_cause_is_said_once() {
        let unreadable = Unreadable { source: io::Error::other("no disk") };
        assert_eq!(describe(&anyhow::Error::new(unreadable).context("no node")), "no node: cannot read a: no disk");
    }
}
