//! The way back: the definition of an organisation, as `configtxgen -printOrg` prints it, into its group.

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fabric_channel::config_tree::{Group, PolicyBody, PolicyEntry, Value};
use fabric_proto::common::implicit_meta_policy::Rule;
use fabric_proto::common::signature_policy::{NOutOf, Type as RuleType};
use fabric_proto::common::{ImplicitMetaPolicy, OrdererAddresses, SignaturePolicy, SignaturePolicyEnvelope};
use fabric_proto::msp::msp_principal::Classification;
use fabric_proto::msp::msp_role::MspRoleType;
use fabric_proto::msp::{
    FabricCryptoConfig, FabricMspConfig, FabricNodeOUs, FabricOuIdentifier, MspConfig, MspPrincipal, MspRole,
    OrganizationUnit, SerializedIdentity,
};
use fabric_proto::protos::{AnchorPeer, AnchorPeers};
use prost::Message;
use serde_json::Value as Json;

/// Reads the group of an organisation.
pub(crate) fn read_organization(text: &[u8]) -> anyhow::Result<Group> {
    let json: Json = serde_json::from_slice(text).context("not JSON")?;
    let mut group = Group { mod_policy: text_at(&json, "mod_policy")?, ..Group::default() };
    for (key, entry) in object_at(&json, "values")? {
        let value = value(key, field(entry, "value")).with_context(|| format!("value {key}"))?;
        let mod_policy = text_at(entry, "mod_policy")?;
        group.values.insert(key.clone(), Value { value, mod_policy, ..Value::default() });
    }
    for (key, entry) in object_at(&json, "policies")? {
        let policy = policy(field(entry, "policy")).with_context(|| format!("policy {key}"))?;
        let mod_policy = text_at(entry, "mod_policy")?;
        group.policies.insert(key.clone(), PolicyEntry { policy: Some(policy), mod_policy, ..PolicyEntry::default() });
    }
    if object_at(&json, "groups")?.next().is_some() {
        bail!("the definition of an organisation holds no groups");
    }
    if !group.values.contains_key("MSP") {
        bail!("the definition has no value MSP");
    }
    Ok(group)
}

fn value(key: &str, json: &Json) -> anyhow::Result<Bytes> {
    let bytes = match key {
        "MSP" => msp(json)?.encode_to_vec(),
        "Endpoints" => OrdererAddresses { addresses: texts_at(json, "addresses")? }.encode_to_vec(),
        "AnchorPeers" => {
            let peer = |json: &Json| {
                let port = i32::try_from(number_at(json, "port")?).context("port")?;
                anyhow::Ok(AnchorPeer { host: text_at(json, "host")?, port })
            };
            let anchor_peers = list_at(json, "anchor_peers").iter().map(peer).collect::<Result<_, _>>()?;
            AnchorPeers { anchor_peers }.encode_to_vec()
        }
        _ => bail!("an organisation has the values MSP, Endpoints and AnchorPeers only"),
    };
    Ok(bytes.into())
}

