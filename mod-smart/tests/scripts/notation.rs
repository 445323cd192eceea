//! The short notation of the traces: `PROPOSE i1 e0 [a b]` is the proposal of the requests `a` and `b` for instance 1 in
//! epoch 0. A request is called by a letter or a number; a batch by its requests in brackets, also where only its digest
//! travels. Numbers that follow each other are told by the first and the last one: `[a 1..66]`.

use std::collections::BTreeMap;

use mod_smart::certificate::{SignedVote, VoteKind};
use mod_smart::message::{Propose, Status};
use mod_smart::synchronization::Claim;
use mod_smart::{Digest, Evidence, Message, Record, ReplicaId, Request, Sealed, StopData, Sync};

use crate::name::Name;

/// The names of all digests that have been seen.
#[derive(Debug)]
pub struct Notation {
    requests: BTreeMap<Digest, Name>,
    batches: BTreeMap<Digest, String>,
    states: BTreeMap<Digest, String>,
}

impl Notation {
    /// Knows every request that a script can name.
    pub fn new() -> Self {
        let requests = Name::all().map(|name| (name.request().digest(), name)).collect();
        let mut notation = Self { requests, batches: BTreeMap::new(), states: BTreeMap::new() };
        notation.batch_of(&[]);
        notation
    }

    /// A request by its digest.
    pub fn request(&self, digest: Digest) -> String {
        self.requests.get(&digest).map_or_else(|| format!("?{digest}"), Name::to_string)
    }

    /// Several requests.
    pub fn requests(&self, digests: &[Digest]) -> String {
        let mut words = Vec::new();
        let mut digests = digests.iter().peekable();
        while let Some(digest) = digests.next() {
            let Some(&Name::Number(first)) = self.requests.get(digest) else {
                words.push(self.request(*digest));
                continue;
            };
            let mut last = first;
            while digests.next_if(|next| self.requests.get(next) == Some(&Name::Number(last + 1))).is_some() {
                last += 1;
            }
            words.push(if first == last { first.to_string() } else { format!("{first}..{last}") });
        }
        words.join(" ")
    }

    /// A batch by its requests; from now on its digest is known.
    pub fn batch_of(&mut self, requests: &[Digest]) -> String {
        let name = format!("[{}]", self.requests(requests));
        self.batches.insert(Digest::of_batch(requests), name.clone());
        name
    }

    /// A batch by its digest.
    pub fn batch(&self, digest: Digest) -> String {
        self.batches.get(&digest).cloned().unwrap_or_else(|| format!("[?{digest}]"))
    }

    /// A state by its digest: `S1` is the first one seen.
    pub fn state(&mut self, digest: Digest) -> String {
        let next = self.states.len() + 1;
        self.states.entry(digest).or_insert_with(|| format!("S{next}")).clone()
    }

    /// A message of the protocol.
    pub fn message(&mut self, message: &Message) -> String {
        match message {
            Message::Propose(propose) => format!("PROPOSE {}", self.propose(propose)),
            Message::Vote(SignedVote { vote, .. }) => {
                format!("{} i{} e{} {}", kind(vote.kind), vote.instance, vote.epoch, self.batch(vote.digest))
            }
            Message::Status(status) => status_line(status),
            Message::FetchBodies(digests) => format!("FETCH-BODIES {}", self.requests(digests)),
            Message::Bodies(requests) => format!("BODIES {}", self.bodies(requests)),
            Message::Offer(offers) => {
                let digests: Vec<Digest> = offers.iter().map(|(_, digest)| *digest).collect();
                format!("OFFER {}", self.requests(&digests))
            }
            Message::FetchDecisions(from) => format!("FETCH-DECISIONS i{from}.."),
            Message::Decisions(decisions) => {
                let names: Vec<String> = decisions
                    .iter()
                    .map(|decision| format!("i{} [{}]", decision.proof.instance(), self.bodies(&decision.requests)))
                    .collect();
                format!("DECISIONS {}", names.join(", "))
            }
            Message::Stop(regency) => format!("STOP r{regency}"),
            Message::StopData(signed) => {
                format!("STOPDATA r{} {{{}}}", signed.data.regency, self.stop_data(&signed.data))
            }
            Message::Sync(sync) => format!("SYNC {}", self.sync(sync)),
            Message::FetchBatch(instance, digest) => format!("FETCH-BATCH i{instance} {}", self.batch(*digest)),
            Message::Batch(instance, requests) => format!("BATCH i{instance} {}", self.batch_of(requests)),
            Message::Checkpoint(signed) => {
                format!("CHECKPOINT i{} {}", signed.vote.instance, self.state(signed.vote.digest))
            }
            Message::Stable(checkpoint, manifest) => {
                let (instance, state) = (checkpoint.instance(), self.state(checkpoint.digest()));
                format!("STABLE i{instance} {state} in {} chunks", manifest.chunks())
            }
            Message::FetchChunk(instance, index) => format!("FETCH-CHUNK i{instance} #{index}"),
            Message::Chunk(instance, index, _) => format!("CHUNK i{instance} #{index}"),
            Message::Probe(_) => "PROBE".to_owned(),
            Message::ProbeReply(reply) => {
                let pristine = if reply.is_pristine { ", never voted" } else { "" };
                format!("PROBE-REPLY {}, wants r{}{pristine}", self.evidence(&reply.delivered), reply.wants)
            }
        }
    }

