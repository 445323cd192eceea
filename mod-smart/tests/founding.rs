//! The first start of a group, complete or not, and of members that come later.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::time::Duration;

use mod_smart::{Limits, Regency, View};
use world::{GROUP, World};

const SECOND: Duration = Duration::from_secs(1);

fn limits() -> Limits {
    Limits { batch_requests_max: 2, checkpoint_interval: 10, ..Limits::default() }
}

fn load(world: &mut World, sequences: std::ops::RangeInclusive<u64>) {
    for sequence in sequences {
        world.submit(&World::request(1, sequence));
        world.run(Duration::from_millis(4));
    }
}

fn regency(world: &World, node: u16) -> Regency {
    world.replica(node).regency()
}

fn check_all_delivered(world: &World, requests: usize) {
    world.check_safety();
    world.check_promises();
    for (node, state) in (0..).zip(&world.nodes) {
        assert!(state.replica.is_none() || world.delivered(node).len() == requests, "replica {node}");
    }
}

#[test]
fn a_new_group_whose_disks_are_all_empty_begins_in_its_first_regency() {
    for (n, seed) in [1, 2, 3, 4, 5, 7, 10].into_iter().flat_map(|n| (1..=10).map(move |seed| (n, seed))) {
        let mut world = World::empty(View::flat(GROUP, n).unwrap(), limits(), seed);
        for node in 0..n as u16 {
            let pause = world.random(50_000);
            world.run(Duration::from_micros(pause));
            world.start_silent(node);
        }
        // Those that begin first may vote before the last ones have asked everybody.
        load(&mut world, 1..=20);
        world.run(SECOND);
        check_all_delivered(&world, 20);
        for node in 0..n as u16 {
            assert!(!world.replica(node).is_silent());
            assert_eq!(regency(&world, node), Regency(0), "n = {n}, replica {node}");
        }
    }
}

#[test]
fn a_new_group_begins_without_a_missing_member_which_joins_under_load() {
    for missing in 0..4 {
        let mut world = World::empty(View::flat(GROUP, 4).unwrap(), limits(), u64::from(missing));
        let present = || (0..4).filter(|node| *node != missing);
        present().for_each(|node| world.start_silent(node));
        load(&mut world, 1..=20);
        world.run(8 * SECOND);
        check_all_delivered(&world, 20);
        assert!(present().all(|node| !world.replica(node).is_silent() && regency(&world, node) >= Regency(1)));
        // A restart forgets who was heard, so the newcomer is not believed to be one.
        world.crash((missing + 2) % 4);
        world.restart((missing + 2) % 4);
        world.start_silent(missing);
        world.run(5 * SECOND);
        assert!(world.replica(missing).is_silent(), "an idle group has no checkpoint to stand on");
        load(&mut world, 21..=150);
        world.run(3 * SECOND);
        check_all_delivered(&world, 150);
        assert!(!world.replica(missing).is_silent(), "missing {missing}");
        world.crash((missing + 1) % 4);
        load(&mut world, 151..=160);
        world.run(5 * SECOND);
        check_all_delivered(&world, 160);
    }
}

#[test]
fn a_member_that_comes_for_the_first_time_speaks_at_once_though_the_group_has_begun() {
    let mut world = World::empty(View::flat(GROUP, 4).unwrap(), limits(), 8);
    (0..3).for_each(|node| world.start_silent(node));
    load(&mut world, 1..=20);
    world.run(5 * SECOND);
    let reigned = regency(&world, 0);
    world.start_silent(3);
    world.run(SECOND);
    assert!(!world.replica(3).is_silent(), "nobody has ever heard it");
    world.crash(1);
    load(&mut world, 21..=40);
    world.run(5 * SECOND);
    check_all_delivered(&world, 40);
    assert!(regency(&world, 3).0 <= reigned.0 + 1, "only the dead one can have been replaced");
    // From now on it is like any other: when its disk is lost it has something to forget.
    world.restart(1);
    world.wipe(3);
    world.start_silent(3);
    world.run(5 * SECOND);
    assert!(world.replica(3).is_silent());
}
