//! What the API tells about a channel, and which block is wanted of one.

use std::str::FromStr;

use fabric_proto::ChannelId;
use serde::Serialize;

/// A channel as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelInfo {
    /// Its name.
    pub id: ChannelId,
    /// What this node is in it.
    pub relation: ConsensusRelation,
    /// How far the node has come.
    pub status: ChannelStatus,
    /// Blocks stored.
    pub height: u64,
}

/// What a node is in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConsensusRelation {
    /// One of its consenters.
    Consenter,
    /// Not a consenter: it fetches blocks.
    Follower,
    /// It fetches configuration blocks only; orderers of older networks.
    ConfigTracker,
    /// The channel is ordered without a cluster.
    Other,
}

impl ConsensusRelation {
    /// The value of `participation_consensus_relation` (contract 6).
    #[must_use]
    pub const fn metric(self) -> u8 {
        match self {
            Self::Other => 0,
            Self::Consenter => 1,
            Self::Follower => 2,
            Self::ConfigTracker => 3,
        }
    }
}

/// How far a node has come in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelStatus {
    /// It orders or follows, and has all blocks up to the one it joined with.
    Active,
    /// It is fetching the blocks up to the one it joined with.
    Onboarding,
    /// It stores no blocks of the channel.
    Inactive,
    /// The last operation on the channel failed.
    Failed,
}

impl ChannelStatus {
    /// The value of `participation_status` (contract 6).
    #[must_use]
    pub const fn metric(self) -> u8 {
        match self {
            Self::Inactive => 0,
            Self::Active => 1,
            Self::Onboarding => 2,
            Self::Failed => 3,
        }
    }
}

/// Which block is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockChoice {
    /// The last one.
    Newest,
    /// The first one.
    Oldest,
    /// The last one with a configuration.
    Config,
    /// The one of this number.
    Number(u64),
}

impl FromStr for BlockChoice {
    type Err = BlockChoiceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "newest" => Ok(Self::Newest),
            "oldest" => Ok(Self::Oldest),
            "config" => Ok(Self::Config),
            _ => match text.parse::<i64>() {
                // Fabric takes a negative number for a block that is not there.
                Ok(number) => u64::try_from(number).map(Self::Number).map_err(|_| BlockChoiceError::Negative(number)),
                Err(_) => Err(BlockChoiceError::Unknown(text.to_owned())),
            },
        }
    }
}

/// Why this names no block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockChoiceError {
    /// Neither a word nor a number.
    #[error("invalid block ID: '{0}' not equal <newest|oldest|config|(number)>")]
    Unknown(String),
    /// There is no such block anywhere.
    #[error("no such block number [{0}] in index")]
    Negative(i64),
}
