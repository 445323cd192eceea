//! Why a registrar says no. The texts of what Fabric's orderer can say too are the ones its clients match on.

/// Why a channel is not joined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// It is joined already, or being joined.
    #[error("channel already exists")]
    AlreadyExists,
    /// Its data is still being deleted.
    #[error("channel pending removal")]
    PendingRemoval,
    /// Its data could not be deleted.
    #[error("channel removal failure")]
    RemovalFailed,
    /// For another reason, which the text gives.
    #[error("{0}")]
    Refused(String),
}

/// Why a channel is not removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoveError {
    /// It is not joined.
    #[error("channel does not exist")]
    NotFound,
    /// It is being removed already.
    #[error("channel pending removal")]
    PendingRemoval,
    /// For another reason, which the text gives.
    #[error("{0}")]
    Failed(String),
}

/// Why an update is not submitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// The channel is not joined.
    #[error("channel does not exist")]
    NotFound,
    /// This node only follows the channel.
    #[error("channel is not ready, he is a follower")]
    Follower,
    /// Its data is being deleted.
    #[error("channel pending removal")]
    PendingRemoval,
    /// Its data could not be deleted.
    #[error("channel removal failure")]
    RemovalFailed,
    /// Broadcast would not take the update, for the reason that the text gives.
    #[error("{0}")]
    Refused(String),
}

/// Why there is no block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The channel is not joined.
    #[error("channel does not exist")]
    NotFound,
    /// This node only follows the channel and cannot vouch for its blocks.
    #[error("channel is not ready, he is a follower")]
    Follower,
    /// Its data is being deleted.
    #[error("channel pending removal")]
    PendingRemoval,
    /// Its data could not be deleted.
    #[error("channel removal failure")]
    RemovalFailed,
    /// The channel has no such block yet.
    #[error("no such block number [{0}] in index")]
    NoSuchBlock(u64),
    /// The block is there and could not be read.
    #[error("{0}")]
    Unreadable(String),
}
