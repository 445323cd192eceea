//! Taking over a state that the log no longer leads to: from several replicas, in spite of liars, crashes and newer states.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::time::Duration;

use bytes::Bytes;
use mod_smart::surface::MisbehaviourKind;
use mod_smart::{InstanceId, Limits, Message, ReplicaId, View};
use world::{GROUP, Packet, World};

const SECOND: Duration = Duration::from_secs(1);

/// Chunks of a state here: enough that every helper is asked for several.
const CHUNKS: usize = 12;

/// A group whose replica `absent` was down so long that nobody keeps the decisions it lacks.
fn world_with_straggler(n: usize, absent: u16, seed: u64) -> World {
    world_with_state(n, absent, seed, CHUNKS)
}

fn world_with_state(n: usize, absent: u16, seed: u64, chunks: usize) -> World {
    let limits = Limits { batch_requests_max: 2, checkpoint_interval: 20, ..Limits::default() };
    let mut world = World::new(View::flat(GROUP, n).unwrap(), limits, seed);
    for node in &mut world.nodes {
        node.padding = (chunks - 1) * mod_smart::limits::STATE_CHUNK_BYTES;
    }
    load(&mut world, 1..=10);
    world.crash(absent);
    load(&mut world, 11..=200);
    world.run(SECOND);
    world
}

fn load(world: &mut World, sequences: std::ops::RangeInclusive<u64>) {
    for sequence in sequences {
        world.submit(&World::request(1, sequence));
        world.run(Duration::from_millis(4));
    }
}

fn wrong_chunks(message: Message) -> Option<Message> {
    Some(match message {
        Message::Chunk(instance, index, chunk) => {
            let mut wrong = chunk.to_vec();
            wrong[0] ^= 1;
            Message::Chunk(instance, index, Bytes::from(wrong))
        }
        other => other,
    })
}

fn no_chunks(message: Message) -> Option<Message> {
    (!matches!(message, Message::Chunk(..))).then_some(message)
}

fn reports_liar(world: &World, node: u16, liar: u16) -> bool {
    let is_liar = |kind| kind == MisbehaviourKind::LyingHelper;
    world.node(node).reports.iter().any(|report| report.replica == ReplicaId(liar) && is_liar(report.kind))
}

#[test]
fn a_replica_far_behind_takes_over_the_state_from_several_others_at_once() {
    let mut world = world_with_straggler(4, 3, 1);
    world.restart(3);
    world.run(3 * SECOND);
    world.check_safety();
    assert_eq!(world.delivered(3), world.delivered(0));
    assert!(world.node(3).checkpoints.stable.is_some());
    let journal = format!("{:?}", world.node(3).journal);
    assert!(!journal.contains("instance: InstanceId(50)"), "it never saw the decisions in between");
    for helper in 0..3 {
        assert!(world.chunks_sent[&ReplicaId(helper)] >= 3, "{:?}", world.chunks_sent);
    }
    let sent: usize = world.chunks_sent.values().sum();
    assert!(sent <= CHUNKS + 1, "{sent} chunks were sent for {CHUNKS}");
    world.crash(1);
    load(&mut world, 201..=210);
    world.run(3 * SECOND);
    assert_eq!(world.delivered(3).len(), 210, "and it votes again");
    world.check_safety();
}

#[test]
fn a_liar_and_a_mute_helper_cost_a_retry_and_the_liar_is_named() {
    for seed in 1..=5 {
        let mut world = world_with_straggler(7, 6, seed);
        world.nodes[1].lie = Some(wrong_chunks);
        world.nodes[2].lie = Some(no_chunks);
        world.restart(6);
        world.run(5 * SECOND);
        world.check_safety();
        assert_eq!(world.delivered(6), world.delivered(0), "seed {seed}");
        assert!(reports_liar(&world, 6, 1));
        assert_eq!(world.node(6).reports.len(), 1, "named once, and asked no more: {:?}", world.node(6).reports);
        let (lies, mute) = (world.chunks_sent[&ReplicaId(1)], world.chunks_sent[&ReplicaId(2)]);
        assert!(lies <= 4 && mute <= 4, "{:?}", world.chunks_sent);
    }
}

#[test]
fn a_state_that_nobody_keeps_any_more_is_replaced_by_a_newer_one() {
    for seed in 1..=5 {
        let mut world = world_with_state(4, 3, seed, 3);
        for node in 0..3 {
            world.nodes[node].lie = Some(no_chunks);
        }
        world.restart(3);
        load(&mut world, 201..=210);
        world.run(Duration::from_millis(300));
        // While no chunk came, two newer checkpoints took the place of the one it asks for.
        load(&mut world, 211..=330);
        for node in 0..3 {
            world.nodes[node].lie = None;
        }
        world.run(6 * SECOND);
        world.check_safety();
        assert_eq!(world.delivered(3), world.delivered(0), "seed {seed}");
    }
}

