//! Envelopes and blocks, as bytes and as statements of the orderers that signed them.

use std::sync::LazyLock;

use bytes::Bytes;
use fabric_channel::BlockVerifier;
use fabric_proto::block::check_entries;
use fabric_proto::common::{Block, Metadata, MetadataSignature};
use fabric_proto::low_s::{Curve, is_low_s, to_low_s};
use fabric_proto::metadata::{last_config_index, parse_signatures_slot};
use fabric_proto::{Envelope, canonical};
use prost::Message as _;

use super::journal::size;
use crate::fixtures::{CHAIN, CONFIG, ENVELOPE as REAL_ENVELOPE, block};
use crate::outcome::Outcome;
use crate::target::{Heap, Seed, Target};

pub const ENVELOPE: Target = Target {
    name: "envelope",
    about: "an envelope: the canonical form is one, and canonicalizing keeps payload and signature",
    run: envelope,
    seeds: || vec![Seed::new("endorser", REAL_ENVELOPE), Seed::new("config", block(0).entries()[0].to_vec())],
    heap: Heap::MEDIUM,
    test_runs: 10_000,
};

pub const BLOCK: Target = Target {
    name: "block",
    about: "a block with its metadata: hashes, slots and form of the data are total",
    run: any_block,
    seeds: || vec![Seed::new("genesis", CHAIN[0]), Seed::new("ordinary", CHAIN[1])],
    heap: Heap::MEDIUM,
    test_runs: 6_000,
};

pub const SIGNED_BLOCK: Target = Target {
    name: "signed_block",
    about: "a block that claims to be of a real channel: what verifies is what its orderers signed",
    run: signed_block,
    seeds: || vec![Seed::new("first", CHAIN[1]), Seed::new("third", CHAIN[3])],
    heap: Heap::MEDIUM,
    test_runs: 1_500,
};

pub const LOW_S: Target = Target {
    name: "low_s",
    about: "an ECDSA signature: what is normalised is normal, and stays so",
    run: low_s,
    seeds: || vec![Seed::new("real", real_signature(1)), Seed::new("another", real_signature(2))],
    heap: Heap::SMALL,
    test_runs: 10_000,
};

fn envelope(input: &[u8]) -> Outcome {
    let bytes = Bytes::copy_from_slice(input);
    let is_canonical = canonical::check_canonical(&bytes).is_ok();
    let canonicalized = canonical::canonicalize(bytes.clone());
    if is_canonical {
        assert_eq!(canonicalized.as_ref(), Ok(&bytes));
    }
    let decoded = Envelope::decode(bytes.clone());
    if let Ok(canonicalized) = &canonicalized {
        assert_eq!(canonical::check_canonical(canonicalized), Ok(()), "canonicalized, and not canonical");
        if let Ok(decoded) = &decoded {
            let again = Envelope::decode(canonicalized.clone()).expect("the canonical form decodes too");
            assert_eq!((again.payload(), again.signature()), (decoded.payload(), decoded.signature()));
        }
    }
    if check_entries(std::slice::from_ref(&bytes)).is_ok() {
        assert!(is_canonical || decoded.as_ref().is_ok_and(Envelope::is_config), "a block that peers refuse");
    }
    match decoded {
        Ok(envelope) => {
            assert_eq!(envelope.bytes(), &bytes);
            assert_eq!(envelope.check_canonical().is_ok(), is_canonical);
            let header = if envelope.signature_header().is_ok() { "signed" } else { "unsigned" };
            Outcome::accepted(format_args!("{header}, {}", if is_canonical { "canonical" } else { "not canonical" }))
        }
        Err(error) => Outcome::refused(error),
    }
}

fn any_block(input: &[u8]) -> Outcome {
    let block = match Block::decode(input) {
        Ok(block) => block,
        Err(error) => return Outcome::refused(error),
    };
    let again = Block::decode(&block.encode_to_vec()[..]).expect("what was encoded decodes");
    assert_eq!(again, block);
    let header = block.header.clone().unwrap_or_default();
    assert_eq!(header.hash(), again.header.unwrap_or_default().hash());
    if check_entries(block.entries()).is_ok() && !block.is_config() {
        assert!(block.entries().iter().all(|entry| canonical::check_canonical(entry).is_ok()));
    }
    let slot = block.metadata.as_ref().map(parse_signatures_slot);
    let metadata = match (slot, last_config_index(&block)) {
        (Some(Ok(_)), Ok(_)) => "whole metadata".to_owned(),
        (_, Err(error)) => error.to_string(),
        (_, Ok(_)) => "no signatures".to_owned(),
    };
    Outcome::accepted(format_args!("{} entries, {metadata}", size(block.entries().len())))
}

fn signed_block(input: &[u8]) -> Outcome {
    let block = match Block::decode(input) {
        Ok(block) => block,
        Err(error) => return Outcome::refused(error),
    };
    let number = block.header.as_ref().map_or(1, |header| header.number);
    if let Err(reject) = VERIFIER.verify_block(&block, number, None) {
        return Outcome::refused(reject);
    }
    let real = CHAIN[1..].iter().filter_map(|bytes| Block::decode(*bytes).ok());
    let Some(real) = real.into_iter().find(|real| real.header == block.header) else {
        panic!("a header verifies that nobody signed");
    };
    assert_eq!(real.entries().concat(), block.entries().concat(), "data that nobody signed");
    let signed = |block: &Block| block.metadata.as_ref().and_then(|slots| parse_signatures_slot(slots).ok());
    let (theirs, ours) = (signed(&block).unwrap_or_default(), signed(&real).unwrap_or_default());
    assert_eq!(theirs.value, ours.value, "a metadata value that nobody signed");
    VERIFIER.verify_attestation(&block, number, None).expect("the block verifies, and its header alone does not");
    Outcome::accepted(if block == real { "as it was" } else { "with other details" })
}

fn low_s(input: &[u8]) -> Outcome {
    let outcomes = [Curve::P256, Curve::P384].map(|curve| {
        let normal = to_low_s(curve, input);
        assert_eq!(normal.is_ok(), is_low_s(curve, input).is_ok());
        if let Ok(normal) = &normal {
            assert_eq!(is_low_s(curve, normal), Ok(true));
            assert_eq!(to_low_s(curve, normal).as_ref(), Ok(normal));
        }
        Outcome::from(normal.map(|normal| if normal == input { "as it was" } else { "normalised" }))
    });
    let [p256, p384] = outcomes;
    p256.and(&p384)
}

static VERIFIER: LazyLock<BlockVerifier> = LazyLock::new(|| BlockVerifier::new(&CONFIG));

/// The first signature of a real block.
fn real_signature(number: usize) -> Vec<u8> {
    let metadata = block(number).metadata.unwrap_or_default();
    let Metadata { signatures, .. } = parse_signatures_slot(&metadata).expect("a real block");
    signatures.first().map(|MetadataSignature { signature, .. }| signature.to_vec()).unwrap_or_default()
}
