//! How many and whose signatures make a block valid: the policy `/Channel/Orderer/BlockValidation`.
//!
//! On type BFT it is derived from the consenters: the protocol's quorum of them, each named by its exact identity.
//! Elsewhere it is what the administrators wrote, by default one signature of a writer. Contract §0.4 to §0.6.

use std::collections::BTreeSet;
use std::sync::Arc;

use fabric_proto::common::signature_policy::{NOutOf, Type as RuleType};
use fabric_proto::common::{Policy as PolicyMessage, SignaturePolicy, SignaturePolicyEnvelope, policy};
use fabric_proto::msp::MspPrincipal;
use fabric_proto::msp::msp_principal::Classification;
use prost::Message as _;

use crate::block_verifier::VerifiedSigner;
use crate::identity::{self, Identity, IdentityKey};
use crate::policy::Policy;

/// The policy that a block's signatures have to satisfy. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct BlockPolicy(Arc<Policy>);

impl BlockPolicy {
    pub(crate) fn new(policy: Arc<Policy>) -> Self {
        Self(policy)
    }

    /// True if blocks signed by these signers are valid. The signers may repeat; their order is that of the
    /// signatures in the block.
    ///
    /// A collector asks this after each arriving signature: every signature is verified once, however often this is
    /// asked.
    #[must_use]
    pub fn is_satisfied(&self, signers: &[VerifiedSigner]) -> bool {
        let mut keys: BTreeSet<&IdentityKey> = BTreeSet::new();
        let distinct: Vec<Identity> = signers
            .iter()
            .map(VerifiedSigner::identity)
            .filter(|identity| keys.insert(identity.key()))
            .cloned()
            .collect();
        self.0.is_satisfied_by(&distinct)
    }

    /// The policy itself.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.0
    }
}

/// Signatures that a block of a BFT channel with `n` consenters needs: `ceil((n + f + 1) / 2)` with `f = (n - 1) /
/// 3`, and none for nobody.
#[must_use]
pub const fn bft_quorum(n: usize) -> usize {
    let f = n.saturating_sub(1) / 3;
    match n {
        0 => 0,
        _ => (n + f + 1).div_ceil(2),
    }
}

/// The BlockValidation policy that Fabric derives from a consenter mapping, given as (MSP ID, identity PEM) in
/// mapping order.
#[must_use]
pub fn derived_bft_policy<'a>(consenters: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> PolicyMessage {
    let identities: Vec<MspPrincipal> = consenters
        .into_iter()
        .map(|(msp_id, pem)| MspPrincipal {
            principal_classification: Classification::Identity.into(),
            principal: identity::serialise(msp_id, pem),
        })
        .collect();
    let rules = (0..identities.len() as i32).map(signed_by).collect();
    // Of nobody one is demanded, so that the policy is never satisfied.
    let quorum = bft_quorum(identities.len()).max(1) as i32;
    signature_policy(n_out_of(quorum, rules), identities)
}

/// A policy of type SIGNATURE.
pub(crate) fn signature_policy(rule: SignaturePolicy, identities: Vec<MspPrincipal>) -> PolicyMessage {
    let envelope = SignaturePolicyEnvelope { version: 0, rule: Some(rule), identities };
    PolicyMessage { r#type: policy::PolicyType::Signature.into(), value: envelope.encode_to_vec().into() }
}

pub(crate) fn signed_by(index: i32) -> SignaturePolicy {
    SignaturePolicy { r#type: Some(RuleType::SignedBy(index)) }
}

pub(crate) fn n_out_of(n: i32, rules: Vec<SignaturePolicy>) -> SignaturePolicy {
    SignaturePolicy { r#type: Some(RuleType::NOutOf(NOutOf { n, rules })) }
}

#[cfg(test)]
mod tests {
    use super::bft_quorum;

    #[test]
    fn quorum_is_that_of_fabric() {
        let quorums: Vec<usize> = (1..=13).map(bft_quorum).collect();
        assert_eq!(quorums, [1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 8, 8, 9]);
    }
}
