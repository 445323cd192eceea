//! How far the configuration in force is known to have come along a ledger.
//!
//! Blocks may be in a ledger earlier than the configuration that governs them is in force: for a moment after each
//! config block, and after a restart until the process has caught up with itself. Who serves blocks finds that out from
//! the blocks, and notes it here so that it is found out once.

use std::sync::atomic::{AtomicU64, Ordering};

/// What is known of one channel; it only grows.
#[derive(Debug, Default)]
pub(crate) struct Governed {
    /// Config blocks up to this one: their configuration is in force, or a later one is.
    config_block: AtomicU64,
    /// Heights up to this one: the same for all that governs the blocks below.
    height: AtomicU64,
    /// The newest config block that readers have waited for too long.
    late: AtomicU64,
}

impl Governed {
    pub(crate) fn covers_config_block(&self, number: u64) -> bool {
        number <= self.config_block.load(Ordering::Acquire)
    }

    pub(crate) fn on_config_block(&self, number: u64) {
        self.config_block.fetch_max(number, Ordering::AcqRel);
    }

    pub(crate) fn covers_height(&self, height: u64) -> bool {
        height <= self.height.load(Ordering::Acquire)
    }

    pub(crate) fn on_height(&self, height: u64) {
        self.height.fetch_max(height, Ordering::AcqRel);
    }

    /// Somebody has waited too long for this config block. True for the first who says so.
    pub(crate) fn on_late(&self, number: u64) -> bool {
        self.late.fetch_max(number, Ordering::AcqRel) < number
    }
}
