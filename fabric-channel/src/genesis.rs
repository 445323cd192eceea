//! Making the genesis block of a BFT channel, tree for tree as Fabric's configtxgen makes it.
//!
//! Everything is an argument, time and nonce included, so equal arguments give equal blocks. The builder reads its
//! own result back through [`ChannelConfig::from_block`]: what it returns is a channel that this service orders and
//! peers join. Contract §0.4, §0.5, §3.2 (last paragraph), §9.1, §9.2.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::digest;
use bytes::Bytes;
use fabric_proto::common::{
    Block, BlockData, BlockDataHashingStructure, BlockHeader, ChannelHeader, Config, ConfigEnvelope, ConfigGroup,
    ConfigPolicy, ConfigValue, Consenter as MappingEntry, Envelope, HashingAlgorithm, Header, HeaderType,
    OrdererAddresses, Orderers, Payload, Policy, SignatureHeader,
};
use fabric_proto::orderer::{BatchSize as BatchSizeMessage, BatchTimeout, ChannelRestrictions, ConsensusType};
use fabric_proto::protos::{AnchorPeer, AnchorPeers};
use fabric_proto::{ChannelId, metadata};
use prost::Message;
use prost_types::Timestamp;

use crate::bft_options::BftOptions;
use crate::block_policy::derived_bft_policy;
use crate::config::{ChannelConfig, ConfigError};
use crate::genesis_organization::{
    ApplicationOrganizationProfile, MetaRule, OrdererOrganizationProfile, implicit_meta,
};
use crate::go_duration;
use crate::orderer_group::BatchSize;

/// What a channel of type BFT starts with.
#[derive(Debug, Clone)]
pub struct GenesisProfile {
    /// The channel.
    pub channel_id: ChannelId,
    /// Capability of each group.
    pub capabilities: GenesisCapabilities,
    /// Organizations that run orderers; at least one, each with endpoints.
    pub orderer_organizations: Vec<OrdererOrganizationProfile>,
    /// Organizations that run peers.
    pub application_organizations: Vec<ApplicationOrganizationProfile>,
    /// The replicas in the order in which the BlockValidation policy names them, usually by id.
    pub consenters: Vec<ConsenterProfile>,
    /// The cutting rules.
    pub batch_size: BatchSize,
    /// How long an envelope may wait for its block to fill; positive.
    pub batch_timeout: Duration,
    /// Options of the consensus type.
    pub options: BftOptions,
}

/// One capability for each of the three groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenesisCapabilities {
    /// Of the channel; type BFT needs V3_0.
    pub channel: String,
    /// Of the orderers.
    pub orderer: String,
    /// Of the peers.
    pub application: String,
}

/// What a Fabric v3 network uses.
impl Default for GenesisCapabilities {
    fn default() -> Self {
        Self { channel: "V3_0".to_owned(), orderer: "V2_0".to_owned(), application: "V2_5".to_owned() }
    }
}

/// One replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsenterProfile {
    /// Unique, not zero, usually counted from 1.
    pub id: u32,
    /// Where other replicas reach it.
    pub host: String,
    /// Where other replicas reach it.
    pub port: u16,
    /// Its organization's MSP.
    pub msp_id: String,
    /// Its signing certificate, PEM.
    pub identity_pem: Bytes,
    /// Its TLS certificate when it connects, PEM.
    pub client_tls_cert_pem: Bytes,
    /// Its TLS certificate when it is connected to, PEM.
    pub server_tls_cert_pem: Bytes,
}

impl GenesisProfile {
    /// Makes the genesis block. `created_unix_s` and `nonce` only make two channels of equal profile distinguishable.
    ///
    /// # Errors
    /// [`ConfigError`] if the profile does not describe a channel that can be ordered.
    pub fn block(&self, created_unix_s: i64, nonce: [u8; 24]) -> Result<Block, ConfigError> {
        let config = Config { sequence: 0, channel_group: Some(self.channel_group()) };
        let block = wrap(&self.channel_id, &config, created_unix_s, nonce);
        ChannelConfig::from_block(&block)?;
        Ok(block)
    }

    fn channel_group(&self) -> ConfigGroup {
        let mut group = GroupBuilder::with_usual_policies();
        group.value("HashingAlgorithm", &HashingAlgorithm { name: "SHA256".to_owned() });
        group.value("BlockDataHashingStructure", &BlockDataHashingStructure { width: u32::MAX });
        group.value("Capabilities", &capability(&self.capabilities.channel));
        group.group("Orderer", self.orderer_group());
        group.group("Application", self.application_group());
        group.0
    }

