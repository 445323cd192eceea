//! What the journal of a group has done since the node started.

use serde::Serialize;

use crate::group::GroupHandle;

/// Figures of one journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JournalReport {
    /// Commits that wrote something.
    pub commits: u64,
    /// Syncs.
    pub syncs: u64,
    /// Records.
    pub records: u64,
    /// Bytes, frames included.
    pub bytes: u64,
    /// How long the last sync took, in microseconds.
    pub sync_last_us: u128,
    /// How long all syncs took together, in microseconds.
    pub sync_total_us: u128,
    /// Damage met while records or checkpoints were read for other replicas.
    pub damage: u64,
    /// What was said of it last.
    pub damage_last: Option<String>,
}

impl JournalReport {
    pub(super) fn of(group: &GroupHandle) -> Self {
        let figures = group.disk.read();
        let (damage, damage_last) = group.damage.read();
        Self {
            commits: figures.commits,
            syncs: figures.syncs,
            records: figures.records,
            bytes: figures.bytes,
            sync_last_us: figures.sync_last.as_micros(),
            sync_total_us: figures.sync_total.as_micros(),
            damage,
            damage_last,
        }
    }
}
