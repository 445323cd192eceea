//! One client connection after another: HTTP/2 with the transport parameters of contract §1.2.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{Service, TransportLimits};
use crate::deliver::ClientConnection;
use crate::limits::{
    CANCELLED_STREAMS_WAITING_MAX, CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES, STREAMS_PER_CONNECTION_MAX,
};
use crate::stages::Stage;

impl Service {
    /// Serves plain TCP (h2c) until `shutdown`. A client that cannot be accepted is logged and changes nothing.
    pub async fn serve_tcp(&self, listener: TcpListener, shutdown: CancellationToken) {
        self.serve(listener, shutdown).await;
    }

    /// Serves a Unix socket until `shutdown`.
    pub async fn serve_unix(&self, listener: UnixListener, shutdown: CancellationToken) {
        self.serve(listener, shutdown).await;
    }

    async fn serve<L: Accept>(&self, listener: L, shutdown: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => return,
                accepted = listener.accept_client() => accepted,
            };
            match accepted {
                Ok((io, address)) => {
                    let client = ClientConnection::unbound(address);
                    let (service, shutdown) = (self.clone(), shutdown.clone());
                    tokio::spawn(async move { service.serve_connection(io, client, shutdown).await });
                }
                Err(error) => {
                    warn!(%error, "a client could not be accepted");
                    // Most likely there are no file descriptors left: the next try would fail as fast.
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves one connection to its end, or until `shutdown`. `io` is the byte stream behind any TLS handshake.
    /// Returns at once if too many connections are being served.
    pub async fn serve_connection<IO>(&self, io: IO, client: ClientConnection, shutdown: CancellationToken)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Ok(_place) = self.places.try_acquire() else {
            warn!(client = %client.address, "refused a connection: too many are open");
            return;
        };
        let mut io = BufReader::with_capacity(FIRST_READ_BYTES, io);
        match timeout(self.transport.preface_timeout, io.fill_buf()).await {
            Ok(Ok(first)) if !first.is_empty() => {}
            // Whoever connects and says nothing is a probe, or not worth a place.
            _ => return,
        }
        self.counters.on_connection_opened();
        let served = Stage::ClientSocket.follow(self.drive(io, client.clone(), shutdown));
        if let Err(error) = served.await {
            debug!(client = %client.address, %error, "a client's connection broke");
        }
        self.counters.on_connection_closed();
    }

    fn drive<IO>(
        &self,
        io: IO,
        client: ClientConnection,
        shutdown: CancellationToken,
    ) -> impl Future<Output = hyper::Result<()>> + use<IO>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (service, transport) = (self.clone(), http2_with(self.transport));
        let answer = service_fn(move |request| service.clone().answer(request, client.clone()));
        async move {
            let mut connection = pin!(transport.serve_connection(TokioIo::new(io), answer));
            tokio::select! {
                ended = connection.as_mut() => return ended,
                () = shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
            }
            // Streams that wait for the next block never end by themselves.
            timeout(SHUTDOWN_GRACE, connection).await.unwrap_or(Ok(()))
        }
    }
}

/// A listener, with what log lines call its clients.
trait Accept: Sync {
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn accept_client(&self) -> impl Future<Output = io::Result<(Self::Io, String)>> + Send;
}

impl Accept for TcpListener {
    type Io = TcpStream;

    async fn accept_client(&self) -> io::Result<(TcpStream, String)> {
        let (stream, address) = self.accept().await?;
        // Small answers must not wait for the client's acknowledgement of earlier ones.
        stream.set_nodelay(true)?;
        Ok((stream, address.to_string()))
    }
}

impl Accept for UnixListener {
    type Io = UnixStream;

    async fn accept_client(&self) -> io::Result<(UnixStream, String)> {
        Ok((self.accept().await?.0, "unix socket".to_owned()))
    }
}

fn http2_with(limits: TransportLimits) -> http2::Builder<StreamExecutor> {
    let mut builder = http2::Builder::new(StreamExecutor);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(CANCELLED_STREAMS_WAITING_MAX)
        .max_local_error_reset_streams(CANCELLED_STREAMS_WAITING_MAX)
        .keep_alive_interval(limits.keepalive_interval)
        .keep_alive_timeout(limits.keepalive_timeout);
    builder
}

/// Runs the streams of a connection as tasks of their own.
#[derive(Clone, Copy)]
struct StreamExecutor;

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        tokio::spawn(Stage::ClientSocket.follow(stream));
    }
}

/// Room for the first bytes, which are looked at before HTTP/2 begins; longer reads bypass it.
const FIRST_READ_BYTES: usize = 1024;
/// Largest frame a client may send: large envelopes need fewer of them.
const FRAME_BYTES: u32 = 64 * 1024;
/// Bytes of a stream that HTTP/2 takes before they can leave.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Pause after a client could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long streams may go on after a shutdown has begun.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);
