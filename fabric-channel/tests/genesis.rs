//! The genesis builder against configtxgen: the same material has to give the same tree.

#![allow(clippy::unwrap_used)]

mod vectors;

use std::time::Duration;

use bytes::Bytes;
use fabric_channel::{
    ApplicationOrganizationProfile, BatchSize, BftOptions, BlockVerifier, BundleError, ChannelConfig, ConfigError,
    ConsensusType, ConsenterProfile, ConsentersError, GenesisCapabilities, GenesisProfile, MspMaterial,
    OrdererOrganizationProfile,
};
use fabric_proto::common::{Block, Config, ConfigEnvelope, ConfigGroup, Orderers};
use fabric_proto::msp::{FabricMspConfig, MspConfig};
use fabric_proto::{Envelope, metadata};
use prost::Message;
use vectors::{block, config};

#[test]
fn the_tree_is_that_of_configtxgen() {
    let theirs = block("bft/genesis");
    let ours = profile().block(header_of(&theirs).0, header_of(&theirs).1).unwrap();

    assert_eq!(ours.metadata, theirs.metadata);
    let (our_envelope, their_envelope) = (envelope(&ours), envelope(&theirs));
    assert_eq!(our_envelope.channel_header(), their_envelope.channel_header(), "version, time and transaction id too");
    assert_eq!(our_envelope.signature_header().unwrap(), their_envelope.signature_header().unwrap());
    assert_eq!(our_envelope.signature(), their_envelope.signature());
    let (our_config, their_config) = (config_of(&ours), config_of(&theirs));
    assert_eq!(our_config, their_config, "every value, policy, version and mod_policy, byte for byte");
    // Only the order of map entries may differ.
    assert_eq!(ours.encoded_len(), theirs.encoded_len());
}

#[test]
fn equal_arguments_give_equal_blocks() {
    let first = profile().block(1, [7; 24]).unwrap();
    assert_eq!(first, profile().block(1, [7; 24]).unwrap());
    assert_ne!(first, profile().block(1, [8; 24]).unwrap());
    assert_eq!(metadata::last_config_index(&first), Ok(0));
    assert_eq!(first.header.as_ref().unwrap().data_hash[..], first.data.as_ref().unwrap().hash());
    assert_eq!(&first.metadata.as_ref().unwrap().metadata[0][..], [0x0a, 2, 0x0a, 0]);
}

#[test]
fn the_result_orders_a_channel() {
    let block = profile().block(1, [7; 24]).unwrap();
    let config = ChannelConfig::from_block(&block).unwrap();
    assert_eq!(config.consenters(), vectors::config("bft/genesis").consenters());
    assert!(config.has_derived_block_policy());
    // It is the same channel, so real blocks verify under it.
    BlockVerifier::new(&config).verify_block(&vectors::block("bft/block_2"), 2, None).unwrap();
}

