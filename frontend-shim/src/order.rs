//! What a frontend asks of the cluster, and what can come of it.

use std::sync::Arc;

use bytes::Bytes;
use fabric_channel::ChannelConfig;
use fabric_proto::ChannelId;
use fabric_proto::common::Status;
use futures::future::BoxFuture;

/// The way of what is admitted into the cluster.
pub trait Submit: Send + Sync {
    /// Submits an order for `channel`. The future is done when enough nodes hold it durably that it cannot be lost, or
    /// when that failed. Must not block; what happens to the order may not depend on the future being polled to its end.
    fn submit(&self, channel: &ChannelId, order: Order) -> BoxFuture<'static, Result<(), SubmitError>>;

    /// Asks whether enough of the consenters of `next`, which are others than now, are in reach to go on with `channel`.
    /// That is for whoever admits an update: nodes never ask it when its turn comes, because they could not all come to the
    /// same answer.
    fn check_move(&self, channel: &ChannelId, next: Arc<ChannelConfig>) -> BoxFuture<'static, Result<(), SubmitError>> {
        let _ = (channel, next);
        Box::pin(std::future::ready(Ok(())))
    }
}

/// What is asked of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// To order an ordinary envelope.
    Envelope {
        /// The config sequence under which it was admitted.
        sequence: u64,
        /// In canonical form.
        envelope: Bytes,
    },
    /// To put the next configuration in force.
    Config {
        /// The config sequence that it leads on from.
        sequence: u64,
        /// A CONFIG envelope in canonical form.
        envelope: Bytes,
    },
}

impl Order {
    /// The envelope.
    #[must_use]
    pub const fn envelope(&self) -> &Bytes {
        match self {
            Self::Envelope { envelope, .. } | Self::Config { envelope, .. } => envelope,
        }
    }

    /// The config sequence that it rests on.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        match self {
            Self::Envelope { sequence, .. } | Self::Config { sequence, .. } => *sequence,
        }
    }
}

/// Why an envelope was not taken, or is not known to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Too much is waiting here or at the nodes.
    #[error("the ordering service is overloaded, try again later")]
    Overloaded,
    /// Not connected to enough nodes that order this channel.
    #[error("not connected to enough nodes of this channel")]
    NotOpen,
    /// Nobody knows in time; the envelope may still be ordered.
    #[error("the ordering service did not confirm the message in time")]
    TimedOut,
    /// This process is shutting down.
    #[error("the ordering service is shutting down")]
    Closed,
    /// The envelope itself is at fault, with the reason for the client.
    #[error("{0}")]
    Refused(String),
}

impl SubmitError {
    /// The status that tells a client what to do: 503 to try another orderer, 400 to give up.
    #[must_use]
    pub const fn status(&self) -> Status {
        match self {
            Self::Refused(_) => Status::BadRequest,
            Self::Overloaded | Self::NotOpen | Self::TimedOut | Self::Closed => Status::ServiceUnavailable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_client_did_wrong_is_a_client_error() {
        for error in [SubmitError::Overloaded, SubmitError::NotOpen, SubmitError::TimedOut, SubmitError::Closed] {
            assert_eq!(error.status(), Status::ServiceUnavailable);
        }
        assert_eq!(SubmitError::Refused("no".into()).status(), Status::BadRequest);
    }
}
