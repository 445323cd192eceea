//! A frontend's client side over a ledger in a temporary directory, with a stand-in for the cluster.
#![allow(dead_code, clippy::unwrap_used)]

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use fabric_channel::ChannelConfig;
use fabric_proto::ChannelId;
use fabric_proto::common::{Block, ChannelHeader, HeaderType, Status};
use fabric_proto::orderer::deliver_response::Type;
use fabric_proto::orderer::seek_info::{SeekBehavior, SeekContentType, SeekErrorResponse};
use fabric_proto::orderer::seek_position::Type as Position;
use fabric_proto::orderer::{SeekInfo, SeekNewest, SeekNextCommit, SeekOldest, SeekPosition, SeekSpecified};
use frontend_shim::admission::Signer;
use frontend_shim::broadcast::{Order, Submit, SubmitError};
use frontend_shim::channels::{Channel, ChannelState, Channels};
use frontend_shim::client::{AtomicBroadcastClient, deliver_response};
use frontend_shim::deliver::ClientConnection;
use frontend_shim::ledger::{Ledger, LedgerOptions};
use frontend_shim::service::{Service, ServiceLimits};
use frontend_shim::status::Counters;
use futures::future::BoxFuture;
use futures::stream::{Stream, StreamExt};
use futures::task::AtomicWaker;
use hyper_util::rt::TokioIo;
use prost::Message;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tonic::transport::Endpoint;

use crate::chain;

/// One channel with a ledger, and the services over it.
pub struct Server {
    pub channels: Channels,
    pub channel: Arc<Channel>,
    pub counters: Arc<Counters>,
    pub service: Service,
    pub shutdown: CancellationToken,
    dir: TempDir,
    sockets: AtomicUsize,
}

impl Server {
    /// A channel that is open, over a ledger with this many certified blocks; the first ones are real.
    pub fn new(height: u64, submit: Arc<dyn Submit>) -> Self {
        Self::with_options(height, submit, LedgerOptions::default())
    }

    pub fn with_limits(limits: ServiceLimits) -> Self {
        let mut server = Self::new(1, Arc::new(Accepting));
        let (channels, counters) = (server.channels.clone(), Arc::clone(&server.counters));
        server.service = Service::with_limits(channels, Arc::new(Accepting), counters, limits);
        server
    }

    pub fn with_options(height: u64, submit: Arc<dyn Submit>, options: LedgerOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open_with(&dir.path().join("ledger"), options).unwrap();
        chain::fill(&ledger, height.min(chain::REAL));
        chain::grow(&ledger, height, 200);
        let config = ChannelConfig::from_block(&Block::decode(chain::real(0)).unwrap()).unwrap();
        let channels = Channels::new().unwrap();
        let channel = channels.add(config, Arc::new(ledger)).unwrap();
        channel.enter_state(ChannelState::Open);
        let counters = Arc::new(Counters::default());
        let service = Service::new(channels.clone(), submit, Arc::clone(&counters));
        Self {
            channels,
            channel,
            counters,
            service,
            shutdown: CancellationToken::new(),
            dir,
            sockets: AtomicUsize::new(0),
        }
    }

    /// Serves clients anew from now on, with another way into the cluster.
    pub fn serve_by(&mut self, submit: Arc<dyn Submit>, signer: Option<Signer>) {
        let service = Service::new(self.channels.clone(), submit, Arc::clone(&self.counters));
        self.service = match signer {
            Some(signer) => service.signing_with(signer),
            None => service,
        };
    }

    pub fn ledger(&self) -> &Arc<Ledger> {
        self.channel.ledger()
    }

    /// Listens on a port of its own; the client's connection is made at its first request.
    pub async fn tcp_client(&self) -> AtomicBroadcastClient {
        self.endpoint().await.connect_lazy().into()
    }

