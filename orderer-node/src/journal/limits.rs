//! Every bound of the journal and its thread, in one place.

use std::time::Duration;

/// Bytes after which a segment takes no further commit. A segment is longer by at most one commit. Truncation deletes
/// whole segments, so this is also how much of the journal is kept beyond what is needed.
pub const SEGMENT_BYTES: u32 = 16 << 20;

/// Most bytes of one record: a request of 100 MiB with its seal, and room.
pub const RECORD_BYTES_MAX: usize = 128 << 20;

/// Bytes of records that wait in memory for the commit; more of them are written before it, and synced with it.
pub const BUFFER_BYTES_MAX: usize = 4 << 20;

/// Bytes read at once when a segment is read from end to end.
pub const SCAN_BYTES: usize = 1 << 20;

/// Bodies that were journalled and not decided, whose positions are in memory. The oldest beyond are forgotten, and
/// found by reading the journal if they are decided after all.
pub const BODIES_WAITING_MAX: usize = 1 << 20;

/// Decided bodies whose positions are still in memory, in case another decision names them: at least so many, at most
/// twice as many.
pub const BODIES_RECENT_MAX: usize = 1 << 16;

/// Decisions whose positions are in memory. Older ones are found by reading their segment.
pub const DECISIONS_INDEXED_MAX: usize = 1 << 20;

/// Marks of checkpoints whose places are in memory. The oldest beyond are forgotten: truncation skips them.
pub const MARKS_MAX: usize = 4096;

/// Damaged journals that are kept for whoever wants to know what became of them.
pub const DAMAGED_KEPT_MAX: usize = 2;

/// Segments that readers keep open.
pub const SEGMENTS_OPEN_MAX: usize = 16;

/// Positions of bodies that are remembered after a search through the journal.
pub const LOCATED_MAX: usize = 4096;

/// How long bodies of requests wait for more before they are made durable, while nothing else waits. A client's SUCCESS comes later by
/// this at most; a decision does not, for the votes that it takes wait for nothing.
pub const BODIES_WAIT_MAX: Duration = Duration::from_millis(2);

/// Batches that the disk thread takes into one commit.
pub const COMMIT_BATCHES_MAX: usize = 1024;

/// Bytes of records after which the disk thread takes no further batch into a commit.
pub const COMMIT_BYTES_MAX: u64 = 32 << 20;
