//! Whom the peers of a channel believe.
//!
//! A peer takes a block that satisfies the policy BlockValidation, and asks for nothing else. On type BFT that is a quorum of
//! the consenters. On type etcdraft it is what the administrators wrote, and `configtxgen` writes: any one orderer.

use std::fmt;

use fabric_channel::{ChannelConfig, Consenter, bft_quorum};

/// So few signatures satisfy BlockValidation that orderers which may lie could give peers false blocks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    consenters: usize,
    enough: usize,
    /// The policy that a quorum has to satisfy, as `configtxgen` reads it.
    better: String,
}

/// What is wrong with the policy of a channel, if its consenters tolerate a lie that its peers would not.
pub(super) fn flaw(config: &ChannelConfig) -> Option<Flaw> {
    let consenters = config.consenters();
    let tolerated = consenters.len().saturating_sub(1) / 3;
    let enough = config.block_policy().policy().fewest_signers()?;
    // Two or three tolerate no lie. That one alone is believed makes them worse than one.
    let is_flawed = consenters.len() > 1 && enough <= tolerated.max(1);
    is_flawed.then(|| Flaw { consenters: consenters.len(), enough, better: quorum_policy(consenters) })
}

fn quorum_policy(consenters: &[Consenter]) -> String {
    let entry = |consenter: &Consenter| format!("'{}.orderer'", consenter.msp_id.as_deref().unwrap_or("MSP"));
    let entries: Vec<String> = consenters.iter().map(entry).collect();
    format!("OutOf({}, {})", bft_quorum(consenters.len()), entries.join(", "))
}

impl fmt::Display for Flaw {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { consenters, enough, better } = self;
        write!(
            formatter,
            "peers of this channel believe blocks signed by {enough} of its {consenters} orderers, so as many that lie can \
             give them false ones: set the policy /Channel/Orderer/BlockValidation to {better}"
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fabric_proto::common::signature_policy::{NOutOf, Type};
    use fabric_proto::common::{Block, Policy, SignaturePolicy, SignaturePolicyEnvelope};
    use fabric_proto::msp::MspPrincipal;
    use prost::Message as _;

    use super::*;

    #[test]
    fn a_channel_made_by_configtxgen_for_etcdraft_has_peers_that_believe_a_single_orderer() {
        let flaw = flaw(&config(RAFT)).unwrap();
        let policy = "OutOf(2, 'OrdererMSP.orderer', 'OrdererMSP.orderer', 'OrdererMSP.orderer')";
        assert_eq!(flaw, Flaw { consenters: 3, enough: 1, better: policy.to_owned() });
        let text = flaw.to_string();
        assert!(text.contains("signed by 1 of its 3 orderers"), "{text}");
        assert!(text.ends_with(&format!("set the policy /Channel/Orderer/BlockValidation to {policy}")), "{text}");
    }

    #[test]
    fn more_signatures_than_may_lie_are_no_flaw() {
        assert_eq!(flaw(&config(BFT)), None);
        assert!(flaw(&demanding(1)).is_some());
        assert_eq!(flaw(&demanding(2)), None);
        // Nobody could satisfy it, so nobody can lie either.
        assert_eq!(flaw(&demanding(4)), None);
    }

    /// The channel of type etcdraft with so many of three signatures.
    fn demanding(n: i32) -> ChannelConfig {
        let rules = vec![SignaturePolicy { r#type: Some(Type::SignedBy(0)) }; 3];
        let rule = SignaturePolicy { r#type: Some(Type::NOutOf(NOutOf { n, rules })) };
        let envelope =
            SignaturePolicyEnvelope { version: 0, rule: Some(rule), identities: vec![MspPrincipal::default()] };
        let mut changed = config(RAFT).bundle().config().clone();
        let orderer = changed.channel_group.as_mut().unwrap().groups.get_mut("Orderer").unwrap();
        let policy = Policy { r#type: 1, value: envelope.encode_to_vec().into() };
        orderer.policies.get_mut("BlockValidation").unwrap().policy = Some(policy);
        ChannelConfig::from_config("raftch", &changed).unwrap()
    }

    fn config(block: &'static [u8]) -> ChannelConfig {
        ChannelConfig::from_block(&Block::decode(block).unwrap()).unwrap()
    }

    const BFT: &[u8] = include_bytes!("../../../fabric-channel/tests/data/bft/genesis.block");
    const RAFT: &[u8] = include_bytes!("../../../fabric-channel/tests/data/raft/genesis.block");
}
