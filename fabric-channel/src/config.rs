//! What an orderer needs to know of a channel, in typed values.
//!
//! Adds to [`Bundle`] the conditions under which this service can order a channel: capabilities it knows, a
//! consensus type it can stand in for, options that parse, a consenter set without ambiguity, a BlockValidation
//! policy. Contract §2.7, §9.1, §9.2.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fabric_proto::common::{Block, Config, policy};
use fabric_proto::etcdraft::ConfigMetadata;
use fabric_proto::orderer::consensus_type::State;
use fabric_proto::{ChannelId, Envelope};
use prost::Message as _;
use thiserror::Error;

use crate::bft_options::{BftOptions, BftOptionsError};
use crate::block_policy::{BlockPolicy, derived_bft_policy};
use crate::bundle::{Bundle, BundleError};
use crate::config_content::ConfigContent;
use crate::consenter::{self, Consenter, ConsentersError};
use crate::msps::Msps;
use crate::orderer_group::{BatchSize, OrdererGroup, OrdererOrganization};

/// The configuration of a channel that this service can order. Cloning is cheap enough for once per configuration.
#[derive(Debug, Clone)]
pub struct ChannelConfig {
    bundle: Arc<Bundle>,
    orderer: OrdererGroup,
    consensus: ConsensusType,
    state: ConsensusState,
    consenters: Vec<Consenter>,
    block_policy: BlockPolicy,
    /// The configuration that was found to follow this one, and the digest of the CONFIG envelope that brings it.
    successor: Arc<OnceLock<([u8; 32], Arc<Self>)>>,
}

/// How the channel says that it is ordered.
#[derive(Debug, Clone, PartialEq)]
pub enum ConsensusType {
    /// Type `BFT`, Fabric v3.
    Bft {
        /// Its options.
        options: BftOptions,
    },
    /// Type `etcdraft`: on v2.5 networks the only type that peers take, whoever orders.
    EtcdRaft {
        /// Its consenters and options, as written.
        metadata: ConfigMetadata,
    },
}

/// Whether ordinary envelopes are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsensusState {
    /// Yes.
    Normal,
    /// Only configuration updates by administrators.
    Maintenance,
}

/// Why a channel cannot be ordered with this configuration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The block does not hold a configuration.
    #[error("not a configuration block: {0}")]
    NotAConfigBlock(String),
    /// Not valid for anybody.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// No orderer group.
    #[error("/Channel/Orderer is missing")]
    NoOrdererGroup,
    /// A capability that is not known here.
    #[error("{group}/Capabilities: capability {name:?} is not supported")]
    UnknownCapability {
        /// The group.
        group: &'static str,
        /// The capability.
        name: String,
    },
    /// A type other than BFT and etcdraft.
    #[error("/Channel/Orderer/ConsensusType: type {0:?} is not supported, only \"BFT\" and \"etcdraft\" are")]
    UnknownConsensusType(String),
    /// BFT came with V3_0.
    #[error("/Channel/Orderer/ConsensusType: type BFT needs channel capability V3_0")]
    BftWithoutCapability,
    /// The mapping came with V3_0; peers before it stop at the unknown value.
    #[error("/Channel/Orderer/Orderers: needs channel capability V3_0")]
    MappingWithoutCapability,
    /// A state other than normal and maintenance.
    #[error("/Channel/Orderer/ConsensusType: state {0} is not known")]
    UnknownState(i32),
    /// The BFT options.
    #[error("/Channel/Orderer/ConsensusType: {0}")]
    BftOptions(#[from] BftOptionsError),
    /// The etcdraft metadata.
    #[error("/Channel/Orderer/ConsensusType: the metadata does not parse as etcdraft metadata")]
    RaftMetadata,
    /// The consenters.
    #[error("{path}: {why}")]
    Consenters {
        /// Where they stand.
        path: &'static str,
        /// What is wrong with them.
        why: ConsentersError,
    },
    /// Nobody could verify a block.
    #[error("/Channel/Orderer: policy BlockValidation is missing")]
    NoBlockValidation,
}

