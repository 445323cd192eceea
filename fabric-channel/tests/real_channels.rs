//! Real channels: what their configuration says, and that their blocks verify, and that changed ones do not.

#![allow(clippy::unwrap_used)]

mod vectors;

use std::time::Duration;

use bytes::Bytes;
use fabric_channel::{
    BftOptions, BlockReject, ChannelConfig, ConsensusState, ConsensusType, DataError, LeaderRotation, MspVersion,
    Reject, SignatureError, VerifiedSigner,
};
use fabric_proto::common::{Block, Metadata, MetadataSignature};
use fabric_proto::metadata::parse_signatures_slot;
use prost::Message as _;
use vectors::{block, config, header_hash, verifier};

#[test]
fn bft_genesis_says_what_configtxgen_was_told() {
    let config = config("bft/genesis");
    assert_eq!(config.channel_id().as_str(), "bftch");
    assert_eq!(config.sequence(), 0);
    let names = |names: &mut dyn Iterator<Item = &str>| names.collect::<Vec<_>>().join(" ");
    assert_eq!(names(&mut config.bundle().capabilities().names()), "V3_0");
    assert_eq!(names(&mut config.bundle().application().unwrap().capabilities.names()), "V2_5");
    assert_eq!(config.batch_size().max_message_count, 10);
    assert_eq!(config.batch_size().absolute_max_bytes, 10 * 1024 * 1024);
    assert_eq!(config.batch_size().preferred_max_bytes, 2 * 1024 * 1024);
    assert_eq!(config.batch_timeout(), Duration::from_secs(2));
    assert_eq!(config.state(), ConsensusState::Normal);
    assert_eq!(config.orderer_addresses(), <[String; 0]>::default());
    let endpoints: Vec<&str> = config.endpoints().collect();
    assert_eq!(endpoints, ["127.0.0.1:7050", "127.0.0.1:7051", "127.0.0.1:7052", "127.0.0.1:7053"]);
    assert!(config.is_orderer_msp("OrdererMSP"));
    assert!(!config.is_orderer_msp("Org1MSP"));
    assert!(config.has_derived_block_policy());
}

#[test]
fn bft_options_are_typed() {
    let expected = BftOptions {
        request_batch_max_count: 0,
        request_batch_max_bytes: 0,
        request_batch_max_interval: Duration::from_millis(200),
        request_forward_timeout: Duration::from_secs(5),
        request_max_bytes: 0,
        leader_rotation: LeaderRotation::Unspecified,
        ..BftOptions::default()
    };
    assert_eq!(config("bft/genesis").consensus(), &ConsensusType::Bft { options: expected.clone() });
    assert_eq!(BftOptions::from_metadata(&expected.to_metadata()), Ok(expected));
}

#[test]
fn bft_consenters_are_pinned_by_their_identities() {
    let config = config("bft/genesis");
    let members = config.members();
    assert_eq!(members.iter().map(|member| member.id).collect::<Vec<_>>(), [1, 2, 3, 4]);
    for (consenter, member) in config.consenters().iter().zip(&members) {
        assert_eq!(consenter.address(), format!("127.0.0.1:{}", 7049 + consenter.id));
        assert_eq!(consenter.msp_id.as_deref(), Some("OrdererMSP"));
        let identity = &consenter.identity.as_ref().unwrap().certificate;
        assert_eq!(identity.organizational_units(), ["orderer"]);
        assert_eq!(&member.pinned_key, identity.spki_der());
        assert_ne!(&member.pinned_key, consenter.server_tls_cert.spki_der());
        assert_eq!(config.consenter_by_identity_key(&member.pinned_key), Some(consenter));
        assert_eq!(config.consenter_by_tls_cert(&consenter.client_tls_cert), Some(consenter));
        assert_eq!(config.consenter(consenter.id), Some(consenter));
        assert!(config.consenter_by_tls_cert(identity).is_none(), "an identity is no TLS certificate");
    }
    assert!(config.consenter(5).is_none());
}

