//! The program as administrators call it: exit codes, reports and files.

#![allow(clippy::unwrap_used)]

mod explain;
mod inspect;
mod update;
mod verify;

use std::path::{Path, PathBuf};
use std::process::Command;

/// How a call ended.
struct Ended {
    code: i32,
    report: String,
    error: String,
}

/// Calls the program. Arguments are separated by spaces; `{d}` is the folder of test data, `{b}` that of real blocks,
/// `{t}` the given folder.
fn channel(arguments: &str, temporary: &Path) -> Ended {
    let blocks = format!("{}/../fabric-channel/tests/data", env!("CARGO_MANIFEST_DIR"));
    let arguments = arguments.split(' ').map(|argument| {
        let argument = argument.replace("{d}", data("").to_str().unwrap()).replace("{b}", &blocks);
        argument.replace("{t}", temporary.to_str().unwrap())
    });
    let output = Command::new(env!("CARGO_BIN_EXE_channel")).args(arguments).output().unwrap();
    Ended {
        code: output.status.code().unwrap(),
        report: String::from_utf8(output.stdout).unwrap(),
        error: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A call that needs no folder of its own.
fn call(arguments: &str) -> Ended {
    channel(arguments, Path::new("/nonexistent"))
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

impl Ended {
    #[track_caller]
    fn succeeds(self) -> String {
        assert_eq!((self.code, self.error.as_str()), (0, ""), "{}", self.report);
        self.report
    }

    /// One line of error with this text.
    #[track_caller]
    fn fails_with(self, text: &str) -> String {
        assert_eq!(self.code, 1, "{}{}", self.report, self.error);
        assert!(self.error.contains(text), "{}", self.error);
        assert_eq!(self.error.lines().count(), 1, "{}", self.error);
        self.report
    }
}
