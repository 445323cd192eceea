//! `channel verify`.

use fabric_proto::common::Block;
use prost::Message as _;

use super::{call, channel, data};

#[test]
fn a_real_chain_verifies() {
    let report = call("verify {b}/bft-chain --genesis {b}/bft-chain/0.block").succeeds();
    let expected = "channel        bftch\nblocks         5 good\nconfig blocks  1 (sequence 0)\nlast           block 4, header \
                    hash e1df0d0320b75ac96979ca50adc2cb44a8004deababbedf9dec2e16fa4f408c2\n";
    assert_eq!(report, expected);
}

#[test]
fn a_chain_verifies_from_a_trusted_block_through_a_change_of_its_configuration() {
    let hash = "b9b3ede606923d6c0bac8b99b27cdf1cc976ce55445945df0fd0685da9effbb0";
    let files = "{b}/bft/block_12.block {b}/bft/config_after.block";
    let report = call(&format!("verify {files} --genesis {{b}}/bft/genesis.block --from-trusted 12:{hash}")).succeeds();
    assert!(report.contains("blocks         2 good\nconfig blocks  1 (sequence 1)\n"), "{report}");
    let other = hash.replace('b', "a");
    call(&format!("verify {files} --genesis {{b}}/bft/genesis.block --from-trusted 12:{other}"))
        .fails_with("block 12 has header hash b9b3ede606923d6c0bac8b99b27cdf1cc976ce55445945df0fd0685da9effbb0");
    assert_eq!(call(&format!("verify {files} --genesis {{b}}/bft/genesis.block --from-trusted 12")).code, 2);
}

#[test]
fn the_first_fault_is_named_with_its_block() {
    let chain = "{b}/bft-chain/1.block {b}/bft-chain/2.block";
    let genesis = "--genesis {b}/bft-chain/0.block";
    let report = call(&format!("verify {chain} {{b}}/bft-chain/4.block {genesis}"))
        .fails_with("error: block 3 is missing, the next one at hand is 4");
    assert!(report.contains("blocks         3 good\n"), "{report}");
    call(&format!("verify {chain} {{b}}/bft-chain/2.block {genesis}")).fails_with("block 2 is there twice");
    call(&format!("verify {chain} --genesis {{b}}/bft/genesis.block"))
        .fails_with("block 1: the previous hash is not the hash of the previous header");
    call(&format!("verify {{b}}/bft/genesis.block {genesis}")).fails_with("block 0 is not the genesis block");
    call("verify {b}/bft-chain --genesis {b}/bft-chain/1.block").fails_with("the genesis block has number 1");
    call(&format!("verify {{d}}/README.md {genesis}")).fails_with("not a block");
    call(&format!("verify {{d}}/crypto {genesis}")).fails_with("there are no blocks");
}

#[test]
fn altered_data_and_missing_signatures_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = data("../../../fabric-channel/tests/data/bft-chain/1.block");
    let real = Block::decode(&std::fs::read(path).unwrap()[..]).unwrap();
    let verify = |block: &Block| {
        std::fs::write(folder.path().join("1.block"), block.encode_to_vec()).unwrap();
        channel("verify {t} --genesis {b}/bft-chain/0.block", folder.path())
    };
    verify(&real).succeeds();
    let mut altered = real.clone();
    altered.data.as_mut().unwrap().data.pop();
    verify(&altered).fails_with("error: block 1: the data hash in the header is not the hash of the data");
    let mut altered = real.clone();
    altered.metadata.as_mut().unwrap().metadata[0] = bytes::Bytes::from_static(b"\x0a\x02\x0a\x00");
    verify(&altered).fails_with("error: block 1: the signatures do not satisfy the BlockValidation policy");
}