impl ChannelConfig {
    /// Reads the configuration out of a configuration block. Signatures are not looked at.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn from_block(block: &Block) -> Result<Self, ConfigError> {
        Self::from_bundle(bundle_of(block)?)
    }

    /// Reads a configuration.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn from_config(channel_id: &str, config: &Config) -> Result<Self, ConfigError> {
        Self::from_bundle(Bundle::new(channel_id, config)?)
    }

    /// Reads the orderer's part of a valid configuration.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn from_bundle(bundle: Bundle) -> Result<Self, ConfigError> {
        let orderer = bundle.orderer().ok_or(ConfigError::NoOrdererGroup)?.clone();
        check_capabilities(&bundle, &orderer)?;
        let consensus = read_consensus_type(&bundle, &orderer)?;
        let consenters = read_consenters(&consensus, &orderer, bundle.msps())?;
        let block_policy = bundle
            .policies()
            .policy(BLOCK_VALIDATION)
            .map(|policy| BlockPolicy::new(Arc::clone(policy)))
            .ok_or(ConfigError::NoBlockValidation)?;
        Ok(Self {
            state: read_state(&orderer)?,
            bundle: Arc::new(bundle),
            orderer,
            consensus,
            consenters,
            block_policy,
            successor: Arc::default(),
        })
    }

    /// What this CONFIG envelope is known to lead to. It is judged more than once, by whoever takes it in and at its turn,
    /// and each time the same comes of it.
    pub(crate) fn known_successor(&self, envelope: &[u8; 32]) -> Option<Arc<Self>> {
        self.successor.get().filter(|(known, _)| known == envelope).map(|(_, next)| Arc::clone(next))
    }

    /// The same of a later configuration, if it is known how this one leads there.
    #[must_use]
    pub fn known_descendant(&self, envelope: &[u8; 32]) -> Option<Arc<Self>> {
        let mut known = self.successor.get();
        while let Some((digest, next)) = known {
            if digest == envelope {
                return Some(Arc::clone(next));
            }
            known = next.successor.get();
        }
        None
    }

    /// Keeps the first one: a configuration rarely has two.
    pub(crate) fn remember_successor(&self, envelope: [u8; 32], next: &Arc<Self>) {
        self.successor.get_or_init(|| (envelope, Arc::clone(next)));
    }

    /// Everything else about the configuration.
    #[must_use]
    pub fn bundle(&self) -> &Arc<Bundle> {
        &self.bundle
    }

    /// The channel.
    #[must_use]
    pub fn channel_id(&self) -> &ChannelId {
        self.bundle.channel_id()
    }

    /// How many configuration updates led here.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.bundle.sequence()
    }

    /// The cutting rules.
    #[must_use]
    pub fn batch_size(&self) -> BatchSize {
        self.orderer.batch_size
    }

    /// How long an envelope may wait for its block to fill; positive.
    #[must_use]
    pub fn batch_timeout(&self) -> Duration {
        self.orderer.batch_timeout
    }

    /// The consensus type with its options.
    #[must_use]
    pub fn consensus(&self) -> &ConsensusType {
        &self.consensus
    }

    /// Normal or maintenance.
    #[must_use]
    pub fn state(&self) -> ConsensusState {
        self.state
    }

    /// The replicas, sorted by id.
    #[must_use]
    pub fn consenters(&self) -> &[Consenter] {
        &self.consenters
    }

    /// Organizations that run orderers, by group name, with their endpoints for clients.
    #[must_use]
    pub fn orderer_organizations(&self) -> &BTreeMap<String, OrdererOrganization> {
        &self.orderer.organizations
    }

    /// Channel-wide addresses for clients, `host:port`; empty with V3_0.
    #[must_use]
    pub fn orderer_addresses(&self) -> &[String] {
        self.bundle.orderer_addresses()
    }

    /// Every address at which clients find the ordering service: those of the organizations in order of their
    /// names, then the global ones.
    pub fn endpoints(&self) -> impl Iterator<Item = &str> {
        let organizations = self.orderer.organizations.values();
        organizations
            .flat_map(|organization| &organization.endpoints)
            .chain(self.bundle.orderer_addresses())
            .map(String::as_str)
    }

    /// The MSPs of all organizations.
    #[must_use]
    pub fn msps(&self) -> &Msps {
        self.bundle.msps()
    }

    /// True if an MSP belongs to an organization that runs orderers.
    #[must_use]
    pub fn is_orderer_msp(&self, msp_id: &str) -> bool {
        let mut organizations = self.orderer.organizations.values();
        organizations.any(|organization| organization.msp_id == msp_id)
    }

    /// The policy that block signatures have to satisfy.
    #[must_use]
    pub fn block_policy(&self) -> &BlockPolicy {
        &self.block_policy
    }

    /// True if the channel has capability V3_0, on which signatures may name their signer by consenter id.
    #[must_use]
    pub fn has_bft_capability(&self) -> bool {
        self.bundle.capabilities().has_bft()
    }

    /// True if BlockValidation is exactly the policy derived from the consenter mapping, which Fabric demands of
    /// every update of a BFT channel (contract §2.6). False on other types.
    #[must_use]
    pub fn has_derived_block_policy(&self) -> bool {
        let Some(mapping) = &self.orderer.consenter_mapping else {
            return false;
        };
        let entries = mapping.consenter_mapping.iter();
        let derived = derived_bft_policy(entries.map(|entry| (entry.msp_id.as_str(), &entry.identity[..])));
        let configured = self
            .bundle
            .config()
            .channel_group
            .as_ref()
            .and_then(|root| root.groups.get("Orderer"))
            .and_then(|orderer| orderer.policies.get("BlockValidation"))
            .and_then(|entry| entry.policy.as_ref());
        let is_bft = matches!(self.consensus, ConsensusType::Bft { .. });
        is_bft && configured.is_some_and(|configured| is_same_signature_policy(configured, &derived))
    }
}

