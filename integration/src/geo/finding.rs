//! What an experiment came to: tables, charts, targets, and the same as data.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::page::{Axis, Chart, Part, Section, Series, Table};

/// The outcome of one experiment.
#[derive(Clone, Debug, Default)]
pub struct Finding {
    /// The command that made it.
    pub name: &'static str,
    /// What was done.
    pub title: String,
    /// How to read it. An empty line begins a new paragraph.
    pub text: String,
    /// Figures, with the published ones beside them.
    pub tables: Vec<Table>,
    /// Distributions.
    pub charts: Vec<Chart>,
    /// What was promised.
    pub targets: Vec<Target>,
    /// The figures for programs.
    pub data: Value,
}

/// Something that was promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What.
    pub what: String,
    /// How much of it.
    pub goal: String,
    /// What was measured.
    pub figure: String,
    /// Is that enough?
    pub is_met: bool,
}

impl Finding {
    /// A finding with nothing in it yet.
    #[must_use]
    pub fn new(name: &'static str, title: &str, text: &str) -> Self {
        Self { name, title: title.to_owned(), text: text.to_owned(), ..Self::default() }
    }

    /// Adds a target.
    pub fn target(&mut self, what: &str, goal: &str, figure: String, is_met: bool) {
        self.targets.push(Target { what: what.to_owned(), goal: goal.to_owned(), figure, is_met });
    }

    /// As a part of a page.
    #[must_use]
    pub fn section(&self) -> Section {
        let mut section = Section::new(&self.title);
        section.text = Some(self.text.clone());
        if !self.targets.is_empty() {
            section.parts.push(self.targets_table().into());
        }
        section.parts.extend(self.tables.iter().cloned().map(Part::from));
        section.parts.extend(self.charts.iter().cloned().map(Part::from));
        section
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let targets: Vec<Value> = self
            .targets
            .iter()
            .map(|t| json!({"what": t.what, "goal": t.goal, "figure": t.figure, "met": t.is_met}))
            .collect();
        json!({"experiment": self.name, "title": self.title, "targets": targets, "figures": self.data})
    }

    /// For a person at a terminal.
    #[must_use]
    pub fn console(&self) -> String {
        let mut text = format!("{}\n{}\n", self.title, "=".repeat(self.title.chars().count()));
        for table in &self.tables {
            text.push('\n');
            text.push_str(&lined_up(table));
        }
        if !self.targets.is_empty() {
            text.push('\n');
            text.push_str(&lined_up(&self.targets_table()));
        }
        text
    }

    fn targets_table(&self) -> Table {
        let mut table = Table::new(&["Target", "Goal", "Figure", "Met"]);
        for (index, target) in self.targets.iter().enumerate() {
            let met = if target.is_met { "yes" } else { "no" };
            let row = [&target.what, &target.goal, &target.figure, met].map(str::to_owned);
            table.rows.push(row.to_vec());
            if !target.is_met {
                table.rows_flagged.push(index);
            }
        }
        table
    }
}

/// A chart of distributions: for each name, its values.
#[must_use]
pub fn distributions<'a>(title: &str, series: impl IntoIterator<Item = (&'a str, &'a [f64])>) -> Chart {
    let share = Axis::linear("Share of requests", "0 to 1").between(0.0, 1.0);
    let mut chart = Chart::new(title, Axis::linear("Latency", "ms"), share);
    chart.series = series.into_iter().map(|(name, values)| Series::distribution(name, values.to_vec())).collect();
    chart
}

/// A table of texts with its columns in line.
fn lined_up(table: &Table) -> String {
    let rows: Vec<&Vec<String>> = [&table.head].into_iter().chain(&table.rows).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|text| text.chars().count()).max();
    let widths: Vec<usize> = (0..table.head.len()).map(|column| width(column).unwrap_or_default()).collect();
    let mut text = String::new();
    if let Some(caption) = &table.caption {
        let _ = writeln!(text, "{caption}");
    }
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let _ = writeln!(text, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    text
}
