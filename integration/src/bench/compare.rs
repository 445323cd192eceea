//! Two tables of targets against each other: which costs have become worse.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, ensure};

use super::args::{CompareArgs, TargetsArgs, WINDOW_USUAL};
use super::console::{columns, number};
use super::table::{Row, SCHEMA, TargetsTable, Unit};
use super::{read_json, targets};

/// Growth of a cost by more than this share is a regression.
pub const TOLERATED: f64 = 0.10;

/// What has become of the processor time per envelope.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Rows that both tables have.
    pub changes: Vec<Change>,
    /// Rows of the earlier table that have no figure now.
    pub missing: Vec<String>,
    /// Rows that have no figure in the earlier table.
    pub new: Vec<String>,
}

/// One row in both tables.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// The median then.
    pub before: f64,
    /// The median now.
    pub now: f64,
}

/// Why two tables say nothing about each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A file of another version.
    #[error("schema {found}: this program compares schema {SCHEMA}")]
    Schema {
        /// The other version.
        found: u32,
    },
    /// Processor time of other processors.
    #[error("measured on other machines: {before}; {now}")]
    Machine {
        /// The earlier machine.
        before: String,
        /// The one now.
        now: String,
    },
    /// A row that measured something else then.
    #[error("{name} was measured under other conditions:\n  then: {before}\n  now:  {now}")]
    Conditions {
        /// The row.
        name: String,
        /// What was asked for then.
        before: String,
        /// And now.
        now: String,
    },
    /// Nothing that both measure.
    #[error("no cost per envelope is in both tables")]
    NothingInCommon,
}

impl Change {
    /// By which share it has grown; negative if it has become less.
    #[must_use]
    pub fn growth(&self) -> f64 {
        self.now / self.before - 1.0
    }

    /// Has it become worse?
    #[must_use]
    pub fn is_regression(&self) -> bool {
        self.growth() > TOLERATED
    }
}

impl Comparison {
    /// The rows that have become worse.
    pub fn regressions(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.is_regression())
    }
}

/// Compares the processor time per envelope of two tables. A row that failed has no figure that counts.
///
/// # Errors
/// [`Refusal`]: they say nothing about each other.
pub fn compare(before: &TargetsTable, now: &TargetsTable) -> Result<Comparison, Refusal> {
    for table in [before, now] {
        if table.schema != SCHEMA {
            return Err(Refusal::Schema { found: table.schema });
        }
    }
    if !before.machine.is_like(&now.machine) {
        return Err(Refusal::Machine { before: before.machine.to_string(), now: now.machine.to_string() });
    }
    let (costs_before, mut costs_now) = (costs(before), costs(now));
    let mut comparison = Comparison::default();
    for (name, (row, before)) in costs_before {
        let Some((row_now, now)) = costs_now.remove(name) else {
            comparison.missing.push(name.to_owned());
            continue;
        };
        if row.conditions != row_now.conditions {
            let (before, now) = (row.conditions.to_string(), row_now.conditions.to_string());
            return Err(Refusal::Conditions { name: name.to_owned(), before, now });
        }
        comparison.changes.push(Change { name: name.to_owned(), before, now });
    }
    comparison.new = costs_now.into_keys().map(str::to_owned).collect();
    if comparison.changes.is_empty() { Err(Refusal::NothingInCommon) } else { Ok(comparison) }
}

/// The rows that have a cost per envelope, with its median.
fn costs(table: &TargetsTable) -> BTreeMap<&str, (&Row, f64)> {
    let counts = |row: &&Row| row.unit == Unit::CpuUsPerEnvelope && row.failures.is_empty();
    let rows = table.rows.iter().filter(counts);
    rows.filter_map(|row| Some((row.name.as_str(), (row, row.spread?.median))))
        .filter(|(_, (_, cost))| *cost > 0.0)
        .collect()
}

/// Compares two files, or one with what is measured now. Gives whether nothing has become worse.
///
/// # Errors
/// [`Refusal`], or a file that cannot be read, or a measurement that cannot be made.
pub(super) async fn run(args: &CompareArgs) -> anyhow::Result<bool> {
    let before: TargetsTable = read_json(&args.against)?;
    let now = match &args.with {
        Some(file) => read_json(file)?,
        None => measure_again(args, &before).await?,
    };
    let comparison = compare(&before, &now).context("these two cannot be compared")?;
    print!("machine: {}\n\n{comparison}", now.machine);
    Ok(comparison.regressions().next().is_none())
}

