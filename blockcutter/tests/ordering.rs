//! Opening, cutting by time and de-duplication, as one replica sees them.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::time::Duration;

use blockcutter::limits::{ENVELOPES_MAX, ORDERED_DIGESTS_MAX};
use blockcutter::{Command, EnvelopeReject, Ordering, Output, SkipReason, Tip, command};
use bytes::Bytes;
use fabric_proto::block;
use fabric_proto::common::Block;
use mod_smart::{Client, FrontendId, InstanceId};
use prost::Message;
use world::{
    FRONTEND, Genesis, ask_cut, ask_open, bftch, blocks, channel, cuts_opened, envelope, envelope_of, next_config,
    opened, order, order_config, order_envelopes, real_genesis, replica, skips, view,
};

#[test]
fn a_channel_opens_when_a_quorum_asks_for_one_genesis() {
    let mut ordering = Ordering::new(view(4));
    let genesis = real_genesis();
    let waiting = order_envelopes(&mut ordering, vec![envelope(1)]);
    assert_eq!(skips(&waiting), [SkipReason::ChannelNotOpen]);
    assert_eq!(skips(&ask_cut(&mut ordering, 0, 1)), [SkipReason::ChannelNotOpen]);
    for by in [0, 1, 1, 0] {
        assert!(ask_open(&mut ordering, by, &bftch(), &genesis).is_empty(), "two replicas, however often they ask");
    }
    assert_eq!((ordering.asks().count(), ordering.channels().len()), (2, 0));

    let out = ask_open(&mut ordering, 3, &bftch(), &genesis);
    let [Output::Opened { channel, genesis: block_0, config }] = &out[..] else { panic!("{out:?}") };
    assert_eq!((channel, block_0, config.batch_size().max_message_count), (&bftch(), &genesis, 10));
    let header_hash = Block::decode(genesis.clone()).unwrap().header.unwrap().hash();
    assert_eq!(ordering.tip(&bftch()), Some(Tip { number: 0, header_hash }));
    assert_eq!((ordering.asks().count(), ordering.open_cut(&bftch())), (0, None));

    let late = ask_open(&mut ordering, 2, &bftch(), &genesis);
    assert_eq!(skips(&late), [SkipReason::ChannelOpen]);
    let other = ask_open(&mut ordering, 2, &bftch(), &Genesis::default().block());
    assert_eq!(skips(&other), [SkipReason::OtherGenesis]);
}

#[test]
fn conflicting_asks_are_visible_and_a_later_ask_replaces_an_earlier() {
    let mut ordering = Ordering::new(view(4));
    let (right, wrong) = (real_genesis(), Genesis::default().block());
    for (by, genesis) in [(0, &right), (1, &wrong), (2, &right), (3, &wrong)] {
        assert!(ask_open(&mut ordering, by, &bftch(), genesis).is_empty());
    }
    let digests: Vec<_> = ordering.asks().map(|ask| ask.genesis).collect();
    assert_eq!((digests[0] == digests[2], digests[1] == digests[3], digests[0] == digests[1]), (true, true, false));
    let out = ask_open(&mut ordering, 3, &bftch(), &right);
    assert!(matches!(&out[..], [Output::Opened { genesis, .. }] if *genesis == right));
}

#[test]
fn only_members_of_the_group_ask() {
    let mut ordering = opened(&real_genesis());
    order_envelopes(&mut ordering, vec![envelope(1)]);
    for client in [FRONTEND, replica(4), replica(200)] {
        let cut = Command::CutAfterTimeout { channel: bftch(), number: 1 };
        let open = Command::OpenChannel { channel: channel("other"), genesis: real_genesis() };
        for command in [cut, open] {
            for _ in 0..3 {
                assert_eq!(skips(&order(&mut ordering, client, command.clone())), [SkipReason::NotAllowed]);
            }
        }
    }
    assert_eq!(ordering.open_cut(&bftch()).unwrap().number, 1);
}

