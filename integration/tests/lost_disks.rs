//! What OPERATIONS.md says of backups and of how many disks may be lost, done with real processes.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use integration::client::{Load, LoadPlan, Outcome, blocks, broadcast, one_chain};
use integration::material::Cutting;
use integration::network::Network;
use integration::site::{NodeId, PATIENCE, wait_until};
use nix::sys::signal::Signal;

/// The data folder of a node.
fn data(network: &Network, id: NodeId) -> PathBuf {
    network.status_socket(id).unwrap().parent().unwrap().join("data")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(path, to).unwrap();
        }
    }
}

/// May it not vote? Nothing while it does not tell.
async fn is_silent(network: &Network, id: NodeId) -> Option<bool> {
    Some(network.ordering(id).await.ok()?.is_silent)
}

/// Waits until a node tells that it lost its disk.
async fn falls_silent(network: &Network, id: NodeId) {
    let is_so = async || Ok(is_silent(network, id).await == Some(true));
    wait_until(&format!("node {id} is silent"), is_so).await.unwrap();
}

/// Waits until a node votes again.
async fn speaks_again(network: &Network, id: NodeId) {
    let is_so = async || Ok(is_silent(network, id).await == Some(false));
    wait_until(&format!("node {id} speaks"), is_so).await.unwrap();
}

fn together(outcomes: impl IntoIterator<Item = Outcome>) -> Outcome {
    let both = |mut one: Outcome, other: Outcome| {
        one.sent.extend(other.sent);
        one.acknowledged.extend(other.acknowledged);
        one
    };
    outcomes.into_iter().reduce(both).unwrap()
}

/// "Back up" and "Restore": blocks and join blocks from an older copy, nothing of what the replica said.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_restored_from_an_older_copy_of_its_blocks_without_its_groups() {
    let mut network = Network::start(&Cutting::default()).await.unwrap();
    let ids = network.ids();
    let load = Load::start(&network, &ids, LOAD).unwrap();
    network.wait_for_height(RESTORED, 20).await.unwrap();
    let stopped = network.take(RESTORED).unwrap().stop(Signal::SIGTERM, PATIENCE).unwrap();
    assert!(stopped.success());
    let backup = tempfile::tempdir().unwrap();
    for folder in ["ledger", "joined"] {
        copy(&data(&network, RESTORED).join(folder), &backup.path().join(folder));
    }
    network.start_node(RESTORED).unwrap();
    let height = network.height(1).await.unwrap();
    network.wait_for_height(RESTORED, height + 40).await.unwrap();

    network.kill(RESTORED).unwrap();
    network.wipe(RESTORED).unwrap();
    copy(backup.path(), &data(&network, RESTORED));
    network.start_node(RESTORED).unwrap();
    falls_silent(&network, RESTORED).await;
    speaks_again(&network, RESTORED).await;
    let outcome = load.stop().await.unwrap();
    outcome.check(&one_chain(&network, &ids).await.unwrap()).unwrap();
}

/// Two of four: nothing is ordered, and nothing is lost. With one of the two back as it was all goes on.
#[tokio::test(flavor = "multi_thread")]
async fn more_than_f_lost_disks_stop_the_group_until_one_is_had_back() {
    let mut network = Network::start(&Cutting::default()).await.unwrap();
    let ids = network.ids();
    let load = Load::start(&network, &ids, LOAD).unwrap();
    network.wait_for_height(1, 10).await.unwrap();
    let before = load.stop().await.unwrap();
    let height = network.wait_until_quiet(&ids).await.unwrap();

    network.kill_all().unwrap();
    let kept = data(&network, FOUND_AGAIN).with_extension("kept");
    fs::rename(data(&network, FOUND_AGAIN), &kept).unwrap();
    network.wipe(GONE).unwrap();
    network.start_all().unwrap();
    network.wait_until_open().await.unwrap();
    let load = Load::start(&network, &ids, LOAD).unwrap();
    load.wait_for_more(50).await.unwrap();
    wait_until("requests have waited for long", async || {
        Ok(network.ordering(1).await?.pending_age_ms.is_some_and(|age| age > STANDSTILL_MS))
    })
    .await
    .unwrap();
    let during = load.stop().await.unwrap();
    for id in [FOUND_AGAIN, GONE] {
        assert_eq!(is_silent(&network, id).await, Some(true), "node {id}");
    }
    assert_eq!(network.height(1).await.unwrap(), height, "two nodes of four have ordered something");

    network.kill(FOUND_AGAIN).unwrap();
    network.wipe(FOUND_AGAIN).unwrap();
    fs::rename(kept, data(&network, FOUND_AGAIN)).unwrap();
    network.start_node(FOUND_AGAIN).unwrap();
    let load = Load::start(&network, &ids, LOAD).unwrap();
    speaks_again(&network, GONE).await;
    let after = load.stop().await.unwrap();
    let chain = one_chain(&network, &ids).await.unwrap();
    together([before, during, after]).check(&chain).unwrap();
}

/// Nobody sends anything: it makes the decisions come about that it needs.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lost_its_disk_speaks_again_in_an_idle_network() {
    let mut network = Network::start(&Cutting::default()).await.unwrap();
    let load = Load::start(&network, &network.ids(), LOAD).unwrap();
    network.wait_for_height(1, 5).await.unwrap();
    let outcome = load.stop().await.unwrap();
    let height = network.wait_until_quiet(&network.ids()).await.unwrap();
    network.kill(GONE).unwrap();
    network.wipe(GONE).unwrap();
    network.start_node(GONE).unwrap();
    falls_silent(&network, GONE).await;
    speaks_again(&network, GONE).await;
    assert_eq!(network.height(1).await.unwrap(), height, "what it asked for is in no block");
    outcome.check(&one_chain(&network, &network.ids()).await.unwrap()).unwrap();
}

/// What the manual warns of: empty disks that are a quorum, while nobody is up who remembers, are a new group.
#[tokio::test(flavor = "multi_thread")]
async fn a_quorum_of_empty_disks_begins_again_when_the_rest_is_down() {
    let mut network = Network::start(&Cutting::default()).await.unwrap();
    let first_block = async |network: &Network, id: NodeId| {
        let envelope: Bytes = network.user().transaction_of_size(LOAD.data_bytes);
        broadcast(&network.endpoint(id).unwrap(), [envelope]).await.unwrap();
        network.wait_for_height(id, 2).await.unwrap();
        blocks(&network.endpoint(id).unwrap(), network.user(), 2).await.unwrap().remove(1)
    };
    let of_old = first_block(&network, 1).await;
    network.kill_all().unwrap();
    for id in [2, 3, 4] {
        network.wipe(id).unwrap();
        network.start_node(id).unwrap();
    }
    network.wait_until_open().await.unwrap();
    let of_new = first_block(&network, 2).await;
    assert_ne!(of_old, of_new, "the blocks of the old group were kept by somebody");
}

const LOAD: LoadPlan = LoadPlan { rate_per_s: 50, data_bytes: 200 };
const RESTORED: NodeId = 4;
const FOUND_AGAIN: NodeId = 3;
const GONE: NodeId = 4;
/// Long enough for several leaders to have had their turn.
const STANDSTILL_MS: u64 = 5_000;
