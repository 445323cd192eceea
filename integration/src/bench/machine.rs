//! What a measurement was made on.

use std::fmt;
use std::fs;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

/// A machine, as far as it says what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineFacts {
    /// Processors that programs may use.
    pub processors: usize,
    /// What they call themselves.
    pub model: String,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Linux's release.
    pub kernel: String,
}

impl MachineFacts {
    /// This machine.
    #[must_use]
    pub fn this() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self {
            processors: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            model: value(&read("/proc/cpuinfo"), "model name").unwrap_or(UNKNOWN).to_owned(),
            memory_mib: value(&read("/proc/meminfo"), "MemTotal").and_then(kibibytes).unwrap_or(0) / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }

    /// Do figures of both mean the same? A kernel's release may change with an update of the system.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        (self.processors, &self.model) == (other.processors, &other.model)
    }
}

impl fmt::Display for MachineFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processors, model, memory_mib, kernel } = self;
        write!(f, "{processors} processors ({model}), {memory_mib} MiB, Linux {kernel}")
    }
}

/// What stands behind `name` and a colon.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

fn kibibytes(text: &str) -> Option<u64> {
    text.strip_suffix(" kB")?.parse().ok()
}

const UNKNOWN: &str = "of a kind that it does not tell";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_found_behind_their_names() {
        let text = "processor\t: 0\nmodel name\t: A (R) B 9: C\nmodel name\t: other\n";
        assert_eq!(value(text, "model name"), Some("A (R) B 9: C"));
        assert_eq!(value(text, "model"), None);
        assert_eq!(kibibytes("8048 kB"), Some(8048));
        assert_eq!(kibibytes("8048"), None);
    }

    #[test]
    fn this_machine_is_like_itself_and_not_like_a_larger_one() {
        let this = MachineFacts::this();
        assert!(this.processors > 0 && this.memory_mib > 0, "{this}");
        assert!(this.is_like(&MachineFacts { kernel: "another".to_owned(), ..this.clone() }));
        assert!(!this.is_like(&MachineFacts { processors: this.processors + 1, ..this.clone() }));
        assert!(!this.is_like(&MachineFacts { model: "another".to_owned(), ..this.clone() }));
    }
}
