//! What a group of certain weights may do on a channel of a certain BlockValidation policy, and what its operators should know.

use fabric_channel::{ChannelConfig, PolicyFitError, name_consenters, policy_fit};
use mod_smart::{View, Voters};

use crate::group::OrderingGroup;
use crate::group_settings::FaultModel;

/// Why blocks of a channel may not be signed before they are decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhyNot {
    /// The operators do not want it.
    #[error("the settings of the group do not say so")]
    NotSet,
    /// It is not this group that orders under this configuration.
    #[error("the configuration names other consenters")]
    OtherConsenters,
    /// Peers would believe a block that is then decided differently.
    #[error("the signatures of {} satisfy the policy BlockValidation, and they are no quorum of the group", name_consenters(.0))]
    Lighter(Vec<u32>),
    /// It cannot be told whom peers would believe.
    #[error("it cannot be told who satisfies the policy BlockValidation: {0}")]
    Unknown(#[from] PolicyFitError),
}

/// Does nobody but a quorum make peers believe a block of a channel with this configuration? Looks at every set of its
/// consenters, which are the members of the view: to be asked at start and at each configuration, not for each block.
///
/// # Errors
/// [`WhyNot`].
pub fn only_quorums_are_believed(view: &View, config: &ChannelConfig) -> Result<(), WhyNot> {
    match policy_fit(config, |set| is_quorum(view, set))?.lighter {
        Some(lighter) => Err(WhyNot::Lighter(lighter)),
        None => Ok(()),
    }
}

/// Bit `i` is the `i`-th consenter, which is replica `i`.
fn is_quorum(view: &View, set: u32) -> bool {
    view.is_quorum(Voters::from_bits(u128::from(set)))
}

impl OrderingGroup {
    /// May the members sign blocks of a channel with this configuration before they are decided? As expensive as
    /// [`only_quorums_are_believed`].
    ///
    /// # Errors
    /// [`WhyNot`].
    pub fn may_sign_tentatively(&self, config: &ChannelConfig) -> Result<(), WhyNot> {
        if !self.settings().is_tentative() {
            return Err(WhyNot::NotSet);
        }
        if !self.is_of(config) {
            return Err(WhyNot::OtherConsenters);
        }
        only_quorums_are_believed(self.view(), config)
    }

    /// What operators should know of the policy of a channel beside the settings of the group; nothing where these are those
    /// that Fabric's own policies are made for.
    #[must_use]
    pub fn remarks_on_policy(&self, config: &ChannelConfig) -> Vec<String> {
        let settings = self.settings();
        let is_weighted = !settings.heavy().is_empty();
        let is_crash_only = settings.fault_model() == FaultModel::Crash;
        if !settings.concern_policies() || !self.is_of(config) {
            return Vec::new();
        }
        let mut remarks = Vec::new();
        if let Err(why) = self.may_sign_tentatively(config)
            && settings.is_tentative()
        {
            remarks.push(format!("blocks of this channel are signed only once they are decided: {why}"));
        }
        let Ok(fit) = policy_fit(config, |set| is_quorum(self.view(), set)) else { return remarks };
        if let Some(lighter) = fit.lighter.filter(|_| is_weighted && !is_crash_only) {
            remarks.push(format!(
                "peers of this channel believe blocks that {} sign, which are no quorum of the group by weight: give the policy \
                 /Channel/Orderer/BlockValidation the weights of the group (PROTOCOL.md, Settings)",
                name_consenters(&lighter)
            ));
        }
        if let Some(wanting) = fit.wanting {
            remarks.push(format!(
                "{} are a quorum of the group and do not satisfy the policy BlockValidation of this channel: its blocks wait for \
                 more signatures than the group needs, and lose what the settings gain (PROTOCOL.md, Settings)",
                name_consenters(&wanting)
            ));
        }
        remarks
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fabric_proto::common::Block;
    use prost::Message as _;

    use super::*;
    use crate::group::ordering_group_after;

    fn config(block: &'static [u8]) -> ChannelConfig {
        ChannelConfig::from_block(&Block::decode(block).unwrap()).unwrap()
    }

    fn group(config: &ChannelConfig, settings: &str) -> OrderingGroup {
        ordering_group_after(config, 0, &toml::from_str(settings).unwrap()).unwrap()
    }

    #[test]
    fn blocks_leave_early_where_only_quorums_are_believed() {
        let (bft, raft) = (config(BFT), config(RAFT));
        let tentative = group(&bft, "tentative = true");
        assert_eq!(tentative.may_sign_tentatively(&bft), Ok(()));
        assert_eq!(tentative.remarks_on_policy(&bft), Vec::<String>::new());
        assert_eq!(tentative.may_sign_tentatively(&raft), Err(WhyNot::OtherConsenters));
        assert_eq!(group(&bft, "").may_sign_tentatively(&bft), Err(WhyNot::NotSet));

        let believed = group(&raft, "tentative = true");
        assert_eq!(believed.may_sign_tentatively(&raft), Err(WhyNot::Lighter(vec![1])));
        let remarks = believed.remarks_on_policy(&raft);
        let why = "blocks of this channel are signed only once they are decided: the signatures of consenter 1 satisfy the \
                   policy BlockValidation, and they are no quorum of the group";
        assert_eq!(remarks, [why]);
    }

    #[test]
    fn a_quorum_that_peers_do_not_believe_is_remarked_on() {
        let bft = config(BFT);
        assert_eq!(group(&bft, "window = 4").remarks_on_policy(&bft), Vec::<String>::new());
        // The heavy one and one more decide where nobody lies; peers want three signatures.
        let weighted = group(&bft, "fault_model = \"crash\"\ndelta = 1\nheavy = [2]");
        let [remark] = &weighted.remarks_on_policy(&bft)[..] else { panic!() };
        assert!(remark.starts_with("consenters 1 and 2 are a quorum of the group and do not satisfy"), "{remark}");
    }

    const BFT: &[u8] = include_bytes!("../../fabric-channel/tests/data/bft/genesis.block");
    const RAFT: &[u8] = include_bytes!("../../fabric-channel/tests/data/raft/genesis.block");
}
