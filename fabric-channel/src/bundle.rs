//! A channel configuration that every peer and orderer accepts as valid, taken apart.
//!
//! The rules here are those by which Fabric builds its configuration bundle, no more and no fewer: a configuration
//! that peers accept has to be accepted, and one that they refuse must never be ordered. What an *orderer* needs
//! beyond that (known capabilities, a consenter set, options that parse) is in `config.rs`, and which configuration
//! may follow which in `config_change.rs`. Contract §2.7, Appendix C 13.

use std::collections::BTreeMap;

use fabric_proto::common::{
    BlockDataHashingStructure, Capabilities, Config, ConfigGroup, Consortium, HashingAlgorithm, OrdererAddresses,
    Orderers, Policy,
};
use fabric_proto::msp::MspConfig;
use fabric_proto::protos::{Acls, AnchorPeers};
use fabric_proto::{ChannelId, ChannelIdError};
use thiserror::Error;

use crate::capabilities::{ApplicationCapabilities, ChannelCapabilities};
use crate::config_tree::ConfigTree;
use crate::go_duration::DurationError;
use crate::group_values::GroupValues;
use crate::limits::GROUP_DEPTH_MAX;
use crate::msps::{Msps, MspsError};
use crate::names::is_legal_name;
use crate::orderer_group::OrdererGroup;
use crate::policy_tree::{PolicyTree, PolicyTreeError};

/// A valid channel configuration.
#[derive(Debug, Clone)]
pub struct Bundle {
    channel_id: ChannelId,
    tree: ConfigTree,
    config: Config,
    capabilities: ChannelCapabilities,
    orderer_addresses: Vec<String>,
    consortium: Option<String>,
    orderer: Option<OrdererGroup>,
    application: Option<ApplicationGroup>,
    consortiums: Option<Consortiums>,
    msps: Msps,
    policies: PolicyTree,
}

/// A leftover of system channels: MSP ID of each organization by group name, by name of the consortium.
pub(crate) type Consortiums = BTreeMap<String, BTreeMap<String, String>>;

/// The application part of a channel.
#[derive(Debug, Clone)]
pub struct ApplicationGroup {
    /// Capabilities of the peers' side.
    pub capabilities: ApplicationCapabilities,
    /// MSP ID of each organization by group name.
    pub organizations: BTreeMap<String, String>,
}

/// Why a configuration is not valid. Every text names the element and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BundleError {
    /// The channel name.
    #[error("channel name: {0}")]
    ChannelId(#[from] ChannelIdError),
    /// No configuration tree.
    #[error("the configuration has no channel group")]
    NoChannelGroup,
    /// A group, value or policy with a name outside of `[a-zA-Z0-9.-]`, or longer than 249 characters.
    #[error("{path}: the name {key:?} is not allowed in a configuration")]
    IllegalName {
        /// Path of the group that holds the element.
        path: String,
        /// The name.
        key: String,
    },
    /// Nested too deeply.
    #[error("{path} lies deeper than {GROUP_DEPTH_MAX} groups")]
    TooDeep {
        /// Path of the group.
        path: String,
    },
    /// Channel or application capabilities without orderer capabilities.
    #[error("/Channel/Orderer needs a Capabilities value before {0} may have one")]
    CapabilitiesWithoutOrderer(&'static str),
    /// A value that the group does not know.
    #[error("{path}: unexpected value {key:?}")]
    UnexpectedKey {
        /// Path of the group.
        path: String,
        /// The key of the value.
        key: String,
    },
    /// A value that does not parse.
    #[error("{path}: value {key:?} does not parse: {why}")]
    MalformedValue {
        /// Path of the group.
        path: String,
        /// The key of the value.
        key: String,
        /// What the decoder says.
        why: String,
    },
    /// A group below the root other than Application, Orderer and Consortiums.
    #[error("/Channel: group {0:?} is not allowed")]
    DisallowedGroup(String),
    /// Groups below an organization.
    #[error("{path}: an organization must not contain groups")]
    SubGroups {
        /// Path of the organization.
        path: String,
    },
    /// A hash function other than SHA256 and SHA3_256.
    #[error("/Channel/HashingAlgorithm: {0:?} is not known")]
    HashingAlgorithm(String),
    /// Anything but a flat hash over the data.
    #[error("/Channel/BlockDataHashingStructure: width {0} is not supported, only 4294967295 is")]
    BlockDataHashingWidth(u32),
    /// Before V1_4_2 the channel has to name its orderers.
    #[error("/Channel/OrdererAddresses: at least one address is needed without capability V1_4_2 or later")]
    NoOrdererAddresses,
    /// With V3_0 only organizations name endpoints.
    #[error(
        "/Channel/OrdererAddresses: not allowed with capability V3_0, use the Endpoints of each orderer organization"
    )]
    GlobalOrdererAddresses,
    /// Endpoints before they existed.
    #[error("{path}: Endpoints need channel capability V1_4_2 or later")]
    EndpointsWithoutCapability {
        /// Path of the organization.
        path: String,
    },
    /// V3_0 without endpoints.
    #[error("{path}: Endpoints are missing, which channel capability V3_0 demands")]
    NoEndpoints {
        /// Path of the organization.
        path: String,
    },
    /// Access control lists before they existed.
    #[error("/Channel/Application/ACLs: need application capability V1_2 or later")]
    AclsWithoutCapability,
    /// A batch size of zero.
    #[error("/Channel/Orderer/BatchSize: {0} must not be 0")]
    BatchSizeZero(&'static str),
    /// Contradicting batch sizes.
    #[error(
        "/Channel/Orderer/BatchSize: preferred_max_bytes {preferred} is greater than absolute_max_bytes {absolute}"
    )]
    BatchSizeOrder {
        /// The preferred size in bytes.
        preferred: u32,
        /// The absolute limit in bytes.
        absolute: u32,
    },
    /// The batch timeout is no positive duration.
    #[error("/Channel/Orderer/BatchTimeout: {0}")]
    BatchTimeout(DurationError),
    /// The MSP of an organization.
    #[error("{path}: {why}")]
    Msp {
        /// Path of the organization.
        path: String,
        /// What is wrong with it.
        why: MspsError,
    },
    /// The policies.
    #[error(transparent)]
    Policies(#[from] PolicyTreeError),
}

