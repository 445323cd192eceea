//! Disks that fill up, and block files that change under a running node. Who is hit says so, and ends or refuses what it
//! cannot do; the others, and the other channels, go on; afterwards nothing is missing anywhere.

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use fabric_proto::ChannelId;
use fabric_proto::common::Block;
use integration::binary;
use integration::process::tail;
use integration::site::PATIENCE;
use nix::sys::signal::Signal;
use orderer_node::client::{ClientError, DeliverClient, EnvelopeFactory, Seek};
use prost::Message as _;
use serde_json::Value;

use crate::admin::{get, join};
use crate::orderers::{CHANNEL, Orderers};
use crate::small_disk::SmallDisk;

/// A limit on the size of files meets the same places as a full disk, and needs no rights.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_write_ends_with_a_clear_line_the_others_go_on_and_it_catches_up_once_it_can() {
    let mut orderers = started().await;
    let mut sent = orderers.order(1, 20).await;
    orderers.check_chain(&sent).await;
    orderers.stop(4, Signal::SIGTERM).await;
    orderers.start_by(4, with_files_limited()).await;

    // Twice what fits into its files.
    sent.extend(orderers.order_from(&orderers.user, 1, (64, 32 * 1024)).await);
    must_have_ended(&mut orderers, "File too large").await;
    sent.extend(orderers.order(2, 20).await);

    // Started again without more room, it ends again and does no harm to what it has.
    orderers.launch(4, with_files_limited());
    must_have_ended(&mut orderers, "File too large").await;
    sent.extend(orderers.order(3, 20).await);

    orderers.start_again(4).await;
    sent.extend(orderers.order(4, 20).await);
    orderers.check_chain(&sent).await;
    nothing_was_lost(&orderers);
    for id in 1..=4 {
        let resident = orderers.process(id).resident_bytes().unwrap();
        assert!(resident < RESIDENT_BYTES_MAX, "orderer {id} holds {resident} bytes");
    }
}

/// A file system of its own, where the system lets us have one.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_disk_is_full_warns_before_ends_and_goes_on_when_there_is_room_again() {
    let mut orderers = started().await;
    let mut sent = orderers.order(1, 20).await;
    orderers.check_chain(&sent).await;
    orderers.stop(4, Signal::SIGTERM).await;
    let Some(disk) = SmallDisk::over(&orderers.folder(4), DISK_BYTES.into()) else { return };
    orderers.start_by(4, disk.command(&binary::orderer().unwrap())).await;

    // Before it is full, its probe and its metrics tell.
    let part = part_of_readyz(&orderers, 4, "disk").await;
    assert!(part["ready"] == false && part["reasons"][0].as_str().unwrap().contains("bytes are free"), "{part}");
    let free = metric(&orderers, 4, "ordering_disk_free_bytes").await;
    assert!(free < f64::from(DISK_BYTES), "{free}");
    sent.extend(orderers.order(4, 20).await);
    orderers.check_chain(&sent).await;

    disk.fill();
    sent.extend(orderers.order_from(&orderers.user, 1, (20, 32 * 1024)).await);
    must_have_ended(&mut orderers, "No space left on device").await;
    sent.extend(orderers.order(2, 20).await);
    for id in 1..=3 {
        assert!(group_is_ready(&orderers, id).await, "orderer {id}");
    }
    orderers.launch(4, disk.command(&binary::orderer().unwrap()));
    must_have_ended(&mut orderers, "No space left on device").await;

    disk.make_room();
    orderers.start_by(4, disk.command(&binary::orderer().unwrap())).await;
    sent.extend(orderers.order(4, 20).await);
    orderers.check_chain(&sent).await;
    nothing_was_lost(&orderers);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_changes_on_the_disk_of_a_running_node_is_refused_named_and_had_again_after_a_restart() {
    let mut orderers = Orderers::start(false).await;
    // A node that is started again looks at the blocks behind its newest checkpoint only, and the others stay on the disk.
    orderers.restart_with(&[("ORDERER_BFT_ORDERING_CHECKPOINTINTERVAL", "8")]).await;
    join_all(&orderers).await;
    let second = orderers.genesis_of(SECOND);
    for id in 1..=4 {
        assert_eq!(join(orderers.admin(id), &second).await.status, 201);
    }
    let (user, id) = (orderers.keys.user(), ChannelId::new(SECOND).unwrap());
    let of_second = EnvelopeFactory::load(id, &user.0, user.1).unwrap();
    let mut sent = Vec::new();
    for _ in 0..20 {
        sent.extend(orderers.order(1, 5).await);
    }
    let mut sent_second = orderers.order_from(&of_second, 1, (20, 10)).await;
    orderers.check_chain(&sent).await;
    orderers.stop(2, Signal::SIGTERM).await;
    orderers.start_again(2).await;
    sent.extend(orderers.order(2, 5).await);
    change_a_byte(&orderers.data(2).join(format!("ledger/{CHANNEL}/blocks-000000.seg")), &sent[12]);

    // Its clients get what is whole, and then a status; nobody gets anything else than the other nodes give.
    let good = orderers.blocks(1).await.unwrap();
    let (given, end) = read_until_the_end(&orderers, 2, &orderers.user).await;
    assert!(!given.is_empty() && given.len() < good.len(), "{} of {}", given.len(), good.len());
    for (given, good) in given.iter().zip(&good) {
        let good = Block::decode(&good[..]).unwrap();
        // Nodes may have merged the signatures of different quorums.
        assert!(given.header == good.header && given.data == good.data);
    }
    assert!(matches!(&end, ClientError::Status { status, .. } if status == "SERVICE_UNAVAILABLE"), "{end}");
    let part = part_of_readyz(&orderers, 2, &format!("channel {CHANNEL}")).await;
    let reason = part["reasons"][0].as_str().unwrap_or_else(|| panic!("{part}"));
    assert!(reason.contains(&format!("block {} cannot be read", given.len())), "{reason}");
    assert_eq!(metric(&orderers, 2, &format!("ordering_ledger_damaged{{channel=\"{CHANNEL}\"}}")).await, 1.0);

    // The node goes on with everything else: ordering, newer blocks, the other channel. So do the others.
    sent.extend(orderers.order(2, 20).await);
    sent_second.extend(orderers.order_from(&of_second, 2, (20, 10)).await);
    assert_eq!(part_of_readyz(&orderers, 2, &format!("channel {SECOND}")).await["ready"], true);
    assert_eq!(metric(&orderers, 2, &format!("ordering_ledger_damaged{{channel=\"{SECOND}\"}}")).await, 0.0);
    assert_eq!(get(orderers.operations(2), "/healthz").await.status, 200);
    for id in [1, 3, 4] {
        assert!(group_is_ready(&orderers, id).await, "orderer {id}");
    }

    // The way back that is documented.
    orderers.stop(2, Signal::SIGTERM).await;
    orderers.start_again(2).await;
    sent.extend(orderers.order(2, 20).await);
    orderers.check_chain(&sent).await;
    assert!(orderers.said(2).contains("the ledger is damaged; it was moved to"));
    assert_eq!(metric(&orderers, 2, &format!("ordering_ledger_damaged{{channel=\"{CHANNEL}\"}}")).await, 0.0);
}

