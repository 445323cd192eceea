//! Configuration updates, from the envelope to the next configuration, and CONFIG transactions as peers see them.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use fabric_channel::config_change::{ChangeError, ResourcesError};
use fabric_channel::config_tree::ConfigTree;
use fabric_channel::go_duration::DurationError;
use fabric_channel::update::{self, UpdateError, UpdateSet, ValidationError};
use fabric_channel::{
    BftUpdateError, Bundle, BundleError, ConfigChange, ConfigContent, ExpiryCheck, MaintenanceError, MspError,
    MspsError, PolicyError, PolicyTreeError, RaftMetadataError, TransitionError,
};
use fabric_proto::{Envelope, EnvelopeError};

use super::cases::{ConfigCase, UpdateCase, UpdateCorpus};

/// The number of cases and what went wrong; prints how often our class of error was another one.
pub fn check(corpus: &UpdateCorpus) -> (usize, Vec<String>) {
    let bundles: BTreeMap<&str, Bundle> =
        corpus.configs.iter().map(|case| (case.name.as_str(), bundle(case))).collect();
    let mut failures = Vec::new();
    let mut other_classes = Vec::new();
    for case in &corpus.cases {
        let current = &bundles[case.config.as_str()];
        let outcome =
            if case.content.is_empty() { check_update(case, current) } else { check_validation(case, current) };
        match outcome {
            Err(failure) => failures.push(format!("{}: {failure}", case.id)),
            Ok(class) if case.classes.iter().any(|known| *known == class) => {}
            Ok(class) => other_classes.push(format!("{}: {class} instead of {}", case.id, case.classes.join(", "))),
        }
    }
    println!("config-updates: {} refusals with another class of error", other_classes.len());
    other_classes.iter().for_each(|other| println!("  {other}"));
    (corpus.cases.len(), failures)
}

/// The updates that Fabric accepts, under the name that says what they change, each with its configuration.
pub fn accepted<'a>(corpus: &'a UpdateCorpus, name: &str) -> Vec<(Bundle, Envelope)> {
    let is_named = |case: &&'a UpdateCase| case.id.split('/').nth(2) == Some(name);
    let is_accepted = |case: &&'a UpdateCase| case.is_accepted && case.content.is_empty();
    let cases = corpus.cases.iter().filter(is_named).filter(is_accepted);
    cases
        .map(|case| {
            let current = corpus.configs.iter().find(|config| config.name == case.config).unwrap();
            (bundle(current), Envelope::decode(case.envelope.clone().into()).unwrap())
        })
        .collect()
}

/// Returns the class of the verdict, or what went wrong.
fn check_update(case: &UpdateCase, current: &Bundle) -> Result<&'static str, String> {
    let envelope = match Envelope::decode(case.envelope.clone().into()) {
        Ok(envelope) => envelope,
        Err(_) if case.is_authorised => return Err("the envelope does not parse".to_owned()),
        Err(error) => return Ok(class_of_envelope(&error)),
    };
    match update::propose(current, &envelope) {
        Ok(proposed) => check_result(case, current, &proposed)?,
        Err(error) if case.is_authorised => return Err(format!("not authorised: {error}")),
        Err(_) => {}
    }
    let verdict = ConfigChange::evaluate(current, &envelope, ExpiryCheck::At { now_unix_s: NOW_UNIX_S });
    let is_bundle = !matches!(verdict, Err(ChangeError::Update(_) | ChangeError::Bundle(_)));
    if is_bundle != case.is_peer_bundle {
        return Err("another verdict of peers about the configuration".to_owned());
    }
    match verdict {
        Ok(change) if case.is_accepted => {
            // Once in a while is enough: the first half of it has just been compared byte for byte.
            if case.id.len().is_multiple_of(RECOMPUTED_ONE_OF) {
                let content = Bytes::from(change.proposed().to_content().encode());
                ConfigChange::recompute(current, &content).map_err(|error| format!("recomputed: {error}"))?;
            }
            Ok("ok")
        }
        Err(error) if !case.is_accepted => {
            assert!(!error.to_string().is_empty());
            Ok(class_of_change(&error))
        }
        Ok(_) => Err(format!("accepted instead of {}", case.classes.join(", "))),
        Err(error) => Err(error.to_string()),
    }
}

/// The first stage accepted: so did Fabric, and its result is ours, and its peers' verdicts are.
fn check_result(case: &UpdateCase, current: &Bundle, proposed: &update::ProposedConfig) -> Result<(), String> {
    if !case.is_authorised {
        return Err(format!("authorised instead of {}", case.classes.join(", ")));
    }
    let config = proposed.config();
    if !case.result.is_empty() && ConfigTree::decode(&case.result.clone().into()).as_ref() != Ok(config) {
        return Err("another result".to_owned());
    }
    if digest(&SHA256, &config.encode()).as_ref() != case.result_sha256 {
        return Err("the result in other bytes".to_owned());
    }
    let content = ConfigContent::decode(&proposed.to_content().encode().into()).map_err(|error| error.to_string())?;
    if update::validate(current, &content).is_ok() != case.is_peer_valid {
        return Err("another verdict of peers about the transaction".to_owned());
    }
    Ok(())
}

fn check_validation(case: &UpdateCase, current: &Bundle) -> Result<&'static str, String> {
    let content = match ConfigContent::decode(&case.content.clone().into()) {
        Ok(content) => content,
        Err(error) if case.is_accepted => return Err(error.to_string()),
        Err(_) => return Ok("protobuf_malformed"),
    };
    match update::validate(current, &content) {
        Ok(()) if case.is_accepted => Ok("ok"),
        Err(error) if !case.is_accepted => Ok(class_of_validation(&error)),
        Ok(()) => Err(format!("accepted instead of {}", case.classes.join(", "))),
        Err(error) => Err(error.to_string()),
    }
}

fn bundle(case: &ConfigCase) -> Bundle {
    let tree = ConfigTree::decode(&case.config.clone().into()).unwrap();
    Bundle::from_tree(&case.channel_id, tree).unwrap_or_else(|error| panic!("{}: {error}", case.name))
}

fn class_of_validation(error: &ValidationError) -> &'static str {
    match error {
        ValidationError::NoConfig => "config_envelope_nil",
        ValidationError::Sequence { .. } => "sequence_mismatch",
        ValidationError::NoLastUpdate => "go_panic",
        ValidationError::Envelope(error) => class_of_envelope(error),
        ValidationError::Update(error) => class_of_update(error),
        ValidationError::ResultMismatch => "result_mismatch",
    }
}

fn class_of_envelope(error: &EnvelopeError) -> &'static str {
    match error {
        EnvelopeError::NoPayload | EnvelopeError::HeaderNotSet => "envelope_missing_header",
        // Go reads an absent channel header as one of type 0.
        EnvelopeError::ChannelHeaderNotSet => "wrong_header_type",
        _ => "envelope_malformed",
    }
}

fn class_of_update(error: &UpdateError) -> &'static str {
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

fn class_of_change(error: &ChangeError) -> &'static str {
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

/// When the cases were judged, nearly: August 2026.
const NOW_UNIX_S: i64 = 1_786_000_000;
const RECOMPUTED_ONE_OF: usize = 5;
