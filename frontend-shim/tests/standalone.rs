//! A frontend as a process of its own, from its configuration file to a client that reads a certified block.
#![allow(clippy::unwrap_used)]

mod chain;
mod network;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fabric_proto::canonical;
use fabric_proto::common::{Block, BlockData, HeaderType, Status};
use fabric_proto::metadata::metadata_value;
use fabric_proto::orderer::deliver_response::Type;
use frontend_shim::client::{AtomicBroadcastClient, broadcast_response, deliver_response};
use frontend_shim::config::Settings;
use frontend_shim::frame::{Push, ToFrontend, body_source};
use frontend_shim::ledger::LedgerError;
use frontend_shim::signing::SigningIdentity;
use frontend_shim::standalone::{Standalone, StandaloneError};
use frontend_shim::status;
use frontend_shim::tls::{self, ALPN_FRONTEND, ALPN_GRPC, ClientAuth, ServerTrust, client_config, server_config};
use futures::StreamExt as _;
use hyper_util::rt::TokioIo;
use mod_smart::Answer;
use network::{FakeNode, Network, Unsigned, channel_id, eventually, flat};
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;
use tonic::transport::Endpoint;

struct World {
    network: Network,
    listeners: Vec<TcpListener>,
    dir: tempfile::TempDir,
}

/// Four nodes that listen, and a folder with a configuration that leads to them.
async fn world(listen: &str) -> World {
    let mut listeners = Vec::new();
    for _ in 0..4 {
        listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
    }
    let ports: Vec<u16> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
    let network = Network::new(&ports);
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
    write("ch1.block", &network.genesis.encode_to_vec());
    for (at, (certificate, key)) in network.tls_pem.iter().enumerate() {
        write(&format!("{at}.crt"), certificate);
        write(&format!("{at}.key"), key);
    }
    let config = format!(
        "data_dir = \"data\"\nstatus_socket = \"status.sock\"\n\
         [identity]\ncertificate = \"3.crt\"\nprivate_key = \"3.key\"\n\
         [[channel]]\ngenesis = \"ch1.block\"\n{listen}"
    );
    write("frontend.toml", config.as_bytes());
    World { network, listeners, dir }
}

impl World {
    async fn start(&self) -> Result<Standalone, StandaloneError> {
        Standalone::start(Settings::load(&self.dir.path().join("frontend.toml")).unwrap()).await
    }

