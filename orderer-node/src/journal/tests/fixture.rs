//! Records to journal, and short ways to write and read them.

use std::sync::Arc;

use bytes::Bytes;
use mod_smart::certificate::{Vote, VoteKind};
use mod_smart::codec::Writer;
use mod_smart::message::Propose;
use mod_smart::{
    Client, Digest, Epoch, FrontendId, GroupId, InstanceId, Record, Request, RequestId, Sealed, Sequence, SessionId,
    Signature, Signer,
};

use crate::disk::MemDisk;
use crate::journal::{Journal, JournalError, JournalOptions, Replay, Summary, segment};

pub(in crate::journal) const GROUP: GroupId = GroupId([7; 32]);

struct NoKey;

impl Signer for NoKey {
    fn sign(&self, message: &[u8]) -> Signature {
        Signature([message.len() as u8; 64])
    }
}

pub(in crate::journal) fn request(number: u64, bytes: usize) -> Sealed<Request> {
    let client = Client::Frontend(FrontendId([3; 32]));
    let id = RequestId { client, session: SessionId(1), sequence: Sequence(number) };
    Request { id, body: Bytes::from(vec![number as u8; bytes]) }.seal(GROUP, &NoKey)
}

pub(in crate::journal) fn body(number: u64) -> Record {
    Record::Body(request(number, 100))
}

pub(in crate::journal) fn digest(number: u64) -> Digest {
    request(number, 100).digest()
}

pub(in crate::journal) fn digests(numbers: &[u64]) -> Vec<Digest> {
    numbers.iter().map(|number| digest(*number)).collect()
}

pub(in crate::journal) fn proposed(instance: u64, numbers: &[u64]) -> Record {
    Record::Proposed(Propose { instance: InstanceId(instance), epoch: Epoch(0), requests: digests(numbers) })
}

pub(in crate::journal) fn voted(instance: u64) -> Record {
    let digest = Digest::of_batch(&[]);
    Record::Voted(Vote { kind: VoteKind::Write, instance: InstanceId(instance), epoch: Epoch(0), digest })
}

pub(in crate::journal) fn certified(instance: u64) -> Record {
    Record::decode(votes(4, instance, Digest::of_batch(&[])).finish()).unwrap()
}

pub(in crate::journal) fn decided(instance: u64, numbers: &[u64]) -> Record {
    let requests = digests(numbers);
    let mut writer = votes(5, instance, Digest::of_batch(&requests));
    writer.count(requests.len());
    requests.iter().for_each(|digest| writer.raw(&digest.0));
    Record::decode(writer.finish()).unwrap()
}

/// Certificates can be collected by the protocol core only, so they are written as their bytes.
fn votes(tag: u8, instance: u64, digest: Digest) -> Writer {
    let mut writer = Writer::default();
    writer.u8(tag);
    writer.u64(instance);
    writer.u64(0);
    writer.raw(&digest.0);
    writer.count(3);
    for voter in 0..3 {
        writer.u16(voter);
        writer.raw(&[voter as u8; 64]);
    }
    writer
}

/// All kinds of records around the decision of one instance with one request.
pub(in crate::journal) fn instance(number: u64) -> Vec<Record> {
    let batch = [number];
    vec![body(number), proposed(number, &batch), voted(number), certified(number), decided(number, &batch)]
}

pub(in crate::journal) fn try_open(
    disk: &MemDisk,
    options: JournalOptions,
    after: u64,
) -> Result<(Journal, Replay), JournalError> {
    Journal::open(Arc::new(disk.clone()), GROUP, options, InstanceId(after))
}

pub(in crate::journal) fn open(disk: &MemDisk) -> (Journal, Vec<Record>, Summary) {
    let (journal, replay) = try_open(disk, JournalOptions::default(), 0).unwrap();
    let summary = replay.summary();
    (journal, replay.map(Result::unwrap).collect(), summary)
}

pub(in crate::journal) fn small_segments(segment_bytes: u32) -> JournalOptions {
    JournalOptions { segment_bytes, ..JournalOptions::default() }
}

pub(in crate::journal) fn append(journal: &mut Journal, records: &[Record]) {
    records.iter().for_each(|record| journal.append(record).unwrap());
}

pub(in crate::journal) fn commit(journal: &mut Journal, records: &[Record]) {
    append(journal, records);
    journal.commit().unwrap();
}

pub(in crate::journal) fn content(disk: &MemDisk, number: u32) -> Vec<u8> {
    disk.content(&segment::name(number)).unwrap()
}

pub(in crate::journal) fn plant(disk: &MemDisk, number: u32, bytes: &[u8]) {
    disk.plant(&segment::name(number), bytes);
}

/// A stream of numbers that is the same for the same seed.
pub(in crate::journal) struct Random(pub(in crate::journal) u64);

impl Random {
    pub(in crate::journal) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
