//! Meshes of three replicas over loopback TLS: order, reconnection, strangers, garbage, and a peer that does not read.

#![allow(clippy::unwrap_used)]

mod world;

use std::time::Duration;

use frontend_shim::framing::encode_frame;
use frontend_shim::keys::FrontendKey;
use mod_smart::{Client, Keyring as _, Signer as _};

use self::world::{GROUP, World, pause, until};
use super::frame::{MeshFrame, consensus};
use super::*;
use crate::keys::VoteKey;

fn numbered(number: u32, bytes: usize) -> Bytes {
    let mut message = vec![number as u8; bytes.max(4)];
    message[..4].copy_from_slice(&number.to_be_bytes());
    message.into()
}

fn numbers(messages: &[Bytes]) -> Vec<u32> {
    messages.iter().map(|message| u32::from_be_bytes(*message.first_chunk().unwrap())).collect()
}

#[tokio::test]
async fn messages_of_any_size_arrive_in_order_and_only_where_they_should() {
    let mut nodes = World::new(3).await.all().await;
    for number in 0..300 {
        let bytes = if number % 50 == 0 { 700_000 } else { 200 };
        nodes[0].mesh.send_others(&numbered(number, bytes));
        nodes[1].mesh.send(ReplicaId(2), &numbered(number, 100));
        nodes[1].mesh.send(ReplicaId(1), b"to myself: nothing happens");
    }
    let all: Vec<u32> = (0..300).collect();
    let at_two = nodes[2].messages(600).await;
    assert_eq!((numbers(&at_two[&0]), numbers(&at_two[&1])), (all.clone(), all.clone()));
    assert_eq!(at_two[&0][50], numbered(50, 700_000));
    let at_one = nodes[1].messages(300).await;
    assert_eq!(numbers(&at_one[&0]), all);
    pause().await;
    assert!(nodes[0].events.try_recv().is_err() && nodes[1].events.try_recv().is_err());
    let (sent, received) = (nodes[0].counters(2), nodes[2].counters(0));
    assert_eq!((sent.frames_out, received.frames_in, sent.dropped), (300, 300, 0));
    assert_eq!(received.bytes_in, 294 * 200 + 6 * 700_000);
    assert!(sent.connected && sent.heard && sent.links == 1 && sent.rejects.is_empty(), "{sent:?}");
}

#[tokio::test]
async fn both_sides_of_a_link_know_each_others_vote_key() {
    let world = World::new(3).await;
    let nodes = world.all().await;
    for node in &nodes {
        for (number, member) in world.members.iter().enumerate() {
            let signature = VoteKey::derive(&member.pinned).sign(b"vote");
            assert!(node.keyring.verify_replica(ReplicaId(number as u16), b"vote", &signature));
        }
    }
}

#[tokio::test]
async fn a_node_that_comes_back_is_connected_again() {
    let world = World::new(2).await;
    let mut nodes = world.all().await;
    drop(nodes.pop());
    assert!(matches!(nodes[0].event().await, MeshEvent::Disconnected(ReplicaId(1))));
    assert!(!nodes[0].counters(1).connected);
    nodes[0].mesh.send(ReplicaId(1), b"said while it was away for a moment");
    let mut again = world.start(1).await;
    assert!(matches!(nodes[0].event().await, MeshEvent::Connected(ReplicaId(1))));
    again.connected([0]).await;
    nodes[0].mesh.send(ReplicaId(1), b"said after");
    assert_eq!(&again.message().await.1[..], b"said while it was away for a moment");
    assert_eq!(&again.message().await.1[..], b"said after");
    again.mesh.send(ReplicaId(0), b"answer");
    assert_eq!(&nodes[0].message().await.1[..], b"answer");
    assert_eq!(nodes[0].counters(1).links, 2);
}

