//! The connection to one node: made, kept, and made again.
//!
//! One task per node, so that a node that is down, slow or silent is its own problem only. Everything that is sent comes
//! out of the session's outbox, which nobody waits for; everything that is read goes to the relay or to the channels. A
//! session begins with what the node lacks: its subscriptions here, its requests in the relay.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use mod_smart::codec::CodecError;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{interval_at, timeout};
use tokio_util::sync::CancellationToken;

use crate::counters::Grievance;
use crate::directory::{DialError, Directory};
use crate::frame::{ToFrontend, ToNode, VERSION, Welcome};
use crate::framing::{FRAME_BYTES_MAX, FrameError, FrameReader};
use crate::node_handle::NodeHandle;
use crate::node_limits::{
    COMPLAINT_INTERVAL, PING_INTERVAL, RECONNECT_AFTER_MAX, RECONNECT_AFTER_MIN, SILENCE_MAX, WELCOME_BYTES_MAX,
    WELCOME_TIMEOUT,
};
use crate::outbox::{Outbox, write_frames};
use crate::relay::LinkEvent;
use crate::stages::Stage;
use crate::subscriptions::Subscriptions;
use crate::tls::ALPN_FRONTEND;
use crate::tls_identity::TlsIdentity;

/// How a node is reached.
pub(crate) enum Way {
    /// By TLS over TCP, again and again.
    Dial {
        /// Says where, and by which key the node is known.
        directory: Arc<Directory>,
        /// Shown to the node.
        identity: TlsIdentity,
    },
    /// It is this process: once.
    InProcess(DuplexStream),
}

/// The link to one node.
pub(crate) struct NodeLink {
    pub(crate) node: Arc<NodeHandle>,
    /// The frame that every session begins with.
    pub(crate) hello: Bytes,
    pub(crate) relay: mpsc::Sender<LinkEvent>,
    pub(crate) subscriptions: Arc<Subscriptions>,
    pub(crate) stop: CancellationToken,
}

