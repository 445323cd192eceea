//! What is said of a channel to its administrator (contract, section 5).

use std::fmt;

use fabric_proto::ChannelId;

use super::Entry;

/// A channel as this node has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelInfo {
    /// Its name.
    pub name: ChannelId,
    /// What this node is to it.
    pub relation: ConsensusRelation,
    /// How it is doing.
    pub status: Status,
    /// Blocks here that clients could see.
    pub height: u64,
}

/// What this node is to a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsensusRelation {
    /// It orders the channel.
    Consenter,
    /// It pulls the blocks that others order.
    Follower,
    /// It cannot be said.
    Other,
}

/// How a channel is doing at this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is ordered or followed.
    Active,
    /// Blocks up to the join block are being pulled.
    Onboarding,
    /// It is being removed.
    Inactive,
    /// It cannot go on; the log says why.
    Failed,
}

impl ConsensusRelation {
    /// Fabric's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Consenter => "consenter",
            Self::Follower => "follower",
            Self::Other => "other",
        }
    }
}

impl Status {
    /// Fabric's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Onboarding => "onboarding",
            Self::Inactive => "inactive",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for ConsensusRelation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Entry {
    pub(super) fn info(&self, id: &ChannelId) -> ChannelInfo {
        let (relation, status, height) = match self {
            Self::Consenter { ledger, .. } => (ConsensusRelation::Consenter, Status::Active, ledger.certified_height()),
            Self::Follower { following, .. } => {
                let height = following.ledger.certified_height();
                let is_onboarding = height <= following.join_number;
                (following.relation, if is_onboarding { Status::Onboarding } else { Status::Active }, height)
            }
            Self::Changing { relation, height } => (*relation, Status::Onboarding, *height),
            Self::Failed { relation, height } => (*relation, Status::Failed, *height),
            Self::Removing => (ConsensusRelation::Other, Status::Inactive, 0),
        };
        ChannelInfo { name: id.clone(), relation, status, height }
    }
}
