//! Our answers to Deliver against those of real Fabric orderers: every case of the corpus `wire` that asks for blocks, over
//! TLS, from a listener that requires client certificates where theirs did.
//!
//! The chains are made by the envelopes that made theirs. The cases only read, so they run side by side. The clock of the
//! service stands still, because requests carry the time and cannot all be signed here: signatures over SHA-256 with a key
//! on P-384 were made beforehand. Where our answers differ, [`Net::expected`] says why.
#![allow(clippy::unwrap_used)]

mod chain;
#[path = "../../fabric-channel/tests/corpus/folder.rs"]
mod folder;
mod sequencer;
mod server;
mod wire;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use aws_lc_rs::signature::Ed25519KeyPair;
use bytes::Bytes;
use fabric_proto::common::{ChannelHeader, Envelope, Header, Payload, SignatureHeader, Status};
use fabric_proto::orderer::deliver_response::Type;
use fabric_proto::orderer::{DeliverResponse, SeekInfo};
use frontend_shim::authentication::Clock;
use frontend_shim::client::AtomicBroadcastClient;
use frontend_shim::service::Service;
use frontend_shim::signing::SigningKey;
use frontend_shim::tls::{self, ALPN_GRPC, ClientAuth, ServerTrust, TrustedClients, client_config, server_config};
use frontend_shim::tls_clients::{CertificateBinding, serve_tls};
use frontend_shim::tls_identity::TlsIdentity;
use futures::StreamExt as _;
use hyper_util::rt::TokioIo;
use prost::Message as _;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;
use server::{Accepting, PATIENCE, Reader, SILENCE, position};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::Endpoint;
use wire::{Corpus, Tally, packed, parsed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn corpus_wire_deliver() {
    let corpus = Corpus::read("deliver", include_bytes!("data/corpus/wire-deliver.jsonl.zst"));
    let identities = Identities::read(&corpus);
    let mut nets = BTreeMap::new();
    for case in &corpus.cases {
        let name = case["net"].as_str().unwrap();
        if !nets.contains_key(name) {
            nets.insert(name, Net::start(name, &corpus.fixtures).await);
        }
    }
    let (nets, identities) = (&nets, &identities);
    let cases = corpus
        .cases
        .iter()
        .map(|case| async move { (case, nets[case["net"].as_str().unwrap()].run(case, identities).await) });
    let mut outcomes = futures::stream::iter(cases).buffered(SIDE_BY_SIDE);
    let mut tally = Tally::default();
    while let Some((case, outcome)) = outcomes.next().await {
        tally.add(case, outcome);
    }
    tally.finish("wire, deliver", &corpus.origin, 200);
}

/// Orderers of one kind, with the channels in the state in which theirs were asked.
struct Net {
    address: SocketAddr,
    trust: ServerTrust,
    /// v2.5.
    is_old: bool,
    _net: wire::Net,
    _running: DropGuard,
}

impl Net {
    async fn start(name: &str, fixtures: &[Value]) -> Self {
        let net = wire::Net::new(name, fixtures);
        for fixture in fixtures.iter().filter(|fixture| fixture["net"] == name) {
            let channel = net.channels.find(fixture["channel"].as_str().unwrap()).unwrap();
            for envelope in fixture["envelopes"].as_array().into_iter().flatten() {
                let answers = net.answers(vec![wire::decoded(envelope)]).await;
                assert_eq!(answers, [(Status::Success, String::new())]);
            }
            assert_eq!(channel.ledger().certified_height(), fixture["height_after"].as_u64().unwrap());
        }
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate =
            rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
        let identity = TlsIdentity::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        let (client_auth, binding) = if name.ends_with("-mtls") {
            let trusted = TrustedClients::following(net.channels.clone(), Vec::new()).unwrap();
            (ClientAuth::Required(Arc::new(trusted)), CertificateBinding::Required)
        } else {
            (ClientAuth::Requested, CertificateBinding::NotRequired)
        };
        let config = server_config(&identity, &[ALPN_GRPC], client_auth).unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, running) = (socket.local_addr().unwrap(), CancellationToken::new());
        let service = Service::new(net.channels.clone(), Arc::new(Accepting), Arc::default());
        let service = service.with_clock(Clock::new(|| UNIX_EPOCH + Duration::from_secs(NOW_UNIX_S)));
        let stop = running.clone();
        tokio::spawn(async move { serve_tls(&service, socket, config, binding, stop).await });
        let trust = ServerTrust::Pinned(identity.spki().unwrap());
        let is_old = name.starts_with("v2.5");
        Self { address, trust, is_old, _net: net, _running: running.drop_guard() }
    }

    async fn connect(&self, identity: Option<&TlsIdentity>) -> Option<AtomicBroadcastClient> {
        let config = client_config(identity, ALPN_GRPC, self.trust.clone()).unwrap();
        let address = self.address.to_string();
        let connect = tower::service_fn(move |_| {
            let (config, address) = (config.clone(), address.clone());
            async move { tls::dial(&address, config).await.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://tls").connect_with_connector(connect).await.ok()?;
        let mut client = AtomicBroadcastClient::from(channel);
        // In TLS 1.3 a client learns behind the handshake that it is not let in.
        client.check_health(Bytes::new()).await.ok().map(|_| client)
    }

    async fn run(&self, case: &Value, identities: &Identities) -> Result<Option<&'static str>, String> {
        let tls = case["client_tls"].as_str().map(|name| identities.tls(name));
        let requests = case["requests"].as_array().unwrap();
        let finals: Vec<&str> = case["final"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        let Some(client) = self.connect(tls.as_ref()).await else {
            let is_refused = finals.iter().all(|it| matches!(*it, "error" | "rpc_error"));
            return if is_refused { Ok(None) } else { Err("the connection was refused".to_owned()) };
        };
        let mut stream = Reader::open(&client).await;
        for (number, request) in requests.iter().enumerate() {
            match identities.request(request, tls.as_ref()) {
                Ok(envelope) => stream.send(envelope),
                Err(why) => return Ok(Some(why)),
            }
            if number + 1 == requests.len() && case["half_close"] == true {
                stream.half_close();
            }
            let expected = self.expected(request, &case["messages"][number]);
            for wanted in expected {
                let said = next(&mut stream, PATIENCE).await;
                if said != wanted {
                    return Err(format!("request {number}: {wanted:?} expected, not {said:?}"));
                }
            }
            let wanted = finals[number];
            let end = match wanted {
                "waiting" => (next(&mut stream, SILENCE).await, Said::Nothing),
                "eof" => (next(&mut stream, PATIENCE).await, Said::End),
                // It was the last of the messages.
                _ => continue,
            };
            if end.0 != end.1 {
                return Err(format!("request {number}: {wanted} expected, not {:?}", end.0));
            }
        }
        let is_waiting = finals.last() == Some(&"waiting");
        let end = match case["stream_end"].as_str().unwrap() {
            "open" if is_waiting => return Ok(None),
            "open" => (next(&mut stream, SILENCE).await, Said::Nothing),
            "eof" => (next(&mut stream, PATIENCE).await, Said::End),
            other => return Err(format!("an end {other:?} is not known")),
        };
        if end.0 == end.1 { Ok(None) } else { Err(format!("{:?} expected at the end, not {:?}", end.1, end.0)) }
    }

    /// What is due for these messages. One difference: v2.5 does not know requests for headers and sends whole blocks. No
    /// client of that version sends one; ours answers it on every channel alike.
    fn expected(&self, request: &Value, messages: &Value) -> Vec<Said> {
        let is_reduced = self.is_old && request["content_type"] == 1;
        let message = |message: &Value| match message["status"].as_str() {
            Some(status) => Said::Status(Status::from_str_name(status).unwrap()),
            None => {
                let is_config = message["config"] == true;
                let entries = message["data_entries"].as_u64().unwrap() as usize;
                let entries = if is_reduced && !is_config { 0 } else { entries };
                Said::Block { number: message["block"].as_u64().unwrap(), entries, is_config }
            }
        };
        messages.as_array().unwrap().iter().map(message).collect()
    }
}

/// What a Deliver stream said.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Block { number: u64, entries: usize, is_config: bool },
    Status(Status),
    End,
    Broken(tonic::Code),
    Nothing,
}

async fn next(stream: &mut Reader, patience: Duration) -> Said {
    let Ok(item) = tokio::time::timeout(patience, stream.responses.next()).await else { return Said::Nothing };
    let message = match item {
        None => return Said::End,
        Some(Err(status)) => return Said::Broken(status.code()),
        Some(Ok(message)) => message,
    };
    match DeliverResponse::decode(message).unwrap().r#type.unwrap() {
        Type::Status(status) => Said::Status(Status::try_from(status).unwrap()),
        Type::Block(block) => {
            let (entries, number) = (block.entries(), block.header.as_ref().unwrap().number);
            Said::Block { number, entries: entries.len(), is_config: fabric_proto::block::is_config(entries) }
        }
    }
}

/// Everybody who signs or connects, by name.
struct Identities(BTreeMap<String, Value>);

impl Identities {
    /// The packed ones, and those beside the cases.
    fn read(corpus: &Corpus) -> Self {
        let mut all = packed(include_bytes!("data/corpus/wire-identities.jsonl.zst"));
        if let Some(folder) = &corpus.folder {
            all.extend(parsed(&folder::shared_lines(folder, "identities")));
        }
        Self(all.into_iter().map(|it| (it["name"].as_str().unwrap().to_owned(), it)).collect())
    }

    fn tls(&self, name: &str) -> TlsIdentity {
        let identity = &self.0[name];
        let pem = |field: &str| identity[field].as_str().unwrap().as_bytes();
        TlsIdentity::from_pem(pem("cert_pem"), pem("throwaway_key_pem")).unwrap()
    }

    /// The envelope that a case describes, or why it cannot be made.
    fn request(&self, request: &Value, tls: Option<&TlsIdentity>) -> Result<Bytes, &'static str> {
        let text = |field: &str| request[field].as_str().unwrap_or("");
        let signer = self.0.get(text("signer"));
        let channel_header = ChannelHeader {
            r#type: request["header_type"].as_i64().unwrap_or(0) as i32,
            timestamp: timestamp(request)?,
            channel_id: text("channel").to_owned(),
            tls_cert_hash: tls_cert_hash(text("tls_cert_hash"), tls)?,
            ..ChannelHeader::default()
        };
        let creator = match (text("signature_mode"), signer) {
            ("garbage_creator", _) => Bytes::from_static(b"\xff\xffgarbage"),
            (_, None) => Bytes::new(),
            (_, Some(signer)) => {
                let msp_id = request["mspid_override"].as_str().or(signer["mspid"].as_str()).unwrap();
                fabric_channel::serialise(msp_id, signer["cert_pem"].as_str().unwrap().as_bytes())
            }
        };
        let signature_header = SignatureHeader { creator, nonce: Bytes::from_static(&[7; 24]) };
        let garbage = || Bytes::from_static(b"\xff\xff\xff");
        let mut header = Some(Header {
            channel_header: channel_header.encode_to_vec().into(),
            signature_header: signature_header.encode_to_vec().into(),
        });
        let mut data = seek_info(request).encode_to_vec().into();
        let malformed = text("malformed");
        match (malformed, &mut header) {
            ("" | "garbage_payload" | "empty_payload", _) => {}
            ("no_header", header) => *header = None,
            ("no_signature_header", Some(header)) => header.signature_header = Bytes::new(),
            ("garbage_signature_header", Some(header)) => header.signature_header = garbage(),
            ("no_channel_header", Some(header)) => header.channel_header = Bytes::new(),
            ("garbage_channel_header", Some(header)) => header.channel_header = garbage(),
            ("empty_seek", _) => data = Bytes::new(),
            ("garbage_seek", _) => data = garbage(),
            _ => return Err("this test cannot damage a request so"),
        }
        let payload: Bytes = match malformed {
            "garbage_payload" => garbage(),
            "empty_payload" => Bytes::new(),
            _ => Payload { header, data }.encode_to_vec().into(),
        };
        let signature = match (text("signature_mode"), signer) {
            ("none", _) | (_, None) => Vec::new(),
            ("bad", Some(signer)) => sign(signer, b"something else")?,
            ("high_s", Some(signer)) => with_high_s(&sign(signer, &payload)?),
            ("" | "garbage_creator", Some(signer)) => sign(signer, &payload)?,
            _ => return Err("this test does not know how it is signed"),
        };
        Ok(Envelope { payload, signature: signature.into() }.encode_to_vec().into())
    }
}

