//! The table of targets as it is kept: rows with their goals, figures and conditions.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::machine::MachineFacts;
use super::numbers::Spread;

/// Version of the files that `bench` writes. A reader refuses others.
pub const SCHEMA: u32 = 1;

/// All rows of one run of `bench targets`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetsTable {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Seconds since 1970 when it began.
    pub taken_at_unix_s: u64,
    /// Version of the programs.
    pub version: String,
    /// What it ran on.
    pub machine: MachineFacts,
    /// In the order in which they were measured.
    pub rows: Vec<Row>,
    /// What was not measured, and why.
    pub skipped: Vec<String>,
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// A short name, by which it is compared.
    pub name: String,
    /// What is measured.
    pub what: String,
    /// In which unit.
    pub unit: Unit,
    /// What is promised; none for what is there to be compared with.
    pub goal: Option<Goal>,
    /// The figure of each run.
    pub values: Vec<f64>,
    /// Of the runs; none if none gave a figure.
    pub spread: Option<Spread>,
    /// Under which conditions.
    pub conditions: Conditions,
    /// What the runs were like.
    pub circumstances: Circumstances,
    /// What went wrong.
    pub failures: Vec<String>,
}

/// The unit of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Microseconds of processor time for each envelope delivered.
    CpuUsPerEnvelope,
    /// Envelopes delivered in a second.
    EnvelopesPerS,
    /// Milliseconds.
    Milliseconds,
    /// Hundredths.
    Percent,
    /// Mebibytes.
    MiB,
}

/// What is promised of a median.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

/// What was asked for. Figures are comparable if these are equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// What orders.
    pub orderer: String,
    /// How many nodes.
    pub nodes: u16,
    /// What an envelope is.
    pub envelope: String,
    /// Envelopes in a block at most.
    pub block_envelopes_max: u32,
    /// How long an envelope waits for its block to fill.
    pub block_timeout_ms: u64,
    /// Who checks the signatures of clients.
    pub verification: String,
    /// What is on the disk when.
    pub durability: String,
    /// Consensus instances open at once (alpha), if known.
    pub instances_open_max: Option<u64>,
    /// Where the frontends are.
    pub frontends: String,
    /// Deliver streams.
    pub receivers: String,
    /// Open or closed loop.
    pub pace: String,
}

/// What the runs were like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Circumstances {
    /// Seconds measured in a run; none if a number of envelopes was sent instead.
    pub seconds: Option<u64>,
    /// Bytes of an encoded envelope, on average.
    pub envelope_bytes: f64,
    /// Envelopes in a block, on average.
    pub envelopes_per_block: f64,
    /// The highest load average before a run.
    pub load_average_before: f64,
    /// Processors busy with anything else meanwhile, in the run where it was the most.
    pub processors_used_by_others: f64,
}

impl TargetsTable {
    /// Without rows, as of now.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            schema: SCHEMA,
            taken_at_unix_s: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            machine: MachineFacts::this(),
            rows: Vec::new(),
            skipped: Vec::new(),
        }
    }

    /// Does every row that promises something keep it?
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.rows.iter().all(|row| row.failures.is_empty() && row.is_met() != Some(false))
    }
}

impl Row {
    /// Is the promise kept? None if nothing is promised; what has no figure is not kept.
    #[must_use]
    pub fn is_met(&self) -> Option<bool> {
        let goal = self.goal?;
        Some(self.spread.is_some_and(|spread| goal.is_met_by(spread.median)))
    }
}

impl Goal {
    /// Is it met by this figure?
    #[must_use]
    pub fn is_met_by(self, figure: f64) -> bool {
        match self {
            Self::AtMost(limit) => figure <= limit,
            Self::AtLeast(limit) => figure >= limit,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "<= {limit}"),
            Self::AtLeast(limit) => write!(f, ">= {limit}"),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CpuUsPerEnvelope => "CPU us/envelope",
            Self::EnvelopesPerS => "envelopes/s",
            Self::Milliseconds => "ms",
            Self::Percent => "%",
            Self::MiB => "MiB",
        })
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { orderer, nodes, envelope, block_envelopes_max, block_timeout_ms, .. } = self;
        write!(
            f,
            "{orderer}, n = {nodes}; {envelope}; blocks of {block_envelopes_max} or after {block_timeout_ms} ms; "
        )?;
        let Self { verification, durability, frontends, receivers, pace, .. } = self;
        write!(f, "{verification}; {durability}; ")?;
        if let Some(alpha) = self.instances_open_max {
            write!(f, "window alpha {alpha}; ")?;
        }
        write!(f, "{frontends}; {receivers}; {pace}")
    }
}

impl fmt::Display for Circumstances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { envelope_bytes, envelopes_per_block, load_average_before, processors_used_by_others, .. } = self;
        write!(f, "{envelope_bytes:.0} B on the wire, {envelopes_per_block:.1} envelopes in a block, ")?;
        if let Some(seconds) = self.seconds {
            write!(f, "{seconds} s a run, ")?;
        }
        write!(f, "load average before {load_average_before:.2}, ")?;
        write!(f, "{processors_used_by_others:.2} processors busy with other things")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn row(name: &str, unit: Unit, goal: Option<Goal>, values: &[f64]) -> Row {
        Row {
            name: name.to_owned(),
            what: "something".to_owned(),
            unit,
            goal,
            values: values.to_owned(),
            spread: Spread::of(values),
            conditions: Conditions {
                orderer: "ours".to_owned(),
                nodes: 4,
                envelope: "signed, 200 B payload".to_owned(),
                block_envelopes_max: 100,
                block_timeout_ms: 500,
                verification: "by the frontend".to_owned(),
                durability: "synced".to_owned(),
                instances_open_max: Some(1),
                frontends: "1 process".to_owned(),
                receivers: "1 Deliver stream".to_owned(),
                pace: "closed loop".to_owned(),
            },
            circumstances: Circumstances::default(),
            failures: Vec::new(),
        }
    }

    #[test]
    fn the_median_is_what_is_promised() {
        let goal = Some(Goal::AtMost(5.0));
        assert_eq!(row("a", Unit::CpuUsPerEnvelope, goal, &[4.0, 5.0, 9.0]).is_met(), Some(true));
        assert_eq!(row("a", Unit::CpuUsPerEnvelope, goal, &[4.0, 5.1, 9.0]).is_met(), Some(false));
        assert_eq!(row("a", Unit::EnvelopesPerS, Some(Goal::AtLeast(70.0)), &[69.9]).is_met(), Some(false));
        assert_eq!(row("a", Unit::EnvelopesPerS, Some(Goal::AtLeast(70.0)), &[70.0]).is_met(), Some(true));
        assert_eq!(row("a", Unit::EnvelopesPerS, None, &[1.0]).is_met(), None);
        assert_eq!(row("a", Unit::EnvelopesPerS, goal, &[]).is_met(), Some(false), "no figure keeps no promise");
    }

    #[test]
    fn a_table_is_met_if_all_its_rows_are() {
        let mut table = TargetsTable::empty();
        assert!(table.is_met());
        table.rows.push(row("a", Unit::Milliseconds, Some(Goal::AtMost(4.0)), &[3.0]));
        table.rows.push(row("b", Unit::Milliseconds, None, &[300.0]));
        assert!(table.is_met());
        table.rows[1].failures.push("an envelope was lost".to_owned());
        assert!(!table.is_met());
    }
}
