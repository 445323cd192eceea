//! Every bound of the load generator.

use std::time::Duration;

/// Bytes of envelopes that are signed before the load begins. What is needed beyond is signed while it runs.
pub(super) const PREPARED_BYTES_MAX: usize = 256 << 20;

/// Envelopes that are signed beforehand for each second of a load whose rate is the orderer's to say.
pub(super) const PREPARED_PER_S: u64 = 10_000;

/// Envelopes that have come to their end and are remembered, to recognise one that is delivered again.
pub(super) const SETTLED_REMEMBERED_MAX: usize = 500_000;

/// Longest latency that is told apart from longer ones.
pub(super) const LATENCY_MAX: Duration = Duration::from_secs(600);

/// Envelopes that are due on one stream and not sent yet. What falls due beyond is left out and counted.
pub(super) const STREAM_DUE_MAX: usize = 16_384;

/// How long a stream or a receiver waits before it connects again.
pub(super) const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// How long an answer to the first questions to the orderer may take.
pub(super) const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the load goes on after the window, at most, for what is still on its way.
pub(super) const COOL_DOWN_MAX: Duration = Duration::from_secs(5);

/// And usually.
pub(super) const COOL_DOWN_USUAL: Duration = Duration::from_secs(1);

/// How long to wait, after the load, for the next envelope to be delivered or answered. Longer than a frontend waits before it gives up.
pub(super) const DRAIN_PATIENCE: Duration = Duration::from_secs(30);

/// A load under which nothing is delivered for so long is given up.
pub(super) const STALL_PATIENCE: Duration = Duration::from_secs(60);

/// How long the receivers that are not measured may take for what the measured one has.
pub(super) const RECEIVERS_PATIENCE: Duration = Duration::from_secs(10);

/// How often the progress is looked at.
pub(super) const WATCH_INTERVAL: Duration = Duration::from_millis(20);

/// How long to listen for envelopes that come again, if the channel does not say how long a block may wait.
pub(super) const SETTLE_USUAL: Duration = Duration::from_secs(1);

/// And at most.
pub(super) const SETTLE_MAX: Duration = Duration::from_secs(5);

/// How long a process may take to say what its stages have cost.
pub(super) const STATUS_TIMEOUT: Duration = Duration::from_secs(1);

/// Envelopes to be refused that wait for the lane that sends them.
pub(super) const STRAYS_DUE_MAX: usize = 1024;

/// Longest envelope that a file may hold.
pub(super) const REPLAYED_ENVELOPE_BYTES_MAX: usize = 100 << 20;

/// Memory for blocks that a frontend of this process has just stored, for each channel.
pub(super) const DIRECT_LEDGER_CACHE_BYTES_MAX: usize = 8 << 20;

/// How long the nodes may take to let a frontend of this process in.
pub(super) const OPENING_PATIENCE: Duration = Duration::from_secs(30);

/// A chain that has not grown for so long has been collected to its end.
pub(super) const CAUGHT_UP_AFTER: Duration = Duration::from_millis(500);

/// Envelopes that `loadgen sign` signs before it writes them.
pub(super) const SIGNED_AT_ONCE: u64 = 10_000;