    /// Starts after an earlier one has ended, whose ledgers may be busy with their last sync for a moment.
    async fn start_again(&self) -> Result<Standalone, StandaloneError> {
        loop {
            match self.start().await {
                Err(StandaloneError::Ledger { source: LedgerError::InUse { .. }, .. }) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn accept(&self, replica: usize) -> FakeNode<TlsStream<TcpStream>> {
        let config = server_config(&self.network.tls[replica], &[ALPN_FRONTEND], ClientAuth::Requested).unwrap();
        let stream = tls::accept(self.listeners[replica].accept().await.unwrap().0, config).await.unwrap();
        FakeNode::welcome(stream, replica, vec![self.network.opened()]).await
    }
}

async fn over_unix(path: &Path) -> AtomicBroadcastClient {
    let path = path.to_owned();
    let connect = tower::service_fn(move |_| {
        let path = path.clone();
        async move { tokio::net::UnixStream::connect(path).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://unix").connect_with_connector(connect).await.unwrap().into()
}

async fn over_tls(
    address: std::net::SocketAddr,
    config: Arc<rustls::ClientConfig>,
) -> Result<AtomicBroadcastClient, tonic::transport::Error> {
    let connect = tower::service_fn(move |_| {
        let config = config.clone();
        async move { tls::dial(&address.to_string(), config).await.map(TokioIo::new) }
    });
    Ok(Endpoint::from_static("http://tls").connect_with_connector(connect).await?.into())
}

/// A seek for block 1 by a client of the channel.
fn seek_1(reader: &SigningIdentity, tls_cert_hash: &[u8]) -> Bytes {
    use fabric_proto::common::ChannelHeader;
    use fabric_proto::orderer::{SeekInfo, SeekPosition, SeekSpecified, seek_position};
    let position = || SeekPosition { r#type: Some(seek_position::Type::Specified(SeekSpecified { number: 1 })) };
    let seek = SeekInfo { start: Some(position()), stop: Some(position()), ..SeekInfo::default() };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let header = ChannelHeader {
        r#type: HeaderType::DeliverSeekInfo.into(),
        channel_id: channel_id().as_str().to_owned(),
        timestamp: Some(prost_types::Timestamp { seconds: now.as_secs() as i64, nanos: 0 }),
        tls_cert_hash: Bytes::copy_from_slice(tls_cert_hash),
        ..ChannelHeader::default()
    };
    chain::signed(reader, header, &seek.encode_to_vec())
}

async fn deliver_1(
    client: &mut AtomicBroadcastClient,
    reader: &SigningIdentity,
    tls_cert_hash: &[u8],
) -> Result<Block, Status> {
    let request = seek_1(reader, tls_cert_hash);
    let requests = futures::stream::iter([request]).chain(futures::stream::pending());
    let mut answers = client.deliver(requests).await.unwrap();
    let answer = answers.next().await.unwrap().unwrap();
    match deliver_response(answer).unwrap().r#type.unwrap() {
        Type::Block(block) => Ok(block),
        Type::Status(status) => Err(Status::try_from(status).unwrap()),
    }
}

#[tokio::test]
async fn an_envelope_goes_in_and_its_block_comes_out() {
    let world = world(
        "[[listen]]\nunix = \"clients.sock\"\n[[listen]]\ntcp = \"127.0.0.1:0\"\n\
         tls = { certificate = \"2.crt\", private_key = \"2.key\", client_certificates = \"required\" }\n",
    )
    .await;
    let running = world.start().await.unwrap();
    let mut nodes = Vec::new();
    for replica in [0, 2, 3] {
        nodes.push((replica, world.accept(replica).await));
    }
    let status_socket = world.dir.path().join("status.sock");
    for _ in 0..400 {
        let report = status::fetch(&status_socket).await.unwrap();
        if report.channels[0].state == "open" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let mut client = over_unix(&world.dir.path().join("clients.sock")).await;
    let header = chain::header_of("ch1", HeaderType::EndorserTransaction);
    let envelope = chain::signed(&world.network.writer(), header, b"transaction");
    let mut answers = client.broadcast(futures::stream::iter([envelope.clone()])).await.unwrap();
    for (_, node) in &mut nodes[..2] {
        let request = node.next_request().await;
        node.answer(&request, Answer::Held).await;
    }
    let answer = broadcast_response(answers.next().await.unwrap().unwrap()).unwrap();
    assert_eq!(answer.status(), Status::Success);

    let entries = vec![canonical::canonicalize(envelope).unwrap()];
    let data_hash = fabric_proto::block::data_hash(&entries);
    let block = Unsigned {
        number: 1,
        previous_hash: world.network.genesis_hash(),
        data_hash,
        value: metadata_value(0, Bytes::new()),
        body: BlockData { data: entries.clone() }.encode_to_vec().into(),
    };
    let source = body_source(running.frontends()[0].id(), 1, &flat(4)).index();
    for (replica, node) in &mut nodes {
        let body = (*replica == source).then(|| block.body.clone());
        node.send(ToFrontend::Push(Push { body, ..world.network.push(*replica, &block) })).await;
    }
    if source == 1 {
        // Replica 1 is down: one of the others is asked.
        let asked = nodes.iter_mut().map(|(replica, node)| {
            Box::pin(async move {
                node.next_fetch().await;
                (*replica, node)
            })
        });
        let (replica, node) = futures::future::select_all(asked).await.0;
        let push = Push { body: Some(block.body.clone()), ..world.network.push(replica, &block) };
        node.send(ToFrontend::Push(push)).await;
    }
    let reader = world.network.writer();
    let delivered = deliver_1(&mut client, &reader, b"").await.unwrap();
    assert_eq!(delivered.entries(), entries);
    fabric_channel::BlockVerifier::new(&world.network.config)
        .verify_block(&delivered, 1, Some(&world.network.genesis_hash()))
        .unwrap();

    let pin = ServerTrust::Pinned(world.network.tls[2].spki().unwrap());
    let identity = &world.network.tls[0];
    let config = client_config(Some(identity), ALPN_GRPC, pin.clone()).unwrap();
    let mut bound = over_tls(running.addresses()[0], config).await.unwrap();
    let hash = <sha2::Sha256 as sha2::Digest>::digest(identity.certificate());
    assert_eq!(deliver_1(&mut bound, &reader, &hash).await.unwrap().entries(), entries);
    assert_eq!(deliver_1(&mut bound, &reader, b"").await, Err(Status::BadRequest), "bound to its certificate");
    let nobody = over_tls(running.addresses()[0], client_config(None, ALPN_GRPC, pin).unwrap()).await;
    let refused = match nobody {
        Ok(mut client) => client.check_health(Bytes::new()).await.is_err(),
        Err(_) => true,
    };
    assert!(refused, "a certificate is required");

    let report = status::fetch(&status_socket).await.unwrap();
    assert_eq!((report.channels[0].height, report.channels[0].certified_height), (2, 2));
    assert_eq!(report.sections["frontends"][0]["envelopes_held"], 1);
    assert!(matches!(world.start().await, Err(StandaloneError::Ledger { .. })), "one process for a data folder");
    running.stop().await;
    assert!(!status_socket.exists());
}

#[tokio::test]
async fn it_starts_again_where_it_was_and_not_on_another_channel_of_that_name() {
    let mut world = world("[[listen]]\nunix = \"clients.sock\"\n").await;
    let running = world.start_again().await.unwrap();
    running.stop().await;
    let running = world.start_again().await.unwrap();
    let first = running.frontends()[0].clone();
    eventually("nothing is certified twice", || first.counters().channels[0].certified == 0).await;
    running.stop().await;
    std::fs::write(world.dir.path().join("clients.sock"), b"").unwrap();
    assert!(world.start_again().await.is_err(), "a file is in the way of the socket");
    std::fs::remove_file(world.dir.path().join("clients.sock")).unwrap();

    world.network = Network::new(&[7050, 7051, 7052, 7053]);
    std::fs::write(world.dir.path().join("ch1.block"), world.network.genesis.encode_to_vec()).unwrap();
    let error = world.start_again().await.err().unwrap().to_string();
    assert!(error.contains("fork"), "{error}");
}