#[test]
fn a_genesis_of_another_channel_opens_nothing() {
    let mut ordering = Ordering::new(view(1));
    let out = ask_open(&mut ordering, 0, &channel("other"), &real_genesis());
    assert!(matches!(&skips(&out)[..], [SkipReason::ConfigBlock(_)]), "{out:?}");
    assert_eq!((ordering.asks().count(), ordering.channels().len()), (0, 0));
}

#[test]
fn a_cut_by_time_needs_two_of_four() {
    let mut ordering = opened(&Genesis::default().block());
    let out = order_envelopes(&mut ordering, vec![envelope(1), envelope(2)]);
    assert_eq!(cuts_opened(&out), [(1, Duration::from_millis(150))]);
    assert_eq!(cuts_opened(&order_envelopes(&mut ordering, vec![envelope(3)])), [], "it is open already");
    let open = ordering.open_cut(&bftch()).unwrap();
    assert_eq!((open.number, open.envelopes, open.timeout), (1, 3, Duration::from_millis(150)));

    assert!(ask_cut(&mut ordering, 2, 1).is_empty());
    assert!(ask_cut(&mut ordering, 2, 1).is_empty(), "one replica asking twice is one");
    for number in [0, 2, u64::MAX] {
        assert_eq!(skips(&ask_cut(&mut ordering, 0, number)), [SkipReason::NotOpenCut(number)]);
    }
    let out = ask_cut(&mut ordering, 0, 1);
    let [block] = &blocks(&out)[..] else { panic!("{out:?}") };
    assert_eq!((block.header.number, block.data.len(), out.len()), (1, 3, 1));
    assert_eq!(block.header.data_hash, block::data_hash(&block.data).as_slice());

    // The third replica is late, and nothing is open under the next number.
    assert_eq!(skips(&ask_cut(&mut ordering, 3, 1)), [SkipReason::NotOpenCut(1)]);
    assert_eq!(skips(&ask_cut(&mut ordering, 3, 2)), [SkipReason::NotOpenCut(2)]);
}

#[test]
fn asks_do_not_survive_the_cut_they_were_for() {
    let mut ordering = opened(&Genesis { count: 2, ..Genesis::default() }.block());
    order_envelopes(&mut ordering, vec![envelope(1)]);
    assert!(ask_cut(&mut ordering, 0, 1).is_empty());
    // The cut fills in the meantime, and the next one opens in the same body.
    let out = order_envelopes(&mut ordering, vec![envelope(2), envelope(3)]);
    assert_eq!((blocks(&out).len(), cuts_opened(&out)), (1, vec![(2, Duration::from_millis(150))]));
    assert!(ask_cut(&mut ordering, 1, 2).is_empty(), "the first ask was for block 1");
    assert_eq!(blocks(&ask_cut(&mut ordering, 0, 2)).len(), 1);
}

#[test]
fn an_overflow_makes_what_is_open_the_next_number() {
    let size = |data_bytes| {
        let bytes = envelope_of(&bftch(), 3, 0, data_bytes);
        fabric_proto::Envelope::decode(bytes).unwrap().size() as u32
    };
    let large = |number, data_bytes| envelope_of(&bftch(), 3, number, data_bytes);
    let (absolute, preferred) = (size(900), size(500));
    let mut ordering = opened(&Genesis { absolute, preferred, ..Genesis::default() }.block());

    assert_eq!(cuts_opened(&order_envelopes(&mut ordering, vec![large(1, 400)])).len(), 1);
    let out = order_envelopes(&mut ordering, vec![large(2, 400)]);
    assert_eq!((blocks(&out).len(), cuts_opened(&out)), (1, vec![(2, Duration::from_millis(150))]));
    // Above preferred: it stands alone behind what was open.
    let out = order_envelopes(&mut ordering, vec![large(3, 501)]);
    assert_eq!(blocks(&out).iter().map(|block| block.header.number).collect::<Vec<_>>(), [2, 3]);
    assert_eq!((cuts_opened(&out), ordering.open_cut(&bftch())), (vec![], None));
    // Above absolute: it is not ordered at all.
    let out = order_envelopes(&mut ordering, vec![large(4, 901), large(5, 900)]);
    let size_max = absolute;
    assert_eq!(skips(&out), [SkipReason::TooLarge { size: u64::from(size(901)), size_max }]);
    assert_eq!(blocks(&out).len(), 1);
}

