//! Tentative delivery: before the decision, taken back if it must be, and never against what a quorum was told.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::time::Duration;

use mod_smart::{Limits, Message, ReplicaId, View};
use world::{GROUP, World};

const SECOND: Duration = Duration::from_secs(1);

fn limits(window: u64) -> Limits {
    Limits { tentative: true, instances_open_max: window, batch_requests_max: 2, ..Limits::default() }
}

fn submit(world: &mut World, sequences: std::ops::RangeInclusive<u64>) {
    sequences.for_each(|sequence| world.submit(&World::request(1, sequence)));
}

#[test]
fn in_good_weather_everything_is_foretold_by_all_and_nothing_is_taken_back() {
    for window in [1, 4] {
        let mut world = World::new(View::flat(GROUP, 4).unwrap(), limits(window), window);
        submit(&mut world, 1..=40);
        world.run(2 * SECOND);
        world.check_safety();
        world.check_finality();
        assert_eq!(world.delivered(3).len(), 40);
        assert_eq!(world.retractions, 0);
        let all = world.foretold.values().filter(|by| world.view.is_quorum(by.keys().copied().collect())).count();
        assert_eq!(all, world.node(3).delivered.len(), "every instance by a quorum, window {window}");
    }
}

/// ACCEPTs are lost, so that nothing is decided: what was foretold is all that the application hears.
#[test]
fn a_batch_is_foretold_while_its_decision_is_under_way() {
    let mut world = World::new(View::flat(GROUP, 4).unwrap(), limits(1), 3);
    let without_accepts = |message: Message| match &message {
        Message::Vote(signed) if signed.vote.kind == mod_smart::certificate::VoteKind::Accept => None,
        _ => Some(message),
    };
    world.nodes.iter_mut().for_each(|node| node.lie = Some(without_accepts));
    submit(&mut world, 1..=2);
    world.run(Duration::from_millis(300));
    for node in 0..4 {
        assert_eq!((world.node(node).delivered.len(), world.node(node).ahead.len()), (0, 1));
    }
    world.nodes.iter_mut().for_each(|node| node.lie = None);
    world.run(3 * SECOND);
    world.check_safety();
    world.check_finality();
    assert_eq!(world.delivered(0).len(), 2);
}

#[test]
fn leaders_cut_off_in_the_middle_of_a_vote_make_nodes_take_back_but_nothing_that_was_final() {
    let (mut retractions, mut views) = (0, vec![View::flat(GROUP, 4).unwrap(), View::flat(GROUP, 5).unwrap()]);
    for delta in 1..=3 {
        views.push(View::weighted(GROUP, 1, delta, [0, 1].map(ReplicaId).into_iter().collect()).unwrap());
    }
    for view in views {
        for (seed, window) in (1..=40).flat_map(|seed| [(seed, 1), (seed, 3)]) {
            let mut world = World::new(view.clone(), limits(window), seed);
            world.loss_percent = 5;
            submit(&mut world, 1..=20);
            for leader in 0..3 {
                world.run(Duration::from_micros(900 + seed * 211));
                for peer in view.replicas().filter(|peer| peer.0 != leader) {
                    world.cut.insert((ReplicaId(leader), peer));
                    world.cut.insert((peer, ReplicaId(leader)));
                }
                submit(&mut world, 21 + u64::from(leader) * 20..=40 + u64::from(leader) * 20);
                world.run(Duration::from_millis(1_500));
                world.cut.clear();
            }
            world.loss_percent = 0;
            world.run(4 * SECOND);
            world.check_safety();
            world.check_finality();
            world.check_promises();
            assert_eq!(world.delivered(0).len(), 80, "seed {seed}, window {window}");
            retractions += world.retractions;
        }
    }
    assert!(retractions > 20, "only {retractions} were taken back: the test shows little");
}

#[test]
fn whoever_restarts_foretells_again_only_what_it_may() {
    for seed in 1..=40 {
        let mut world = World::new(View::flat(GROUP, 4).unwrap(), limits(3), seed);
        submit(&mut world, 1..=20);
        for step in 0..12 {
            world.run(Duration::from_micros(400 + seed * 97 + step * 31));
            let node = (step % 4) as u16;
            world.crash(node);
            world.run(Duration::from_millis(if step % 5 == 4 { 900 } else { 1 }));
            world.restart(node);
        }
        submit(&mut world, 21..=30);
        world.run(4 * SECOND);
        world.check_safety();
        world.check_finality();
        world.check_promises();
        assert_eq!(world.delivered(1).len(), 30, "seed {seed}");
    }
}
