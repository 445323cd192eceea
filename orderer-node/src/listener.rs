//! The sockets other machines connect to: one TLS listener for three protocols, told apart by ALPN.
//!
//! `h2`, or no ALPN at all, is gRPC; [`tls::ALPN_MESH`] and [`tls::ALPN_FRONTEND`] are the private protocols. What comes out is an
//! authenticated byte stream in the bounded queue of its [`Door`], with the peer's address and the certificates whose
//! key it has proved to hold. Whether those certificates are the right ones is the business of whoever takes it from
//! there; that there is one at all is checked here for the private protocols. Contract 1.2.
//!
//! Bounds: each door has its own number of open connections, so that clients cannot take the place of other nodes, and
//! handshakes are bounded in time and in number. When too many run at once, the oldest gives way once it has had a fair
//! chance: who connects and then says nothing disturbs nobody else.

mod door;
mod handshakes;
mod socket;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use frontend_shim::tls;
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

pub use self::door::{
    Accepted, Door, Doors, FRONTEND_CONNECTIONS_MAX, GRPC_CONNECTIONS_MAX, MESH_CONNECTIONS_MAX, door,
};
use self::handshakes::Handshakes;
pub use self::socket::Socket;

/// A bound socket that accepts nothing yet.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
}

/// What protects the connections of a listener.
#[derive(Clone, Debug)]
pub enum Security {
    /// Nothing: gRPC in the clear, and no other protocol.
    Plain,
    /// TLS with this configuration, which names the protocols it is willing to speak.
    Tls(Arc<rustls::ServerConfig>),
}

/// Bounds of one listener.
#[derive(Clone, Copy, Debug)]
pub struct ListenerLimits {
    /// How long a handshake may take; more than [`tls::HANDSHAKE_TIMEOUT`] is of no effect.
    pub handshake_time_max: Duration,
    /// Handshakes that may run at once.
    pub handshakes_max: usize,
    /// How long a handshake is safe from giving way to a newer one.
    pub handshake_fair_time: Duration,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            handshake_time_max: tls::HANDSHAKE_TIMEOUT,
            handshakes_max: 256,
            handshake_fair_time: Duration::from_secs(1),
        }
    }
}

/// Why a listener cannot start.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct ListenError {
    /// Where it should have listened.
    pub address: SocketAddr,
    /// Why that is impossible, for example because another process does.
    pub source: io::Error,
}

/// A listener at work. Dropping it closes the socket; accepted connections live on.
#[derive(Debug)]
pub struct ListenerHandle {
    address: SocketAddr,
    shared: Arc<Shared>,
    _accepting: AbortOnDropHandle<()>,
}

/// How often what happened at a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ListenerCounters {
    /// Connections passed on through a door.
    pub accepted: u64,
    /// Handshakes that failed.
    pub handshakes_failed: u64,
    /// Handshakes that took too long.
    pub handshakes_timed_out: u64,
    /// Handshakes that gave way to newer ones.
    pub handshakes_displaced: u64,
    /// Connections of a private protocol without a client certificate.
    pub without_certificate: u64,
    /// Connections of a protocol that this listener does not serve.
    pub not_served: u64,
    /// Connections beyond the bound of their door.
    pub overloaded: u64,
}

impl Listener {
    /// Takes the address.
    ///
    /// # Errors
    /// The address is in use or is not one of this machine.
    pub async fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let explain = |source| ListenError { address, source };
        let tcp = TcpListener::bind(address).await.map_err(explain)?;
        let address = tcp.local_addr().map_err(explain)?;
        Ok(Self { tcp, address })
    }

    /// Where it listens; the port is the real one if 0 was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to accept. Must be called inside a tokio runtime.
    #[must_use]
    pub fn start(self, security: Security, doors: Doors, limits: ListenerLimits) -> ListenerHandle {
        let tls = match security {
            Security::Plain => None,
            Security::Tls(config) => Some(config),
        };
        let shared = Arc::new(Shared { tls: ArcSwapOption::new(tls), doors, limits, tally: Tally::default() });
        let accepting = tokio::spawn(accept_all(self.tcp, Arc::clone(&shared)));
        ListenerHandle { address: self.address, shared, _accepting: AbortOnDropHandle::new(accepting) }
    }
}

impl ListenerHandle {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Uses this configuration for handshakes that begin from now on: authorities change with the channels. Does nothing
    /// for a listener without TLS.
    pub fn replace_tls(&self, config: Arc<rustls::ServerConfig>) {
        if self.shared.tls.load().is_some() {
            self.shared.tls.store(Some(config));
        }
    }

    /// How often what happened so far.
    #[must_use]
    pub fn counters(&self) -> ListenerCounters {
        self.shared.tally.counters()
    }
}

#[derive(Debug)]
struct Shared {
    tls: ArcSwapOption<rustls::ServerConfig>,
    doors: Doors,
    limits: ListenerLimits,
    tally: Tally,
}

#[derive(Debug, Default)]
struct Tally {
    accepted: AtomicU64,
    handshakes_failed: AtomicU64,
    handshakes_timed_out: AtomicU64,
    handshakes_displaced: AtomicU64,
    without_certificate: AtomicU64,
    not_served: AtomicU64,
    overloaded: AtomicU64,
}

impl Tally {
    fn counters(&self) -> ListenerCounters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ListenerCounters {
            accepted: read(&self.accepted),
            handshakes_failed: read(&self.handshakes_failed),
            handshakes_timed_out: read(&self.handshakes_timed_out),
            handshakes_displaced: read(&self.handshakes_displaced),
            without_certificate: read(&self.without_certificate),
            not_served: read(&self.not_served),
            overloaded: read(&self.overloaded),
        }
    }
}

async fn accept_all(tcp: TcpListener, shared: Arc<Shared>) {
    let mut handshakes = Handshakes::new(Arc::clone(&shared));
    loop {
        handshakes.wait_for_room().await;
        match tcp.accept().await {
            Ok((stream, peer)) => handshakes.enter(stream, peer),
            Err(error) => on_accept_error(&error).await,
        }
    }
}

/// A connection that died in the queue concerns nobody. Without file descriptors the only cure is time.
async fn on_accept_error(error: &io::Error) {
    if error.kind() == io::ErrorKind::ConnectionAborted {
        return;
    }
    tracing::warn!(%error, "cannot accept connections");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// The byte stream of one connection, without Nagle's delay: the protocols above do their own coalescing.
fn prepare(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot switch off Nagle's algorithm");
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
