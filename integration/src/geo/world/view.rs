//! A deployment as the core knows it.

use std::time::Duration;

use blockcutter::Ordering;
use fabric_proto::orderer::BatchSize;
use mod_smart::{Limits, ReplicaId, View};

use super::setup::Setup;
use crate::geo::deployment::{Deployment, Pattern};
use crate::sim::genesis::{Writers, opened_with};
use crate::sim::plan::GROUP;

/// The view of a deployment: its replicas in order, so the first one leads.
///
/// # Errors
/// The service has no such groups.
pub(super) fn view_of(deployment: &Deployment) -> anyhow::Result<View> {
    let (n, f, delta) = (deployment.n(), deployment.f, deployment.delta());
    anyhow::ensure!(
        deployment.is_in_service(),
        "{} executions, or quorums that need not meet",
        deployment.pattern.name()
    );
    let heavy = deployment.heavy.iter().map(|replica| ReplicaId(*replica as u16)).collect();
    Ok(match (deployment.heavy.is_empty(), deployment.pattern == Pattern::Crash) {
        (true, true) => View::crash_only(GROUP, n)?,
        (true, false) => View::flat(GROUP, n)?,
        (false, true) => View::crash_only_weighted(GROUP, f, delta, heavy)?,
        (false, false) => View::weighted(GROUP, f, delta, heavy)?,
    })
}

/// The limits of a replica in a laboratory: no patience runs out, since nobody fails, and a batch takes all that waits.
pub(super) fn limits_of(setup: &Setup) -> Limits {
    Limits {
        tentative: setup.deployment.pattern == Pattern::Tentative,
        instances_open_max: setup.window,
        batch_requests_max: mod_smart::limits::BATCH_REQUESTS_MAX,
        request_timeout: PATIENCE,
        request_timeout_max: PATIENCE,
        pace_floor: PATIENCE,
        checkpoint_interval: u64::from(u32::MAX),
        ..Limits::default()
    }
}

/// The application with its channel open.
///
/// # Errors
/// The genesis block in the repository is not the one this was written for.
pub(super) fn application_of(setup: &Setup, view: &View) -> anyhow::Result<Ordering> {
    let size = BatchSize {
        max_message_count: setup.block_envelopes,
        absolute_max_bytes: BLOCK_BYTES_MAX,
        preferred_max_bytes: BLOCK_BYTES_MAX,
    };
    opened_with(view, Writers::Anybody, &size)
}

const PATIENCE: Duration = Duration::from_secs(3_600);
const BLOCK_BYTES_MAX: u32 = 64 << 20;