#[test]
fn a_transfer_ends_while_the_others_order_without_pause() {
    let mut world = world_with_state(4, 3, 2, 3);
    world.restart(3);
    load(&mut world, 201..=900);
    let lag = world.replica(0).delivered().0 - world.replica(3).delivered().0;
    assert!(lag <= 2, "it lags by {lag}");
    world.check_safety();
}

#[test]
fn messages_that_are_lost_only_delay_a_transfer() {
    for seed in 1..=5 {
        let mut world = world_with_state(4, 3, seed, 3);
        world.loss_percent = 20;
        world.restart(3);
        world.run(20 * SECOND);
        world.check_safety();
        assert_eq!(world.delivered(3), world.delivered(0), "seed {seed}");
    }
}

#[test]
fn a_crash_at_any_point_of_a_transfer_starts_it_over() {
    for step in 0..40 {
        let mut world = world_with_state(4, 3, 7, 3);
        world.restart(3);
        world.run(Duration::from_micros(250 * step));
        world.crash(3);
        world.run(Duration::from_millis(1));
        world.restart(3);
        world.run(3 * SECOND);
        world.check_safety();
        assert_eq!(world.delivered(3), world.delivered(0), "crash after {step} steps");
    }
}

#[test]
fn a_crash_between_the_installed_state_and_its_notice_goes_on_from_the_state() {
    for seed in 1..=10 {
        let mut world = world_with_state(4, 3, seed, 3);
        world.restart(3);
        let before = world.node(3).checkpoints.newest().map(|newest| newest.instance).unwrap_or_default();
        let is_written = |world: &World| {
            world.node(3).checkpoints.newest().is_some_and(|newest| newest.instance > InstanceId(before.0 + 20))
        };
        assert!(world.run_until(3 * SECOND, is_written));
        assert!(world.replica(3).delivered() < world.node(3).checkpoints.newest().unwrap().instance);
        world.crash(3);
        let cut = (0..3).map(|peer| (ReplicaId(peer), ReplicaId(3)));
        world.cut = cut.collect();
        world.restart(3);
        let newest = world.node(3).checkpoints.newest().unwrap().instance;
        assert_eq!(world.replica(3).delivered(), newest, "without any help");
        let core = format!("{:?}", world.replica(3));
        assert!(core.contains("delivered_by: Checkpoint("), "and it can prove what it has delivered");
        world.cut.clear();
        load(&mut world, 201..=240);
        world.crash(3);
        world.restart(3);
        world.run(2 * SECOND);
        world.check_safety();
        assert_eq!(world.delivered(3).len(), 240, "seed {seed}");
    }
}

#[test]
fn a_state_that_everybody_replaced_is_given_up_at_once() {
    let mut world = world_with_state(4, 3, 12, 3);
    for node in 0..3 {
        world.nodes[node].lie = Some(no_chunks);
    }
    world.restart(3);
    load(&mut world, 201..=330);
    for node in 0..3 {
        world.nodes[node].lie = None;
    }
    // The next question finds that nobody keeps that state: no need to wait until the transfer counts as stalled.
    let is_there = |world: &World| world.replica(3).delivered() == world.replica(0).delivered();
    assert!(world.run_until(SECOND, is_there));
}

#[test]
fn nothing_is_delivered_while_a_state_is_installed() {
    for seed in 1..=10 {
        let limits = Limits { batch_requests_max: 2, checkpoint_interval: 20, ..Limits::default() };
        let mut world = World::new(View::flat(GROUP, 4).unwrap(), limits, seed);
        load(&mut world, 1..=10);
        world.crash(3);
        let next = world.replica(0).delivered().next();
        load(&mut world, 11..=20);
        // Somebody keeps the decisions that the others forget.
        let kept = Message::Decisions(world.decisions(0, next, 3)).encode();
        load(&mut world, 21..=200);
        world.restart(3);
        let is_installing = |world: &World| format!("{:?}", world.replica(3)).contains("installing: Some");
        assert!(world.run_until(3 * SECOND, is_installing));
        let before = world.replica(3).delivered();
        assert_eq!(before.next(), next);
        world.post(ReplicaId(3), Packet::Bytes(ReplicaId(0), kept));
        while is_installing(&world) {
            assert_eq!(world.replica(3).delivered(), before, "seed {seed}");
            world.run(Duration::from_micros(20));
        }
        world.run(3 * SECOND);
        world.check_safety();
        assert_eq!(world.delivered(3).len(), 200);
    }
}

