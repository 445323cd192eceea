//! Everything an orderer asks of a configuration update, in Fabric's order.
//!
//! ```text
//! update               the algorithm: read set, versions, authorisation      peers repeat this
//! bundle               the result is a valid configuration                   peers repeat this
//! resources            capabilities are known, there is an orderer group
//! transition           it may follow the present one
//! consensus metadata   (now of type etcdraft) options, consenters
//! maintenance          state and type change one at a time
//! BFT                  (now of type BFT) BlockValidation matches the consenters
//! ```
//!
//! A frontend runs this when it admits an update, a replica before it votes for the result, each against the
//! configuration in force; with [`ExpiryCheck::Skip`] the outcome depends on nothing else. Where Fabric lets a
//! configuration pass with which its orderers then halt, [`ConfigChange::check_orderable`] does not. Contract §2.2,
//! §2.4 step 11, §2.6, Appendix C 1 to 6.

use std::sync::Arc;

use bytes::Bytes;
use fabric_proto::etcdraft::ConfigMetadata;
use fabric_proto::{Envelope, EnvelopeError, canonical};
use thiserror::Error;

use crate::bft_update::{self, BftUpdateError};
use crate::bundle::{Bundle, BundleError};
use crate::config::{ChannelConfig, ConfigError, ConsensusType};
use crate::config_content::ConfigContent;
use crate::config_tree::TreeError;
use crate::go_duration::{self, DurationError};
use crate::maintenance::{self, MaintenanceError};
use crate::orderer_group::OrdererGroup;
use crate::raft_metadata::{self, ExpiryCheck, RaftMetadataError};
use crate::transition::{self, TransitionError};
use crate::update::{self, ElementKey, ProposedConfig, UpdateError};

/// An authorised change to a configuration that Fabric's orderers and peers accept.
#[derive(Debug, Clone)]
pub struct ConfigChange {
    proposed: ProposedConfig,
    next: Arc<Bundle>,
}

