//! `channel inspect`.

use channel_tool::arguments::Arguments;
use clap::Parser as _;

use super::{call, channel, data};

#[test]
fn json_is_what_configtxlator_prints() {
    for (block, json) in [
        ("{b}/bft/config_after.block", "bft/config_after.json"),
        ("{d}/raft/config_after.block", "raft/config_after.json"),
    ] {
        let ours: serde_json::Value =
            serde_json::from_str(&call(&format!("inspect --json {block}")).succeeds()).unwrap();
        let real: serde_json::Value = serde_json::from_slice(&std::fs::read(data(json)).unwrap()).unwrap();
        assert_eq!(ours, real, "{block}");
    }
}

#[test]
fn a_configuration_block_is_shown_with_all_that_administrators_look_for() {
    let report = call("inspect {b}/bft/config_after.block").succeeds();
    for line in [
        "block 13",
        "  header hash    07bdea62f381ae6ca05b0f6b51083ed7d601273b8f80d7548939edf40d3462b0",
        "  data hash      32e61d492d16151777f810ff8b717a725665d9a33cee2c9f15b95b0f06d2be05 (that of the data)",
        "  latest config  block 13",
        "  metadata       5 slots, well formed",
        "    consenter 3",
        "    0: CONFIG, 36366 bytes, signed, from OrdererMSP/o1.orderer.example.com",
        "configuration, sequence 1",
        "  Capabilities: V3_0  [v0]",
        "    BatchSize: max messages 20, absolute bytes 10485760, preferred bytes 2097152  [v1]",
        "    policy Admins: MAJORITY Admins  [v0]",
        "      AnchorPeers: 127.0.0.1:8051  [v0]",
        "      consenter 1 at 127.0.0.1:7050, OrdererMSP",
        "        identity    o1.orderer.example.com, key cd3ff25d56a41fb8, until 2036-11-18",
        "        root CA ca.org1.example.com, key b9bb01528da7a14d, until 2036-11-18",
        "        NodeOUs on: client, peer, admin, orderer",
        "      policy Readers: 1-of(Org1MSP.admin, Org1MSP.peer, Org1MSP.client)  [v0]",
    ] {
        assert!(report.lines().any(|found| found == line), "{line}\n{report}");
    }
    let validation = "policy BlockValidation: 3-of(OrdererMSP/o1.orderer.example.com, OrdererMSP/o2.";
    assert!(report.contains(validation), "{report}");
}

#[test]
fn every_kind_of_file_is_recognised() {
    for (file, beginning) in [
        ("{b}/raft/block_2.block", "block 2\n"),
        (
            "{d}/bft/config_update_envelope_signed.pb",
            "envelope: CONFIG_UPDATE, 1988 bytes, signed, from OrdererMSP/Admin@",
        ),
        ("{d}/bft/config_update_envelope_unsigned.pb", "envelope: CONFIG_UPDATE, 93 bytes, not signed"),
        ("{d}/raft/config_update.pb", "update of channel raftch\n"),
    ] {
        let report = call(&format!("inspect {file}")).succeeds();
        assert!(report.starts_with(beginning), "{report}");
    }
}

#[test]
fn configurations_and_update_envelopes_are_recognised_without_any_frame() {
    use fabric_channel::ChannelConfig;
    use fabric_channel::authoring::SignedUpdate;
    use prost::Message as _;
    let folder = tempfile::tempdir().unwrap();
    let block = std::fs::read(data("raft/config_after.block")).unwrap();
    let config = ChannelConfig::from_block(&fabric_proto::common::Block::decode(&block[..]).unwrap()).unwrap();
    std::fs::write(folder.path().join("config.pb"), config.bundle().tree().encode()).unwrap();
    let update = std::fs::read(data("bft/config_update_envelope_signed.pb")).unwrap();
    let update = SignedUpdate::read(&update.into()).unwrap();
    std::fs::write(folder.path().join("content.pb"), update.content().encode_to_vec()).unwrap();
    let report = channel("inspect {t}/config.pb", folder.path()).succeeds();
    assert!(report.starts_with("configuration, sequence 1\n/Channel  [v0]\n"), "{report}");
    let report = channel("inspect {t}/content.pb", folder.path()).succeeds();
    assert!(report.starts_with("update of channel bftch\n") && report.contains("config signatures: 1\n"), "{report}");
}

#[test]
fn what_cannot_be_shown_gives_one_clear_error() {
    call("inspect /nonexistent").fails_with("error: /nonexistent: No such file");
    call("inspect {d}/README.md").fails_with("not recognised as a block, an envelope, a configuration or an update");
    call("inspect {d}/bft/config_after.json").fails_with("this is JSON; the binary form is needed");
    call("inspect {d}/crypto/org1/keystore/priv_sk").fails_with("this is a PEM file");
    call("inspect --as config {b}/raft/block_2.block").fails_with("not a configuration with an orderer group");
    assert_eq!(call("inspect").code, 2);
    assert_eq!(call("inspect --as nothing file").code, 2);
}

#[test]
fn mutated_files_are_shown_or_refused_and_never_end_the_program_nor_talk_to_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let mut seed = 1u64;
    let mut below = |bound: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % bound
    };
    for file in ["raft/config_after.block", "bft/config_update_envelope_signed.pb"] {
        let real = std::fs::read(data(file)).unwrap();
        let mut shown = 0;
        for _ in 0..MUTATIONS {
            let mut bytes = real.clone();
            for _ in 0..=below(3) {
                let at = below(bytes.len());
                bytes[at] = below(256) as u8;
            }
            std::fs::write(&path, bytes).unwrap();
            for json in [&[][..], &["--json"]] {
                let file = path.to_str().unwrap();
                let arguments = ["channel", "inspect", file].into_iter().chain(json.iter().copied());
                let mut report = String::new();
                shown += usize::from(channel_tool::run(Arguments::parse_from(arguments), &mut report).is_ok());
                assert!(!report.contains(|letter: char| letter.is_control() && letter != '\n'));
            }
        }
        assert!(shown > MUTATIONS, "{file}: {shown}");
    }
}

const MUTATIONS: usize = 150;
