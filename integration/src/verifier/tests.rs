//! The verifier against blocks that real Fabric orderers signed, and against what must not pass.
#![allow(clippy::unwrap_used)]

use prost::Message as _;

use super::messages::{Block, Metadata};
use super::{Flaw, Verifier};

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/{name}.block", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn genesis(network: &str) -> Verifier {
    Verifier::from_genesis(&file(network)).unwrap()
}

/// Block 3 of the chain, and a verifier that expects it.
fn third() -> (Verifier, Block) {
    let mut verifier = genesis("bft-chain/0");
    for number in 1..3 {
        verifier.verify_next(&file(&format!("bft-chain/{number}"))).unwrap();
    }
    (verifier, Block::decode(&file("bft-chain/3")[..]).unwrap())
}

/// What the verifier says to block 3 after a change.
fn flaw_after(change: impl FnOnce(&mut Block)) -> Flaw {
    let (mut verifier, mut block) = third();
    change(&mut block);
    verifier.verify_next(&block.encode_to_vec()).unwrap_err()
}

fn change_signatures(block: &mut Block, change: impl FnOnce(&mut Metadata)) {
    let slot = &mut block.metadata.as_mut().unwrap().entries[0];
    let mut metadata = Metadata::decode(&slot[..]).unwrap();
    change(&mut metadata);
    *slot = metadata.encode_to_vec();
}

#[test]
fn a_real_chain_verifies_from_its_genesis_block_on() {
    let mut verifier = genesis("bft-chain/0");
    assert_eq!((verifier.channel_id(), verifier.next()), ("bftch", 1));
    for number in 1..=4 {
        let verified = verifier.verify_next(&file(&format!("bft-chain/{number}"))).unwrap();
        assert_eq!((verified.number, verified.signers.len(), verified.envelopes.len()), (number, 3, 10));
    }
    assert_eq!(verifier.next(), 5);
}

#[test]
fn real_blocks_of_another_network_verify_one_by_one_and_a_config_block_follows_its_predecessor() {
    let mut verifier = genesis("bft/genesis");
    for number in 1..=3 {
        verifier.verify_next(&file(&format!("bft/block_{number}"))).unwrap();
    }
    let twelve = verifier.verify_apart(&file("bft/block_12")).unwrap();
    let config = verifier.verify_apart(&file("bft/config_after")).unwrap();
    assert_eq!((twelve.number, config.number), (12, 13));
    let config = Verifier::after_config_block(&file("bft/config_after")).unwrap();
    assert_eq!(config.next(), 14);
}

#[test]
fn one_signature_of_an_orderer_is_enough_for_any_writers() {
    let mut verifier = genesis("raft/genesis");
    for number in 1..=2 {
        let verified = verifier.verify_next(&file(&format!("raft/block_{number}"))).unwrap();
        assert!(verified.signers.is_empty(), "type etcdraft has no consenter mapping");
    }
    let mut block = Block::decode(&file("raft/block_1")[..]).unwrap();
    change_signatures(&mut block, |metadata| metadata.signatures.clear());
    assert_eq!(genesis("raft/genesis").verify_next(&block.encode_to_vec()), Err(Flaw::Unsatisfied));
}

#[test]
fn blocks_of_another_chain_do_not_pass() {
    let mut verifier = genesis("bft-chain/0");
    assert_eq!(verifier.verify_next(&file("bft/block_1")), Err(Flaw::PreviousHash));
    assert_eq!(verifier.verify_next(&file("bft-chain/2")), Err(Flaw::Number { expected: 1, found: 2 }));
    assert!(matches!(verifier.verify_next(b"garbage"), Err(Flaw::Malformed(_))));
    assert!(matches!(Verifier::from_genesis(&file("bft-chain/1")), Err(Flaw::Number { .. })));
    assert!(matches!(Verifier::after_config_block(&file("bft-chain/1")), Err(Flaw::Missing(_))));
}

/// The mutations that a real peer refused when they were served to it.
#[test]
fn nothing_of_a_block_can_be_changed() {
    assert_eq!(flaw_after(|block| block.header.as_mut().unwrap().number += 1), Flaw::Number { expected: 3, found: 4 });
    assert_eq!(flaw_after(|block| block.header.as_mut().unwrap().previous_hash[0] ^= 1), Flaw::PreviousHash);
    assert_eq!(flaw_after(|block| block.header.as_mut().unwrap().data_hash[0] ^= 1), Flaw::DataHash);
    assert_eq!(flaw_after(|block| drop(block.data.as_mut().unwrap().entries.pop())), Flaw::DataHash);
    assert_eq!(flaw_after(|block| block.data.as_mut().unwrap().entries[4].push(0)), Flaw::Entry(4));
    assert_eq!(flaw_after(|block| drop(block.metadata.as_mut().unwrap().entries.pop())), Flaw::Slots(4));
    assert_eq!(flaw_after(|block| block.metadata = None), Flaw::Missing("block metadata"));
}

#[test]
fn a_quorum_of_distinct_valid_signatures_is_needed() {
    let after = |change: fn(&mut Metadata)| flaw_after(|block| change_signatures(block, change));
    assert_eq!(after(|metadata| drop(metadata.signatures.pop())), Flaw::Unsatisfied);
    assert_eq!(after(|metadata| metadata.signatures[2] = metadata.signatures[0].clone()), Flaw::Unsatisfied);
    assert_eq!(after(|metadata| metadata.signatures[0].signature[20] ^= 1), Flaw::Signature);
    assert_eq!(after(|metadata| metadata.signatures[0].identifier_header[1] ^= 1), Flaw::Signature);
    assert_eq!(after(|metadata| metadata.value.extend([0x12, 0])), Flaw::Signature);
    assert_eq!(after(|metadata| metadata.value.clear()), Flaw::Missing("last config in the metadata value"));
    assert_eq!(after(|metadata| metadata.signatures[0].identifier_header = vec![8, 9]), Flaw::UnknownSigner);
}

/// ECDSA has two signatures for each; Fabric accepts the one with the smaller `s`.
#[test]
fn the_larger_s_is_refused() {
    let flaw = flaw_after(|block| {
        change_signatures(block, |metadata| {
            let signature = &mut metadata.signatures[0].signature;
            let small = p256::ecdsa::Signature::from_der(signature).unwrap();
            let large = p256::ecdsa::Signature::from_scalars(small.r().to_bytes(), (-*small.s()).to_bytes()).unwrap();
            *signature = large.to_der().as_bytes().to_vec();
        });
    });
    assert_eq!(flaw, Flaw::Signature);
}

#[test]
fn header_numbers_have_the_der_of_go() {
    let der = |number| {
        let header = super::BlockHeader { number, previous_hash: vec![1; 32], data_hash: Vec::new() };
        super::header_der(&header)[2..].to_vec()
    };
    for (number, expected) in [
        (0_u64, &[2_u8, 1, 0][..]),
        (127, &[2, 1, 127]),
        (128, &[2, 2, 0, 128]),
        (256, &[2, 2, 1, 0]),
        (u64::MAX, &[2, 9, 0, 255, 255, 255, 255, 255, 255, 255, 255]),
    ] {
        assert!(der(number).starts_with(expected), "{number}");
    }
}
