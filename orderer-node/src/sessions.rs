//! The node's side of frontend sessions: requests come in, answers and signed blocks go out.
//!
//! Every session is bounded: requests wait in the verify pool's room before the socket is read on, answers have a queue as
//! long as a frontend's window, and a subscription holds one block at a time and waits until the last one was taken.

mod intake;
mod pusher;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use blockcutter::Objection;
use bytes::Bytes;
use fabric_proto::ChannelId;
use frontend_shim::frame::{Bodies, CHANNELS_MAX, Hello, Opened, RequestAnswer, ToFrontend, ToNode, VERSION, Welcome};
use frontend_shim::framing::{FRAME_BYTES_MAX, FrameError, FrameReader, FrameWriter, HELLO_FRAME_BYTES_MAX};
use frontend_shim::group_terms::GroupTerms;
use frontend_shim::keys::Credential;
use frontend_shim::stages::Stage;
use mod_smart::{Answer, Client, Digest, Event, FrontendId, ReplicaId, RequestId, View};
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::block_catch_up::door;
use crate::credential_store::CredentialStore;
use crate::fault::Faults;
use crate::joined::{JoinedChannel, JoinedChannels};
use crate::judge::{BodyJudge, WaitingRoom};
use crate::keys::NodeKeyring;
use crate::signer::BlockSigner;
use crate::work_pool::WorkPool;
use intake::NotTaken;
use pusher::Pusher;

/// What all sessions of one group at this node share.
#[derive(Debug)]
pub struct SessionHost {
    /// Our place in the view.
    pub me: ReplicaId,
    /// The group.
    pub view: View,
    /// What that is, as frontends are told.
    pub terms: GroupTerms,
    /// Who may submit.
    pub keyring: Arc<NodeKeyring>,
    /// What is kept of them on the disk.
    pub credentials: Arc<CredentialStore>,
    /// Where faults go.
    pub faults: Faults,
    /// The channels joined here.
    pub channels: JoinedChannels,
    /// Signs again what a certificate displaced from the ledger.
    pub signer: BlockSigner,
    /// Checks what comes in.
    pub verify: WorkPool,
    /// By what configuration.
    pub judge: BodyJudge,
    /// Where checked requests go.
    pub inbox: mpsc::Sender<Event>,
    /// The sessions that stand.
    pub table: Arc<SessionTable>,
}

/// The sessions that stand, by frontend. The latest session of a frontend takes the place of an earlier one.
#[derive(Debug, Default)]
pub struct SessionTable {
    sessions: Mutex<BTreeMap<FrontendId, mpsc::Sender<Bytes>>>,
    refused: std::sync::atomic::AtomicU64,
}

impl SessionTable {
    /// Passes on what became of a request. A frontend that does not take its answers loses them and asks again.
    pub fn answer(&self, id: RequestId, digest: Digest, answer: Answer) {
        let Client::Frontend(frontend) = id.client else { return };
        if let Some(answers) = self.lock().get(&frontend) {
            let answer = RequestAnswer { session: id.session, sequence: id.sequence, digest, answer };
            drop(answers.try_send(ToFrontend::Answer(answer).encode()));
        }
    }

