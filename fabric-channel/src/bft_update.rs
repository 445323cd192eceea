//! What an update of a channel of type BFT has to keep: the policy BlockValidation is exactly the one that follows
//! from the consenter mapping, and leaders stay.
//!
//! Peers compare nothing of this, but a Fabric orderer refuses to order anything else. Contract §2.6, Appendix C 1.

use fabric_proto::common::Orderers;
use fabric_proto::orderer::ConsensusType;
use fabric_proto::smartbft::Options;
use fabric_proto::smartbft::options::Rotation;
use prost::Message as _;
use thiserror::Error;

use crate::block_policy::derived_bft_policy;
use crate::config_tree::{ConfigTree, Group};

/// Why a BFT channel cannot get a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BftUpdateError {
    /// No mapping.
    #[error("/Channel/Orderer: the value Orderers, which maps ids to consenters, is missing")]
    NoMapping,
    /// The mapping does not parse.
    #[error("/Channel/Orderer/Orderers: the consenter mapping does not parse")]
    MalformedMapping,
    /// No policy.
    #[error("/Channel/Orderer: policy BlockValidation is missing")]
    NoBlockValidation,
    /// Another policy.
    #[error(
        "/Channel/Orderer: policy BlockValidation is not the one that follows from the consenter mapping: change both \
         in one update"
    )]
    BlockValidation,
    /// No consensus type.
    #[error("/Channel/Orderer: the value ConsensusType is missing or does not parse")]
    NoConsensusType,
    /// The options.
    #[error("/Channel/Orderer/ConsensusType: the metadata does not parse as BFT options")]
    MalformedOptions,
    /// Leaders take turns.
    #[error("/Channel/Orderer/ConsensusType: option leader_rotation must be off or unspecified")]
    LeaderRotation,
}

/// Checks the configuration that an update of a BFT channel leads to.
pub(crate) fn check(next: &ConfigTree) -> Result<(), BftUpdateError> {
    let orderer = next.group("Orderer").ok_or(BftUpdateError::NoMapping)?;
    check_block_validation(orderer)?;
    let value = orderer.values.get("ConsensusType").ok_or(BftUpdateError::NoConsensusType)?;
    let consensus = ConsensusType::decode(value.value.clone()).map_err(|_| BftUpdateError::NoConsensusType)?;
    let options = Options::decode(consensus.metadata).map_err(|_| BftUpdateError::MalformedOptions)?;
    if options.leader_rotation == i32::from(Rotation::On) {
        return Err(BftUpdateError::LeaderRotation);
    }
    Ok(())
}

/// The policy has to be equal byte for byte, not only in meaning.
fn check_block_validation(orderer: &Group) -> Result<(), BftUpdateError> {
    let mapping = orderer.values.get("Orderers").ok_or(BftUpdateError::NoMapping)?;
    let mapping = Orderers::decode(mapping.value.clone()).map_err(|_| BftUpdateError::MalformedMapping)?;
    let consenters = mapping.consenter_mapping.iter();
    let derived = derived_bft_policy(consenters.map(|entry| (entry.msp_id.as_str(), &entry.identity[..])));
    let entry = orderer.policies.get("BlockValidation").ok_or(BftUpdateError::NoBlockValidation)?;
    match &entry.policy {
        Some(policy) if policy.kind == derived.r#type && policy.value == derived.value && policy.unknown.is_empty() => {
            Ok(())
        }
        _ => Err(BftUpdateError::BlockValidation),
    }
}
