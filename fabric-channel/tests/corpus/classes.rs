//! The corpus' names for our errors about configuration updates.

use fabric_channel::config_change::{ChangeError, ResourcesError};
use fabric_channel::go_duration::DurationError;
use fabric_channel::update::{UpdateError, UpdateSet, ValidationError};
use fabric_channel::{
    BftUpdateError, BundleError, MaintenanceError, MspError, MspsError, PolicyError, PolicyTreeError,
    RaftMetadataError, TransitionError,
};
use fabric_proto::EnvelopeError;

pub fn class_of_validation(error: &ValidationError) -> &'static str {
    match error {
        ValidationError::NoConfig => "config_envelope_nil",
        ValidationError::Sequence { .. } => "sequence_mismatch",
        ValidationError::NoLastUpdate => "go_panic",
        ValidationError::Envelope(error) => class_of_envelope(error),
        ValidationError::Update(error) => class_of_update(error),
        ValidationError::ResultMismatch => "result_mismatch",
    }
}

pub fn class_of_envelope(error: &EnvelopeError) -> &'static str {
    match error {
        EnvelopeError::NoPayload | EnvelopeError::HeaderNotSet => "envelope_missing_header",
        // Go reads an absent channel header as one of type 0.
        EnvelopeError::ChannelHeaderNotSet => "wrong_header_type",
        _ => "envelope_malformed",
    }
}

pub fn class_of_update(error: &UpdateError) -> &'static str {
    match error {
        UpdateError::NotAnUpdate { .. } => "wrong_header_type",
        UpdateError::MalformedData => "envelope_malformed",
        UpdateError::Malformed(_)
        | UpdateError::TooManySignatures(_)
        | UpdateError::MalformedSignatureHeader { .. } => "protobuf_malformed",
        UpdateError::WrongChannel { .. } => "wrong_channel_id",
        UpdateError::IllegalName { set: UpdateSet::Read, .. } => "illegal_key_read_set",
        UpdateError::IllegalName { set: UpdateSet::Write, .. } => "illegal_key_write_set",
        UpdateError::ReadUnknown { .. } => "read_set_unknown_element",
        UpdateError::ReadVersion { .. } => "read_version_mismatch",
        UpdateError::EmptyDelta => "empty_delta",
        UpdateError::ModPolicyEmpty { .. } => "mod_policy_empty",
        UpdateError::ModPolicyIllegal { .. } => "mod_policy_invalid",
        UpdateError::NewElementVersion { .. } => "new_element_nonzero_version",
        UpdateError::WrongVersion { .. } => "write_version_mismatch",
        UpdateError::ModPolicyMissing { mod_policy, .. } if mod_policy == "/Channel" => "go_panic",
        UpdateError::ModPolicyMissing { .. } => "mod_policy_missing",
        UpdateError::NotAuthorised(_) => "policy_not_satisfied",
    }
}

pub fn class_of_change(error: &ChangeError) -> &'static str {
    match error {
        ChangeError::Update(error) => class_of_update(error),
        ChangeError::Bundle(error) => class_of_bundle(error),
        ChangeError::Resources(ResourcesError::NoOrdererGroup) => "orderer_group_missing",
        ChangeError::Resources(ResourcesError::OrdererCapability(_)) => "orderer_capability_unsupported",
        ChangeError::Resources(ResourcesError::ChannelCapability(_)) => "channel_capability_unsupported",
        ChangeError::Transition(error) => match error {
            TransitionError::GroupRemoved("Application") => "application_group_removed",
            TransitionError::GroupRemoved(_) => "group_removed",
            TransitionError::ConsortiumsAdded => "consortiums_added",
            TransitionError::ConsensusType { .. } => "consensus_type_change",
            TransitionError::MspId { .. } => "msp_id_changed",
        },
        ChangeError::RaftMetadata(error) => class_of_raft(error),
        ChangeError::Maintenance(error) => class_of_maintenance(error),
        ChangeError::Bft(error) => match error {
            BftUpdateError::NoMapping => "bft_consenter_mapping_missing",
            BftUpdateError::MalformedMapping | BftUpdateError::NoConsensusType => "value_malformed",
            BftUpdateError::NoBlockValidation => "bft_block_validation_missing",
            BftUpdateError::BlockValidation => "bft_block_validation_mismatch",
            BftUpdateError::MalformedOptions => "bft_options_malformed",
            BftUpdateError::LeaderRotation => "bft_leader_rotation",
        },
    }
}

