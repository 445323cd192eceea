//! Fabric clients that come over TLS: one listener of a frontend of its own.
//!
//! With mutual TLS a Deliver request must name the certificate it came with (contract §1.4), so the certificate's hash
//! goes along with the connection. A client that does not finish its handshake holds one of a bounded number of places
//! for a few seconds.

use std::sync::Arc;
use std::time::Duration;

use rustls::{CommonState, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::deliver::ClientConnection;
use crate::service::Service;
use crate::tls::accept;

/// Must the requests of a connection name the client's certificate?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateBinding {
    /// The listener requires client certificates: yes.
    Required,
    /// It does not: no.
    NotRequired,
}

/// Serves Fabric clients over TLS until `shutdown`. A client that cannot be accepted changes nothing for the others.
pub async fn serve_tls(
    service: &Service,
    listener: TcpListener,
    config: Arc<ServerConfig>,
    binding: CertificateBinding,
    shutdown: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("a client could not be accepted: {error}");
                // Most likely there are no file descriptors left: the next try would fail as fast.
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::warn!("refused {address}: too many handshakes are under way");
            continue;
        };
        let (service, config, shutdown) = (service.clone(), config.clone(), shutdown.clone());
        tokio::spawn(async move {
            let handshake = shake_hands(stream, config).await;
            drop(place);
            match handshake {
                Ok(stream) => {
                    let client = client_connection(address.to_string(), stream.get_ref().1, binding);
                    service.serve_connection(stream, client, shutdown).await;
                }
                Err(error) => tracing::debug!("no TLS with {address}: {error}"),
            }
        });
    }
}

/// What is known of the client of a TLS connection.
#[must_use]
pub fn client_connection(address: String, connection: &CommonState, binding: CertificateBinding) -> ClientConnection {
    let certificate = connection.peer_certificates().and_then(<[_]>::first);
    match (binding, certificate) {
        (CertificateBinding::Required, Some(certificate)) => ClientConnection::over_tls(address, certificate),
        _ => ClientConnection::unbound(address),
    }
}

async fn shake_hands(
    stream: TcpStream,
    config: Arc<ServerConfig>,
) -> Result<tokio_rustls::server::TlsStream<TcpStream>, crate::tls::TlsError> {
    // Small answers must not wait for the client's acknowledgement of earlier ones.
    stream.set_nodelay(true)?;
    accept(stream, config).await
}

/// Handshakes under way at a time; more are refused.
const HANDSHAKES_MAX: usize = 1_000;
/// Pause after a client could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
