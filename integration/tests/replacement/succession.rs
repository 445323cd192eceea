//! Consenters that are added, removed and get new keys while clients send and nodes crash.

use std::time::Instant;

use fabric_proto::common::Status;
use integration::client::broadcast;
use integration::process::tail;
use integration::site::PATIENCE;
use nix::sys::signal::Signal;

use crate::admin::join;
use crate::clients::Clients;
use crate::orderers::Orderers;

fn words(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fifth_consenter_comes_one_goes_and_one_gets_new_keys_under_load_and_nothing_is_lost() {
    let mut orderers = Orderers::start_with_spare_keys().await;
    let genesis = orderers.genesis.clone();
    for id in 1..=4 {
        assert_eq!(join(orderers.admin(id), &genesis).await.status, 201);
    }
    let mut sent = orderers.order(1, 30).await;
    let clients = Clients::of(&orderers, &[1, 3]);

    // A learner first: it has all blocks before the others count on it.
    orderers.start_again(5).await;
    assert_eq!(join(orderers.admin(5), &genesis).await.status, 201);
    orderers.wait_for_relation(5, "follower", "active").await;
    let add = [vec!["consenter".to_owned(), "add".to_owned()], orderers.described(5, 5)].concat();
    orderers.change(1, &words(&add)).await;
    orderers.wait_for_relation(5, "consenter", "active").await;
    sent.extend(orderers.order(5, 10).await);
    orderers.crash(5).await;
    sent.extend(orderers.order(5, 10).await);

    orderers.change(3, &["consenter", "remove", "--id", "4"]).await;
    orderers.wait_for_relation(4, "follower", "active").await;
    orderers.stop(4, Signal::SIGTERM).await;

    // Node 2 hears of its own new keys as one who is no consenter any more, and is one again when it has them.
    let replace = ["consenter", "replace", "--id", "2"].map(str::to_owned).to_vec();
    let replace = [replace, orderers.described(2, 6)].concat();
    orderers.change(1, &words(&replace)).await;
    orderers.wait_for_relation(2, "follower", "active").await;
    orderers.stop(2, Signal::SIGTERM).await;
    orderers.change_keys(2, 6);
    orderers.start_again(2).await;
    orderers.wait_for_relation(2, "consenter", "active").await;

    sent.extend(clients.stop().await);
    sent.extend(orderers.order(2, 10).await);
    orderers.check_chain_at(&[1, 2, 3, 5], &sent).await;

    // Three of five could order nothing, so the channel is not given to them. Without the one that is down they could.
    let (lost, since) = ("no session with node 5", Instant::now());
    let before = orderers.said(1).matches(lost).count();
    orderers.kill(5);
    while orderers.said(1).matches(lost).count() == before {
        assert!(since.elapsed() < PATIENCE, "{}", tail(&orderers.said(1), 30));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let add = [vec!["consenter".to_owned(), "add".to_owned()], orderers.described(4, 4)].concat();
    let update = orderers.update(&orderers.config_block(1).await.unwrap(), &words(&add));
    let (status, info) = integration::client::answer(&orderers.endpoint(1), update).await.unwrap();
    assert_eq!(status, Status::BadRequest, "{info}");
    let why = "it would leave the channel without a live quorum: of its 5 consenters 3 are in reach, which is too few; not in reach: ";
    assert!(info.contains(why), "{info}");
    orderers.change(1, &["consenter", "remove", "--id", "5"]).await;
    sent.extend(orderers.order(2, 10).await);
    orderers.check_chain_at(&[1, 2, 3], &sent).await;
    // Of the first groups only two or three members are left, which is of no concern any more.
    orderers.wait_until_ready(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_crash_while_a_channel_moves_and_what_was_acknowledged_is_in_its_chain() {
    let mut orderers = Orderers::start_with_spare_keys().await;
    let genesis = orderers.genesis.clone();
    for id in 1..=4 {
        assert_eq!(join(orderers.admin(id), &genesis).await.status, 201);
    }
    let mut sent = orderers.order(1, 10).await;
    for round in 0..4_u64 {
        let clients = Clients::of(&orderers, &[1, 2, 3]);
        let is_there = round % 2 == 0;
        let change = if is_there {
            ["consenter", "remove", "--id", "4"].map(str::to_owned).to_vec()
        } else {
            [vec!["consenter".to_owned(), "add".to_owned()], orderers.described(4, 4)].concat()
        };
        let update = orderers.update(&orderers.config_block(1).await.unwrap(), &words(&change));
        broadcast(&orderers.endpoint(1), [update]).await.unwrap();
        // From before the config block is cut to after the new group has opened.
        tokio::time::sleep(std::time::Duration::from_millis(40 * round + 10)).await;
        for id in 1..=4 {
            orderers.kill(id);
        }
        for id in 1..=4 {
            orderers.start_again(id).await;
        }
        let (relation, since) = (if is_there { "follower" } else { "consenter" }, Instant::now());
        while orderers.info(4).await["consensusRelation"] != relation {
            assert!(since.elapsed() < PATIENCE, "round {round}: {}", tail(&orderers.said(4), 30));
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        sent.extend(clients.stop().await);
        orderers.check_chain_at(&[1, 2, 3], &sent).await;
    }
    sent.extend(orderers.order(4, 10).await);
    orderers.check_chain_at(&[1, 2, 3, 4], &sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_away_or_lost_everything_finds_where_its_channel_has_gone() {
    let mut orderers = Orderers::start_with_spare_keys().await;
    let genesis = orderers.genesis.clone();
    for id in 1..=4 {
        assert_eq!(join(orderers.admin(id), &genesis).await.status, 201);
    }
    let mut sent = orderers.order(3, 20).await;
    orderers.check_chain(&sent).await;
    orderers.start_again(5).await;
    orderers.kill(3);
    sent.extend(orderers.order(1, 10).await);
    let add = [vec!["consenter".to_owned(), "add".to_owned()], orderers.described(5, 5)].concat();
    let newest = orderers.change(1, &words(&add)).await;
    assert_eq!(join(orderers.admin(5), &newest).await.status, 201);
    sent.extend(orderers.order(2, 20).await);

    // The members of its old group still have what it lacks of it.
    orderers.start_again(3).await;
    sent.extend(orderers.order(3, 10).await);
    orderers.check_chain_at(&[1, 2, 3, 4, 5], &sent).await;

    // Without a disk it comes back as a stranger would: from the newest config block.
    orderers.kill(3);
    orderers.wipe(3);
    orderers.start_again(3).await;
    assert_eq!(join(orderers.admin(3), &newest).await.status, 201);
    orderers.wait_for_relation(3, "consenter", "active").await;
    sent.extend(orderers.order(3, 10).await);
    orderers.check_chain_at(&[1, 2, 3, 4, 5], &sent).await;
}
