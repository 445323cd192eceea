//! Blocks: what a verifier says about them as a whole and about header and signatures alone, and their hashes.

use std::collections::BTreeMap;

use fabric_channel::{BlockReject, BlockVerifier, ChannelConfig, DataError, EntryError, Reject};
use fabric_proto::block::data_hash;
use fabric_proto::common::Block;
use fabric_proto::metadata::parse_signatures_slot;
use prost::Message as _;

use super::cases::{BlockCase, BlockCorpus};
use super::policies::bundle;
use super::tally::{Outcome, Tally};

pub fn check(corpus: &BlockCorpus, tally: &mut Tally) {
    let verifiers: BTreeMap<&str, Result<BlockVerifier, String>> = corpus
        .configs
        .iter()
        .map(|case| {
            let config =
                bundle(case).and_then(|bundle| ChannelConfig::from_bundle(bundle).map_err(|error| error.to_string()));
            (case.name.as_str(), config.map(|config| BlockVerifier::new(&config)))
        })
        .collect();
    for case in &corpus.cases {
        tally.case(&case.id, || {
            let verifier = verifiers.get(case.config.as_str()).ok_or("its configuration is not there")?;
            check_block(case, verifier.as_ref()?)
        });
    }
}

fn check_block(case: &BlockCase, verifier: &BlockVerifier) -> Result<Outcome, String> {
    let block = Block::decode(&case.block[..]).map_err(|error| error.to_string())?;
    check_hashes(case, &block)?;
    let next = case.last_number.wrapping_add(1);
    let previous = Some(&case.last_header_hash[..]);
    let verdict = verifier.verify_block(&block, next, previous);
    if class_of(&verdict) != case.class {
        return Err(format!("{verdict:?} instead of {}", case.class));
    }
    let attestation = verifier.verify_attestation(&block, next, previous);
    let is_other = !case.attestation_class.is_empty() && class_of(&attestation) != case.attestation_class;
    if attestation.is_ok() != case.is_attestation_accepted || is_other {
        return Err(format!("attestation {attestation:?} instead of {}", case.attestation_class));
    }
    if let (Some(header), Some(metadata)) = (&block.header, &block.metadata) {
        let signatures = verifier.verify_signatures(header, metadata);
        if signatures.is_ok() != case.are_signatures_accepted {
            return Err(format!("signatures {signatures:?}"));
        }
    }
    Ok(Outcome::Passed)
}

fn check_hashes(case: &BlockCase, block: &Block) -> Result<(), String> {
    if let Some(header) = &block.header
        && header.hash()[..] != case.header_hash[..]
    {
        return Err("another header hash".to_owned());
    }
    if !case.data_hash.is_empty() && data_hash(block.entries())[..] != case.data_hash[..] {
        return Err("another data hash".to_owned());
    }
    let slot = block.metadata.as_ref().and_then(|metadata| parse_signatures_slot(metadata).ok());
    match slot.map(|slot| slot.signatures.len() as u64) {
        Some(found) if found != case.signatures => Err(format!("{found} signatures instead of {}", case.signatures)),
        _ => Ok(()),
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
