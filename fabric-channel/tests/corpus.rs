//! Our verdicts against those of Fabric's own Go code, case by case.
//!
//! Runs over the packed cases of this repository and, if `FABRIC_CORPUS` names a folder of corpora in JSON Lines,
//! over those too.

#![allow(clippy::unwrap_used)]

#[path = "corpus/mod.rs"]
mod corpus;

use std::collections::BTreeMap;

use corpus::cases::{BlockCase, BlockCorpus, ConfigCase, IdentityCase, IdentityCorpus, PolicyCase, PolicyCorpus};
use corpus::{config_updates, json_lines, packed};
use fabric_channel::config_change::ChangeError;
use fabric_channel::{
    BlockReject, BlockVerifier, Bundle, ChannelConfig, ConfigChange, Curve, DataError, EntryError, ExpiryCheck,
    Identity, KeyAlgorithm, MspVersion, Msps, MspsError, Principal, RaftMetadataError, Reject, SignaturePolicy,
    SignedData,
};
use fabric_proto::Envelope;
use fabric_proto::common::{Block, Config};
use fabric_proto::msp::msp_principal::Classification;
use fabric_proto::msp::{MspConfig, MspPrincipal};
use prost::Message;

#[test]
fn corpus_blocks() {
    run("blocks", packed("blocks"), json_lines::read_blocks, check_blocks);
}

#[test]
fn corpus_policies() {
    run("policies", packed("policies"), json_lines::read_policies, check_policies);
}

#[test]
fn corpus_identities() {
    run("identities", packed("identities"), json_lines::read_identities, check_identities);
}

#[test]
fn corpus_config_updates() {
    run("config-updates", packed("config-updates"), json_lines::read_updates, config_updates::check);
}

/// Fabric accepts these and its orderers halt, or its peers of older versions stop.
#[test]
fn corpus_updates_that_halt_orderers_are_not_ordered() {
    let corpus = packed("config-updates");
    let halting = [
        "bft-dup-id",
        "bft-id-zero",
        "bft-garbage-identity",
        "bft-unknown-mspid",
        "bft-options-bad-duration",
        "raft-host-empty",
        "raft-tick-negative",
        "raft-metadata-empty",
        "raft-orderers-value",
        "migrate-bft-without-policy",
        "migrate-bft-duplicate-ids",
        "state-2",
    ];
    let everyday = [
        "batch-timeout-500ms",
        "acl-set",
        "endpoints-changed",
        "app-org-add",
        "app-org-remove-1",
        "raft-add",
        "raft-rotate",
        "bft-add",
        "bft-remove",
        "state-maintenance",
    ];
    let verdicts = |name: &str| -> Vec<Result<u64, String>> {
        let updates = config_updates::accepted(&corpus, name).into_iter();
        updates.map(|(current, envelope)| orderable(&current, &envelope)).collect()
    };
    for name in halting {
        let verdicts = verdicts(name);
        println!("{name}: {verdicts:?}");
        assert!(!verdicts.is_empty() && verdicts.iter().all(Result::is_err), "{name}");
    }
    for name in everyday {
        assert!(verdicts(name).iter().any(Result::is_ok), "{name}");
    }
}

/// The sequence after an update that Fabric accepts, or why we do not order it.
fn orderable(current: &Bundle, envelope: &Envelope) -> Result<u64, String> {
    let change = ConfigChange::evaluate(current, envelope, ExpiryCheck::Skip).unwrap();
    change.check_orderable().map(|config| config.sequence()).map_err(|error| error.to_string())
}

#[test]
fn corpus_expiry_decides_at_admission_only() {
    let corpus = packed("config-updates");
    let updates = config_updates::accepted(&corpus, "raft-add");
    assert!(!updates.is_empty());
    for (current, envelope) in updates {
        let long_after_expiry = ExpiryCheck::At { now_unix_s: 9_000_000_000 };
        let error = ConfigChange::evaluate(&current, &envelope, long_after_expiry).unwrap_err();
        assert!(matches!(error, ChangeError::RaftMetadata(RaftMetadataError::Expired { .. })), "{error}");
        ConfigChange::evaluate(&current, &envelope, ExpiryCheck::Skip).unwrap();
    }
}

/// Writes the packed form of a published corpus; compress it afterwards.
#[test]
#[ignore = "changes files of this repository"]
fn repack() {
    let source = json_lines::folder().expect("FABRIC_CORPUS is not set");
    let write = |name: &str, bytes: Vec<u8>| {
        let path = format!("{}/tests/data/corpus/{name}.bin", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, bytes).unwrap();
    };
    write("blocks", json_lines::read_blocks(&source).encode_to_vec());
    write("policies", json_lines::read_policies(&source).encode_to_vec());
    write("identities", json_lines::read_identities(&source).encode_to_vec());
    let mut updates = json_lines::read_updates(&source);
    updates.cases.iter_mut().for_each(|case| case.result.clear());
    write("config-updates", updates.encode_to_vec());
}

