//! Every bound of the frontend's side towards the nodes, in one place: what may wait, how long, and how much of it.

use std::time::Duration;

/// Bytes of envelopes that are taken and not yet acknowledged, over all clients. Beyond: `Overloaded` at once.
pub const SUBMITTED_BYTES_MAX: usize = 64 << 20;

/// What an envelope costs of that besides its own bytes, so that many tiny ones are bounded too.
pub const ENVELOPE_OVERHEAD_BYTES: usize = 512;

/// Most envelopes in one request.
pub const BUNDLE_ENVELOPES_MAX: usize = 500;

/// Most bytes of envelopes in one request, unless a single one is larger.
pub const BUNDLE_BYTES_MAX: usize = 1 << 20;

/// Longest time that a bundle waits for more envelopes while the nodes are slow to acknowledge.
pub const BUNDLE_WAIT_MAX: Duration = Duration::from_millis(20);

/// Requests that may be on their way at a time without an acknowledgement. What arrives meanwhile is bundled, so the
/// bundles grow with the load and an idle frontend adds no delay.
pub const REQUESTS_UNHELD_MAX: usize = 16;

/// How long a client waits for an acknowledgement before it is told that none came.
pub const SUBMIT_TIMEOUT: Duration = Duration::from_secs(25);

/// How long a node that is overloaded is left alone at first, and at most.
pub const RETRY_AFTER_MIN: Duration = Duration::from_millis(50);
/// See [`RETRY_AFTER_MIN`].
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(1);

/// Most bytes sent to one node in one round of sending again, unless a single request is larger.
pub const RETRY_BYTES_MAX: usize = 4 << 20;

/// A request without enough acknowledgements is sent again after this long to whoever did not answer.
pub const RESEND_AFTER: Duration = Duration::from_secs(5);

/// Acknowledged requests are kept this long for nodes that were away, and so many bytes of them.
pub const SETTLED_KEPT: Duration = Duration::from_secs(10);
/// See [`SETTLED_KEPT`].
pub const SETTLED_BYTES_MAX: usize = 16 << 20;

/// Bytes and frames that may wait for one node. Past the bound the node is lagging: it is sent what it lacks later.
pub const OUTBOX_BYTES_MAX: usize = 16 << 20;
/// See [`OUTBOX_BYTES_MAX`].
pub const OUTBOX_FRAMES_MAX: usize = 20_000;

/// Bytes of the answer to Hello: a list of up to [`crate::frame::CHANNELS_MAX`] channels.
pub const WELCOME_BYTES_MAX: usize = 2 << 20;

/// How long a node may take to answer Hello.
pub const WELCOME_TIMEOUT: Duration = Duration::from_secs(5);

/// How long after a failed connection the next is tried, at first and at most.
pub const RECONNECT_AFTER_MIN: Duration = Duration::from_millis(50);
/// See [`RECONNECT_AFTER_MIN`].
pub const RECONNECT_AFTER_MAX: Duration = Duration::from_secs(2);

/// How often a node is asked whether it is there.
pub const PING_INTERVAL: Duration = Duration::from_secs(5);

/// A node that has said nothing for this long is taken for gone.
pub const SILENCE_MAX: Duration = Duration::from_secs(15);

/// Answers of nodes that wait for the relay; with so many, links are not read.
pub const ANSWERS_WAITING_MAX: usize = 4096;

/// Blocks of a channel that nodes may push beyond the last certified one: at most, and at least however large they are.
pub const WINDOW_BLOCKS_MAX: u64 = 256;
/// See [`WINDOW_BLOCKS_MAX`].
pub const WINDOW_BLOCKS_MIN: u64 = 4;

/// Bytes of bodies that a window is meant to hold; it narrows when blocks are large.
pub const WINDOW_BYTES: usize = 32 << 20;

/// Bytes of bodies that one node can make a channel's collector hold, unless a single body is larger.
pub const BODY_BYTES_PER_NODE_MAX: usize = 32 << 20;

/// How long a body may be missing from a block that is otherwise complete before another node is asked; doubles with
/// each node asked, up to [`BODY_AFTER_MAX`].
pub const BODY_AFTER_MIN: Duration = Duration::from_millis(250);
/// See [`BODY_AFTER_MIN`].
pub const BODY_AFTER_MAX: Duration = Duration::from_secs(8);

/// A node that owed a body and did not send it is not waited for during this time.
pub const SILENT_SOURCE_SKIPPED: Duration = Duration::from_secs(10);

/// How long a collector waits before it uses a ledger again that has failed.
pub const LEDGER_RETRY_AFTER: Duration = Duration::from_secs(1);

/// One line at most per node and kind of misbehaviour in this time; the counters count all.
pub const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

// A request that waits for its turn must be on its way before its client gives up.
const _: () = assert!(RESEND_AFTER.as_secs() < SUBMIT_TIMEOUT.as_secs());
const _: () = assert!(PING_INTERVAL.as_secs() * 2 < SILENCE_MAX.as_secs());
const _: () = assert!(WINDOW_BLOCKS_MIN <= WINDOW_BLOCKS_MAX);
