//! What survives a crash of a node, and the toy application that is kept there.

use std::collections::BTreeMap;

use bytes::Bytes;
use mod_smart::checkpoint::{chunk, join_state};
use mod_smart::codec::{Reader, Writer};
use mod_smart::message::DecidedBatch;
use mod_smart::{Digest, InstanceId, Manifest, Record, Restored, StableCheckpoint};

/// Every instance delivered, with the requests that were executed: the whole state of the toy application.
pub type Delivered = Vec<(InstanceId, Vec<Digest>)>;

/// The newest checkpoints of a node.
#[derive(Clone, Debug, Default)]
pub struct Checkpoints {
    kept: BTreeMap<InstanceId, Checkpoint>,
    pub stable: Option<StableCheckpoint>,
}

#[derive(Clone, Debug)]
pub struct Checkpoint {
    pub instance: InstanceId,
    pub sessions: Bytes,
    pub application: Bytes,
}

impl Checkpoint {
    pub fn manifest(&self) -> Manifest {
        Manifest::of(&join_state(&self.sessions, &self.application)).unwrap()
    }
}

impl Checkpoints {
    pub fn save(&mut self, checkpoint: Checkpoint) {
        self.kept.insert(checkpoint.instance, checkpoint);
        while self.kept.len() > 2 {
            self.kept.pop_first();
        }
    }

    pub fn newest(&self) -> Option<&Checkpoint> {
        self.kept.last_key_value().map(|(_, checkpoint)| checkpoint)
    }

    pub fn chunk(&self, instance: InstanceId, index: u32) -> Option<Bytes> {
        let Checkpoint { sessions, application, .. } = self.kept.get(&instance)?;
        chunk(&join_state(sessions, application), index)
    }

    pub fn restored(&self) -> Option<Restored> {
        let newest = self.newest()?;
        let (instance, sessions) = (newest.instance, newest.sessions.clone());
        let older = self.kept.range(..instance).map(|(at, older)| (*at, older.manifest())).collect();
        Some(Restored { instance, sessions, manifest: newest.manifest(), stable: self.stable.clone(), older })
    }
}

/// The application's snapshot: what was delivered, and as many bytes more as a test wants the state to have.
pub fn snapshot(delivered: &Delivered, padding: usize) -> Bytes {
    let mut writer = Writer::with_capacity(1024);
    writer.count(delivered.len());
    for (instance, digests) in delivered {
        writer.u64(instance.0);
        writer.count(digests.len());
        for digest in digests {
            writer.raw(&digest.0);
        }
    }
    writer.bytes(&(0..padding).map(|at| (at / 1000) as u8).collect::<Vec<_>>());
    writer.finish()
}

pub fn restore(snapshot: Bytes) -> Delivered {
    let mut reader = Reader::new(snapshot);
    let digests = |reader: &mut Reader| reader.list(usize::MAX, 32, |reader| Ok(Digest(reader.array()?)));
    let delivered = reader.list(usize::MAX, 12, |reader| Ok((InstanceId(reader.u64()?), digests(reader)?))).unwrap();
    reader.bytes().unwrap();
    reader.finish().unwrap();
    delivered
}

/// Deletes what stands before a mark, to the record.
pub fn truncate(journal: &mut Vec<Record>, mark: InstanceId) {
    let at = journal.iter().position(|record| *record == Record::Mark(mark)).expect("a mark that was written");
    journal.drain(..at);
}

/// Decisions from the log. Whoever asks for one that is not there any more should have been told so by the core.
pub fn read_decisions(journal: &[Record], from: InstanceId, count: usize) -> Vec<DecidedBatch> {
    let mut bodies = BTreeMap::new();
    let mut decisions: Vec<DecidedBatch> = Vec::new();
    for record in journal {
        match record {
            Record::Body(request) => {
                bodies.insert(request.digest(), request.clone());
            }
            Record::Decided(decided) if decisions.len() < count => {
                let next = decisions.last().map_or(from, |last| last.proof.instance().next());
                if decided.proof.instance() == next {
                    let body = |digest| bodies.get(digest).cloned().expect("a decision in the log has its bodies");
                    let requests = decided.requests.iter().map(body).collect();
                    decisions.push(DecidedBatch { proof: decided.proof.clone(), requests });
                }
            }
            _ => {}
        }
    }
    assert!(!decisions.is_empty(), "the core says that {from} is in the log");
    decisions
}
