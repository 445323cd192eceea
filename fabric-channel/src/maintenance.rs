//! Maintenance mode: how a channel changes its consensus type without anybody writing to it meanwhile.
//!
//! Going in and coming out may change nothing but the state; the type changes only in between, and only from
//! etcdraft to BFT, consenter by consenter. What counts as a change is what the *write set* of the update mentions,
//! but policies are not looked at (contract Appendix C 5). Contract §2.5.

use fabric_proto::common::Consenter as BftConsenter;
use fabric_proto::etcdraft::{ConfigMetadata, Consenter as RaftConsenter};
use fabric_proto::orderer::consensus_type::State;
use fabric_proto::smartbft::Options;
use prost::Message as _;
use thiserror::Error;

use crate::bft_options::{OptionsFlaw, check_like_fabric};
use crate::config_tree::Group;
use crate::orderer_group::OrdererGroup;

/// Why the state or type of consensus cannot change in this way.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MaintenanceError {
    /// Maintenance is not known on this channel.
    #[error("the consensus {what} cannot change without orderer capability V1_4_2 or later")]
    Capability {
        /// `state` or `type`.
        what: &'static str,
    },
    /// Something else changes together with the state.
    #[error("the consensus state goes from {from} to {to}, so nothing else may change: the update also {what}")]
    OtherChange {
        /// Name of the present state.
        from: String,
        /// Name of the next state.
        to: String,
        /// What it changes.
        what: &'static str,
    },
    /// The type changes outside of maintenance.
    #[error(
        "the consensus type cannot go from {from:?} to {to:?} in an update outside of maintenance: set the state to \
         STATE_MAINTENANCE in an update of its own before"
    )]
    NotInMaintenance {
        /// The present type.
        from: String,
        /// The next type.
        to: String,
    },
    /// A way that nobody can go.
    #[error("the consensus type cannot go from {from:?} to {to:?}: only the way to \"BFT\" is open")]
    Target {
        /// The present type.
        from: String,
        /// The next type.
        to: String,
    },
    /// The BFT options do not parse.
    #[error("/Channel/Orderer/ConsensusType: the metadata does not parse as BFT options")]
    MalformedOptions,
    /// The BFT options do not fit together.
    #[error("/Channel/Orderer/ConsensusType: {0}")]
    Options(#[from] OptionsFlaw),
    /// Nobody would order.
    #[error("/Channel/Orderer/Orderers: there are no consenters")]
    NoConsenters,
    /// Not the same consenters.
    #[error("/Channel/Orderer/Orderers: {bft} consenters for type BFT, but {raft} for type etcdraft")]
    ConsenterCount {
        /// Consenters in the mapping.
        bft: usize,
        /// Consenters in the metadata.
        raft: usize,
    },
    /// One consenter has no counterpart.
    #[error(
        "/Channel/Orderer/Orderers: no consenter has address and TLS certificates of the etcdraft consenter at \
         {address}"
    )]
    ConsenterMissing {
        /// `host:port`.
        address: String,
    },
}

/// Checks a change of the orderer group that an update with this write set makes.
pub(crate) fn check(
    current: &OrdererGroup,
    next: &OrdererGroup,
    write_set: Option<&Group>,
) -> Result<(), MaintenanceError> {
    if !current.capabilities.has_maintenance() {
        return check_without_maintenance(current, next);
    }
    if current.consensus_type.state != next.consensus_type.state {
        check_state_change(current, next, write_set)?;
    }
    if current.consensus_type.r#type != next.consensus_type.r#type {
        check_type_change(current, next)?;
    }
    Ok(())
}

fn check_without_maintenance(current: &OrdererGroup, next: &OrdererGroup) -> Result<(), MaintenanceError> {
    if next.consensus_type.state != STATE_NORMAL {
        return Err(MaintenanceError::Capability { what: "state" });
    }
    if current.consensus_type.r#type != next.consensus_type.r#type {
        return Err(MaintenanceError::Capability { what: "type" });
    }
    Ok(())
}

fn check_state_change(
    current: &OrdererGroup,
    next: &OrdererGroup,
    write_set: Option<&Group>,
) -> Result<(), MaintenanceError> {
    let (current, next) = (&current.consensus_type, &next.consensus_type);
    let what = if let Some(what) = other_change(write_set) {
        what
    } else if current.r#type != next.r#type {
        "changes the consensus type"
    } else if current.metadata != next.metadata {
        "changes the consensus metadata"
    } else {
        return Ok(());
    };
    Err(MaintenanceError::OtherChange { from: state_name(current.state), to: state_name(next.state), what })
}

/// What a write set mentions beside the value ConsensusType.
fn other_change(write_set: Option<&Group>) -> Option<&'static str> {
    let root = write_set?;
    if !root.values.is_empty() {
        return Some("mentions values of the group /Channel");
    }
    let Some(orderer) = root.groups.get("Orderer") else {
        return Some("does not mention the group /Channel/Orderer");
    };
    if root.groups.len() > 1 {
        return Some("mentions other groups than /Channel/Orderer");
    }
    if !orderer.groups.is_empty() {
        return Some("mentions groups within /Channel/Orderer");
    }
    if !orderer.values.contains_key("ConsensusType") {
        return Some("does not mention the value /Channel/Orderer/ConsensusType");
    }
    (orderer.values.len() > 1).then_some("mentions other values of /Channel/Orderer than ConsensusType")
}

fn check_type_change(current: &OrdererGroup, next: &OrdererGroup) -> Result<(), MaintenanceError> {
    let (from, to) = (current.consensus_type.r#type.clone(), next.consensus_type.r#type.clone());
    if current.consensus_type.state == STATE_NORMAL || next.consensus_type.state == STATE_NORMAL {
        return Err(MaintenanceError::NotInMaintenance { from, to });
    }
    if to != "BFT" {
        return Err(MaintenanceError::Target { from, to });
    }
    let options = Options::decode(next.consensus_type.metadata.clone());
    check_like_fabric(&options.map_err(|_| MaintenanceError::MalformedOptions)?)?;
    check_consenters(current, next)
}

/// Each etcdraft consenter has to go on as a BFT consenter.
fn check_consenters(current: &OrdererGroup, next: &OrdererGroup) -> Result<(), MaintenanceError> {
    let raft = ConfigMetadata::decode(current.consensus_type.metadata.clone()).unwrap_or_default().consenters;
    let bft = next.consenter_mapping.as_ref().map_or(&[][..], |mapping| &mapping.consenter_mapping);
    if bft.is_empty() {
        return Err(MaintenanceError::NoConsenters);
    }
    if raft.len() != bft.len() {
        return Err(MaintenanceError::ConsenterCount { bft: bft.len(), raft: raft.len() });
    }
    let missing = raft.iter().find(|old| !bft.iter().any(|new| is_same_consenter(old, new)));
    missing.map_or(Ok(()), |consenter| {
        let address = format!("{}:{}", consenter.host, consenter.port);
        Err(MaintenanceError::ConsenterMissing { address })
    })
}

fn is_same_consenter(raft: &RaftConsenter, bft: &BftConsenter) -> bool {
    raft.port == bft.port
        && raft.host == bft.host
        && raft.server_tls_cert == bft.server_tls_cert
        && raft.client_tls_cert == bft.client_tls_cert
}

fn state_name(state: i32) -> String {
    State::try_from(state).map_or_else(|_| state.to_string(), |state| state.as_str_name().to_owned())
}

const STATE_NORMAL: i32 = State::Normal as i32;
