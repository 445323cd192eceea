//! A real peer and Fabric's tools while the consenters of their channel change under load.

use fabric_proto::common::Status;
use integration::site::wait_until;
use nix::sys::signal::Signal;

use crate::clients::Clients;
use crate::consenters;
use crate::orderers::CHANNEL;
use crate::release::Fabric;
use crate::renewal::renew;
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_follows_while_a_consenter_comes_one_goes_and_one_rotates_its_certificates_under_load() {
    let Some(fabric) = Fabric::v3(SUCCESSION) else { return };
    consenters_come_go_and_rotate(&fabric).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_of_v2_5_follows_while_a_consenter_comes_one_goes_and_one_rotates_its_certificates_under_load() {
    let Some(fabric) = Fabric::v2_5(SUCCESSION) else { return };
    consenters_come_go_and_rotate(&fabric).await;
}

async fn consenters_come_go_and_rotate(fabric: &Fabric) {
    let mut stage = Stage::set(fabric).await;
    let (office, release) = ([stage.orderers.keys.orderer_administrator()], fabric.release);
    let messages = |groups: &mut serde_json::Value| {
        groups["Orderer"]["values"]["BatchSize"]["value"]["max_message_count"] = 20.into();
    };
    stage.change(&office, messages).await.unwrap();
    let clients = Clients::wandering(&stage.orderers, &[1, 2, 3, 4], 3);

    // It begins with the newest config block, and has all blocks before it counts.
    stage.orderers.start_again(5).await;
    stage.peer.fetch("config", CHANNEL).unwrap();
    stage.join(5, &stage.peer.block_file("config").display().to_string());
    stage.wait_for_relation(5, "follower").await;
    let sources = stage.peer.block_source_changes();
    let add = |groups: &mut serde_json::Value| {
        consenters::add(groups, release, &stage.orderers, 5);
        consenters::endpoints(groups).push(stage.orderers.address(5).into());
    };
    stage.change(&office, add).await.unwrap();
    stage.wait_for_relation(5, "consenter").await;
    // With the endpoints it chooses anew where its blocks come from.
    let has_chosen = async || Ok(stage.peer.block_source_changes() > sources);
    wait_until("the peer has chosen among the endpoints", has_chosen).await.unwrap();
    stage.peer_follows().await;

    // The one that the peer has its blocks from goes. A follower serves nobody, so the peer turns to another one.
    let source = stage.peer.block_source().unwrap();
    let leaving = u16::try_from(source).unwrap() + 1;
    let staying: Vec<u16> = (1..=5).filter(|id| *id != leaving).collect();
    stage.peer.turn_to(usize::from(staying[3]) - 1);
    let remove = |groups: &mut serde_json::Value| consenters::remove(groups, release, &stage.orderers, leaving);
    stage.change(&office, remove).await.unwrap();
    stage.wait_for_relation(leaving, "follower").await;
    let has_left = async || Ok(stage.peer.block_source()? != source);
    wait_until("the peer has its blocks from somebody else", has_left).await.unwrap();
    stage.peer_follows().await;
    let answer = stage.answer(leaving, &stage.orderers.user).await;
    assert_eq!(answer, (Status::BadRequest, "channel does not exist".to_owned()));
    let address = stage.orderers.address(leaving);
    stage.change(&office, |groups| consenters::endpoints(groups).retain(|it| *it != address)).await.unwrap();
    stage.peer_follows().await;
    stage.orderers.stop(leaving, Signal::SIGTERM).await;

    // Renewed certificates of the same keys: nobody moves.
    let (rotating, witness) = (staying[0], staying[1]);
    let moves = |stage: &Stage| stage.orderers.said(witness).matches(MOVED).count();
    let before = moves(&stage);
    assert!(before > 0, "{}", stage.orderers.said(witness));
    renew(&stage.orderers.keys, rotating);
    let replace =
        |groups: &mut serde_json::Value| consenters::replace(groups, release, &stage.orderers, rotating, rotating);
    stage.change(&office, replace).await.unwrap();
    stage.orderers.stop(rotating, Signal::SIGTERM).await;
    stage.orderers.start_again(rotating).await;
    stage.wait_for_relation(rotating, "consenter").await;
    stage.peer_follows().await;
    assert_eq!(moves(&stage), before, "{}", stage.orderers.said(witness));

    // New keys.
    let replace =
        |groups: &mut serde_json::Value| consenters::replace(groups, release, &stage.orderers, rotating, SPARE);
    stage.change(&office, replace).await.unwrap();
    stage.wait_for_relation(rotating, "follower").await;
    stage.orderers.stop(rotating, Signal::SIGTERM).await;
    stage.orderers.change_keys(rotating, SPARE);
    stage.orderers.start_again(rotating).await;
    stage.wait_for_relation(rotating, "consenter").await;
    stage.peer_follows().await;
    assert_eq!(moves(&stage), before + 1, "{}", stage.orderers.said(witness));

    // What is in its blocks is there once, also in those that came while the peer was down.
    stage.peer.stop().unwrap();
    stage.order(rotating, 10).await;
    stage.was_taken(clients.stop().await);
    stage.peer.start_again().unwrap();
    stage.check_at(&staying).await;
}

const SUCCESSION: &str = "a real peer while consenters change";
/// Whose keys nobody has yet.
const SPARE: u16 = 6;
/// What a node says when its channel goes to another group.
const MOVED: &str = "the channel has new consenters";
