//! What came out, as it is written to files.

use serde::{Deserialize, Serialize};

use crate::loadgen::{Percentiles, Tick};

/// What clients of each site waited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencyOutcome {
    /// How it was measured, in a line.
    pub conditions: String,
    /// By site.
    pub sites: Vec<SiteLatency>,
}

/// What clients of one site waited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SiteLatency {
    /// Their site.
    pub site: String,
    /// The site of the leader when it had been measured.
    pub leader: String,
    /// Regencies that began while it was measured.
    pub regency_changes: u64,
    /// From when an envelope was due until its block arrived, in milliseconds.
    pub latency: Percentiles,
    /// From when an envelope was due until SUCCESS, in milliseconds.
    pub acknowledgement: Percentiles,
    /// The least that messages cost under that leader, in milliseconds.
    pub floor_ms: f64,
    /// The median of the laboratory, in milliseconds, if it was given.
    pub laboratory_ms: Option<f64>,
}

impl SiteLatency {
    /// What the median is compared with.
    #[must_use]
    pub fn expected_ms(&self) -> f64 {
        self.laboratory_ms.unwrap_or(self.floor_ms)
    }

    /// How far the median is from that, in percent of it.
    #[must_use]
    pub fn off_percent(&self) -> f64 {
        (self.latency.p50_ms / self.expected_ms() - 1.0) * 100.0
    }
}

/// What happened, and what clients saw of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultsOutcome {
    /// How it was run, in a line.
    pub conditions: String,
    /// In the order of time.
    pub faults: Vec<Fault>,
    /// In the order of time.
    pub leaders: Vec<LeaderChange>,
    /// By site.
    pub sites: Vec<SiteCourse>,
    /// Blocks of the chain that all nodes have, verified.
    pub blocks: u64,
    /// Envelopes in them.
    pub envelopes: u64,
    /// What should not be.
    pub failures: Vec<String>,
}

/// One thing that was done to the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// Seconds after the first load began.
    pub at_s: f64,
    /// What it was.
    pub what: String,
    /// The longest time without a block until the next one, at any frontend, in seconds.
    pub outage_s: f64,
    /// Regencies that began until then.
    pub regency_changes: u64,
    /// Seconds until a node that was started had all blocks and took envelopes again.
    pub rejoined_s: Option<f64>,
    /// The site of the leader then.
    pub leader: String,
}

/// Another node leads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeaderChange {
    /// Seconds after the first load began.
    pub at_s: f64,
    /// The number of the regency.
    pub regency: u64,
    /// The site of its leader.
    pub leader: String,
    /// Why the one before has ended, in the nodes' words.
    pub reason: String,
}

/// What the clients of one site saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SiteCourse {
    /// Their site.
    pub site: String,
    /// Seconds from the beginning of the first load to that of this one.
    pub began_s: f64,
    /// Over the whole load.
    pub latency: Percentiles,
    /// Envelopes sent.
    pub sent: u64,
    /// Answered with SUCCESS.
    pub acknowledged: u64,
    /// Refused, or without an answer.
    pub unsuccessful: u64,
    /// Acknowledged and not delivered.
    pub lost: u64,
    /// Delivered more than once.
    pub repeated: u64,
    /// What happened when.
    pub timeline: Vec<Tick>,
}