impl Bundle {
    /// Takes a configuration apart that has no fields but known ones.
    ///
    /// # Errors
    /// [`BundleError`], the first rule that is broken.
    pub fn new(channel_id: &str, config: &Config) -> Result<Self, BundleError> {
        Self::build(channel_id, ConfigTree::from(config), config.clone())
    }

    /// Takes a configuration apart, and keeps what of it is not known for the updates to come.
    ///
    /// # Errors
    /// [`BundleError`], the first rule that is broken.
    pub fn from_tree(channel_id: &str, tree: ConfigTree) -> Result<Self, BundleError> {
        let config = Config::from(&tree);
        Self::build(channel_id, tree, config)
    }

    fn build(channel_id: &str, tree: ConfigTree, config: Config) -> Result<Self, BundleError> {
        let root = config.channel_group.as_ref().ok_or(BundleError::NoChannelGroup)?;
        let channel_id = ChannelId::new(channel_id)?;
        check_capability_order(root)?;
        check_names(CHANNEL, root, 0)?;

        let values = GroupValues::read(CHANNEL, root, &CHANNEL_KEYS)?;
        let capabilities = ChannelCapabilities::new(values.message::<Capabilities>("Capabilities")?);
        check_hashing(&values)?;
        let orderer_addresses = read_orderer_addresses(&values, &capabilities)?;
        let consortium: Consortium = values.message("Consortium")?;
        values.message::<Orderers>("Orderers")?;

        let mut msps = Msps::new(capabilities.msp_version());
        let mut orderer = None;
        let mut application = None;
        let mut consortiums = None;
        for (name, group) in &root.groups {
            match name.as_str() {
                "Application" => application = Some(read_application(group, &mut msps)?),
                "Orderer" => orderer = Some(OrdererGroup::read(group, &capabilities, &mut msps)?),
                "Consortiums" => consortiums = Some(read_consortiums(group, &mut msps)?),
                _ => return Err(BundleError::DisallowedGroup(name.clone())),
            }
        }
        let policies = PolicyTree::compile(root, &msps)?;
        Ok(Self {
            channel_id,
            tree,
            config,
            capabilities,
            orderer_addresses,
            consortium: Some(consortium.name).filter(|name| !name.is_empty()),
            orderer,
            application,
            consortiums,
            policies,
            msps,
        })
    }

    /// The channel.
    #[must_use]
    pub fn channel_id(&self) -> &ChannelId {
        &self.channel_id
    }

    /// How many configuration updates led here; 0 in the genesis block.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.config.sequence
    }

    /// The configuration without loss: what updates work on.
    #[must_use]
    pub fn tree(&self) -> &ConfigTree {
        &self.tree
    }

    /// The configuration as it was read, its known fields.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Capabilities of the channel group.
    #[must_use]
    pub fn capabilities(&self) -> &ChannelCapabilities {
        &self.capabilities
    }

    /// Channel-wide orderer addresses, `host:port`; empty with V3_0.
    #[must_use]
    pub fn orderer_addresses(&self) -> &[String] {
        &self.orderer_addresses
    }

    /// The consortium that a channel made from a system channel belongs to.
    #[must_use]
    pub fn consortium(&self) -> Option<&str> {
        self.consortium.as_deref()
    }

    /// The orderer group; every channel that is ordered has one.
    #[must_use]
    pub fn orderer(&self) -> Option<&OrdererGroup> {
        self.orderer.as_ref()
    }

    /// The application group.
    #[must_use]
    pub fn application(&self) -> Option<&ApplicationGroup> {
        self.application.as_ref()
    }

    pub(crate) fn consortiums(&self) -> Option<&Consortiums> {
        self.consortiums.as_ref()
    }

    /// The MSPs of all organizations.
    #[must_use]
    pub fn msps(&self) -> &Msps {
        &self.msps
    }

    /// All policies.
    #[must_use]
    pub fn policies(&self) -> &PolicyTree {
        &self.policies
    }
}