/// Checks the packed corpus and the published one; `check` returns the number of cases and what went wrong.
fn run<C>(name: &str, packed: C, read: impl Fn(&std::path::Path) -> C, check: impl Fn(&C) -> (usize, Vec<String>)) {
    let published = json_lines::folder().map(|folder| read(&folder));
    for (origin, corpus) in [("packed", Some(packed)), ("published", published)] {
        let Some(corpus) = corpus else {
            continue;
        };
        let (cases, failures) = check(&corpus);
        let passed = cases - failures.len().min(cases);
        println!("{name} ({origin}): {cases} cases run, {passed} passed, 0 skipped");
        assert!(cases > 0);
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }
}

fn check_blocks(corpus: &BlockCorpus) -> (usize, Vec<String>) {
    let verifiers: BTreeMap<&str, BlockVerifier> = corpus
        .configs
        .iter()
        .map(|case| {
            let config =
                ChannelConfig::from_bundle(bundle(case)).unwrap_or_else(|error| panic!("{}: {error}", case.name));
            (case.name.as_str(), BlockVerifier::new(&config))
        })
        .collect();
    let mut failures = Vec::new();
    for case in &corpus.cases {
        check_block(case, &verifiers[case.config.as_str()], &mut failures);
    }
    (corpus.cases.len(), failures)
}

fn check_block(case: &BlockCase, verifier: &BlockVerifier, failures: &mut Vec<String>) {
    let block = Block::decode(&case.block[..]).unwrap();
    let next = case.last_number.wrapping_add(1);
    let previous = Some(&case.last_header_hash[..]);
    let verdict = verifier.verify_block(&block, next, previous);
    if class_of(&verdict) != case.class {
        failures.push(format!("{}: {verdict:?} instead of {}", case.id, case.class));
    }
    let attestation = verifier.verify_attestation(&block, next, previous);
    if attestation.is_ok() != case.is_attestation_accepted {
        failures.push(format!("{}: attestation {attestation:?}", case.id));
    }
    if let (Some(header), Some(metadata)) = (&block.header, &block.metadata) {
        let signatures = verifier.verify_signatures(header, metadata);
        if signatures.is_ok() != case.are_signatures_accepted {
            failures.push(format!("{}: signatures {signatures:?}", case.id));
        }
    }
}

/// The corpus' name for a verdict.
fn class_of(verdict: &Result<(), BlockReject>) -> &'static str {
    let Err(reject) = verdict else {
        return "ok";
    };
    match reject {
        BlockReject::NoHeader => "header_missing",
        BlockReject::WrongNumber { .. } => "wrong_number",
        BlockReject::WrongPreviousHash { .. } => "wrong_previous_hash",
        BlockReject::TooFewSlots { .. } => "metadata_too_few",
        BlockReject::WrongDataHash { .. } => "wrong_data_hash",
        BlockReject::MalformedSignatures { .. } => "signatures_metadata_malformed",
        BlockReject::TooManySignatures { .. } => "too_many_signatures",
        BlockReject::Signature { why: Reject::MalformedSignatureHeader, .. } => "signature_header_malformed",
        BlockReject::Signature { .. } => "identifier_header_malformed",
        BlockReject::PolicyNotSatisfied { .. } => "block_validation_not_satisfied",
        BlockReject::Data { why: DataError::Empty, .. } => "data_empty",
        BlockReject::Data { why: DataError::Entry { why, .. }, .. } => match why {
            EntryError::Malformed => "tx_malformed",
            EntryError::NoPayload => "tx_no_payload",
            EntryError::NoSignature => "tx_no_signature",
            EntryError::TrailingBytes(_) => "tx_trailing_bytes",
            EntryError::NotCanonical => "tx_not_canonical",
        },
    }
}

fn check_policies(corpus: &PolicyCorpus) -> (usize, Vec<String>) {
    let bundles: BTreeMap<&str, Bundle> =
        corpus.configs.iter().map(|case| (case.name.as_str(), bundle(case))).collect();
    let mut failures = Vec::new();
    for case in &corpus.cases {
        let verdict = evaluate(case, &bundles[case.config.as_str()]);
        if verdict != case.verdict {
            failures.push(format!("{}: {verdict} instead of {}", case.id, case.verdict));
        }
    }
    (corpus.cases.len(), failures)
}

