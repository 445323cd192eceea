//! A small HTTP/1.1 server: the channel participation API and the operations endpoint are served by it (contract 5 and 6).
//!
//! It knows nothing of what is served: an [`axum::Router`] answers, and finds in each request who asks ([`Visitor`]). What
//! it sees to is that nobody can use up the node by connecting to it: connections are bounded in number, a request must
//! arrive within [`HttpLimits::read_time_max`], and its answer must be taken within [`HttpLimits::write_time_max`].

mod body;
mod connection;
mod tls;
mod visitor;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use frontend_shim::tls::TlsError;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::body::{BodyError, read_body};
pub use self::tls::HttpTls;
pub use self::visitor::{Visitor, require_certificate};

/// Bounds of one server.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// Connections that may be open at once; who comes then waits.
    pub connections_max: usize,
    /// How long the head of a request may take to arrive, or the next request on a connection that stands.
    pub read_time_max: Duration,
    /// How long a request may take from its head to the end of its answer.
    pub write_time_max: Duration,
    /// How long requests that are being answered have left when the server stops.
    pub stop_time_max: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections_max: 256,
            read_time_max: READ_TIME_MAX,
            write_time_max: Duration::from_secs(120),
            stop_time_max: Duration::from_secs(5),
        }
    }
}

/// How long a request may take to arrive (contract 5).
const READ_TIME_MAX: Duration = Duration::from_secs(10);

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum HttpServerError {
    /// The address is in use, or is none of this machine.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// As it was written.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// Its certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A bound socket that accepts nothing yet.
#[derive(Debug)]
pub struct HttpServer {
    tcp: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<rustls::ServerConfig>>,
}

/// A server at work. Dropping it does not end it; cancelling the token it was started with does.
#[derive(Debug)]
pub struct HttpHandle {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl HttpServer {
    /// Takes the address, `host:port`. The host may be a name; without one, as in `:9443`, it is every address of the machine.
    ///
    /// # Errors
    /// [`HttpServerError`].
    pub async fn bind(address: &str, tls: Option<&HttpTls>) -> Result<Self, HttpServerError> {
        let explain = |source| HttpServerError::Listen { address: address.to_owned(), source };
        let tcp = match address.strip_prefix(':') {
            // Not every machine has IPv6, and where it has, that socket serves IPv4 as well.
            Some(port) => match TcpListener::bind(format!("[::]:{port}")).await {
                Ok(tcp) => tcp,
                Err(_) => TcpListener::bind(format!("0.0.0.0:{port}")).await.map_err(explain)?,
            },
            None => TcpListener::bind(address).await.map_err(explain)?,
        };
        let address = tcp.local_addr().map_err(explain)?;
        Ok(Self { tcp, address, tls: tls.map(HttpTls::server_config).transpose()? })
    }

    /// Where it listens; the port is the real one if 0 was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is cancelled. Must be called inside a tokio runtime.
    #[must_use]
    pub fn start(self, router: Router, limits: HttpLimits, stop: CancellationToken) -> HttpHandle {
        HttpHandle { address: self.address, accepting: tokio::spawn(self.accept_all(router, limits, stop)) }
    }

    async fn accept_all(self, router: Router, limits: HttpLimits, stop: CancellationToken) {
        let slots = Arc::new(Semaphore::new(limits.connections_max));
        let connections = TaskTracker::new();
        while let Some((slot, stream, peer)) = stop.run_until_cancelled(accept(&self.tcp, &slots)).await.flatten() {
            let (router, tls, stop) = (router.clone(), self.tls.clone(), stop.clone());
            connections.spawn(async move {
                connection::serve(stream, peer, tls, router, limits, stop).await;
                drop(slot);
            });
        }
        connections.close();
        connections.wait().await;
    }
}

impl HttpHandle {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the end of the last connection, after the token was cancelled.
    pub async fn stopped(self) {
        if let Err(error) = self.accepting.await {
            tracing::error!(%error, "an HTTP server ended");
        }
    }
}

type Accepted = (tokio::sync::OwnedSemaphorePermit, tokio::net::TcpStream, SocketAddr);

/// The next connection for which there is room. `None` never comes: the semaphore is not closed.
async fn accept(tcp: &TcpListener, slots: &Arc<Semaphore>) -> Option<Accepted> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    loop {
        match tcp.accept().await {
            Ok((stream, peer)) => return Some((slot, stream, peer)),
            // It died in the queue, which concerns nobody.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept HTTP connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Without file descriptors the only cure is time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
