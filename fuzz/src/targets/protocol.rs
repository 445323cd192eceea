//! What replicas and clients say to each other, and what the core keeps.
//!
//! One value has one encoding, so whatever is accepted encodes to the bytes it came from.

mod seeds;

use bytes::Bytes;
use mod_smart::sessions::Sessions;
use mod_smart::{InstanceId, Message, Record, ReplicaId, Request, Sealed};

use crate::fixtures::{Credulous, GROUP, Picky, VIEW, request};
use crate::outcome::Outcome;
use crate::target::{Heap, Seed, Target};
pub use seeds::{certificate_of_checkpoint, records};

pub const MESSAGE: Target = Target {
    name: "protocol_message",
    about: "a message between replicas: opens or is refused, encodes to the same bytes, and a keyring that believes less \
            opens no more",
    run: message,
    seeds: seeds::messages,
    heap: Heap::SMALL,
    test_runs: 20_000,
};

pub const REQUEST: Target = Target {
    name: "protocol_request",
    about: "a client's request: seals are checked, and its digest is that of its value",
    run: open_request,
    seeds: || vec![Seed::new("request", request(1, Bytes::from_static(b"body")).bytes().to_vec())],
    heap: Heap::SMALL,
    test_runs: 10_000,
};

pub const RECORD: Target = Target {
    name: "journal_record",
    about: "a record of the core: encodes to the same bytes",
    run: record,
    seeds: seeds::records_of_every_kind,
    heap: Heap::SMALL,
    test_runs: 20_000,
};

pub const SESSIONS: Target = Target {
    name: "sessions",
    about: "the client windows in a checkpoint: what is read is written the same way from then on",
    run: sessions,
    seeds: seeds::sessions,
    heap: Heap::SMALL,
    test_runs: 20_000,
};

fn message(input: &[u8]) -> Outcome {
    let bytes = Bytes::copy_from_slice(input);
    let sender = ReplicaId(1);
    let picky = Sealed::<Message>::open(bytes.clone(), sender, &VIEW, &Picky);
    let opened = match Sealed::<Message>::open(bytes.clone(), sender, &VIEW, &Credulous) {
        Ok(opened) => opened,
        Err(reject) => {
            assert!(picky.is_err(), "opened by a keyring that believes less");
            return Outcome::refused(reject);
        }
    };
    assert_eq!(opened.bytes(), &bytes, "a sealed value keeps the bytes it came as");
    assert_eq!(opened.value().encode(), bytes, "one value has one encoding");
    assert_eq!(opened.sender(), sender);
    if let Ok(picky) = &picky {
        assert_eq!(picky.bytes(), &bytes);
    }
    Outcome::accepted(format_args!("tag {} {}", kind(opened.value()), if picky.is_ok() { "by all" } else { "by one" }))
}

/// The name of the variant, which is the first word of its debug text.
fn kind(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

fn open_request(input: &[u8]) -> Outcome {
    let bytes = Bytes::copy_from_slice(input);
    let opened = Sealed::<Request>::open(bytes.clone(), GROUP, &Picky);
    let trusted = Sealed::<Request>::trusted(bytes.clone());
    let Ok(trusted) = trusted else {
        assert!(opened.is_err(), "opened although it does not parse");
        return Outcome::from(opened.map(|_| "").map_err(|reject| reject.to_string()));
    };
    assert_eq!(trusted.bytes(), &bytes);
    assert_eq!(trusted.digest(), trusted.value().digest());
    match opened {
        Ok(opened) => {
            assert_eq!(opened.value(), trusted.value());
            Outcome::accepted(if opened.value().body.is_empty() { "an empty body" } else { "a body" })
        }
        Err(reject) => Outcome::refused(reject),
    }
}

fn record(input: &[u8]) -> Outcome {
    let bytes = Bytes::copy_from_slice(input);
    match Record::decode(bytes.clone()) {
        Ok(record) => {
            assert_eq!(record.encode(), bytes, "one record has one encoding");
            Outcome::accepted(kind(&record))
        }
        Err(error) => Outcome::refused(error),
    }
}

fn sessions(input: &[u8]) -> Outcome {
    match Sessions::decode(Bytes::copy_from_slice(input), 4096) {
        Ok(mut sessions) => {
            let encoded = sessions.encode();
            assert_eq!(Sessions::decode(encoded, 4096).as_ref(), Ok(&sessions), "what was read can be written");
            let id = request(5, Bytes::new()).value().id;
            let is_fresh = sessions.order(id, InstanceId(9));
            assert!(!sessions.order(id, InstanceId(10)), "nothing is ordered twice");
            Outcome::accepted(if is_fresh { "and orders on" } else { "and has ordered that" })
        }
        Err(error) => Outcome::refused(error),
    }
}
