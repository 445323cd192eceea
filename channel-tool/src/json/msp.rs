//! MSP definitions and identities.

use fabric_proto::msp::{FabricMspConfig, FabricNodeOUs, FabricOuIdentifier, MspConfig, SerializedIdentity};
use prost::Message as _;
use serde_json::{Value as Json, json};

use super::{base64, base64_list, optional};

pub(super) fn msp(bytes: &[u8]) -> Option<Json> {
    let definition = MspConfig::decode(bytes).ok()?;
    let config = match definition.r#type {
        TYPE_X509 => FabricMspConfig::decode(&definition.config[..]).ok().map(|config| fabric_msp(&config)),
        _ => None,
    };
    let config = config.unwrap_or_else(|| base64(&definition.config));
    Some(json!({ "config": config, "type": definition.r#type }))
}

fn fabric_msp(config: &FabricMspConfig) -> Json {
    let units: Json = config.organizational_unit_identifiers.iter().map(ou_identifier).collect();
    json!({
        "admins": base64_list(&config.admins),
        "crypto_config": optional(config.crypto_config.as_ref(), |crypto| json!({
            "identity_identifier_hash_function": crypto.identity_identifier_hash_function,
            "signature_hash_family": crypto.signature_hash_family,
        })),
        "fabric_node_ous": optional(config.fabric_node_ous.as_ref(), node_ous),
        "intermediate_certs": base64_list(&config.intermediate_certs),
        "name": config.name,
        "organizational_unit_identifiers": units,
        "revocation_list": base64_list(&config.revocation_list),
        "root_certs": base64_list(&config.root_certs),
        "signing_identity": optional(config.signing_identity.as_ref(), |signing| json!({
            "private_signer": optional(signing.private_signer.as_ref(), |key| json!({
                "key_identifier": key.key_identifier,
                "key_material": base64(&key.key_material),
            })),
            "public_signer": base64(&signing.public_signer),
        })),
        "tls_intermediate_certs": base64_list(&config.tls_intermediate_certs),
        "tls_root_certs": base64_list(&config.tls_root_certs),
    })
}

fn node_ous(units: &FabricNodeOUs) -> Json {
    json!({
        "admin_ou_identifier": optional(units.admin_ou_identifier.as_ref(), ou_identifier),
        "client_ou_identifier": optional(units.client_ou_identifier.as_ref(), ou_identifier),
        "enable": units.enable,
        "orderer_ou_identifier": optional(units.orderer_ou_identifier.as_ref(), ou_identifier),
        "peer_ou_identifier": optional(units.peer_ou_identifier.as_ref(), ou_identifier),
    })
}

fn ou_identifier(unit: &FabricOuIdentifier) -> Json {
    json!({
        "certificate": base64(&unit.certificate),
        "organizational_unit_identifier": unit.organizational_unit_identifier,
    })
}

/// A marshalled `SerializedIdentity`; nobody is `null`.
pub(super) fn identity(bytes: &[u8]) -> Json {
    match SerializedIdentity::decode(bytes) {
        _ if bytes.is_empty() => Json::Null,
        Ok(identity) => json!({ "id_bytes": base64(&identity.id_bytes), "mspid": identity.mspid }),
        Err(_) => base64(bytes),
    }
}

const TYPE_X509: i32 = 0;