#[tokio::test]
async fn a_peer_that_comes_to_us_is_dialled_at_once_however_long_the_wait_was_to_be() {
    let mut world = World::new(2).await;
    let long = Duration::from_secs(3600);
    world.limits = MeshLimits { redial_min: long, redial_max: long, redial_heard_max: long, ..world.limits.clone() };
    let mut node = world.start(0).await;
    until(|| node.counters(1).dials_failed == 1).await;
    let mut signs = node.mesh.signs_of_life(ReplicaId(1)).unwrap();
    for life in 1..=3 {
        let mut peer = world.start(1).await;
        peer.connected([0]).await;
        node.connected([1]).await;
        assert_eq!(node.counters(1).links, life);
        assert!(signs.has_changed().unwrap(), "and others can know");
        drop(peer);
        assert!(matches!(node.event().await, MeshEvent::Disconnected(ReplicaId(1))));
        until(|| !node.counters(1).heard).await;
        signs.mark_unchanged();
    }
    assert!(node.mesh.signs_of_life(ReplicaId(0)).is_none());
}

#[tokio::test]
async fn while_a_peer_is_heard_and_cannot_be_reached_yet_the_waits_stay_short() {
    let mut world = World::new(2).await;
    world.limits.redial_max = Duration::from_secs(3600);
    world.limits.redial_heard_max = Duration::from_millis(20);
    let node = world.start(0).await;
    let mut recovering = world.join_as(1, 0).await;
    assert!(matches!(recovering.hear().await, Some(MeshFrame::Hello(_))));
    // Doubled each time, so many waits would take hours.
    until(|| node.counters(1).dials_failed >= 20).await;
}

#[tokio::test]
async fn what_waited_for_too_long_is_not_sent() {
    let mut world = World::new(2).await;
    world.limits.outdated_after = Duration::from_millis(50);
    let mut node = world.start(0).await;
    node.mesh.send(ReplicaId(1), b"outdated");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut late = world.start(1).await;
    node.connected([1]).await;
    node.mesh.send(ReplicaId(1), b"fresh");
    assert_eq!(&late.message().await.1[..], b"fresh");
    assert_eq!(node.counters(1).dropped, 1);
}

#[tokio::test]
async fn a_certificate_that_nobody_pinned_is_refused_unheard() {
    let world = World::new(2).await;
    let nodes = world.all().await;
    // Of the same authority, but of no member.
    let stranger = world.authority.issue("stranger");
    let mut fake = world.dial_as(&stranger, 0).await;
    // It may be closed before or after our Hello is written.
    let _ = fake.writer.write_frame(world.hello(1).encode()).await;
    let _ = fake.writer.flush().await;
    assert_eq!(fake.hear().await, None);
    until(|| nodes[0].door.counters().strangers == 1).await;
    assert_eq!(nodes[0].door.counters().accepted, 1, "the link of the other node");
}

#[tokio::test]
async fn a_server_with_another_key_is_not_spoken_to() {
    let world = World::new(2).await;
    world.tell(1, world.authority.issue("expected").spki().unwrap(), world.address(1));
    let mut node = world.start(0).await;
    let _real = world.start(1).await;
    until(|| node.counters(1).dials_failed >= 3).await;
    assert!(node.events.try_recv().is_err());
    assert!(!node.counters(1).connected);
}

#[tokio::test]
async fn another_certificate_and_address_hold_once_they_are_in_force_for_links_that_are_made_afterwards() {
    let mut world = World::new(2).await;
    let mut nodes = world.all().await;
    let old = world.members[1].identity.clone();
    world.renew(1).await;
    // In force while the old link stands, which is left alone.
    world.tell(1, world.members[1].identity.spki().unwrap(), world.address(1));
    nodes[1].mesh.send(ReplicaId(0), b"over the old link");
    assert_eq!(&nodes[0].message().await.1[..], b"over the old link");

    let mut fake = world.dial_as(&old, 0).await;
    assert_eq!(fake.hear().await, None, "the old key is a stranger's");
    until(|| nodes[0].door.counters().strangers == 1).await;
    drop(nodes.pop());
    let mut renewed = world.start(1).await;
    renewed.connected([0]).await;
    nodes[0].connected([1]).await;
    renewed.mesh.send(ReplicaId(0), b"from the new place");
    assert_eq!(&nodes[0].message().await.1[..], b"from the new place");
    nodes[0].mesh.send(ReplicaId(1), b"answer");
    assert_eq!(&renewed.message().await.1[..], b"answer");
    assert_eq!(nodes[0].counters(1).address, world.address(1));
}

