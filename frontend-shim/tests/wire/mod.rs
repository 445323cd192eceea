//! The corpus `wire`: what real Fabric orderers answered, and channels in the state in which they were asked.
#![allow(dead_code, clippy::unwrap_used)]

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use fabric_channel::{Certificate, ChannelConfig};
use fabric_proto::common::{Block, Status};
use frontend_shim::admission::Signer;
use frontend_shim::broadcast::BroadcastDesk;
use frontend_shim::channels::{ChannelState, Channels};
use frontend_shim::client::broadcast_response;
use frontend_shim::ledger::Ledger;
use frontend_shim::signing::{SigningIdentity, SigningKey};
use futures::StreamExt as _;
use prost::Message as _;
use serde_json::Value;
use tempfile::TempDir;

use crate::folder;
use crate::sequencer::Sequencer;

/// The cases of one kind, and what they need.
pub struct Corpus {
    pub origin: String,
    pub cases: Vec<Value>,
    pub fixtures: Vec<Value>,
    /// The folder that they were read from; `None` for the packed copy.
    pub folder: Option<PathBuf>,
}

impl Corpus {
    /// Of the folder that is named, or else of these compressed lines.
    pub fn read(kind: &str, packed_cases: &[u8]) -> Self {
        let folder = folder::folder();
        let (origin, cases, fixtures) = match &folder {
            Some(folder) => {
                let (cases, fixtures) = (folder::lines(folder, "wire"), folder::shared_lines(folder, "wire-fixtures"));
                (folder.display().to_string(), parsed(&cases), parsed(&fixtures))
            }
            None => {
                let fixtures = packed(include_bytes!("../data/corpus/wire-fixtures.jsonl.zst"));
                ("the packed copy".to_owned(), packed(packed_cases), fixtures)
            }
        };
        let cases = cases.into_iter().filter(|case| case["kind"] == kind).collect();
        Self { origin, cases, fixtures, folder }
    }
}

/// Lines of JSON that were compressed.
pub fn packed(compressed: &[u8]) -> Vec<Value> {
    let mut text = String::new();
    ruzstd::decoding::StreamingDecoder::new(compressed).unwrap().read_to_string(&mut text).unwrap();
    let lines: Vec<_> = (1..).zip(text.lines()).map(|(n, line)| (format!("line {n}"), line.to_owned())).collect();
    parsed(&lines)
}

/// Lines of JSON, each with where it stands.
pub fn parsed(lines: &[(String, String)]) -> Vec<Value> {
    let parse =
        |(place, line): &(String, String)| serde_json::from_str(line).unwrap_or_else(|why| panic!("{place}: {why}"));
    lines.iter().map(parse).collect()
}

pub fn decoded(base64: &Value) -> Bytes {
    BASE64_STANDARD.decode(base64.as_str().unwrap()).unwrap().into()
}

/// What became of the cases of a corpus.
#[derive(Default)]
pub struct Tally {
    passed: usize,
    failures: Vec<String>,
    skipped: Vec<String>,
}

impl Tally {
    /// `None` if the case passed, the reason if it was skipped.
    pub fn add(&mut self, case: &Value, outcome: Result<Option<&'static str>, String>) {
        let id = case["id"].as_str().unwrap();
        match outcome {
            Ok(None) => self.passed += 1,
            Ok(Some(why)) => self.skipped.push(format!("{id}: {why}")),
            Err(failure) => self.failures.push(format!("{id}: {failure}")),
        }
    }

    /// Prints what there is to know, and fails the test if a case failed, if there is none, or if more than one in
    /// `cases_for_a_skip` was skipped.
    pub fn finish(self, what: &str, origin: &str, cases_for_a_skip: usize) {
        let count = self.passed + self.failures.len() + self.skipped.len();
        let mut report = format!(
            "\ncorpus {what} ({origin}): {count} cases run, {} passed, {} failed, {} skipped\n",
            self.passed,
            self.failures.len(),
            self.skipped.len()
        );
        self.skipped.iter().for_each(|case| writeln!(report, "    skipped {case}").unwrap());
        self.failures.iter().for_each(|case| writeln!(report, "    FAILED {case}").unwrap());
        // To the stream itself: the test program hides what a passing test prints by the usual way.
        let _ = std::io::stdout().write_all(report.as_bytes());
        assert!(count > 0, "there is no case");
        assert!(self.failures.is_empty(), "{} of {count} cases failed", self.failures.len());
        assert!(
            self.skipped.len() * cases_for_a_skip <= count,
            "{} of {count} cases are too many to skip",
            self.skipped.len()
        );
    }
}

/// The channels of one net with their genesis blocks, and what goes in by Broadcast.
pub struct Net {
    pub desk: BroadcastDesk,
    pub channels: Channels,
    _dir: TempDir,
}

impl Net {
    pub fn new(name: &str, fixtures: &[Value]) -> Self {
        let (dir, channels) = (tempfile::tempdir().unwrap(), Channels::new().unwrap());
        for fixture in fixtures.iter().filter(|fixture| fixture["net"] == name) {
            let genesis = decoded(&fixture["genesis_block"]);
            let config = ChannelConfig::from_block(&Block::decode(genesis.clone()).unwrap()).unwrap();
            let ledger = Ledger::open(&dir.path().join(config.channel_id().as_str())).unwrap();
            ledger.append(0, genesis).unwrap();
            channels.add(config, Arc::new(ledger)).unwrap().enter_state(ChannelState::Open);
        }
        let desk = BroadcastDesk::new(channels.clone(), Sequencer::new(channels.clone()), Arc::default());
        Self { desk: desk.signing_with(signer()), channels, _dir: dir }
    }

    pub async fn answers(&self, envelopes: Vec<Bytes>) -> Vec<(Status, String)> {
        let envelopes = futures::stream::iter(envelopes.into_iter().map(Ok::<_, Infallible>));
        let answers = self.desk.answer(envelopes).map(|answer| {
            let Ok(answer) = answer;
            let answer = broadcast_response(answer).unwrap();
            (Status::try_from(answer.status).unwrap(), answer.info)
        });
        answers.collect().await
    }
}

/// An orderer who may write to all of these channels.
fn signer() -> Signer {
    let certificate = Certificate::from_pem(include_bytes!("../data/corpus/orderer0.crt")).unwrap();
    let key = SigningKey::from_pem(include_bytes!("../data/corpus/orderer0.key")).unwrap();
    Arc::new(SigningIdentity::new("BdMSP", certificate, Arc::new(key)))
}
