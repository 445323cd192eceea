//! The liars themselves, without a world: they know each other by name, and no key but their own.

use std::collections::BTreeSet;

use bytes::Bytes;
use fastrand::Rng;
use mod_smart::certificate::{Vote, VoteKind};
use mod_smart::message::{Propose, Status};
use mod_smart::{
    Client, Digest, Epoch, Evidence, FrontendId, GroupId, InstanceId, Message, Regency, ReplicaId, Request, RequestId,
    Sealed, Sequence, SessionId, StopData, Sync, Time, View, Voters,
};

use crate::sim::actor::{Actor, Hand, Outgoing};
use crate::sim::keys::{Key, Keys};

const GROUP: GroupId = GroupId([3; 32]);

fn view() -> View {
    View::flat(GROUP, 7).expect("seven replicas")
}

fn request(sequence: u64) -> Sealed<Request> {
    let frontend = FrontendId([1; 32]);
    let id = RequestId { client: Client::Frontend(frontend), session: SessionId(1), sequence: Sequence(sequence) };
    Request { id, body: Bytes::new() }.seal(GROUP, &Key::frontend(frontend))
}

/// What an honest replica might say in a few instances and regencies.
fn speech(me: ReplicaId) -> Vec<Message> {
    let mut said = Vec::new();
    for at in 1..=6 {
        let (instance, epoch) = (InstanceId(at), Epoch(at / 3));
        let requests = vec![request(at).digest(), request(at + 1).digest()];
        let digest = Digest::of_batch(&requests);
        said.push(Message::Propose(Propose { instance, epoch, requests }));
        for kind in [VoteKind::Write, VoteKind::Accept] {
            said.push(Message::Vote(Vote { kind, instance, epoch, digest }.sign(GROUP, me, &Key::vote(me))));
        }
        let collect = |who: u16| {
            let data = StopData { regency: Regency(at), delivered: Evidence::Start, claims: Vec::new() };
            data.sign(GROUP, ReplicaId(who), &Key::vote(ReplicaId(who)))
        };
        said.push(Message::Stop(Regency(at)));
        said.push(Message::StopData(collect(me.0)));
        said.push(Message::Sync(Sync { regency: Regency(at), collects: [0, 2, 3, 5, 6].map(collect).to_vec() }));
        let (delivered, wants) = (InstanceId(at), Regency(at));
        said.push(Message::Status(Status {
            regency: wants,
            delivered,
            is_proposed: true,
            is_synced: true,
            wants,
            is_silent: false,
            stable: InstanceId(0),
            accept_time: 1,
        }));
        said.push(Message::Bodies(vec![request(at)]));
    }
    said
}

/// Lets a liar hear and say everything a few times. Returns what left it in the end, and for whom.
fn live(actor: &mut dyn Actor, seed: u64) -> Vec<(ReplicaId, Bytes)> {
    let (view, me) = (view(), ReplicaId(1));
    let coalition: Voters = LIARS.into_iter().collect();
    let requests: Vec<Sealed<Request>> = (1..8).map(request).collect();
    let (own, heard) = (speech(me), HEARD.map(|from| (from, speech(from))));
    let (mut sent, mut random) = (Vec::new(), Rng::with_seed(seed));
    for step in 0..STEPS {
        let now = Time(step * 10_000_000);
        let (random, sent) = (&mut random, &mut sent);
        sent.clear();
        let mut hand = Hand {
            now,
            me,
            view: &view,
            group: GROUP,
            random,
            coalition,
            requests: &requests,
            configurations: &[],
            sent,
            tricks: &mut Vec::new(),
        };
        for (from, speech) in &heard {
            for message in speech {
                let _ = actor.on_receive(*from, message, &mut hand);
            }
        }
        for message in &own {
            for to in hand.others() {
                actor.on_send(to, message.clone(), &mut hand);
            }
        }
        (0..20).for_each(|_| actor.on_tick(&mut hand));
    }
    let bytes = |outgoing: Outgoing| match outgoing {
        Outgoing::Message { to, bytes, .. } => Some((to, bytes)),
        Outgoing::Push { .. } => None,
    };
    sent.into_iter().filter_map(bytes).collect()
}

