//! Power failures of nodes, as far as a process can have one: SIGKILL under load. Short forms of what the `campaign`
//! program does at length.

use std::time::Duration;

use frontend_shim::group_settings::WrittenSettings;
use integration::campaign::{
    AbsentPlan, HandOverPlan, KillingsPlan, LeaderFault, LeaderPlan, WipedPlan, absent, hand_over, killings, leader,
    wiped,
};
use integration::client::LoadPlan;
use integration::material::Cutting;
use integration::network::Network;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_is_replaced_in_time_comes_back_and_votes_again() {
    print!("{}", leader(&three_leaders(LeaderFault::Kill)).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_leader_is_replaced_in_time_and_corrected_without_another_regency_change_when_it_goes_on() {
    print!("{}", leader(&three_leaders(LeaderFault::Stop)).await.unwrap());
}

/// Nobody has to wait for a timeout: what that is, is the bound, but for a slow machine.
#[tokio::test(flavor = "multi_thread")]
async fn the_lead_is_handed_over_by_name_without_a_pause_or_an_accusation() {
    let gap_max = 3 * mod_smart::Limits::default().request_timeout;
    print!("{}", hand_over(&HandOverPlan { rounds: 3, load: LOAD, gap_max }).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lost_its_disk_catches_up_and_votes_again_for_one_regency_change() {
    print!("{}", wiped(&WipedPlan { rounds: 1, blocks_before: 50, load: LOAD }).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_and_nothing_forks_when_nodes_are_killed_at_random_points() {
    let plan = KillingsPlan { rounds: 5, seed: SEED, load: LOAD, settings: WrittenSettings::default() };
    print!("{}", killings(&plan).await.unwrap());
}

/// Blocks reach clients before they are decided, and several decisions are under way whenever a node dies.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_and_nothing_forks_when_blocks_leave_before_they_are_decided() {
    let settings = WrittenSettings { window: Some(4), tentative: Some(true), ..WrittenSettings::default() };
    print!("{}", killings(&KillingsPlan { rounds: 4, seed: SEED, load: LOAD, settings }).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_missed_a_thousand_blocks_catches_up_in_bounded_memory_while_the_others_go_on() {
    let plan = AbsentPlan {
        blocks: 1000,
        message_count_max: 1,
        load: LoadPlan { rate_per_s: 50, ..LOAD },
        resident_bytes_max: 256 << 20,
        patience: 2 * integration::site::PATIENCE,
    };
    print!("{}", absent(&plan).await.unwrap());
}

/// SIGTERM is the orderly way: the node says so and ends well.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_told_to_stop_ends_in_good_order() {
    let mut network = Network::start(&Cutting::default()).await.unwrap();
    let node = network.take(2).unwrap();
    let status = node.stop(nix::sys::signal::Signal::SIGTERM, integration::site::PATIENCE).unwrap();
    assert!(status.success(), "{status}");
    assert!(network.log(2).contains("stopping"), "{}", network.log(2));
}

/// One slow round in three may be the machine's fault.
fn three_leaders(fault: LeaderFault) -> LeaderPlan {
    LeaderPlan {
        fault,
        rounds: 3,
        away: Duration::from_secs(1),
        load: LOAD,
        gap_max: 3 * LeaderPlan::promise(),
        gap_median_max: LeaderPlan::promise(),
    }
}

const LOAD: LoadPlan = LoadPlan { rate_per_s: 100, data_bytes: 200 };
const SEED: u64 = 1;
