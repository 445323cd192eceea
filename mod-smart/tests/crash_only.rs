//! Groups whose replicas only crash: no WRITEs, a majority decides, and everything that holds elsewhere holds here.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::time::Duration;

use mod_smart::certificate::{Vote, VoteKind};
use mod_smart::message::Propose;
use mod_smart::{Client, Digest, Epoch, InstanceId, Limits, Message, Record, Regency, ReplicaId, View};
use world::{GROUP, Name, Packet, World};

const SECOND: Duration = Duration::from_secs(1);

fn views() -> Vec<View> {
    let weighted =
        |f: u16, delta| View::crash_only_weighted(GROUP, f.into(), delta, (0..f).map(ReplicaId).collect()).unwrap();
    let mut views: Vec<View> = [1, 2, 3, 4, 5, 7].map(|n| View::crash_only(GROUP, n).unwrap()).to_vec();
    views.extend([weighted(1, 0), weighted(1, 1), weighted(1, 3), weighted(2, 2)]);
    views
}

fn submit(world: &mut World, sequences: std::ops::RangeInclusive<u64>) {
    for sequence in sequences {
        world.submit(&World::request(1, sequence));
    }
}

fn check(world: &World, requests: usize) {
    world.check_safety();
    world.check_promises();
    for (node, state) in (0..).zip(&world.nodes) {
        assert!(state.replica.is_none() || world.delivered(node).len() == requests, "{:?}: {node}", world.view);
        assert!(state.reports.is_empty(), "{:?}", state.reports);
    }
}

#[test]
fn a_majority_decides_without_a_single_write() {
    for view in views() {
        let mut world = World::new(view.clone(), Limits::default(), 1);
        for crashed in 0..view.f() as u16 {
            world.crash(view.n() as u16 - 1 - crashed);
        }
        submit(&mut world, 1..=30);
        world.run(SECOND);
        check(&world, 30);
        let is_write = |record: &Record| matches!(record, Record::Voted(Vote { kind: VoteKind::Write, .. }));
        assert!(!world.nodes.iter().any(|node| node.journal.iter().any(is_write)));
    }
}

#[test]
fn as_many_leaders_as_may_crash_are_replaced_and_nothing_acknowledged_is_lost() {
    for view in views() {
        for seed in 1..=10 {
            let mut world = World::new(view.clone(), Limits::default(), seed);
            submit(&mut world, 1..=10);
            world.run(Duration::from_millis(seed));
            for leader in 0..view.f() as u16 {
                world.crash(leader);
            }
            submit(&mut world, 11..=20);
            world.run(10 * SECOND);
            check(&world, 20);
        }
    }
}

/// The one replica that holds a proposal is enough for it to bind: it may have decided it with one that crashed.
#[test]
fn what_one_survivor_accepted_is_proposed_again_and_nothing_else() {
    let mut world = World::new(View::crash_only(GROUP, 3).unwrap(), Limits::default(), 3);
    let [first, second] = [1, 2].map(|sequence| World::request(1, sequence));
    // Replicas 0 and 1 decide, and 2 hears of nothing.
    for unheard in [(0, 2), (1, 2)] {
        world.cut.insert((ReplicaId(unheard.0), ReplicaId(unheard.1)));
    }
    world.submit_to(&first, [0, 1]);
    world.run(Duration::from_millis(20));
    assert_eq!(world.delivered(0), [first.digest()]);
    world.crash(0);
    world.restart(1);
    world.cut.clear();
    world.submit_to(&second, [1, 2]);
    world.run(5 * SECOND);
    check(&world, 2);
    assert_eq!(world.delivered(2), [first.digest(), second.digest()]);
}

/// The new leader has to fetch the batch from the one that showed it, since no votes name anybody else.
#[test]
fn a_bound_batch_is_fetched_from_whoever_showed_it() {
    let mut world = World::new(View::crash_only(GROUP, 5).unwrap(), Limits::default(), 4);
    let request = World::request(1, 1);
    for hears_nothing in [1, 2, 3] {
        world.cut.insert((ReplicaId(0), ReplicaId(hears_nothing)));
        world.cut.insert((ReplicaId(4), ReplicaId(hears_nothing)));
    }
    world.submit_to(&request, [0, 4]);
    world.run(Duration::from_millis(20));
    assert!(world.delivered(4).is_empty(), "two of five are no majority");
    world.crash(0);
    world.cut.clear();
    world.submit_to(&World::request(1, 2), [1, 2, 3, 4]);
    world.run(8 * SECOND);
    check(&world, 2);
    assert_eq!(world.delivered(1).first(), Some(&request.digest()));
}

#[test]
fn replicas_that_lose_power_again_and_again_never_contradict_themselves() {
    for seed in 1..=30 {
        let limits = Limits { instances_open_max: 1 + seed % 4, batch_requests_max: 2, ..Limits::default() };
        let mut world = World::new(View::crash_only(GROUP, 3 + seed as usize % 3).unwrap(), limits, seed);
        world.loss_percent = 10;
        for round in 0..6 {
            submit(&mut world, round * 10 + 1..=round * 10 + 10);
            world.run(Duration::from_millis(1 + seed));
            let victim = (seed + round) as u16 % world.view.n() as u16;
            world.crash(victim);
            world.run(Duration::from_millis(700));
            world.restart(victim);
        }
        world.loss_percent = 0;
        submit(&mut world, 61..=61);
        world.run(10 * SECOND);
        world.check_safety();
        world.check_promises();
    }
}

