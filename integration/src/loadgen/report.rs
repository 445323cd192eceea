//! What came out, and under which conditions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::mix::Mix;
use super::percentiles::{LatencyPoint, Percentiles};
use super::stages::ProcessStages;
use super::timeline::{Event, Tick};
use super::usage::Memory;

/// Everything that is said about one load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What was done, to whom.
    pub conditions: Conditions,
    /// When the load began, in seconds since 1970.
    #[serde(default)]
    pub began_unix_s: f64,
    /// Seconds that the window was open.
    pub window_s: f64,
    /// Seconds after the load began that it opened.
    #[serde(default)]
    pub window_from_s: f64,
    /// What became of the envelopes.
    pub counts: Counts,
    /// How many were answered with which other status than SUCCESS.
    #[serde(default)]
    pub refusals: BTreeMap<String, u64>,
    /// Within the window.
    pub rates: Rates,
    /// The same by channel.
    #[serde(default)]
    pub channels: Vec<ChannelRates>,
    /// From when an envelope was due until its block arrived at the first receiver.
    pub latency: Percentiles,
    /// How that is distributed, in some 200 points.
    #[serde(default)]
    pub latency_distribution: Vec<LatencyPoint>,
    /// From when an envelope was due until SUCCESS.
    pub acknowledgement: Percentiles,
    /// The processes of the orderer.
    pub nodes: Vec<ProcessCost>,
    /// What that was used for, of those that say it.
    #[serde(default)]
    pub stages: Vec<ProcessStages>,
    /// Processes that did not run, or not from one end of the window to the other.
    pub absent: Vec<String>,
    /// This process.
    pub loadgen: ProcessCost,
    /// What all of them run on.
    pub machine: Machine,
    /// What happened when, over the whole load.
    #[serde(default)]
    pub timeline: Vec<Tick>,
    /// What happened between: streams that were opened again, refusals, and what the caller has named.
    #[serde(default)]
    pub events: Vec<Event>,
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
    /// The channels that are loaded.
    #[serde(default)]
    pub channels: Vec<String>,
    /// Bytes of the payload's data; of a whole envelope if it is opaque; 0 if it comes from a file.
    pub payload_bytes: usize,
    /// Bytes of an encoded envelope, on average.
    pub envelope_bytes: f64,
    /// How envelopes are signed.
    pub signatures: String,
    /// What else is sent, in percent.
    #[serde(default)]
    pub mix: Option<Mix>,
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
    /// Of them, inside the load generator.
    #[serde(default)]
    pub frontends_inside: usize,
    /// Broadcast streams over all of them.
    pub streams: usize,
    /// Deliver streams of each channel.
    pub receivers: usize,
    /// Open or closed loop, in words.
    pub pace: String,
    /// Envelopes per second, in open loop.
    pub rate_per_s: Option<u32>,
    /// Seconds until that is reached.
    #[serde(default)]
    pub ramp_s: f64,
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
    /// Of them, within the window.
    #[serde(default)]
    pub delivered_in_window: u64,
    /// Answered with another status.
    pub refused: u64,
    /// On a stream that ended before the answer.
    pub unanswered: u64,
    /// Envelopes sent again on purpose, not among those sent.
    #[serde(default)]
    pub copies: u64,
    /// Of them, answered with SUCCESS.
    #[serde(default)]
    pub copies_acknowledged: u64,
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

/// What arrived of one channel, per second of the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChannelRates {
    /// Which.
    pub channel: String,
    /// Envelopes delivered.
    pub delivered_per_s: f64,
    /// Blocks delivered.
    pub blocks_per_s: f64,
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

impl Report {
    /// Microseconds of processor time for each envelope, on average over the nodes and frontends that ran.
    pub(super) fn node_cost(&self) -> Option<f64> {
        let costs: Vec<f64> = self.nodes.iter().filter_map(|node| node.cpu_us_per_envelope).collect();
        (!costs.is_empty()).then(|| costs.iter().sum::<f64>() / costs.len() as f64)
    }
}

impl ProcessCost {
    pub(super) fn set_memory(&mut self, memory: Memory) {
        self.resident_mib = mib(memory.resident_bytes);
        self.resident_max_mib = mib(memory.resident_bytes_max);
    }
}

pub(super) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
