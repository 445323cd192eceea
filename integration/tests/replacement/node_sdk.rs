//! Fabric's Node SDK, whose gRPC, TLS and signatures are nobody's here, as a client of the `orderer` processes.
//!
//! It needs Node. The crate `fabric-sdk` would not, but is built with `protoc` and brings the TLS library `ring`, which
//! `deny.toml` refuses.

use std::path::PathBuf;
use std::process::Command;

use fabric_proto::common::{Block, Status};
use integration::binary;
use integration::client::answer;
use integration::material::{ORDERERS, PEER_MSP_ID};
use integration::site::wait_until;
use integration::skip::say_skipped;
use prost::Message as _;
use serde_json::{Value, json};

use crate::admin::join;
use crate::orderers::{CHANNEL, Orderers};
use crate::release::Fabric;
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn the_node_sdk_submits_to_one_orderer_and_has_the_same_chain_from_another() {
    let Some(program) = program() else { return };
    let orderers = Orderers::start(false).await;
    for id in 1..=ORDERERS {
        assert_eq!(join(orderers.admin(id), &orderers.genesis).await.status, 201);
    }
    submits_and_receives(program, &orderers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_sdk_does_so_on_a_channel_of_type_etcdraft_too() {
    let Some(fabric) = Fabric::v2_5("Fabric's Node SDK on a channel of type etcdraft") else { return };
    let Some(program) = program() else { return };
    let stage = Stage::set_without_blocks(&fabric).await;
    submits_and_receives(program, &stage.orderers).await;
}

async fn submits_and_receives(program: PathBuf, orderers: &Orderers) {
    wait_until("the channel is open", async || {
        let answer = answer(&orderers.endpoint(1), orderers.user.transaction(&[])).await?;
        Ok(answer.0 == Status::Success)
    })
    .await
    .unwrap();

    let mut command = Command::new("node");
    command.arg(program).arg(settings(orderers).to_string());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let received: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();

    wait_until("a third orderer has as many blocks", async || {
        Ok(orderers.blocks(3).await.unwrap_or_default().len() >= received.len())
    })
    .await
    .unwrap();
    let blocks = orderers.blocks(3).await.unwrap();
    let mut transactions = 0;
    for (received, block) in received.iter().zip(blocks) {
        let block = Block::decode(&block[..]).unwrap();
        let header = block.header.as_ref().unwrap();
        let (data_hash, previous_hash) = (hex::encode(&header.data_hash), hex::encode(&header.previous_hash));
        assert_eq!(received["number"], header.number);
        assert_eq!((&received["dataHash"], &received["previousHash"]), (&data_hash.into(), &previous_hash.into()));
        let ids = received["transactions"].as_array().unwrap();
        assert_eq!(ids.len(), block.entries().len());
        transactions += ids.len();
    }
    // The configuration and what opened the channel are among them.
    assert!(transactions >= 2 + SUBMITTED, "{transactions}");
}

/// What the client is told.
fn settings(orderers: &Orderers) -> Value {
    let url = |id: u16| format!("grpcs://{}", orderers.endpoint(id).name());
    let msp = orderers.keys.user().0;
    let only_file = |folder: &str| std::fs::read_dir(msp.join(folder)).unwrap().next().unwrap().unwrap().path();
    json!({
        "channel": CHANNEL,
        "count": SUBMITTED,
        "broadcast": url(2),
        "deliver": url(4),
        "tlsCa": orderers.keys.tls_authority(),
        "certificate": only_file("signcerts"),
        "key": only_file("keystore"),
        "mspId": PEER_MSP_ID,
    })
}

/// The client, if there is something to run it.
fn program() -> Option<PathBuf> {
    let folder = binary::workspace().join("integration/tests/replacement/node_sdk");
    let has_node = Command::new("node").arg("--version").output().is_ok_and(|output| output.status.success());
    let is_installed = folder.join("node_modules/fabric-common").exists();
    if !has_node || !is_installed {
        say_skipped("Fabric's Node SDK: there is no Node, or `npm ci` has not been run (README.md)");
        return None;
    }
    Some(folder.join("client.js"))
}

const SUBMITTED: usize = 25;
