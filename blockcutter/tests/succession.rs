//! A channel that moves from one group to another, as one replica of each sees it.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use blockcutter::config_block::without_signatures;
use blockcutter::{Command, CutBlock, Ordering, Output, SkipReason, Tip};
use bytes::Bytes;
use fabric_proto::common::Block;
use mod_smart::{GroupId, View};
use prost::Message;
use sha2::{Digest as _, Sha256};
use world::{
    Genesis, ask_cut, ask_open, bftch, blocks, envelope, next_config, opened, order, order_config, order_envelopes,
    replica, skips, without_consenter,
};

/// The old group after the config block that takes a consenter away, and its blocks.
fn moved() -> (Ordering, Vec<CutBlock>) {
    let mut ordering = opened(&Genesis::free().block());
    let mut cut = Vec::new();
    cut.extend(blocks(&order_envelopes(&mut ordering, (0..12).map(envelope).collect())));
    let config = ordering.chain(&bftch()).unwrap().config().clone();
    let out = order_config(&mut ordering, 0, without_consenter(&config, 4));
    cut.extend(blocks(&out));
    let tip = ordering.tip(&bftch()).unwrap();
    assert!(
        matches!(&out[..], [Output::Block(_), Output::Block(_), Output::Configured { .. }, Output::Moved { tip: last, .. }]
        if *last == tip),
        "{out:?}"
    );
    (ordering, cut)
}

/// How a member of the new group asks for the channel.
fn take_up(cut: &[CutBlock]) -> Command {
    let last = cut.last().unwrap();
    let config_block = without_signatures(last.header.clone(), last.data.clone());
    let tip = Tip { number: last.header.number, header_hash: last.header_hash };
    let ordered = cut.iter().flat_map(|block| &block.data).map(|envelope| Sha256::digest(envelope).into()).collect();
    Command::TakeUpChannel { channel: bftch(), config_block, tip, ordered }
}

fn successor() -> Ordering {
    Ordering::new(View::flat(GroupId([2; 32]), 3).unwrap())
}

#[test]
fn a_config_block_that_names_other_consenters_is_the_last_one_of_its_group() {
    let (mut old, cut) = moved();
    let tip = old.tip(&bftch()).unwrap();
    assert_eq!((tip.number, cut.last().unwrap().is_config), (3, true));
    assert!(old.chain(&bftch()).unwrap().is_moved());

    // What was promised here is for the others, the repeated ones too: they remember what was ordered, and nobody here.
    let out = order_envelopes(&mut old, vec![envelope(3), envelope(50), envelope(51)]);
    let [Output::LeftOver { sequence: 0, envelopes, .. }] = &out[..] else { panic!("{out:?}") };
    assert_eq!(*envelopes, [envelope(3), envelope(50), envelope(51)]);
    assert_eq!(skips(&order_envelopes(&mut old, vec![Bytes::from_static(b"no envelope")])).len(), 1);

    let config = old.chain(&bftch()).unwrap().config().clone();
    for sequence in [0, 1] {
        let out = order_config(&mut old, sequence, next_config(&config, 9));
        assert_eq!(skips(&out), [SkipReason::Moved]);
    }
    assert_eq!(skips(&ask_cut(&mut old, 0, 4)), [SkipReason::NotOpenCut(4)]);
    assert_eq!(skips(&ask_open(&mut old, 0, &bftch(), &Genesis::free().block())), [SkipReason::ChannelOpen]);
    assert_eq!(old.tip(&bftch()), Some(tip));
    let again = old.successor(old.snapshot()).unwrap();
    assert!(again.chain(&bftch()).unwrap().is_moved());
    assert_eq!(again.snapshot(), old.snapshot());
}

#[test]
fn the_new_group_goes_on_where_a_quorum_says_that_the_chain_ends_and_orders_nothing_twice() {
    let (old, cut) = moved();
    let mut new = successor();
    assert!(order(&mut new, replica(0), take_up(&cut)).is_empty());
    // Another end of the chain, or another memory of it, is another wish.
    let Command::TakeUpChannel { channel, config_block, tip, ordered } = take_up(&cut) else { unreachable!() };
    let forgetful = Command::TakeUpChannel { channel, config_block, tip, ordered: ordered[1..].to_vec() };
    assert!(order(&mut new, replica(1), forgetful).is_empty());
    let out = order(&mut new, replica(1), take_up(&cut));
    assert!(matches!(&out[..], [Output::TakenUp { tip: at, config, .. }] if *at == tip && config.sequence() == 1));
    assert_eq!(skips(&order(&mut new, replica(2), take_up(&cut))), [SkipReason::ChannelOpen]);
    assert_eq!(new.tip(&bftch()), old.tip(&bftch()));

    let left_over = order_envelopes(&mut new, vec![envelope(3), envelope(50), envelope(50), envelope(51)]);
    assert_eq!(skips(&left_over), [SkipReason::Duplicate, SkipReason::Duplicate]);
    let more = order_envelopes(&mut new, (60..68).map(envelope).collect());
    let block = blocks(&more).remove(0);
    assert_eq!((block.header.number, block.last_config, block.data.len()), (4, 3, 10));
    assert_eq!(block.header.previous_hash, &tip.header_hash[..]);
    let again = new.successor(new.snapshot()).unwrap();
    assert_eq!(again.snapshot(), new.snapshot());
}

#[test]
fn a_channel_is_taken_up_between_config_blocks_too_but_not_before_the_last_one() {
    let (_, cut) = moved();
    let Command::TakeUpChannel { channel, config_block, tip, ordered } = take_up(&cut) else { unreachable!() };
    let at = |number, header_hash, ordered: &[[u8; 32]]| {
        let (channel, config_block, ordered) = (channel.clone(), config_block.clone(), ordered.to_vec());
        let command = Command::TakeUpChannel { channel, config_block, tip: Tip { number, header_hash }, ordered };
        let mut group = Ordering::new(View::flat(GroupId([3; 32]), 1).unwrap());
        let out = order(&mut group, replica(0), command);
        (group.tip(&bftch()), skips(&out).len())
    };
    assert_eq!(at(9, [7; 32], &ordered), (Some(Tip { number: 9, header_hash: [7; 32] }), 0));
    assert_eq!(at(tip.number - 1, [7; 32], &ordered), (None, 1));
    assert_eq!(at(tip.number, [7; 32], &ordered), (None, 1), "not the hash of the config block");
    assert_eq!(at(9, [7; 32], &[[1; 32], [1; 32]]), (None, 1), "one envelope twice");

    // At block 0 a channel is opened, not taken up.
    let genesis = Block::decode(Genesis::free().block()).unwrap();
    let header = genesis.header.clone().unwrap();
    let tip = Tip { number: 0, header_hash: header.hash() };
    let config_block = without_signatures(header, genesis.entries().to_vec());
    let command = Command::TakeUpChannel { channel: bftch(), config_block, tip, ordered: Vec::new() };
    let mut group = Ordering::new(View::flat(GroupId([3; 32]), 1).unwrap());
    assert_eq!(skips(&order(&mut group, replica(0), command)).len(), 1);
}

#[test]
fn only_members_take_a_channel_up() {
    let (_, cut) = moved();
    let mut new = successor();
    for client in [world::FRONTEND, replica(3)] {
        assert_eq!(skips(&order(&mut new, client, take_up(&cut))), [SkipReason::NotAllowed]);
    }
}
