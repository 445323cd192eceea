//! A replica that comes back while the others do not wait for it.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use mod_smart::certificate::VoteKind;
use mod_smart::{InstanceId, Limits, Record, View};
use world::{GROUP, World};

/// Requests one after the other, each to everybody, this far apart.
fn load(world: &mut World, sequences: std::ops::Range<u64>, apart: Duration) {
    for sequence in sequences {
        world.submit(&World::request(1, sequence));
        world.run(apart);
    }
}

/// The instances that this replica has written in.
fn votes(world: &World, node: u16) -> BTreeSet<InstanceId> {
    let vote = |record: &Record| match record {
        Record::Voted(vote) if vote.kind == VoteKind::Write => Some(vote.instance),
        _ => None,
    };
    world.node(node).journal.iter().filter_map(vote).collect()
}

/// What was said while it caught up is not said again. If it asks for decisions only when it cannot keep any more of what
/// comes early, it misses something each time, and takes part in every other dozen of instances: nobody else may fail then.
#[test]
fn a_replica_that_returns_under_load_soon_votes_in_every_instance_again() {
    for (window, seed) in [1, 2, 4, 16].into_iter().flat_map(|window| [(window, 1), (window, 2), (window, 3)]) {
        // No checkpoint: what is missing is in the logs of the others.
        let checkpoint_interval = 10_000;
        let limits =
            Limits { instances_open_max: window, batch_requests_max: 1, checkpoint_interval, ..Limits::default() };
        let mut world = World::new(View::flat(GROUP, 4).unwrap(), limits, seed);
        let apart = Duration::from_micros(if window == 1 { 4_000 } else { 1_500 });
        load(&mut world, 1..200, apart);
        world.crash(3);
        load(&mut world, 200..400, apart);
        world.restart(3);
        load(&mut world, 400..600, apart);
        let since = world.node(0).delivered.len() as u64;
        load(&mut world, 600..1000, apart);
        world.run(Duration::from_secs(2));
        world.check_safety();
        world.check_promises();
        let last = world.node(0).delivered.len() as u64;
        assert!(last > since + 200, "window {window}: {last} instances");
        let voted = votes(&world, 3);
        let missed: Vec<u64> = (since + 1..=last).filter(|id| !voted.contains(&InstanceId(*id))).collect();
        // A decision can be quicker than the proposal, now and then.
        let is_rare = missed.len() as u64 * 50 <= last - since;
        assert!(is_rare, "window {window}, seed {seed}: missed {} of {}: {missed:?}", missed.len(), last - since);
    }
}
