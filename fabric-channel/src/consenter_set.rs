//! Whether the same nodes order a channel before and after an update.
//!
//! An ordering group is fixed for life: its members are the consenters with their pinned keys. Another host, port or
//! certificate with the same key concerns only how a member is reached; another member concerns the group itself, and
//! that takes more than a new configuration.

use thiserror::Error;

use crate::config::{ChannelConfig, ConsensusType};

/// Why a channel cannot go on with its present ordering nodes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("moving a channel to other ordering nodes is not supported by this version: {0}")]
pub struct MoveError(pub MoveReason);

/// What is not the same.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MoveReason {
    /// The type, and with it the kind of key that pins a consenter.
    #[error("the update changes the consensus type")]
    Type,
    /// A new id.
    #[error("the update adds consenter {0}")]
    Added(u32),
    /// An id that is gone.
    #[error("the update removes consenter {0}")]
    Removed(u32),
    /// The same id with another key.
    #[error("the update gives consenter {0} another key")]
    Key(u32),
}

/// Demands the same consensus type, the same consenter ids and the same pinned key for each.
///
/// # Errors
/// [`MoveError`] names the first difference.
pub fn check_same(current: &ChannelConfig, next: &ChannelConfig) -> Result<(), MoveError> {
    if is_bft(current) != is_bft(next) {
        return Err(MoveError(MoveReason::Type));
    }
    for now in current.consenters() {
        let then = next.consenter(now.id).ok_or(MoveError(MoveReason::Removed(now.id)))?;
        if then.pinned_key() != now.pinned_key() {
            return Err(MoveError(MoveReason::Key(now.id)));
        }
    }
    let added = next.consenters().iter().find(|then| current.consenter(then.id).is_none());
    added.map_or(Ok(()), |then| Err(MoveError(MoveReason::Added(then.id))))
}

fn is_bft(config: &ChannelConfig) -> bool {
    matches!(config.consensus(), ConsensusType::Bft { .. })
}
