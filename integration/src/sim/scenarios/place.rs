//! Where hand-set worlds are: a group spread over a continent, calm, with small batches.

use std::time::Duration;

use fastrand::Rng;
use mod_smart::{Limits, View};
use orderer_node::journal::JournalOptions;

use crate::sim::Outcome;
use crate::sim::genesis::Writers;
use crate::sim::network::Delays;
use crate::sim::plan::{Plan, Rhythm};
use crate::sim::world::World;

pub const SECOND: Duration = Duration::from_secs(1);
pub const MINUTE: Duration = Duration::from_secs(60);
pub const HOUR: Duration = Duration::from_secs(3600);

/// Requests in a batch. Small, because every request of a virtual hour takes real time; what is measured is a share.
pub const BATCH_REQUESTS: usize = 2;

/// A calm world in which nobody asks for anything: 20 to 40 ms from anywhere to anywhere, some milliseconds for a sync, every
/// timeout at its default. A request is a whole block, so no cut stays open and every place in a batch is a client's.
pub fn wide_area(view: View, lives: Duration) -> Plan {
    let limits = Limits {
        batch_requests_max: BATCH_REQUESTS,
        session_window: SESSION_WINDOW,
        pending_bytes_max: 4 << 20,
        client_pending_bytes_max: 1 << 20,
        fetched_bytes_reserve: 1 << 20,
        checkpoint_interval: CHECKPOINT_INTERVAL,
        ..Limits::default()
    };
    Plan {
        view,
        limits,
        journal: JournalOptions { segment_bytes: 1 << 18, ..JournalOptions::default() },
        liars: Vec::new(),
        delays: Delays { min: Duration::from_millis(20), spread: Duration::from_millis(20), stragglers: 0 },
        distances: Duration::ZERO,
        sync: (Duration::from_millis(1), Duration::from_millis(3)),
        safety: lives,
        request_every: SECOND,
        rhythm: Rhythm::Steady,
        requests_max: 0,
        envelopes: (4, 4),
        writers: Writers::Anybody,
        update_every: None,
        hand_over_every: None,
        frontends: FRONTENDS,
        frontend_window: FRONTEND_WINDOW,
        may_client_lie: false,
        padding: 0,
        faults: Vec::new(),
        fault_every: HOUR,
        interval: Some(SECOND),
    }
}

/// The same with clients that keep the group busy: so many requests wait at every node at any time that one is ordered
/// long after any timeout.
pub fn saturated(view: View, lives: Duration) -> Plan {
    Plan {
        rhythm: Rhythm::Full,
        request_every: Duration::from_millis(50),
        requests_max: u64::MAX,
        ..wide_area(view, lives)
    }
}

/// Lives a planned world to its end: faults and liveness phase as for any other.
pub fn live(plan: Plan) -> anyhow::Result<Outcome> {
    let mut world = World::of(plan, Rng::with_seed(CHANCE), 0)?;
    world.run();
    Ok(world.into_outcome())
}

/// Any number will do.
const CHANCE: u64 = 3;

const FRONTENDS: usize = 2;

/// A state that remembers many envelopes is some megabytes, at each replica, and copying it takes more real time than all
/// else.
const CHECKPOINT_INTERVAL: u64 = 1_000;

/// Requests of one frontend that wait at a node at most.
const SESSION_WINDOW: u64 = 64;

/// Requests of one frontend that no node holds yet.
const FRONTEND_WINDOW: u64 = 8;
