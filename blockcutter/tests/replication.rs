//! Replicas that order the same bodies agree, also when one of them goes on from a snapshot; and no body stops them.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use blockcutter::{Command, Ordering, RestoreError, command};
use bytes::Bytes;
use mod_smart::{Client, GroupId, InstanceId, View};
use proptest::prelude::*;
use world::{
    FRONTEND, Genesis, ask_cut, bftch, channel, comparable, envelope, envelope_of, opened, order_envelopes,
    real_genesis, replica, view,
};

/// Genesis blocks that the generated commands ask for, made once.
fn geneses() -> &'static [Bytes] {
    static GENESES: std::sync::OnceLock<Vec<Bytes>> = std::sync::OnceLock::new();
    GENESES.get_or_init(|| {
        let small = Genesis { count: 3, absolute: 300, preferred: 200, ..Genesis::default() };
        let other = Genesis { channel: channel("other"), count: 2, ..small.clone() };
        vec![small.block(), other.block(), real_genesis(), Bytes::from_static(b"no block")]
    })
}

fn any_channel() -> impl Strategy<Value = fabric_proto::ChannelId> {
    prop_oneof![6 => Just(bftch()), 3 => Just(channel("other")), 1 => Just(channel("never-opened"))]
}

/// Mostly envelopes that can be ordered, often repeated; some that cannot.
fn any_envelope() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        12 => (any_channel(), 0_u64..30, 0_usize..250)
            .prop_map(|(channel, number, data)| envelope_of(&channel, 3, number, data)),
        1 => (0..7_i32).prop_map(|header_type| envelope_of(&bftch(), header_type, 1, 1)),
        1 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from),
        1 => Just(Bytes::from([&envelope(1)[..], &[0x1a, 0]].concat())),
    ]
}

fn any_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        6 => (any_channel(), proptest::collection::vec(any_envelope(), 0..5))
            .prop_map(|(channel, envelopes)| Command::Envelopes { channel, sequence: 0, envelopes }),
        4 => (any_channel(), 0_u64..12).prop_map(|(channel, number)| Command::CutAfterTimeout { channel, number }),
        1 => (any_channel(), 0..geneses().len())
            .prop_map(|(channel, which)| Command::OpenChannel { channel, genesis: geneses()[which].clone() }),
    ]
}

fn any_client() -> impl Strategy<Value = Client> {
    prop_oneof![2 => Just(FRONTEND), 5 => (0_u16..5).prop_map(replica)]
}

type Request = (Client, Bytes);

fn any_request() -> impl Strategy<Value = Request> {
    let commands = proptest::collection::vec(any_command(), 0..3).prop_map(|commands| command::encode(&commands));
    let garbage = proptest::collection::vec(any::<u8>(), 0..60).prop_map(Bytes::from);
    (any_client(), prop_oneof![15 => commands, 1 => garbage])
}

/// Requests that begin by opening one channel, so that most runs order something.
fn any_history() -> impl Strategy<Value = Vec<Request>> {
    let open = command::encode(&[Command::OpenChannel { channel: bftch(), genesis: geneses()[0].clone() }]);
    let opening: Vec<Request> = (0..3).map(|by| (replica(by), open.clone())).collect();
    proptest::collection::vec(any_request(), 0..40).prop_map(move |requests| [opening.clone(), requests].concat())
}

fn run(ordering: &mut Ordering, requests: &[Request]) -> Vec<String> {
    let mut out = Vec::new();
    for (client, body) in requests {
        ordering.apply(InstanceId(1), *client, body, &mut out);
    }
    comparable(&out)
}

