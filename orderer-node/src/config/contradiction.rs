//! Settings that exclude each other, in whichever form they were written.

use std::time::Duration;

use mod_smart::Limits;
use mod_smart::limits::BATCH_REQUESTS_MAX;

use super::Sockets;

/// A setting that cannot stand beside the others. The text says why; each form of the configuration knows its own name of
/// the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Contradiction {
    #[error("must be at least a millisecond")]
    RequestTimeout,
    #[error("is less than the request timeout")]
    RequestTimeoutMax,
    #[error("must be at least 1")]
    CheckpointInterval,
    #[error("must be from 1 to {BATCH_REQUESTS_MAX}")]
    BatchRequestsMax,
    #[error("is the same socket as that of Broadcast")]
    SameSocket,
    #[error("is served by the embedded frontend, which is switched off")]
    SocketWithoutFrontend,
}

/// Finds what is wrong with the limits of the protocol.
pub(crate) fn check_limits(limits: &Limits) -> Result<(), Contradiction> {
    if limits.request_timeout < Duration::from_millis(1) {
        return Err(Contradiction::RequestTimeout);
    }
    if limits.request_timeout_max < limits.request_timeout {
        return Err(Contradiction::RequestTimeoutMax);
    }
    if limits.checkpoint_interval == 0 {
        return Err(Contradiction::CheckpointInterval);
    }
    if !(1..=BATCH_REQUESTS_MAX).contains(&limits.batch_requests_max) {
        return Err(Contradiction::BatchRequestsMax);
    }
    Ok(())
}

/// Finds what is wrong with the Unix sockets.
pub(crate) fn check_sockets(sockets: &Sockets, embedded_frontend: bool) -> Result<(), Contradiction> {
    if sockets.broadcast.is_some() && sockets.broadcast == sockets.status {
        return Err(Contradiction::SameSocket);
    }
    if sockets.broadcast.is_some() && !embedded_frontend {
        return Err(Contradiction::SocketWithoutFrontend);
    }
    Ok(())
}