#[test]
fn who_took_a_state_over_says_so_when_asked_for_decisions_before_it() {
    let mut world = world_with_state(7, 6, 14, 3);
    world.crash(5);
    load(&mut world, 201..=300);
    world.restart(6);
    world.run(3 * SECOND);
    assert_eq!(world.delivered(6).len(), 300);
    // Only its log has a hole, and it is asked for what fell into that.
    for from in [1, 6, 50] {
        let ask = Message::FetchDecisions(InstanceId(from)).encode();
        world.post(ReplicaId(6), Packet::Bytes(ReplicaId(5), ask));
        world.run(SECOND);
    }
    world.restart(5);
    world.run(3 * SECOND);
    world.check_safety();
    assert_eq!(world.delivered(5), world.delivered(6));
}

#[test]
fn who_took_a_state_over_serves_serves_it_and_what_follows_to_others() {
    let mut world = world_with_state(4, 3, 8, 3);
    world.restart(3);
    world.run(3 * SECOND);
    // Now replica 0 was away, and only replica 3 has anything to give.
    world.crash(0);
    load(&mut world, 201..=330);
    world.run(2 * SECOND);
    world.nodes[1].lie = Some(no_chunks);
    world.nodes[2].lie = Some(no_chunks);
    world.restart(0);
    world.run(10 * SECOND);
    world.check_safety();
    assert_eq!(world.delivered(0).len(), 330);
}

#[test]
fn a_state_that_nobody_asked_for_starts_no_transfer() {
    let mut world = world_with_state(4, 3, 9, 3);
    let stable = world.node(0).checkpoints.stable.clone().unwrap();
    let manifest = world.node(0).checkpoints.newest().unwrap().manifest();
    let message = Message::Stable(stable, manifest).encode();
    world.cut = (0..3).map(|peer| (ReplicaId(peer), ReplicaId(3))).collect();
    world.restart(3);
    for _ in 0..10 {
        world.post(ReplicaId(3), Packet::Bytes(ReplicaId(1), message.clone()));
        world.run(Duration::from_millis(50));
    }
    assert!(world.chunks_sent.is_empty());
    assert!(format!("{:?}", world.replica(3)).contains("incoming: None"));
}

#[test]
fn a_manifest_that_is_not_what_was_signed_does_not_enter() {
    let world = world_with_state(4, 3, 10, 3);
    let stable = world.node(0).checkpoints.stable.clone().unwrap();
    let other = mod_smart::Manifest::of(b"another state").unwrap();
    let bytes = Message::Stable(stable, other).encode();
    let opened = mod_smart::Sealed::<Message>::open(bytes, ReplicaId(0), &world.view, &world::Names);
    assert_eq!(opened.map(|_| ()), Err(mod_smart::Reject::Certificate));
}

#[test]
fn who_asks_for_chunks_without_end_is_served_at_a_bounded_pace() {
    let mut world = world_with_state(4, 3, 11, 3);
    let instance = world.node(0).checkpoints.newest().unwrap().instance;
    for _ in 0..2000 {
        world.post(ReplicaId(0), Packet::Bytes(ReplicaId(3), Message::FetchChunk(instance, 0).encode()));
    }
    world.run(Duration::from_millis(100));
    assert_eq!(world.chunks_sent[&ReplicaId(0)], 64);
}

/// Power fails before the newest checkpoint became stable, one disk is lost with it, and a replica is further behind than any
/// log goes: the stable checkpoint before the newest one is what it can go on from.
#[test]
fn a_stable_checkpoint_that_is_not_the_newest_is_given_after_a_restart_too() {
    let limits = Limits { batch_requests_max: 2, checkpoint_interval: 10, ..Limits::default() };
    let mut world = World::new(View::flat(GROUP, 4).unwrap(), limits, 7);
    load(&mut world, 1..=3);
    world.crash(3);
    load(&mut world, 4..=65);
    world.nodes[2].skips_checkpoints = true;
    load(&mut world, 66..=76);
    let newest = |world: &World, node: u16| world.node(node).checkpoints.newest().unwrap().instance;
    let stable = |world: &World, node: u16| world.node(node).checkpoints.stable.as_ref().unwrap().instance();
    for node in 0..2 {
        assert!(newest(&world, node) > stable(&world, node), "replica {node}: the test shows nothing");
    }
    for node in 0..3 {
        world.crash(node);
    }
    world.wipe(2);
    world.nodes[2].skips_checkpoints = false;
    world.restart(0);
    world.restart(1);
    world.start_silent(2);
    world.restart(3);
    load(&mut world, 77..=140);
    world.run(5 * SECOND);
    world.check_safety();
    world.check_promises();
    assert_eq!(world.delivered(3).len(), 140);
}