/// Reads the MSP of an organization and returns its ID.
pub(crate) fn read_msp(values: &GroupValues<'_>, msps: &mut Msps) -> Result<String, BundleError> {
    let definition: MspConfig = values.message("MSP")?;
    msps.add(&definition).map_err(|why| BundleError::Msp { path: values.path().to_owned(), why })
}

fn read_application(group: &ConfigGroup, msps: &mut Msps) -> Result<ApplicationGroup, BundleError> {
    let path = format!("{CHANNEL}/Application");
    let values = GroupValues::read(&path, group, &["ACLs", "Capabilities"])?;
    let capabilities = ApplicationCapabilities::new(values.message("Capabilities")?);
    values.message::<Acls>("ACLs")?;
    if values.has("ACLs") && !capabilities.has_acls() {
        return Err(BundleError::AclsWithoutCapability);
    }
    let mut organizations = BTreeMap::new();
    for (name, organization) in &group.groups {
        let path = format!("{path}/{name}");
        let values = GroupValues::read(path, organization, &["MSP", "AnchorPeers"])?.without_groups()?;
        values.message::<AnchorPeers>("AnchorPeers")?;
        organizations.insert(name.clone(), read_msp(&values, msps)?);
    }
    Ok(ApplicationGroup { capabilities, organizations })
}

/// Kept valid, and its organizations' MSPs are known.
fn read_consortiums(group: &ConfigGroup, msps: &mut Msps) -> Result<Consortiums, BundleError> {
    let mut consortiums = Consortiums::new();
    for (name, consortium) in &group.groups {
        let path = format!("{CHANNEL}/Consortiums/{name}");
        let values = GroupValues::read(&path, consortium, &["ChannelCreationPolicy"])?;
        values.message::<Policy>("ChannelCreationPolicy")?;
        let organizations = consortiums.entry(name.clone()).or_default();
        for (name, organization) in &consortium.groups {
            let path = format!("{path}/{name}");
            let values = GroupValues::read(path, organization, &["MSP"])?.without_groups()?;
            organizations.insert(name.clone(), read_msp(&values, msps)?);
        }
    }
    Ok(consortiums)
}

fn check_hashing(values: &GroupValues<'_>) -> Result<(), BundleError> {
    let algorithm: HashingAlgorithm = values.message("HashingAlgorithm")?;
    if !matches!(algorithm.name.as_str(), "SHA256" | "SHA3_256") {
        return Err(BundleError::HashingAlgorithm(algorithm.name));
    }
    let structure: BlockDataHashingStructure = values.message("BlockDataHashingStructure")?;
    if structure.width != u32::MAX {
        return Err(BundleError::BlockDataHashingWidth(structure.width));
    }
    Ok(())
}

fn read_orderer_addresses(
    values: &GroupValues<'_>,
    capabilities: &ChannelCapabilities,
) -> Result<Vec<String>, BundleError> {
    let addresses = values.message::<OrdererAddresses>("OrdererAddresses")?.addresses;
    if addresses.is_empty() && !capabilities.has_org_endpoints() {
        return Err(BundleError::NoOrdererAddresses);
    }
    if !addresses.is_empty() && capabilities.has_bft() {
        return Err(BundleError::GlobalOrdererAddresses);
    }
    Ok(addresses)
}

/// Orderers must be able to refuse what they do not know before anybody else may demand capabilities.
fn check_capability_order(root: &ConfigGroup) -> Result<(), BundleError> {
    let has_capabilities = |group: &ConfigGroup| group.values.contains_key("Capabilities");
    let Some(orderer) = root.groups.get("Orderer") else {
        return Ok(());
    };
    if has_capabilities(orderer) {
        return Ok(());
    }
    if has_capabilities(root) {
        return Err(BundleError::CapabilitiesWithoutOrderer("/Channel"));
    }
    if root.groups.get("Application").is_some_and(has_capabilities) {
        return Err(BundleError::CapabilitiesWithoutOrderer("/Channel/Application"));
    }
    Ok(())
}

/// All names of groups, values and policies in the tree.
fn check_names(path: &str, group: &ConfigGroup, depth: usize) -> Result<(), BundleError> {
    if depth > GROUP_DEPTH_MAX {
        return Err(BundleError::TooDeep { path: path.to_owned() });
    }
    let names = group.groups.keys().chain(group.values.keys()).chain(group.policies.keys());
    for key in names {
        if !is_legal_name(key) {
            return Err(BundleError::IllegalName { path: path.to_owned(), key: key.clone() });
        }
    }
    for (name, child) in &group.groups {
        check_names(&format!("{path}/{name}"), child, depth + 1)?;
    }
    Ok(())
}

const CHANNEL: &str = "/Channel";
const CHANNEL_KEYS: [&str; 6] =
    ["HashingAlgorithm", "BlockDataHashingStructure", "OrdererAddresses", "Orderers", "Consortium", "Capabilities"];
