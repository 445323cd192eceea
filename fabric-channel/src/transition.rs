//! Which valid configuration may follow which.
//!
//! One rule of Fabric's is not repeated: that every orderer organization has endpoints when capability V3_0 comes.
//! A configuration with V3_0 and without them is not valid in the first place. Contract §2.4 step 11.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::bundle::Bundle;
use crate::orderer_group::OrdererGroup;

/// Why a valid configuration cannot follow the present one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TransitionError {
    /// A group that has to stay.
    #[error("/Channel/{0} must not be removed")]
    GroupRemoved(&'static str),
    /// System channels are gone.
    #[error("/Channel/Consortiums cannot be added")]
    ConsortiumsAdded,
    /// Another consensus type, on a channel that does not know migration.
    #[error(
        "/Channel/Orderer/ConsensusType: the type cannot change from {from:?} to {to:?} without channel capability \
         V1_4_2 or later"
    )]
    ConsensusType {
        /// The present type.
        from: String,
        /// The next type.
        to: String,
    },
    /// An organization keeps its MSP ID for life.
    #[error("{path}: the MSP ID cannot change from {from:?} to {to:?}; remove the organization and add another")]
    MspId {
        /// Path of the organization.
        path: String,
        /// The present ID.
        from: String,
        /// The next ID.
        to: String,
    },
}

/// Checks that `next` may follow `current`.
pub(crate) fn check(current: &Bundle, next: &Bundle) -> Result<(), TransitionError> {
    if let Some(orderer) = current.orderer() {
        let next_orderer = next.orderer().ok_or(TransitionError::GroupRemoved("Orderer"))?;
        check_consensus_type(current, orderer, next_orderer)?;
        check_msp_ids("/Channel/Orderer", &msp_ids(orderer), &msp_ids(next_orderer))?;
    }
    if let Some(application) = current.application() {
        let next_application = next.application().ok_or(TransitionError::GroupRemoved("Application"))?;
        check_msp_ids("/Channel/Application", &application.organizations, &next_application.organizations)?;
    }
    check_consortiums(current, next)
}

fn check_consensus_type(
    current: &Bundle,
    orderer: &OrdererGroup,
    next_orderer: &OrdererGroup,
) -> Result<(), TransitionError> {
    let (from, to) = (&orderer.consensus_type.r#type, &next_orderer.consensus_type.r#type);
    if from == to || current.capabilities().has_type_migration() {
        return Ok(());
    }
    Err(TransitionError::ConsensusType { from: from.clone(), to: to.clone() })
}

fn check_consortiums(current: &Bundle, next: &Bundle) -> Result<(), TransitionError> {
    match (current.consortiums(), next.consortiums()) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(TransitionError::ConsortiumsAdded),
        (Some(_), None) => Err(TransitionError::GroupRemoved("Consortiums")),
        (Some(current), Some(next)) => current.iter().try_for_each(|(name, organizations)| {
            let path = format!("/Channel/Consortiums/{name}");
            next.get(name).map_or(Ok(()), |next| check_msp_ids(&path, organizations, next))
        }),
    }
}

/// Organizations that are in both have to keep their MSP IDs.
fn check_msp_ids(
    path: &str,
    current: &BTreeMap<String, String>,
    next: &BTreeMap<String, String>,
) -> Result<(), TransitionError> {
    for (name, from) in current {
        if let Some(to) = next.get(name)
            && to != from
        {
            let path = format!("{path}/{name}");
            return Err(TransitionError::MspId { path, from: from.clone(), to: to.clone() });
        }
    }
    Ok(())
}

fn msp_ids(orderer: &OrdererGroup) -> BTreeMap<String, String> {
    let organizations = orderer.organizations.iter();
    organizations.map(|(name, organization)| (name.clone(), organization.msp_id.clone())).collect()
}
