//! Orderers of Fabric are stopped, and ours go on with what they left: configuration, keys, folders, chains.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use bytes::Bytes;
use fabric_channel::{BlockVerifier, ChannelConfig};
use fabric_proto::common::{Block, BlockHeader};
use integration::binary;
use integration::fabric::Peer;
use integration::material::{ORDERERS, data};
use integration::ports::free_ports;
use integration::site::wait_until;
use integration::skip::say_skipped;
use nix::sys::signal::Signal;
use orderer_node::fabric_ledger::FabricBlocks;
use prost::Message as _;

use crate::admin::{Osnadmin, delete, get, join};
use crate::orderers::{CHANNEL, Orderers};
use crate::release::Fabric;

#[tokio::test(flavor = "multi_thread")]
async fn chains_of_unequal_height_go_on_after_the_highest_block_that_any_node_has() {
    // Node 2 was stopped some blocks earlier, and node 4 lost power while it wrote its last one.
    let length_of = |id, length| match id {
        2 => length * 3 / 4,
        4 => length - 100,
        _ => length,
    };
    let mut orderers = prepare(|id, length| if id == 2 { length / 2 } else { length_of(id, length) }).await;
    let file = fs::read(fixture().join("blockfile_000000")).unwrap();
    let chain: Vec<Block> = FabricBlocks::open(&fixture()).collect::<Result<_, _>>().unwrap();
    // It had been replaced before, and had gone back to the old program for some more blocks.
    orderers.start_again(2).await;
    orderers.kill(2);
    fs::write(stock_chain(&orderers, 2).join("blockfile_000000"), &file[..length_of(2, file.len())]).unwrap();
    // Another chain of node 1 is damaged, which is that channel's affair.
    let broken = orderers.data(1).join("chains/broken");
    fs::create_dir_all(&broken).unwrap();
    fs::write(broken.join("blockfile_000000"), [3, 0, 0, 9]).unwrap();
    for id in [2, 4, 1, 3] {
        orderers.start_again(id).await;
    }
    let mut sent = orderers.order(2, 20).await;
    let said = orderers.said(1);
    let line = said.lines().find(|line| line.contains("cannot be taken over")).unwrap();
    assert!(line.contains("blockfile_000000, block at offset 0: "), "{line}");
    orderers.check_chain(&sent).await;
    for id in 1..=ORDERERS {
        assert_begins_with(&orderers, id, &chain).await;
        assert_eq!(
            fs::read(stock_chain(&orderers, id).join("blockfile_000000")).unwrap(),
            file[..length_of(id, file.len())]
        );
        let mark = orderers.data(id).join(format!("joined/{CHANNEL}.taken-over"));
        assert!(fs::read_to_string(mark).unwrap().starts_with("open "));
    }

    // All power is lost; nobody takes anything over again.
    for id in 1..=ORDERERS {
        orderers.kill(id);
    }
    // Unless it had not noted yet that it was done: then it goes on with what it has.
    for name in ["block", "taken-over"] {
        fs::remove_file(orderers.data(3).join(format!("joined/{CHANNEL}.{name}"))).unwrap();
    }
    for id in 1..=ORDERERS {
        orderers.start_again(id).await;
    }
    sent.extend(orderers.order(3, 10).await);
    orderers.check_chain(&sent).await;
    for id in 1..=ORDERERS {
        let times = if id == 2 || id == 3 { 2 } else { 1 };
        assert_eq!(orderers.said(id).matches("took over the chain").count(), times);
    }

    // What was removed stays removed, and comes back by joining.
    assert_eq!(delete(orderers.admin(4), CHANNEL).await.status, 204);
    orderers.crash(4).await;
    assert_eq!(get(orderers.admin(4), &format!("/participation/v1/channels/{CHANNEL}")).await.status, 404);
    let genesis = orderers.genesis.clone();
    assert_eq!(join(orderers.admin(4), &genesis).await.status, 201);
    sent.extend(orderers.order(4, 10).await);
    orderers.check_chain(&sent).await;
    assert_begins_with(&orderers, 4, &chain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_comes_late_with_a_block_that_nobody_else_had_says_so_and_can_join_again() {
    let mut orderers = prepare(|id, length| if id == 4 { length } else { length / 2 }).await;
    for id in 1..=3 {
        orderers.start_again(id).await;
    }
    // They wait for the fourth a minute.
    // Every ten seconds they say so.
    let asks = async || Ok(orderers.said(1).matches("the other consenters are asked").count() >= 4);
    wait_until("a node waits", asks).await.unwrap();
    wait_until("a node goes on", async || Ok(orderers.said(1).contains("asking the group to go on"))).await.unwrap();
    let mut sent = orderers.order(2, 20).await;
    orderers.start_again(4).await;
    let is_said =
        async || Ok(orderers.said(4).contains("the other consenters went on with this channel before a block"));
    wait_until("node 4 says that it is of another opinion", is_said).await.unwrap();

    assert_eq!(delete(orderers.admin(4), CHANNEL).await.status, 204);
    let newest_config = orderers.config_block(1).await.unwrap();
    assert_eq!(join(orderers.admin(4), &newest_config).await.status, 201);
    sent.extend(orderers.order(4, 10).await);
    orderers.check_chain(&sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_orderers_go_on_where_stock_orderers_of_v3_stopped() {
    let Some(fabric) = Fabric::v3(TAKEOVER) else { return };
    replace_stock(&fabric).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_orderers_go_on_where_stock_orderers_of_v2_5_stopped() {
    let Some(fabric) = Fabric::v2_5(TAKEOVER) else { return };
    replace_stock(&fabric).await;
}

async fn replace_stock(fabric: &Fabric) {
    if !fabric.programs.join("orderer").exists() || fabric.sample_file().is_none() {
        return say_skipped(&format!(
            "{TAKEOVER}: no program orderer, or FABRIC_CFG_PATH does not name its sample file"
        ));
    }
    let mut orderers = Orderers::start_stock(fabric).await;
    let osnadmin = Osnadmin::new(&fabric.programs, &orderers);
    for id in 1..=ORDERERS {
        let genesis = orderers.file("genesis.block");
        let said = osnadmin.run(id, &["join", "--channelID", CHANNEL, "--config-block", &genesis]);
        assert!(said.starts_with("Status: 201"), "{said}");
    }
    let mut sent = orderers.order(1, 23).await;
    let peer = Peer::start(&fabric.programs, orderers.for_fabric(), free_ports(3).unwrap()).unwrap();
    peer.join(CHANNEL).await.unwrap();
    orderers.change(1, &["batch-size", "--max-messages", "3"]).await;
    // One is stopped earlier than the others, which leaves a quorum.
    orderers.stop(4, Signal::SIGTERM).await;
    sent.extend(orderers.order(1, 10).await);
    let height = one_chain(&orderers, &[1, 2, 3], &sent).await;
    peer.commits(0..=height - 1).await.unwrap();
    follow_the_manual(fabric, &mut orderers).await;
    let chain: Vec<Block> = FabricBlocks::open(&stock_chain(&orderers, 1)).collect::<Result<_, _>>().unwrap();
    assert_eq!(chain.len() as u64, height);
    sent.extend(orderers.order(4, 20).await);
    let height = one_chain(&orderers, &[1, 2, 3, 4], &sent).await;
    for id in 1..=ORDERERS {
        assert_begins_with(&orderers, id, &chain).await;
    }
    peer.commits(0..=height - 1).await.unwrap();
    assert!(!peer.log().contains("panic"), "{}", peer.log());
}

/// Nodes that have not been started, with so much of the chain in the test data.
async fn prepare(length_of: impl Fn(u16, usize) -> usize) -> Orderers {
    let genesis = FabricBlocks::open(&fixture()).next().unwrap().unwrap();
    let orderers = Orderers::prepare(FIXTURE_PORT, genesis.encode_to_vec().into()).await;
    let file = fs::read(fixture().join("blockfile_000000")).unwrap();
    for id in 1..=ORDERERS {
        let dir = stock_chain(&orderers, id);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("blockfile_000000"), &file[..length_of(id, file.len())]).unwrap();
    }
    orderers
}

fn fixture() -> PathBuf {
    data().join("takeover")
}

/// Every command of the manual on every node, before the next one.
async fn follow_the_manual(fabric: &Fabric, orderers: &mut Orderers) {
    let manual = fs::read_to_string(binary::workspace().join("OPERATIONS.md")).unwrap();
    let (_, block) = manual.split_once("<!-- the commands below are executed by a test -->\n```sh\n").unwrap();
    let lines = block.split_once("```").unwrap().0.lines();
    let commands: Vec<&str> = lines.map(|line| line.split(" # ").next().unwrap_or_default().trim()).collect();
    assert_eq!(commands.len(), 5, "{commands:?}");
    let ids = 1..=ORDERERS;
    for command in commands {
        match command.split(' ').next() {
            Some("kill") => {
                for id in ids.clone().filter(|id| orderers.runs(*id)).collect::<Vec<_>>() {
                    orderers.stop(id, Signal::SIGTERM).await;
                }
            }
            Some("orderer") => {
                orderers.replace();
                for id in ids.clone() {
                    orderers.start_again(id).await;
                }
            }
            Some("osnadmin") => {
                for id in ids.clone().filter(|id| orderers.runs(*id)) {
                    let said = shell(fabric, orderers, id, command);
                    assert!(said.contains("\"status\": \"active\""), "{said}");
                }
            }
            _ => ids.clone().for_each(|id| drop(shell(fabric, orderers, id, command))),
        }
    }
}

/// What a command of the manual prints, on the machine of a node.
fn shell(fabric: &Fabric, orderers: &Orderers, id: u16, command: &str) -> String {
    let tls = orderers.keys.orderer(id.into()).join("tls");
    let file = |name: &str| tls.join(name).display().to_string();
    let (ca, certificate, key) = (file("ca.crt"), file("server.crt"), file("server.key"));
    let address = format!("127.0.0.1:{}", orderers.admin(id));
    let path = format!("{}:{}", fabric.programs.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell.args(["-c", &command.replace("mychannel", CHANNEL)]).env("PATH", path);
    shell.env("admin", format!("-o {address} --ca-file {ca} --client-cert {certificate} --client-key {key}"));
    let output = shell.env("ORDERER_FILELEDGER_LOCATION", orderers.data(id)).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// These nodes come to serve one chain, which a peer takes, with each of these envelopes once in it; says how many blocks it
/// has. What signs its blocks may be any writer.
async fn one_chain(orderers: &Orderers, ids: &[u16], sent: &[Bytes]) -> u64 {
    let mut headers = Vec::new();
    for &id in ids {
        let mut chain = Vec::new();
        wait_until(&format!("orderer {id} serves all envelopes"), async || {
            let blocks = orderers.blocks(id).await.unwrap_or_default();
            chain = blocks.iter().map(|block| Block::decode(&block[..]).unwrap()).collect::<Vec<_>>();
            let entries: Vec<&Bytes> = chain.iter().flat_map(Block::entries).collect();
            Ok(sent.iter().all(|envelope| entries.iter().filter(|entry| **entry == envelope).count() == 1))
        })
        .await
        .unwrap();
        headers.push(check_as_a_peer(&chain));
    }
    let shortest = headers.iter().map(Vec::len).min().unwrap_or_default();
    assert!(headers.iter().all(|chain| chain[..shortest] == headers[0][..shortest]), "a fork");
    headers.iter().map(Vec::len).max().unwrap_or_default() as u64
}

fn check_as_a_peer(chain: &[Block]) -> Vec<BlockHeader> {
    let mut verifier = BlockVerifier::new(&ChannelConfig::from_block(&chain[0]).unwrap());
    let mut headers: Vec<BlockHeader> = vec![chain[0].header.clone().unwrap()];
    for (number, block) in (1..).zip(&chain[1..]) {
        let previous = headers.last().unwrap().hash();
        verifier.verify_block(block, number, Some(&previous)).unwrap();
        if fabric_proto::block::is_config(block.entries()) {
            verifier = BlockVerifier::new(&ChannelConfig::from_block(block).unwrap());
        }
        headers.push(block.header.clone().unwrap());
    }
    headers
}

/// A node serves these blocks, byte for byte in header and data.
async fn assert_begins_with(orderers: &Orderers, id: u16, chain: &[Block]) {
    let served = orderers.blocks(id).await.unwrap();
    assert!(served.len() > chain.len(), "nothing was ordered after them");
    for (ours, theirs) in served.iter().zip(chain) {
        let ours = Block::decode(&ours[..]).unwrap();
        assert_eq!((&ours.header, &ours.data), (&theirs.header, &theirs.data), "orderer {id}");
    }
}

/// Where an orderer of Fabric keeps the chain.
fn stock_chain(orderers: &Orderers, id: u16) -> PathBuf {
    orderers.data(id).join("chains").join(CHANNEL)
}

const TAKEOVER: &str = "taking the place of Fabric's own orderers";

/// Where the nodes of the channel in the test data are. It stands in its signed blocks, so it cannot be chosen.
const FIXTURE_PORT: u16 = 19_400;
