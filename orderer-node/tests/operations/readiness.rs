//! `/readyz`: each reason for which a part of the node is of no use, and nothing else.

use orderer_node::block_catch_up::{CatchUpReport, ChannelReport};
use orderer_node::operations::{Snapshot, readiness};
use orderer_node::participation::{ChannelStatus, ConsensusRelation};
use serde_json::json;

use super::http::get;
use super::node::{channel, serve, well};

/// The reasons after a change, each with its part.
fn reasons(change: impl FnOnce(&mut Snapshot)) -> Vec<String> {
    let mut snapshot = well();
    change(&mut snapshot);
    let parts = readiness(&snapshot).into_iter();
    parts.flat_map(|part| part.reasons.into_iter().map(move |reason| format!("{}: {reason}", part.component))).collect()
}

#[tokio::test]
async fn a_node_that_is_ready_lists_its_parts_and_one_that_is_not_gives_the_reason() {
    let served = serve(None, true).await;
    let answer = get("/readyz").send(served.address).await;
    let ready = |name: &str| json!({ "component": name, "ready": true });
    let expected = json!({
        "status": "OK", "time": "2027-01-15T08:00:00Z",
        "components": [ready("disk"), ready("group 01234567"), ready("channel mychannel"), ready("channel other")],
    });
    assert_eq!((answer.status, answer.json()), (200, expected));
    served.change(|snapshot| snapshot.node.groups[0].ordering.is_silent = true);
    let answer = get("/readyz").send(served.address).await;
    assert_eq!((answer.status, answer.json()["status"].as_str()), (503, Some("Service Unavailable")));
    let told = &answer.json()["components"][1];
    let expected = json!({
        "component": "group 01234567", "ready": false, "reasons": ["its disk was lost, and it waits to be readmitted"],
    });
    assert_eq!(*told, expected);
}

#[test]
fn a_group_is_unready_without_quorum_while_it_begins_and_while_it_catches_up() {
    let told = reasons(|snapshot| {
        let group = &mut snapshot.node.groups[0];
        group.ordering.has_quorum = false;
        group.ordering.is_synced = false;
        group.ordering.is_transferring = true;
        let missing = ChannelReport { channel: "mychannel".to_owned(), from: 4, to: 9 };
        group.catch_up = CatchUpReport { channels: vec![missing], ..CatchUpReport::default() };
    });
    let expected = [
        "group 01234567: no quorum: linked with 2 of 3 other nodes",
        "group 01234567: it is taking over the state of the others",
        "group 01234567: regency 5 has not begun",
        "group 01234567: blocks 4 to 9 of channel mychannel are being fetched",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_group_that_is_idle_is_ready_and_one_that_stands_still_is_not() {
    let told = |pending, progress| {
        reasons(|snapshot| {
            let ordering = &mut snapshot.node.groups[0].ordering;
            (ordering.pending_age_ms, ordering.progress_age_ms) = (pending, progress);
        })
    };
    assert!(told(None, Some(86_400_000)).is_empty(), "idle for a day");
    assert!(told(None, None).is_empty(), "never did anything");
    assert!(told(Some(60_000), Some(100)).is_empty(), "one request waits, others are ordered");
    let still = ["group 01234567: nothing was ordered for 20 s while requests wait"];
    assert_eq!(told(Some(20_000), Some(90_000)), still);
    assert_eq!(told(Some(20_000), None), still);
}

#[test]
fn a_block_that_cannot_be_read_is_named_and_concerns_its_channel_only() {
    let told = reasons(|snapshot| {
        snapshot.node.client_side.channels[0].damage = Some("block 7 cannot be read: why".to_owned());
    });
    let expected = "channel mychannel: a block file is damaged, and the node has to be started again to fetch its blocks from \
                    others: block 7 cannot be read: why";
    assert_eq!(told, [expected]);
}

/// One liar must not make the others look useless.
#[test]
fn a_claim_of_another_node_makes_nobody_unready() {
    assert!(reasons(|snapshot| snapshot.node.groups[0].ordering.highest_claimed = u64::MAX).is_empty());
}

#[test]
fn a_full_disk_is_a_reason() {
    let told = reasons(|snapshot| snapshot.disk.as_mut().unwrap().free_bytes = 7);
    assert_eq!(told, ["disk: 7 bytes are free, fewer than 1073741824"]);
    let told = reasons(|snapshot| snapshot.journal_disk.as_mut().unwrap().free_bytes = 9);
    assert_eq!(told, ["disk: 9 bytes are free for the journals, fewer than 1073741824"]);
    assert!(
        reasons(|snapshot| (snapshot.disk, snapshot.journal_disk) = (None, None)).is_empty(),
        "the system does not tell"
    );
}

#[test]
fn channels_are_unready_until_they_are_open_and_followers_need_not_be() {
    let state = |name: &'static str, relation| {
        reasons(move |snapshot| {
            snapshot.node.client_side.channels[0].state = name.to_owned();
            snapshot.channels[0].relation = relation;
        })
    };
    let opening = state("opening", ConsensusRelation::Consenter);
    assert_eq!(opening, ["channel mychannel: it is not open: too few of its consenters have joined it"]);
    assert!(state("opening", ConsensusRelation::Follower).is_empty());
    let errored = state("errored", ConsensusRelation::Follower);
    assert_eq!(errored, ["channel mychannel: its blocks can no longer be stored or collected"]);

    let onboarding = reasons(|snapshot| {
        let mut joined = channel("third", 3);
        joined.status = ChannelStatus::Onboarding;
        snapshot.channels.push(joined);
    });
    assert_eq!(onboarding, ["channel third: the blocks up to the one it was joined with are being fetched"]);
    let failed = reasons(|snapshot| snapshot.channels[1].status = ChannelStatus::Failed);
    assert_eq!(failed, ["channel other: the last operation on it failed"]);
}