#[test]
fn an_envelope_through_several_frontends_is_ordered_once() {
    let mut ordering = opened(&Genesis { count: 2, ..Genesis::default() }.block());
    let mut cut = Vec::new();
    for frontend in 0..4 {
        let client = Client::Frontend(FrontendId([frontend; 32]));
        let envelopes = vec![envelope(1), envelope(2), envelope(3)];
        let out = order(&mut ordering, client, Command::Envelopes { channel: bftch(), sequence: 0, envelopes });
        assert_eq!(skips(&out), vec![SkipReason::Duplicate; if frontend == 0 { 0 } else { 3 }]);
        cut.extend(blocks(&out));
    }
    // Two in a block, one open: repeats are known in both places.
    assert_eq!(cut.iter().map(|block| block.data.clone()).collect::<Vec<_>>(), [[envelope(1), envelope(2)]]);
    assert_eq!(ordering.open_cut(&bftch()).unwrap().envelopes, 1);
    let twice_in_one_body = order_envelopes(&mut ordering, vec![envelope(4), envelope(4)]);
    assert_eq!(skips(&twice_in_one_body), [SkipReason::Duplicate]);
}

#[test]
fn an_envelope_that_has_left_the_memory_is_ordered_once_more() {
    let mut ordering = opened(&Genesis { count: 1000, ..Genesis::default() }.block());
    let order_range = |ordering: &mut Ordering, range: std::ops::Range<u64>| {
        let numbers: Vec<u64> = range.collect();
        for part in numbers.chunks(ENVELOPES_MAX) {
            let out = order_envelopes(ordering, part.iter().map(|&number| envelope(number)).collect());
            assert_eq!(skips(&out), []);
        }
    };
    let memory = ORDERED_DIGESTS_MAX as u64;
    order_range(&mut ordering, 0..memory);
    assert_eq!(skips(&order_envelopes(&mut ordering, vec![envelope(0)])), [SkipReason::Duplicate]);
    order_range(&mut ordering, memory..memory + 1);
    assert_eq!(skips(&order_envelopes(&mut ordering, vec![envelope(0)])), []);
    assert_eq!(skips(&order_envelopes(&mut ordering, vec![envelope(0)])), [SkipReason::Duplicate]);
}

#[test]
fn one_bad_envelope_does_not_take_its_neighbours_along() {
    let mut ordering = opened(&Genesis::default().block());
    let bad = [Bytes::new(), Bytes::from_static(b"\xff"), envelope_of(&channel("other"), 3, 1, 1)];
    let [first, second, third] = bad;
    let out = order_envelopes(&mut ordering, vec![first, envelope(1), second, envelope(2), third]);
    assert!(matches!(&skips(&out)[..], [SkipReason::Envelope(_), SkipReason::Envelope(_), SkipReason::Envelope(_)]));
    assert_eq!(ordering.open_cut(&bftch()).unwrap().envelopes, 2);
}

#[test]
fn channels_are_cut_apart() {
    let mut ordering = opened(&Genesis { count: 2, ..Genesis::default() }.block());
    let other = channel("other");
    let genesis = Genesis { channel: other.clone(), count: 3, ..Genesis::default() }.block();
    for by in 0..3 {
        ask_open(&mut ordering, by, &other, &genesis);
    }
    let mut out = Vec::new();
    let of_other = |numbers: std::ops::Range<u64>| numbers.map(|n| envelope_of(&other, 3, n, 8)).collect::<Vec<_>>();
    let body = command::encode(&[
        Command::Envelopes { channel: other.clone(), sequence: 0, envelopes: of_other(0..2) },
        Command::Envelopes { channel: bftch(), sequence: 0, envelopes: vec![envelope(1), envelope(2)] },
        Command::Envelopes { channel: other.clone(), sequence: 0, envelopes: of_other(2..4) },
    ]);
    ordering.apply(InstanceId(1), FRONTEND, &body, &mut out);
    let cut: Vec<_> = blocks(&out).iter().map(|b| (b.channel.to_string(), b.header.number, b.data.len())).collect();
    assert_eq!(cut, [("bftch".to_owned(), 1, 2), ("other".to_owned(), 1, 3)]);
    assert_eq!(ordering.channels().cloned().collect::<Vec<_>>(), [bftch(), other.clone()]);
    assert_eq!(ordering.open_cut(&other).unwrap().number, 2);
}

