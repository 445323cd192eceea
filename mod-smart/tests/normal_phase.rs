//! The normal phase under good and bad weather: order, de-duplication, loss, restarts, missing bodies, liars.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::time::Duration;

use bytes::Bytes;
use mod_smart::certificate::{SignedVote, Vote, VoteKind};
use mod_smart::limits::SESSIONS_MAX;
use mod_smart::message::Propose;
use mod_smart::surface::MisbehaviourKind;
use mod_smart::{
    Answer, Client, Digest, Epoch, Event, InstanceId, Limits, Message, Record, Reject, ReplicaId, Sealed, View,
};
use world::{GROUP, Name, Names, Packet, World};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn every_request_is_delivered_once_and_in_one_order() {
    for n in [1, 2, 3, 4, 5, 6, 7, 10] {
        let mut world = World::flat(n, n as u64);
        for sequence in 1..=100 {
            world.submit(&World::request(1, sequence));
            world.submit(&World::request(2, sequence));
        }
        world.run(SECOND);
        world.check_safety();
        for node in 0..n as u16 {
            assert_eq!(world.delivered(node).len(), 200, "n = {n}, replica {node}");
            assert!(world.nodes[usize::from(node)].reports.is_empty());
        }
    }
}

#[test]
fn five_replicas_with_weights_go_on_without_the_two_light_ones() {
    let heavy = [0, 1].map(ReplicaId).into_iter().collect();
    let mut world = World::new(View::weighted(GROUP, 1, 1, heavy).unwrap(), Limits::default(), 5);
    world.crash(4);
    for sequence in 1..=20 {
        world.submit(&World::request(1, sequence));
    }
    world.run(SECOND);
    world.check_safety();
    assert_eq!(world.delivered(3).len(), 20);
}

#[test]
fn a_request_sent_twice_is_ordered_once_and_held_each_time() {
    let mut world = World::flat(4, 3);
    world.submit(&World::request(1, 1));
    world.run(SECOND);
    world.submit(&World::request(1, 1));
    world.run(SECOND);
    assert_eq!(world.delivered(2).len(), 1);
    assert_eq!(world.answers.iter().filter(|(_, _, answer)| *answer == Answer::Held).count(), 8);
}

#[test]
fn bodies_that_only_the_leader_has_are_fetched_before_anyone_writes() {
    let mut world = World::flat(4, 4);
    world.submit_to(&World::request(1, 1), [0]);
    world.run(Duration::from_millis(300));
    for node in 0..4 {
        assert_eq!(world.delivered(node).len(), 1);
        let journal = &world.nodes[usize::from(node)].journal;
        let body = journal.iter().position(|record| matches!(record, Record::Body(_))).unwrap();
        let write = |record: &Record| matches!(record, Record::Voted(vote) if vote.kind == VoteKind::Write);
        assert!(journal.iter().position(write).is_none_or(|at| body < at), "the body is durable before the WRITE");
    }
}

#[test]
fn lost_messages_are_repaired_by_statements_of_standing() {
    for seed in 1..=20 {
        let mut world = World::flat(4, seed);
        world.loss_percent = 25;
        for sequence in 1..=40 {
            world.submit(&World::request(1, sequence));
            world.run(Duration::from_millis(5));
        }
        world.run(60 * SECOND);
        world.check_safety();
        for node in 0..4 {
            assert_eq!(world.delivered(node).len(), 40, "seed {seed}, replica {node}");
        }
    }
}

#[test]
fn a_follower_that_was_down_catches_up_by_decisions_with_proofs() {
    let limits = Limits { batch_requests_max: 3, checkpoint_interval: 10, ..Limits::default() };
    let mut world = World::new(View::flat(GROUP, 4).unwrap(), limits, 6);
    world.crash(3);
    for sequence in 1..=300 {
        world.submit_to(&World::request(1, sequence), [0, 1, 2]);
        world.run(Duration::from_millis(2));
    }
    assert!(world.nodes[0].delivered.len() >= 100, "enough to need several messages");
    world.restart(3);
    world.run(5 * SECOND);
    world.check_safety();
    assert_eq!(world.delivered(3), world.delivered(0));
    world.crash(1);
    world.submit_to(&World::request(1, 301), [0, 2, 3]);
    world.run(SECOND);
    assert_eq!(world.delivered(3).len(), 301, "and it votes again");
}

