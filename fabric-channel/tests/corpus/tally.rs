//! Counting cases: run, passed, failed, skipped; what the command prints in the end.

#![allow(dead_code, reason = "each test program uses some of them")]

use std::any::Any;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What became of a case that did not fail.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All that it says holds here.
    Passed,
    /// The verdict holds; the class of error, which is only a hint, is another one.
    OtherClass(String),
    /// The verdict holds as far as it was looked at; a part was not, for this reason.
    Skipped(&'static str),
}

/// The cases of one corpus.
pub struct Tally {
    name: String,
    run: usize,
    failures: Vec<String>,
    skipped: BTreeMap<&'static str, Vec<String>>,
    other_classes: Vec<String>,
}

impl Tally {
    /// `origin` says where the cases come from.
    pub fn new(name: &str, origin: &str) -> Self {
        Self {
            name: format!("corpus {name} ({origin})"),
            run: 0,
            failures: Vec::new(),
            skipped: BTreeMap::new(),
            other_classes: Vec::new(),
        }
    }

    /// Runs one case. One that panics has failed, and so has one that its check does not know how to read.
    pub fn case(&mut self, id: &str, check: impl FnOnce() -> Result<Outcome, String>) {
        self.run += 1;
        match catch_unwind(AssertUnwindSafe(check)) {
            Ok(Ok(Outcome::Passed)) => {}
            Ok(Ok(Outcome::OtherClass(class))) => self.other_classes.push(format!("{id}: {class}")),
            Ok(Ok(Outcome::Skipped(why))) => self.skipped.entry(why).or_default().push(id.to_owned()),
            Ok(Err(failure)) => self.failures.push(format!("{id}: {failure}")),
            Err(panic) => self.failures.push(format!("{id}: panicked: {}", text_of(&*panic))),
        }
    }

    /// Counts a case that cannot even be read.
    pub fn unreadable(&mut self, why: &str) {
        self.run += 1;
        self.failures.push(why.to_owned());
    }

    /// Prints the counts, and fails the test if a case failed, if too many were skipped, or if there was none.
    pub fn finish(self) {
        let skipped: usize = self.skipped.values().map(Vec::len).sum();
        let (run, failed) = (self.run, self.failures.len());
        let passed = run - failed - skipped;
        let mut report =
            format!("{}: {run} cases run, {passed} passed, {failed} failed, {skipped} skipped\n", self.name);
        for (why, ids) in &self.skipped {
            report += &format!("    skipped {}: {why}: {}\n", ids.len(), ids.join(", "));
        }
        if !self.other_classes.is_empty() {
            report += &format!("    another class of error, a hint only, in {}:\n", self.other_classes.len());
            self.other_classes.iter().take(SHOWN_MAX).for_each(|other| report += &format!("        {other}\n"));
        }
        self.failures.iter().for_each(|failure| report += &format!("    FAILED {failure}\n"));
        // To the stream itself: the test program hides what a passing test prints by the usual way.
        let _ = std::io::stdout().write_all(format!("\n{report}").as_bytes());
        assert!(run > 0, "{}: there is no case", self.name);
        assert!(failed == 0, "{}: {failed} of {run} cases failed", self.name);
        assert!(skipped * SKIPPED_ONE_OF <= run, "{}: {skipped} of {run} cases are too many to skip", self.name);
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// At most one case of so many may be skipped: 0.5 %.
const SKIPPED_ONE_OF: usize = 200;
const SHOWN_MAX: usize = 12;
