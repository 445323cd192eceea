//! The first start of a group, complete or not, and of members that come later.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::time::Duration;

use mod_smart::certificate::{Vote, VoteKind};
use mod_smart::message::Propose;
use mod_smart::{Client, Digest, Epoch, InstanceId, Limits, Message, Regency, ReplicaId, View};

use world::{GROUP, Name, World};

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

/// Says to whoever asks that there was a past, and that the asker had a part in it.
fn claim_a_past(message: Message) -> Option<Message> {
    Some(match message {
        Message::ProbeReply(mut reply) => {
            reply.is_pristine = false;
            reply.is_stranger = false;
            reply.wants = Regency(1000);
            Message::ProbeReply(reply)
        }
        other => other,
    })
}

/// Without proofs a past is a claim like any other: the group begins in regency 1, where nothing can have been said; or in
/// the one after it, where a member came so late that the others wanted regency 1 already.
#[test]
fn a_new_group_whose_disks_are_all_empty_begins_though_a_liar_claims_that_there_was_a_past() {
    for (liar, seed) in (0..4).flat_map(|liar| (1..=10).map(move |seed| (liar, seed))) {
        let mut world = World::empty(View::flat(GROUP, 4).unwrap(), limits(), seed);
        world.nodes[usize::from(liar)].lie = Some(claim_a_past);
        for node in 0..4 {
            let pause = world.random(50_000);
            world.run(Duration::from_micros(pause));
            world.start_silent(node);
        }
        let honest = || (0..4).filter(|node| *node != liar);
        let has_begun = |world: &World| honest().all(|node| !world.replica(node).is_silent());
        assert!(world.run_until(2 * SECOND, has_begun), "liar {liar}, seed {seed}: nobody is waited for");
        load(&mut world, 1..=20);
        world.run(SECOND);
        check_all_delivered(&world, 20);
        for node in honest() {
            let begun_in = regency(&world, node);
            assert!((1..=2).contains(&begun_in.0), "liar {liar}, seed {seed}, replica {node}: {begun_in}");
        }
    }
}

/// Votes instead of asking, as if there were something to vote on.
fn vote_first(message: Message) -> Option<Message> {
    let Message::Probe(_) = message else { return Some(message) };
    let (instance, epoch, digest) = (InstanceId(1), Epoch(0), Digest([7; 32]));
    let vote = Vote { kind: VoteKind::Write, instance, epoch, digest };
    Some(Message::Vote(vote.sign(GROUP, ReplicaId(3), &Name(Client::Replica(ReplicaId(3))))))
}

/// Proposes instead of asking, in the regency that it leads.
fn propose_first(message: Message) -> Option<Message> {
    let Message::Probe(_) = message else { return Some(message) };
    Some(Message::Propose(Propose { instance: InstanceId(1), epoch: Epoch(0), requests: vec![Digest([7; 32])] }))
}

#[test]
fn a_new_group_whose_disks_are_all_empty_begins_though_a_liar_speaks_before_everybody_else() {
    for (liar, seed) in [0, 3].into_iter().flat_map(|liar| (1..=10).map(move |seed| (liar, seed))) {
        let mut world = World::empty(View::flat(GROUP, 4).unwrap(), limits(), seed);
        world.nodes[usize::from(liar)].lie = Some(if liar == 0 { propose_first } else { vote_first });
        world.start_silent(liar);
        for node in (0..4).filter(|node| *node != liar) {
            world.start_silent(node);
        }
        let has_begun =
            |world: &World| (0..4).filter(|node| *node != liar).all(|node| !world.replica(node).is_silent());
        assert!(world.run_until(2 * SECOND, has_begun), "liar {liar}, seed {seed}: what a liar says binds nobody");
        load(&mut world, 1..=20);
        world.run(2 * SECOND);
        check_all_delivered(&world, 20);
    }
}

#[test]
fn a_liar_that_calls_the_group_new_to_one_and_old_to_the_others_divides_nobody() {
    for seed in 1..=20 {
        let mut world = World::empty(View::flat(GROUP, 4).unwrap(), limits(), seed);
        world.cut = [1, 2].map(|peer| (ReplicaId(3), ReplicaId(peer))).into_iter().collect();
        (0..4).for_each(|node| world.start_silent(node));
        world.run(Duration::from_millis(50));
        assert!(!world.replica(0).is_silent(), "it is told that the group is new");
        assert!(world.replica(1).is_silent() && world.replica(2).is_silent());
        world.nodes[3].lie = Some(claim_a_past);
        world.cut.clear();
        // Replica 0 leads regency 0 and proposes at once.
        load(&mut world, 1..=20);
        world.run(2 * SECOND);
        check_all_delivered(&world, 20);
        for node in 0..3 {
            assert!(!world.replica(node).is_silent());
            assert!(regency(&world, node) <= Regency(1), "seed {seed}, replica {node}: {}", regency(&world, node));
        }
    }
}