#[test]
fn all_replicas_killed_at_random_points_lose_nothing_that_was_promised() {
    for seed in 1..=40 {
        let limits = Limits { batch_requests_max: 4, checkpoint_interval: 7, ..Limits::default() };
        let mut world = World::new(View::flat(GROUP, 4).unwrap(), limits, seed);
        let mut sequence = 0;
        for _ in 0..6 {
            for _ in 0..20 {
                sequence += 1;
                world.submit(&World::request(1, sequence));
                let pause = world.random(3_000);
                world.run(Duration::from_micros(pause));
            }
            (0..4).for_each(|node| world.crash(node));
            world.run(Duration::from_millis(10));
            (0..4).for_each(|node| world.restart(node));
        }
        world.run(20 * SECOND);
        world.check_safety();
        world.check_promises();
    }
}

#[test]
fn a_restarted_leader_makes_no_other_proposal() {
    let mut world = World::flat(4, 8);
    world.cut = (1..4).map(|peer| (ReplicaId(0), ReplicaId(peer))).collect();
    world.submit_to(&World::request(1, 1), [0]);
    world.run(Duration::from_millis(20));
    world.crash(0);
    world.cut.clear();
    world.submit_to(&World::request(2, 1), [1, 2, 3]);
    world.run(Duration::from_millis(20));
    world.restart(0);
    world.submit_to(&World::request(2, 1), [0]);
    world.run(SECOND);
    world.check_safety();
    assert_eq!(world.delivered(1)[0], World::request(1, 1).digest(), "what it proposed before the crash");
    assert_eq!(world.delivered(1).len(), 2);
    let proposals = world.nodes[0].journal.iter().filter(|r| matches!(r, Record::Proposed(p) if p.instance.0 == 1));
    assert_eq!(proposals.count(), 1);
}

#[test]
fn a_leader_that_crashed_between_its_proposal_and_its_vote_votes_after_the_restart() {
    let mut world = World::flat(4, 15);
    world.crash(3);
    world.cut = (1..4).map(|peer| (ReplicaId(0), ReplicaId(peer))).collect();
    world.submit_to(&World::request(1, 1), [0, 1, 2]);
    world.run(Duration::from_millis(20));
    world.crash(0);
    let journal = &mut world.nodes[0].journal;
    let proposed = journal.iter().position(|record| matches!(record, Record::Proposed(_))).unwrap();
    journal.truncate(proposed + 1);
    world.cut.clear();
    world.restart(0);
    world.run(SECOND);
    world.check_safety();
    assert_eq!(world.delivered(1).len(), 1, "three of four decide only if the leader votes");
}

#[test]
fn a_body_of_an_unknown_client_does_not_spoil_the_others() {
    let forged = {
        let good = World::request(2, 1);
        let mut bytes = good.bytes().to_vec();
        let at = bytes.len() - 1;
        bytes[at] ^= 1;
        Sealed::<mod_smart::Request>::trusted(bytes.into()).unwrap()
    };
    let view = View::flat(GROUP, 4).unwrap();
    let bytes = Message::Bodies(vec![forged, World::request(1, 1)]).encode();
    let opened = Sealed::<Message>::open(bytes, ReplicaId(2), &view, &Names).unwrap();
    assert_eq!(*opened.value(), Message::Bodies(vec![World::request(1, 1)]));
}

#[test]
fn an_equivocating_leader_splits_nothing_and_is_named() {
    let mut world = World::flat(4, 9);
    world.crash(0);
    let (one, two) = (World::request(1, 1), World::request(1, 2));
    for request in [&one, &two] {
        world.submit_to(request, [1, 2, 3]);
    }
    world.run(Duration::from_millis(10));
    let propose = |request: Digest| {
        let propose = Propose { instance: InstanceId(1), epoch: Epoch(0), requests: vec![request] };
        Message::Propose(propose).encode()
    };
    for (to, first, second) in [(1, &one, &two), (2, &one, &two), (3, &two, &one)] {
        world.post(ReplicaId(to), Packet::Bytes(ReplicaId(0), propose(first.digest())));
        world.run(Duration::from_millis(10));
        world.post(ReplicaId(to), Packet::Bytes(ReplicaId(0), propose(second.digest())));
    }
    world.run(SECOND);
    world.check_safety();
    for node in 1..4 {
        let named = world.nodes[node].reports.iter().any(|report| report.kind == MisbehaviourKind::Equivocation);
        assert!(named && world.nodes[node].reports.iter().all(|report| report.replica == ReplicaId(0)));
    }
}