#[test]
fn an_open_instance_whose_proposal_outlived_two_regencies_keeps_its_batch_through_a_restart() {
    let limits = Limits { checkpoint_interval: 2, ..Limits::default() };
    let mut world = World::new(View::crash_only(GROUP, 3).unwrap(), limits, 6);
    submit(&mut world, 1..=3);
    world.run(SECOND);
    world.crash(2);
    for sequence in 4..=20 {
        submit(&mut world, sequence..=sequence);
        world.run(Duration::from_millis(9));
        let victim = (sequence % 2) as u16;
        world.crash(victim);
        world.restart(victim);
    }
    world.restart(2);
    world.run(10 * SECOND);
    check(&world, 20);
}

/// What a WRITE would prove elsewhere it does not prove here: it must not make anybody accept.
#[test]
fn a_write_counts_for_nothing() {
    let mut world = World::new(View::crash_only(GROUP, 3).unwrap(), Limits::default(), 7);
    world.crash(0);
    let digest = Digest::of_batch(&[World::request(1, 1).digest()]);
    for voter in [0, 2].map(ReplicaId) {
        let vote = Vote { kind: VoteKind::Write, instance: InstanceId(1), epoch: Epoch(0), digest };
        let signed = vote.sign(GROUP, voter, &Name(Client::Replica(voter)));
        world.post(ReplicaId(1), Packet::Bytes(voter, Message::Vote(signed).encode()));
    }
    world.run(Duration::from_millis(50));
    assert!(world.node(1).journal.is_empty());
}

/// A replica of another fault model is none of this group; but if its proposal came here, its bodies would still be needed.
#[test]
fn nothing_is_accepted_before_its_bodies_are_durable() {
    let mut world = World::new(View::crash_only(GROUP, 3).unwrap(), Limits::default(), 8);
    world.crash(0);
    let requests = vec![World::request(1, 1).digest()];
    let propose = Propose { instance: InstanceId(1), epoch: Epoch(0), requests };
    world.post(ReplicaId(1), Packet::Bytes(ReplicaId(0), Message::Propose(propose).encode()));
    world.run(Duration::from_millis(50));
    assert!(world.node(1).journal.is_empty());
    world.submit_to(&World::request(1, 1), [1]);
    world.run(Duration::from_millis(50));
    let kinds: Vec<&str> = world.node(1).journal.iter().map(kind).collect();
    assert_eq!(kinds, ["body", "proposal", "certificate", "ACCEPT"]);
}

fn kind(record: &Record) -> &'static str {
    match record {
        Record::Body(_) => "body",
        Record::Proposed(_) => "proposal",
        Record::Certified(_) => "certificate",
        Record::Voted(Vote { kind: VoteKind::Accept, .. }) => "ACCEPT",
        _ => "something else",
    }
}

#[test]
fn a_wiped_replica_comes_back_and_takes_no_decision_with_it() {
    for (n, wiped) in [(3, 0), (3, 2), (4, 1), (5, 0)] {
        let limits = Limits { batch_requests_max: 2, checkpoint_interval: 10, ..Limits::default() };
        let mut world = World::new(View::crash_only(GROUP, n).unwrap(), limits, 20 + n as u64);
        for sequence in 1..=40 {
            submit(&mut world, sequence..=sequence);
            world.run(Duration::from_millis(4));
        }
        world.wipe(wiped);
        world.run(Duration::from_millis(5));
        world.start_silent(wiped);
        let mut sequence = 40;
        while world.replica(wiped).is_silent() && sequence < 400 {
            sequence += 1;
            submit(&mut world, sequence..=sequence);
            world.run(Duration::from_millis(4));
        }
        assert!(!world.replica(wiped).is_silent(), "n = {n}");
        world.crash((wiped + 1) % n as u16);
        submit(&mut world, sequence + 1..=sequence + 10);
        world.run(10 * SECOND);
        check(&world, sequence as usize + 10);
    }
}

/// A quorum may share nobody with another one but the replica that forgot. So it stays silent while the only other one that
/// may know what was decided with it is out of reach, though a majority answers.
#[test]
fn a_wiped_replica_waits_for_whoever_may_have_decided_with_it() {
    let mut world = World::new(View::crash_only(GROUP, 3).unwrap(), Limits::default(), 31);
    for unheard in [(0, 2), (1, 2)] {
        world.cut.insert((ReplicaId(unheard.0), ReplicaId(unheard.1)));
    }
    world.submit_to(&World::request(1, 1), [0, 1]);
    world.run(Duration::from_millis(20));
    assert_eq!(world.delivered(0).len(), 1);
    world.crash(0);
    world.wipe(1);
    world.cut.clear();
    world.start_silent(1);
    world.submit_to(&World::request(1, 2), [1, 2]);
    world.run(20 * SECOND);
    assert!(world.replica(1).is_silent());
    assert!(world.delivered(2).is_empty());
    world.restart(0);
    world.run(20 * SECOND);
    world.check_safety();
    assert_eq!(world.delivered(2).len(), 2);
}

#[test]
fn a_new_group_begins_when_all_its_members_have_met_also_if_some_started_twice() {
    for n in [1, 2, 3, 5] {
        let mut world = World::empty(View::crash_only(GROUP, n).unwrap(), Limits::default(), n as u64);
        for node in 0..n as u16 - 1 {
            world.start_silent(node);
        }
        submit(&mut world, 1..=3);
        world.run(SECOND);
        assert!(n == 1 || world.delivered(0).is_empty(), "n = {n}: one of them was not there");
        for node in (0..n as u16 - 1).rev().take(1) {
            world.crash(node);
            world.restart(node);
        }
        world.start_silent(n as u16 - 1);
        submit(&mut world, 1..=3);
        world.run(5 * SECOND);
        check(&world, 3);
        assert!(world.nodes.iter().all(|node| node.replica.as_ref().unwrap().regency() == Regency(0)));
    }
}
