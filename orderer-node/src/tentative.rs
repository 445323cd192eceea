//! Where blocks may be signed before they are decided (WHEAT, thesis 5.3.2).

use std::collections::BTreeMap;

use fabric_channel::ChannelConfig;
use fabric_proto::ChannelId;
use frontend_shim::group_policy::only_quorums_are_believed;
use mod_smart::View;

/// In which channels blocks may be signed before they are decided: where peers believe nobody less than a quorum. Looked at
/// once for each configuration.
#[derive(Debug, Default)]
pub struct Permissions(BTreeMap<ChannelId, (u64, bool)>);

impl Permissions {
    /// May blocks of a channel with this configuration be signed before their decision?
    pub fn may_sign(&mut self, view: &View, config: &ChannelConfig) -> bool {
        let sequence = config.sequence();
        match self.0.get(config.channel_id()) {
            Some((looked_at, may_sign)) if *looked_at == sequence => *may_sign,
            _ => {
                let may_sign = only_quorums_are_believed(view, config).is_ok();
                self.0.insert(config.channel_id().clone(), (sequence, may_sign));
                may_sign
            }
        }
    }
}