#[tokio::test]
async fn a_hello_is_judged_by_version_group_replica_and_binding() {
    let world = World::new(3).await;
    let node = world.start(0).await;
    let one = &world.members[1].identity;
    let with = |group, replica, binding| {
        MeshFrame::Hello(frame::Hello { group, replica, binding, terms: GroupTerms::plain(group) })
    };

    let mut newer = world.hello(1).encode().to_vec();
    newer[6] = 9;
    let mut fake = world.dial_as(one, 0).await;
    fake.say_bytes(newer.into()).await;
    assert!(fake.hear_refusal().await.starts_with("version 9 of the mesh protocol is not the version 1"));

    let elsewhere = GroupId([8; 32]);
    let mut fake = world.dial_as(one, 0).await;
    fake.say(with(elsewhere, ReplicaId(1), world.binding(1))).await;
    assert_eq!(fake.hear_refusal().await, "ordering group 08080808 is not served here");

    let terms = GroupTerms { members: GROUP, settings: toml::from_str("window = 4").unwrap() };
    let (group, replica, binding) = (elsewhere, ReplicaId(1), world.binding(1));
    let mut fake = world.dial_as(one, 0).await;
    fake.say(MeshFrame::Hello(frame::Hello { group, replica, binding, terms })).await;
    let refusal = "ordering group 08080808 is not served here: the members of the group are the same, and their settings of \
                   ordering differ: `window` is 1 at the node that was dialled and 4 at the node that dials";
    assert_eq!(fake.hear_refusal().await, refusal);

    for replica in [0, 2, 9] {
        let mut fake = world.dial_as(one, 0).await;
        fake.say(with(GROUP, ReplicaId(replica), world.binding(1))).await;
        let reason = fake.hear_refusal().await;
        assert!(reason.contains(&format!("replica {replica}")), "{reason}");
    }
    let mut fake = world.dial_as(one, 0).await;
    fake.say(with(GROUP, ReplicaId(1), world.binding(2))).await;
    assert!(fake.hear_refusal().await.contains("replica 1"));

    let stolen = VoteBinding { replica: ReplicaId(1), ..world.binding(2) };
    let mut fake = world.dial_as(one, 0).await;
    fake.say(with(GROUP, ReplicaId(1), stolen)).await;
    assert!(fake.hear_refusal().await.contains("not signed by the key"));

    let mut fake = world.dial_as(one, 0).await;
    fake.say(MeshFrame::Ping).await;
    assert_eq!(fake.hear_refusal().await, "the first frame is not a Hello");

    let mut good = world.join_as(1, 0).await;
    assert!(matches!(good.hear().await, Some(MeshFrame::Hello(hello)) if hello.replica == ReplicaId(0)));
    let expected = MeshDoorCounters {
        accepted: 1,
        garbled: 1,
        versions: 1,
        groups: 2,
        pins: 4,
        bindings: 1,
        ..Default::default()
    };
    assert_eq!(node.door.counters(), expected);
}

#[tokio::test]
async fn silent_connections_of_one_key_take_nobody_elses_place() {
    let world = World::new(3).await;
    let node = world.start(0).await;
    let mut silent = Vec::new();
    for _ in 0..limits::GREETINGS_PER_KEY_MAX + 3 {
        silent.push(world.dial_as(&world.members[1].identity, 0).await);
    }
    until(|| node.door.counters().garbled == 3).await;
    let mut good = world.join_as(2, 0).await;
    assert!(matches!(good.hear().await, Some(MeshFrame::Hello(_))));
}