fn msp(json: &Json) -> anyhow::Result<MspConfig> {
    let kind = number_at(json, "type")?;
    if kind != 0 {
        bail!("MSP type {kind} cannot be read from JSON, only type 0 (X.509)");
    }
    let json = field(json, "config");
    let crypto_config = present(json, "crypto_config").map(|json| {
        anyhow::Ok(FabricCryptoConfig {
            signature_hash_family: text_at(json, "signature_hash_family")?,
            identity_identifier_hash_function: text_at(json, "identity_identifier_hash_function")?,
        })
    });
    let units = list_at(json, "organizational_unit_identifiers").iter().map(ou_identifier);
    if present(json, "signing_identity").is_some() {
        bail!("signing_identity: a private key has no place in a channel");
    }
    let config = FabricMspConfig {
        name: text_at(json, "name")?,
        root_certs: blobs_at(json, "root_certs")?,
        intermediate_certs: blobs_at(json, "intermediate_certs")?,
        admins: blobs_at(json, "admins")?,
        revocation_list: blobs_at(json, "revocation_list")?,
        signing_identity: None,
        organizational_unit_identifiers: units.collect::<Result<_, _>>()?,
        crypto_config: crypto_config.transpose()?,
        tls_root_certs: blobs_at(json, "tls_root_certs")?,
        tls_intermediate_certs: blobs_at(json, "tls_intermediate_certs")?,
        fabric_node_ous: present(json, "fabric_node_ous").map(node_ous).transpose()?,
    };
    Ok(MspConfig { r#type: 0, config: config.encode_to_vec().into() })
}

fn node_ous(json: &Json) -> anyhow::Result<FabricNodeOUs> {
    let unit = |key: &str| present(json, key).map(ou_identifier).transpose();
    Ok(FabricNodeOUs {
        enable: field(json, "enable").as_bool().unwrap_or_default(),
        client_ou_identifier: unit("client_ou_identifier")?,
        peer_ou_identifier: unit("peer_ou_identifier")?,
        admin_ou_identifier: unit("admin_ou_identifier")?,
        orderer_ou_identifier: unit("orderer_ou_identifier")?,
    })
}

fn ou_identifier(json: &Json) -> anyhow::Result<FabricOuIdentifier> {
    Ok(FabricOuIdentifier {
        certificate: blob(field(json, "certificate"))?,
        organizational_unit_identifier: text_at(json, "organizational_unit_identifier")?,
    })
}

fn policy(json: &Json) -> anyhow::Result<PolicyBody> {
    let body = field(json, "value");
    let (kind, value) = match number_at(json, "type")? {
        1 => (1, signature_policy(body)?.encode_to_vec()),
        3 => {
            let name = text_at(body, "rule")?;
            let rule = Rule::from_str_name(&name).with_context(|| format!("rule {name:?} is not known"))?;
            (3, ImplicitMetaPolicy { sub_policy: text_at(body, "sub_policy")?, rule: rule.into() }.encode_to_vec())
        }
        other => bail!("type {other} is not known, only 1 (signature) and 3 (implicit meta)"),
    };
    Ok(PolicyBody { kind, value: value.into(), ..PolicyBody::default() })
}

fn signature_policy(json: &Json) -> anyhow::Result<SignaturePolicyEnvelope> {
    let version = i32::try_from(number_at(json, "version")?).context("version")?;
    let identities = list_at(json, "identities").iter().map(principal).collect::<Result<_, _>>()?;
    Ok(SignaturePolicyEnvelope { version, rule: Some(rule(field(json, "rule"))?), identities })
}

/// The JSON parser bounds the nesting.
fn rule(json: &Json) -> anyhow::Result<SignaturePolicy> {
    let r#type = match (present(json, "signed_by"), present(json, "n_out_of")) {
        (Some(index), None) => RuleType::SignedBy(i32::try_from(number(index)?).context("signed_by")?),
        (None, Some(part)) => RuleType::NOutOf(NOutOf {
            n: i32::try_from(number_at(part, "n")?).context("n")?,
            rules: list_at(part, "rules").iter().map(rule).collect::<Result<_, _>>()?,
        }),
        _ => bail!("a rule is either signed_by or n_out_of"),
    };
    Ok(SignaturePolicy { r#type: Some(r#type) })
}

fn principal(json: &Json) -> anyhow::Result<MspPrincipal> {
    let name = text_at(json, "principal_classification")?;
    let content = field(json, "principal");
    let classification = Classification::from_str_name(&name).with_context(|| format!("principal {name:?}"))?;
    let principal = match classification {
        Classification::Role => {
            let name = text_at(content, "role")?;
            let role = MspRoleType::from_str_name(&name).with_context(|| format!("role {name:?} is not known"))?;
            MspRole { msp_identifier: text_at(content, "msp_identifier")?, role: role.into() }.encode_to_vec()
        }
        Classification::OrganizationUnit => OrganizationUnit {
            msp_identifier: text_at(content, "msp_identifier")?,
            organizational_unit_identifier: text_at(content, "organizational_unit_identifier")?,
            certifiers_identifier: blob(field(content, "certifiers_identifier"))?,
        }
        .encode_to_vec(),
        Classification::Identity => {
            SerializedIdentity { mspid: text_at(content, "mspid")?, id_bytes: blob(field(content, "id_bytes"))? }
                .encode_to_vec()
        }
        Classification::Anonymity | Classification::Combined => blob(content)?.to_vec(),
    };
    Ok(MspPrincipal { principal_classification: classification.into(), principal: principal.into() })
}

fn field<'a>(json: &'a Json, key: &str) -> &'a Json {
    json.get(key).unwrap_or(&Json::Null)
}

fn present<'a>(json: &'a Json, key: &str) -> Option<&'a Json> {
    json.get(key).filter(|json| !json.is_null())
}

fn object_at<'a>(json: &'a Json, key: &str) -> anyhow::Result<impl Iterator<Item = (&'a String, &'a Json)>> {
    let entries = match field(json, key) {
        Json::Null => None,
        Json::Object(entries) => Some(entries),
        _ => bail!("{key}: not an object"),
    };
    Ok(entries.into_iter().flatten())
}

fn list_at<'a>(json: &'a Json, key: &str) -> &'a [Json] {
    field(json, key).as_array().map_or(&[], Vec::as_slice)
}

fn texts_at(json: &Json, key: &str) -> anyhow::Result<Vec<String>> {
    let text = |json: &Json| json.as_str().map(str::to_owned).with_context(|| format!("{key}: not a list of texts"));
    list_at(json, key).iter().map(text).collect()
}

fn blobs_at(json: &Json, key: &str) -> anyhow::Result<Vec<Bytes>> {
    list_at(json, key).iter().map(|json| blob(json).with_context(|| key.to_owned())).collect()
}

fn text_at(json: &Json, key: &str) -> anyhow::Result<String> {
    field(json, key).as_str().map(str::to_owned).with_context(|| format!("{key}: a text is expected"))
}

/// Absent numbers are zero; 64-bit ones are texts.
fn number_at(json: &Json, key: &str) -> anyhow::Result<i64> {
    number(field(json, key)).with_context(|| key.to_owned())
}

fn number(json: &Json) -> anyhow::Result<i64> {
    match json {
        Json::Null => Ok(0),
        Json::Number(number) => number.as_i64().context("not a whole number"),
        Json::String(text) => Ok(text.parse()?),
        _ => bail!("not a number"),
    }
}

fn blob(json: &Json) -> anyhow::Result<Bytes> {
    match json {
        Json::Null => Ok(Bytes::new()),
        Json::String(text) => Ok(STANDARD.decode(text).context("not Base64")?.into()),
        _ => bail!("not Base64"),
    }
}
