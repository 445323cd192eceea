//! The group `/Channel/Orderer` as every peer and orderer accepts it.
//!
//! Consensus type and consenter mapping are kept as they stand: Fabric's bundle does not look into them. Contract §2.7.

use std::collections::BTreeMap;
use std::time::Duration;

use fabric_proto::common::{Capabilities, ConfigGroup, OrdererAddresses, Orderers};
use fabric_proto::orderer::{
    BatchSize as BatchSizeMessage, BatchTimeout, ChannelRestrictions, ConsensusType, KafkaBrokers,
};

use crate::bundle::{BundleError, read_msp};
use crate::capabilities::{ChannelCapabilities, OrdererCapabilities};
use crate::go_duration;
use crate::group_values::GroupValues;
use crate::msps::Msps;

/// How envelopes are cut into blocks. All fields are positive, and `preferred_max_bytes` is at most
/// `absolute_max_bytes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSize {
    /// Envelopes in a block.
    pub max_message_count: u32,
    /// Size in bytes above which an envelope is refused.
    pub absolute_max_bytes: u32,
    /// Size in bytes at which a block is cut.
    pub preferred_max_bytes: u32,
}

/// One organization that runs orderers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrdererOrganization {
    /// Its MSP.
    pub msp_id: String,
    /// Where clients reach its orderers, `host:port`.
    pub endpoints: Vec<String>,
}

/// The values of the orderer group.
#[derive(Debug, Clone)]
pub struct OrdererGroup {
    pub(crate) batch_size: BatchSize,
    pub(crate) batch_timeout: Duration,
    pub(crate) consensus_type: ConsensusType,
    pub(crate) capabilities: OrdererCapabilities,
    /// Absent if the value is not in the configuration at all.
    pub(crate) consenter_mapping: Option<Orderers>,
    pub(crate) organizations: BTreeMap<String, OrdererOrganization>,
}

impl OrdererGroup {
    pub(crate) fn read(
        group: &ConfigGroup,
        channel: &ChannelCapabilities,
        msps: &mut Msps,
    ) -> Result<Self, BundleError> {
        let values = GroupValues::read(ORDERER, group, &ORDERER_KEYS)?;
        values.message::<ChannelRestrictions>("ChannelRestrictions")?;
        values.message::<KafkaBrokers>("KafkaBrokers")?;
        let consenters: Orderers = values.message("Orderers")?;
        let mut organizations = BTreeMap::new();
        for (name, organization) in &group.groups {
            let read = read_organization(name, organization, channel, msps)?;
            organizations.insert(name.clone(), read);
        }
        Ok(Self {
            batch_size: read_batch_size(&values)?,
            batch_timeout: read_batch_timeout(&values)?,
            consensus_type: values.message("ConsensusType")?,
            capabilities: OrdererCapabilities::new(values.message::<Capabilities>("Capabilities")?),
            consenter_mapping: values.has("Orderers").then_some(consenters),
            organizations,
        })
    }

    /// Organizations that run orderers, by group name.
    #[must_use]
    pub fn organizations(&self) -> &BTreeMap<String, OrdererOrganization> {
        &self.organizations
    }

    /// The cutting rules.
    #[must_use]
    pub fn batch_size(&self) -> BatchSize {
        self.batch_size
    }

    /// How long an envelope may wait for its block to fill.
    #[must_use]
    pub fn batch_timeout(&self) -> Duration {
        self.batch_timeout
    }

    /// The consensus type with its metadata, not looked into.
    #[must_use]
    pub fn consensus_type(&self) -> &ConsensusType {
        &self.consensus_type
    }
}

fn read_organization(
    name: &str,
    group: &ConfigGroup,
    channel: &ChannelCapabilities,
    msps: &mut Msps,
) -> Result<OrdererOrganization, BundleError> {
    let path = format!("{ORDERER}/{name}");
    let values = GroupValues::read(path.clone(), group, &["MSP", "Endpoints"])?.without_groups()?;
    if values.has("Endpoints") && !channel.has_org_endpoints() {
        return Err(BundleError::EndpointsWithoutCapability { path });
    }
    let endpoints = values.message::<OrdererAddresses>("Endpoints")?.addresses;
    let msp_id = read_msp(&values, msps)?;
    if endpoints.is_empty() && channel.has_bft() {
        return Err(BundleError::NoEndpoints { path });
    }
    Ok(OrdererOrganization { msp_id, endpoints })
}

fn read_batch_size(values: &GroupValues<'_>) -> Result<BatchSize, BundleError> {
    let message: BatchSizeMessage = values.message("BatchSize")?;
    for (value, name) in [
        (message.max_message_count, "max_message_count"),
        (message.absolute_max_bytes, "absolute_max_bytes"),
        (message.preferred_max_bytes, "preferred_max_bytes"),
    ] {
        if value == 0 {
            return Err(BundleError::BatchSizeZero(name));
        }
    }
    if message.preferred_max_bytes > message.absolute_max_bytes {
        return Err(BundleError::BatchSizeOrder {
            preferred: message.preferred_max_bytes,
            absolute: message.absolute_max_bytes,
        });
    }
    Ok(BatchSize {
        max_message_count: message.max_message_count,
        absolute_max_bytes: message.absolute_max_bytes,
        preferred_max_bytes: message.preferred_max_bytes,
    })
}

fn read_batch_timeout(values: &GroupValues<'_>) -> Result<Duration, BundleError> {
    let message: BatchTimeout = values.message("BatchTimeout")?;
    go_duration::parse_positive(&message.timeout).map_err(BundleError::BatchTimeout)
}

const ORDERER: &str = "/Channel/Orderer";
const ORDERER_KEYS: [&str; 7] =
    ["ConsensusType", "BatchSize", "BatchTimeout", "KafkaBrokers", "ChannelRestrictions", "Capabilities", "Orderers"];