#[tokio::test]
async fn garbage_closes_its_own_link_only_and_keeps_its_sender_out_for_a_while() {
    let world = World::new(3).await;
    let (mut node, mut friend) = (world.start(0).await, world.start(2).await);
    node.connected([2]).await;
    friend.connected([0]).await;
    let cases: [(&str, Bytes); 5] = [
        ("malformed", encode_frame(99, &[b"what?"])),
        ("malformed", encode_frame(3, &[b"shorter than a group id"])),
        ("framing", Bytes::from_static(&[0xff; 64])),
        ("group", consensus(GroupId([8; 32]), b"message")),
        ("unexpected", MeshFrame::Pong.encode()),
    ];
    for (reason, garbage) in cases {
        let before = node.counters(1).rejects.get(reason).copied().unwrap_or(0);
        let mut fake = world.join_as(1, 0).await;
        assert!(matches!(fake.hear().await, Some(MeshFrame::Hello(_))), "{reason}");
        fake.say(MeshFrame::Consensus { group: GROUP, message: Bytes::from_static(b"good") }).await;
        assert_eq!(&node.message().await.1[..], b"good");
        fake.say_bytes(garbage).await;
        assert_eq!(fake.hear().await, None, "closed");
        assert_eq!(node.counters(1).rejects[reason], before + 1);
        let mut soon = world.join_as(1, 0).await;
        assert!(soon.hear_refusal().await.contains("too soon"));
        tokio::time::sleep(world.limits.penalty).await;
    }
    assert!(!node.counters(1).heard);
    friend.mesh.send(ReplicaId(0), b"still here");
    assert_eq!(&node.message().await.1[..], b"still here");
    assert_eq!((friend.counters(0).links, node.counters(2).rejects.len()), (1, 0));
}

#[tokio::test]
async fn what_the_core_rejects_closes_the_link() {
    let mut nodes = World::new(2).await.all().await;
    nodes[0].mesh.reject(ReplicaId(1), "malformed: truncated");
    assert!(matches!(nodes[1].event().await, MeshEvent::Disconnected(ReplicaId(0))));
    assert_eq!(nodes[0].counters(1).rejects["message"], 1);
    assert!(matches!(nodes[1].event().await, MeshEvent::Connected(ReplicaId(0))), "after the penalty");
    assert!(nodes[1].counters(0).dials_failed > 0, "and not before");
}

#[tokio::test]
async fn a_peer_that_does_not_read_costs_a_bounded_queue_and_the_oldest_messages() {
    let mut world = World::new(3).await;
    world.limits.queue_bytes_max = 200_000;
    let sleeper = world.listen_as(2).await;
    let (mut node, mut friend) = (world.start(0).await, world.start(1).await);
    let mut asleep = sleeper.accept().await;
    node.connected([1, 2]).await;
    let mut last = 0;
    // More than any socket buffers hold.
    while node.counters(2).dropped < 200 {
        node.mesh.send(ReplicaId(2), &numbered(last, 50_000));
        assert!(node.counters(2).queued_bytes <= 200_000);
        last += 1;
        assert!(last < 100_000, "nothing is ever dropped");
        tokio::task::yield_now().await;
    }
    for number in 0..100 {
        node.mesh.send(ReplicaId(1), &numbered(number, 100));
    }
    assert_eq!(numbers(&friend.messages(100).await[&0]), (0..100).collect::<Vec<_>>(), "others are not affected");
    let mut heard = Vec::new();
    while heard.last() != Some(&(last - 1)) {
        match asleep.hear().await {
            Some(MeshFrame::Consensus { message, .. }) => heard.extend(numbers(&[message])),
            Some(_) => {}
            None => panic!("closed"),
        }
    }
    assert!(heard.is_sorted(), "in order");
    let newest = &heard[heard.len() - 3..];
    assert_eq!(newest, [last - 3, last - 2, last - 1], "what was dropped is older than what was kept");
    assert_eq!(heard.len() as u64, u64::from(last) - node.counters(2).dropped);
}

