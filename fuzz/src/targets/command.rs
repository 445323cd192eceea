//! What clients have ordered, and the state of the application.

use blockcutter::config_block::without_signatures;
use blockcutter::{Command, Ordering, Output, Tip, Verification, check, command, judge};
use bytes::Bytes;
use fabric_proto::block::check_entries;
use mod_smart::{Client, InstanceId, Regency, ReplicaId};

use super::journal::size;
use crate::fixtures::{CHAIN, ENVELOPE, ORDERING, VIEW, channel, frontend};
use crate::outcome::Outcome;
use crate::target::{Heap, Seed, Target};

pub const BODY: Target = Target {
    name: "command_body",
    about: "the body of a request: encodes to the same bytes, is judged, and whatever the verdict does not stop a replica",
    run: body,
    seeds: body_seeds,
    heap: Heap { base: 512 << 10, per_byte: 128 },
    test_runs: 6_000,
};

pub const SNAPSHOT: Target = Target {
    name: "ordering_snapshot",
    about: "the state of the application: is written as it was read, and orders on",
    run: snapshot,
    seeds: || {
        vec![
            Seed::new("empty", Ordering::new(VIEW.clone()).snapshot()),
            Seed::new("one-channel", ORDERING.snapshot()),
            Seed::new("taken-up", taken_up().snapshot()),
        ]
    },
    heap: Heap { base: 512 << 10, per_byte: 128 },
    test_runs: 3_000,
};

fn body(input: &[u8]) -> Outcome {
    let bytes = Bytes::copy_from_slice(input);
    let decoded = command::decode(bytes.clone());
    if let Ok(commands) = &decoded {
        assert_eq!(command::encode(commands), bytes, "one list of commands has one spelling");
    }
    let by_frontend = check(&bytes, frontend());
    let by_replica = check(&bytes, Client::Replica(ReplicaId(1)));
    assert!(by_frontend.is_err() || by_replica.is_ok(), "a frontend may do what a replica may not");
    assert!(by_replica.is_err() || decoded.is_ok());
    for verification in [Verification::Full, Verification::Frontends] {
        let judged = judge(&bytes, frontend(), &ORDERING.configurations(), verification);
        assert!(judged.is_err() || by_frontend.is_ok(), "what has no form is permitted");
    }
    let (mut out, mut copy) = (Vec::new(), Vec::new());
    let (mut ordering, mut twin) = (ORDERING.clone(), ORDERING.clone());
    for replica in VIEW.replicas() {
        ordering.apply(InstanceId(1), Client::Replica(replica), &bytes, &mut out);
        twin.apply(InstanceId(1), Client::Replica(replica), &bytes, &mut copy);
    }
    assert_eq!(ordering.snapshot(), twin.snapshot(), "two replicas come to two states");
    let mut blocks = 0;
    for output in &out {
        if let Output::Block(block) = output {
            check_entries(&block.data).expect("a block that peers refuse");
            blocks += 1;
        }
    }
    match by_replica {
        Ok(()) => Outcome::accepted(format_args!("{} cut, frontend {}", size(blocks), by_frontend.is_ok())),
        Err(reject) => Outcome::refused(reject),
    }
}

fn snapshot(input: &[u8]) -> Outcome {
    let bytes = Bytes::copy_from_slice(input);
    let mut ordering = match Ordering::restore(VIEW.clone(), bytes.clone()) {
        Ok(ordering) => ordering,
        Err(error) => return Outcome::refused(error),
    };
    assert_eq!(ordering.snapshot(), bytes, "one state has one spelling");
    let fill = Command::Envelopes { channel: channel(), sequence: 0, envelopes: vec![Bytes::from_static(ENVELOPE)] };
    let cuts = ordering.channels().cloned().collect::<Vec<_>>().into_iter().filter_map(|channel| {
        let number = ordering.open_cut(&channel)?.number;
        Some(Command::CutAfterTimeout { channel, number })
    });
    let body = command::encode(&cuts.chain([fill]).collect::<Vec<_>>());
    let mut out = Vec::new();
    VIEW.replicas().for_each(|replica| ordering.apply(InstanceId(1), Client::Replica(replica), &body, &mut out));
    let again = ordering.snapshot();
    let restored = Ordering::restore(VIEW.clone(), again.clone()).expect("a state that a replica came to is restored");
    assert_eq!(restored.snapshot(), again);
    Outcome::accepted(format_args!("{} channels", size(restored.channels().len())))
}

/// The channel as a group takes it up that has not ordered it so far.
fn take_up() -> Command {
    let genesis = crate::fixtures::block(0);
    let config_block = without_signatures(genesis.header.clone().expect("a header"), genesis.entries().to_vec());
    let (channel, tip) = (channel(), Tip { number: 7, header_hash: [7; 32] });
    Command::TakeUpChannel { channel, config_block, tip, ordered: vec![[1; 32], [2; 32]] }
}

fn taken_up() -> Ordering {
    let mut ordering = Ordering::new(VIEW.clone());
    let body = command::encode(&[take_up()]);
    VIEW.replicas().for_each(|replica| ordering.apply(InstanceId(1), Client::Replica(replica), &body, &mut Vec::new()));
    ordering
}

fn body_seeds() -> Vec<Seed> {
    let envelope = Bytes::from_static(ENVELOPE);
    let envelopes =
        |count| Command::Envelopes { channel: channel(), sequence: 0, envelopes: vec![envelope.clone(); count] };
    let cut = Command::CutAfterTimeout { channel: channel(), number: 1 };
    let open = Command::OpenChannel { channel: channel(), genesis: Bytes::from_static(CHAIN[0]) };
    vec![
        Seed::new("empty", Vec::new()),
        Seed::new("one-envelope", command::encode(&[envelopes(1)])),
        Seed::new("mixed", command::encode(&[envelopes(1), cut, envelopes(1)])),
        Seed::new("open-channel", command::encode(&[open])),
        Seed::new("take-up-channel", command::encode(&[take_up()])),
        Seed::new("hand-over", command::encode(&[Command::HandOver { regency: Regency(0), to: ReplicaId(2) }])),
    ]
}