#[test]
fn a_body_that_is_no_list_of_commands_is_skipped_whole() {
    let mut ordering = opened(&real_genesis());
    let good = command::encode(&[Command::Envelopes { channel: bftch(), sequence: 0, envelopes: vec![envelope(1)] }]);
    let mut out = Vec::new();
    ordering.apply(InstanceId(1), FRONTEND, &Bytes::from([&good[..], &[0]].concat()), &mut out);
    assert!(matches!(&out[..], [Output::Skipped { channel: None, reason: SkipReason::Malformed(_) }]), "{out:?}");
    out.clear();
    ordering.apply(InstanceId(1), FRONTEND, &Bytes::new(), &mut out);
    assert!(out.is_empty() && ordering.open_cut(&bftch()).is_none());
}

/// Four replicas with the channel open, which everybody may configure.
fn free() -> Ordering {
    opened(&Genesis::free().block())
}

#[test]
fn a_configuration_is_in_force_from_the_block_that_brings_it() {
    let mut ordering = free();
    let next = next_config(ordering.chain(&bftch()).unwrap().config(), 1);
    order_envelopes(&mut ordering, vec![envelope(1)]);
    let out = order_config(&mut ordering, 0, next.clone());
    let cut: Vec<_> = blocks(&out).iter().map(|block| (block.header.number, block.is_config)).collect();
    assert_eq!(cut, [(1, false), (2, true)]);
    let Some(Output::Configured { channel, config }) = out.last() else { panic!("{out:?}") };
    assert_eq!((channel, config.sequence(), config.batch_size().max_message_count), (&bftch(), 1, 1));
    assert_eq!(ordering.configurations()[&bftch()].sequence(), 1);
    assert_eq!(skips(&order_config(&mut ordering, 0, next)), [SkipReason::Duplicate]);

    // The state carries it, read with a configuration that is known and with one that is not.
    let again = ordering.successor(ordering.snapshot()).unwrap();
    let restored = Ordering::restore(view(4), ordering.snapshot()).unwrap();
    for mut carried in [again, restored] {
        assert_eq!(carried.snapshot(), ordering.snapshot());
        let chain = carried.chain(&bftch()).unwrap();
        assert_eq!((chain.last_config(), chain.config().batch_size().max_message_count), (2, 1));
        assert_eq!(blocks(&order_envelopes(&mut carried, vec![envelope(2)])).len(), 1);
    }
}

#[test]
fn of_two_configurations_that_lead_on_from_one_the_first_wins() {
    let mut ordering = free();
    let config = ordering.chain(&bftch()).unwrap().config().clone();
    let (first, second) = (next_config(&config, 2), next_config(&config, 3));
    assert_eq!(blocks(&order_config(&mut ordering, 0, first)).len(), 1);
    let late = order_config(&mut ordering, 0, second);
    assert_eq!(skips(&late), [SkipReason::OtherSequence { current: 1, found: 0 }]);
    assert_eq!(ordering.tip(&bftch()).unwrap().number, 1);
}

#[test]
fn what_was_admitted_under_another_configuration_is_judged_again_at_its_turn() {
    // Nobody signed these envelopes with a certificate of the channel, so that the real Writers policy does not permit them.
    let mut strict = opened(&Genesis::default().block());
    let under = |sequence| Command::Envelopes { channel: bftch(), sequence, envelopes: vec![envelope(1)] };
    for sequence in [1, 2, u64::MAX] {
        let out = order(&mut strict, FRONTEND, under(sequence));
        assert!(matches!(&skips(&out)[..], [SkipReason::Envelope(EnvelopeReject::Filter(_))]), "{out:?}");
    }
    assert_eq!(skips(&order(&mut strict, FRONTEND, under(0))), [], "a quorum vouches for it");
    assert_eq!(skips(&order(&mut free(), FRONTEND, under(9))), []);
}
