//! A chaincode that runs as a service: a peer connects to it, and it keeps values under keys in the peer's ledger.
//!
//! `put KEY VALUE` writes and `get KEY` reads. It holds nothing of a transaction: each message of the peer that wants an
//! answer says all that the answer needs.

use std::convert::Infallible;
use std::fs;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Command;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use prost::Message as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Status, Streaming};

use super::codec::MessageCodec;
use super::messages::ChaincodeMessageType as Type;
use super::messages::{ChaincodeId, ChaincodeInput, ChaincodeMessage, GetState, PutState, Response};
use super::run;

/// The running service, and the package by which a peer knows it.
#[derive(Debug)]
pub struct Chaincode {
    package: PathBuf,
    id: String,
    _server: AbortOnDropHandle<()>,
}

impl Chaincode {
    /// What a channel calls it.
    pub const NAME: &str = "store";

    /// Starts it on any port, and writes its package into this folder.
    ///
    /// # Errors
    /// The package cannot be written; there is no `tar`.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.join("chaincode");
        fs::create_dir_all(&folder)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let package = write_package(&folder, listener.local_addr()?)?;
        let id = format!("{}:{}", Self::NAME, hex::encode(Sha256::digest(fs::read(&package)?)));
        let serving = Server::builder().add_service(Store { id: id.clone() });
        let serving = serving.serve_with_incoming(TcpIncoming::from(listener));
        // It ends when it is dropped; a peer that has no chaincode says so.
        let server = tokio::spawn(async move { drop(serving.await) });
        Ok(Self { package, id, _server: AbortOnDropHandle::new(server) })
    }

    /// What is to be installed.
    #[must_use]
    pub fn package(&self) -> &Path {
        &self.package
    }

    /// What a peer calls the installed package.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// A package of the kind `ccaas`: it holds nothing but where the chaincode is to be found.
fn write_package(folder: &Path, address: SocketAddr) -> anyhow::Result<PathBuf> {
    let connection = json!({ "address": address.to_string(), "dial_timeout": "10s", "tls_required": false });
    fs::write(folder.join("connection.json"), connection.to_string())?;
    fs::write(folder.join("metadata.json"), json!({ "type": "ccaas", "label": Chaincode::NAME }).to_string())?;
    let package = folder.join("package.tar.gz");
    let mut tar = Command::new("tar");
    run(tar.current_dir(folder).args(["-czf", "code.tar.gz", "connection.json"]))?;
    let mut tar = Command::new("tar");
    run(tar.current_dir(folder).arg("-czf").arg(&package).args(["metadata.json", "code.tar.gz"]))?;
    Ok(package)
}

/// The gRPC service `protos.Chaincode`, whose only method is `Connect`.
#[derive(Clone)]
struct Store {
    /// Of the package.
    id: String,
}

impl NamedService for Store {
    const NAME: &'static str = "protos.Chaincode";
}

impl Service<http::Request<Body>> for Store {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let connection = Connection { id: self.id.clone() };
        Box::pin(async move { Ok(Grpc::new(MessageCodec::new()).streaming(connection, request).await) })
    }
}

/// One stream of messages from a peer.
struct Connection {
    id: String,
}

impl StreamingService<ChaincodeMessage> for Connection {
    type Response = ChaincodeMessage;
    type ResponseStream = BoxStream<'static, Result<ChaincodeMessage, Status>>;
    type Future = std::future::Ready<Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<ChaincodeMessage>>) -> Self::Future {
        let id = ChaincodeId { name: self.id.clone() };
        let register = message(Type::Register, &id);
        let replies = request.into_inner().filter_map(async |message| message.map(reply).transpose());
        std::future::ready(Ok(tonic::Response::new(stream::once(async { Ok(register) }).chain(replies).boxed())))
    }
}

/// What the chaincode answers, if this is something to answer.
fn reply(asked: ChaincodeMessage) -> Option<ChaincodeMessage> {
    let answer = match asked.r#type() {
        Type::Transaction => begin(asked.payload),
        Type::Response => completed(200, "", asked.payload),
        Type::Error => completed(500, &String::from_utf8_lossy(&asked.payload), Bytes::new()),
        _ => return None,
    };
    Some(ChaincodeMessage { txid: asked.txid, channel_id: asked.channel_id, ..answer })
}

/// The first step of a transaction, which is also the only one before its end.
fn begin(input: Bytes) -> ChaincodeMessage {
    let arguments = ChaincodeInput::decode(input).unwrap_or_default().args;
    let words: Vec<&[u8]> = arguments.iter().map(|argument| &argument[..]).collect();
    match words[..] {
        [b"put", _, _] => message(Type::PutState, &PutState { key: arguments[1].clone(), value: arguments[2].clone() }),
        [b"get", _] => message(Type::GetState, &GetState { key: arguments[1].clone() }),
        _ => completed(400, "say: put KEY VALUE, or: get KEY", Bytes::new()),
    }
}

fn completed(status: i32, why: &str, payload: Bytes) -> ChaincodeMessage {
    message(Type::Completed, &Response { status, message: why.to_owned(), payload })
}

fn message(kind: Type, payload: &impl prost::Message) -> ChaincodeMessage {
    ChaincodeMessage { r#type: kind.into(), payload: payload.encode_to_vec().into(), ..ChaincodeMessage::default() }
}
