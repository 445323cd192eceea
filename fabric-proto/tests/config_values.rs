//! The messages in the config trees of real channels: a field that ours did not know, or knew under
//! another number, would be missing after a decode and an encode.
#![allow(clippy::unwrap_used, missing_docs)]

mod fabric;

use std::collections::BTreeSet;

use bytes::Bytes;
use fabric::Run;
use fabric_proto::{common, etcdraft, msp, orderer, protos, smartbft};
use prost::Message;

#[test]
fn config_envelopes_keep_every_byte() {
    for run in Run::ALL {
        for name in run.block_names() {
            let block = run.block(name);
            if !block.is_config() {
                continue;
            }
            let entry = block.entries()[0].clone();
            let envelope = fabric_proto::Envelope::decode(entry).unwrap();
            let config = round_trip_unordered::<common::ConfigEnvelope>(envelope.data());
            assert_eq!(config.last_update.is_some(), block.header.unwrap().number > 0, "{name}");
        }
    }
}

#[test]
fn config_values_keep_every_byte() {
    let mut keys = BTreeSet::new();
    for run in Run::ALL {
        for group in run.channel_groups() {
            check_group(&group, &mut keys);
        }
    }
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    assert_eq!(keys, KEYS_EXPECTED);
}

fn check_group(group: &common::ConfigGroup, keys: &mut BTreeSet<String>) {
    for (key, value) in &group.values {
        check_value(key, &value.value);
        keys.insert(key.clone());
    }
    for policy in group.policies.values() {
        check_policy(policy.policy.as_ref().unwrap());
    }
    for group in group.groups.values() {
        check_group(group, keys);
    }
}

fn check_value(key: &str, value: &Bytes) {
    match key {
        "ACLs" => drop(round_trip_unordered::<protos::Acls>(value)),
        "AnchorPeers" => drop(round_trip::<protos::AnchorPeers>(value)),
        "BatchSize" => drop(round_trip::<orderer::BatchSize>(value)),
        "BatchTimeout" => drop(round_trip::<orderer::BatchTimeout>(value)),
        "BlockDataHashingStructure" => drop(round_trip::<common::BlockDataHashingStructure>(value)),
        "Capabilities" => check_capabilities(value),
        "ChannelRestrictions" => drop(round_trip::<orderer::ChannelRestrictions>(value)),
        "Consortium" => drop(round_trip::<common::Consortium>(value)),
        "Endpoints" | "OrdererAddresses" => drop(round_trip::<common::OrdererAddresses>(value)),
        "HashingAlgorithm" => drop(round_trip::<common::HashingAlgorithm>(value)),
        "Orderers" => drop(round_trip::<common::Orderers>(value)),
        "MSP" => {
            let config = round_trip::<msp::MspConfig>(value);
            let fabric = round_trip::<msp::FabricMspConfig>(&config.config);
            assert!(fabric.fabric_node_ous.unwrap().enable);
        }
        "ConsensusType" => {
            let consensus = round_trip::<orderer::ConsensusType>(value);
            match consensus.r#type.as_str() {
                "BFT" => drop(round_trip::<smartbft::Options>(&consensus.metadata)),
                "etcdraft" => drop(round_trip::<etcdraft::ConfigMetadata>(&consensus.metadata)),
                other => panic!("consensus type {other}"),
            }
        }
        other => panic!("config value {other}"),
    }
}

/// An empty value of a map entry is left out here and written by Fabric's tools; both mean the same.
fn check_capabilities(value: &Bytes) {
    let capabilities = common::Capabilities::decode(value.clone()).unwrap();
    let encoded = capabilities.encode_to_vec();
    let left_out_bytes = 2 * capabilities.capabilities.len();
    assert_eq!(encoded.len() + left_out_bytes, value.len());
    assert_eq!(common::Capabilities::decode(encoded.as_slice()).unwrap(), capabilities);
}

fn check_policy(policy: &common::Policy) {
    use common::policy::PolicyType;
    match PolicyType::try_from(policy.r#type).unwrap() {
        PolicyType::ImplicitMeta => drop(round_trip::<common::ImplicitMetaPolicy>(&policy.value)),
        PolicyType::Signature => {
            let signature_policy = round_trip::<common::SignaturePolicyEnvelope>(&policy.value);
            signature_policy.identities.iter().for_each(check_principal);
        }
        other => panic!("policy type {other:?}"),
    }
}

fn check_principal(principal: &msp::MspPrincipal) {
    use msp::msp_principal::Classification;
    match principal.principal_classification() {
        Classification::Role => drop(round_trip::<msp::MspRole>(&principal.principal)),
        Classification::Identity => drop(round_trip::<msp::SerializedIdentity>(&principal.principal)),
        other => panic!("classification {other:?}"),
    }
}

fn round_trip<M: Message + Default>(bytes: &Bytes) -> M {
    let message = M::decode(bytes.clone()).unwrap();
    assert_eq!(message.encode_to_vec(), *bytes);
    message
}

/// For messages with maps, whose entries Fabric's tools write in any order.
fn round_trip_unordered<M: Message + Default + PartialEq + std::fmt::Debug>(bytes: &Bytes) -> M {
    let message = M::decode(bytes.clone()).unwrap();
    let encoded = message.encode_to_vec();
    assert_eq!(encoded.len(), bytes.len());
    assert_eq!(M::decode(encoded.as_slice()).unwrap(), message);
    message
}

const KEYS_EXPECTED: [&str; 11] = [
    "AnchorPeers",
    "BatchSize",
    "BatchTimeout",
    "BlockDataHashingStructure",
    "Capabilities",
    "ChannelRestrictions",
    "ConsensusType",
    "Endpoints",
    "HashingAlgorithm",
    "MSP",
    "Orderers",
];