proptest! {
    #[test]
    fn replicas_agree_and_snapshots_carry_the_whole_state(history in any_history(), at in any::<prop::sample::Index>()) {
        let (early, late) = history.split_at(at.index(history.len()));
        let mut one = Ordering::new(view(4));
        let mut other = Ordering::new(view(4));
        prop_assert_eq!(run(&mut one, early), run(&mut other, early));

        let snapshot = one.snapshot();
        prop_assert_eq!(&snapshot, &other.snapshot());
        let mut restored = Ordering::restore(view(4), snapshot.clone()).unwrap();
        prop_assert_eq!(&restored.snapshot(), &snapshot);

        let outputs = run(&mut one, late);
        prop_assert_eq!(&outputs, &run(&mut other, late));
        prop_assert_eq!(&outputs, &run(&mut restored, late));
        prop_assert_eq!(one.snapshot(), restored.snapshot());
        prop_assert_eq!(one.asks().collect::<Vec<_>>(), restored.asks().collect::<Vec<_>>());
    }

    #[test]
    fn the_chain_holds_together(history in any_history()) {
        let mut ordering = Ordering::new(view(4));
        let mut tips = std::collections::BTreeMap::new();
        let mut ordered = std::collections::BTreeSet::new();
        for (client, body) in &history {
            let mut out = Vec::new();
            ordering.apply(InstanceId(1), *client, body, &mut out);
            for output in &out {
                if let blockcutter::Output::Opened { channel, genesis, .. } = output {
                    let block: fabric_proto::common::Block = prost::Message::decode(genesis.clone()).unwrap();
                    tips.insert(channel.clone(), (0, block.header.unwrap().hash()));
                }
            }
            for block in world::blocks(&out) {
                let (number, hash) = tips[&block.channel];
                prop_assert_eq!(block.header.number, number + 1);
                prop_assert_eq!(&block.header.previous_hash[..], &hash[..]);
                prop_assert_eq!(block.header.hash(), block.header_hash);
                prop_assert_eq!(fabric_proto::block::check_entries(&block.data), Ok(()));
                for envelope in &block.data {
                    prop_assert!(ordered.insert(envelope.clone()), "an envelope was ordered twice");
                }
                tips.insert(block.channel.clone(), (block.header.number, block.header_hash));
            }
        }
        for channel in ordering.channels() {
            let tip = ordering.tip(channel).unwrap();
            prop_assert_eq!((tip.number, tip.header_hash), tips[channel]);
        }
    }

    #[test]
    fn arbitrary_bodies_never_panic(body in proptest::collection::vec(any::<u8>(), 0..300), client in any_client()) {
        let body = Bytes::from(body);
        let _ = blockcutter::check(&body, client);
        Ordering::new(view(4)).apply(InstanceId(1), client, &body, &mut Vec::new());
    }

    #[test]
    fn damaged_snapshots_are_refused_or_are_another_state(
        history in any_history(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut ordering = Ordering::new(view(4));
        run(&mut ordering, &history);
        let snapshot = ordering.snapshot();
        let shorter = snapshot.slice(..keep.index(snapshot.len()));
        prop_assert!(Ordering::restore(view(4), shorter).is_err());
        let mut damaged = snapshot.to_vec();
        for (at, byte) in changes {
            let at = at.index(damaged.len());
            damaged[at] = byte;
        }
        if let Ok(restored) = Ordering::restore(view(4), damaged.clone().into()) {
            prop_assert_eq!(restored.snapshot(), damaged);
        }
    }
}

#[test]
fn a_snapshot_inside_an_open_cut_keeps_envelopes_askers_and_memory() {
    let mut ordering = opened(&Genesis::default().block());
    order_envelopes(&mut ordering, (0..25).map(envelope).collect());
    assert!(ask_cut(&mut ordering, 1, 3).is_empty());
    let mut restored = Ordering::restore(view(4), ordering.snapshot()).unwrap();
    assert_eq!(restored.open_cut(&bftch()), ordering.open_cut(&bftch()));
    assert_eq!(restored.tip(&bftch()).unwrap().number, 2);
    for ordering in [&mut ordering, &mut restored] {
        assert_eq!(world::skips(&order_envelopes(ordering, vec![envelope(0), envelope(24)])).len(), 2);
        let out = ask_cut(ordering, 2, 3);
        assert_eq!(world::blocks(&out)[0].data.len(), 5, "the ask before the snapshot counts");
    }
    assert_eq!(restored.snapshot(), ordering.snapshot());
}

#[test]
fn a_snapshot_is_read_by_its_own_group_and_version_only() {
    let snapshot = opened(&real_genesis()).snapshot();
    let other_group = View::flat(GroupId([2; 32]), 4).unwrap();
    assert_eq!(Ordering::restore(other_group, snapshot.clone()).unwrap_err(), RestoreError::OtherGroup);
    let mut newer = snapshot.to_vec();
    newer[1] += 1;
    let found = u16::from(newer[1]);
    assert_eq!(Ordering::restore(view(4), newer.into()).unwrap_err(), RestoreError::Version { found });
    assert!(matches!(Ordering::restore(view(4), Bytes::new()), Err(RestoreError::Codec(_))));
    let longer = Bytes::from([&snapshot[..], &[0]].concat());
    assert!(matches!(Ordering::restore(view(4), longer), Err(RestoreError::Codec(_))));
}
