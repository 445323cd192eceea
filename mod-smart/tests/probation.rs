//! Replicas that lost their disk: silent until nothing they may have signed can do harm, then members like any other.
//! The world itself checks that no replica ever contradicts what it signed in an earlier life.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::time::Duration;

use mod_smart::message::Status;
use mod_smart::{InstanceId, Limits, Message, Record, Regency, ReplicaId, View};
use world::{GROUP, Packet, World};

const SECOND: Duration = Duration::from_secs(1);

fn limits() -> Limits {
    Limits { batch_requests_max: 2, checkpoint_interval: 10, ..Limits::default() }
}

fn world(n: usize, seed: u64) -> World {
    World::new(View::flat(GROUP, n).unwrap(), limits(), seed)
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
fn a_wiped_replica_is_silent_until_it_is_safe_and_costs_one_regency_change() {
    for wiped in 0..4 {
        let mut world = world(4, 10 + u64::from(wiped));
        load(&mut world, 1..=50);
        let before = world.replica((wiped + 1) % 4).delivered();
        world.wipe(wiped);
        world.run(Duration::from_millis(5));
        world.start_silent(wiped);
        assert!(world.replica(wiped).is_silent());
        let caught_up = |world: &World| world.replica(wiped).delivered() >= before;
        assert!(world.run_until(3 * SECOND, caught_up));
        assert!(world.replica(wiped).is_silent(), "having caught up is not enough");
        let reigned = regency(&world, (wiped + 1) % 4);
        let mut sequence = 50;
        while world.replica(wiped).is_silent() && sequence < 300 {
            sequence += 1;
            load(&mut world, sequence..=sequence);
        }
        assert!(!world.replica(wiped).is_silent());
        let stable = world.node(wiped).checkpoints.stable.as_ref().unwrap().instance();
        assert!(stable.0 >= before.0 + 2, "a stable checkpoint beyond anything it can have voted for");
        load(&mut world, sequence + 1..=sequence + 10);
        world.run(2 * SECOND);
        let leader_was_wiped = u64::from(wiped == 0);
        for node in 0..4 {
            let changes = regency(&world, node).0 - reigned.0;
            assert!(changes <= 1 + leader_was_wiped, "{changes} changes when {wiped} was wiped");
        }
        world.crash((wiped + 2) % 4);
        load(&mut world, sequence + 11..=sequence + 20);
        world.run(5 * SECOND);
        check_all_delivered(&world, sequence as usize + 20);
    }
}

#[test]
fn a_replica_wiped_at_any_moment_never_contradicts_what_it_signed_before() {
    for seed in 1..=150 {
        let limits = Limits { instances_open_max: 1 + seed / 2 % 3, ..limits() };
        let mut world = World::new(View::flat(GROUP, 4).unwrap(), limits, seed);
        let wiped = world.random(4) as u16;
        let mut sequence = 0;
        let mut submit = |world: &mut World, count: u64| {
            for _ in 0..count {
                sequence += 1;
                world.submit(&World::request(1, sequence));
                let pause = world.random(4000);
                world.run(Duration::from_micros(pause));
            }
        };
        let warm_up = world.random(20);
        submit(&mut world, warm_up);
        if seed % 3 == 0 {
            // A regency change is under way at the time.
            let leader = world.replica(wiped).leader();
            world.cut = (0..4).map(|peer| (leader, ReplicaId(peer))).collect();
            submit(&mut world, 10);
            let pause = world.random(1_200_000);
            world.run(Duration::from_micros(pause));
        }
        world.wipe(wiped);
        let pause = world.random(20_000);
        world.run(Duration::from_micros(pause));
        world.cut.clear();
        world.start_silent(wiped);
        world.loss_percent = seed % 4 * 5;
        submit(&mut world, 250);
        world.run(10 * SECOND);
        world.loss_percent = 0;
        submit(&mut world, 50);
        world.run(10 * SECOND);
        world.check_safety();
        world.check_promises();
        assert!(!world.replica(wiped).is_silent(), "seed {seed}");
        let counts: Vec<usize> = (0..4).map(|node| world.delivered(node).len()).collect();
        assert!(counts.iter().all(|count| *count as u64 == sequence), "seed {seed}: {counts:?} of {sequence}");
    }
}

#[test]
fn replicas_wiped_one_after_the_other_are_all_readmitted() {
    let mut world = world(4, 3);
    load(&mut world, 1..=30);
    let mut sequence = 30;
    for wiped in [1, 3, 0, 2, 1] {
        world.wipe(wiped);
        world.start_silent(wiped);
        while world.replica(wiped).is_silent() {
            assert!(sequence < 2000, "replica {wiped} is silent for ever");
            sequence += 1;
            load(&mut world, sequence..=sequence);
            if sequence % 50 == 0 {
                world.run(300 * SECOND);
            }
        }
    }
    world.run(3 * SECOND);
    check_all_delivered(&world, sequence as usize);
}

#[test]
fn a_restart_in_probation_stays_in_probation() {
    for seed in 1..=10 {
        let mut world = world(4, seed);
        load(&mut world, 1..=50);
        world.wipe(2);
        world.start_silent(2);
        let mut sequence = 50;
        for pause in [0, 1, 3, 50, 600] {
            world.run(Duration::from_millis(pause));
            world.crash(2);
            world.restart(2);
            assert!(world.replica(2).is_silent(), "after {pause} ms");
            sequence += 1;
            load(&mut world, sequence..=sequence);
            assert!(world.node(2).said.votes() > 0 && world.replica(2).is_silent());
        }
        // In the middle of being readmitted, too.
        while world.replica(2).is_silent() && sequence < 400 {
            sequence += 1;
            load(&mut world, sequence..=sequence);
            if sequence % 7 == 0 {
                world.crash(2);
                world.restart(2);
            }
        }
        assert!(!world.replica(2).is_silent(), "seed {seed}");
        assert!(world.node(2).journal.contains(&Record::Readmitted));
        world.crash(2);
        world.restart(2);
        assert!(!world.replica(2).is_silent(), "and a restart after it is an ordinary one");
        load(&mut world, sequence + 1..=sequence + 40);
        world.crash(2);
        world.restart(2);
        assert!(!world.replica(2).is_silent(), "even when the journal was cut since");
        world.run(3 * SECOND);
        check_all_delivered(&world, sequence as usize + 40);
    }
}

#[test]
fn a_silence_that_lasts_through_many_checkpoints_survives_a_restart() {
    let mut world = world(4, 9);
    load(&mut world, 1..=50);
    let mut sequence = 50;
    world.wipe(2);
    world.start_silent(2);
    while world.replica(2).is_silent() {
        assert!(sequence < 400);
        sequence += 1;
        load(&mut world, sequence..=sequence);
    }
    // Lost again: nobody changes the regency for the same replica twice in a short time.
    world.wipe(2);
    world.start_silent(2);
    load(&mut world, sequence + 1..=sequence + 200);
    assert!(world.replica(2).is_silent());
    let journal = &world.node(2).journal;
    let silent = |record: &Record| matches!(record, Record::Silent(_));
    assert!(journal.iter().any(silent) && !silent(&journal[0]), "the journal was cut, and begins with a mark");
    world.crash(2);
    world.restart(2);
    assert!(world.replica(2).is_silent());
    world.run(700 * SECOND);
    load(&mut world, sequence + 201..=sequence + 220);
    world.run(3 * SECOND);
    assert!(!world.replica(2).is_silent());
    check_all_delivered(&world, sequence as usize + 220);
}

#[test]
fn a_replica_that_lost_its_journal_goes_on_from_its_checkpoint_in_silence() {
    let mut world = world(4, 4);
    load(&mut world, 1..=50);
    let newest = world.node(1).checkpoints.newest().unwrap().instance;
    world.crash(1);
    load(&mut world, 51..=100);
    world.start_silent(1);
    assert_eq!(world.replica(1).delivered(), newest);
    assert!(world.replica(1).is_silent());
    load(&mut world, 101..=200);
    world.run(3 * SECOND);
    assert!(!world.replica(1).is_silent());
    check_all_delivered(&world, 200);
}

#[test]
fn a_replica_wiped_beyond_the_log_takes_over_the_state_and_is_readmitted() {
    let mut world = world(4, 5);
    load(&mut world, 1..=200);
    world.wipe(3);
    load(&mut world, 201..=300);
    world.start_silent(3);
    world.run(2 * SECOND);
    assert_eq!(world.replica(3).delivered(), world.replica(0).delivered());
    assert!(!world.chunks_sent.is_empty());
    load(&mut world, 301..=400);
    world.run(2 * SECOND);
    assert!(!world.replica(3).is_silent());
    check_all_delivered(&world, 400);
}

/// Says that it wants the last regency there is, and that it is nobody's business where it stands.
fn exaggerate(message: Message) -> Option<Message> {
    Some(match message {
        Message::ProbeReply(mut reply) => {
            reply.wants = Regency(u64::MAX);
            reply.is_pristine = true;
            reply.is_stranger = true;
            reply.delivered = mod_smart::Evidence::Start;
            Message::ProbeReply(reply)
        }
        other => other,
    })
}

#[test]
fn a_liar_can_neither_keep_a_wiped_replica_silent_nor_make_it_speak_too_early() {
    for seed in 1..=5 {
        let mut world = world(7, seed);
        world.nodes[1].lie = Some(exaggerate);
        load(&mut world, 1..=50);
        let before = world.replica(0).delivered();
        world.wipe(6);
        // The liar is among the first to answer.
        world.cut = [3, 4, 5].map(|peer| (ReplicaId(peer), ReplicaId(6))).into_iter().collect();
        world.start_silent(6);
        world.run(2 * SECOND);
        assert!(world.replica(6).is_silent());
        world.cut.clear();
        let mut sequence = 50;
        while world.replica(6).is_silent() && sequence < 400 {
            sequence += 1;
            load(&mut world, sequence..=sequence);
        }
        assert!(!world.replica(6).is_silent());
        assert!(world.replica(6).delivered().0 >= before.0 + 2);
        assert!(regency(&world, 6) < Regency(10), "nobody was led to {}", regency(&world, 6));
        world.run(2 * SECOND);
        check_all_delivered(&world, sequence as usize);
    }
}

#[test]
fn a_liar_that_plays_a_wiped_replica_gets_one_regency_change_in_a_long_while() {
    let mut world = world(4, 6);
    world.crash(3);
    load(&mut world, 1..=20);
    let wish = |regency: u64, delivered: InstanceId| {
        Message::Status(Status {
            regency: Regency(0),
            delivered,
            is_proposed: false,
            is_synced: true,
            wants: Regency(regency),
            is_silent: true,
            accept_time: 0,
            stable: InstanceId(0),
        })
        .encode()
    };
    let mut changes = Vec::new();
    for second in 0..1300 {
        for to in 0..3 {
            let delivered = world.replica(to).delivered();
            world.post(ReplicaId(to), Packet::Bytes(ReplicaId(3), wish(u64::MAX, delivered)));
        }
        let before = regency(&world, 0);
        world.run(SECOND);
        if regency(&world, 0) != before {
            changes.push(second);
        }
    }
    assert!(changes.len() >= 2, "it is granted something");
    assert!(regency(&world, 0) < Regency(100), "but no numbers are used up");
    // Each of the three others grants it one in 600 seconds, all at the same time or one after the other.
    assert!(changes.iter().all(|second| second % 600 < 5) && changes.len() <= 9, "{changes:?}");
    load(&mut world, 21..=40);
    world.run(5 * SECOND);
    check_all_delivered(&world, 40);
}

#[test]
fn where_no_fault_is_tolerated_a_wiped_replica_hears_everybody_before_it_speaks() {
    let mut world = world(3, 11);
    load(&mut world, 1..=30);
    world.wipe(2);
    world.nodes[1].lie = Some(|message| (!matches!(message, Message::ProbeReply(_))).then_some(message));
    world.start_silent(2);
    load(&mut world, 31..=130);
    world.run(3 * SECOND);
    assert!(world.replica(2).is_silent(), "replica 1 may know of a vote of it that replica 0 never saw");
    world.nodes[1].lie = None;
    load(&mut world, 131..=230);
    world.run(3 * SECOND);
    assert!(!world.replica(2).is_silent());
    check_all_delivered(&world, 230);
}

#[test]
fn a_reader_of_another_question_is_not_answered_twice_at_once_and_old_answers_count_for_nothing() {
    let mut world = world(4, 7);
    load(&mut world, 1..=20);
    world.wipe(2);
    world.start_silent(2);
    world.run(Duration::from_millis(1));
    let reply = mod_smart::message::ProbeReply {
        nonce: 1,
        is_pristine: true,
        is_stranger: true,
        delivered: mod_smart::Evidence::Start,
        wants: Regency(0),
    };
    for from in [0, 1, 3] {
        world.post(ReplicaId(2), Packet::Bytes(ReplicaId(from), Message::ProbeReply(reply.clone()).encode()));
    }
    world.run(Duration::from_millis(3));
    assert!(world.replica(2).is_silent(), "answers to another question would have ended the silence at once");
}

/// Loads the group until this replica may speak again.
fn readmit(world: &mut World, wiped: u16, sequence: &mut u64) {
    world.wipe(wiped);
    world.run(Duration::from_millis(5));
    world.start_silent(wiped);
    while world.replica(wiped).is_silent() && *sequence < 900 {
        *sequence += 1;
        load(world, *sequence..=*sequence);
    }
    assert!(!world.replica(wiped).is_silent(), "replica {wiped}");
    // Now it is offered what waits.
    world.run(Duration::from_millis(20));
}

#[test]
fn what_was_promised_outlives_the_disks_that_held_it_if_they_are_lost_one_after_the_other() {
    // So patient that nobody offers a request because it waits.
    let patient = Limits { request_timeout: 100 * SECOND, request_timeout_max: 100 * SECOND, ..limits() };
    for seed in 1..=10 {
        let mut world = World::new(View::flat(GROUP, 4).unwrap(), patient.clone(), seed);
        let mut sequence = 30;
        load(&mut world, 1..=sequence);
        // The leader never gets this one, and two replicas promise to see to it.
        world.submit_to(&World::request(2, 1), [2, 3]);
        world.run(Duration::from_millis(20));
        for wiped in [3, 2, 3] {
            readmit(&mut world, wiped, &mut sequence);
        }
        world.run(300 * SECOND);
        check_all_delivered(&world, sequence as usize + 1);
    }
}