    fn orderer_group(&self) -> ConfigGroup {
        let mut group = GroupBuilder::with_usual_policies();
        group.value(
            "BatchSize",
            &BatchSizeMessage {
                max_message_count: self.batch_size.max_message_count,
                absolute_max_bytes: self.batch_size.absolute_max_bytes,
                preferred_max_bytes: self.batch_size.preferred_max_bytes,
            },
        );
        let timeout = go_duration::format(self.batch_timeout);
        group.value("BatchTimeout", &BatchTimeout { timeout });
        group.value("ChannelRestrictions", &ChannelRestrictions::default());
        group.value("Capabilities", &capability(&self.capabilities.orderer));
        group.value(
            "ConsensusType",
            &ConsensusType { r#type: "BFT".to_owned(), metadata: self.options.to_metadata().into(), state: 0 },
        );
        group.value(
            "Orderers",
            &Orderers { consenter_mapping: self.consenters.iter().map(ConsenterProfile::entry).collect() },
        );
        let identities = self.consenters.iter();
        group.policy(
            "BlockValidation",
            derived_bft_policy(identities.map(|consenter| (consenter.msp_id.as_str(), &consenter.identity_pem[..]))),
        );
        for organization in &self.orderer_organizations {
            let mut child = GroupBuilder::new();
            child.policies(organization.policies());
            child.value("MSP", &organization.msp.definition());
            let addresses = organization.endpoints.clone();
            child.value("Endpoints", &OrdererAddresses { addresses });
            group.group(&organization.name, child.0);
        }
        group.0
    }

    fn application_group(&self) -> ConfigGroup {
        let mut group = GroupBuilder::with_usual_policies();
        group.policy("LifecycleEndorsement", implicit_meta(MetaRule::Majority, "Endorsement"));
        group.policy("Endorsement", implicit_meta(MetaRule::Majority, "Endorsement"));
        group.value("Capabilities", &capability(&self.capabilities.application));
        for organization in &self.application_organizations {
            let mut child = GroupBuilder::new();
            child.policies(organization.policies());
            child.value("MSP", &organization.msp.definition());
            if !organization.anchor_peers.is_empty() {
                child.value("AnchorPeers", &anchor_peers(&organization.anchor_peers));
            }
            group.group(&organization.name, child.0);
        }
        group.0
    }
}

impl ConsenterProfile {
    fn entry(&self) -> MappingEntry {
        MappingEntry {
            id: self.id,
            host: self.host.clone(),
            port: self.port.into(),
            msp_id: self.msp_id.clone(),
            identity: self.identity_pem.clone(),
            client_tls_cert: self.client_tls_cert_pem.clone(),
            server_tls_cert: self.server_tls_cert_pem.clone(),
        }
    }
}

/// A group under construction. Every element of it is changed by the group's Admins.
struct GroupBuilder(ConfigGroup);

impl GroupBuilder {
    fn new() -> Self {
        Self(ConfigGroup { mod_policy: ADMINS.to_owned(), ..ConfigGroup::default() })
    }

    /// Readers and Writers are those of any child group; Admins are a majority of theirs.
    fn with_usual_policies() -> Self {
        let mut group = Self::new();
        group.policy("Readers", implicit_meta(MetaRule::Any, "Readers"));
        group.policy("Writers", implicit_meta(MetaRule::Any, "Writers"));
        group.policy(ADMINS, implicit_meta(MetaRule::Majority, ADMINS));
        group
    }

    fn value(&mut self, key: &str, message: &impl Message) {
        let value = ConfigValue { version: 0, value: message.encode_to_vec().into(), mod_policy: ADMINS.to_owned() };
        self.0.values.insert(key.to_owned(), value);
    }

    fn policy(&mut self, key: &str, policy: Policy) {
        let policy = ConfigPolicy { version: 0, policy: Some(policy), mod_policy: ADMINS.to_owned() };
        self.0.policies.insert(key.to_owned(), policy);
    }

    fn policies(&mut self, policies: BTreeMap<&str, Policy>) {
        for (key, policy) in policies {
            self.policy(key, policy);
        }
    }

    fn group(&mut self, key: &str, group: ConfigGroup) {
        self.0.groups.insert(key.to_owned(), group);
    }
}

/// Block 0 around a configuration: a CONFIG envelope nobody has signed, with a transaction id.
fn wrap(channel_id: &ChannelId, config: &Config, created_unix_s: i64, nonce: [u8; 24]) -> Block {
    let channel_header = ChannelHeader {
        r#type: HeaderType::Config.into(),
        version: HEADER_VERSION,
        timestamp: Some(Timestamp { seconds: created_unix_s, nanos: 0 }),
        channel_id: channel_id.as_str().to_owned(),
        tx_id: transaction_id(&nonce),
        ..ChannelHeader::default()
    };
    let signature_header = SignatureHeader { creator: Bytes::new(), nonce: Bytes::copy_from_slice(&nonce) };
    let envelope = ConfigEnvelope { config: Some(config.clone()), last_update: None };
    let payload = Payload {
        header: Some(Header {
            channel_header: channel_header.encode_to_vec().into(),
            signature_header: signature_header.encode_to_vec().into(),
        }),
        data: envelope.encode_to_vec().into(),
    };
    let envelope = Envelope { payload: payload.encode_to_vec().into(), signature: Bytes::new() };
    let data = BlockData { data: vec![envelope.encode_to_vec().into()] };
    Block {
        header: Some(BlockHeader {
            number: 0,
            previous_hash: Bytes::new(),
            data_hash: Bytes::copy_from_slice(&data.hash()),
        }),
        data: Some(data),
        metadata: Some(metadata::block_metadata(0, Bytes::new(), Vec::new())),
    }
}

/// Hex of SHA-256 over nonce and creator; a genesis block has no creator.
fn transaction_id(nonce: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, nonce);
    hash.as_ref().iter().map(|octet| format!("{octet:02x}")).collect()
}

fn anchor_peers(addresses: &[(String, u16)]) -> AnchorPeers {
    let peer = |(host, port): &(String, u16)| AnchorPeer { host: host.clone(), port: (*port).into() };
    AnchorPeers { anchor_peers: addresses.iter().map(peer).collect() }
}

/// One capability in the bytes that Fabric writes: the empty message under the name is spelled out, which an
/// ordinary map encoder leaves away.
fn capability(name: &str) -> CapabilityMap {
    CapabilityMap {
        entries: vec![CapabilityEntry { name: name.to_owned(), capability: Some(fabric_proto::common::Capability {}) }],
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct CapabilityMap {
    #[prost(message, repeated, tag = "1")]
    entries: Vec<CapabilityEntry>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct CapabilityEntry {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    capability: Option<fabric_proto::common::Capability>,
}

const ADMINS: &str = "Admins";
const HEADER_VERSION: i32 = 1;