fn evaluate(case: &PolicyCase, bundle: &Bundle) -> &'static str {
    let signed: Vec<SignedData<'_>> = case
        .signed
        .iter()
        .map(|signed| SignedData { data: &signed.data, identity: &signed.identity, signature: &signed.signature })
        .collect();
    let signers = bundle.msps().distinct_signers(&signed);
    let is_satisfied = if case.path.is_empty() {
        match SignaturePolicy::from_bytes(&case.policy, bundle.msps()) {
            Ok(policy) => policy.is_satisfied_by(&signers),
            Err(_) => return "invalid_policy",
        }
    } else {
        bundle.policies().policy(&case.path).is_some_and(|policy| policy.is_satisfied_by(&signers))
    };
    if is_satisfied { "satisfied" } else { "not_satisfied" }
}

fn check_identities(corpus: &IdentityCorpus) -> (usize, Vec<String>) {
    let msps: BTreeMap<&str, Result<Msps, MspsError>> = corpus
        .msps
        .iter()
        .map(|case| {
            let definition = MspConfig::decode(&case.config[..]).unwrap();
            let mut msps = Msps::new(version(&case.version));
            (case.name.as_str(), msps.add(&definition).map(|_| msps))
        })
        .collect();
    let mut failures = Vec::new();
    for case in &corpus.cases {
        match &msps[case.msp.as_str()] {
            outcome if case.kind == "setup" => {
                if outcome.is_ok() != case.is_valid {
                    failures.push(format!("{}: {:?}", case.id, outcome.as_ref().err()));
                }
            }
            Ok(msps) => check_identity(case, msps, &mut failures),
            Err(error) => failures.push(format!("{}: {error}", case.id)),
        }
    }
    (corpus.cases.len(), failures)
}

fn check_identity(case: &IdentityCase, msps: &Msps, failures: &mut Vec<String>) {
    let identity = match msps.deserialise(&case.identity) {
        Ok(identity) => identity,
        Err(_) if case.stage == "deserialize" => return,
        Err(error) => return failures.push(format!("{}: {error}", case.id)),
    };
    let validity = identity.validity();
    if case.stage == "deserialize" || validity.is_ok() != case.is_valid {
        failures.push(format!("{}: {validity:?}", case.id));
    }
    check_facts(case, &identity, failures);
    for principal in &case.principals {
        let compiled = Principal::compile(&principal_of(principal, case), msps);
        if compiled.is_satisfied_by(&identity) != principal.is_satisfied {
            failures.push(format!("{}: {compiled:?}", case.id));
        }
    }
}

fn check_facts(case: &IdentityCase, identity: &Identity, failures: &mut Vec<String>) {
    let mut expect = |what: &str, holds: bool| {
        if !holds {
            failures.push(format!("{}: {what}", case.id));
        }
    };
    expect("identifier", identity.key().identifier() == case.identifier);
    let serialised = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &identity.serialise());
    expect("serialised form", serialised.as_ref() == case.reserialised_sha256);
    let units = identity.units().iter();
    let units: Vec<String> =
        units.map(|unit| format!("{}:{}", unit.name(), hex::encode(&unit.certifiers()[..8]))).collect();
    expect("organizational units", units == case.units);
    let is_signed = identity.verify(&case.data, &case.signature).is_ok();
    let is_refused = has_unsupported_signatures(case, identity);
    expect("signature", is_signed == (case.is_signature_valid && !is_refused));
    let is_signed_high = identity.verify(&case.data, &case.high_s_signature).is_ok();
    expect("high-S signature", is_signed_high == case.is_high_s_valid);
}

/// Signatures that Fabric verifies and we refuse: ECDSA over SHA-3, and under P-224.
fn has_unsupported_signatures(case: &IdentityCase, identity: &Identity) -> bool {
    match identity.certificate().public_key().algorithm() {
        KeyAlgorithm::Ecdsa(Curve::P224) => true,
        KeyAlgorithm::Ecdsa(_) => case.msp.starts_with("sha3-family"),
        _ => false,
    }
}

fn principal_of(case: &corpus::cases::PrincipalCase, identity: &IdentityCase) -> MspPrincipal {
    if case.own == "self" {
        return MspPrincipal {
            principal_classification: Classification::Identity.into(),
            principal: identity.identity.clone().into(),
        };
    }
    MspPrincipal::decode(&case.principal[..]).unwrap()
}

fn bundle(case: &ConfigCase) -> Bundle {
    let config = Config::decode(&case.config[..]).unwrap();
    Bundle::new(&case.channel_id, &config).unwrap_or_else(|error| panic!("{}: {error}", case.name))
}

fn version(text: &str) -> MspVersion {
    match text {
        "1.0" => MspVersion::V1_0,
        "1.1" => MspVersion::V1_1,
        "1.3" => MspVersion::V1_3,
        "1.4.3" => MspVersion::V1_4_3,
        "3.0" => MspVersion::V3_0,
        other => panic!("MSP version {other}"),
    }
}
