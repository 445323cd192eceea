//! What replicas and clients say to each other, and what the core keeps.
//!
//! One value has one encoding, so whatever is accepted encodes to the bytes it came from. Seeds are written byte by byte:
//! certificates can be collected by the core alone.

use bytes::Bytes;
use mod_smart::codec::Writer;
use mod_smart::sessions::Sessions;
use mod_smart::{Digest, InstanceId, Message, Record, ReplicaId, Request, Sealed};

use crate::fixtures::{Credulous, GROUP, Picky, VIEW, request};
use crate::outcome::Outcome;
use crate::target::{Heap, Seed, Target};

pub const MESSAGE: Target = Target {
    name: "protocol_message",
    about: "a message between replicas: opens or is refused, encodes to the same bytes, and a keyring that believes less \
            opens no more",
    run: message,
    seeds: message_seeds,
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
    seeds: record_seeds,
    heap: Heap::SMALL,
    test_runs: 20_000,
};

pub const SESSIONS: Target = Target {
    name: "sessions",
    about: "the client windows in a checkpoint: what is read is written the same way from then on",
    run: sessions,
    seeds: sessions_seeds,
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

/// A message of every kind. The tags are those of `Message::encode`.
fn message_seeds() -> Vec<Seed> {
    let requests = [request(1, Bytes::from_static(b"one")), request(2, Bytes::from_static(b"two"))];
    let digests: Vec<Digest> = requests.iter().map(Sealed::<Request>::digest).collect();
    let batch = Digest::of_batch(&digests);
    let seed = |name: &str, tag: u8, write: &dyn Fn(&mut Writer)| Seed::new(name, tagged(tag, write));
    vec![
        seed("propose", 1, &|w| (numbers(w, &[4, 0]), list(w, &digests)).1),
        seed("write", 2, &|w| vote(w, 0, batch)),
        seed("accept", 2, &|w| vote(w, 1, batch)),
        seed("status", 3, &|w| (numbers(w, &[2, 9]), w.u8(1)).1),
        seed("fetch-bodies", 4, &|w| list(w, &digests)),
        seed("bodies", 5, &|w| bodies(w, &requests)),
        seed("fetch-decisions", 6, &|w| w.u64(3)),
        seed("decisions", 7, &|w| {
            w.count(1);
            certificate(w, 4, batch);
            bodies(w, &requests);
        }),
        seed("offer", 8, &|w| {
            w.count(2);
            for request in &requests {
                // A request begins with its id: tag, frontend, session, number.
                w.raw(&request.bytes()[..49]);
                w.raw(&request.digest().0);
            }
        }),
    ]
}

/// A record of every kind, around the decision of one instance.
pub fn records(instance: u64) -> Vec<Bytes> {
    let request = request(instance, Bytes::from(vec![instance as u8; 40]));
    let (digests, empty) = ([request.digest()], Digest::of_batch(&[]));
    let batch = Digest::of_batch(&digests);
    vec![
        tagged(1, &|w| w.raw(request.bytes())),
        tagged(2, &|w| (numbers(w, &[instance, 0]), list(w, &digests)).1),
        tagged(3, &|w| (w.u8(0), numbers(w, &[instance, 0]), w.raw(&batch.0)).2),
        tagged(4, &|w| certificate(w, instance, empty)),
        tagged(5, &|w| (certificate(w, instance, batch), list(w, &digests)).1),
    ]
}

fn record_seeds() -> Vec<Seed> {
    let names = ["body", "proposed", "voted", "certified", "decided"];
    names.iter().zip(records(3)).map(|(name, bytes)| Seed::new(*name, bytes)).collect()
}

fn sessions_seeds() -> Vec<Seed> {
    let mut sessions = Sessions::new(4096);
    let empty = sessions.encode();
    for number in [1, 2, 7, 9] {
        sessions.order(request(number, Bytes::new()).value().id, InstanceId(number));
    }
    vec![Seed::new("empty", empty), Seed::new("one-client", sessions.encode())]
}

fn tagged(tag: u8, write: &dyn Fn(&mut Writer)) -> Bytes {
    let mut writer = Writer::default();
    writer.u8(tag);
    write(&mut writer);
    writer.finish()
}

fn numbers(writer: &mut Writer, numbers: &[u64]) {
    numbers.iter().for_each(|number| writer.u64(*number));
}

fn list(writer: &mut Writer, digests: &[Digest]) {
    writer.count(digests.len());
    digests.iter().for_each(|digest| writer.raw(&digest.0));
}

fn bodies(writer: &mut Writer, requests: &[Sealed<Request>]) {
    writer.count(requests.len());
    requests.iter().for_each(|request| writer.bytes(request.bytes()));
}

fn vote(writer: &mut Writer, kind: u8, digest: Digest) {
    writer.u8(kind);
    numbers(writer, &[4, 0]);
    writer.raw(&digest.0);
    writer.u16(1);
    writer.raw(&[2; 64]);
}

fn certificate(writer: &mut Writer, instance: u64, digest: Digest) {
    numbers(writer, &[instance, 0]);
    writer.raw(&digest.0);
    writer.count(3);
    for voter in 0..3 {
        writer.u16(voter);
        writer.raw(&[2; 64]);
    }
}
