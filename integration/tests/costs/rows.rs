//! The paths that are measured, each with its inputs made beforehand and everything that grows once already grown.

use std::hint::black_box;

use blockcutter::{BundleBuilder, Verification, judge};
use bytes::Bytes;
use fabric_proto::Envelope;
use frontend_shim::block_body::read_body;
use frontend_shim::ledger::Ledger;

use super::group::{Group, Key, request};
use super::input::{self, FRONTEND, GROUP, Stored};
use super::measure;
use super::table::Figures;

/// In the order of [`super::table::TABLE`].
pub const ALL: [fn() -> Figures; 9] = [
    decoded_and_checked,
    bundled,
    sealed,
    judged_with_frontends_trusted,
    judged_in_full,
    agreed_on_by_four,
    ordered_into_a_block,
    body_of_a_block_read,
    stored_and_delivered,
];

/// Hundreds of envelopes before anything is counted, and hundreds counted.
const WARM_UP: u64 = 5;
const COUNTED: u64 = 20;

/// fabric-proto: an envelope from its bytes, and whether it may stand in a block as it is.
fn decoded_and_checked() -> Figures {
    let envelopes = input::envelopes(0);
    measure(1, || {
        for envelope in &envelopes {
            let decoded = Envelope::decode(envelope.clone()).unwrap();
            decoded.check_canonical().unwrap();
            black_box(decoded);
        }
    })
}

/// blockcutter: a hundred admitted envelopes become the body of a request.
fn bundled() -> Figures {
    let (channel, envelopes) = (input::channel(), input::envelopes(0));
    measure(1, || {
        let mut bundle = BundleBuilder::new();
        for envelope in &envelopes {
            assert!(bundle.has_room_for(&channel, 0, envelope));
            bundle.push(&channel, 0, envelope.clone());
        }
        black_box(bundle.finish());
    })
}

/// mod-smart: a body is sealed as a request.
fn sealed() -> Figures {
    let body = input::body(input::envelopes(0));
    measure(1, || drop(black_box(request(1, body).seal(GROUP, &Key(FRONTEND)))))
}

fn judged_with_frontends_trusted() -> Figures {
    judged(Verification::Frontends)
}

fn judged_in_full() -> Figures {
    judged(Verification::Full)
}

/// blockcutter, fabric-channel: a request body before a replica takes it in. The client's identity is known already.
fn judged(verification: Verification) -> Figures {
    let configurations = input::ordering().configurations();
    let body = input::body(vec![input::real(); input::ENVELOPES]);
    let judge = || judge(&body, FRONTEND, &configurations, verification).unwrap();
    judge();
    measure(1, judge)
}

/// mod-smart: four replicas take a request in, agree on it and give it to their applications; all four together.
fn agreed_on_by_four() -> Figures {
    let requests = (1..=WARM_UP + COUNTED).map(|number| {
        let body = input::body(input::envelopes(number));
        request(number, body).seal(GROUP, &Key(FRONTEND)).bytes().clone()
    });
    let requests: Vec<Bytes> = requests.collect();
    let (first, counted) = requests.split_at(WARM_UP as usize);
    let mut group = Group::new();
    first.iter().for_each(|request| group.decide(request));
    measure(COUNTED, || counted.iter().for_each(|request| group.decide(request)))
}

/// blockcutter: an ordered body becomes a block.
fn ordered_into_a_block() -> Figures {
    let bodies: Vec<Bytes> = (0..WARM_UP + COUNTED).map(|number| input::body(input::envelopes(number))).collect();
    let (first, counted) = bodies.split_at(WARM_UP as usize);
    let mut ordering = input::ordering();
    let mut out = Vec::with_capacity(bodies.len());
    first.iter().for_each(|body| ordering.apply(InstanceId(1), FRONTEND, body, &mut out));
    let figures =
        measure(COUNTED, || counted.iter().for_each(|body| ordering.apply(InstanceId(1), FRONTEND, body, &mut out)));
    assert_eq!(out.len(), bodies.len(), "each body is one block");
    figures
}

/// frontend-shim: the data of a block as a frontend takes it from a node.
fn body_of_a_block_read() -> Figures {
    let chain = input::chain(2);
    measure(1, || drop(black_box(read_body(&chain[1].body).unwrap())))
}

/// frontend-shim: a block is stored, certified, and made the message that every Deliver stream sends.
fn stored_and_delivered() -> Figures {
    let chain = input::chain(1 + WARM_UP + COUNTED);
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    let store = |block: &Stored| {
        ledger.append(block.number, block.encoded.clone()).unwrap();
        ledger.certify(block.number, block.certificate.clone()).unwrap();
        black_box(ledger.read(block.number).unwrap().unwrap().message());
    };
    let (first, counted) = chain.split_at(1 + WARM_UP as usize);
    first.iter().for_each(store);
    measure(COUNTED, || counted.iter().for_each(store))
}