fn class_of_bundle(error: &BundleError) -> &'static str {
    match error {
        BundleError::CapabilitiesWithoutOrderer("/Channel") => "channel_caps_without_orderer_caps",
        BundleError::CapabilitiesWithoutOrderer(_) => "app_caps_without_orderer_caps",
        BundleError::UnexpectedKey { .. } => "unexpected_value_key",
        BundleError::MalformedValue { why, .. } if why.contains("UTF-8") => "protobuf_malformed",
        BundleError::MalformedValue { .. } => "value_malformed",
        BundleError::DisallowedGroup(_) => "disallowed_channel_group",
        BundleError::SubGroups { .. } => "org_subgroups",
        BundleError::HashingAlgorithm(_) => "hashing_algorithm",
        BundleError::BlockDataHashingWidth(_) => "block_data_hashing_width",
        BundleError::NoOrdererAddresses => "orderer_addresses_required",
        BundleError::GlobalOrdererAddresses => "global_addresses_forbidden_v3",
        BundleError::EndpointsWithoutCapability { .. } => "endpoints_without_capability",
        BundleError::NoEndpoints { .. } => "org_endpoints_missing_v3",
        BundleError::BatchSizeZero(_) => "batch_size_zero",
        BundleError::BatchSizeOrder { .. } => "batch_size_preferred_gt_absolute",
        BundleError::BatchTimeout(DurationError::NotPositive(_)) => "batch_timeout_non_positive",
        BundleError::BatchTimeout(_) => "batch_timeout_invalid",
        BundleError::Msp { why: MspsError::IdemixUnderV3, .. } => "idemix_unsupported_v3",
        BundleError::Msp { why: MspsError::Msp(MspError::EmptyId), .. } => "msp_id_empty",
        BundleError::Msp { why: MspsError::Msp(MspError::Type(_)), .. } => "msp_type_unsupported",
        BundleError::Msp { .. } => "msp_setup",
        BundleError::Policies(PolicyTreeError::Policy { why, .. }) => match why {
            PolicyError::Missing => "policy_nil",
            PolicyError::Type(_) => "policy_type_unknown",
            PolicyError::SubPolicyIsGroup(_) => "go_panic",
            _ => "policy_does_not_compile",
        },
        _ => "invalid_configuration",
    }
}

fn class_of_raft(error: &RaftMetadataError) -> &'static str {
    match error {
        RaftMetadataError::Type(_) | RaftMetadataError::Present => "go_panic",
        RaftMetadataError::NoEndpoints(_) => "org_endpoints_missing_v3",
        RaftMetadataError::Malformed => "raft_metadata_malformed",
        RaftMetadataError::NoOptions
        | RaftMetadataError::OptionZero(_)
        | RaftMetadataError::ElectionTick { .. }
        | RaftMetadataError::TickInterval(_) => "raft_options_invalid",
        RaftMetadataError::NoConsenters => "raft_empty_consenters",
        RaftMetadataError::Certificate { .. }
        | RaftMetadataError::Issuer { .. }
        | RaftMetadataError::Expired { .. } => "raft_consenter_cert_invalid",
        RaftMetadataError::Duplicate { .. } => "raft_duplicate_consenter",
        RaftMetadataError::SeveralChanges { .. } => "raft_more_than_one_change",
    }
}

fn class_of_maintenance(error: &MaintenanceError) -> &'static str {
    match error {
        MaintenanceError::Capability { .. } => "migration_capability_disabled",
        MaintenanceError::OtherChange { .. } => "maintenance_other_change",
        MaintenanceError::NotInMaintenance { .. } | MaintenanceError::Target { .. } => "consensus_type_change",
        MaintenanceError::MalformedOptions => "bft_options_malformed",
        MaintenanceError::Options(_) => "bft_options_invalid",
        MaintenanceError::NoConsenters
        | MaintenanceError::ConsenterCount { .. }
        | MaintenanceError::ConsenterMissing { .. } => "bft_consenter_mapping_invalid",
    }
}