    /// A record of the journal.
    pub fn record(&mut self, record: &Record) -> String {
        match record {
            Record::Body(request) => format!("BODY {}", self.request(request.digest())),
            Record::Proposed(propose) => format!("PROPOSE {}", self.propose(propose)),
            Record::Voted(vote) => {
                format!("{} i{} e{} {}", kind(vote.kind), vote.instance, vote.epoch, self.batch(vote.digest))
            }
            Record::Certified(c) => format!("CERTIFICATE i{} e{} {}", c.instance(), c.epoch(), self.batch(c.digest())),
            Record::Decided(decided) => {
                let batch = self.batch_of(&decided.requests);
                format!("DECISION i{} e{} {batch}", decided.proof.instance(), decided.proof.epoch())
            }
            Record::Stopped(regency) => format!("STOP r{regency}"),
            Record::Entered(regency) => format!("ENTER r{regency}"),
            Record::Synced(sync) => format!("SYNC r{}", sync.regency),
            Record::Checkpointed(vote) => format!("CHECKPOINT i{} {}", vote.instance, self.state(vote.digest)),
            Record::Stable(checkpoint) => {
                format!("STABLE i{} {}", checkpoint.instance(), self.state(checkpoint.digest()))
            }
            Record::Mark(instance) => format!("MARK i{instance}"),
            Record::Silent(silence) => silence.until.map_or("SILENT".to_owned(), |until| {
                format!("SILENT until past i{} and r{}", until.delivered, until.regency)
            }),
            Record::Readmitted => "READMITTED".to_owned(),
        }
    }

    /// What a STOPDATA says.
    pub fn stop_data(&self, data: &StopData) -> String {
        let mut parts = vec![self.evidence(&data.delivered)];
        parts.extend(data.claims.iter().map(|claim| match claim {
            Claim::Written(c) => format!("written i{} e{} {}", c.instance(), c.epoch(), self.batch(c.digest())),
            Claim::Decided(p) => format!("decided i{} e{} {}", p.instance(), p.epoch(), self.batch(p.digest())),
        }));
        parts.join(", ")
    }

    fn sync(&self, sync: &Sync) -> String {
        let collects = sync.collects.iter().map(|c| format!("{}: {}", c.sender, self.stop_data(&c.data)));
        format!("r{} {{{}}}", sync.regency, collects.collect::<Vec<_>>().join("; "))
    }

    fn evidence(&self, evidence: &Evidence) -> String {
        match evidence {
            Evidence::Start => "after i0".to_owned(),
            Evidence::Decision(proof) => format!("after i{}", proof.instance()),
            Evidence::Checkpoint(checkpoint) => format!("after checkpoint i{}", checkpoint.instance()),
        }
    }

    fn propose(&mut self, propose: &Propose) -> String {
        format!("i{} e{} {}", propose.instance, propose.epoch, self.batch_of(&propose.requests))
    }

    fn bodies(&mut self, requests: &[Sealed<Request>]) -> String {
        let digests: Vec<Digest> = requests.iter().map(Sealed::<Request>::digest).collect();
        self.batch_of(&digests);
        self.requests(&digests)
    }
}

/// Several replicas: `1`, or `1,2`.
pub fn replicas(list: &[ReplicaId]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

const fn kind(kind: VoteKind) -> &'static str {
    match kind {
        VoteKind::Write => "WRITE",
        VoteKind::Accept => "ACCEPT",
    }
}

fn status_line(status: &Status) -> String {
    let mut line = format!("STATUS r{} i{}", status.regency, status.delivered);
    if !status.is_synced {
        line.push_str(", waits for SYNC");
    }
    if status.wants > status.regency {
        line.push_str(&format!(", wants r{}", status.wants));
    }
    if status.is_silent {
        line.push_str(", silent");
    }
    line
}
