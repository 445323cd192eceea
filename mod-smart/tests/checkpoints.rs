//! Checkpoints: agreed by a quorum, the journal cut behind them, and whoever has another state named.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::time::Duration;

use mod_smart::checkpoint::CheckpointVote;
use mod_smart::surface::MisbehaviourKind;
use mod_smart::{Client, Digest, InstanceId, Limits, Message, Record, ReplicaId, View};
use world::{GROUP, Name, Packet, World};

const SECOND: Duration = Duration::from_secs(1);

fn world(n: usize, seed: u64) -> World {
    let limits = Limits { batch_requests_max: 2, checkpoint_interval: 5, ..Limits::default() };
    World::new(View::flat(GROUP, n).unwrap(), limits, seed)
}

/// Sends so many requests to all that run, in a steady flow.
fn load(world: &mut World, sequences: std::ops::RangeInclusive<u64>) {
    for sequence in sequences {
        world.submit(&World::request(1, sequence));
        world.run(Duration::from_millis(4));
    }
}

fn stable(world: &World, node: u16) -> InstanceId {
    world.node(node).checkpoints.stable.as_ref().map(mod_smart::StableCheckpoint::instance).unwrap_or_default()
}

#[test]
fn a_quorum_of_equal_digests_is_a_stable_checkpoint_and_the_journal_is_cut_behind_it() {
    let mut world = world(4, 1);
    load(&mut world, 1..=200);
    world.run(SECOND);
    world.check_safety();
    for node in 0..4 {
        let delivered = world.replica(node).delivered();
        assert!(delivered.0 >= 60, "enough for a dozen checkpoints");
        assert_eq!(stable(&world, node), InstanceId(delivered.0 / 5 * 5));
        world.node(node).checkpoints.stable.as_ref().unwrap().verify(&world.view, &world::Names).unwrap();
        let decided: Vec<u64> = world.node(node).journal.iter().filter_map(decided_instance).collect();
        assert!(decided[0] > stable(&world, node).0 - 15, "two intervals of decisions stay, not {decided:?}");
        assert!(world.node(node).reports.is_empty());
    }
}

fn decided_instance_first(journal: &[Record]) -> u64 {
    journal.iter().find_map(decided_instance).unwrap()
}

fn decided_instance(record: &Record) -> Option<u64> {
    match record {
        Record::Decided(decided) => Some(decided.proof.instance().0),
        _ => None,
    }
}

#[test]
fn recovery_from_a_journal_that_was_cut_goes_on_and_loses_nothing() {
    for seed in 1..=20 {
        let mut world = world(4, seed);
        world = World::new(world.view, Limits { instances_open_max: 1 + seed % 3, ..world.limits }, seed);
        load(&mut world, 1..=100);
        for node in 0..4 {
            world.crash(node);
            world.run(Duration::from_millis(5));
            world.restart(node);
        }
        load(&mut world, 101..=160);
        (0..4).for_each(|node| world.crash(node));
        (0..4).for_each(|node| world.restart(node));
        load(&mut world, 161..=200);
        world.run(5 * SECOND);
        world.check_safety();
        world.check_promises();
        for node in 0..4 {
            assert_eq!(world.delivered(node).len(), 200, "seed {seed}");
            assert_eq!(stable(&world, node).0, world.replica(node).delivered().0 / 5 * 5, "seed {seed}");
        }
    }
}

#[test]
fn a_body_that_waits_through_many_checkpoints_is_still_there_after_a_crash() {
    let mut world = world(4, 3);
    let late = World::request(9, 1);
    world.submit_to(&late, [3]);
    world.run(Duration::from_millis(20));
    // Nobody is offered it: what replica 3 says does not arrive, but it hears everything.
    world.cut = (0..3).map(|peer| (ReplicaId(3), ReplicaId(peer))).collect();
    load(&mut world, 1..=120);
    let journal = &world.node(3).journal;
    assert!(decided_instance_first(journal) > 30, "the journal was cut far behind its first record");
    assert!(journal.contains(&Record::Body(late.clone())), "it was written again behind the marks");
    world.crash(3);
    world.restart(3);
    world.cut.clear();
    world.run(5 * SECOND);
    assert!(world.delivered(0).contains(&late.digest()));
    world.check_safety();
}

#[test]
fn the_regency_survives_a_journal_that_was_cut_and_a_restart_of_all() {
    let mut world = world(4, 4);
    load(&mut world, 1..=10);
    world.crash(0);
    load(&mut world, 11..=20);
    world.run(3 * SECOND);
    let regency = world.replica(1).regency();
    assert!(regency.0 >= 1);
    load(&mut world, 21..=150);
    for node in 1..4 {
        let synced = |record: &Record| matches!(record, Record::Synced(sync) if sync.regency == regency);
        assert!(world.node(node).journal.iter().any(synced), "the SYNC is written again behind each mark");
        world.crash(node);
    }
    (0..4).for_each(|node| world.restart(node));
    assert_eq!(world.replica(1).regency(), regency);
    load(&mut world, 151..=180);
    world.run(3 * SECOND);
    world.check_safety();
    for node in 0..4 {
        assert_eq!(world.replica(node).regency(), regency);
        assert_eq!(world.delivered(node).len(), 180);
    }
}

