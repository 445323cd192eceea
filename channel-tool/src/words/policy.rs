//! `MAJORITY Admins`, `2-of(Org1MSP.admin, Org2MSP.admin)`.

use fabric_channel::config_tree::{PolicyBody, PolicyEntry};
use fabric_proto::common::implicit_meta_policy::Rule;
use fabric_proto::common::signature_policy::Type as RuleType;
use fabric_proto::common::{ImplicitMetaPolicy, SignaturePolicy, SignaturePolicyEnvelope, policy::PolicyType};
use fabric_proto::msp::msp_principal::Classification;
use fabric_proto::msp::msp_role::MspRoleType;
use fabric_proto::msp::{CombinedPrincipal, MspPrincipal, MspRole, OrganizationUnit};
use prost::Message as _;

use super::identity;

/// A policy entry; an absent policy is said to be absent.
pub(crate) fn policy_entry(entry: &PolicyEntry) -> String {
    entry.policy.as_ref().map_or_else(|| "no policy".to_owned(), policy)
}

/// A policy of either kind.
fn policy(body: &PolicyBody) -> String {
    let bytes = &body.value[..];
    let words = match PolicyType::try_from(body.kind) {
        Ok(PolicyType::ImplicitMeta) => ImplicitMetaPolicy::decode(bytes).ok().map(|policy| implicit_meta(&policy)),
        Ok(PolicyType::Signature) => SignaturePolicyEnvelope::decode(bytes).ok().map(|policy| signature(&policy)),
        _ => None,
    };
    words.unwrap_or_else(|| format!("an unreadable policy of type {}", body.kind))
}

fn implicit_meta(policy: &ImplicitMetaPolicy) -> String {
    let rule = Rule::try_from(policy.rule).map_or("an unknown rule over", |rule| rule.as_str_name());
    format!("{rule} {}", policy.sub_policy)
}

fn signature(policy: &SignaturePolicyEnvelope) -> String {
    policy.rule.as_ref().map_or_else(|| "an empty rule".to_owned(), |named| rule(named, &policy.identities))
}

/// The protobuf decoder bounds the nesting.
fn rule(message: &SignaturePolicy, principals: &[MspPrincipal]) -> String {
    match &message.r#type {
        None => "an empty rule".to_owned(),
        Some(RuleType::SignedBy(index)) => {
            let found = usize::try_from(*index).ok().and_then(|index| principals.get(index));
            found.map_or_else(|| format!("principal {index}, which is not listed"), |found| principal(found, 0))
        }
        Some(RuleType::NOutOf(part)) => {
            let rules: Vec<String> = part.rules.iter().map(|part| rule(part, principals)).collect();
            format!("{}-of({})", part.n, rules.join(", "))
        }
    }
}

/// Principals within combined ones stand in opaque bytes, so their nesting is bounded here.
fn principal(message: &MspPrincipal, depth: usize) -> String {
    let bytes = &message.principal[..];
    let words = match Classification::try_from(message.principal_classification) {
        Ok(Classification::Role) => MspRole::decode(bytes).ok().map(|named| {
            let role = MspRoleType::try_from(named.role);
            let role = role.map_or_else(|_| named.role.to_string(), |role| role.as_str_name().to_lowercase());
            format!("{}.{role}", named.msp_identifier)
        }),
        Ok(Classification::OrganizationUnit) => OrganizationUnit::decode(bytes)
            .ok()
            .map(|unit| format!("{} in unit {}", unit.msp_identifier, unit.organizational_unit_identifier)),
        Ok(Classification::Identity) => Some(identity(bytes)),
        Ok(Classification::Combined) if depth >= COMBINED_DEPTH_MAX => None,
        Ok(Classification::Combined) => CombinedPrincipal::decode(bytes).ok().map(|combined| {
            let parts: Vec<String> = combined.principals.iter().map(|part| principal(part, depth + 1)).collect();
            format!("all-in-one({})", parts.join(", "))
        }),
        Ok(Classification::Anonymity) => Some("anybody by anonymity".to_owned()),
        Err(_) => None,
    };
    words.unwrap_or_else(|| "an unreadable principal".to_owned())
}

const COMBINED_DEPTH_MAX: usize = 8;
