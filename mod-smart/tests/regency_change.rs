//! The synchronization phase under good and bad weather: leaders that die, stay mute, come back, or are too slow.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use mod_smart::message::Status;
use mod_smart::replica::StopReason;
use mod_smart::{Epoch, InstanceId, Limits, Message, Record, Regency, ReplicaId, View};
use world::{GROUP, Packet, World};

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

#[test]
fn a_request_that_one_follower_alone_has_seen_is_ordered_by_its_offer_without_a_regency_change() {
    for (n, holder) in [(4, 1), (4, 2), (4, 3), (7, 6)] {
        let mut world = World::flat(n, 20 + u64::from(holder));
        world.submit_to(&World::request(1, 1), [holder]);
        world.run(Duration::from_millis(395));
        assert!((0..n as u16).all(|node| world.delivered(node).is_empty()), "nobody else knows of it");
        // The first expiry is at 400 ms; the second one, which would stop the leader, at 800 ms.
        world.run(Duration::from_millis(105));
        for node in 0..n as u16 {
            assert_eq!(world.delivered(node), [World::request(1, 1).digest()], "n = {n}, replica {node}");
        }
        world.run(2 * SECOND);
        for node in 0..n as u16 {
            assert_eq!(regency(&world, node), Regency(0));
            let asked = world.node(node).journal.iter().any(|record| matches!(record, Record::Stopped(_)));
            assert!(!asked, "n = {n}: replica {node} asked for another regency");
        }
    }
}

/// Found by the enumeration of Twins: leaders left out what stood in a proposal of a regency that was left, and waited for
/// other requests.
#[test]
fn what_everybody_wrote_in_vain_is_proposed_again_by_the_next_leader() {
    for n in [4, 5, 7] {
        let mut world = World::flat(n, 40 + n as u64);
        let all = 0..n as u16;
        // Everybody writes the only request there is, and nobody hears of another WRITE: there is no certificate, nothing binds.
        for node in &mut world.nodes {
            node.lie = Some(|message| (!matches!(message, Message::Vote(_))).then_some(message));
        }
        submit(&mut world, 1..=1);
        let has_left = |world: &World| all.clone().all(|node| regency(world, node) == Regency(1));
        assert!(world.run_until(2 * SECOND, has_left));
        for node in &mut world.nodes {
            let wrote = |record: &Record| matches!(record, Record::Voted(vote) if vote.epoch == Epoch(0));
            assert!(node.journal.iter().any(wrote), "n = {n}");
            node.lie = None;
        }
        world.run(SECOND);
        world.check_safety();
        for node in all {
            assert_eq!(world.delivered(node).len(), 1, "n = {n}, replica {node}");
            assert_eq!(regency(&world, node), Regency(1), "n = {n}, replica {node}");
        }
    }
}

/// The group without its last member goes on to this regency: proposals are lost until then.
fn change_regencies_without_the_last(world: &mut World, until: Regency) {
    let all = 0..world.view.n() as u16 - 1;
    for node in all.clone() {
        world.nodes[usize::from(node)].lie =
            Some(|message| (!matches!(message, Message::Propose(_))).then_some(message));
    }
    let is_there = |world: &World| all.clone().all(|node| regency(world, node) >= until);
    assert!(world.run_until(30 * SECOND, is_there));
    for node in all {
        world.nodes[usize::from(node)].lie = None;
    }
}

#[test]
fn a_replica_that_was_away_during_regency_changes_enters_the_current_one_at_one_stroke_by_its_proof() {
    let mut world = World::flat(5, 4);
    let last = ReplicaId(4);
    let links = |peers: std::ops::Range<u16>| -> BTreeSet<(ReplicaId, ReplicaId)> {
        peers.map(ReplicaId).flat_map(|peer| [(peer, last), (last, peer)]).collect()
    };
    let mut sequence = 0;
    // It would lead regency 4: the second time the others go past a leader that never answers.
    for until in [3, 6].map(Regency) {
        world.cut = links(0..4);
        let begun = regency(&world, 4);
        sequence += 1;
        world.submit_to(&World::request(1, sequence), 0..4);
        change_regencies_without_the_last(&mut world, until);
        world.run(SECOND);
        assert_eq!(world.delivered(0).len() as u64, sequence);
        assert_eq!(regency(&world, 4), begun, "it heard of nothing");
        let said_before = world.node(4).journal.len();
        // One of the others is heard again: too few heads to join anything, and enough to be shown a SYNC.
        world.cut = links(1..4);
        let seen = RefCell::new(BTreeSet::from([begun]));
        let has_caught_up = |world: &World| {
            seen.borrow_mut().insert(regency(world, 4));
            regency(world, 4) == until && world.replica(4).is_synced() && world.delivered(4) == world.delivered(0)
        };
        assert!(world.run_until(SECOND, has_caught_up), "one statement of standing is enough");
        assert_eq!(seen.into_inner(), BTreeSet::from([begun, until]), "none of the regencies between");
        let synced = |record: &Record| matches!(record, Record::Synced(sync) if sync.regency == until);
        let heard = &world.node(4).journal[said_before..];
        assert_eq!(heard.iter().filter(|record| synced(record)).count(), 1);
        let asked = |record: &Record| matches!(record, Record::Stopped(_) | Record::Entered(_));
        assert!(!heard.iter().any(asked), "it counted nobody's STOP, and said none");
        assert_eq!(world.replica(4).last_stop_reason(), Some(StopReason::Shown));
    }
    // Four of five decide only with its vote.
    world.cut.clear();
    world.crash(3);
    world.submit_to(&World::request(1, sequence + 1), [0, 1, 2, 4]);
    world.run(SECOND);
    world.check_safety();
    assert_eq!(world.delivered(4).len() as u64, sequence + 1);
    assert_eq!(regency(&world, 4), Regency(6));
}

#[test]
fn as_many_liars_as_are_tolerated_change_no_regency_however_often_they_ask_and_for_whatever() {
    for (n, f) in [(4, 1), (7, 2), (10, 3)] {
        let mut world = World::flat(n, 30 + n as u64);
        let honest = (n - f) as u16;
        (honest..n as u16).for_each(|liar| world.crash(liar));
        let standing = |regency: u64, wants: u64| Status {
            regency: Regency(regency),
            delivered: InstanceId(0),
            is_proposed: false,
            is_synced: true,
            wants: Regency(wants),
            is_silent: false,
            accept_time: 0,
            stable: InstanceId(0),
        };
        for round in 1..=200 {
            for (liar, to) in (honest..n as u16).flat_map(|liar| (0..honest).map(move |to| (liar, to))) {
                let asked = [1, round, 1 << (round % 64), u64::MAX].map(|regency| Message::Stop(Regency(regency)));
                let claims = [standing(round, round), standing(0, u64::MAX)].map(Message::Status);
                for message in asked.into_iter().chain(claims) {
                    world.post(ReplicaId(to), Packet::Bytes(ReplicaId(liar), message.encode()));
                }
            }
            world.submit_to(&World::request(1, round), 0..honest);
            world.run(Duration::from_millis(10));
        }
        world.run(3 * SECOND);
        world.check_safety();
        for node in 0..honest {
            assert_eq!(regency(&world, node), Regency(0), "n = {n}, replica {node}");
            assert_eq!(world.delivered(node).len(), 200);
            let said = |record: &Record| matches!(record, Record::Stopped(_) | Record::Entered(_));
            assert!(!world.node(node).journal.iter().any(said), "n = {n}, replica {node} joined");
        }
    }
}