fn timestamp(request: &Value) -> Result<Option<prost_types::Timestamp>, &'static str> {
    let offset = request["timestamp_offset_s"].as_i64().unwrap_or(0);
    match request["timestamp_mode"].as_str() {
        None | Some("") => Ok(Some(prost_types::Timestamp { seconds: NOW_UNIX_S as i64 + offset, nanos: 0 })),
        Some("missing") => Ok(None),
        Some("zero") => Ok(Some(prost_types::Timestamp::default())),
        Some(_) => Err("this test does not know how old it is"),
    }
}

fn tls_cert_hash(mode: &str, tls: Option<&TlsIdentity>) -> Result<Bytes, &'static str> {
    let hash = |bytes: &[u8]| Bytes::copy_from_slice(&Sha256::digest(bytes));
    match (mode, tls) {
        ("", _) => Ok(Bytes::new()),
        ("right", Some(tls)) => Ok(hash(tls.certificate())),
        ("right", None) => Err("there is no certificate to be right about"),
        // Any other hash is as wrong.
        _ => Ok(hash(b"another certificate")),
    }
}

fn seek_info(request: &Value) -> SeekInfo {
    let at = |field: &str| {
        let place = &request[field];
        match place["type"].as_str() {
            Some("specified") => position(&place["number"].as_u64().unwrap_or(0).to_string()),
            kind => position(kind.unwrap_or("nil")),
        }
    };
    let number = |field: &str| request[field].as_i64().unwrap_or(0) as i32;
    SeekInfo {
        start: at("start"),
        stop: at("stop"),
        behavior: number("behavior"),
        error_response: number("error_response"),
        content_type: number("content_type"),
    }
}