/// Compares two signature policies by meaning of their bytes, not by their spelling.
fn is_same_signature_policy(left: &fabric_proto::common::Policy, right: &fabric_proto::common::Policy) -> bool {
    let decode = |message: &fabric_proto::common::Policy| {
        fabric_proto::common::SignaturePolicyEnvelope::decode(message.value.clone()).ok()
    };
    let signature = i32::from(policy::PolicyType::Signature);
    left.r#type == signature
        && right.r#type == signature
        && decode(left).is_some_and(|policy| Some(policy) == decode(right))
}

/// What anybody would accept of the configuration in a configuration block.
pub(crate) fn bundle_of(block: &Block) -> Result<Bundle, ConfigError> {
    let [entry] = block.entries() else {
        let count = block.entries().len();
        let why = format!("it holds {count} entries instead of one");
        return Err(ConfigError::NotAConfigBlock(why));
    };
    let malformed = |why: &dyn std::fmt::Display| ConfigError::NotAConfigBlock(why.to_string());
    let envelope = Envelope::decode(entry.clone()).map_err(|why| malformed(&why))?;
    if !envelope.is_config() {
        let why = format!("its envelope is of header type {}", envelope.header_type());
        return Err(ConfigError::NotAConfigBlock(why));
    }
    let tree = ConfigContent::decode(envelope.data())
        .map_err(|why| malformed(&why))?
        .config
        .ok_or_else(|| malformed(&"its envelope holds no configuration"))?;
    Ok(Bundle::from_tree(envelope.channel_id(), tree)?)
}

fn check_capabilities(bundle: &Bundle, orderer: &OrdererGroup) -> Result<(), ConfigError> {
    if let Some(name) = bundle.capabilities().unknown() {
        return Err(ConfigError::UnknownCapability { group: "/Channel", name: name.to_owned() });
    }
    if let Some(name) = orderer.capabilities.unknown() {
        return Err(ConfigError::UnknownCapability { group: "/Channel/Orderer", name: name.to_owned() });
    }
    if orderer.consenter_mapping.is_some() && !bundle.capabilities().has_bft() {
        return Err(ConfigError::MappingWithoutCapability);
    }
    Ok(())
}

fn read_consensus_type(bundle: &Bundle, orderer: &OrdererGroup) -> Result<ConsensusType, ConfigError> {
    let configured = &orderer.consensus_type;
    match configured.r#type.as_str() {
        "BFT" if !bundle.capabilities().has_bft() => Err(ConfigError::BftWithoutCapability),
        "BFT" => Ok(ConsensusType::Bft { options: BftOptions::from_metadata(&configured.metadata)? }),
        "etcdraft" => Ok(ConsensusType::EtcdRaft {
            metadata: ConfigMetadata::decode(configured.metadata.clone()).map_err(|_| ConfigError::RaftMetadata)?,
        }),
        other => Err(ConfigError::UnknownConsensusType(other.to_owned())),
    }
}

fn read_state(orderer: &OrdererGroup) -> Result<ConsensusState, ConfigError> {
    match State::try_from(orderer.consensus_type.state) {
        Ok(State::Normal) => Ok(ConsensusState::Normal),
        Ok(State::Maintenance) => Ok(ConsensusState::Maintenance),
        Err(_) => Err(ConfigError::UnknownState(orderer.consensus_type.state)),
    }
}

fn read_consenters(
    consensus: &ConsensusType,
    orderer: &OrdererGroup,
    msps: &Msps,
) -> Result<Vec<Consenter>, ConfigError> {
    let (path, consenters) = match consensus {
        ConsensusType::Bft { .. } => {
            let mapping = orderer.consenter_mapping.clone().unwrap_or_default();
            (MAPPING_PATH, consenter::read_mapping(&mapping, msps))
        }
        ConsensusType::EtcdRaft { metadata } => {
            (RAFT_PATH, consenter::read_raft(metadata, &orderer.organizations, msps))
        }
    };
    consenters.map_err(|why| ConfigError::Consenters { path, why })
}

const BLOCK_VALIDATION: &str = "/Channel/Orderer/BlockValidation";
const MAPPING_PATH: &str = "/Channel/Orderer/Orderers";
const RAFT_PATH: &str = "/Channel/Orderer/ConsensusType";
