//! Hostile bytes: every function is total, and what passes a check really has the checked property.
#![allow(clippy::unwrap_used, missing_docs)]

mod fabric;

use bytes::Bytes;
use fabric_proto::canonical::{self, CanonicalError};
use fabric_proto::low_s::{self, Curve};
use fabric_proto::{ChannelId, Envelope, block, common, metadata};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        visit(bytes.into());
    }

    #[test]
    fn mutated_envelopes_never_panic(which in 0..ENVELOPES.len(), mutations in vec(any::<Mutation>(), 1..8)) {
        let mut bytes = fabric::envelope_bytes(ENVELOPES[which]).to_vec();
        mutations.iter().for_each(|mutation| mutation.apply(&mut bytes));
        visit(bytes.into());
    }

    #[test]
    fn mutated_blocks_never_panic(mutations in vec(any::<Mutation>(), 1..8)) {
        let mut bytes = fabric::block_bytes(fabric::Run::Bft, "block_12").to_vec();
        mutations.iter().for_each(|mutation| mutation.apply(&mut bytes));
        visit(bytes.into());
    }

    #[test]
    fn canonicalizing_keeps_the_content(payload in vec(any::<u8>(), 1..40), signature in vec(any::<u8>(), 1..40), noise in vec(noise(), 0..4)) {
        let mut bytes = Vec::new();
        let mut fields = noise;
        fields.insert(fields.len() / 2, field(1, &payload));
        fields.insert(fields.len() / 3, field(2, &signature));
        fields.iter().for_each(|field| bytes.extend_from_slice(field));
        let repaired = canonical::canonicalize(bytes.into()).unwrap();
        prop_assert_eq!(repaired, canonical::encode(&payload, &signature));
    }

    #[test]
    fn channel_ids_follow_the_rule(name in "[a-z0-9A-Z._-]{0,6}") {
        let first_ok = name.starts_with(|c: char| c.is_ascii_lowercase());
        let rest_ok = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-');
        prop_assert_eq!(ChannelId::new(&name).is_ok(), first_ok && rest_ok);
    }
}

#[test]
fn deep_nesting_is_refused() {
    let mut rule = Vec::new();
    for _ in 0..10_000 {
        rule = field(2, &field(2, &rule));
    }
    assert!(common::SignaturePolicy::decode(rule.as_slice()).is_err());
    let groups = [vec![0x1b; 10_000], vec![0x1c; 10_000]].concat();
    assert!(matches!(canonical::canonicalize(groups.into()), Err(CanonicalError::Malformed(_))));
}

/// Calls everything that takes bytes from outside, and checks what a success promises.
fn visit(bytes: Bytes) {
    if let Ok(envelope) = Envelope::decode(bytes.clone()) {
        assert_eq!(envelope.bytes(), &bytes);
        assert_eq!(envelope.check_canonical(), canonical::check_canonical(&bytes));
        let _ = (envelope.digest(), envelope.signature_header().is_ok(), ChannelId::new(envelope.channel_id()));
    }
    visit_canonical(&bytes);
    if let Ok(block) = common::Block::decode(bytes.clone()) {
        let _ = (metadata::last_config_index(&block), block::check_entries(block.entries()), block.is_config());
        let _ = block.header.map(|header| header.hash());
    }
    for curve in [Curve::P256, Curve::P384] {
        if let Ok(low) = low_s::to_low_s(curve, &bytes) {
            assert_eq!(low_s::is_low_s(curve, &low), Ok(true));
        }
    }
}

fn visit_canonical(bytes: &Bytes) {
    let generated = common::Envelope::decode(bytes.clone()).ok();
    let is_canonical = canonical::check_canonical(bytes).is_ok();
    let is_expected = generated.is_some_and(|envelope| {
        !envelope.payload.is_empty() && !envelope.signature.is_empty() && envelope.encode_to_vec() == *bytes
    });
    assert_eq!(is_canonical, is_expected);
    if let Ok(repaired) = canonical::canonicalize(bytes.clone()) {
        assert_eq!(canonical::check_canonical(&repaired), Ok(()));
        assert_eq!(repaired == *bytes, is_canonical);
    }
}

/// One spoiled place. Positions are taken modulo the length.
#[derive(Debug, Clone)]
enum Mutation {
    Replace(usize, u8),
    Insert(usize, u8),
    Remove(usize),
    Truncate(usize),
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len();
        match *self {
            Self::Replace(at, byte) => bytes[at % length] = byte,
            Self::Insert(at, byte) => bytes.insert(at % length, byte),
            Self::Remove(at) => drop(bytes.remove(at % length)),
            Self::Truncate(at) => bytes.truncate(at % length),
        }
    }
}

impl Arbitrary for Mutation {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    /// Half of the places are near the start, where the outer lengths are.
    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        let place = || prop_oneof![0..200usize, any::<usize>()];
        prop_oneof![
            4 => (place(), any::<u8>()).prop_map(|(at, byte)| Self::Replace(at, byte)),
            2 => (place(), any::<u8>()).prop_map(|(at, byte)| Self::Insert(at, byte)),
            2 => place().prop_map(Self::Remove),
            1 => any::<usize>().prop_map(Self::Truncate),
        ]
        .boxed()
    }
}

/// A field that envelopes do not have.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    (3..2_000u32, vec(any::<u8>(), 0..20)).prop_map(|(number, content)| field(number, &content))
}

fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::bytes::encode(number, &content.to_vec(), &mut out);
    out
}

const ENVELOPES: [&str; 3] = ["endorser_style_envelope", "endorser_tx_envelope", "config_update_envelope_signed"];
