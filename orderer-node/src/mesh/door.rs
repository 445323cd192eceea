//! Where links of other replicas come in: one door per process, in front of the meshes of all its groups.
//!
//! A connection whose certificate no group names is closed before it can say anything. The rest have a few seconds for
//! their Hello; it names the group, and the mesh of that group judges the rest.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use frontend_shim::framing::{FrameReader, FrameWriter, HELLO_FRAME_BYTES_MAX};
use frontend_shim::stages::Stage;
use frontend_shim::tls::Spki;
use mod_smart::GroupId;
use serde::Serialize;
use tokio::io::AsyncWrite;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::acceptor::{self, GreetingReject};
use super::frame::{Hello, MESH_VERSION, MeshFrame, Refusal};
use super::limits::{GREETINGS_PER_KEY_MAX, HELLO_TIME_MAX, REFUSAL_TIME_MAX};
use super::log_pace::LogPace;
use super::{MeshHandle, Shared};
use crate::listener::{Accepted, Socket};

/// Routes accepted links to the mesh of the group they name. Clones are the same door.
#[derive(Clone, Debug, Default)]
pub struct MeshDoor {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    meshes: Mutex<BTreeMap<GroupId, Arc<Shared>>>,
    /// Places for connections that have not said Hello, for each known key; only those in use are kept.
    places: Mutex<BTreeMap<Spki, Arc<Semaphore>>>,
    pace: LogPace,
    tally: Tally,
}

/// How often what happened to connections that were not, or not yet, links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MeshDoorCounters {
    /// Links taken.
    pub accepted: u64,
    /// Connections with a certificate that no group names.
    pub strangers: u64,
    /// Connections that were one too many, or said no Hello in time, or said something else.
    pub garbled: u64,
    /// Hellos of another version of the protocol.
    pub versions: u64,
    /// Hellos for a group that this node does not serve.
    pub groups: u64,
    /// Hellos of a replica under a certificate that the channel configuration does not name for it.
    pub pins: u64,
    /// Hellos whose vote key binding is not believed.
    pub bindings: u64,
    /// Hellos of a replica that is kept out for a while, because it sent garbage.
    pub banned: u64,
}

#[derive(Debug, Default)]
struct Tally {
    accepted: AtomicU64,
    strangers: AtomicU64,
    garbled: AtomicU64,
    versions: AtomicU64,
    groups: AtomicU64,
    pins: AtomicU64,
    bindings: AtomicU64,
    banned: AtomicU64,
}

impl MeshDoor {
    /// A door with no mesh behind it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes links for this mesh from now on.
    pub fn open(&self, mesh: &MeshHandle) {
        self.inner.meshes().insert(mesh.group(), Arc::clone(&mesh.shared));
    }

    /// Takes no more links for this group. Those that stand end with the mesh.
    pub fn close(&self, group: GroupId) {
        self.inner.meshes().remove(&group);
    }

    /// Takes connections until nobody sends them any more. Dropping the future closes all links that came in here.
    pub async fn run(self, mut accepted: mpsc::Receiver<Accepted>) {
        let mut links = JoinSet::new();
        while let Some(connection) = accepted.recv().await {
            while links.try_join_next().is_some() {}
            let Some(key) = self.inner.known_key(&connection) else { continue };
            let Some(place) = self.inner.place(&key) else {
                self.inner.tally.garbled.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            let inner = Arc::clone(&self.inner);
            links.spawn(async move {
                let greeted = inner.greet(connection, &key).await;
                drop(place);
                if let Some((shared, hello, reader, writer)) = greeted {
                    let link = acceptor::run_link(&shared, hello.replica, reader, writer);
                    Stage::MeshSocket.follow(link).await;
                }
            });
        }
        while links.join_next().await.is_some() {}
    }

    /// How often what happened so far.
    #[must_use]
    pub fn counters(&self) -> MeshDoorCounters {
        let tally = &self.inner.tally;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        MeshDoorCounters {
            accepted: read(&tally.accepted),
            strangers: read(&tally.strangers),
            garbled: read(&tally.garbled),
            versions: read(&tally.versions),
            groups: read(&tally.groups),
            pins: read(&tally.pins),
            bindings: read(&tally.bindings),
            banned: read(&tally.banned),
        }
    }
}

type Reader = FrameReader<tokio::io::ReadHalf<Socket>>;
type Writer = FrameWriter<tokio::io::WriteHalf<Socket>>;

impl Inner {
    fn meshes(&self) -> MutexGuard<'_, BTreeMap<GroupId, Arc<Shared>>> {
        self.meshes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of the visitor, if any group names it for dialling.
    fn known_key(&self, connection: &Accepted) -> Option<Spki> {
        let shown = connection.certificates.first().and_then(|certificate| Spki::of_certificate(certificate).ok());
        let is_known = |key: &Spki| {
            let knows =
                |mesh: &Arc<Shared>| mesh.peers.values().any(|peer| peer.directory.is_client_key(peer.replica, key));
            self.meshes().values().any(knows)
        };
        let known = shown.clone().filter(is_known);
        if known.is_none() {
            self.tally.strangers.fetch_add(1, Ordering::Relaxed);
            if let Some(held_back) = self.pace.due() {
                let shown = shown.map_or_else(|| "none".to_owned(), |key| key.to_string());
                tracing::warn!(peer = %connection.peer, key = shown, held_back, "refused a link of a stranger");
            }
        }
        known
    }