    pub async fn endpoint(&self) -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (service, shutdown) = (self.service.clone(), self.shutdown.clone());
        tokio::spawn(async move { service.serve_tcp(listener, shutdown).await });
        Endpoint::from_shared(format!("http://{address}")).unwrap()
    }

    /// Listens on a Unix socket.
    pub fn unix_client(&self) -> AtomicBroadcastClient {
        let path = self.dir.path().join(format!("socket{}", self.sockets.fetch_add(1, Ordering::Relaxed)));
        let listener = UnixListener::bind(&path).unwrap();
        let (service, shutdown) = (self.service.clone(), self.shutdown.clone());
        tokio::spawn(async move { service.serve_unix(listener, shutdown).await });
        let connect = move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        };
        Endpoint::from_static("http://unix").connect_with_connector_lazy(tower::service_fn(connect)).into()
    }

    /// A connection in memory, over which the client may stop reading.
    pub fn memory_client(
        &self,
        connection: ClientConnection,
        endpoint: Endpoint,
    ) -> (AtomicBroadcastClient, Arc<Valve>) {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let (service, shutdown) = (self.service.clone(), self.shutdown.clone());
        tokio::spawn(async move { service.serve_connection(theirs, connection, shutdown).await });
        let valve = Arc::new(Valve::default());
        let io = Mutex::new(Some(Valved { io: ours, valve: Arc::clone(&valve) }));
        let connect = move |_| {
            let io = io.lock().unwrap().take();
            async move { io.map(TokioIo::new).ok_or_else(|| io::Error::other("connected already")) }
        };
        (endpoint.connect_with_connector_lazy(tower::service_fn(connect)).into(), valve)
    }

    pub fn memory_endpoint() -> Endpoint {
        Endpoint::from_static("http://memory")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Takes everything.
pub struct Accepting;

impl Submit for Accepting {
    fn submit(&self, _: &ChannelId, _: Order) -> BoxFuture<'static, Result<(), SubmitError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// What became of an envelope.
pub type Submitted = Result<(), SubmitError>;

/// Leaves what happens to every envelope to the test.
#[derive(Default)]
pub struct Scripted {
    pub submitted: Mutex<Vec<(Order, oneshot::Sender<Submitted>)>>,
    pub count: AtomicUsize,
}

impl Submit for Scripted {
    fn submit(&self, _: &ChannelId, order: Order) -> BoxFuture<'static, Result<(), SubmitError>> {
        let (done, result) = oneshot::channel();
        self.submitted.lock().unwrap().push((order, done));
        self.count.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move { result.await.unwrap_or(Err(SubmitError::Closed)) })
    }
}

impl Scripted {
    pub async fn wait_for(&self, count: usize) {
        let arrived = async {
            while self.count.load(Ordering::SeqCst) < count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, arrived).await.expect("envelopes arrive");
    }
}

/// Whether the client reads its connection.
#[derive(Default)]
pub struct Valve {
    is_shut: AtomicBool,
    /// Bytes that the client has sent.
    pub written: AtomicUsize,
    reader: AtomicWaker,
}

impl Valve {
    pub fn shut(&self) {
        self.is_shut.store(true, Ordering::SeqCst);
    }

    pub fn open(&self) {
        self.is_shut.store(false, Ordering::SeqCst);
        self.reader.wake();
    }
}

struct Valved {
    io: DuplexStream,
    valve: Arc<Valve>,
}