#[test]
fn msps_of_all_organizations_are_known() {
    let config = config("bft/genesis");
    let ids: Vec<&str> = config.msps().iter().map(|msp| msp.id()).collect();
    assert_eq!(ids, ["OrdererMSP", "Org1MSP", "Org2MSP"]);
    for msp in config.msps().iter() {
        assert_eq!(msp.version(), MspVersion::V3_0);
        assert_eq!((msp.roots().len(), msp.intermediates().len(), msp.admins().len()), (1, 0, 0));
        assert_eq!((msp.tls_roots().len(), msp.tls_intermediates().len()), (1, 0));
        assert!(msp.roots()[0].is_ca());
        assert!(msp.node_ous().is_enabled());
    }
    let orderers = config.msps().msp("OrdererMSP").unwrap();
    assert!(config.consenters().iter().all(|consenter| orderers.has_issued_tls(&consenter.server_tls_cert)));
    let organizations = &config.bundle().application().unwrap().organizations;
    assert_eq!(organizations["Org1"], "Org1MSP");
}

#[test]
fn raft_genesis_numbers_its_consenters_and_pins_their_tls_keys() {
    let config = config("raft/genesis");
    assert_eq!(config.channel_id().as_str(), "raftch");
    assert!(!config.has_bft_capability());
    assert!(!config.has_derived_block_policy());
    let ConsensusType::EtcdRaft { metadata } = config.consensus() else {
        panic!("type is {:?}", config.consensus());
    };
    assert_eq!(metadata.options.as_ref().unwrap().tick_interval, "500ms");
    let ids: Vec<u32> = config.consenters().iter().map(|consenter| consenter.id).collect();
    assert_eq!(ids, (1..=metadata.consenters.len() as u32).collect::<Vec<_>>());
    for consenter in config.consenters() {
        assert_eq!(consenter.identity, None);
        assert_eq!(consenter.msp_id.as_deref(), Some("OrdererMSP"));
        assert_eq!(consenter.pinned_key(), consenter.server_tls_cert.spki_der());
    }
}

#[test]
fn a_configuration_block_brings_the_next_configuration() {
    let before = config("bft/genesis");
    let after = config("bft/config_after");
    assert_eq!((before.sequence(), after.sequence()), (0, 1));
    assert_eq!(after.batch_size().max_message_count, 20);
    assert_eq!(before.members(), after.members());
    // Signed under the old configuration, as every configuration block is.
    verifier("bft/genesis").verify_block(&block("bft/config_after"), 13, None).unwrap();
}

#[test]
fn ordinary_blocks_are_no_configuration() {
    let error = ChannelConfig::from_block(&block("bft/block_1")).unwrap_err();
    assert!(error.to_string().starts_with("not a configuration block"), "{error}");
}

#[test]
fn bft_blocks_verify_under_the_genesis_configuration() {
    let verifier = verifier("bft/genesis");
    for number in [1, 2, 3, 12] {
        verifier.verify_block(&block(&format!("bft/block_{number}")), number, None).unwrap();
    }
    let first = block("bft/block_1");
    verifier.verify_block(&first, 1, Some(&header_hash(&block("bft/genesis")))).unwrap();
    let second = block("bft/block_2");
    verifier.verify_block(&second, 2, Some(&header_hash(&first))).unwrap();
}

#[test]
fn raft_blocks_verify_with_one_writer() {
    let verifier = verifier("raft/genesis");
    for number in [1, 2, 3, 5] {
        verifier.verify_block(&block(&format!("raft/block_{number}")), number, None).unwrap();
    }
    // The same signatures mean nothing on another channel.
    let elsewhere = vectors::verifier("bft/genesis");
    let error = elsewhere.verify_block(&block("raft/block_1"), 1, None).unwrap_err();
    assert_eq!(error, BlockReject::PolicyNotSatisfied { number: 1 });
}