#[test]
fn profiles_that_are_no_channel_are_refused_with_the_element_at_fault() {
    let refusal = |change: &dyn Fn(&mut GenesisProfile)| {
        let mut profile = profile();
        change(&mut profile);
        profile.block(1, [7; 24]).unwrap_err()
    };
    let error = refusal(&|profile| profile.capabilities.channel = "V2_0".to_owned());
    assert!(matches!(error, ConfigError::MappingWithoutCapability), "{error}");
    let error = refusal(&|profile| profile.capabilities.orderer = "V9".to_owned());
    assert_eq!(error.to_string(), r#"/Channel/Orderer/Capabilities: capability "V9" is not supported"#);
    let error = refusal(&|profile| profile.batch_size.preferred_max_bytes = u32::MAX);
    assert!(matches!(error, ConfigError::Bundle(BundleError::BatchSizeOrder { .. })), "{error}");
    let error = refusal(&|profile| profile.batch_timeout = Duration::ZERO);
    assert_eq!(error.to_string(), r#"/Channel/Orderer/BatchTimeout: duration "0s" must be positive"#);
    let error = refusal(&|profile| profile.orderer_organizations[0].endpoints.clear());
    assert!(error.to_string().starts_with("/Channel/Orderer/OrdererOrg: Endpoints are missing"), "{error}");
    let error = refusal(&|profile| profile.consenters[1].id = 1);
    let repeated = |why: &ConsentersError| matches!(why, ConsentersError::RepeatedId { id: 1, .. });
    assert!(matches!(&error, ConfigError::Consenters { why, .. } if repeated(why)), "{error}");
    let error = refusal(&|profile| profile.consenters.clear());
    assert_eq!(error.to_string(), "/Channel/Orderer/Orderers: there are no consenters");
    let error = refusal(&|profile| profile.consenters[2].identity_pem = Bytes::from_static(b"nonsense"));
    assert_eq!(error.to_string(), "/Channel/Orderer/Orderers: consenter 3: identity: not a PEM encoded certificate");
    let error = refusal(&|profile| profile.application_organizations[0].msp.root_certs.clear());
    assert!(error.to_string().contains("/Channel/Application/Org1: MSP Org1MSP: at least one root"), "{error}");
    let error = refusal(&|profile| profile.options.collect_timeout = Duration::ZERO);
    assert!(error.to_string().contains("option collect_timeout"), "{error}");
    let error = refusal(&|profile| profile.application_organizations[0].name = "Org 1".to_owned());
    assert!(matches!(error, ConfigError::Bundle(BundleError::IllegalName { .. })), "{error}");
}

/// The profile behind `bft/genesis.block`: names and numbers as they were configured, certificates taken from the
/// block.
fn profile() -> GenesisProfile {
    let theirs = block("bft/genesis");
    let root = config_of(&theirs).channel_group.unwrap();
    let orderer = &root.groups["Orderer"];
    let application = &root.groups["Application"];
    let ConsensusType::Bft { options } = config("bft/genesis").consensus().clone() else {
        panic!("not a BFT channel");
    };
    let application_organization = |name: &str, port: u16| ApplicationOrganizationProfile {
        name: name.to_owned(),
        msp: material(&application.groups[name]),
        anchor_peers: vec![("127.0.0.1".to_owned(), port)],
    };
    GenesisProfile {
        channel_id: "bftch".parse().unwrap(),
        capabilities: GenesisCapabilities::default(),
        orderer_organizations: vec![OrdererOrganizationProfile {
            name: "OrdererOrg".to_owned(),
            msp: material(&orderer.groups["OrdererOrg"]),
            endpoints: (7050..=7053).map(|port| format!("127.0.0.1:{port}")).collect(),
        }],
        application_organizations: vec![application_organization("Org1", 8051), application_organization("Org2", 8061)],
        consenters: consenters(orderer),
        batch_size: BatchSize { max_message_count: 10, absolute_max_bytes: 10 << 20, preferred_max_bytes: 2 << 20 },
        batch_timeout: Duration::from_secs(2),
        options: BftOptions { ..options },
    }
}

fn consenters(orderer: &ConfigGroup) -> Vec<ConsenterProfile> {
    let mapping: Orderers = value(orderer, "Orderers");
    let profile = |entry: fabric_proto::common::Consenter| ConsenterProfile {
        id: entry.id,
        host: entry.host,
        port: entry.port as u16,
        msp_id: entry.msp_id,
        identity_pem: entry.identity,
        client_tls_cert_pem: entry.client_tls_cert,
        server_tls_cert_pem: entry.server_tls_cert,
    };
    mapping.consenter_mapping.into_iter().map(profile).collect()
}

fn material(organization: &ConfigGroup) -> MspMaterial {
    let definition: MspConfig = value(organization, "MSP");
    let msp = FabricMspConfig::decode(definition.config).unwrap();
    let certifier = msp.fabric_node_ous.unwrap().client_ou_identifier.unwrap().certificate;
    MspMaterial {
        msp_id: msp.name,
        root_certs: msp.root_certs,
        tls_root_certs: msp.tls_root_certs,
        node_ou_certifier: Some(certifier),
        ..MspMaterial::default()
    }
}

fn value<M: Message + Default>(group: &ConfigGroup, key: &str) -> M {
    M::decode(group.values[key].value.clone()).unwrap()
}

fn envelope(block: &Block) -> Envelope {
    Envelope::decode(block.entries()[0].clone()).unwrap()
}

fn config_of(block: &Block) -> Config {
    ConfigEnvelope::decode(envelope(block).data().clone()).unwrap().config.unwrap()
}

/// Creation time in seconds since the Unix epoch, and nonce.
fn header_of(block: &Block) -> (i64, [u8; 24]) {
    let envelope = envelope(block);
    let created = envelope.channel_header().timestamp.unwrap().seconds;
    let nonce = &envelope.signature_header().unwrap().nonce;
    (created, nonce[..].try_into().unwrap())
}