fn sign(signer: &Value, message: &[u8]) -> Result<Vec<u8>, &'static str> {
    let pem = signer["throwaway_key_pem"].as_str().unwrap().as_bytes();
    if let Ok(key) = SigningKey::from_pem(pem) {
        return Ok(key.sign(message));
    }
    let key = PrivateKeyDer::from_pem_slice(pem).unwrap();
    if let Ok(key) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_der()) {
        return Ok(key.sign(message).as_ref().to_vec());
    }
    let digest = hex::encode(Sha256::digest(message));
    let made = include_str!("data/corpus/p384_signatures.txt").lines().find_map(|line| line.strip_prefix(&digest));
    let made = made.ok_or("nobody here signs with a key on P-384")?;
    Ok(hex::decode(made.trim()).unwrap())
}

/// The other signature of the same message, which Fabric does not take.
fn with_high_s(signature: &[u8]) -> Vec<u8> {
    let r_end = 4 + usize::from(signature[3]);
    let s = &signature[r_end + 2..];
    let mut high = [0; 32];
    let mut borrow = 0;
    for place in 0..32 {
        let s = s.len().checked_sub(place + 1).map_or(0, |at| i16::from(s[at]));
        let difference = i16::from(ORDER_P256[31 - place]) - s - borrow;
        borrow = i16::from(difference < 0);
        high[31 - place] = difference.rem_euclid(256) as u8;
    }
    // Above half of the order the first bit is set, so that a zero goes before it.
    assert!(high[0] & 0x80 != 0);
    let s = [&[2, 33, 0][..], &high].concat();
    let body = [&signature[2..r_end], &s].concat();
    [&[0x30, body.len() as u8][..], &body].concat()
}

const ORDER_P256: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// What the clock shows: September 2026.
const NOW_UNIX_S: u64 = 1_790_000_000;
const SIDE_BY_SIDE: usize = 32;