/// Why a session ended, or never stood.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("cannot connect: {0}")]
    Connect(#[from] DialError),
    #[error("the connection failed: {0}")]
    Frame(#[from] FrameError),
    #[error("the connection failed: {0}")]
    Io(#[from] std::io::Error),
    #[error("the node closed the connection")]
    Closed,
    #[error("the node is silent")]
    Silent,
    #[error("the node refused: {0}")]
    Refused(String),
    #[error("the node speaks version {0} of the session protocol, this is version {VERSION}")]
    Version(u16),
    #[error("not a message: {0}")]
    Malformed(#[from] CodecError),
    #[error("{0}")]
    OutOfPlace(&'static str),
}

impl NodeLink {
    /// Keeps a session with the node until `stop`.
    pub(crate) async fn run(self, way: Way) {
        let stop = self.stop.clone();
        let keeping = async {
            match way {
                Way::InProcess(stream) => self.on_ended(&self.session(stream).await, &mut None),
                Way::Dial { directory, identity } => self.keep_dialling(&directory, &identity).await,
            }
        };
        tokio::select! {
            () = keeping => {}
            () = stop.cancelled() => {}
        }
        self.node.close();
    }

    async fn keep_dialling(&self, directory: &Directory, identity: &TlsIdentity) {
        let mut pause = RECONNECT_AFTER_MIN;
        let mut last_logged = None;
        loop {
            let sessions = self.node.record.snapshot().sessions;
            let outcome = self.dial_once(directory, identity).await;
            if self.node.record.snapshot().sessions > sessions {
                pause = RECONNECT_AFTER_MIN;
                last_logged = None;
            }
            self.on_ended(&outcome, &mut last_logged);
            tokio::select! {
                () = self.node.shown_up() => pause = RECONNECT_AFTER_MIN,
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(RECONNECT_AFTER_MAX),
            }
        }
    }

    async fn dial_once(&self, directory: &Directory, identity: &TlsIdentity) -> Result<(), LinkError> {
        self.session(directory.dial(self.node.replica, identity, ALPN_FRONTEND).await?).await
    }

    /// One session, from Hello until it ends. It never ends well: a node has no reason to leave.
    async fn session<IO>(&self, stream: IO) -> Result<(), LinkError>
    where
        IO: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (reading, mut writing) = tokio::io::split(stream);
        let mut reader = FrameReader::new(reading, WELCOME_BYTES_MAX);
        let greeting = async {
            writing.write_all(&self.hello).await?;
            writing.flush().await?;
            next_message(&mut reader).await
        };
        let welcome = match timeout(WELCOME_TIMEOUT, greeting).await.map_err(|_| LinkError::Silent)?? {
            ToFrontend::Welcome(welcome) => welcome,
            ToFrontend::Refused(reason) => return Err(LinkError::Refused(reason)),
            _ => return Err(LinkError::OutOfPlace("a message before Welcome")),
        };
        self.check(&welcome)?;
        reader.allow(FRAME_BYTES_MAX);
        let standing = Standing::begin(self, writing).await;
        self.subscriptions.on_welcome(&self.node, welcome.channels);
        tracing::info!("session with {} stands", self.node.record.name());
        let outcome = self.listen(&mut reader, &standing.outbox).await;
        standing.end(self).await;
        outcome
    }

    fn check(&self, welcome: &Welcome) -> Result<(), LinkError> {
        if welcome.version != VERSION {
            return Err(LinkError::Version(welcome.version));
        }
        if welcome.replica != self.node.replica {
            return Err(LinkError::OutOfPlace("it says that it is another replica"));
        }
        Ok(())
    }

    async fn listen<R: AsyncRead + Unpin>(
        &self,
        reader: &mut FrameReader<R>,
        outbox: &Outbox,
    ) -> Result<(), LinkError> {
        let mut ping = interval_at(tokio::time::Instant::now() + PING_INTERVAL, PING_INTERVAL);
        let mut heard = Instant::now();
        let mut pings = 0;
        loop {
            tokio::select! {
                message = next_message(reader) => {
                    self.on_message(message?).await?;
                    heard = Instant::now();
                }
                _ = ping.tick() => {
                    if heard.elapsed() > SILENCE_MAX {
                        return Err(LinkError::Silent);
                    }
                    pings += 1;
                    // In a full outbox there is enough for the node to react to.
                    let _ = outbox.push(ToNode::Ping(pings).encode());
                }
            }
        }
    }

    async fn on_message(&self, message: ToFrontend) -> Result<(), LinkError> {
        match message {
            ToFrontend::Answer(answer) => self.tell_relay(LinkEvent::Answer(self.node.replica, answer)).await,
            ToFrontend::Push(push) => self.subscriptions.on_push(&self.node, push),
            ToFrontend::Opened(opened) => self.subscriptions.on_opened(&self.node, opened),
            ToFrontend::Pong(_) => {}
            ToFrontend::Refused(reason) => return Err(LinkError::Refused(reason)),
            ToFrontend::Welcome(_) => return Err(LinkError::OutOfPlace("a second Welcome")),
        }
        Ok(())
    }

    /// A relay that has ended needs to know nothing.
    async fn tell_relay(&self, event: LinkEvent) {
        drop(self.relay.send(event).await);
    }

    fn on_ended(&self, outcome: &Result<(), LinkError>, last_logged: &mut Option<Instant>) {
        let Err(error) = outcome else { return };
        match error {
            LinkError::Refused(_) | LinkError::Version(_) => self.node.record.complain(Grievance::Refused, error),
            LinkError::Malformed(_)
            | LinkError::OutOfPlace(_)
            | LinkError::Frame(FrameError::TooLong { .. } | FrameError::Empty) => {
                self.node.record.complain(Grievance::Garbage, error);
            }
            _ if last_logged.is_some_and(|at| at.elapsed() < COMPLAINT_INTERVAL) => {}
            _ => {
                *last_logged = Some(Instant::now());
                tracing::warn!("no session with {}: {error}", self.node.record.name());
            }
        }
    }
}

/// What there is only while a session stands.
struct Standing {
    outbox: Arc<Outbox>,
    writer: Writer,
}

/// Ends the writing task with the session, however the session ends.
struct Writer(JoinHandle<()>);

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Standing {
    /// The outbox exists before anybody is told, so nothing they send is lost.
    async fn begin<W>(link: &NodeLink, writing: W) -> Self
    where
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let outbox = link.node.open();
        let draining = outbox.clone();
        // A connection that cannot be written fails for the reader too.
        let writing = async move { drop(write_frames(&draining, writing).await) };
        let writer = Writer(tokio::spawn(Stage::SessionSocket.follow(writing)));
        link.subscriptions.subscribe_all(&link.node);
        link.tell_relay(LinkEvent::Connected(link.node.replica)).await;
        Self { outbox, writer }
    }

    async fn end(self, link: &NodeLink) {
        drop(self.writer);
        link.node.close();
        link.tell_relay(LinkEvent::Disconnected(link.node.replica)).await;
    }
}

async fn next_message<R: AsyncRead + Unpin>(reader: &mut FrameReader<R>) -> Result<ToFrontend, LinkError> {
    let frame = reader.read_frame().await?.ok_or(LinkError::Closed)?;
    Ok(ToFrontend::decode(frame)?)
}