    /// A place for a visitor who has not said Hello yet.
    fn place(&self, key: &Spki) -> Option<OwnedSemaphorePermit> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|known, semaphore| known == key || semaphore.available_permits() < GREETINGS_PER_KEY_MAX);
        let semaphore = places.entry(key.clone()).or_insert_with(|| Arc::new(Semaphore::new(GREETINGS_PER_KEY_MAX)));
        Arc::clone(semaphore).try_acquire_owned().ok()
    }

    /// Hears the Hello and judges it. `None` if there will be no link.
    async fn greet(&self, connection: Accepted, key: &Spki) -> Option<(Arc<Shared>, Hello, Reader, Writer)> {
        let peer = connection.peer;
        let (near, far) = tokio::io::split(connection.socket);
        let (mut reader, mut writer) = (FrameReader::new(near, HELLO_FRAME_BYTES_MAX), FrameWriter::new(far));
        let heard = timeout(HELLO_TIME_MAX, hear(&mut reader)).await;
        let judged = heard.unwrap_or(Err(GreetingReject::Silent)).and_then(|hello| {
            let mesh = self.meshes().get(&hello.group).cloned().ok_or_else(|| self.not_served(&hello))?;
            acceptor::judge(&mesh, &hello, key)?;
            Ok((mesh, hello))
        });
        match judged {
            Ok((mesh, hello)) => {
                self.tally.accepted.fetch_add(1, Ordering::Relaxed);
                Some((mesh, hello, reader, writer))
            }
            Err(reject) => {
                self.on_reject(&reject, peer, key);
                refuse(&mut writer, &reject).await;
                None
            }
        }
    }

    /// Why there is no mesh of the group that a Hello names.
    fn not_served(&self, hello: &Hello) -> GreetingReject {
        let differs = |mesh: &Arc<Shared>| mesh.terms.difference(&hello.terms, "node");
        match self.meshes().values().find_map(differs) {
            Some(difference) => GreetingReject::Settings(hello.group, difference),
            None => GreetingReject::Group(hello.group),
        }
    }

    fn on_reject(&self, reject: &GreetingReject, peer: SocketAddr, key: &Spki) {
        let counter = match reject {
            GreetingReject::Silent | GreetingReject::Garbled(_) => &self.tally.garbled,
            GreetingReject::Version(_) => &self.tally.versions,
            GreetingReject::Group(_) | GreetingReject::Settings(..) => &self.tally.groups,
            GreetingReject::Replica(_) | GreetingReject::Pin(_) => &self.tally.pins,
            GreetingReject::Binding(_) => &self.tally.bindings,
            GreetingReject::Banned => &self.tally.banned,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if let Some(held_back) = self.pace.due() {
            tracing::warn!(%peer, %key, held_back, "refused a link: {reject}");
        }
    }
}

async fn hear(reader: &mut Reader) -> Result<Hello, GreetingReject> {
    let frame = reader.read_frame().await.map_err(|error| GreetingReject::Garbled(error.to_string()))?;
    let frame = frame.ok_or_else(|| GreetingReject::Garbled("closed before the Hello".to_owned()))?;
    match MeshFrame::decode(frame)? {
        MeshFrame::Hello(hello) => Ok(hello),
        _ => Err(GreetingReject::Garbled("the first frame is not a Hello".to_owned())),
    }
}

/// Tells the other side why, if it takes the trouble to listen.
async fn refuse<W: AsyncWrite + Unpin>(writer: &mut FrameWriter<W>, reject: &GreetingReject) {
    let refusal = Refusal { version: MESH_VERSION, reason: reject.to_string() };
    let saying = async {
        writer.write_frame(MeshFrame::Refused(refusal).encode()).await?;
        writer.shutdown().await
    };
    let said = timeout(REFUSAL_TIME_MAX, saying).await;
    if !matches!(said, Ok(Ok(()))) {
        tracing::debug!(?said, "could not say why a link was refused");
    }
}