#[test]
fn proposals_that_no_correct_leader_makes_get_no_vote() {
    let request = World::request(1, 1).digest();
    let unknown = Digest([1; 32]);
    let cases = [
        (ReplicaId(2), vec![request], MisbehaviourKind::NotLeader),
        (ReplicaId(0), vec![], MisbehaviourKind::InvalidBatch),
        (ReplicaId(0), vec![request, request], MisbehaviourKind::InvalidBatch),
        (ReplicaId(0), vec![unknown; 401], MisbehaviourKind::InvalidBatch),
    ];
    for (from, requests, expected) in cases {
        let mut world = World::flat(4, 10);
        world.crash(0);
        world.submit_to(&World::request(1, 1), [1, 2, 3]);
        world.run(Duration::from_millis(10));
        let propose = Propose { instance: InstanceId(1), epoch: Epoch(0), requests };
        world.post(ReplicaId(1), Packet::Bytes(from, Message::Propose(propose).encode()));
        world.run(Duration::from_millis(100));
        assert_eq!(world.nodes[1].reports.first().map(|r| (r.replica, r.kind)), Some((from, expected)));
        assert!(!world.nodes[1].journal.iter().any(|record| matches!(record, Record::Voted(_))));
    }
}

#[test]
fn a_leader_with_a_window_proposes_nothing_that_an_open_instance_makes_stale() {
    for seed in 1..=40 {
        let limits = Limits { instances_open_max: 3, ..Limits::default() };
        let mut world = World::new(View::flat(GROUP, 4).unwrap(), limits, seed);
        for session in 1..=SESSIONS_MAX as u64 {
            world.submit(&World::request_in_session(1, session, 1));
        }
        world.run(SECOND);
        for session in 1..=8 {
            // The first of these ends the session of the second, which the leader sees while the first is still open.
            world.submit(&World::request_in_session(1, SESSIONS_MAX as u64 + session, 1));
            let open = world.replica(0).delivered();
            world.run_until(SECOND, |world| {
                world.nodes[0].journal.iter().any(|r| matches!(r, Record::Proposed(p) if p.instance > open))
            });
            world.submit(&World::request_in_session(1, session, 2));
            world.run(SECOND);
        }
        world.check_safety();
        for node in 0..4 {
            assert_eq!(world.delivered(node).len(), SESSIONS_MAX + 8, "seed {seed}, replica {node}");
            assert!(world.node(node).reports.is_empty(), "seed {seed}, replica {node}: {:?}", world.node(node).reports);
        }
    }
}

#[test]
fn an_already_ordered_request_is_not_voted_for_again() {
    let mut world = World::flat(4, 11);
    world.submit(&World::request(1, 1));
    world.run(SECOND);
    world.crash(0);
    // The body comes back with the proposal, as a faulty leader would serve it.
    let replay = World::request(1, 1);
    let propose = Propose { instance: InstanceId(2), epoch: Epoch(0), requests: vec![replay.digest()] };
    world.post(ReplicaId(1), Packet::Bytes(ReplicaId(0), Message::Propose(propose).encode()));
    world.run(Duration::from_millis(50));
    world.post(ReplicaId(1), Packet::Bytes(ReplicaId(0), Message::Bodies(vec![replay]).encode()));
    world.run(SECOND);
    let votes = |record: &&Record| matches!(record, Record::Voted(vote) if vote.instance == InstanceId(2));
    assert_eq!(world.nodes[1].journal.iter().filter(votes).count(), 0);
    assert_eq!(world.delivered(1).len(), 1);
}

