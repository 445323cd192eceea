//! The synchronization phase under good and bad weather: leaders that die, stay mute, come back, or are too slow.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::time::Duration;

use mod_smart::{Limits, Regency, ReplicaId, View};
use world::{GROUP, World};

const SECOND: Duration = Duration::from_secs(1);

fn submit(world: &mut World, sequences: std::ops::RangeInclusive<u64>) {
    for sequence in sequences {
        world.submit(&World::request(1, sequence));
    }
}

fn regency(world: &World, node: u16) -> Regency {
    world.nodes[usize::from(node)].replica.as_ref().unwrap().regency()
}

#[test]
fn a_dead_leader_is_replaced_and_nothing_acknowledged_is_lost() {
    for n in [4, 5, 6, 7, 10] {
        let mut world = World::flat(n, n as u64);
        submit(&mut world, 1..=20);
        world.run(SECOND);
        world.crash(0);
        submit(&mut world, 21..=40);
        world.run(2 * SECOND);
        world.check_safety();
        for node in 1..n as u16 {
            assert_eq!(world.delivered(node).len(), 40, "n = {n}, replica {node}");
            assert_eq!(regency(&world, node), Regency(1));
        }
        world.check_promises();
    }
}

#[test]
fn a_weighted_group_replaces_a_heavy_leader() {
    let heavy = [0, 1].map(ReplicaId).into_iter().collect();
    let mut world = World::new(View::weighted(GROUP, 1, 2, heavy).unwrap(), Limits::default(), 7);
    submit(&mut world, 1..=20);
    world.run(Duration::from_millis(5));
    world.crash(0);
    submit(&mut world, 21..=40);
    world.run(3 * SECOND);
    world.check_safety();
    assert_eq!(world.delivered(5).len(), 40);
}

#[test]
fn leaders_that_die_in_a_row_are_all_replaced() {
    let mut world = World::flat(7, 3);
    submit(&mut world, 1..=5);
    world.run(SECOND);
    world.crash(0);
    world.crash(1);
    submit(&mut world, 6..=20);
    world.run(5 * SECOND);
    world.check_safety();
    for node in 2..7 {
        assert_eq!(world.delivered(node).len(), 20);
        assert_eq!(regency(&world, node), Regency(2));
    }
}

#[test]
fn a_leader_cut_off_in_the_middle_of_a_vote_changes_nothing_that_was_decided() {
    for seed in 1..=60 {
        let mut world = World::flat(4, seed);
        submit(&mut world, 1..=30);
        world.run(Duration::from_micros(500 + seed * 137));
        for peer in 1..4 {
            world.cut.insert((ReplicaId(0), ReplicaId(peer)));
            world.cut.insert((ReplicaId(peer), ReplicaId(0)));
        }
        submit(&mut world, 31..=60);
        world.run(3 * SECOND);
        world.cut.clear();
        world.run(3 * SECOND);
        world.check_safety();
        for node in 0..4 {
            assert_eq!(world.delivered(node).len(), 60, "seed {seed}, replica {node}");
            assert_eq!(regency(&world, node), regency(&world, 1), "the old leader is corrected");
        }
        world.check_promises();
    }
}

#[test]
fn replicas_that_crash_while_the_regency_changes_go_on_where_they_were() {
    for seed in 1..=60 {
        let mut world = World::flat(4, seed);
        submit(&mut world, 1..=10);
        world.run(Duration::from_millis(2));
        world.crash(0);
        submit(&mut world, 11..=20);
        world.run(Duration::from_micros(795_000 + 317 * seed));
        for node in [1, 2, 3] {
            world.crash(node);
            world.run(Duration::from_micros(seed * 29));
            world.restart(node);
        }
        world.run(4 * SECOND);
        world.restart(0);
        world.run(3 * SECOND);
        world.check_safety();
        for node in 0..4 {
            assert_eq!(world.delivered(node).len(), 20, "seed {seed}, replica {node}");
        }
        world.check_promises();
    }
}

#[test]
fn nothing_changes_the_regency_of_an_idle_group() {
    let mut world = World::flat(4, 1);
    submit(&mut world, 1..=1);
    world.run(3600 * SECOND);
    for node in 0..4 {
        assert_eq!(regency(&world, node), Regency(0));
    }
}
