//! What came out, and under which conditions.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::percentiles::Percentiles;
use super::usage::Memory;

/// Everything that is said about one load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What was done, to whom.
    pub conditions: Conditions,
    /// Seconds that the window was open.
    pub window_s: f64,
    /// What became of the envelopes.
    pub counts: Counts,
    /// Within the window.
    pub rates: Rates,
    /// From when an envelope was due until its block arrived at the first receiver.
    pub latency: Percentiles,
    /// From when an envelope was due until SUCCESS.
    pub acknowledgement: Percentiles,
    /// The processes of the orderer.
    pub nodes: Vec<ProcessCost>,
    /// Processes that did not run, or not from one end of the window to the other.
    pub absent: Vec<String>,
    /// This process.
    pub loadgen: ProcessCost,
    /// What all of them run on.
    pub machine: Machine,
    /// What should not be: envelopes lost or delivered twice, chains that differ.
    pub failures: Vec<String>,
    /// The last thing that went wrong without being one of these.
    pub trouble: Option<String>,
}

/// What was done, to whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conditions {
    /// What orders.
    pub orderer: String,
    /// How many nodes, if known.
    pub nodes: Option<usize>,
    /// Bytes of the payload's data.
    pub payload_bytes: usize,
    /// Bytes of an encoded envelope, on average.
    pub envelope_bytes: f64,
    /// How envelopes are signed.
    pub signatures: String,
    /// Who checks which signatures.
    pub verification: String,
    /// Envelopes in a block at most, by the genesis block.
    pub block_envelopes_max: Option<u32>,
    /// How long an envelope waits for its block to fill, by the genesis block.
    pub block_timeout_ms: Option<u64>,
    /// What is on the disk when.
    pub durability: String,
    /// Consensus instances open at once (alpha).
    pub instances_open_max: Option<u64>,
    /// Frontends sent to.
    pub frontends: usize,
    /// Broadcast streams over all of them.
    pub streams: usize,
    /// Deliver streams.
    pub receivers: usize,
    /// Open or closed loop, in words.
    pub pace: String,
    /// Envelopes per second, in open loop.
    pub rate_per_s: Option<u32>,
    /// Envelopes of each stream sent and not delivered, in closed loop.
    pub outstanding_per_stream: Option<usize>,
    /// Seconds of load before the window.
    pub warmup_s: f64,
}

/// What became of the envelopes, from the first of the warm-up to the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Given to a stream.
    pub sent: u64,
    /// Of them, due within the window.
    pub sent_measured: u64,
    /// Answered with SUCCESS.
    pub acknowledged: u64,
    /// Delivered, each counted once.
    pub delivered: u64,
    /// Answered with another status.
    pub refused: u64,
    /// On a stream that ended before the answer.
    pub unanswered: u64,
    /// Fell due and not sent, because too many were on their way.
    pub left_out: u64,
    /// Acknowledged and not delivered.
    pub lost: u64,
    /// Deliveries of what had been delivered before.
    pub repeated: u64,
    /// Envelopes of others in the blocks.
    pub foreign: u64,
    /// How often a stream was opened again.
    pub reopened: u64,
    /// Envelopes made before the load.
    pub prepared: u64,
    /// Envelopes made while it ran.
    pub made_late: u64,
}

/// Per second of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Envelopes answered with SUCCESS.
    pub acknowledged_per_s: f64,
    /// Envelopes delivered.
    pub delivered_per_s: f64,
    /// Blocks delivered.
    pub blocks_per_s: f64,
    /// Envelopes in a block, on average.
    pub envelopes_per_block: f64,
}

/// What a process used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProcessCost {
    /// Which.
    pub name: String,
    /// Its number in the system.
    pub pid: u32,
    /// Processors busy with it within the window, on average.
    pub processors: f64,
    /// Microseconds of processor time for each envelope delivered; none if none was.
    pub cpu_us_per_envelope: Option<f64>,
    /// Of them, in the program itself.
    pub user_us_per_envelope: Option<f64>,
    /// Of them, in the system.
    pub system_us_per_envelope: Option<f64>,
    /// Memory in use when the window closed, MiB.
    pub resident_mib: f64,
    /// Memory in use at most, ever, MiB.
    pub resident_max_mib: f64,
}

/// What all of them run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Processors there are.
    pub processors: usize,
    /// Processes that wanted one before the load, over a minute.
    pub load_average_before: Option<f64>,
    /// Processors busy with anything else within the window, on average; what the host took away is among it.
    pub processors_used_by_others: Option<f64>,
}

