//! One replica with the simplest shell there is: a journal that is a list, checkpoints in a map, and an application that
//! remembers what it was given.

use std::collections::BTreeMap;

use bytes::Bytes;
use mod_smart::checkpoint::{chunk, join_state};
use mod_smart::limits::STATE_CHUNK_BYTES;
use mod_smart::message::DecidedBatch;
use mod_smart::record::Decided;
use mod_smart::{
    Action, Digest, Event, InstanceId, Limits, Manifest, Message, Recipients, Record, Recovered, Replica, ReplicaId,
    Request, Restored, Sealed, StableCheckpoint, Statement, View,
};

use crate::keys::{GROUP, Key};
use crate::notation::Notation;

/// A replica and what its shell keeps for it.
#[derive(Debug)]
pub struct Node {
    pub me: ReplicaId,
    pub replica: Option<Replica>,
    pub journal: Vec<Record>,
    /// Every request delivered, in order.
    pub delivered: Vec<Digest>,
    /// Where the script wants it to crash.
    pub crash_at: Option<CrashAt>,
    kept: BTreeMap<InstanceId, Kept>,
    stable: Option<StableCheckpoint>,
    /// How many chunks its state is to have: it is padded.
    chunks: usize,
}

/// A crash in the middle of what a replica does: right after, or right before, a record like this is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CrashAt {
    After(String),
    Before(String),
}

/// A checkpoint on the disk.
#[derive(Debug)]
struct Kept {
    sessions: Bytes,
    application: Bytes,
    manifest: Manifest,
}

/// What came of a list of actions.
#[derive(Debug, Default)]
pub struct Performed {
    /// In words, in order.
    pub effects: Vec<String>,
    /// What leaves.
    pub sent: Vec<(Recipients, Message)>,
    /// What the replica hears at once: its own messages, and its shell.
    pub own: Vec<Event>,
}

impl Node {
    /// A replica at the beginning of its group's life.
    pub fn new(me: ReplicaId, view: &View, limits: &Limits, chunks: usize) -> Self {
        let replica = Some(Replica::new(me, view.clone(), limits.clone()));
        let (kept, stable) = (BTreeMap::new(), None);
        Self { me, replica, journal: Vec::new(), delivered: Vec::new(), crash_at: None, kept, stable, chunks }
    }

    /// Does what the replica wants done, first to last.
    pub fn perform(&mut self, actions: Vec<Action>, notation: &mut Notation) -> Performed {
        let mut done = Performed::default();
        let mut records = Vec::new();
        for action in actions {
            if let Action::Persist(record) = action {
                let name = notation.record(&record);
                let crash = self.crash_at.clone().filter(|at| name.starts_with(at.record()));
                if !matches!(crash, Some(CrashAt::Before(_))) {
                    self.journal.push(record);
                    records.push(name);
                }
                if crash.is_some() {
                    flush(&mut records, &mut done.effects);
                    self.crash();
                    done.effects.push("crash".to_owned());
                    done.own.clear();
                    return done;
                }
                continue;
            }
            flush(&mut records, &mut done.effects);
            self.perform_one(action, &mut done, notation);
        }
        flush(&mut records, &mut done.effects);
        done
    }