#[test]
fn a_replica_with_another_state_is_named_by_the_others_and_by_itself() {
    let mut world = world(4, 5);
    world.nodes[2].padding += 1;
    load(&mut world, 1..=60);
    world.run(SECOND);
    for node in 0..4 {
        let reports = &world.node(node).reports;
        assert!(!reports.is_empty(), "replica {node}");
        let named = |report: &mod_smart::Misbehaviour| {
            report.replica == ReplicaId(2) && report.kind == MisbehaviourKind::Diverged
        };
        assert!(reports.iter().all(named), "{reports:?}");
        assert!(stable(&world, node).0 > 0, "the others agree without it");
    }
    let first = |record: &Record| decided_instance(record) == Some(1);
    assert!(world.node(2).journal.iter().any(first), "a state that nobody shares replaces no journal");
}

#[test]
fn lost_checkpoint_votes_are_sent_again_when_the_group_is_idle() {
    let mut world = world(4, 8);
    for node in &mut world.nodes {
        node.lie = Some(|message| (!matches!(message, Message::Checkpoint(_))).then_some(message));
    }
    load(&mut world, 1..=30);
    world.run(SECOND);
    for node in 0..4 {
        assert_eq!(stable(&world, node), InstanceId(0));
        world.nodes[usize::from(node)].lie = None;
    }
    world.run(SECOND);
    for node in 0..4 {
        assert_eq!(stable(&world, node).0, world.replica(node).delivered().0 / 5 * 5);
    }
}

#[test]
fn votes_of_open_instances_are_remembered_though_the_journal_was_cut_after_them() {
    for seed in 1..=40 {
        // Marks stand closer together than the window of open instances is wide.
        let limits =
            Limits { batch_requests_max: 1, checkpoint_interval: 1, instances_open_max: 8, ..Limits::default() };
        let mut world = World::new(View::flat(GROUP, 4).unwrap(), limits, seed);
        let mut sequence = 0;
        for _ in 0..8 {
            for _ in 0..12 {
                sequence += 1;
                world.submit(&World::request(1, sequence));
                let pause = world.random(1_500);
                world.run(Duration::from_micros(pause));
            }
            (0..4).for_each(|node| world.crash(node));
            (0..4).for_each(|node| world.restart(node));
        }
        world.run(10 * SECOND);
        world.check_safety();
        world.check_promises();
    }
}

#[test]
fn a_liar_cannot_fill_the_memory_with_checkpoint_votes_nor_vote_twice() {
    let mut world = world(4, 6);
    world.crash(3);
    let vote = |instance: u64, digest: u8| {
        let vote = CheckpointVote { instance: InstanceId(instance), digest: Digest([digest; 32]) };
        let liar = ReplicaId(3);
        Message::Checkpoint(vote.sign(GROUP, liar, &Name(Client::Replica(liar)))).encode()
    };
    for at in 1..=1000 {
        world.post(ReplicaId(0), Packet::Bytes(ReplicaId(3), vote(at * 5, 1)));
    }
    world.post(ReplicaId(0), Packet::Bytes(ReplicaId(3), vote(7, 1)));
    world.run(SECOND);
    assert!(world.node(0).reports.is_empty());
    world.post(ReplicaId(0), Packet::Bytes(ReplicaId(3), vote(5000, 2)));
    world.run(SECOND);
    assert_eq!(world.node(0).reports.first().map(|report| report.kind), Some(MisbehaviourKind::DoubleVote));
    let kept = format!("{:?}", world.replica(0)).matches("SignedCheckpoint").count();
    assert!(kept <= 4, "{kept} votes of one replica are kept");
    load(&mut world, 1..=40);
    assert!(stable(&world, 0).0 > 0, "and nothing of it hinders the others");
}

#[test]
fn a_replica_whose_shell_skips_checkpoints_recovers_from_an_older_one() {
    let mut world = world(4, 7);
    load(&mut world, 1..=60);
    // The disk of replica 1 is too slow for checkpoints from now on, not for the journal.
    world.nodes[1].skips_checkpoints = true;
    let before = stable(&world, 1);
    load(&mut world, 61..=120);
    world.run(SECOND);
    assert!(stable(&world, 1) > before, "the others agree without it");
    world.crash(1);
    world.restart(1);
    world.nodes[1].skips_checkpoints = false;
    load(&mut world, 121..=180);
    world.run(3 * SECOND);
    world.check_safety();
    world.check_promises();
    assert_eq!(world.delivered(1).len(), 180);
    let first = decided_instance_first(&world.node(1).journal);
    assert!(first > stable(&world, 1).0 - 15, "and cuts its journal again");
}
