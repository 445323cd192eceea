//! Our answers to Broadcast against those of real Fabric orderers: every case of the corpus `wire` that sends envelopes.
//!
//! Within a net the cases run in their order and share their channels: an update that is taken is judged as a node judges
//! it, and comes into force. The cases packed beside this test are half of those that exist, and so are those of any other
//! folder, which `FABRIC_CORPUS` names; what the other half would have left behind is made up for, see [`OrderingNet::catch_up`].
#![allow(clippy::unwrap_used)]

#[path = "../../fabric-channel/tests/corpus/folder.rs"]
mod folder;
mod sequencer;
mod wire;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use fabric_channel::{Bundle, ChannelConfig};
use fabric_proto::common::Status;
use fabric_proto::orderer::{ConsensusType, consensus_type::State};
use prost::Message as _;
use serde_json::Value;
use wire::{Corpus, Net, Tally, decoded};

#[tokio::test]
async fn corpus_wire_broadcast() {
    let mut corpus = Corpus::read("broadcast", include_bytes!("data/corpus/wire.jsonl.zst"));
    corpus.cases.sort_by_key(|case| (case["net"].as_str().unwrap().to_owned(), case["seq"].as_u64().unwrap()));
    let (mut nets, mut tally) = (BTreeMap::new(), Tally::default());
    for case in &corpus.cases {
        let name = case["net"].as_str().unwrap();
        let net = nets.entry(name).or_insert_with(|| OrderingNet::new(name, &corpus.fixtures));
        tally.add(case, net.run(case).await);
    }
    tally.finish("wire, broadcast", &corpus.origin, 20);
}

/// A net whose cases are run in their order.
struct OrderingNet {
    net: Net,
    /// The last parts of the ids of the cases that ran.
    ran: BTreeSet<String>,
}

impl OrderingNet {
    fn new(name: &str, fixtures: &[Value]) -> Self {
        Self { net: Net::new(name, fixtures), ran: BTreeSet::new() }
    }

    /// `None` if the case passed, the reason if it was skipped.
    async fn run(&mut self, case: &Value) -> Result<Option<&'static str>, String> {
        let name = case["id"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let envelopes: Vec<Bytes> = case["envelopes"].as_array().unwrap().iter().map(decoded).collect();
        let expected = case["responses"].as_array().unwrap();
        if expected.iter().any(|response| response["info"].as_str().unwrap_or("").contains(SMARTBFT_DUPLICATE)) {
            return Ok(Some("SmartBFT takes no other data under a known nonce, etcdraft does, and so do we"));
        }
        self.catch_up(&name, case, &envelopes).await;
        let mut answers = self.net.answers(envelopes).await.into_iter();
        for response in expected.iter().filter(|response| response["status"] != "SEND_FAILED") {
            let (status, info) = answers.next().ok_or("there are too few answers")?;
            compare(response, status, &info)?;
        }
        self.ran.insert(name);
        match answers.next() {
            Some(more) => Err(format!("there is one answer too many: {more:?}")),
            None => Ok(None),
        }
    }

    /// Brings about what this case finds when the cases of the other half have run too.
    async fn catch_up(&self, name: &str, case: &Value, envelopes: &[Bytes]) {
        let info = case["responses"][0]["info"].as_str().unwrap_or("");
        if info.contains("but key is at version") && !self.ran.contains("upd-good") {
            // An update that was taken before, or another one of the same value: this one does it too.
            self.net.answers(envelopes.to_vec()).await;
        }
        let channel = self.net.channels.find(case["channel"].as_str().unwrap()).unwrap();
        if name == "maintenance-after-exit" && !self.ran.contains("maintenance-exit") {
            let current = channel.config();
            let mut tree = current.bundle().tree().clone();
            tree.sequence += 1;
            let orderer = tree.root.as_mut().unwrap().groups.get_mut("Orderer").unwrap();
            let value = &mut orderer.values.get_mut("ConsensusType").unwrap().value;
            let consensus = ConsensusType::decode(value.clone()).unwrap();
            *value = ConsensusType { state: State::Normal.into(), ..consensus }.encode_to_vec().into();
            let next = Bundle::from_tree(channel.id().as_str(), tree).unwrap();
            channel.install_config(ChannelConfig::from_bundle(next).unwrap());
        }
    }
}

fn compare(expected: &Value, status: Status, info: &str) -> Result<(), String> {
    let (fabric, text) = (expected["status"].as_str().unwrap(), expected["info"].as_str().unwrap_or(""));
    // Where Fabric's handler panics, the RPC ends without an answer; v2.5 says 400 to the same, and so do we.
    let wanted = if fabric == "EOF" { "BAD_REQUEST" } else { fabric };
    if status.as_str_name() != wanted {
        return Err(format!("{wanted} {text:?} expected, not {} {info:?}", status.as_str_name()));
    }
    if fabric == "EOF" || class(text) == class(info) && (!text.ends_with(": permission denied") || text == info) {
        return Ok(());
    }
    Err(format!("a text like {text:?} expected, not {info:?}"))
}

/// The beginning of a text that says what kind of failure it is.
fn class(text: &str) -> String {
    for prefix in ["initial", "final", "maintenance"] {
        let prefix = format!("config update for existing channel did not pass {prefix} checks: ");
        if let Some(rest) = text.strip_prefix(&prefix) {
            return prefix + &class(rest);
        }
    }
    if let Some((prefix, rest)) = text.split_once("': ")
        && prefix.starts_with("error applying config update to existing channel")
    {
        return format!("{prefix}: {}", class(rest));
    }
    if text.starts_with("channel creation request not allowed") {
        // v2.5.
        return class("channel does not exist");
    }
    let known = KNOWN.iter().find(|known| text.starts_with(**known)).copied();
    known.unwrap_or(if text.is_empty() { "" } else { "something else" }).to_owned()
}

const SMARTBFT_DUPLICATE: &str = "failed to submit request: request already";
const KNOWN: [&str; 18] = [
    "could not determine channel ID: header not set",
    "could not determine channel ID: channel header not set",
    "could not determine channel ID: error unmarshalling Payload: ",
    "could not determine channel ID: error unmarshalling channel header: ",
    "channel does not exist",
    "message is of type that ",
    "message payload is ",
    "could not convert message to signedData: GetSignatureHeaderFromBytes failed, err ",
    "broadcast client identity expired",
    "normal transactions are rejected: maintenance mode",
    "implicit policy evaluation failed",
    "error authorizing update: error validating DeltaSet: ",
    "error authorizing update: error validating ReadSet: ",
    "error authorizing update: ",
    "initializing channelconfig failed: ",
    "config update is not compatible: ",
    "consensus metadata update for channel config update is invalid: ",
    "config transaction inspection failed: ",
];
