//! The program `orderer` in the place of Fabric's: started from an `orderer.yaml` and ORDERER_* variables alone, its channels
//! administered over the participation API. Where Fabric's own programs are at hand, `osnadmin` does it, and a peer follows.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod admin;
mod block_validation;
mod clients;
mod consenters;
mod disks;
mod new_tls;
mod node_sdk;
mod orderers;
mod osnadmin;
mod real_peer;
mod real_succession;
mod release;
mod renewal;
mod settings;
mod small_disk;
mod stage;
mod succession;
mod takeover;
mod transactions;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::admin::{delete, get, join};
use crate::orderers::{CHANNEL, Orderers};

#[tokio::test(flavor = "multi_thread")]
async fn channels_are_joined_in_any_order_removed_and_joined_again_and_a_crash_at_any_step_loses_nothing() {
    let mut orderers = Orderers::start(false).await;
    for id in 1..=4 {
        let none = get(orderers.admin(id), "/participation/v1/channels").await;
        assert_eq!((none.status, none.json()), (200, json!({ "systemChannel": null, "channels": null })));
    }
    let genesis = orderers.genesis.clone();
    let about = |height: u64| {
        json!({ "name": CHANNEL, "url": format!("/participation/v1/channels/{CHANNEL}"), "consensusRelation": "consenter",
                "status": "active", "height": height })
    };
    let joined = join(orderers.admin(3), &genesis).await;
    assert_eq!((joined.status, joined.json()), (201, about(1)));
    orderers.crash(3).await;
    assert_eq!(orderers.info(3).await, about(1), "a join that was answered survives");
    for id in [1, 4] {
        assert_eq!(join(orderers.admin(id), &genesis).await.status, 201);
    }
    let mut sent = orderers.order(4, 30).await;

    // Removed at one node, which crashes; the others go on, and it comes back.
    assert_eq!(delete(orderers.admin(4), CHANNEL).await.status, 204);
    orderers.crash(4).await;
    assert_eq!(get(orderers.admin(4), &format!("/participation/v1/channels/{CHANNEL}")).await.status, 404);
    assert_eq!(join(orderers.admin(2), &genesis).await.status, 201);
    sent.extend(orderers.order(1, 30).await);
    assert_eq!(join(orderers.admin(4), &genesis).await.status, 201);
    orderers.crash(4).await;
    sent.extend(orderers.order(4, 30).await);
    orderers.check_chain(&sent).await;

    for id in 1..=4 {
        orderers.stop(id, Signal::SIGTERM).await;
    }
    for id in 1..=4 {
        orderers.start_again(id).await;
    }
    sent.extend(orderers.order(2, 10).await);
    orderers.check_chain(&sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_and_metrics_tell_how_a_running_node_is() {
    let mut orderers = Orderers::start(false).await;
    let genesis = orderers.genesis.clone();
    let healthy = get(orderers.operations(1), "/healthz").await;
    assert_eq!((healthy.status, &healthy.json()["status"]), (200, &json!("OK")));
    for id in 1..=4 {
        assert_eq!(join(orderers.admin(id), &genesis).await.status, 201);
    }
    let sent = orderers.order(1, 12).await;
    orderers.check_chain(&sent).await;
    assert_eq!(get(orderers.operations(1), "/readyz").await.status, 200);
    let metrics = get(orderers.operations(1), "/metrics").await.text();
    for expected in [
        "broadcast_processed_count{channel=\"testchannel\",type=\"ENDORSER_TRANSACTION\",status=\"SUCCESS\"} 12\n",
        "participation_status{channel=\"testchannel\"} 1\n",
        "participation_consensus_relation{channel=\"testchannel\"} 1\n",
        "ledger_blockchain_height{channel=\"testchannel\"}",
        "broadcast_validate_duration_bucket{channel=\"testchannel\"",
    ] {
        assert!(metrics.contains(expected), "no {expected:?} in\n{metrics}");
    }
    assert_eq!(get(orderers.operations(1), "/logspec").await.json(), json!({ "spec": "info" }));

    // Without a quorum it is healthy and not ready, and says why.
    for id in [2, 3] {
        orderers.stop(id, Signal::SIGTERM).await;
    }
    orderers.wait_until_not_ready(1).await;
    let unready = get(orderers.operations(1), "/readyz").await;
    assert!(unready.text().contains("quorum"), "{}", unready.text());
    assert_eq!(get(orderers.operations(1), "/healthz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_block_file_is_set_aside_and_the_blocks_come_from_the_others() {
    let mut orderers = Orderers::start(false).await;
    let genesis = orderers.genesis.clone();
    for id in 1..=4 {
        assert_eq!(join(orderers.admin(id), &genesis).await.status, 201);
    }
    let mut sent = orderers.order(1, 60).await;
    orderers.check_chain(&sent).await;
    orderers.stop(2, Signal::SIGTERM).await;
    orderers.damage_ledger(2);
    sent.extend(orderers.order(3, 20).await);

    orderers.start_again(2).await;
    sent.extend(orderers.order(2, 20).await);
    orderers.check_chain(&sent).await;
    let (log, kept) = (orderers.said(2), orderers.data(2).join("damaged"));
    assert!(log.contains("the ledger is damaged; it was moved to"), "{log}");
    assert_eq!(std::fs::read_dir(kept).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_that_fails_leaves_the_blocks_that_were_here_before_it() {
    let mut orderers = Orderers::start(false).await;
    let genesis = orderers.genesis.clone();
    for id in 1..=4 {
        assert_eq!(join(orderers.admin(id), &genesis).await.status, 201);
    }
    let mut sent = orderers.order(1, 20).await;
    orderers.check_chain(&sent).await;
    // As if the ledger had come here in another way than by joining.
    orderers.stop(2, Signal::SIGTERM).await;
    std::fs::remove_file(orderers.data(2).join(format!("joined/{CHANNEL}.block"))).unwrap();
    orderers.start_again(2).await;
    let blocks = orderers.data(2).join(format!("ledger/{CHANNEL}/blocks-000000.seg"));
    let before = std::fs::read(&blocks).unwrap();
    assert_eq!(join(orderers.admin(2), &orderers.another_genesis()).await.status, 400);
    assert_eq!(get(orderers.admin(2), &format!("/participation/v1/channels/{CHANNEL}")).await.status, 404);
    assert_eq!(std::fs::read(&blocks).unwrap(), before);

    assert_eq!(join(orderers.admin(2), &genesis).await.status, 201);
    sent.extend(orderers.order(2, 10).await);
    orderers.check_chain(&sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_new_tls_keys_and_another_port_takes_part_again_without_a_restart_of_the_others() {
    let mut orderers = Orderers::start_with_two_authorities().await;
    let genesis = orderers.genesis.clone();
    for id in 1..=4 {
        assert_eq!(join(orderers.admin(id), &genesis).await.status, 201);
    }
    let mut sent = orderers.order(1, 10).await;
    orderers.check_chain(&sent).await;

    let update = orderers.move_update(4);
    orderers.put_in_force(1, update).await;
    // The links that stand are left alone.
    sent.extend(orderers.order(4, 10).await);
    orderers.stop(4, Signal::SIGTERM).await;
    orderers.move_to_new_place(4);
    orderers.start_again(4).await;
    sent.extend(orderers.order(4, 10).await);
    orderers.check_chain(&sent).await;

    // From now on nothing is ordered without node 4.
    orderers.kill(1);
    sent.extend(orderers.order(4, 10).await);
    sent.extend(orderers.order(2, 10).await);
    orderers.start_again(1).await;
    orderers.check_chain(&sent).await;
}
