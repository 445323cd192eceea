//! Tables and progress for people.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::numbers::Spread;
use super::table::{Row, TargetsTable};

/// The table as text: a line for each row, and below it what it was measured under.
pub(super) fn targets(table: &TargetsTable) -> String {
    let mut text = format!("machine: {}\n\n", table.machine);
    let header = ["row", "figure", "min .. max", "unit", "target", "verdict"].map(str::to_owned);
    let rows = table.rows.iter().map(|row| {
        let goal = row.goal.map_or_else(String::new, |goal| goal.to_string());
        let (figure, ends) = figures(row.spread);
        [row.name.clone(), figure, ends, row.unit.to_string(), goal, verdict(row).to_owned()]
    });
    text += &columns(std::iter::once(header).chain(rows).collect::<Vec<_>>().as_slice());
    for alike in table.rows.chunk_by(is_measured_alike) {
        text.push('\n');
        for row in alike {
            let _ = writeln!(text, "{}: {}", row.name, row.what);
        }
        let _ = writeln!(text, "  {}\n  {}", alike[0].conditions, alike[0].circumstances);
        for failure in alike.iter().flat_map(|row| &row.failures).collect::<BTreeSet<_>>() {
            let _ = writeln!(text, "  FAILED: {failure}");
        }
    }
    for skipped in &table.skipped {
        let _ = writeln!(text, "\nskipped: {skipped}");
    }
    text
}

/// Do two rows come from the same runs?
pub(super) fn is_measured_alike(one: &Row, other: &Row) -> bool {
    (&one.conditions, &one.circumstances) == (&other.conditions, &other.circumstances)
}

/// The same for programs: a line of numbers for each row, and a header that names units.
pub(super) fn targets_csv(table: &TargetsTable) -> String {
    let mut text = "row,unit,median,min,max,target,verdict,runs,conditions\n".to_owned();
    for row in &table.rows {
        let number = |of: fn(Spread) -> f64| row.spread.map_or_else(String::new, |spread| of(spread).to_string());
        let goal = row.goal.map_or_else(String::new, |goal| goal.to_string());
        let fields = [
            row.name.clone(),
            row.unit.to_string(),
            number(|spread| spread.median),
            number(|spread| spread.min),
            number(|spread| spread.max),
            goal,
            verdict(row).to_owned(),
            row.values.len().to_string(),
            row.conditions.to_string(),
        ];
        text += &(fields.map(|field| csv_field(&field)).join(",") + "\n");
    }
    text
}

/// Columns of text, each as wide as its widest field; the first one to the left, the others to the right.
pub(super) fn columns<const N: usize>(lines: &[[String; N]]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for line in lines {
        let fields = line.iter().zip(widths).enumerate().map(|(column, (field, width))| match column {
            0 => format!("{field:<width$}"),
            _ => format!("{field:>width$}"),
        });
        text += fields.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

pub(super) fn verdict(row: &Row) -> &'static str {
    match (row.is_met(), row.failures.is_empty()) {
        (_, false) => "FAILED",
        (Some(true), true) => "met",
        (Some(false), true) => "MISSED",
        (None, true) => "",
    }
}

fn figures(spread: Option<Spread>) -> (String, String) {
    spread.map_or_else(
        || ("none".to_owned(), String::new()),
        |Spread { median, min, max }| (number(median), format!("{} .. {}", number(min), number(max))),
    )
}

/// Three digits say enough.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::row;
    use super::super::table::{Goal, Unit};
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let lines = [["a", "1", ""], ["long", "200", "x"]].map(|line| line.map(str::to_owned));
        assert_eq!(columns(&lines), "a       1\nlong  200  x\n");
    }

    #[test]
    fn a_table_says_figure_goal_conditions_and_what_was_skipped() {
        let mut table = TargetsTable::empty();
        table.rows.push(row("idle", Unit::Milliseconds, Some(Goal::AtMost(4.0)), &[3.0, 5.0, 3.5]));
        table.rows.push(row("speed", Unit::EnvelopesPerS, Some(Goal::AtLeast(12_000.0)), &[]));
        table.rows[1].failures.push("no envelope was delivered".to_owned());
        table.skipped.push("etcdraft".to_owned());
        let text = targets(&table);
        for part in [
            "3.50",
            "3.00 .. 5.00",
            "<= 4",
            "met",
            "none",
            "FAILED",
            "n = 4",
            "FAILED: no envelope",
            "skipped: etcdraft",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_field_with_a_comma_is_one_field() {
        let mut table = TargetsTable::empty();
        table.rows.push(row("idle", Unit::Milliseconds, None, &[3.0]));
        let text = targets_csv(&table);
        let line = text.lines().nth(1).unwrap_or_default();
        assert!(line.starts_with("idle,ms,3,3,3,,,1,\"ours, n = 4;"), "{line}");
        assert_eq!(csv_field("a \"b\""), "\"a \"\"b\"\"\"");
    }

    #[test]
    fn three_digits_are_enough() {
        assert_eq!([1234.6, 99.46, 9.876, 0.001].map(number), ["1235", "99.5", "9.88", "0.00"]);
    }
}
