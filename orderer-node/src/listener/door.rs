//! Doors: where accepted connections of one protocol wait to be taken, with the bound on how many may be open.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::Socket;

/// A connection that came through a door.
#[derive(Debug)]
pub struct Accepted {
    /// The bytes.
    pub socket: Socket,
    /// Who is at the other end, as far as IP knows.
    pub peer: SocketAddr,
    /// The chain the peer showed, its own certificate first; empty if it showed none. It holds the key of the first;
    /// nothing else has been checked.
    pub certificates: Vec<CertificateDer<'static>>,
}

/// Passes on connections of one protocol. Several listeners may share a door; clones are the same door.
#[derive(Clone, Debug)]
pub struct Door {
    sender: mpsc::Sender<Accepted>,
    places: Arc<Semaphore>,
}

/// The doors behind one listener. A protocol without a door is not served.
#[derive(Clone, Debug, Default)]
pub struct Doors {
    /// gRPC: `AtomicBroadcast` and health.
    pub grpc: Option<Door>,
    /// Links of other replicas.
    pub mesh: Option<Door>,
    /// Sessions of frontends.
    pub frontend: Option<Door>,
}

/// Makes a door that lets so many connections be open at once, and the end where they come out. So many may also wait to
/// be taken, so whoever takes them is never what limits the listener.
#[must_use]
pub fn door(connections_max: usize) -> (Door, mpsc::Receiver<Accepted>) {
    let (sender, receiver) = mpsc::channel(connections_max.max(1));
    (Door { sender, places: Arc::new(Semaphore::new(connections_max)) }, receiver)
}

impl Door {
    /// A place among the open connections, if one is free.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Passes a connection on. It holds a place and there are as many slots as places, so only a taker that has gone away
    /// makes this fail.
    pub(super) fn pass(&self, accepted: Accepted) -> bool {
        self.sender.try_send(accepted).is_ok()
    }
}

/// Most gRPC connections at once: applications and peers.
pub const GRPC_CONNECTIONS_MAX: usize = 8192;

/// Most mesh connections at once: a link per peer and group, and those that are being replaced.
pub const MESH_CONNECTIONS_MAX: usize = 1024;

/// Most frontend connections at once.
pub const FRONTEND_CONNECTIONS_MAX: usize = 1024;