#[tokio::test]
async fn what_is_not_consumed_stops_the_reading_from_its_sender_only() {
    let mut world = World::new(3).await;
    world.limits.inflight_frames_max = 4;
    let mut nodes = world.all().await;
    for number in 0..200 {
        nodes[1].mesh.send(ReplicaId(0), &numbered(number, 10));
    }
    let mut held = Vec::new();
    for _ in 0..4 {
        let (from, message, credit) = nodes[0].message().await;
        assert_eq!(from, 1);
        held.push((message, credit));
    }
    for number in 0..50 {
        nodes[2].mesh.send(ReplicaId(0), &numbered(number, 10));
    }
    let others = nodes[0].messages(50).await;
    assert_eq!(others.keys().collect::<Vec<_>>(), [&2], "nothing more of replica 1");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(nodes[0].events.try_recv().is_err());
    let first: Vec<_> = held.into_iter().map(|(message, _)| message).collect();
    assert_eq!(numbers(&first), [0, 1, 2, 3]);
    assert_eq!(numbers(&nodes[0].messages(196).await[&1]), (4..200).collect::<Vec<_>>());
}

#[tokio::test]
async fn frontends_are_introduced_to_everybody_and_to_who_comes_later() {
    let world = World::new(3).await;
    let (first, second) = (world.start(0).await, world.start(1).await);
    let (early, later) = (FrontendKey::generate().unwrap(), FrontendKey::generate().unwrap());
    let certificate = world.authority.issue("frontend");
    let credential = |key: &FrontendKey| Credential::issue(GROUP, key.id(), &certificate).unwrap();
    let serves = |node: &world::Node, key: &FrontendKey| {
        node.keyring.verify_client(Client::Frontend(key.id()), b"request", &key.sign(b"request"))
    };
    assert!(first.mesh.introduce(&credential(&early)).unwrap());
    until(|| serves(&second, &early)).await;
    let third = world.start(2).await;
    until(|| serves(&third, &early)).await;
    assert!(first.mesh.introduce(&credential(&later)).unwrap());
    until(|| serves(&second, &later) && serves(&third, &later)).await;
    assert!(second.counters(0).rejects.is_empty());
}

#[tokio::test]
async fn an_introduction_that_is_not_believed_is_counted_and_the_link_stays() {
    let world = World::new(2).await;
    let mut node = world.start(0).await;
    let mut fake = world.join_as(1, 0).await;
    assert!(matches!(fake.hear().await, Some(MeshFrame::Hello(_))));
    let (key, foreign) = (FrontendKey::generate().unwrap(), crate::keys::test_authority::TestAuthority::new());
    let credential = Credential::issue(GROUP, key.id(), &foreign.issue("stranger")).unwrap();
    fake.say(MeshFrame::Introduce { group: GROUP, credential }).await;
    let forged = VoteBinding { replica: ReplicaId(1), ..world.binding(0) };
    fake.say(MeshFrame::Binding(forged)).await;
    fake.say(MeshFrame::Consensus { group: GROUP, message: Bytes::from_static(b"after") }).await;
    assert_eq!(&node.message().await.1[..], b"after");
    let rejects = node.counters(1).rejects;
    assert_eq!((rejects["introduction"], rejects["binding"]), (1, 1));
    assert!(node.keyring.credentials().is_empty());
}

#[tokio::test]
async fn vote_keys_are_passed_on_for_those_who_are_away() {
    let world = World::new(3).await;
    let (first, second) = (world.start(0).await, world.start(1).await);
    first.keyring.bind(&world.binding(2)).unwrap();
    until(|| second.keyring.binding(ReplicaId(2)).is_some()).await;
    assert_eq!(second.keyring.bindings().len(), 3);
}

