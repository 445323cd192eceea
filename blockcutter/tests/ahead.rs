//! Running ahead of the decisions: the same blocks, earlier; and nothing left of what is taken back.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use blockcutter::{Ahead, Command, CutBlock, Ordering, Output, command};
use mod_smart::{
    GroupId, InstanceId, Regency, Request, RequestId, Sealed, Sequence, SessionId, Signature, Signer, Tentative,
};
use world::{FRONTEND, Genesis, bftch, blocks, envelope, next_config, opened, real_genesis};

struct Unsigned;

impl Signer for Unsigned {
    fn sign(&self, _: &[u8]) -> Signature {
        Signature([0; 64])
    }
}

/// An instance that orders these commands.
fn tentative(instance: u64, commands: &[Command]) -> Tentative {
    let id = RequestId { client: FRONTEND, session: SessionId(1), sequence: Sequence(instance) };
    let request = Request { id, body: command::encode(commands) }.seal(GroupId([1; 32]), &Unsigned);
    let requests: Vec<Sealed<Request>> = vec![request];
    Tentative { instance: InstanceId(instance), regency: Regency(0), requests, skipped: 0 }
}

fn envelopes(numbers: std::ops::Range<u64>) -> Command {
    Command::Envelopes { channel: bftch(), sequence: 0, envelopes: numbers.map(envelope).collect() }
}

fn decide(ordering: &mut Ordering, ahead: &mut Ahead, decided: &Tentative) -> Vec<CutBlock> {
    let mut out: Vec<Output> = Vec::new();
    for request in &decided.requests {
        ordering.apply(decided.instance, request.value().id.client, &request.value().body, &mut out);
    }
    ahead.on_delivered(decided.instance);
    blocks(&out)
}

#[test]
fn blocks_are_known_before_their_decision_and_are_those_that_it_brings() {
    let (mut ordering, mut ahead) = (opened(&real_genesis()), Ahead::default());
    let instances: Vec<Tentative> = (2..6).map(|at| tentative(at, &[envelopes(at * 15..at * 15 + 15)])).collect();
    decide(&mut ordering, &mut ahead, &tentative(1, &[]));
    let foretold: Vec<CutBlock> = instances.iter().flat_map(|at| ahead.execute(&ordering, at)).collect();
    assert_eq!((foretold.len(), ordering.tip(&bftch()).unwrap().number), (6, 0));
    let decided: Vec<CutBlock> = instances.iter().flat_map(|at| decide(&mut ordering, &mut ahead, at)).collect();
    assert_eq!(decided, foretold);
}

#[test]
fn what_is_taken_back_leaves_nothing_behind_neither_the_open_cut_nor_the_memory_of_envelopes() {
    let (mut ordering, mut ahead) = (opened(&real_genesis()), Ahead::default());
    decide(&mut ordering, &mut ahead, &tentative(1, &[envelopes(0..7)]));
    assert_eq!(ahead.execute(&ordering, &tentative(2, &[envelopes(7..15)])).len(), 1);
    ahead.retract();
    // Other envelopes come first now, and some of those that were taken back.
    let other = tentative(2, &[envelopes(20..22), envelopes(7..9)]);
    let foretold = ahead.execute(&ordering, &other);
    assert_eq!(foretold[0].data.len(), 10);
    assert_eq!(foretold[0].data[7..], [20, 21, 7].map(envelope));
    assert_eq!(decide(&mut ordering, &mut ahead, &other), foretold);
}

#[test]
fn equal_headers_of_different_instances_are_signed_differently() {
    let mut ordering = opened(&real_genesis());
    let mut ahead = Ahead::default();
    decide(&mut ordering, &mut ahead, &tentative(1, &[]));
    let first = ahead.execute(&ordering, &tentative(2, &[envelopes(0..10)]));
    ahead.retract();
    decide(&mut ordering, &mut ahead, &tentative(2, &[]));
    let second = ahead.execute(&ordering, &tentative(3, &[envelopes(0..10)]));
    assert_eq!(first[0].header, second[0].header);
    assert_ne!(first[0].metadata_value, second[0].metadata_value);
}

#[test]
fn a_configuration_waits_for_its_decision_and_everything_behind_it_too() {
    let (mut ordering, mut ahead) = (opened(&Genesis::free().block()), Ahead::default());
    decide(&mut ordering, &mut ahead, &tentative(1, &[]));
    let opening = ordering.tip(&bftch()).unwrap();
    let config = Command::Config {
        channel: bftch(),
        sequence: 0,
        envelope: next_config(ordering.chain(&bftch()).unwrap().config(), 20),
    };
    let with_config = tentative(2, &[envelopes(0..10), config]);
    assert!(ahead.execute(&ordering, &with_config).is_empty());
    assert!(ahead.execute(&ordering, &tentative(3, &[envelopes(10..20)])).is_empty());
    assert_eq!(ordering.tip(&bftch()), Some(opening));
    assert_eq!(decide(&mut ordering, &mut ahead, &with_config).len(), 2);
    let after = Command::Envelopes { channel: bftch(), sequence: 1, envelopes: (30..50).map(envelope).collect() };
    assert_eq!(ahead.execute(&ordering, &tentative(3, &[after])).len(), 1, "the new configuration is in force");
}

#[test]
fn nothing_runs_ahead_of_a_state_whose_place_in_the_order_is_not_known() {
    let (mut ordering, mut ahead) = (opened(&real_genesis()), Ahead::default());
    assert!(ahead.execute(&ordering, &tentative(2, &[envelopes(0..10)])).is_empty());
    decide(&mut ordering, &mut ahead, &tentative(5, &[]));
    assert!(ahead.execute(&ordering, &tentative(7, &[envelopes(0..10)])).is_empty(), "a gap");
    assert_eq!(ahead.execute(&ordering, &tentative(6, &[envelopes(0..10)])).len(), 1);
    ahead.on_restored();
    assert!(ahead.execute(&ordering, &tentative(7, &[envelopes(10..20)])).is_empty());
}
