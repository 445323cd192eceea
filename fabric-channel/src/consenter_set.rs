//! Whether the same nodes order a channel before and after an update, and if not, whether it may move to others.
//!
//! An ordering group is fixed for life: its members are the consenters with their pinned keys. Another host, port or
//! certificate with the same key concerns only how a member is reached. Another set moves the channel to another group
//! (protocol.md, Succession): its members take over what the old ones agreed on last. For that a quorum of the old ones
//! has to be among them, so that whatever the old group promised is known to enough of the new one.

use thiserror::Error;

use crate::block_policy::bft_quorum;
use crate::config::{ChannelConfig, ConsensusType};
use crate::consenter::Consenter;

/// Why a channel cannot move to these consenters.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MoveError {
    /// Too few of the present consenters go along.
    #[error(
        "the update keeps {kept} of {} consenters, but a channel moves only with a quorum of them, {needed} \
         ({}): do it in steps", .kept + .lost.len(), describe(.lost)
    )]
    TooFewKept {
        /// How many stay.
        kept: usize,
        /// How many have to.
        needed: usize,
        /// Who does not stay, or comes with another key.
        lost: Vec<u32>,
    },
    /// Two of them have one key, so one could speak as the other.
    #[error("consenters {0} and {1} would have the same key")]
    SharedKey(u32, u32),
    /// They could not sign blocks that anybody takes, and no later update could heal that.
    #[error(
        "no block would be valid after it: the policy /Channel/Orderer/BlockValidation asks for more signatures than the \
         {consenters} consenters can give ({}): change both in one update", needed_text(*.needed)
    )]
    TooFewSigners {
        /// How many there are.
        consenters: usize,
        /// How many would have to sign, if any number would do.
        needed: Option<usize>,
    },
}

/// Are they the same consenters: the same consensus type, and the same ids with the same pinned keys?
#[must_use]
pub fn is_same(current: &ChannelConfig, next: &ChannelConfig) -> bool {
    let members = |config: &ChannelConfig| -> Vec<_> {
        config.consenters().iter().map(|consenter| (consenter.id, consenter.pinned_key().clone())).collect()
    };
    is_bft(current) == is_bft(next) && members(current) == members(next)
}

/// Demands that the channel can be ordered by the consenters of `next` after those of `current`: they are the same, or a
/// quorum of the present ones is among them, and they are enough for its policy BlockValidation.
///
/// # Errors
/// [`MoveError`].
pub fn check(current: &ChannelConfig, next: &ChannelConfig) -> Result<(), MoveError> {
    let (now, then) = (current.consenters(), next.consenters());
    for (at, second) in then.iter().enumerate() {
        if let Some(first) = then[..at].iter().find(|first| first.pinned_key() == second.pinned_key()) {
            return Err(MoveError::SharedKey(first.id, second.id));
        }
    }
    let lost: Vec<u32> = now.iter().filter(|member| !is_kept(member, current, next)).map(|member| member.id).collect();
    let (kept, needed) = (now.len() - lost.len(), bft_quorum(now.len()));
    if kept < needed {
        return Err(MoveError::TooFewKept { kept, needed, lost });
    }
    let (consenters, needed) = (then.len(), next.block_policy().policy().fewest_signers());
    if needed.is_none_or(|needed| needed > consenters) {
        return Err(MoveError::TooFewSigners { consenters, needed });
    }
    Ok(())
}

/// Who of `next` was a consenter before, by id.
#[must_use]
pub fn kept(current: &ChannelConfig, next: &ChannelConfig) -> Vec<u32> {
    let before = |member: &&Consenter| current.consenters().iter().any(|old| is_one(old, member, current, next));
    next.consenters().iter().filter(before).map(|member| member.id).collect()
}

fn is_kept(member: &Consenter, current: &ChannelConfig, next: &ChannelConfig) -> bool {
    next.consenters().iter().any(|then| is_one(member, then, current, next))
}

/// Is it one and the same node? On type etcdraft the ids are mere positions, so only keys tell; where the type changes, the
/// key of its TLS certificate does.
fn is_one(now: &Consenter, then: &Consenter, current: &ChannelConfig, next: &ChannelConfig) -> bool {
    match (is_bft(current), is_bft(next)) {
        (true, true) => now.id == then.id && now.pinned_key() == then.pinned_key(),
        (false, false) => now.pinned_key() == then.pinned_key(),
        _ => now.server_tls_cert.spki_der() == then.server_tls_cert.spki_der(),
    }
}

fn is_bft(config: &ChannelConfig) -> bool {
    matches!(config.consensus(), ConsensusType::Bft { .. })
}

fn needed_text(needed: Option<usize>) -> String {
    needed.map_or_else(|| "nobody can satisfy it".to_owned(), |needed| needed.to_string())
}

fn describe(lost: &[u32]) -> String {
    let ids: Vec<String> = lost.iter().map(u32::to_string).collect();
    format!("without the present {}", ids.join(", "))
}
