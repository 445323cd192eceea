//! What a config block says about who must sign blocks: the consenters, and the BlockValidation policy.
//!
//! Two forms of the policy are understood, those that configtxgen writes: `n` of the exact identities of all consenters
//! (type BFT, contract 0.4 and 0.5), and ANY Writers (type etcdraft), taken as one signature of a member of an orderer
//! organisation. Any other is an error here, not a guess.

use std::collections::{BTreeMap, BTreeSet};

use p256::ecdsa::VerifyingKey;
use prost::Message as _;

use super::Flaw;
use super::identity::{is_issued_by, key_of};
use super::messages::{
    ChannelHeader, ConfigEnvelope, ConfigGroup, Consenter, Envelope, FabricMspConfig, IdentifierHeader,
    ImplicitMetaPolicy, KIND_CONFIG, MetadataSignature, MspConfig, Orderers, POLICY_IMPLICIT_META, POLICY_SIGNATURE,
    PRINCIPAL_IDENTITY, Payload, Policy, RULE_ANY, SerializedIdentity, SignatureHeader, SignaturePolicyEnvelope,
    SignaturePolicyRule,
};

/// A channel's configuration, as far as signatures of blocks are concerned.
#[derive(Clone, Debug)]
pub(super) struct Channel {
    pub(super) id: String,
    consenters: BTreeMap<u32, SerializedIdentity>,
    authorities: BTreeMap<String, Vec<Vec<u8>>>,
    policy: BlockValidation,
}

#[derive(Clone, Debug)]
enum BlockValidation {
    /// So many of these identities.
    NOutOf(usize, BTreeSet<SerializedIdentity>),
    /// Any member of an orderer organisation.
    AnyWriter,
}

/// Who made a signature, by the header that comes with it.
pub(super) struct Signer {
    pub(super) identity: SerializedIdentity,
    pub(super) key: VerifyingKey,
    /// What the signature covers between metadata value and block header.
    pub(super) header: Vec<u8>,
}

impl Channel {
    /// Reads the envelope of a config block; `None` if it holds something else.
    pub(super) fn read(entry: &[u8]) -> Result<Option<Self>, Flaw> {
        let envelope = Envelope::decode(entry)?;
        let payload = Payload::decode(&envelope.payload[..])?;
        let header = payload.header.ok_or(Flaw::Missing("payload header"))?;
        let header = ChannelHeader::decode(&header.channel_header[..])?;
        if header.kind != KIND_CONFIG {
            return Ok(None);
        }
        let config = ConfigEnvelope::decode(&payload.data[..])?.config.ok_or(Flaw::Missing("config"))?;
        let group = config.channel_group.ok_or(Flaw::Missing("channel group"))?;
        let orderer = group.groups.get("Orderer").ok_or(Flaw::Missing("group Orderer"))?;
        let consenters = consenters(orderer)?;
        let policy = block_validation(orderer, &consenters)?;
        Ok(Some(Self { id: header.channel_id, consenters, authorities: authorities(orderer)?, policy }))
    }

    /// Whose signature is this meant to be?
    pub(super) fn signer(&self, signature: &MetadataSignature) -> Result<Signer, Flaw> {
        let (identity, header) = if signature.signature_header.is_empty() {
            let id = IdentifierHeader::decode(&signature.identifier_header[..])?.identifier;
            let identity = self.consenters.get(&id).ok_or(Flaw::UnknownSigner)?;
            (identity.clone(), &signature.identifier_header)
        } else {
            let creator = SignatureHeader::decode(&signature.signature_header[..])?.creator;
            (SerializedIdentity::decode(&creator[..])?, &signature.signature_header)
        };
        Ok(Signer { key: key_of(&identity.certificate_pem)?, identity, header: header.clone() })
    }

    /// The consenter with this identity; none on a channel without a consenter mapping.
    pub(super) fn consenter(&self, identity: &SerializedIdentity) -> Option<u32> {
        self.consenters.iter().find(|(_, known)| *known == identity).map(|(id, _)| *id)
    }