/// What gets through the door of a correct replica.
fn opened(sent: Vec<(ReplicaId, Bytes)>) -> Vec<(ReplicaId, Message)> {
    let view = view();
    let open = |bytes: Bytes| Sealed::<Message>::open(bytes, ReplicaId(1), &view, &Keys).ok();
    sent.into_iter().filter_map(|(to, bytes)| Some((to, open(bytes)?.value().clone()))).collect()
}

/// Two of seven replicas lie, and hear two honest ones: four are no quorum.
const LIARS: [ReplicaId; 2] = [ReplicaId(1), ReplicaId(4)];
const HEARD: [ReplicaId; 3] = [ReplicaId(0), ReplicaId(2), ReplicaId(4)];
const STEPS: u64 = 8;

#[test]
fn every_liar_has_a_name_of_its_own() {
    let names: BTreeSet<&str> = super::all().iter().map(|make| make(0).name()).collect();
    assert_eq!(names.len(), super::all().len());
}

#[test]
fn liars_live_alike_from_the_same_seed() {
    for make in super::all() {
        for seed in 0..4 {
            let (one, other) = (live(&mut *make(seed), seed), live(&mut *make(seed), seed));
            assert_eq!(one, other, "{}", make(seed).name());
        }
    }
}

/// The liars and whom they heard are no quorum, so nothing that needs one gets through the door.
#[test]
fn no_lie_that_opens_carries_a_certificate_or_an_honest_name_that_was_not_given() {
    let honest: Vec<Message> = view().replicas().filter(|replica| !LIARS.contains(replica)).flat_map(speech).collect();
    for make in super::all() {
        for seed in 0..3 {
            let name = make(seed).name();
            for (_, message) in opened(live(&mut *make(seed), seed)) {
                let collects = match message {
                    Message::Decisions(decisions) => {
                        assert!(decisions.is_empty(), "{name}: a decision");
                        continue;
                    }
                    Message::Stable(..) => panic!("{name}: a stable checkpoint"),
                    Message::StopData(signed) => vec![signed],
                    Message::Sync(sync) => sync.collects,
                    _ => continue,
                };
                for collect in collects {
                    let knows_nothing = collect.data.delivered == Evidence::Start && collect.data.claims.is_empty();
                    assert!(knows_nothing, "{name}: a certificate in a STOPDATA");
                    let is_given = LIARS.contains(&collect.sender) || honest.contains(&Message::StopData(collect));
                    assert!(is_given, "{name}: an honest name");
                }
            }
        }
    }
}

#[test]
fn an_equivocator_tells_the_two_halves_two_stories_and_votes_for_both() {
    let sent = opened(live(&mut *super::equivocator::make(0), 1));
    let mut proposed = BTreeSet::new();
    let mut voted = BTreeSet::new();
    for (to, message) in sent.into_iter().filter(|(to, _)| !LIARS.contains(to)) {
        match message {
            Message::Propose(propose) if propose.instance == InstanceId(4) => {
                proposed.insert(propose.digest());
                assert!(
                    voted.is_empty()
                        || voted.contains(&(to, propose.digest()))
                        || voted.iter().all(|(who, _)| *who != to)
                );
            }
            Message::Vote(signed) if signed.vote.instance == InstanceId(4) => {
                voted.insert((to, signed.vote.digest));
            }
            _ => {}
        }
    }
    assert_eq!(proposed.len(), 2);
    let told: BTreeSet<Digest> = voted.iter().map(|(_, digest)| *digest).collect();
    assert_eq!(told, proposed, "it votes for what it told");
    assert_eq!(voted.len(), 5, "one story for each honest replica");
}

#[test]
fn a_hider_shows_syncs_that_are_valid_and_not_the_honest_one() {
    let honest = speech(ReplicaId(1));
    let sent = opened(live(&mut *super::hider::make(1), 1));
    let syncs: Vec<Message> = sent.into_iter().map(|(_, m)| m).filter(|m| matches!(m, Message::Sync(_))).collect();
    assert!(!syncs.is_empty());
    assert!(syncs.iter().any(|sync| !honest.contains(sync)));
}