/// The same rows as long as then.
async fn measure_again(args: &CompareArgs, before: &TargetsTable) -> anyhow::Result<TargetsTable> {
    let only: Vec<String> = costs(before).into_keys().map(str::to_owned).collect();
    ensure!(!only.is_empty(), "{} has no cost per envelope", args.against.display());
    let windows = before.rows.iter().filter_map(|row| row.conditions.instances_open_max);
    let args = TargetsArgs {
        only,
        window: windows.max().unwrap_or(WINDOW_USUAL),
        runs: args.runs,
        seconds: args.seconds,
        place: args.place.clone(),
        ..TargetsArgs::default()
    };
    targets::measure(&args).await
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = ["CPU us/envelope", "then", "now", "change", ""].map(str::to_owned);
        let line = |change: &Change| {
            let verdict = if change.is_regression() { "WORSE" } else { "" };
            let growth = format!("{:+.1} %", 100.0 * change.growth());
            [change.name.clone(), number(change.before), number(change.now), growth, verdict.to_owned()]
        };
        let lines: Vec<_> = std::iter::once(header).chain(self.changes.iter().map(line)).collect();
        f.write_str(&columns(&lines))?;
        for (names, what) in [(&self.missing, "no figure now"), (&self.new, "no figure then")] {
            if !names.is_empty() {
                writeln!(f, "{what}: {}", names.join(", "))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::table::tests::row;
    use super::*;

    fn table(rows: &[(&str, f64)]) -> TargetsTable {
        let rows = rows.iter().map(|(name, cost)| row(name, Unit::CpuUsPerEnvelope, None, &[*cost]));
        TargetsTable { rows: rows.collect(), ..TargetsTable::empty() }
    }

    fn worse(before: &[(&str, f64)], now: &[(&str, f64)]) -> Vec<String> {
        let comparison = compare(&table(before), &table(now)).unwrap();
        comparison.regressions().map(|change| change.name.clone()).collect()
    }

    #[test]
    fn more_than_a_tenth_is_worse_and_less_is_not() {
        let before = [("a", 10.0), ("b", 100.0)];
        assert_eq!(worse(&before, &before), Vec::<String>::new());
        assert_eq!(worse(&before, &[("a", 10.9), ("b", 50.0)]), Vec::<String>::new());
        assert_eq!(worse(&before, &[("a", 11.1), ("b", 50.0)]), ["a"]);
        assert_eq!(worse(&before, &[("a", 20.0), ("b", 200.0)]), ["a", "b"]);
    }

    #[test]
    fn rows_that_are_not_in_both_are_named() {
        let comparison = compare(&table(&[("a", 1.0), ("old", 1.0)]), &table(&[("a", 1.0), ("young", 9.0)])).unwrap();
        assert_eq!(
            (&comparison.missing[..], &comparison.new[..]),
            (&["old".to_owned()][..], &["young".to_owned()][..])
        );
        assert_eq!(comparison.regressions().count(), 0);
        let text = comparison.to_string();
        assert!(text.contains("no figure now: old") && text.contains("no figure then: young"), "{text}");
        let nothing = compare(&table(&[("a", 1.0)]), &table(&[("b", 1.0)]));
        assert_eq!(nothing, Err(Refusal::NothingInCommon));
    }

    #[test]
    fn only_costs_that_were_measured_without_failure_count() {
        let mut now = table(&[("a", 1.0), ("b", 99.0), ("c", 99.0), ("d", 99.0)]);
        now.rows[1].failures.push("envelopes were lost".to_owned());
        now.rows[2].unit = Unit::EnvelopesPerS;
        now.rows[3].spread = None;
        let comparison = compare(&table(&[("a", 1.0), ("b", 1.0), ("c", 1.0), ("d", 1.0)]), &now).unwrap();
        assert_eq!((comparison.changes.len(), comparison.missing.len()), (1, 3));
    }

    #[test]
    fn what_was_measured_otherwise_is_not_compared() {
        let before = table(&[("a", 1.0), ("b", 1.0)]);
        let mut now = before.clone();
        now.rows[1].conditions.nodes = 7;
        assert!(matches!(compare(&before, &now), Err(Refusal::Conditions { name, .. }) if name == "b"));
        let mut now = before.clone();
        now.machine.processors += 1;
        assert!(matches!(compare(&before, &now), Err(Refusal::Machine { .. })));
        let now = TargetsTable { schema: SCHEMA + 1, ..before.clone() };
        assert_eq!(compare(&before, &now), Err(Refusal::Schema { found: SCHEMA + 1 }));
        assert_eq!(compare(&now, &before), Err(Refusal::Schema { found: SCHEMA + 1 }));
        // The machine may have been busier, or the runs shorter: that is seen in the figures.
        let mut now = before.clone();
        now.rows[0].circumstances.load_average_before = 9.0;
        compare(&before, &now).unwrap();
    }
}