#[test]
fn a_whole_chain_verifies() {
    let verifier = verifier("bft-chain/0");
    let mut previous = block("bft-chain/0");
    for number in 1..=4 {
        let next = block(&format!("bft-chain/{number}"));
        verifier.verify_block(&next, number, Some(&header_hash(&previous))).unwrap();
        let attestation = Block { data: None, ..next.clone() };
        verifier.verify_attestation(&attestation, number, Some(&header_hash(&previous))).unwrap();
        previous = next;
    }
}

/// The changes that a real peer was seen to refuse, with the reason it gave.
#[test]
fn changed_blocks_are_refused_for_the_reason_a_peer_gives() {
    let verdict = |change: &dyn Fn(&mut Block)| {
        let mut changed = block("bft-chain/3");
        change(&mut changed);
        let previous = header_hash(&block("bft-chain/2"));
        verifier("bft-chain/0").verify_block(&changed, 3, Some(&previous))
    };
    let unsatisfied = Err(BlockReject::PolicyNotSatisfied { number: 3 });

    assert_eq!(verdict(&|_| {}), Ok(()));
    assert_eq!(verdict(&|block| change_signatures(block, |slot| drop(slot.signatures.pop()))), unsatisfied);
    assert_eq!(verdict(&|block| change_signatures(block, flip_first_signature)), unsatisfied);
    assert_eq!(verdict(&|block| change_signatures(block, repeat_first_signature)), unsatisfied);
    assert_eq!(verdict(&|block| change_signatures(block, extend_value)), unsatisfied);
    assert_eq!(verdict(&|block| change_signatures(block, |slot| *slot = Metadata::default())), unsatisfied);
    assert_eq!(verdict(&|block| block.metadata = None), Err(BlockReject::TooFewSlots { number: 3, count: 0 }));
    assert_eq!(verdict(&flip_data_byte), Err(BlockReject::WrongDataHash { number: 3 }));
    let renumber = |block: &mut Block| block.header.as_mut().unwrap().number += 1;
    assert_eq!(verdict(&renumber), Err(BlockReject::WrongNumber { expected: 3, actual: 4 }));
    assert_eq!(verdict(&flip_previous_hash), Err(BlockReject::WrongPreviousHash { number: 3 }));

    assert_eq!(verdict(&|block| block.header = None), Err(BlockReject::NoHeader));
    let empty = Err(BlockReject::Data { number: 3, why: DataError::Empty });
    assert_eq!(verdict(&|block| block.data = None), empty);
    let spoiled = Err(BlockReject::Signature { number: 3, index: 3, why: Reject::MalformedIdentifierHeader });
    assert_eq!(verdict(&|block| change_signatures(block, append_garbled_signature)), spoiled);
}

#[test]
fn a_collector_needs_three_of_four_consenters() {
    let verifier = verifier("bft-chain/0");
    let block = block("bft-chain/1");
    let header_der = block.header.as_ref().unwrap().der();
    let slot = signatures_of(&block);
    let mut signers: Vec<VerifiedSigner> = Vec::new();
    for signature in &slot.signatures {
        assert!(!verifier.policy().is_satisfied(&signers));
        // A repeated signature brings a collector no further.
        if let Some(first) = signers.first().cloned() {
            let mut repeated = signers.clone();
            repeated.extend([first.clone(), first]);
            assert!(!verifier.policy().is_satisfied(&repeated));
        }
        signers.push(verifier.verify_signature(&header_der, &slot.value, signature).unwrap());
    }
    assert!(verifier.policy().is_satisfied(&signers));
    let mut ids: Vec<u32> = signers.iter().map(|signer| verifier.signer_of(signer).unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3, "three distinct consenters");
    assert!(ids.iter().all(|id| (1..=4).contains(id)));
}

