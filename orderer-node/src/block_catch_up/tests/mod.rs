//! A node that lacks blocks, and sources of every kind.
#![allow(clippy::unwrap_used)]

mod sources;
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fabric_proto::common::Block;
use fabric_proto::metadata::parse_signatures_slot;
use frontend_shim::ledger::{Heights, Ledger, LedgerError, Tip};
use frontend_shim::limits::{LEDGER_BACKLOG_BLOCKS_MAX, LEDGER_BACKLOG_BYTES_MAX};
use mod_smart::ReplicaId;
use prost::Message as _;
use rustls_pki_types::CertificateDer;

use self::sources::{InFlight, Manners};
use self::world::{ENTRY_BYTES, World, channel, entry, style};
use super::limits::{ASKS_AHEAD_MAX, CatchUpLimits};
use crate::fault::Fault;
use crate::sessions::Caller;

fn heights(ledger: &Ledger) -> Heights {
    Heights { height: ledger.height(), certified: ledger.certified_height() }
}

fn encoded(ledger: &Ledger, number: u64) -> Bytes {
    ledger.read(number).unwrap().unwrap().encoded()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_ten_thousand_blocks_behind_catches_up_from_two_honest_sources_and_a_liar_in_bounded_memory() {
    let world = World::new();
    let (truth, ledger) = (world.ledger(), world.ledger());
    world.grow(&truth, 10_001, 10_001);
    let count = InFlight::new(&ledger);
    let sources = vec![
        world.source(1, &truth, Manners::OtherBody),
        world.source(2, &truth, Manners::Counted(Arc::clone(&count))),
        world.source(3, &truth, Manners::Counted(Arc::clone(&count))),
    ];
    let node = world.node(Arc::clone(&ledger), sources);
    let started = Instant::now();
    assert!(node.start(truth.tip().unwrap()));
    node.has_all(10_001).await;
    println!("10,000 blocks in {:?}, {} bytes in flight at most", started.elapsed(), count.most());
    assert_eq!(heights(&ledger), Heights { height: 10_001, certified: 10_001 });
    world.check(&ledger, &truth, 10_001);
    let report = node.catch_up.report();
    assert_eq!((report.blocks, report.certified, report.retries), (10_000, 10_000, 1));
    assert!(report.channels.is_empty());
    assert_eq!((report.sources[0].name.as_str(), report.sources[0].wrong_bodies), ("replica 1", 1));
    assert!(report.sources[1..].iter().all(|honest| honest.wrong_bodies + honest.silent_bodies == 0), "{report:?}");
    // Links and signatures are read once more and never stored; all else is judged, or what pipes and buffers hold.
    let beside_bodies = count.read() - 10_000 * ENTRY_BYTES as u64;
    assert!(count.most() < beside_bodies + (512 << 10), "{} bytes in flight", count.most());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_far_away_is_asked_ahead_and_not_without_bound() {
    let world = World::new();
    let (truth, ledger) = (world.ledger(), world.ledger());
    world.grow(&truth, 1200, 1200);
    let asks = Arc::new(AtomicU64::new(0));
    let far = world.source(1, &truth, Manners::Far(Arc::clone(&asks)));
    let node = world.node_with(Arc::clone(&ledger), vec![far], CatchUpLimits::default());
    let started = Instant::now();
    assert!(node.start(truth.tip().unwrap()));
    node.has_all(1200).await;
    println!("1,200 blocks from a source 50 ms away in {:?}", started.elapsed());
    world.check(&ledger, &truth, 1200);
    let most = asks.load(Ordering::Relaxed) as usize;
    assert!((2..=ASKS_AHEAD_MAX).contains(&most), "{most} asks waited");
    assert_eq!(node.catch_up.report().retries, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_that_become_large_are_asked_for_again_when_an_answer_is_cut_short() {
    let world = World::new();
    let (truth, ledger) = (world.ledger(), world.ledger());
    world.grow(&truth, 200, 0);
    for number in 200..220 {
        world.append(&truth, 0, vec![entry(number, 1 << 20)]);
    }
    world.grow(&truth, 300, 0);
    let count = InFlight::new(&ledger);
    let source = world.source(1, &truth, Manners::Counted(Arc::clone(&count)));
    let node = world.node_with(Arc::clone(&ledger), vec![source], CatchUpLimits::default());
    assert!(node.start(truth.tip().unwrap()));
    node.has_all(300).await;
    world.check(&ledger, &truth, 300);
    let report = node.catch_up.report();
    assert_eq!((report.retries, report.sources[0].garbage), (0, 0), "that is nobody's fault");
    assert!(count.connections().0 <= 3, "{:?}", count.connections());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_closed_in_good_order() {
    let world = World::new();
    let (truth, ledger) = (world.ledger(), world.ledger());
    world.grow(&truth, 300, 300);
    let count = InFlight::new(&ledger);
    let counted = |replica| world.source(replica, &truth, Manners::Counted(Arc::clone(&count)));
    let node = world.node(Arc::clone(&ledger), vec![counted(1), counted(2)]);
    assert!(node.start(truth.tip().unwrap()));
    node.has_all(300).await;
    let closed = async {
        while count.connections().0 != count.connections().1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), closed).await.expect("all of them");
    assert!(count.connections().0 >= 2, "both were asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_before_a_connection_broke_is_stored() {
    let world = World::new();
    let (truth, ledger) = (world.ledger(), world.ledger());
    world.grow(&truth, 7, 7);
    let node = world.node(Arc::clone(&ledger), vec![world.source(1, &truth, Manners::Closes)]);
    assert!(node.start(truth.tip().unwrap()));
    node.has_all(7).await;
    assert_eq!(node.catch_up.report().retries, 2, "three blocks each time");
}

/// Each liar is asked first, and everybody else is honest.
async fn with_liar(manners: Manners, held_against_it: impl Fn(&frontend_shim::counters::NodeCounters) -> u64) {
    let world = World::new();
    let (truth, ledger) = (world.ledger(), world.ledger());
    world.grow(&truth, 300, 300);
    world.grow(&ledger, 1, 1);
    let sources = vec![world.source(1, &truth, manners.clone()), world.source(2, &truth, Manners::Honest)];
    let node = world.node(Arc::clone(&ledger), sources);
    assert!(node.start(truth.tip().unwrap()));
    node.has_all(300).await;
    world.check(&ledger, &truth, 300);
    let report = node.catch_up.report();
    assert!(held_against_it(&report.sources[0]) > 0, "{manners:?}: {report:?}");
    let honest = &report.sources[1];
    assert_eq!(honest.wrong_bodies + honest.wrong_headers + honest.wrong_signatures + honest.garbage, 0, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_block_costs_a_retry_and_its_sender_is_named() {
    with_liar(Manners::OtherBody, |liar| liar.wrong_bodies).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_hashes_right_and_is_padded_is_refused() {
    with_liar(Manners::PaddedBody, |liar| liar.wrong_bodies).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_chain_is_noticed_at_its_first_header() {
    with_liar(Manners::OtherChain, |liar| liar.wrong_headers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_source_is_left_for_another() {
    with_liar(Manners::Silent, |liar| liar.silent_bodies).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_blocks_that_were_not_asked_for_are_held_against_their_sender() {
    with_liar(Manners::Garbage, |liar| liar.garbage).await;
    with_liar(Manners::OutOfOrder, |liar| liar.garbage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_signature_set_is_named_and_the_block_is_taken_without_it() {
    let world = World::new();
    let (truth, ledger) = (world.ledger(), world.ledger());
    world.grow(&truth, 20, 20);
    let node = world.node(Arc::clone(&ledger), vec![world.source(1, &truth, Manners::OtherSignature)]);
    assert!(node.start(truth.tip().unwrap()));
    node.has_all(20).await;
    assert_eq!(heights(&ledger), Heights { height: 20, certified: 1 });
    assert_eq!(node.catch_up.report().sources[0].wrong_signatures, 19);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_sources_and_broken_connections_cost_time_and_nothing_else() {
    for manners in [Manners::Slow, Manners::Closes] {
        let world = World::new();
        let (truth, ledger) = (world.ledger(), world.ledger());
        world.grow(&truth, 200, 200);
        let sources = vec![world.source(1, &truth, manners), world.source(2, &truth, Manners::Honest)];
        let node = world.node(Arc::clone(&ledger), sources);
        let started = Instant::now();
        assert!(node.start(truth.tip().unwrap()));
        node.has_all(200).await;
        assert!(started.elapsed() < Duration::from_secs(5), "the honest one was asked");
        assert!(node.catch_up.report().retries > 0);
        assert_eq!(node.catch_up.report().sources[0].wrong_bodies, 0, "that is no lie");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_meanwhile_waits_and_follows_when_nothing_is_missing() {
    let world = World::new();
    let (truth, ledger) = (world.ledger(), world.ledger());
    world.grow(&truth, 120, 100);
    let tip = Tip { number: 99, header_hash: truth.read(99).unwrap().unwrap().header.hash() };
    let mut node = world.node(Arc::clone(&ledger), vec![world.source(1, &truth, Manners::Honest)]);
    assert!(ledger.expect(tip).unwrap(), "from now on, blocks after the tip wait");
    for number in 100..120 {
        ledger.append(number, encoded(&truth, number)).unwrap();
        ledger.append(number, encoded(&truth, number)).unwrap();
    }
    assert_eq!(ledger.height(), 1);
    assert!(matches!(ledger.append(130, encoded(&truth, 119)), Err(LedgerError::WrongNumber { .. })));
    assert!(node.start(tip));
    assert!(node.start(tip), "again, while it is under way or done");
    node.has_all(120).await;
    world.check(&ledger, &truth, 120);
    assert_eq!(ledger.missing(), None);
    assert!(!node.start(tip), "it is here now");
    assert_eq!(node.catch_up.report().blocks, 99, "what waited was not fetched");
    world.grow(&truth, 121, 0);
    ledger.append(120, encoded(&truth, 120)).unwrap();
    assert!(node.fault.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn when_too_much_waits_the_oldest_is_let_go_and_fetched_too() {
    let world = World::new();
    let (truth, ledger) = (world.ledger(), world.ledger());
    let most = LEDGER_BACKLOG_BLOCKS_MAX as u64;
    world.grow(&truth, 10, 10);
    let tip = truth.tip().unwrap();
    assert!(ledger.expect(tip).unwrap());
    world.grow(&truth, 10 + most + 5, 0);
    for number in 10..truth.height() {
        ledger.append(number, encoded(&truth, number)).unwrap();
    }
    assert_eq!(ledger.missing().unwrap().tip.number, tip.number + 5);
    let large = truth.height();
    for number in large..large + 6 {
        world.append(&truth, 0, vec![entry(number, LEDGER_BACKLOG_BYTES_MAX / 4)]);
        ledger.append(number, encoded(&truth, number)).unwrap();
    }
    assert_eq!(ledger.missing().unwrap().tip.number, large + 2, "three of them are as much as can wait");
    let node = world.node(Arc::clone(&ledger), vec![world.source(1, &truth, Manners::Honest)]);
    assert!(node.start(tip), "an older tip changes nothing");
    node.has_all(large + 6).await;
    world.check(&ledger, &truth, large + 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_that_are_not_certified_anywhere_come_with_the_chain_and_get_our_signature() {
    let world = World::new();
    let (truth, ledger) = (world.ledger(), world.ledger());
    world.grow(&truth, 50, 30);
    let node = world.node(Arc::clone(&ledger), vec![world.source(1, &truth, Manners::Honest)]);
    assert!(node.start(truth.tip().unwrap()));
    node.has_all(50).await;
    assert_eq!(heights(&ledger), Heights { height: 50, certified: 30 });
    let verifier = fabric_channel::BlockVerifier::new(&world.config);
    let stored = ledger.read(40).unwrap().unwrap();
    let block = Block::decode(stored.encoded()).unwrap();
    let slot0 = parse_signatures_slot(block.metadata.as_ref().unwrap()).unwrap();
    let [signature] = &slot0.signatures[..] else { panic!("ours alone") };
    let signer = verifier.verify_signature(&stored.header.der(), &slot0.value, signature).unwrap();
    assert_eq!(verifier.signer_of(&signer), Some(1));
    let report = node.catch_up.report();
    assert_eq!((report.certified, report.sources[0].wrong_signatures), (29, 0), "too few is no lie");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_block_on_the_way_governs_what_follows() {
    let world = World::new();
    let (truth, ledger) = (world.ledger(), world.ledger());
    world.grow(&truth, 5, 5);
    let genesis = Block::decode(world.genesis.clone()).unwrap();
    world.append(&truth, 5, genesis.data.unwrap().data);
    for number in 6..10 {
        world.append(&truth, 5, vec![entry(number, 10)]);
    }
    for number in 5..8 {
        world.certify(&truth, number, &[1, 2, 3]);
    }
    let node = world.node(Arc::clone(&ledger), vec![world.source(1, &truth, Manners::Honest)]);
    assert!(node.start(truth.tip().unwrap()));
    node.has_all(10).await;
    assert_eq!(heights(&ledger), Heights { height: 10, certified: 8 });
    assert_eq!(node.catch_up.report().sources[0].wrong_signatures, 0);
    for number in 1..10 {
        let block = Block::decode(encoded(&ledger, number)).unwrap();
        let last_config = fabric_proto::metadata::last_config_index(&block).unwrap();
        assert_eq!(last_config, if number < 5 { 0 } else { 5 }, "block {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_judged_before_a_config_block_was_stored_are_judged_again() {
    let world = World::new();
    let (truth, ledger) = (world.ledger(), world.ledger());
    let genesis = Block::decode(world.genesis.clone()).unwrap();
    let mut last_config = 0;
    for number in 1..150 {
        let is_config = number % 20 == 7;
        let data = if is_config { genesis.data.clone().unwrap().data } else { vec![entry(number, 100)] };
        last_config = if is_config { number } else { last_config };
        world.append(&truth, last_config, data);
    }
    let node = world.node(Arc::clone(&ledger), vec![world.source(1, &truth, Manners::Honest)]);
    assert!(node.start(truth.tip().unwrap()));
    node.has_all(150).await;
    // Without a certificate, what a block says of its configuration is our own conclusion.
    for number in 1..150 {
        let last_config = |ledger| {
            fabric_proto::metadata::last_config_index(&Block::decode(encoded(ledger, number)).unwrap()).unwrap()
        };
        assert_eq!(last_config(&*ledger), last_config(&*truth), "block {number}");
    }
    assert_eq!(node.catch_up.report().sources[0].wrong_signatures, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_the_middle_resumes_where_it_was() {
    let world = World::new();
    let truth = world.ledger();
    world.grow(&truth, 3000, 3000);
    let ledger = world.ledger();
    let count = InFlight::new(&ledger);
    let sources = || vec![world.source(2, &truth, Manners::Honest)];
    let node = world.node(Arc::clone(&ledger), sources());
    assert!(node.start(truth.tip().unwrap()));
    node.reaches(700).await;
    drop((node, ledger, count));
    // The tasks let go of the ledger when they notice.
    let reopened = loop {
        match Ledger::open(&world.folder_of(1)) {
            Ok(ledger) => break Arc::new(ledger),
            Err(LedgerError::InUse { .. }) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(error) => panic!("{error}"),
        }
    };
    let before = reopened.height();
    assert!((700..3000).contains(&before), "{before}");
    let node = world.node(Arc::clone(&reopened), sources());
    assert!(node.start(truth.tip().unwrap()));
    node.has_all(3000).await;
    world.check(&reopened, &truth, 3000);
    assert_eq!(node.catch_up.report().blocks, 3000 - before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_lags_is_asked_again_when_it_has_caught_up() {
    let world = World::new();
    let (truth, lagging, ledger) = (world.ledger(), world.ledger(), world.ledger());
    world.grow(&truth, 40, 40);
    let node = world.node(Arc::clone(&ledger), vec![world.source(1, &lagging, Manners::Honest)]);
    assert!(node.start(truth.tip().unwrap()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(ledger.height(), 1);
    for number in 1..40 {
        lagging.append(number, encoded(&truth, number)).unwrap();
    }
    node.has_all(40).await;
    let report = node.catch_up.report();
    assert_eq!(report.sources[0].wrong_headers + report.sources[0].silent_bodies, 0, "that is no lie");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_another_history_is_a_fault_of_this_node() {
    let world = World::new();
    let (truth, ledger) = (world.ledger(), world.ledger());
    world.grow(&truth, 20, 20);
    world.append(&ledger, 0, vec![entry(77, 10)]);
    let mut node = world.node(Arc::clone(&ledger), vec![world.source(1, &truth, Manners::Honest)]);
    assert!(node.start(truth.tip().unwrap()));
    let fault = tokio::time::timeout(Duration::from_secs(10), node.fault.recv()).await.unwrap().unwrap();
    assert!(matches!(fault, Fault::Diverged { number: 1, .. }), "{fault}");
    let first = Tip { number: 1, header_hash: truth.read(1).unwrap().unwrap().header.hash() };
    let refused = node.catch_up.start(&channel(), &ledger, style(0), (0, first));
    assert!(matches!(refused, Err(Fault::Ledger(LedgerError::Fork { number: 1 }))));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_consenters_may_read() {
    let world = World::new();
    let (truth, ledger) = (world.ledger(), world.ledger());
    world.grow(&truth, 20, 20);
    let stranger = rcgen::generate_simple_self_signed(vec!["stranger".to_owned()]).unwrap();
    let caller = Caller::Tls(CertificateDer::from(stranger.cert.der().to_vec()));
    let refusing = sources::source(1, world.host(1, &truth), caller, Manners::Honest);
    let node = world.node(Arc::clone(&ledger), vec![refusing, world.source(2, &truth, Manners::Honest)]);
    assert!(node.start(truth.tip().unwrap()));
    node.has_all(20).await;
    assert_eq!(node.catch_up.report().sources[0].refused, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn later_blocks_are_taken_from_whoever_has_them_if_a_peer_would_take_them_and_no_others() {
    let world = World::new();
    let (truth, ledger) = (world.ledger(), world.ledger());
    world.grow(&ledger, 20, 20);
    // The newest ones were not certified where they come from.
    world.grow(&truth, 200, 150);
    let sources = vec![
        world.source(1, &truth, Manners::OtherBody),
        world.source(2, &truth, Manners::Silent),
        world.source(3, &truth, Manners::Honest),
    ];
    let node = world.node(Arc::clone(&ledger), sources);
    let heard = node.catch_up.level(&channel(), &ledger).await;
    assert_eq!(heights(&ledger), Heights { height: 150, certified: 150 });
    world.check(&ledger, &truth, 150);
    assert_eq!(heard.members, [ReplicaId(1), ReplicaId(3)].into_iter().collect());
    assert!(heard.silent.len() == 1 && heard.silent[0].starts_with("replica 2: no answer"), "{:?}", heard.silent);
    assert!(heard.configs.is_empty() && ledger.missing().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_made_before_the_group_took_the_channel_up_is_certified_if_a_peer_would_take_it() {
    let world = World::new();
    let (truth, ledger) = (world.ledger(), world.ledger());
    // Nobody of the others has certified what came after.
    world.grow(&truth, 100, 60);
    let node = world.node(Arc::clone(&ledger), vec![world.source(1, &truth, Manners::Honest)]);
    let tip = truth.tip().unwrap();
    assert!(node.catch_up.start(&channel(), &ledger, style(0), (59, tip)).unwrap());
    node.has_all(100).await;
    assert_eq!(heights(&ledger), Heights { height: 100, certified: 60 });
    world.check(&ledger, &truth, 100);
    assert_eq!(node.catch_up.report().sources[0].wrong_signatures, 0);
}