    /// How many sessions stand.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// How many requests were refused before they reached the replica.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn insert(&self, frontend: FrontendId, answers: mpsc::Sender<Bytes>) {
        self.lock().insert(frontend, answers);
    }

    /// Removes this session, unless a later one has taken its place.
    fn remove(&self, frontend: FrontendId, answers: &mpsc::Sender<Bytes>) {
        let mut sessions = self.lock();
        if sessions.get(&frontend).is_some_and(|standing| standing.same_channel(answers)) {
            sessions.remove(&frontend);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<FrontendId, mpsc::Sender<Bytes>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub enum SessionEnd {
    /// The frontend did not say hello in time, or not at all.
    #[error("no hello")]
    NoHello,
    /// It was refused.
    #[error("refused: {0}")]
    Refused(String),
    /// What came is no frame of the protocol.
    #[error("garbage: {0}")]
    Garbage(String),
    /// The connection failed.
    #[error("connection: {0}")]
    Connection(#[from] std::io::Error),
}

/// Where a frontend connects from.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Over mutual TLS, with this certificate.
    Tls(CertificateDer<'static>),
    /// From our own process.
    Embedded,
}

/// Serves one session, with the host of the group that its hello names, until either side ends it.
///
/// # Errors
/// Why it ended, if not in good order.
pub async fn serve<IO>(hosts: &[Arc<SessionHost>], io: IO, caller: Caller) -> Result<(), SessionEnd>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (read, write) = tokio::io::split(io);
    let mut reader = FrameReader::new(read, HELLO_FRAME_BYTES_MAX);
    let mut writer = FrameWriter::new(write);
    let hello =
        tokio::time::timeout(HELLO_TIMEOUT, read_message(&mut reader)).await.map_err(|_| SessionEnd::NoHello)??;
    let hello = match hello {
        Some(ToNode::Hello(hello)) => hello,
        Some(ToNode::Read(read)) => return door::serve(hosts, read, &caller, reader, writer).await,
        _ => return Err(SessionEnd::NoHello),
    };
    let of_members = || hosts.iter().find(|host| host.terms.members == hello.terms.members);
    let named = hosts.iter().find(|host| host.view.group() == hello.group).or_else(of_members).or(hosts.first());
    let Some(host) = named.cloned() else { return Err(SessionEnd::NoHello) };
    if let Err(reason) = host.admit(&hello, &caller).await {
        writer.write_frame(ToFrontend::Refused(reason.clone()).encode()).await?;
        writer.shutdown().await?;
        return Err(SessionEnd::Refused(reason));
    }
    reader.allow(FRAME_BYTES_MAX);
    let frontend = hello.credential.frontend;
    let (answers, answer_queue) = mpsc::channel(ANSWERS_MAX);
    let (pushes, push_queue) = mpsc::channel(PUSHES_MAX);
    // The session stands before the frontend is welcomed, so that no answer is lost between the two.
    host.table.insert(frontend, answers.clone());
    let welcome = Welcome { version: VERSION, replica: host.me, channels: host.opened() };
    let first = ToFrontend::Welcome(welcome).encode();
    let session = Session {
        host: Arc::clone(&host),
        frontend,
        bodies: hello.bodies,
        answers: answers.clone(),
        pushes,
        credits: BTreeMap::new(),
        fetches: Arc::new(Semaphore::new(FETCHES_MAX)),
        waiting: WaitingRoom::default(),
    };
    let ended = tokio::select! {
        ended = session.read(reader) => ended,
        ended = write_all(writer, first, answer_queue, push_queue) => ended,
    };
    host.table.remove(frontend, &answers);
    ended
}

impl SessionHost {
    /// Judges a hello. The credential's certificate must be the one that the link has proved to own.
    async fn admit(&self, hello: &Hello, caller: &Caller) -> Result<(), String> {
        if hello.version != VERSION {
            return Err(format!("this node speaks version {VERSION} of the frontend protocol, not {}", hello.version));
        }
        if hello.group != self.view.group() {
            let difference = self.terms.difference(&hello.terms, "frontend");
            let why = difference.map_or_else(String::new, |difference| format!(": {difference}"));
            return Err(format!("this node serves ordering group {}, not {}{why}", self.view.group(), hello.group));
        }
        if let Caller::Tls(certificate) = caller
            && certificate.as_ref() != hello.credential.certificate.as_ref()
        {
            return Err("the credential's certificate is not the one of this connection".to_owned());
        }
        self.admit_credential(&hello.credential).await
    }

    /// The mesh follows the keyring and introduces whom it admits to the other nodes. That the frontend was admitted is
    /// durable before it is welcomed, and so before it is promised anything.
    async fn admit_credential(&self, credential: &Credential) -> Result<(), String> {
        self.keyring.admit(credential).map_err(|error| error.to_string())?;
        let (store, keyring) = (Arc::clone(&self.credentials), Arc::clone(&self.keyring));
        let kept = tokio::task::spawn_blocking(move || store.keep(&keyring)).await;
        match kept {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                self.faults.report(error.into());
                Err("this node cannot write to its disk".to_owned())
            }
            Err(_) => Err("this node is stopping".to_owned()),
        }
    }

    fn opened(&self) -> Vec<Opened> {
        let channels = self.channels.list();
        let open = channels.iter().filter(|(_, channel)| *channel.open.borrow());
        open.filter_map(|(id, channel)| opened(id, channel)).take(CHANNELS_MAX).collect()
    }
}

fn opened(id: &ChannelId, channel: &JoinedChannel) -> Option<Opened> {
    let genesis = channel.ledger.read(0).ok().flatten()?;
    Some(Opened { channel: id.clone(), genesis: genesis.header.hash(), height: channel.ledger.height() })
}

/// The reading half of a session, with what it started.
struct Session {
    host: Arc<SessionHost>,
    frontend: FrontendId,
    bodies: Bodies,
    answers: mpsc::Sender<Bytes>,
    pushes: mpsc::Sender<Bytes>,
    credits: BTreeMap<ChannelId, watch::Sender<u64>>,
    fetches: Arc<Semaphore>,
    /// For requests that name a configuration which is not in force yet.
    waiting: WaitingRoom,
}

impl Session {
    async fn read<R: AsyncRead + Unpin>(mut self, mut reader: FrameReader<R>) -> Result<(), SessionEnd> {
        self.announce_openings();
        while let Some(message) = read_message(&mut reader).await? {
            match message {
                ToNode::Hello(_) | ToNode::Read(_) => return Err(SessionEnd::Garbage("a second hello".to_owned())),
                ToNode::Submit(request) => self.submit(request).await,
                ToNode::Subscribe { channel, from, until } => self.subscribe(channel, from, until),
                // The pusher ends when nobody extends its credit any more.
                ToNode::Unsubscribe { channel } => drop(self.credits.remove(&channel)),
                ToNode::FetchBlock { channel, number } => self.push_again(&channel, number),
                ToNode::Ping(number) => drop(self.answers.try_send(ToFrontend::Pong(number).encode())),
            }
        }
        Ok(())
    }

    /// Checks a request in the pool and hands it to the replica; while there is no room this session is not read.
    async fn submit(&self, bytes: Bytes) {
        let Some(permit) = self.host.verify.room().await else { return };
        let (host, frontend, waiting) = (Arc::clone(&self.host), self.frontend, self.waiting.clone());
        tokio::spawn(Stage::Intake.follow(async move {
            match host.take(frontend, bytes.clone()).await {
                Err(NotTaken::Body(Objection::Ahead { channel, sequence })) => {
                    drop(permit);
                    host.take_in_time(frontend, bytes, &waiting, (channel, sequence)).await;
                }
                Err(reason) => host.on_refused(frontend, &reason),
                Ok(()) => {}
            }
        }));
    }

    /// The first subscription to a channel starts a task that pushes; later ones move its end.
    fn subscribe(&mut self, channel: ChannelId, from: u64, until: u64) {
        // The credit of a channel that was removed has nobody who takes it.
        if let Some(credit) = self.credits.get(&channel).filter(|credit| !credit.is_closed()) {
            credit.send_if_modified(|known| std::mem::replace(known, until.max(*known)) < until);
            return;
        }
        let Some(joined) = self.host.channels.get(&channel) else { return };
        let (credit, until) = watch::channel(until);
        self.credits.insert(channel.clone(), credit);
        let pusher = self.pusher(channel, joined);
        let pushes = self.pushes.clone();
        tokio::spawn(Stage::Push.follow(async move {
            // It ends with the session, whose credit's sender or queue is gone then, or with the channel.
            tokio::select! {
                () = pusher.run(from, until.clone()) => {}
                () = pusher.run_tentative(from, until) => {}
                () = pushes.closed() => {}
                () = pusher.joined.removed() => {}
            }
        }));
    }

    fn push_again(&self, channel: &ChannelId, number: u64) {
        let Some(joined) = self.host.channels.get(channel) else { return };
        // A frontend that asks for more than it takes is not served more; it asks again, or asks another node.
        let Ok(permit) = Arc::clone(&self.fetches).try_acquire_owned() else { return };
        let pusher = self.pusher(channel.clone(), joined);
        tokio::spawn(Stage::Push.follow(async move {
            if number > 0 {
                pusher.push_again(number).await;
            }
            drop(permit);
        }));
    }

    fn pusher(&self, channel: ChannelId, joined: Arc<JoinedChannel>) -> Pusher {
        Pusher {
            host: Arc::clone(&self.host),
            frontend: self.frontend,
            bodies: self.bodies,
            channel,
            joined,
            pushes: self.pushes.clone(),
            foretold: Arc::default(),
        }
    }

    /// Tells the frontend of channels that open while its session stands, those that are joined meanwhile included.
    fn announce_openings(&self) {
        let (channels, answers) = (self.host.channels.clone(), self.answers.clone());
        tokio::spawn(async move {
            let mut changes = channels.watch();
            let mut followed: BTreeMap<ChannelId, Arc<JoinedChannel>> = BTreeMap::new();
            loop {
                changes.mark_unchanged();
                let joined = channels.list();
                followed.retain(|id, channel| joined.get(id).is_some_and(|other| Arc::ptr_eq(channel, other)));
                for (id, channel) in &*joined {
                    if followed.insert(id.clone(), Arc::clone(channel)).is_none() {
                        tokio::spawn(announce_opening(id.clone(), Arc::clone(channel), answers.clone()));
                    }
                }
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return },
                    () = answers.closed() => return,
                }
            }
        });
    }
}