#[test]
fn votes_under_a_wrong_name_key_group_or_kind_do_not_enter() {
    let view = View::flat(GROUP, 4).unwrap();
    let vote = Vote { kind: VoteKind::Write, instance: InstanceId(1), epoch: Epoch(0), digest: Digest([3; 32]) };
    let key = |n| Name(Client::Replica(ReplicaId(n)));
    let open = |signed: SignedVote, sender| {
        Sealed::<Message>::open(Message::Vote(signed).encode(), ReplicaId(sender), &view, &Names).map(|m| m.sender())
    };
    let good = vote.sign(GROUP, ReplicaId(1), &key(1));
    assert_eq!(open(good, 1), Ok(ReplicaId(1)));
    assert_eq!(open(good, 2), Err(Reject::Sender), "shown by somebody else");
    assert_eq!(open(vote.sign(GROUP, ReplicaId(1), &key(2)), 1), Err(Reject::Signature));
    assert_eq!(open(vote.sign(mod_smart::GroupId([1; 32]), ReplicaId(1), &key(1)), 1), Err(Reject::Signature));
    let accept = Vote { kind: VoteKind::Accept, ..vote };
    assert_eq!(open(SignedVote { vote: accept, ..good }, 1), Err(Reject::Signature), "another kind of vote");
    let later = Vote { epoch: Epoch(1), ..vote };
    assert_eq!(open(SignedVote { vote: later, ..good }, 1), Err(Reject::Signature), "another epoch");
    assert_eq!(open(vote.sign(GROUP, ReplicaId(9), &key(9)), 9), Err(Reject::Sender), "no member");
}

#[test]
fn decisions_with_a_false_proof_or_other_requests_do_not_enter() {
    let mut world = World::flat(4, 12);
    world.submit(&World::request(1, 1));
    world.run(SECOND);
    let Some(Record::Decided(decided)) = world.nodes[0].journal.iter().find(|r| matches!(r, Record::Decided(_))) else {
        panic!("nothing was decided")
    };
    let open = |requests: Vec<_>, proof| {
        let batch = mod_smart::message::DecidedBatch { proof, requests };
        let bytes = Message::Decisions(vec![batch]).encode();
        Sealed::<Message>::open(bytes, ReplicaId(0), &world.view, &Names).map(|_| ())
    };
    assert_eq!(open(vec![World::request(1, 1)], decided.proof.clone()), Ok(()));
    assert_eq!(open(vec![World::request(1, 2)], decided.proof.clone()), Err(Reject::Decision));
    let larger = View::flat(GROUP, 7).unwrap();
    assert_eq!(decided.proof.verify(&larger, &Names), Err(Reject::Certificate), "three of seven are no quorum");
}

#[test]
fn no_bytes_make_the_decoders_panic() {
    let view = View::flat(GROUP, 4).unwrap();
    let mut world = World::flat(4, 13);
    let samples =
        [
            Message::Vote(
                Vote { kind: VoteKind::Accept, instance: InstanceId(1), epoch: Epoch(0), digest: Digest([3; 32]) }
                    .sign(GROUP, ReplicaId(0), &Name(Client::Replica(ReplicaId(0)))),
            ),
            Message::Bodies(vec![World::request(1, 1), World::request(1, 2)]),
            Message::FetchBodies(vec![Digest([1; 32]); 3]),
        ];
    for _ in 0..20_000 {
        let sample = samples[world.random(samples.len() as u64) as usize].encode();
        let mut bytes = sample.to_vec();
        for _ in 0..=world.random(3) {
            let at = world.random(bytes.len() as u64) as usize;
            bytes[at] = world.random(256) as u8;
        }
        bytes.truncate(world.random(bytes.len() as u64 + 1) as usize);
        let bytes = Bytes::from(bytes);
        let _ = Sealed::<Message>::open(bytes.clone(), ReplicaId(0), &view, &Names);
        let _ = Record::decode(bytes);
    }
}

#[test]
fn a_replica_that_hears_nothing_asks_for_nothing_but_says_where_it_stands() {
    let mut world = World::flat(4, 14);
    world.run(10 * SECOND);
    let replica = world.nodes[0].replica.as_mut().unwrap();
    let mut actions = Vec::new();
    replica.handle(world.now, Event::Connected(ReplicaId(2)), &mut actions);
    assert_eq!(actions.len(), 1);
    assert!(world.nodes.iter().all(|node| node.journal.is_empty()), "an idle group writes nothing");
}
