//! One connection: its handshake, its requests one after the other, its end.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use frontend_shim::tls;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{HttpLimits, Visitor};

/// Serves one connection to its end.
pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<rustls::ServerConfig>>,
    router: Router,
    limits: HttpLimits,
    stop: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot switch off Nagle's algorithm");
    }
    let Some(tls) = tls else {
        let visitor = Visitor { peer, is_tls: false, has_certificate: false };
        return answer(stream, visitor, router, limits, stop).await;
    };
    match stop.run_until_cancelled(tls::accept(stream, tls)).await {
        Some(Ok(stream)) => {
            let has_certificate = stream.get_ref().1.peer_certificates().is_some_and(|chain| !chain.is_empty());
            answer(stream, Visitor { peer, is_tls: true, has_certificate }, router, limits, stop).await;
        }
        Some(Err(error)) => tracing::debug!(%peer, %error, "no HTTP connection"),
        None => {}
    }
}

async fn answer<IO>(io: IO, visitor: Visitor, router: Router, limits: HttpLimits, stop: CancellationToken)
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let deadline = Arc::new(Deadline::after(limits.write_time_max));
    let begun = Arc::clone(&deadline);
    let inner = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        begun.set(limits.write_time_max);
        request.extensions_mut().insert(visitor);
        inner.call(request)
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.read_time_max)
            .max_buf_size(BUFFER_BYTES_MAX)
            .serve_connection(TokioIo::new(io), service)
    );
    let mut is_stopping = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(peer = %visitor.peer, %error, "an HTTP connection ended");
                }
                return;
            }
            () = stop.cancelled(), if !is_stopping => {
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
                deadline.set(limits.stop_time_max);
            }
            () = deadline.passed() => {
                tracing::debug!(peer = %visitor.peer, "an HTTP request took too long");
                return;
            }
        }
    }
}

/// When the request that came last must have been answered. Connections that wait for their next request end earlier.
struct Deadline(Mutex<Instant>);

impl Deadline {
    fn after(time: Duration) -> Self {
        Self(Mutex::new(Instant::now() + time))
    }

    fn set(&self, time: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + time;
    }

    /// Whoever puts it off meanwhile is heard when the old one comes. Only a stop brings it forward, and asks anew.
    async fn passed(&self) {
        loop {
            let at = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if at <= Instant::now() {
                return;
            }
            sleep_until(at).await;
        }
    }
}

/// Most bytes of a request's head, and of an answer that waits to be written.
const BUFFER_BYTES_MAX: usize = 64 << 10;