async fn started() -> Orderers {
    let orderers = Orderers::start(false).await;
    join_all(&orderers).await;
    orderers
}

async fn join_all(orderers: &Orderers) {
    for id in 1..=4 {
        assert_eq!(join(orderers.admin(id), &orderers.genesis).await.status, 201);
    }
}

/// The program, with files of one MiB at most.
fn with_files_limited() -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "ulimit -f 2048; exec \"$0\""]).arg(binary::orderer().unwrap());
    command
}

/// Node 4 ends with 1, after it has said why and what to do.
async fn must_have_ended(orderers: &mut Orderers, why: &str) {
    let status = orderers.wait_for_end(4).await;
    let log = orderers.said(4);
    assert_eq!(status.code(), Some(1), "{}", tail(&log, 20));
    let last = log.lines().last().unwrap_or_default();
    assert!(last.starts_with("orderer: ") && last.contains(why), "{}", tail(&log, 20));
}

/// Node 4 was stopped by the lack of room each time, and found everything as it had left it.
fn nothing_was_lost(orderers: &Orderers) {
    let log = orderers.said(4);
    assert!(log.contains("this node stops: there is no room on its disk; nothing is lost"), "{log}");
    assert!(!log.contains("damaged") && !log.contains("panicked"), "{log}");
}

/// Changes a byte in the middle of this envelope, in a block file.
fn change_a_byte(file: &Path, envelope: &Bytes) {
    let bytes = std::fs::read(file).unwrap();
    let found = bytes.windows(envelope.len()).position(|window| window == &envelope[..]).expect("it is stored");
    let middle = found + envelope.len() / 2;
    let file = std::fs::File::options().write(true).open(file).unwrap();
    file.write_all_at(&[bytes[middle] ^ 1], middle as u64).unwrap();
}

/// What a node gives to whoever wants everything, and the error behind it.
async fn read_until_the_end(orderers: &Orderers, id: u16, user: &EnvelopeFactory) -> (Vec<Block>, ClientError) {
    let connection = orderers.endpoint(id).connect().await.unwrap();
    let mut stream = DeliverClient::open(&connection, user, Seek::from(0)).await.unwrap();
    let mut given = Vec::new();
    loop {
        match tokio::time::timeout(PATIENCE, stream.next()).await {
            Ok(Ok(Some(block))) => given.push(block),
            Ok(Err(end)) => return (given, end),
            Ok(Ok(None)) | Err(_) => panic!("all {} blocks were given", given.len()),
        }
    }
}

async fn part_of_readyz(orderers: &Orderers, id: u16, name: &str) -> Value {
    let told = get(orderers.operations(id), "/readyz").await.json();
    let mut parts = told["components"].as_array().unwrap().iter();
    parts.find(|part| part["component"] == name).unwrap_or_else(|| panic!("no {name} in {told}")).clone()
}

/// Is everything ready that does not depend on the disk of this machine?
async fn group_is_ready(orderers: &Orderers, id: u16) -> bool {
    let told = get(orderers.operations(id), "/readyz").await.json();
    told["components"].as_array().unwrap().iter().all(|part| part["component"] == "disk" || part["ready"] == true)
}

async fn metric(orderers: &Orderers, id: u16, name: &str) -> f64 {
    let text = get(orderers.operations(id), "/metrics").await.text();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
}

const SECOND: &str = "second";

const DISK_BYTES: u32 = 64 << 20;

/// Far more than four nodes under this load need, and far less than what would pile up without bounds on a machine for one.
const RESIDENT_BYTES_MAX: u64 = 512 << 20;
