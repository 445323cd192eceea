//! A leader hands over to a named replica, and the order in which leaders take turns.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::time::Duration;

use mod_smart::replica::StopReason;
use mod_smart::{Event, Limits, Regency, ReplicaId, View};
use world::{GROUP, World};

const SECOND: Duration = Duration::from_secs(1);

fn limits(alpha: u64) -> Limits {
    Limits { instances_open_max: alpha, batch_requests_max: 2, ..Limits::default() }
}

fn load(world: &mut World, sequences: std::ops::RangeInclusive<u64>) {
    for sequence in sequences {
        world.submit(&World::request(1, sequence));
        world.run(Duration::from_millis(1));
    }
}

fn check(world: &World, regency: u64, requests: usize) {
    world.check_safety();
    world.check_promises();
    for (node, state) in (0..).zip(&world.nodes) {
        assert_eq!(world.replica(node).regency(), Regency(regency), "replica {node}");
        assert_eq!(world.delivered(node).len(), requests, "replica {node}");
        assert!(state.reports.is_empty(), "{:?}", state.reports);
    }
}

#[test]
fn a_hand_over_under_load_costs_no_request_and_ends_with_the_named_leader() {
    let heavy = [0, 1].map(ReplicaId).into_iter().collect();
    let views = [
        View::flat(GROUP, 4).unwrap(),
        View::weighted(GROUP, 1, 1, heavy).unwrap(),
        View::crash_only(GROUP, 3).unwrap(),
    ];
    for view in views {
        for (seed, alpha) in [(1, 1), (2, 3), (3, 16)] {
            let mut world = World::new(view.clone(), limits(alpha), seed);
            load(&mut world, 1..=30);
            world.submit(&World::hand_over(0, 0, 2));
            load(&mut world, 31..=80);
            world.run(2 * SECOND);
            check(&world, 2, 81);
            assert_eq!(world.replica(1).leader(), ReplicaId(2));
            let reasons = || world.nodes.iter().map(|node| node.replica.as_ref().unwrap().last_stop_reason());
            assert!(reasons().any(|reason| reason == Some(StopReason::HandedOver)));
            let is_peaceful =
                |reason| matches!(reason, Some(StopReason::HandedOver | StopReason::Joined | StopReason::Shown));
            assert!(reasons().all(is_peaceful), "nobody was accused");
        }
    }
}

#[test]
fn a_hand_over_of_another_regency_does_nothing() {
    let mut world = World::flat(4, 5);
    world.crash(0);
    load(&mut world, 1..=5);
    world.run(2 * SECOND);
    world.restart(0);
    load(&mut world, 6..=10);
    // What the leader of the first regency asked comes to its turn in the second one.
    world.submit(&World::hand_over(0, 0, 3));
    world.run(2 * SECOND);
    check(&world, 1, 11);
}

#[test]
fn a_hand_over_to_whoever_leads_or_to_nobody_does_nothing() {
    for to in [0, 4, 900] {
        let mut world = World::flat(4, 6);
        world.submit(&World::hand_over(0, 0, to));
        load(&mut world, 1..=5);
        world.run(2 * SECOND);
        check(&world, 0, 6);
    }
}

#[test]
fn fewer_than_any_correct_that_believe_in_a_hand_over_change_nothing() {
    let mut world = World::flat(4, 7);
    load(&mut world, 1..=5);
    world.handle(ReplicaId(3), Event::HandOver { regency: Regency(0), to: ReplicaId(2) });
    load(&mut world, 6..=10);
    world.run(2 * SECOND);
    check(&world, 0, 10);
}

/// Two liars that hand over to each other again and again would never be judged.
#[test]
fn the_same_leader_is_obeyed_once_in_a_while_only() {
    let limits = Limits { hand_over_interval: 20 * SECOND, ..limits(1) };
    let mut world = World::new(View::flat(GROUP, 4).unwrap(), limits, 8);
    world.submit(&World::hand_over(0, 0, 1));
    world.run(SECOND);
    world.submit(&World::hand_over(1, 1, 0));
    world.run(SECOND);
    check(&world, 4, 2);
    world.submit(&World::hand_over(0, 4, 1));
    world.run(SECOND);
    check(&world, 4, 3);
    world.run(20 * SECOND);
    world.submit(&World::hand_over(1, 4, 1));
    world.run(SECOND);
    check(&world, 5, 4);
}

#[test]
fn a_hand_over_that_is_heard_again_after_a_restart_does_nothing_new() {
    let mut world = World::flat(4, 9);
    load(&mut world, 1..=5);
    world.submit(&World::hand_over(0, 0, 3));
    world.run(SECOND);
    for node in 0..4 {
        world.crash(node);
    }
    for node in 0..4 {
        world.restart(node);
    }
    load(&mut world, 6..=10);
    world.run(SECOND);
    check(&world, 3, 11);
}

#[test]
fn the_named_one_is_dead_and_the_next_one_leads() {
    let mut world = World::flat(4, 10);
    load(&mut world, 1..=5);
    world.crash(2);
    world.submit(&World::hand_over(0, 0, 2));
    load(&mut world, 6..=20);
    world.run(5 * SECOND);
    world.restart(2);
    world.run(2 * SECOND);
    check(&world, 3, 21);
}

#[test]
fn leaders_take_turns_in_the_order_of_the_view() {
    let view = View::flat(GROUP, 4).unwrap().with_leaders(&[2, 0].map(ReplicaId)).unwrap();
    let mut world = World::new(view, limits(1), 11);
    load(&mut world, 1..=5);
    world.run(SECOND);
    assert_eq!(world.replica(1).leader(), ReplicaId(2));
    world.crash(2);
    load(&mut world, 6..=10);
    world.run(3 * SECOND);
    assert_eq!((world.replica(1).regency(), world.replica(1).leader()), (Regency(1), ReplicaId(0)));
    world.restart(2);
    world.submit(&World::hand_over(0, 1, 1));
    world.run(3 * SECOND);
    // The order is 2, 0, 1, 3.
    check(&world, 2, 11);
    assert_eq!(world.replica(3).leader(), ReplicaId(1));
}
