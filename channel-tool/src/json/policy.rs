//! Policies.

use fabric_channel::config_tree::PolicyBody;
use fabric_proto::common::implicit_meta_policy::Rule;
use fabric_proto::common::signature_policy::Type as RuleType;
use fabric_proto::common::{ImplicitMetaPolicy, SignaturePolicy, SignaturePolicyEnvelope, policy::PolicyType};
use fabric_proto::msp::msp_principal::Classification;
use fabric_proto::msp::msp_role::MspRoleType;
use fabric_proto::msp::{MspPrincipal, MspRole, OrganizationUnit};
use prost::Message as _;
use serde_json::{Value as Json, json};

use super::{base64, msp, optional};

pub(super) fn policy(body: &PolicyBody) -> Json {
    let decoded = match PolicyType::try_from(body.kind) {
        Ok(PolicyType::Signature) => {
            SignaturePolicyEnvelope::decode(&body.value[..]).ok().map(|policy| signature(&policy))
        }
        Ok(PolicyType::ImplicitMeta) => {
            ImplicitMetaPolicy::decode(&body.value[..]).ok().map(|policy| implicit_meta(&policy))
        }
        _ => None,
    };
    json!({ "type": body.kind, "value": decoded.unwrap_or_else(|| base64(&body.value)) })
}

fn implicit_meta(policy: &ImplicitMetaPolicy) -> Json {
    let rule = Rule::try_from(policy.rule).map_or_else(|_| json!(policy.rule), |rule| json!(rule.as_str_name()));
    json!({ "rule": rule, "sub_policy": policy.sub_policy })
}

fn signature(policy: &SignaturePolicyEnvelope) -> Json {
    let identities: Json = policy.identities.iter().map(principal).collect();
    json!({
        "identities": identities,
        "rule": optional(policy.rule.as_ref(), rule),
        "version": policy.version,
    })
}

/// The protobuf decoder bounds the nesting.
fn rule(message: &SignaturePolicy) -> Json {
    match &message.r#type {
        None => json!({}),
        Some(RuleType::SignedBy(index)) => json!({ "signed_by": index }),
        Some(RuleType::NOutOf(part)) => {
            let rules: Json = part.rules.iter().map(rule).collect();
            json!({ "n_out_of": { "n": part.n, "rules": rules } })
        }
    }
}

fn principal(message: &MspPrincipal) -> Json {
    let bytes = &message.principal[..];
    let classification = Classification::try_from(message.principal_classification);
    let decoded = match classification {
        Ok(Classification::Role) => MspRole::decode(bytes).ok().map(|named| {
            let role =
                MspRoleType::try_from(named.role).map_or_else(|_| json!(named.role), |role| json!(role.as_str_name()));
            json!({ "msp_identifier": named.msp_identifier, "role": role })
        }),
        Ok(Classification::OrganizationUnit) => OrganizationUnit::decode(bytes).ok().map(|unit| {
            json!({
                "certifiers_identifier": base64(&unit.certifiers_identifier),
                "msp_identifier": unit.msp_identifier,
                "organizational_unit_identifier": unit.organizational_unit_identifier,
            })
        }),
        Ok(Classification::Identity) => Some(msp::identity(bytes)),
        _ => None,
    };
    let name =
        classification.map_or_else(|_| json!(message.principal_classification), |known| json!(known.as_str_name()));
    json!({ "principal": decoded.unwrap_or_else(|| base64(bytes)), "principal_classification": name })
}