impl AsyncRead for Valved {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.valve.reader.register(cx.waker());
        if self.valve.is_shut.load(Ordering::SeqCst) {
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Valved {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let written = std::task::ready!(Pin::new(&mut self.io).poll_write(cx, buffer))?;
        self.valve.written.fetch_add(written, Ordering::SeqCst);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// A position by its name in the tables: `oldest`, `newest`, `next_commit`, `unset`, `nil`, or a number.
pub fn position(name: &str) -> Option<SeekPosition> {
    let r#type = match name {
        "nil" => return None,
        "unset" => None,
        "oldest" => Some(Position::Oldest(SeekOldest {})),
        "newest" => Some(Position::Newest(SeekNewest {})),
        "next_commit" => Some(Position::NextCommit(SeekNextCommit {})),
        number => Some(Position::Specified(SeekSpecified { number: number.parse().unwrap() })),
    };
    Some(SeekPosition { r#type })
}

/// A range that waits for blocks and is strict.
pub fn seek(start: &str, stop: &str) -> SeekInfo {
    SeekInfo {
        start: position(start),
        stop: position(stop),
        behavior: SeekBehavior::BlockUntilReady.into(),
        error_response: SeekErrorResponse::Strict.into(),
        content_type: SeekContentType::Block.into(),
    }
}

/// The header of a request that is made now.
pub fn request_header(channel: &str) -> ChannelHeader {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    ChannelHeader {
        r#type: HeaderType::DeliverSeekInfo.into(),
        channel_id: channel.into(),
        timestamp: Some(prost_types::Timestamp { seconds: now.as_secs() as i64, nanos: now.subsec_nanos() as i32 }),
        ..Default::default()
    }
}

/// The request for a range of the channel, by one who may read it.
pub fn request(seek: &SeekInfo) -> Bytes {
    chain::signed(&chain::writer(), request_header(chain::CHANNEL), &seek.encode_to_vec())
}

/// What a Deliver stream said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Block {
        number: u64,
        entries: usize,
    },
    Status(Status),
    /// The stream ended with gRPC status OK.
    End,
    /// It ended with another one.
    Broken(tonic::Code),
    /// Nothing came for a while.
    Nothing,
}

/// An open Deliver stream.
pub struct Reader {
    requests: Option<mpsc::UnboundedSender<Bytes>>,
    pub responses: Streaming<Bytes>,
}

impl Reader {
    pub async fn open(client: &AtomicBroadcastClient) -> Self {
        let (requests, messages) = mpsc::unbounded_channel();
        let responses = client.clone().deliver(UnboundedReceiverStream::new(messages)).await.unwrap();
        Self { requests: Some(requests), responses }
    }

    /// Opens a stream with one request.
    pub async fn seek(client: &AtomicBroadcastClient, seek: &SeekInfo) -> Self {
        let reader = Self::open(client).await;
        reader.send(request(seek));
        reader
    }

    pub fn send(&self, request: Bytes) {
        // A server that ended the stream takes nothing more; the test sees that in what it says.
        let _ = self.requests.as_ref().unwrap().send(request);
    }

    pub fn half_close(&mut self) {
        self.requests = None;
    }

    /// The next message as it came.
    pub async fn next_block(&mut self) -> Block {
        let message = tokio::time::timeout(PATIENCE, self.responses.next()).await.unwrap().unwrap().unwrap();
        match deliver_response(message).unwrap().r#type.unwrap() {
            Type::Block(block) => block,
            Type::Status(status) => panic!("status {status}"),
        }
    }

    pub async fn next(&mut self, patience: Duration) -> Said {
        let Ok(item) = tokio::time::timeout(patience, self.responses.next()).await else {
            return Said::Nothing;
        };
        match item {
            None => Said::End,
            Some(Err(status)) => Said::Broken(status.code()),
            Some(Ok(message)) => match deliver_response(message).unwrap().r#type.unwrap() {
                Type::Status(status) => Said::Status(Status::try_from(status).unwrap()),
                Type::Block(block) => {
                    Said::Block { number: block.header.as_ref().unwrap().number, entries: block.entries().len() }
                }
            },
        }
    }

    /// So many blocks, and then silence.
    pub async fn blocks_then_silence(&mut self, count: usize) -> Vec<u64> {
        let mut numbers = Vec::new();
        while numbers.len() < count {
            match self.next(PATIENCE).await {
                Said::Block { number, .. } => numbers.push(number),
                other => panic!("{other:?} after {numbers:?}"),
            }
        }
        assert_eq!(self.next(SILENCE).await, Said::Nothing, "after {numbers:?}");
        numbers
    }

    /// Everything up to the first thing that is no block.
    pub async fn rest(&mut self, patience: Duration) -> (Vec<u64>, Said) {
        let mut blocks = Vec::new();
        loop {
            match self.next(patience).await {
                Said::Block { number, .. } => blocks.push(number),
                other => return (blocks, other),
            }
        }
    }
}

/// Sends these envelopes on one stream and leaves it open.
pub fn envelopes(envelopes: Vec<Bytes>) -> impl Stream<Item = Bytes> + Send + 'static {
    futures::stream::iter(envelopes).chain(futures::stream::pending())
}

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How long a test waits to see that nothing comes.
pub const SILENCE: Duration = Duration::from_millis(300);
