//! What the frontend has seen of each node, for the status page and the log.
//!
//! A node that does what no correct node does is named in the log, at most once per interval and kind, and counted
//! every time. Nothing here decides anything.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use mod_smart::ReplicaId;
use serde::{Deserialize, Serialize};

use crate::node_limits::COMPLAINT_INTERVAL;

/// What can be held against a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grievance {
    /// A block signature that does not verify, or is another node's.
    WrongSignature,
    /// A block header or metadata value that is not the certified one, or two for one number.
    WrongHeader,
    /// A body that does not belong to its header.
    WrongBody,
    /// It was its turn to send a body, or it was asked for one, and none came.
    SilentBody,
    /// A block that was not asked for.
    BeyondCredit,
    /// Bytes that are no message, or a message out of place.
    Garbage,
    /// It does not want a session with us.
    Refused,
}

/// Everything a frontend counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrontendCounters {
    /// Requests on their way without enough acknowledgements.
    pub requests_in_flight: u64,
    /// Bytes of envelopes that are taken and not yet acknowledged.
    pub submitted_bytes: u64,
    /// Envelopes acknowledged.
    pub envelopes_held: u64,
    /// Envelopes refused because too much was waiting.
    pub envelopes_overloaded: u64,
    /// Envelopes whose clients were told that no acknowledgement came.
    pub envelopes_timed_out: u64,
    /// Requests sent.
    pub requests_sent: u64,
    /// Requests sent again to a node.
    pub requests_resent: u64,
    /// The nodes, in replica order.
    pub nodes: Vec<NodeCounters>,
    /// The channels, by name.
    pub channels: Vec<ChannelCounters>,
}

/// What a frontend has seen of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCounters {
    /// Its replica number.
    pub replica: u16,
    /// What log lines call it.
    pub name: String,
    /// Is there a session with it?
    pub connected: bool,
    /// Does more wait for it than it reads?
    pub lagging: bool,
    /// Sessions so far.
    pub sessions: u64,
    /// Requests it acknowledged.
    pub held: u64,
    /// Requests it was too loaded to take.
    pub overloaded: u64,
    /// Blocks it pushed.
    pub pushes: u64,
    /// See [`Grievance::WrongSignature`].
    pub wrong_signatures: u64,
    /// See [`Grievance::WrongHeader`].
    pub wrong_headers: u64,
    /// See [`Grievance::WrongBody`].
    pub wrong_bodies: u64,
    /// See [`Grievance::SilentBody`].
    pub silent_bodies: u64,
    /// See [`Grievance::BeyondCredit`].
    pub beyond_credit: u64,
    /// See [`Grievance::Garbage`].
    pub garbage: u64,
    /// See [`Grievance::Refused`].
    pub refused: u64,
}

/// How far the collector of a channel has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelCounters {
    /// The channel.
    pub channel: String,
    /// Blocks certified by this collector since it started.
    pub certified: u64,
    /// Bodies that had to be asked for.
    pub bodies_fetched: u64,
    /// Why it does no more, if so.
    pub stopped: Option<String>,
}

/// The live numbers behind [`NodeCounters`].
#[derive(Debug)]
pub struct NodeRecord {
    replica: ReplicaId,
    name: String,
    pub(crate) connected: AtomicBool,
    pub(crate) lagging: AtomicBool,
    pub(crate) sessions: AtomicU64,
    pub(crate) held: AtomicU64,
    pub(crate) overloaded: AtomicU64,
    pub(crate) pushes: AtomicU64,
    grievances: [AtomicU64; Grievance::KINDS],
    logged: Mutex<[Option<Instant>; Grievance::KINDS]>,
}

impl NodeRecord {
    /// Nothing seen yet of the replica that log lines call `name`.
    #[must_use]
    pub fn new(replica: ReplicaId, name: String) -> Self {
        Self {
            replica,
            name,
            connected: AtomicBool::new(false),
            lagging: AtomicBool::new(false),
            sessions: AtomicU64::new(0),
            held: AtomicU64::new(0),
            overloaded: AtomicU64::new(0),
            pushes: AtomicU64::new(0),
            grievances: [const { AtomicU64::new(0) }; Grievance::KINDS],
            logged: Mutex::new([None; Grievance::KINDS]),
        }
    }

    /// What log lines call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts a grievance, and names the node in the log unless it was named for the same just now.
    pub fn complain(&self, grievance: Grievance, detail: &dyn std::fmt::Display) {
        let count = self.grievances[grievance as usize].fetch_add(1, Ordering::Relaxed) + 1;
        if self.is_due(grievance) {
            tracing::warn!("{} {grievance} ({count} so far): {detail}", self.name);
        }
    }

    /// How often this was held against it.
    #[must_use]
    pub fn count(&self, grievance: Grievance) -> u64 {
        self.grievances[grievance as usize].load(Ordering::Relaxed)
    }

    /// The numbers as they are now.
    #[must_use]
    pub fn snapshot(&self) -> NodeCounters {
        NodeCounters {
            replica: self.replica.0,
            name: self.name.clone(),
            connected: self.connected.load(Ordering::Relaxed),
            lagging: self.lagging.load(Ordering::Relaxed),
            sessions: self.sessions.load(Ordering::Relaxed),
            held: self.held.load(Ordering::Relaxed),
            overloaded: self.overloaded.load(Ordering::Relaxed),
            pushes: self.pushes.load(Ordering::Relaxed),
            wrong_signatures: self.count(Grievance::WrongSignature),
            wrong_headers: self.count(Grievance::WrongHeader),
            wrong_bodies: self.count(Grievance::WrongBody),
            silent_bodies: self.count(Grievance::SilentBody),
            beyond_credit: self.count(Grievance::BeyondCredit),
            garbage: self.count(Grievance::Garbage),
            refused: self.count(Grievance::Refused),
        }
    }

    fn is_due(&self, grievance: Grievance) -> bool {
        let now = Instant::now();
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let last = &mut logged[grievance as usize];
        if last.is_some_and(|last| now.duration_since(last) < COMPLAINT_INTERVAL) {
            return false;
        }
        *last = Some(now);
        true
    }
}

impl Grievance {
    const KINDS: usize = Self::Refused as usize + 1;
}

impl std::fmt::Display for Grievance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::WrongSignature => "sent a wrong block signature",
            Self::WrongHeader => "sent a wrong block header",
            Self::WrongBody => "sent a wrong block body",
            Self::SilentBody => "did not send a block body",
            Self::BeyondCredit => "sent a block that was not asked for",
            Self::Garbage => "sent garbage",
            Self::Refused => "refused the session",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grievance_is_counted_and_the_first_of_an_interval_logged() {
        let record = NodeRecord::new(ReplicaId(2), "node 3".to_owned());
        for _ in 0..5 {
            record.complain(Grievance::WrongHeader, &"block 7");
        }
        record.complain(Grievance::Refused, &"another group");
        assert_eq!((record.count(Grievance::WrongHeader), record.count(Grievance::Refused)), (5, 1));
        assert!(!record.is_due(Grievance::WrongHeader), "logged just now");
        assert!(record.is_due(Grievance::Garbage));
        let snapshot = record.snapshot();
        assert_eq!((snapshot.wrong_headers, snapshot.refused, snapshot.garbage), (5, 1, 0));
    }
}
