//! Every bound and wait of fetching blocks.

use std::time::Duration;

/// Waits of fetching blocks. The defaults are for production; tests shorten them.
#[derive(Clone, Debug)]
pub struct CatchUpLimits {
    /// How long one answer may take at first. It doubles when it was not enough, for blocks may be large, and comes back.
    pub patience_min: Duration,
    /// How long one answer may take at most.
    pub patience_max: Duration,
    /// A source that lied is not asked for this long.
    pub liar_avoided: Duration,
    /// A source that was silent or slow, or could not be reached, is not asked for this long.
    pub silent_avoided: Duration,
    /// A source that lacks a block is not asked for this long.
    pub lacking_avoided: Duration,
    /// Channels that fetch at a time.
    pub channels_at_once: usize,
}

impl Default for CatchUpLimits {
    fn default() -> Self {
        Self {
            patience_min: Duration::from_secs(2),
            patience_max: Duration::from_secs(120),
            liar_avoided: Duration::from_secs(60),
            silent_avoided: Duration::from_secs(5),
            lacking_avoided: Duration::from_millis(200),
            channels_at_once: 4,
        }
    }
}

/// Blocks whose hashes are in memory at a time: 16 KiB of them. Of the sections above only one hash each is remembered.
pub(super) const SECTION_BLOCKS: u64 = 512;

/// A reader that asks for nothing is let go after this long.
pub(super) const READER_IDLE_MAX: Duration = Duration::from_secs(60);

/// How long a reader may take to make room for the next part of an answer.
pub(super) const READER_STALLED_MAX: Duration = Duration::from_secs(60);

/// One line at most about a channel that nobody has blocks for in this time.
pub(super) const STUCK_LOG_INTERVAL: Duration = Duration::from_secs(10);
