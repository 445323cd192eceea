//! The links between the replicas of an ordering group.
//!
//! Every node dials every other: the dialer sends and the acceptor receives, so there are two connections between two
//! nodes and nobody has to decide which of two is the right one. A link that a peer has dialled shows that the peer is up:
//! whoever waits before dialling it again does so at once. Both sides are known by the TLS keys that the channel
//! configurations name at that moment ([`Directory`]), and tell each other their vote key binding before anything else. A
//! frame names its group. Who is a frontend, and which vote keys are known, is told on every connection and when it
//! changes, straight from the [`NodeKeyring`].
//!
//! Links are not perfect and need not be: what is lost is sent again by the core when it hears
//! [`MeshEvent::Connected`], or on its slow timer. So nothing here waits for a peer. What cannot be sent is queued within
//! bounds and the oldest gives way; what is not consumed stops the reading from the one peer it came from. A replica's
//! messages to itself do not come through here.

mod acceptor;
mod counters;
mod dialer;
mod door;
pub mod frame;
mod gossip;
mod limits;
mod log_pace;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use frontend_shim::directory::Directory;
use frontend_shim::group_terms::GroupTerms;
use frontend_shim::keys::Credential;
use frontend_shim::outbox::Outbox;
use frontend_shim::stages::Stage;
use frontend_shim::tls_identity::TlsIdentity;
use mod_smart::{GroupId, ReplicaId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::counters::Meter;
pub use self::counters::PeerCounters;
pub use self::door::{MeshDoor, MeshDoorCounters};
pub use self::frame::MESH_VERSION;
pub use self::limits::MeshLimits;
use self::log_pace::LogPace;
use crate::keys::{AdmitError, BindError, NodeKeyring, VoteBinding};

/// What a mesh is made of.
#[derive(Debug)]
pub struct MeshSetup {
    /// The ordering group.
    pub group: GroupId,
    /// Its members and settings, as they are told to other nodes.
    pub terms: GroupTerms,
    /// This replica.
    pub me: ReplicaId,
    /// What this node shows to its peers.
    pub identity: TlsIdentity,
    /// Our own vote key binding; it enters the keyring too.
    pub binding: VoteBinding,
    /// The other replicas.
    pub peers: Vec<ReplicaId>,
    /// How they are reached and known.
    pub directory: Arc<Directory>,
    /// What is believed. The mesh adds the peers' bindings and the frontends they introduce.
    pub keyring: Arc<NodeKeyring>,
    /// Bounds and waits.
    pub limits: MeshLimits,
}

/// What the mesh tells.
#[derive(Debug)]
pub enum MeshEvent {
    /// The link to this replica stands (again): it may have missed anything.
    Connected(ReplicaId),
    /// The link to this replica is down.
    Disconnected(ReplicaId),
    /// A replica says something.
    Frame {
        /// Who: known by its pinned TLS key.
        from: ReplicaId,
        /// The bytes, for `Sealed::<Message>::open`.
        message: Bytes,
        /// To be kept until the message has been dealt with.
        credit: Credit,
    },
}

/// A share of what one peer may have in flight between its socket and the core. As long as too much of it is held,
/// nothing more is read from that peer.
#[derive(Debug)]
#[must_use = "dropping the credit allows the peer to send more"]
pub struct Credit {
    _share: OwnedSemaphorePermit,
}

/// Why a mesh cannot start.
#[derive(Debug, thiserror::Error)]
pub enum MeshError {
    /// Our own binding is not one that anybody would believe.
    #[error("this node's own vote key binding: {0}")]
    Binding(#[from] BindError),
    /// A peer that is named twice, or that is this replica.
    #[error("replica {0} is named twice")]
    Repeated(ReplicaId),
}

/// A running mesh of one group. Clones are the same mesh; it ends with the last of them.
#[derive(Clone, Debug)]
pub struct MeshHandle {
    shared: Arc<Shared>,
    _until_last: Arc<DropGuard>,
}

/// Starting a mesh.
#[derive(Debug)]
pub struct Mesh;

impl Mesh {
    /// Starts dialling the peers. Links that peers dial are taken once [`MeshDoor::open`] has been given the handle.
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// See [`MeshError`].
    pub fn start(setup: MeshSetup) -> Result<(MeshHandle, mpsc::Receiver<MeshEvent>), MeshError> {
        setup.keyring.bind(&setup.binding)?;
        let (events, receiver) = mpsc::channel(setup.limits.events_max(setup.peers.len()));
        let mut peers = BTreeMap::new();
        for replica in setup.peers {
            let state = Arc::new(PeerState::new(replica, &setup.directory, &setup.limits));
            if replica == setup.me || peers.insert(replica, state).is_some() {
                return Err(MeshError::Repeated(replica));
            }
        }
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            group: setup.group,
            terms: setup.terms,
            me: setup.me,
            identity: setup.identity,
            binding: setup.binding,
            keyring: setup.keyring,
            limits: setup.limits,
            peers,
            events,
            stop: stop.clone(),
        });
        for peer in shared.peers.values() {
            tokio::spawn(Stage::MeshSocket.follow(dialer::keep_dialling(Arc::clone(&shared), Arc::clone(peer))));
        }
        Ok((MeshHandle { shared, _until_last: Arc::new(stop.drop_guard()) }, receiver))
    }
}

impl MeshHandle {
    /// The ordering group.
    #[must_use]
    pub fn group(&self) -> GroupId {
        self.shared.group
    }