#[test]
fn single_signatures_are_refused_with_their_own_reason() {
    let verifier = verifier("bft-chain/0");
    let block = block("bft-chain/1");
    let header_der = block.header.as_ref().unwrap().der();
    let slot = signatures_of(&block);
    let verdict = |change: &dyn Fn(&mut MetadataSignature)| {
        let mut signature = slot.signatures[0].clone();
        change(&mut signature);
        verifier.verify_signature(&header_der, &slot.value, &signature).map(|signer| verifier.signer_of(&signer))
    };
    assert!(verdict(&|_| {}).unwrap().is_some());
    let wrong = |signature: &mut MetadataSignature| signature.signature = slot.signatures[1].signature.clone();
    assert_eq!(verdict(&wrong), Err(Reject::Signature(SignatureError::Wrong)));
    let cut = |signature: &mut MetadataSignature| signature.signature = signature.signature.slice(..40);
    assert_eq!(verdict(&cut), Err(Reject::Signature(SignatureError::Malformed)));
    let stranger = |signature: &mut MetadataSignature| signature.identifier_header = Bytes::from_static(&[8, 9]);
    assert_eq!(verdict(&stranger), Err(Reject::UnknownConsenter(9)));
    let garbled = |signature: &mut MetadataSignature| signature.identifier_header = Bytes::from_static(&[8]);
    assert_eq!(verdict(&garbled), Err(Reject::MalformedIdentifierHeader));
    let nameless = |signature: &mut MetadataSignature| signature.identifier_header = Bytes::new();
    assert!(matches!(verdict(&nameless), Err(Reject::Identity(_))), "no creator");
}

/// Every octet of a block, changed in turn: whatever comes out, nothing panics.
#[test]
fn hostile_bytes_are_refused_and_never_panic() {
    let verifier = verifier("bft-chain/0");
    let genesis = block("bft-chain/0").encode_to_vec();
    let first = block("bft-chain/1").encode_to_vec();
    let mut verified = 0;
    for (position, bit) in (0..first.len()).step_by(7).zip((0..8).cycle()) {
        let mut changed = first.clone();
        changed[position] ^= 1 << bit;
        if let Ok(changed) = Block::decode(&changed[..]) {
            verified += usize::from(verifier.verify_block(&changed, 1, None).is_ok());
        }
    }
    assert_eq!(verified, 0);
    for (position, bit) in (0..genesis.len()).step_by(29).zip((0..8).cycle()) {
        let mut changed = genesis.clone();
        changed[position] ^= 1 << bit;
        if let Ok(changed) = Block::decode(&changed[..]) {
            let _ = ChannelConfig::from_block(&changed);
        }
    }
}

fn signatures_of(block: &Block) -> Metadata {
    parse_signatures_slot(block.metadata.as_ref().unwrap()).unwrap()
}

fn change_signatures(block: &mut Block, change: impl Fn(&mut Metadata)) {
    let mut slot = signatures_of(block);
    change(&mut slot);
    block.metadata.as_mut().unwrap().metadata[0] = slot.encode_to_vec().into();
}

fn flip_first_signature(slot: &mut Metadata) {
    let mut signature = slot.signatures[0].signature.to_vec();
    let last = signature.len() - 1;
    signature[last] ^= 1;
    slot.signatures[0].signature = signature.into();
}

fn repeat_first_signature(slot: &mut Metadata) {
    slot.signatures = vec![slot.signatures[0].clone(); 3];
}

fn extend_value(slot: &mut Metadata) {
    slot.value = [&slot.value[..], &[0x18, 0x01]].concat().into();
}

fn append_garbled_signature(slot: &mut Metadata) {
    let identifier_header = Bytes::from_static(&[0xff]);
    slot.signatures.push(MetadataSignature { identifier_header, ..MetadataSignature::default() });
}

fn flip_data_byte(block: &mut Block) {
    let entry = &mut block.data.as_mut().unwrap().data[0];
    let mut bytes = entry.to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    *entry = bytes.into();
}

fn flip_previous_hash(block: &mut Block) {
    let header = block.header.as_mut().unwrap();
    let mut hash = header.previous_hash.to_vec();
    hash[0] ^= 1;
    header.previous_hash = hash.into();
}
