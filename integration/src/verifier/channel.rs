//! What a config block says about who must sign blocks: the consenters, and the BlockValidation policy.
//!
//! Three forms of the policy are understood: those that configtxgen writes, `n` of the exact identities of all consenters
//! (type BFT, contract 0.4 and 0.5), and ANY Writers (type etcdraft), taken as one signature of a member of an orderer
//! organisation; and what makes a channel of type etcdraft fit for liars, a quorum of an organisation's members. Any other is
//! an error here, not a guess.

use std::collections::{BTreeMap, BTreeSet};

use p256::ecdsa::VerifyingKey;
use prost::Message as _;

use super::Flaw;
use super::identity::{is_issued_by, key_of};
use super::messages::{
    ChannelHeader, ConfigEnvelope, ConfigGroup, Consenter, Envelope, FabricMspConfig, IdentifierHeader,
    ImplicitMetaPolicy, KIND_CONFIG, MetadataSignature, MspConfig, MspPrincipal, MspRole, Orderers,
    POLICY_IMPLICIT_META, POLICY_SIGNATURE, PRINCIPAL_IDENTITY, PRINCIPAL_ROLE, Payload, Policy, ROLE_MEMBER,
    ROLE_ORDERER, RULE_ANY, SerializedIdentity, SignatureHeader, SignaturePolicyEnvelope, SignaturePolicyRule,
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
    /// So many different members of an orderer organisation.
    NMembers(usize, String),
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
            BlockValidation::NMembers(n, msp_id) => {
                Ok(self.members(signers)?.filter(|signer| signer.msp_id == *msp_id).count() >= *n)
            }
            BlockValidation::AnyWriter => Ok(self.members(signers)?.next().is_some()),
        }
    }

    fn members<'a>(
        &self,
        signers: &'a BTreeSet<SerializedIdentity>,
    ) -> Result<impl Iterator<Item = &'a SerializedIdentity>, Flaw> {
        let mut members = Vec::new();
        for signer in signers {
            if self.is_member(signer)? {
                members.push(signer);
            }
        }
        Ok(members.into_iter())
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

/// The policy must ask for the quorum of contract 0.5 among its principals; name every consenter once, or, where there is no
/// mapping of consenters, members or orderers of one organisation. Which of the two a signer is, is not asked.
fn n_out_of(policy: &Policy, consenters: &BTreeMap<u32, SerializedIdentity>) -> Result<BlockValidation, Flaw> {
    let envelope = SignaturePolicyEnvelope::decode(&policy.value[..])?;
    let Some(SignaturePolicyRule::NOutOf(rule)) = envelope.rule.and_then(|rule| rule.rule) else {
        return Err(Flaw::Policy);
    };
    let n = usize::try_from(rule.n).map_err(|_| Flaw::Policy)?;
    if n != quorum(rule.rules.len()) {
        return Err(Flaw::Policy);
    }
    let (mut named, mut organisations) = (BTreeSet::new(), BTreeSet::new());
    for leaf in &rule.rules {
        let Some(SignaturePolicyRule::SignedBy(index)) = leaf.rule else { return Err(Flaw::Policy) };
        let principal = usize::try_from(index).ok().and_then(|index| envelope.identities.get(index));
        let MspPrincipal { classification, principal } = principal.ok_or(Flaw::Policy)?;
        if *classification == PRINCIPAL_IDENTITY {
            named.insert(SerializedIdentity::decode(&principal[..])?);
            continue;
        }
        let MspRole { msp_id, role } = MspRole::decode(&principal[..])?;
        if *classification != PRINCIPAL_ROLE || ![ROLE_MEMBER, ROLE_ORDERER].contains(&role) {
            return Err(Flaw::Policy);
        }
        organisations.insert(msp_id);
    }
    let members: BTreeSet<_> = consenters.values().cloned().collect();
    if named != members {
        return Err(Flaw::Policy);
    }
    match (organisations.pop_first(), organisations.is_empty()) {
        (None, _) if named.len() == rule.rules.len() => Ok(BlockValidation::NOutOf(n, named)),
        (Some(msp_id), true) if named.is_empty() => Ok(BlockValidation::NMembers(n, msp_id)),
        _ => Err(Flaw::Policy),
    }
}

/// `ceil((n + f + 1) / 2)` with `f = floor((n - 1) / 3)`.
fn quorum(n: usize) -> usize {
    let f = n.saturating_sub(1) / 3;
    (n + f + 1).div_ceil(2)
}

#[cfg(test)]
mod tests;