    fn perform_one(&mut self, action: Action, done: &mut Performed, notation: &mut Notation) {
        match action {
            Action::Persist(_) => unreachable!("performed by the caller"),
            Action::Sign(to, statement) => {
                self.check_durable(&statement);
                self.send(to, statement.sign(GROUP, self.me, &Key::vote(self.me)), done, notation);
            }
            Action::Send(to, message) => self.send(to, message, done, notation),
            Action::Answer(_, digest, answer) => {
                let answer = format!("{answer:?}").to_lowercase();
                done.effects.push(format!("answer {}: {answer}", notation.request(digest)));
            }
            Action::Deliver(decision) => {
                let digests: Vec<Digest> = decision.requests.iter().map(Sealed::<Request>::digest).collect();
                let left_out =
                    if decision.skipped > 0 { format!(", {} left out", decision.skipped) } else { String::new() };
                let requests = notation.requests(&digests);
                done.effects.push(format!("deliver i{} [{requests}]{left_out}", decision.instance));
                self.delivered.extend(digests);
            }
            Action::DeliverTentatively(tentative) => {
                let digests: Vec<Digest> = tentative.requests.iter().map(Sealed::<Request>::digest).collect();
                let requests = notation.requests(&digests);
                done.effects.push(format!("deliver i{} [{requests}] tentatively", tentative.instance));
            }
            Action::Retract => done.effects.push("take back what is tentative".to_owned()),
            Action::SendDecisions { to, from } => {
                let decisions = self.read_decisions(from);
                if !decisions.is_empty() {
                    self.send(Recipients::One(to), Message::Decisions(decisions), done, notation);
                }
            }
            Action::TakeCheckpoint { instance, sessions } => self.take_checkpoint(instance, sessions, done),
            Action::KeepStable(checkpoint) => {
                done.effects.push(format!("keep the certificate of checkpoint i{}", checkpoint.instance()));
                self.stable = Some(checkpoint);
            }
            Action::Truncate(mark) => {
                let at = self.journal.iter().position(|record| *record == Record::Mark(mark));
                let dropped = at.map_or(0, |at| self.journal.drain(..at).count());
                done.effects.push(format!("forget the {dropped} records before MARK i{mark}"));
            }
            Action::SendChunk { to, instance, index } => {
                let state = self.kept.get(&instance).map(|kept| join_state(&kept.sessions, &kept.application));
                if let Some(bytes) = state.and_then(|state| chunk(&state, index)) {
                    self.send(Recipients::One(to), Message::Chunk(instance, index, bytes), done, notation);
                }
            }
            Action::InstallState { checkpoint, sessions, application } => {
                let (instance, state) = (checkpoint.instance(), notation.state(checkpoint.digest()));
                done.effects.push(format!("install the state {state} after i{instance}"));
                self.delivered = decode_digests(&application);
                self.keep(instance, sessions, application);
                self.stable = Some(checkpoint);
                done.own.push(Event::StateInstalled(instance));
            }
            Action::Report(report) => done.effects.push(format!("report {}: {}", report.replica, report.kind)),
        }
    }

    /// The journal is a barrier: what is signed stands in it before.
    fn check_durable(&self, statement: &Statement) {
        let record = match statement {
            Statement::Vote(vote) => Record::Voted(*vote),
            Statement::Checkpoint(vote) => Record::Checkpointed(*vote),
            Statement::StopData(data) => Record::Entered(data.regency),
        };
        assert!(self.journal.contains(&record), "{} signs before it is durable: {statement:?}", self.me);
    }

    fn send(&self, to: Recipients, message: Message, done: &mut Performed, notation: &mut Notation) {
        let name = notation.message(&message);
        if to == Recipients::All || to == Recipients::One(self.me) {
            done.own.push(Event::Message(message.clone().loop_back(self.me)));
        }
        if !matches!(message, Message::Status(_)) {
            let whom = if let Recipients::One(one) = to { one.to_string() } else { "*".to_owned() };
            done.effects.push(format!("-> {whom} {name}"));
        }
        done.sent.push((to, message));
    }

    fn take_checkpoint(&mut self, instance: InstanceId, sessions: Bytes, done: &mut Performed) {
        let application = encode_digests(&self.delivered, self.chunks);
        let manifest = self.keep(instance, sessions, application);
        done.effects.push(format!("take a checkpoint after i{instance}"));
        done.own.push(Event::CheckpointTaken { instance, manifest });
    }

    /// The newest two checkpoints stay on the disk.
    fn keep(&mut self, instance: InstanceId, sessions: Bytes, application: Bytes) -> Manifest {
        let manifest = Manifest::of(&join_state(&sessions, &application)).expect("a small state");
        self.kept.insert(instance, Kept { sessions, application, manifest: manifest.clone() });
        while self.kept.len() > 2 {
            self.kept.pop_first();
        }
        manifest
    }