    /// Sends a message of the core to one peer. Never waits and never fails; see the module. To ourselves: does nothing.
    ///
    /// # Panics
    /// The message is longer than a frame can be, which the bounds of the core exclude; so does the next.
    pub fn send(&self, to: ReplicaId, message: &[u8]) {
        if let Some(peer) = self.shared.peers.get(&to) {
            peer.push(frame::consensus(self.shared.group, message));
        }
    }

    /// Sends a message of the core to every peer. It is encoded once.
    pub fn send_others(&self, message: &[u8]) {
        let frame = frame::consensus(self.shared.group, message);
        for peer in self.shared.peers.values() {
            peer.push(frame.clone());
        }
    }

    /// Admits a frontend that has come to this node, see [`NodeKeyring::admit`]. All peers hear of it, now and on every
    /// new connection.
    ///
    /// # Errors
    /// It is not admitted.
    pub fn introduce(&self, credential: &Credential) -> Result<bool, AdmitError> {
        self.shared.keyring.admit(credential)
    }

    /// Says that what this peer sent is not a message of the protocol. The link is closed, counted and logged, and the
    /// peer must wait before it may make another.
    pub fn reject(&self, from: ReplicaId, why: &str) {
        if let Some(peer) = self.shared.peers.get(&from) {
            peer.reject_garbage("message", why, self.shared.limits.penalty);
        }
    }

    /// Changes with every link with this peer that comes to stand, whoever has dialled it: a sign that the peer is up, for
    /// whoever waits to dial it for another purpose. `None` if the group has no such peer.
    #[must_use]
    pub fn signs_of_life(&self, peer: ReplicaId) -> Option<watch::Receiver<u64>> {
        Some(self.shared.peers.get(&peer)?.up.subscribe())
    }

    /// What happened on the links, by peer.
    #[must_use]
    pub fn counters(&self) -> Vec<PeerCounters> {
        self.shared
            .peers
            .values()
            .map(|peer| peer.meter.counters(peer.replica, peer.addresses(), peer.outbox.bytes()))
            .collect()
    }

    /// Ends the mesh, whatever other handles there are.
    pub fn close(&self) {
        self.shared.stop.cancel();
    }
}

/// What all links of a mesh share.
#[derive(Debug)]
struct Shared {
    group: GroupId,
    terms: GroupTerms,
    me: ReplicaId,
    identity: TlsIdentity,
    binding: VoteBinding,
    keyring: Arc<NodeKeyring>,
    limits: MeshLimits,
    peers: BTreeMap<ReplicaId, Arc<PeerState>>,
    events: mpsc::Sender<MeshEvent>,
    stop: CancellationToken,
}

/// What the two links with one peer share.
#[derive(Debug)]
struct PeerState {
    replica: ReplicaId,
    directory: Arc<Directory>,
    outbox: Outbox,
    meter: Meter,
    /// For what goes wrong when it is dialled.
    dial_pace: LogPace,
    /// For what it sends.
    reject_pace: LogPace,
    /// What of its messages may be in flight, in bytes.
    inflight: Arc<Semaphore>,
    inbound: Mutex<Inbound>,
    /// Counts the links with it that came to stand.
    up: watch::Sender<u64>,
}

/// The link that the peer has dialled.
#[derive(Debug, Default)]
struct Inbound {
    current: Option<CancellationToken>,
    banned_until: Option<Instant>,
}

impl PeerState {
    fn new(replica: ReplicaId, directory: &Arc<Directory>, limits: &MeshLimits) -> Self {
        Self {
            replica,
            directory: Arc::clone(directory),
            outbox: Outbox::new(limits.queue_bytes_max, limits.queue_frames_max),
            meter: Meter::default(),
            dial_pace: LogPace::default(),
            reject_pace: LogPace::default(),
            inflight: Arc::new(Semaphore::new(limits.inflight_bytes_max as usize)),
            inbound: Mutex::default(),
            up: watch::Sender::new(0),
        }
    }

    /// Where it is reached now, for people.
    fn addresses(&self) -> String {
        self.directory.addresses(self.replica)
    }

    /// A link with it has come to stand.
    fn show_up(&self) {
        self.up.send_modify(|links| *links += 1);
    }

    fn push(&self, frame: Bytes) {
        let dropped = self.outbox.push_over_oldest(frame);
        if dropped > 0 {
            self.meter.on_dropped(dropped as u64);
        }
    }

    /// Makes `link` the one inbound link; an older one was left over by a connection that broke without our notice.
    fn replace_inbound(&self, link: CancellationToken) {
        let mut inbound = self.inbound.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(older) = inbound.current.replace(link) {
            older.cancel();
        }
    }

    fn is_banned(&self) -> bool {
        let inbound = self.inbound.lock().unwrap_or_else(PoisonError::into_inner);
        inbound.banned_until.is_some_and(|until| Instant::now() < until)
    }

    /// The peer sent what no correct replica sends.
    fn reject_garbage(&self, reason: &'static str, why: &str, penalty: Duration) {
        self.meter.on_reject(reason);
        let mut inbound = self.inbound.lock().unwrap_or_else(PoisonError::into_inner);
        inbound.banned_until = Some(Instant::now() + penalty);
        if let Some(link) = inbound.current.take() {
            link.cancel();
        }
        drop(inbound);
        if let Some(held_back) = self.reject_pace.due() {
            let (replica, address) = (self.replica, self.addresses());
            tracing::warn!(%replica, %address, held_back, "closed a link that carried garbage: {why}");
        }
    }
}
