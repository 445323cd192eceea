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

/// Asks to one source that may wait for their answers, so that a source far away, or busy, does not stand idle in between.
pub(super) const ASKS_AHEAD_MAX: usize = 4;

/// Bytes of blocks that are meant to be asked for in one ask: far fewer than a source gives at a time, since asks that
/// follow an answer cut short are for nothing.
pub(super) const ASKED_AT_ONCE_BYTES: usize = 1 << 20;

/// Bytes of blocks that may be asked for ahead, by the size of those before. They wait at the source, not here.
pub(super) const ASKED_BYTES_MAX: usize = 4 << 20;

/// What a block is taken to have in bytes before the first one has come.
pub(super) const FIRST_BLOCK_BYTES: usize = 64 << 10;

/// Blocks that may be judged at a time, and bytes of their bodies, unless a single one is larger. Nothing is read from
/// the source meanwhile that would be more. A body is held twice, as it came and as it is stored.
pub(super) const JUDGED_BLOCKS_MAX: usize = 32;
/// See [`JUDGED_BLOCKS_MAX`].
pub(super) const JUDGED_BYTES_MAX: usize = 4 << 20;

/// Blocks that are stored in one turn, if so many are ready.
pub(super) const STORED_AT_ONCE_MAX: usize = 16;

/// How long a source may take to let a connection be closed.
pub(super) const CLOSING_MAX: Duration = Duration::from_secs(1);

/// Bytes of blocks that are read from the ledger at a time for a reader, unless a single block is larger.
pub(super) const READ_AT_ONCE_BYTES: usize = 256 << 10;

/// A reader that asks for nothing is let go after this long.
pub(super) const READER_IDLE_MAX: Duration = Duration::from_secs(60);

/// How long a reader may take to make room for the next part of an answer.
pub(super) const READER_STALLED_MAX: Duration = Duration::from_secs(60);

/// One line at most about a channel that nobody has blocks for in this time.
pub(super) const STUCK_LOG_INTERVAL: Duration = Duration::from_secs(10);

// An answer is cut short only where blocks have become much larger from one to the next.
const _: () = assert!(ASKED_AT_ONCE_BYTES * 4 <= frontend_shim::block_reading::ANSWER_BYTES_MAX);
const _: () = assert!(STORED_AT_ONCE_MAX <= JUDGED_BLOCKS_MAX);
