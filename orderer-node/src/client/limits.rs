//! Every bound of the load driver.

use std::time::Duration;

/// Envelopes of one Broadcast stream that are not answered yet. What a server reads ahead is its own bound.
pub const STREAM_OUTSTANDING_MAX: usize = 4096;

/// Envelopes that are submitted and not delivered yet. What falls due beyond is left out and counted.
pub const OUTSTANDING_MAX: usize = 200_000;

/// Delivered envelopes that are remembered to recognise one that comes again.
pub(super) const DELIVERED_REMEMBERED_MAX: usize = 200_000;

/// Envelopes signed ahead of the time they fall due.
pub(super) const SIGNED_AHEAD_MAX: usize = 4096;

/// How long connecting may take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a lane waits before it connects again.
pub(super) const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// Longest latency that is told apart from longer ones.
pub(super) const LATENCY_MAX: Duration = Duration::from_secs(600);
