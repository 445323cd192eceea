//! Worlds set by hand, each to measure one thing: the same nodes, the same checkers, the default timeouts, and no chance
//! but that of the network.
//!
//! Time and places are such that an hour is some ten thousand decisions. The simulator has no processors: what a group
//! carries is the size of its batches over the time that a decision takes.

mod idle;
mod overload;
mod place;
mod slow_leader;

use mod_smart::Regency;

use super::Outcome;
use super::counts::Course;

/// A world to measure something in.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    run: fn(&mut Report) -> anyhow::Result<()>,
}

/// What a scenario came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Names and values, in the order they were found.
    pub figures: Vec<(String, String)>,
    /// What is not as it must be.
    pub failures: Vec<String>,
}

impl Scenario {
    /// Every scenario.
    #[must_use]
    pub fn all() -> &'static [Self] {
        ALL
    }

    /// Runs it.
    ///
    /// # Errors
    /// The world cannot be built. What goes wrong in it is in the report.
    pub fn run(&self) -> anyhow::Result<Report> {
        let mut report = Report::default();
        (self.run)(&mut report)?;
        Ok(report)
    }
}

impl Report {
    fn figure(&mut self, name: &str, value: impl ToString) {
        self.figures.push((name.to_owned(), value.to_string()));
    }

    /// Fails if `holds` does not.
    fn demand(&mut self, what: &str, holds: bool) {
        if !holds {
            self.failures.push(what.to_owned());
        }
    }

    /// Every run must hold every property.
    fn demand_sound(&mut self, outcome: &Outcome) {
        if let Some(violation) = &outcome.violation {
            self.failures.push(format!("{}: {}", violation.property, violation.what));
        }
    }

    /// Nobody correct ever asked for another leader.
    fn demand_calm(&mut self, course: &Course, outcome: &Outcome) {
        self.figure("regency changes", outcome.counts.regency_changes);
        let asked = self.tell_asked(course);
        self.demand("no regency change", outcome.counts.regency_changes == 0 && asked == 0);
    }

    /// Who asked for another leader, and why. Gives how many.
    fn tell_asked(&mut self, course: &Course) -> usize {
        let asked: Vec<_> = course.asked().collect();
        let mut regencies: Vec<Regency> = asked.iter().map(|(regency, ..)| *regency).collect();
        regencies.dedup();
        for regency in regencies.into_iter().take(TOLD_MAX) {
            let told = asked.iter().filter(|(of, ..)| *of == regency);
            let told = told.map(|(_, id, at, reason)| format!("{id} after {:.1} s ({reason})", at.as_secs_f64()));
            self.figure(&format!("asked for regency {regency}"), told.collect::<Vec<_>>().join(", "));
        }
        asked.len()
    }
}

const TOLD_MAX: usize = 20;

const ALL: &[Scenario] = &[
    Scenario { name: "idle", about: "an idle hour, n = 4", run: idle::flat },
    Scenario { name: "idle-weighted", about: "an idle hour, n = 6 with weights 3-3-1-1-1-1", run: idle::weighted },
    Scenario { name: "overload", about: "an hour at twice the load the group carries, n = 4", run: overload::flat },
    Scenario {
        name: "slow-leader",
        about: "a leader just under the timeout, and what it costs once noticed, n = 4",
        run: slow_leader::under_the_timeout,
    },
    Scenario {
        name: "slow-leaders",
        about: "two of them one after the other, n = 7",
        run: slow_leader::two_under_the_timeout,
    },
    Scenario {
        name: "slow-leader-pace",
        about: "a leader just under the limit of the pace, n = 4",
        run: slow_leader::under_the_pace,
    },
    Scenario {
        name: "slow-leader-raised",
        about: "a leader that raises the limits it stays under, n = 4",
        run: slow_leader::under_raised_limits,
    },
];