async fn announce_opening(id: ChannelId, channel: Arc<JoinedChannel>, answers: mpsc::Sender<Bytes>) {
    let mut open = channel.open.subscribe();
    let opening = async { open.wait_for(|open| *open).await.is_ok() };
    tokio::select! {
        is_open = opening => if is_open && let Some(opened) = opened(&id, &channel) {
            drop(answers.send(ToFrontend::Opened(opened).encode()).await);
        },
        () = channel.removed() => {}
        () = answers.closed() => {}
    }
}

async fn read_message<R: AsyncRead + Unpin>(reader: &mut FrameReader<R>) -> Result<Option<ToNode>, SessionEnd> {
    let frame = reader.read_frame().await.map_err(|error| match error {
        FrameError::Io(error) => SessionEnd::Connection(error),
        garbage => SessionEnd::Garbage(garbage.to_string()),
    })?;
    let Some(frame) = frame else { return Ok(None) };
    ToNode::decode(frame).map(Some).map_err(|error| SessionEnd::Garbage(error.to_string()))
}

/// The writing half: answers before blocks, many frames in one write.
async fn write_all<W: AsyncWrite + Unpin>(
    mut writer: FrameWriter<W>,
    first: Bytes,
    mut answers: mpsc::Receiver<Bytes>,
    mut pushes: mpsc::Receiver<Bytes>,
) -> Result<(), SessionEnd> {
    writer.write_frame(first).await?;
    loop {
        while let Ok(frame) = answers.try_recv().or_else(|_| pushes.try_recv()) {
            writer.write_frame(frame).await?;
        }
        writer.flush().await?;
        let frame = tokio::select! {
            biased;
            frame = answers.recv() => frame,
            frame = pushes.recv() => frame,
        };
        let Some(frame) = frame else { return Ok(()) };
        writer.write_frame(frame).await?;
    }
}

const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers that may wait for a slow frontend: more than its window of requests.
const ANSWERS_MAX: usize = 8192;

/// Blocks asked for by number that a session may be waiting to send.
const FETCHES_MAX: usize = 16;

/// Pushed blocks that may wait for a slow frontend, in frames.
const PUSHES_MAX: usize = 4;