/// Why an update is refused, by the first check it fails.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChangeError {
    /// The update.
    #[error(transparent)]
    Update(#[from] UpdateError),
    /// Its result.
    #[error("the configuration that the update leads to is not valid: {0}")]
    Bundle(#[from] BundleError),
    /// What this program can do.
    #[error("the configuration that the update leads to is not supported: {0}")]
    Resources(#[from] ResourcesError),
    /// Against the present configuration.
    #[error(transparent)]
    Transition(#[from] TransitionError),
    /// Options and consenters of type etcdraft.
    #[error("/Channel/Orderer/ConsensusType: {0}")]
    RaftMetadata(#[from] RaftMetadataError),
    /// Maintenance mode.
    #[error(transparent)]
    Maintenance(#[from] MaintenanceError),
    /// Consenters and BlockValidation of type BFT.
    #[error(transparent)]
    Bft(#[from] BftUpdateError),
}

/// What an orderer program has to know of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ResourcesError {
    /// No orderer group.
    #[error("/Channel/Orderer is missing")]
    NoOrdererGroup,
    /// An orderer capability.
    #[error("/Channel/Orderer/Capabilities: capability {0:?} is not known")]
    OrdererCapability(String),
    /// A channel capability.
    #[error("/Channel/Capabilities: capability {0:?} is not known")]
    ChannelCapability(String),
}

/// Why an update is refused here that Fabric would let pass.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OrderableError {
    /// Only the sequence would grow.
    #[error("the update has no effect: no group lists {0}, which it adds")]
    NoEffect(ElementKey),
    /// Orderers would halt, or peers of an older version stop.
    #[error("no orderer could go on with the configuration that the update leads to: {0}")]
    Config(#[from] ConfigError),
    /// The channel comes to type BFT with what no update of a BFT channel may leave behind.
    #[error(transparent)]
    Bft(#[from] BftUpdateError),
    /// A negative tick, with which orderers of type etcdraft do not start.
    #[error("/Channel/Orderer/ConsensusType: option tick_interval: {0}")]
    TickInterval(DurationError),
}

/// Why the content of a CONFIG transaction is not what its update leads to.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecomputeError {
    /// The content does not parse.
    #[error("the content of the configuration transaction: {0}")]
    Content(#[from] TreeError),
    /// No update.
    #[error("the transaction does not say which update led to its configuration")]
    NoLastUpdate,
    /// The update is no envelope.
    #[error("the update that led to the configuration: {0}")]
    Envelope(#[from] EnvelopeError),
    /// The update is refused.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// Another result, or the same one in other bytes.
    #[error("the update that it names leads to another configuration, or to the same one in other bytes")]
    Mismatch,
}

impl ConfigChange {
    /// Evaluates an update against the present configuration, with the verdict of a Fabric orderer.
    ///
    /// The filters for all envelopes (size, signature, writers) come before and are not repeated.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub fn evaluate(current: &Bundle, envelope: &Envelope, expiry: ExpiryCheck) -> Result<Self, ChangeError> {
        let proposed = update::propose(current, envelope)?;
        let next = Bundle::from_tree(current.channel_id().as_str(), proposed.config().clone())?;
        let next_orderer = check_resources(&next)?;
        transition::check(current, &next)?;
        let orderer = current.orderer().ok_or(ResourcesError::NoOrdererGroup)?;
        let consensus_type = orderer.consensus_type().r#type.as_str();
        if consensus_type == "etcdraft" {
            raft_metadata::check(orderer, next_orderer, next.msps(), expiry)?;
        }
        maintenance::check(orderer, next_orderer, proposed.write_set())?;
        if consensus_type == "BFT" {
            bft_update::check(proposed.config())?;
        }
        Ok(Self { proposed, next: Arc::new(next) })
    }

    /// Evaluates the update inside a CONFIG transaction, and demands that the transaction hold its result byte for
    /// byte. What a replica does before it votes.
    ///
    /// # Errors
    /// [`RecomputeError`].
    pub fn recompute(current: &Bundle, content: &Bytes) -> Result<Self, RecomputeError> {
        let update = ConfigContent::decode(content)?.last_update.ok_or(RecomputeError::NoLastUpdate)?;
        let envelope = Envelope::decode(canonical::encode(&update.payload, &update.signature))?;
        let change = Self::evaluate(current, &envelope, ExpiryCheck::Skip)?;
        if change.proposed.to_content().encode() != content[..] {
            return Err(RecomputeError::Mismatch);
        }
        Ok(change)
    }

    /// Checks what Fabric does not: that the change has an effect, and that its orderers would not halt with it.
    ///
    /// # Errors
    /// [`OrderableError`].
    pub fn check_orderable(&self) -> Result<ChannelConfig, OrderableError> {
        if let (false, Some(element)) = (self.proposed.has_effect(), self.proposed.changed().first()) {
            return Err(OrderableError::NoEffect(element.clone()));
        }
        let config = ChannelConfig::from_bundle(Bundle::clone(&self.next))?;
        match config.consensus() {
            ConsensusType::Bft { .. } => bft_update::check(self.proposed.config())?,
            ConsensusType::EtcdRaft { metadata } => check_tick(metadata)?,
        }
        Ok(config)
    }

    /// The result with the update it came from.
    #[must_use]
    pub fn proposed(&self) -> &ProposedConfig {
        &self.proposed
    }

    /// The next configuration, taken apart.
    #[must_use]
    pub fn next(&self) -> &Arc<Bundle> {
        &self.next
    }
}

fn check_resources(next: &Bundle) -> Result<&OrdererGroup, ResourcesError> {
    let orderer = next.orderer().ok_or(ResourcesError::NoOrdererGroup)?;
    if let Some(name) = orderer.capabilities.unknown() {
        return Err(ResourcesError::OrdererCapability(name.to_owned()));
    }
    if let Some(name) = next.capabilities().unknown() {
        return Err(ResourcesError::ChannelCapability(name.to_owned()));
    }
    Ok(orderer)
}

/// The sign of the tick is the one option that Fabric does not look at.
fn check_tick(metadata: &ConfigMetadata) -> Result<(), OrderableError> {
    let Some(options) = &metadata.options else {
        return Ok(());
    };
    go_duration::parse_positive(&options.tick_interval).map_err(OrderableError::TickInterval)?;
    Ok(())
}
