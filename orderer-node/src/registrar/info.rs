//! What is said of a channel to its administrator (contract, section 5).

use fabric_proto::ChannelId;

use super::Entry;
use crate::participation::{ChannelInfo, ChannelStatus, ConsensusRelation};

impl Entry {
    pub(super) fn info(&self, id: &ChannelId) -> ChannelInfo {
        let (relation, status, height) = match self {
            Self::Consenter { channel, .. } => {
                (ConsensusRelation::Consenter, ChannelStatus::Active, channel.ledger.certified_height())
            }
            Self::Follower { following, .. } => {
                let height = following.ledger.certified_height();
                let is_onboarding = height <= following.join_number;
                let status = if is_onboarding { ChannelStatus::Onboarding } else { ChannelStatus::Active };
                (following.relation, status, height)
            }
            Self::Changing { relation, height } => (*relation, ChannelStatus::Onboarding, *height),
            Self::Failed { relation, height } => (*relation, ChannelStatus::Failed, *height),
            Self::Removing => (ConsensusRelation::Other, ChannelStatus::Inactive, 0),
        };
        ChannelInfo { id: id.clone(), relation, status, height }
    }
}