impl ProcessCost {
    pub(super) fn set_memory(&mut self, memory: Memory) {
        self.resident_mib = mib(memory.resident_bytes);
        self.resident_max_mib = mib(memory.resident_bytes_max);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.conditions.fmt(f)?;
        let Self { counts, rates, machine, .. } = self;
        line(f, "window", &format!("{:.2} s after {} s of warm-up", self.window_s, self.conditions.warmup_s))?;
        line(f, "delivered", &format!("{:.0} envelopes/s", rates.delivered_per_s))?;
        line(f, "acknowledged", &format!("{:.0} envelopes/s", rates.acknowledged_per_s))?;
        line(
            f,
            "blocks",
            &format!("{:.1} blocks/s of {:.1} envelopes", rates.blocks_per_s, rates.envelopes_per_block),
        )?;
        line(f, "latency", &latencies(&self.latency))?;
        line(f, "acknowledgement", &latencies(&self.acknowledgement))?;
        line(f, "envelopes", &self.describe_counts())?;
        if counts.made_late > 0 {
            let text = format!("{} envelopes beforehand, {} while the load ran", counts.prepared, counts.made_late);
            line(f, "signed", &text)?;
        }
        for process in self.nodes.iter().chain([&self.loadgen]) {
            line(f, &process.name, &process.to_string())?;
        }
        for name in &self.absent {
            line(f, name, "did not run, or not all the time")?;
        }
        let others = machine.processors_used_by_others.map_or("?".to_owned(), |used| format!("{used:.2}"));
        let before = machine.load_average_before.map_or("?".to_owned(), |load| format!("{load:.2}"));
        let text = format!(
            "{} processors, {others} of them busy with other things; load average before {before}",
            machine.processors
        );
        line(f, "machine", &text)?;
        if let Some(trouble) = &self.trouble {
            line(f, "last trouble", trouble)?;
        }
        let verdict = if self.failures.is_empty() { "none lost, none twice" } else { "FAILED" };
        line(f, "verdict", verdict)
    }
}

impl Report {
    fn describe_counts(&self) -> String {
        let Counts { sent, sent_measured, acknowledged, delivered, .. } = self.counts;
        let mut text =
            format!("{sent} sent ({sent_measured} measured), {acknowledged} acknowledged, {delivered} delivered");
        let rare = [
            (self.counts.refused, "refused"),
            (self.counts.unanswered, "unanswered"),
            (self.counts.left_out, "left out"),
            (self.counts.lost, "LOST"),
            (self.counts.repeated, "delivered TWICE"),
            (self.counts.foreign, "of others"),
        ];
        for (count, what) in rare.into_iter().filter(|(count, _)| *count > 0) {
            text += &format!(", {count} {what}");
        }
        text
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, "orderer", &self.orderer)?;
        line(
            f,
            "envelope",
            &format!("{} B payload, {:.0} B encoded; {}", self.payload_bytes, self.envelope_bytes, self.signatures),
        )?;
        line(f, "verification", &self.verification)?;
        let blocks = match (self.block_envelopes_max, self.block_timeout_ms) {
            (Some(count), Some(timeout_ms)) => format!("up to {count} envelopes, or after {timeout_ms} ms"),
            _ => "not known to the load generator".to_owned(),
        };
        line(f, "block size", &blocks)?;
        line(f, "durability", &self.durability)?;
        if let Some(instances) = self.instances_open_max {
            line(f, "window alpha", &instances.to_string())?;
        }
        let ways = format!("{} streams to {} frontends, {} receivers", self.streams, self.frontends, self.receivers);
        line(f, "load", &format!("{}; {ways}", self.pace))
    }
}

impl fmt::Display for ProcessCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = |value: Option<f64>| value.map_or("?".to_owned(), |us| format!("{us:.1}"));
        let (total, user, system) = (self.cpu_us_per_envelope, self.user_us_per_envelope, self.system_us_per_envelope);
        write!(f, "{} CPU us/envelope ({} user + {} system), ", us(total), us(user), us(system))?;
        write!(
            f,
            "{:.2} processors, {:.0} MiB (at most {:.0})",
            self.processors, self.resident_mib, self.resident_max_mib
        )
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, text: &str) -> fmt::Result {
    writeln!(f, "{name:<16} {text}")
}

fn latencies(of: &Percentiles) -> String {
    let Percentiles { p50_ms, p90_ms, p99_ms, p999_ms, max_ms, count, .. } = of;
    format!("p50 {p50_ms:.1} p90 {p90_ms:.1} p99 {p99_ms:.1} p99.9 {p999_ms:.1} max {max_ms:.1} ms (n = {count})")
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