    /// Stops where it is: what is not in the journal or in a checkpoint is lost.
    pub fn crash(&mut self) {
        self.replica = None;
        self.crash_at = None;
    }

    /// Starts again from what the disk holds. The replica says again what it had said, in the actions returned.
    pub fn restart(&mut self, view: &View, limits: &Limits) -> Vec<Action> {
        let newest = self.kept.last_key_value();
        self.delivered = newest.map_or(Vec::new(), |(_, kept)| decode_digests(&kept.application));
        let restored = newest.map(|(instance, kept)| Restored {
            instance: *instance,
            sessions: kept.sessions.clone(),
            manifest: kept.manifest.clone(),
            stable: self.stable.clone(),
            older: self.kept.range(..*instance).map(|(at, older)| (*at, older.manifest.clone())).collect(),
        });
        let mut recovered =
            Recovered::new(self.me, view.clone(), limits.clone(), restored).expect("a readable checkpoint");
        for record in &self.journal {
            let mut again = Vec::new();
            let record = Record::decode(record.encode()).expect("a record survives its bytes");
            recovered.replay(record, &mut again).expect("a journal that fits");
            for action in again {
                if let Action::Deliver(decision) = action {
                    self.delivered.extend(decision.requests.iter().map(Sealed::<Request>::digest));
                }
            }
        }
        let mut said = Vec::new();
        self.replica = Some(recovered.finish(&mut said));
        said
    }

    /// Starts again with an empty disk: it knows nothing of what it may have said.
    pub fn restart_empty(&mut self, view: &View, limits: &Limits, nonce: u64) -> Vec<Action> {
        *self = Self::new(self.me, view, limits, self.chunks);
        let recovered = Recovered::new(self.me, view.clone(), limits.clone(), None).expect("nothing to read");
        let mut said = Vec::new();
        self.replica = Some(recovered.finish_silent(nonce, &mut said));
        said
    }

    fn read_decisions(&self, from: InstanceId) -> Vec<DecidedBatch> {
        let mut bodies: BTreeMap<Digest, &Sealed<Request>> = BTreeMap::new();
        let mut decisions = Vec::new();
        for record in &self.journal {
            match record {
                Record::Body(request) => drop(bodies.insert(request.digest(), request)),
                Record::Decided(decided) if decided.proof.instance().0 == from.0 + decisions.len() as u64 => {
                    let Some(requests) = requests_of(decided, &bodies) else { return decisions };
                    decisions.push(DecidedBatch { proof: decided.proof.clone(), requests });
                }
                _ => {}
            }
        }
        decisions
    }
}

impl CrashAt {
    fn record(&self) -> &str {
        match self {
            Self::After(record) | Self::Before(record) => record,
        }
    }
}

fn requests_of(decided: &Decided, bodies: &BTreeMap<Digest, &Sealed<Request>>) -> Option<Vec<Sealed<Request>>> {
    decided.requests.iter().map(|digest| bodies.get(digest).map(|request| (*request).clone())).collect()
}

/// Zeros fill what is left of the last chunk but one, so that a state has as many as wanted.
fn encode_digests(digests: &[Digest], chunks: usize) -> Bytes {
    let mut bytes: Vec<u8> = digests.iter().flat_map(|digest| digest.0).collect();
    bytes.resize(bytes.len().max((chunks - 1) * STATE_CHUNK_BYTES), 0);
    bytes.into()
}

fn decode_digests(bytes: &Bytes) -> Vec<Digest> {
    let digests = bytes.chunks_exact(32).map(|digest| Digest(digest.try_into().expect("32 bytes")));
    digests.take_while(|digest| *digest != Digest([0; 32])).collect()
}

/// Records that become durable with one write stand in one line.
fn flush(records: &mut Vec<String>, effects: &mut Vec<String>) {
    if !records.is_empty() {
        effects.push(format!("journal {}", std::mem::take(records).join(", ")));
    }
}
