//! Who asks: what a handler can know of the connection that a request came on.

use std::net::SocketAddr;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

/// The other end of the connection; an extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// Its address.
    pub peer: SocketAddr,
    /// Does the connection run over TLS?
    pub is_tls: bool,
    /// Has it shown a certificate? One that was shown has been judged in the handshake.
    pub has_certificate: bool,
}

/// A layer for paths that want a client certificate where there is TLS: 401 without one. On a server without TLS everybody
/// may ask (contract 6).
pub async fn require_certificate(request: Request, next: Next) -> Response {
    let visitor = request.extensions().get::<Visitor>();
    if visitor.is_some_and(|visitor| visitor.is_tls && !visitor.has_certificate) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    next.run(request).await
}