#[tokio::test]
async fn a_link_without_sign_of_life_ends_in_either_direction() {
    let mut world = World::new(2).await;
    world.limits.ping_interval = Duration::from_millis(20);
    world.limits.silence_max = Duration::from_millis(200);
    let mute = world.listen_as(1).await;
    let mut node = world.start(0).await;
    // Dialled by the node: we take what it says, but do not answer its pings.
    let mut link = mute.accept().await;
    node.connected([1]).await;
    let mut pings = 0;
    while let Some(frame) = link.hear().await {
        pings += usize::from(frame == MeshFrame::Ping);
    }
    assert!(pings >= 3, "{pings}");
    assert!(matches!(node.event().await, MeshEvent::Disconnected(ReplicaId(1))));
    // Dialled by us: while we ask, we are answered; then we are forgotten.
    let mut fake = world.join_as(1, 0).await;
    assert!(matches!(fake.hear().await, Some(MeshFrame::Hello(_))));
    for _ in 0..10 {
        fake.say(MeshFrame::Ping).await;
        assert_eq!(fake.hear().await, Some(MeshFrame::Pong));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(node.counters(1).heard);
    assert_eq!(fake.hear().await, None);
    until(|| !node.counters(1).heard).await;
    assert!(node.counters(1).rejects.is_empty(), "silence is no offence");
}

#[tokio::test]
async fn a_second_link_of_a_peer_replaces_the_first() {
    let world = World::new(2).await;
    let mut node = world.start(0).await;
    let mut older = world.join_as(1, 0).await;
    assert!(matches!(older.hear().await, Some(MeshFrame::Hello(_))));
    let mut newer = world.join_as(1, 0).await;
    assert!(matches!(newer.hear().await, Some(MeshFrame::Hello(_))));
    assert_eq!(older.hear().await, None);
    newer.say(MeshFrame::Consensus { group: GROUP, message: Bytes::from_static(b"newer") }).await;
    assert_eq!(&node.message().await.1[..], b"newer");
    assert!(node.counters(1).heard);
}

#[tokio::test]
async fn one_door_serves_the_meshes_of_several_groups() {
    const OTHER: GroupId = GroupId([8; 32]);
    let world = World::new(2).await;
    let mut nodes = world.all().await;
    let mut others = Vec::new();
    for (me, node) in nodes.iter().enumerate() {
        let (mesh, events) = Mesh::start(world.setup_in(OTHER, me as u16)).unwrap();
        node.door.open(&mesh);
        others.push((mesh, events));
    }
    while !others[0].0.counters()[0].connected {
        pause().await;
    }
    nodes[0].mesh.send(ReplicaId(1), b"here");
    others[0].0.send(ReplicaId(1), b"there");
    assert_eq!(&nodes[1].message().await.1[..], b"here");
    let there = loop {
        if let MeshEvent::Frame { message, .. } = others[1].1.recv().await.unwrap() {
            break message;
        }
    };
    assert_eq!(&there[..], b"there");
    nodes[1].door.close(OTHER);
    others[1].0.close();
    until(|| others[0].0.counters()[0].dials_failed >= 3).await;
    nodes[0].mesh.send(ReplicaId(1), b"still here");
    assert_eq!(&nodes[1].message().await.1[..], b"still here");
}

#[tokio::test]
async fn a_mesh_ends_with_its_last_handle() {
    let world = World::new(2).await;
    let mut nodes = world.all().await;
    let copy = nodes[1].mesh.clone();
    let world::Node { mesh, .. } = nodes.pop().unwrap();
    drop(mesh);
    assert!(matches!(nodes[0].event().await, MeshEvent::Disconnected(_)), "its listener is gone");
    assert!(copy.counters().len() == 1 && !copy.shared.stop.is_cancelled());
    let stop = copy.shared.stop.clone();
    drop(copy);
    assert!(stop.is_cancelled());
}

#[tokio::test]
async fn a_mesh_that_makes_no_sense_does_not_start() {
    let world = World::new(3).await;
    let mut setup = world.setup(0);
    setup.binding = world.binding(1);
    setup.binding.replica = ReplicaId(0);
    assert!(matches!(Mesh::start(setup), Err(MeshError::Binding(_))));
    let mut setup = world.setup(0);
    setup.peers.push(setup.peers[0]);
    assert!(matches!(Mesh::start(setup), Err(MeshError::Repeated(ReplicaId(1)))));
    let mut setup = world.setup(0);
    setup.peers[0] = ReplicaId(0);
    assert!(matches!(Mesh::start(setup), Err(MeshError::Repeated(ReplicaId(0)))));
}
