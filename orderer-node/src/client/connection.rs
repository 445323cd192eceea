//! Where an ordering service is reached, and a connection to it.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use frontend_shim::client::AtomicBroadcastClient;
use frontend_shim::tls::{self, ALPN_GRPC, ServerTrust};
use frontend_shim::tls_identity::{TlsIdentity, load_certificates};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tonic::codegen::Service;
use tonic::codegen::http::Uri;

use super::limits::CONNECT_TIMEOUT;

/// Where an ordering service is reached. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Endpoint {
    name: String,
    way: Way,
}

#[derive(Clone, Debug)]
enum Way {
    Tls { address: String, config: Arc<ClientConfig> },
    Tcp { address: String },
    Unix { path: PathBuf },
}

/// An HTTP/2 connection. Clones share it; each stream of it is opened separately.
#[derive(Clone, Debug)]
pub struct Connection {
    name: Arc<str>,
    channel: tonic::transport::Channel,
}

/// Why a client has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// TLS files that cannot be used.
    #[error("{0}")]
    Material(String),
    /// No connection.
    #[error("cannot connect to {endpoint}: {why}")]
    Connect {
        /// Where to.
        endpoint: String,
        /// What went wrong.
        why: String,
    },
    /// The stream failed, or ended before the answer.
    #[error("{endpoint}: the stream ended: {why}")]
    Closed {
        /// Whose stream.
        endpoint: String,
        /// What the other side said, or what happened.
        why: String,
    },
    /// A Deliver request was refused, or broke off, with this status.
    #[error("{endpoint}: Deliver ended with status {status}")]
    Status {
        /// Who said so.
        endpoint: String,
        /// Name of the status, as `NOT_FOUND`.
        status: String,
    },
    /// An answer that is none.
    #[error("{endpoint}: an answer does not parse")]
    Malformed {
        /// Whose.
        endpoint: String,
    },
}

impl Endpoint {
    /// TLS at `host:port`, trusting the authorities in the PEM file `ca`; with `identity`, presenting it if asked.
    ///
    /// # Errors
    /// [`ClientError::Material`] names the file.
    pub fn tls(address: &str, ca: &Path, identity: Option<&TlsIdentity>) -> Result<Self, ClientError> {
        let authorities = load_certificates(ca).map_err(|error| ClientError::Material(error.to_string()))?;
        Self::trusting(address, authorities, identity)
    }

    /// TLS at `host:port`, trusting these authorities; with `identity`, presenting it if asked.
    ///
    /// # Errors
    /// [`ClientError::Material`] says which is unusable.
    pub fn trusting(
        address: &str,
        authorities: Vec<CertificateDer<'static>>,
        identity: Option<&TlsIdentity>,
    ) -> Result<Self, ClientError> {
        let config = tls::client_config(identity, ALPN_GRPC, ServerTrust::Authorities(authorities));
        let config = config.map_err(|error| ClientError::Material(error.to_string()))?;
        Ok(Self { name: address.to_owned(), way: Way::Tls { address: address.to_owned(), config } })
    }

    /// In the clear at `host:port`.
    #[must_use]
    pub fn tcp(address: &str) -> Self {
        Self { name: address.to_owned(), way: Way::Tcp { address: address.to_owned() } }
    }

    /// A Unix socket.
    #[must_use]
    pub fn unix(path: &Path) -> Self {
        Self { name: path.display().to_string(), way: Way::Unix { path: path.to_owned() } }
    }

    /// The address or path.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Connects, within five seconds.
    ///
    /// # Errors
    /// [`ClientError::Connect`].
    pub async fn connect(&self) -> Result<Connection, ClientError> {
        let failed = |why: String| ClientError::Connect { endpoint: self.name.clone(), why };
        // The authority only names the server in requests; the connector knows where to go.
        let settings = tonic::transport::Endpoint::from_static("http://localhost")
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        let connecting = settings.connect_with_connector(Connector(self.way.clone()));
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
        let channel = connected
            .map_err(|_| failed(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs())))?
            .map_err(|error| failed(innermost(&error)))?;
        Ok(Connection { name: self.name.as_str().into(), channel })
    }
}

impl Connection {
    /// The address or path it leads to.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For calls of other services than the ordering service's. Clones share the connection.
    #[must_use]
    pub fn channel(&self) -> tonic::transport::Channel {
        self.channel.clone()
    }

    pub(super) fn client(&self) -> AtomicBroadcastClient {
        AtomicBroadcastClient::new(self.channel.clone())
    }

    pub(super) fn closed(&self, why: impl Into<String>) -> ClientError {
        ClientError::Closed { endpoint: self.name.to_string(), why: why.into() }
    }

    pub(super) fn malformed(&self) -> ClientError {
        ClientError::Malformed { endpoint: self.name.to_string() }
    }
}

/// The error that everything else is wrapped around says what happened.
fn innermost(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => innermost(source),
        None => error.to_string(),
    }
}

/// Makes the byte stream of a connection, whatever URI it is asked for.
#[derive(Clone)]
struct Connector(Way);

impl Way {
    async fn connect(self) -> io::Result<TokioIo<Box<dyn ByteStream>>> {
        let stream: Box<dyn ByteStream> = match self {
            Self::Tls { address, config } => Box::new(tls::dial(&address, config).await.map_err(io::Error::other)?),
            Self::Tcp { address } => {
                let stream = TcpStream::connect(&address).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Self::Unix { path } => Box::new(UnixStream::connect(path).await?),
        };
        Ok(TokioIo::new(stream))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn ByteStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.0.clone().connect())
    }
}

trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<IO: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for IO {}

/// So that a block of usual size arrives without waiting for credit.
const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
