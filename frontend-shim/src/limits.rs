//! Every bound of the client side of the frontend, in one place: what one client, one stream, one channel may hold.
//!
//! Bounds are in bytes where bytes are what hurts. A bound that is reached slows down, or refuses, the one who reached
//! it and nobody else.

use std::time::Duration;

/// Longest gRPC message in either direction: Fabric's default, and that of every Fabric client (contract §1.2).
pub const MESSAGE_BYTES_MAX: usize = 100 * 1024 * 1024;

/// HTTP/2 streams a client may have open on one connection. A gateway opens one for each transaction.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 100_000;

/// Client connections that a process serves at a time; further ones are closed.
pub const CONNECTIONS_MAX: usize = 10_000;

/// Streams that a process serves at a time; further ones are told to go elsewhere. Each costs about ten kilobytes.
pub const STREAMS_MAX: usize = 200_000;

/// Clients, and organisations, whose share of `General.Throttling` is kept apart at a time; further ones share one.
pub const THROTTLED_CLIENTS_MAX: usize = 10_000;

/// Bytes a client may send on one stream before we have read them.
pub const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;

/// Bytes a client may send on one connection before we have read them.
pub const CONNECTION_WINDOW_BYTES: u32 = 32 * 1024 * 1024;

/// Streams that a client may open and cancel before they were looked at. A gateway cancels every stream it has opened,
/// and many of them can arrive in one read.
pub const CANCELLED_STREAMS_WAITING_MAX: usize = 10_000;

/// Bytes of blocks a Deliver stream may have handed to its connection that are not written yet, before it takes the
/// next block. So an idle reader costs one block, or this much in smaller ones.
pub const DELIVER_BYTES_IN_FLIGHT: usize = 64 * 1024;

/// Longest Deliver request. It is kept as long as it is served, to be judged again; those of Fabric's clients have a few
/// thousand bytes.
pub const DELIVER_REQUEST_BYTES_MAX: usize = 64 * 1024;

/// Envelopes of one Broadcast stream that wait for their answer; with so many the stream is not read.
pub const BROADCAST_OUTSTANDING_MAX: usize = 512;

/// Bytes of envelopes that are being judged or wait for it, over all streams; with so many no stream is read.
pub const JUDGED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What an envelope costs of that besides its own bytes, so that many tiny ones are bounded too.
pub const JUDGED_OVERHEAD_BYTES: usize = 4 * 1024;

/// Bytes of configuration updates that were taken and are not known to be in force: the updates and what they were wrapped
/// into. Further ones are refused.
pub const UPDATES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What an update costs of that besides its own bytes.
pub const UPDATE_OVERHEAD_BYTES: usize = 64 * 1024;

/// How long an update is followed after it was taken.
pub const UPDATE_TRACKED_MAX: Duration = Duration::from_secs(10 * 60);

/// How often an update that was overtaken is offered to nodes that are out of reach, and how long after each time.
pub const UPDATE_ATTEMPTS_MAX: usize = 60;
/// See [`UPDATE_ATTEMPTS_MAX`].
pub const UPDATE_RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long a new connection may stay silent before its HTTP/2 preface; Fabric's connection timeout.
pub const PREFACE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may be idle before the server asks whether the client is still there.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2 * 60 * 60);

/// How long the client has to answer that.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Greatest distance of a Deliver request's timestamp from the clock here, unless the operator says otherwise
/// (contract §1.4).
pub const TIMESTAMP_WINDOW: Duration = Duration::from_secs(15 * 60);

/// Channels of one process.
pub const CHANNELS_MAX: usize = 1_000;

/// Encoded blocks kept in memory for each channel.
pub const LEDGER_CACHE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Size at which a ledger begins a new segment file. A single record may be larger.
pub const LEDGER_SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// Longest record of a ledger: a block that still fits a message, with room for the record's own fields.
pub const LEDGER_RECORD_BYTES_MAX: usize = MESSAGE_BYTES_MAX + 64 * 1024;

/// Bytes of encoded blocks that wait in memory because blocks before them are missing, and how many blocks.
pub const LEDGER_BACKLOG_BYTES_MAX: usize = 16 * 1024 * 1024;
/// See [`LEDGER_BACKLOG_BYTES_MAX`].
pub const LEDGER_BACKLOG_BLOCKS_MAX: usize = 2048;

/// Segment files a ledger keeps open for reading.
pub const LEDGER_OPEN_FILES_MAX: usize = 64;

/// How often what was appended to ledgers is made durable.
pub const LEDGER_SYNC_INTERVAL: Duration = Duration::from_millis(200);

// A block that was stored must be deliverable, whatever its signatures weigh: the head of its message is 16 bytes at
// most.
const _: () = assert!(LEDGER_RECORD_BYTES_MAX > MESSAGE_BYTES_MAX);
// Positions inside a segment are four bytes wide.
const _: () = assert!(LEDGER_SEGMENT_BYTES + LEDGER_RECORD_BYTES_MAX as u64 <= u32::MAX as u64);