    /// Do these identities, each of which has signed, satisfy the BlockValidation policy?
    pub(super) fn is_satisfied(&self, signers: &BTreeSet<SerializedIdentity>) -> Result<bool, Flaw> {
        match &self.policy {
            BlockValidation::NOutOf(n, identities) => Ok(signers.intersection(identities).count() >= *n),
            BlockValidation::AnyWriter => {
                for signer in signers {
                    if self.is_member(signer)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    fn is_member(&self, identity: &SerializedIdentity) -> Result<bool, Flaw> {
        for authority in self.authorities.get(&identity.msp_id).into_iter().flatten() {
            if is_issued_by(&identity.certificate_pem, authority)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn consenters(orderer: &ConfigGroup) -> Result<BTreeMap<u32, SerializedIdentity>, Flaw> {
    let Some(value) = orderer.values.get("Orderers") else { return Ok(BTreeMap::new()) };
    let mapping = Orderers::decode(&value.value[..])?.consenter_mapping;
    let identity = |Consenter { msp_id, identity, .. }| SerializedIdentity { msp_id, certificate_pem: identity };
    Ok(mapping.into_iter().map(|consenter| (consenter.id, identity(consenter))).collect())
}

/// The root certificates of the orderer organisations, by MSP.
fn authorities(orderer: &ConfigGroup) -> Result<BTreeMap<String, Vec<Vec<u8>>>, Flaw> {
    let mut authorities = BTreeMap::new();
    for organisation in orderer.groups.values() {
        let msp = organisation.values.get("MSP").ok_or(Flaw::Missing("MSP of an orderer organisation"))?;
        let msp = FabricMspConfig::decode(&MspConfig::decode(&msp.value[..])?.config[..])?;
        authorities.insert(msp.name, msp.root_certs);
    }
    Ok(authorities)
}

fn block_validation(
    orderer: &ConfigGroup,
    consenters: &BTreeMap<u32, SerializedIdentity>,
) -> Result<BlockValidation, Flaw> {
    let policy = orderer.policies.get("BlockValidation").and_then(|named| named.policy.as_ref());
    let policy = policy.ok_or(Flaw::Missing("policy BlockValidation"))?;
    match policy.kind {
        POLICY_SIGNATURE => n_out_of(policy, consenters),
        POLICY_IMPLICIT_META => {
            let rule = ImplicitMetaPolicy::decode(&policy.value[..])?;
            let is_any_writer = rule.rule == RULE_ANY && rule.sub_policy == "Writers";
            is_any_writer.then_some(BlockValidation::AnyWriter).ok_or(Flaw::Policy)
        }
        _ => Err(Flaw::Policy),
    }
}

/// The policy must name every consenter once, and ask for the quorum of contract 0.5.
fn n_out_of(policy: &Policy, consenters: &BTreeMap<u32, SerializedIdentity>) -> Result<BlockValidation, Flaw> {
    let envelope = SignaturePolicyEnvelope::decode(&policy.value[..])?;
    let Some(SignaturePolicyRule::NOutOf(rule)) = envelope.rule.and_then(|rule| rule.rule) else {
        return Err(Flaw::Policy);
    };
    let mut named = BTreeSet::new();
    for leaf in &rule.rules {
        let Some(SignaturePolicyRule::SignedBy(index)) = leaf.rule else { return Err(Flaw::Policy) };
        let principal = usize::try_from(index).ok().and_then(|index| envelope.identities.get(index));
        let principal = principal.filter(|it| it.classification == PRINCIPAL_IDENTITY).ok_or(Flaw::Policy)?;
        named.insert(SerializedIdentity::decode(&principal.principal[..])?);
    }
    let members: BTreeSet<_> = consenters.values().cloned().collect();
    let n = usize::try_from(rule.n).map_err(|_| Flaw::Policy)?;
    if named != members || named.len() != rule.rules.len() || n != quorum(members.len()) {
        return Err(Flaw::Policy);
    }
    Ok(BlockValidation::NOutOf(n, named))
}

/// `ceil((n + f + 1) / 2)` with `f = floor((n - 1) / 3)`.
fn quorum(n: usize) -> usize {
    let f = n.saturating_sub(1) / 3;
    (n + f + 1).div_ceil(2)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_quorum_is_that_of_the_contract() {
        let expected = [1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 8, 8, 9];
        let found: Vec<usize> = (1..=13).map(super::quorum).collect();
        assert_eq!(found, expected);
    }
}
