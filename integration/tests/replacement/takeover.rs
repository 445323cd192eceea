//! Orderers of Fabric are stopped, and ours go on with what they left: configuration, keys, folders, chains.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use fabric_channel::{BlockVerifier, ChannelConfig};
use fabric_proto::common::{Block, BlockHeader};
use integration::material::{ORDERERS, data};
use integration::site::wait_until;
use nix::sys::signal::Signal;
use orderer_node::fabric_ledger::FabricBlocks;
use prost::Message as _;

use crate::admin::{Osnadmin, delete, get, join};
use crate::orderers::{CHANNEL, Orderers};
use crate::release::{Fabric, Release};

#[tokio::test(flavor = "multi_thread")]
async fn chains_of_unequal_height_go_on_after_the_highest_block_that_any_node_has() {
    let folder = data().join("takeover");
    let chain: Vec<Block> = FabricBlocks::open(&folder).collect::<Result<_, _>>().unwrap();
    let genesis = chain[0].encode_to_vec().into();
    let mut orderers = Orderers::prepare(FIXTURE_PORT, genesis).await;
    let file = fs::read(folder.join("blockfile_000000")).unwrap();
    // Node 2 was stopped some blocks earlier, and node 4 lost power while it wrote its last one.
    let lengths = [file.len(), file.len() / 2, file.len(), file.len() - 100];
    for (id, length) in (1..).zip(lengths) {
        let dir = stock_chain(&orderers, id);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("blockfile_000000"), &file[..length]).unwrap();
    }
    for id in [2, 4, 1, 3] {
        orderers.start_again(id).await;
    }
    let mut sent = orderers.order(2, 20).await;
    orderers.check_chain(&sent).await;
    for id in 1..=ORDERERS {
        assert_begins_with(&orderers, id, &chain).await;
        assert_eq!(
            fs::read(stock_chain(&orderers, id).join("blockfile_000000")).unwrap(),
            file[..lengths[usize::from(id) - 1]]
        );
        let mark = orderers.data(id).join(format!("joined/{CHANNEL}.taken-over"));
        assert!(fs::read_to_string(mark).unwrap().starts_with("open "));
    }

    // All power is lost; nobody takes anything over again.
    for id in 1..=ORDERERS {
        orderers.kill(id);
    }
    for id in 1..=ORDERERS {
        orderers.start_again(id).await;
    }
    sent.extend(orderers.order(3, 10).await);
    orderers.check_chain(&sent).await;
    for id in 1..=ORDERERS {
        assert_eq!(orderers.said(id).matches("took over the chain").count(), 1);
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
    if !fabric.programs.join("orderer").exists() {
        return integration::skip::say_skipped(&format!("{TAKEOVER}: there is no orderer among Fabric's programs"));
    }
    let mut orderers = Orderers::start_stock(fabric).await;
    let osnadmin = Osnadmin::new(&fabric.programs, &orderers);
    for id in 1..=ORDERERS {
        let genesis = orderers.file("genesis.block");
        let said = osnadmin.run(id, &["join", "--channelID", CHANNEL, "--config-block", &genesis]);
        assert!(said.starts_with("Status: 201"), "{said}");
    }
    let mut sent = orderers.order(1, 23).await;
    orderers.change(1, &["batch-size", "--max-messages", "3"]).await;
    // One is stopped earlier than the others, which leaves a quorum.
    orderers.stop(4, Signal::SIGTERM).await;
    sent.extend(orderers.order(1, 10).await);
    let height = one_chain(&orderers, &[1, 2, 3], &sent).await;
    for id in 1..=3 {
        orderers.stop(id, Signal::SIGTERM).await;
    }
    let chain: Vec<Block> = FabricBlocks::open(&stock_chain(&orderers, 1)).collect::<Result<_, _>>().unwrap();
    assert_eq!(chain.len() as u64, height);

    orderers.replace();
    for id in [3, 4, 2, 1] {
        orderers.start_again(id).await;
    }
    sent.extend(orderers.order(4, 20).await);
    match fabric.release {
        Release::V3 => drop(orderers.check_chain(&sent).await),
        Release::V2_5 => drop(one_chain(&orderers, &[1, 2, 3, 4], &sent).await),
    }
    for id in 1..=ORDERERS {
        assert_begins_with(&orderers, id, &chain).await;
    }
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
