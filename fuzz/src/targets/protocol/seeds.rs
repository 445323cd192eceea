//! A message and a record of every kind, written byte by byte: certificates can be collected by the core alone.
//!
//! The tags are those of `Message::encode` and `Record::encode`.

use bytes::Bytes;
use mod_smart::codec::Writer;
use mod_smart::sessions::Sessions;
use mod_smart::{Digest, InstanceId, Manifest, Request, Sealed};

use crate::fixtures::request;
use crate::target::Seed;

/// A message of every kind, as replica 1 may send it.
pub fn messages() -> Vec<Seed> {
    [ordering(), synchronization(), transfer()].concat()
}

fn ordering() -> Vec<Seed> {
    let requests = two_requests();
    let digests = digests(&requests);
    let batch = Digest::of_batch(&digests);
    vec![
        seed("propose", 1, &|w| (numbers(w, &[4, 0]), list(w, &digests)).1),
        seed("write", 2, &|w| vote(w, 0, batch)),
        seed("accept", 2, &|w| vote(w, 1, batch)),
        // Regency, delivered, flags, wanted regency, time of a decision, stable checkpoint.
        seed("status", 3, &|w| (numbers(w, &[2, 9]), w.u8(0b011), numbers(w, &[3, 2_000_000, 6])).2),
        seed("status-silent", 3, &|w| (numbers(w, &[0, 0]), w.u8(0b100), numbers(w, &[0, 0, 0])).2),
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

fn synchronization() -> Vec<Seed> {
    let digests = digests(&two_requests());
    let batch = Digest::of_batch(&digests);
    vec![
        seed("stop", 9, &|w| w.u64(2)),
        seed("stopdata-start", 10, &|w| stop_data(w, 1, Delivered::Nothing, &[])),
        seed("stopdata-written", 10, &|w| stop_data(w, 1, Delivered::Decided, &[(1, 4)])),
        seed("stopdata-decided", 10, &|w| stop_data(w, 1, Delivered::Checkpoint, &[(1, 4), (2, 5), (1, 7)])),
        seed("sync", 11, &|w| {
            sync(w, &[(Delivered::Nothing, &[]), (Delivered::Nothing, &[]), (Delivered::Nothing, &[])])
        }),
        seed("sync-bound", 11, &|w| {
            sync(w, &[(Delivered::Decided, &[(1, 4)]), (Delivered::Checkpoint, &[(2, 4)]), (Delivered::Nothing, &[])]);
        }),
        seed("fetch-batch", 12, &|w| (w.u64(4), w.raw(&batch.0)).1),
        seed("batch", 13, &|w| (w.u64(4), list(w, &digests)).1),
    ]
}

fn transfer() -> Vec<Seed> {
    let (state, manifest) = (Bytes::from_static(b"a state of one chunk"), |w: &mut Writer, state: &[u8]| {
        w.u64(state.len() as u64);
        let chunk = Manifest::of(state).expect("a small state").chunk(0);
        list(w, chunk.as_slice());
    });
    let digest = Manifest::of(&state).expect("a small state").digest();
    let reply = |w: &mut Writer, flags: [u8; 2], delivered: Delivered| {
        w.u64(77);
        w.raw(&flags);
        delivered.write(w);
        w.u64(2);
    };
    vec![
        seed("checkpoint", 14, &|w| (w.u64(3), w.raw(&digest.0), signed(w, 1)).2),
        seed("stable", 15, &|w| (w.raw(&certificate_of_checkpoint(3, digest)), manifest(w, &state)).1),
        seed("fetch-chunk", 16, &|w| (w.u64(3), w.u32(0)).1),
        seed("chunk", 17, &|w| (w.u64(3), w.u32(0), w.bytes(&state)).2),
        seed("probe", 18, &|w| w.u64(77)),
        seed("probe-reply-pristine", 19, &|w| reply(w, [1, 1], Delivered::Nothing)),
        seed("probe-reply-decided", 19, &|w| reply(w, [0, 1], Delivered::Decided)),
        seed("probe-reply-checkpoint", 19, &|w| reply(w, [0, 0], Delivered::Checkpoint)),
    ]
}

/// The records of one instance and its checkpoint, and one of the kinds that belong to no instance.
pub fn records(instance: u64) -> Vec<Bytes> {
    let others = rare(instance);
    let other = others[(instance as usize) % others.len()].1.clone();
    [common(instance).map(|(_, record)| record).to_vec(), vec![other]].concat()
}

/// A record of every kind.
pub fn records_of_every_kind() -> Vec<Seed> {
    common(3).into_iter().chain(rare(3)).map(|(name, bytes)| Seed::new(name, bytes)).collect()
}

fn common(instance: u64) -> [(&'static str, Bytes); 6] {
    let request = request(instance, Bytes::from(vec![instance as u8; 40]));
    let (digests, empty) = ([request.digest()], Digest::of_batch(&[]));
    let batch = Digest::of_batch(&digests);
    [
        ("body", tagged(1, &|w| w.raw(request.bytes()))),
        ("proposed", tagged(2, &|w| (numbers(w, &[instance, 0]), list(w, &digests)).1)),
        ("voted", tagged(3, &|w| (w.u8(0), numbers(w, &[instance, 0]), w.raw(&batch.0)).2)),
        ("certified", tagged(4, &|w| certificate(w, instance, empty))),
        ("decided", tagged(5, &|w| (certificate(w, instance, batch), list(w, &digests)).1)),
        ("mark", tagged(11, &|w| w.u64(instance))),
    ]
}

fn rare(instance: u64) -> [(&'static str, Bytes); 8] {
    let digest = Digest([9; 32]);
    let collect: (Delivered, &[(u8, u64)]) = (Delivered::Nothing, &[]);
    [
        ("stopped", tagged(6, &|w| w.u64(2))),
        ("entered", tagged(7, &|w| w.u64(2))),
        ("synced", tagged(8, &|w| sync(w, &[collect; 3]))),
        ("checkpointed", tagged(9, &|w| (w.u64(instance), w.raw(&digest.0)).1)),
        ("stable", tagged(10, &|w| w.raw(&certificate_of_checkpoint(instance, digest)))),
        ("silent", tagged(12, &|w| (w.u64(77), w.u8(0)).1)),
        ("silent-until", tagged(12, &|w| (w.u64(77), w.u8(1), numbers(w, &[instance, 2])).2)),
        ("readmitted", tagged(13, &|_| ())),
    ]
}

/// Client windows.
pub fn sessions() -> Vec<Seed> {
    let mut sessions = Sessions::new(4096);
    let empty = sessions.encode();
    for number in [1, 2, 7, 9] {
        sessions.order(request(number, Bytes::new()).value().id, InstanceId(number));
    }
    vec![Seed::new("empty", empty), Seed::new("one-client", sessions.encode())]
}

/// The certificate of a stable checkpoint.
pub fn certificate_of_checkpoint(instance: u64, digest: Digest) -> Bytes {
    let mut writer = Writer::default();
    writer.u64(instance);
    writer.raw(&digest.0);
    signatures(&mut writer);
    writer.finish()
}

/// What a replica has delivered, and why everybody must believe it.
#[derive(Clone, Copy)]
enum Delivered {
    Nothing,
    /// Instance 3, with the proof of its decision.
    Decided,
    /// Instance 3, with a certificate of the state after it.
    Checkpoint,
}

impl Delivered {
    fn write(self, writer: &mut Writer) {
        let digest = Digest([9; 32]);
        match self {
            Self::Nothing => writer.u8(0),
            Self::Decided => (writer.u8(1), certificate(writer, 3, digest)).1,
            Self::Checkpoint => (writer.u8(2), writer.raw(&certificate_of_checkpoint(3, digest))).1,
        }
    }
}

/// A STOPDATA of regency 1. A claim is a kind (1 written, 2 decided) and an instance.
fn stop_data(writer: &mut Writer, sender: u16, delivered: Delivered, claims: &[(u8, u64)]) {
    writer.u64(1);
    delivered.write(writer);
    writer.count(claims.len());
    for (kind, instance) in claims {
        writer.u8(*kind);
        certificate(writer, *instance, Digest([8; 32]));
    }
    signed(writer, sender);
}

fn sync(writer: &mut Writer, collects: &[(Delivered, &[(u8, u64)])]) {
    writer.u64(1);
    writer.count(collects.len());
    for (sender, (delivered, claims)) in (0..).zip(collects) {
        stop_data(writer, sender, *delivered, claims);
    }
}

fn two_requests() -> [Sealed<Request>; 2] {
    [request(1, Bytes::from_static(b"one")), request(2, Bytes::from_static(b"two"))]
}

fn digests(requests: &[Sealed<Request>]) -> Vec<Digest> {
    requests.iter().map(Sealed::<Request>::digest).collect()
}

fn seed(name: &str, tag: u8, write: &dyn Fn(&mut Writer)) -> Seed {
    Seed::new(name, tagged(tag, write))
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
    signed(writer, 1);
}

fn certificate(writer: &mut Writer, instance: u64, digest: Digest) {
    numbers(writer, &[instance, 0]);
    writer.raw(&digest.0);
    signatures(writer);
}

fn signatures(writer: &mut Writer) {
    writer.count(3);
    (0..3).for_each(|voter| signed(writer, voter));
}

fn signed(writer: &mut Writer, voter: u16) {
    writer.u16(voter);
    writer.raw(&[2; 64]);
}
