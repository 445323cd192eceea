//! The channel participation API: how an operator lists, joins, updates and removes the channels of a node, with Fabric's
//! `osnadmin` or any HTTP client (contract 5).
//!
//! This module knows paths, forms, statuses and texts. What a channel is, it asks a [`Registrar`]. Requests are judged in
//! the order Fabric's orderer judges them: method and content type, `Accept`, names, body, and at last the channel itself.

mod answer;
mod channel_info;
mod errors;
mod form;
mod routes;
mod update_envelope;

use std::sync::Arc;

use bytes::Bytes;
use fabric_channel::ChannelConfig;
use fabric_proto::ChannelId;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

pub use self::channel_info::{BlockChoice, ChannelInfo, ChannelStatus, ConsensusRelation};
pub use self::errors::{FetchError, JoinError, RemoveError, UpdateError};
pub use self::routes::router;
use crate::http_server::{HttpHandle, HttpLimits, HttpServer, HttpServerError, HttpTls};

/// Longest body of a request if the configuration says nothing else: `ChannelParticipation.MaxRequestBodySize`.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// The channels of a node, as the API sees them.
pub trait Registrar: Send + Sync + 'static {
    /// The channels joined here, sorted by name.
    fn list(&self) -> Vec<ChannelId>;

    /// What a channel is to this node; `None` if it has not joined it.
    fn info(&self, id: &ChannelId) -> Option<ChannelInfo>;

    /// Joins a channel. What comes back is true already, and survives a crash.
    fn join(&self, block: JoinBlock) -> BoxFuture<'_, Result<ChannelInfo, JoinError>>;

    /// Leaves a channel and begins to delete its data.
    fn remove(&self, id: ChannelId) -> BoxFuture<'_, Result<(), RemoveError>>;

    /// Submits a CONFIG_UPDATE envelope as a client would with Broadcast, and says where the channel stands then.
    fn update(&self, id: ChannelId, envelope: Bytes) -> BoxFuture<'_, Result<ChannelInfo, UpdateError>>;

    /// An encoded block with its metadata.
    fn fetch(&self, id: ChannelId, which: BlockChoice) -> BoxFuture<'_, Result<Bytes, FetchError>>;
}

/// A block that a channel can be joined with: its form and its configuration have been judged, not its signatures.
#[derive(Clone, Debug)]
pub struct JoinBlock {
    /// Its number; 0 for a genesis block.
    pub number: u64,
    /// The block as it came.
    pub bytes: Bytes,
    /// The configuration in it, which names the channel.
    pub config: ChannelConfig,
}

/// Section `ChannelParticipation` of `orderer.yaml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParticipationSettings {
    /// v2.5 has a switch; when it is off, every call is answered with 503. v3 has none and is always on.
    pub is_enabled: bool,
    /// Longest body of a request.
    pub body_bytes_max: usize,
}

impl Default for ParticipationSettings {
    fn default() -> Self {
        Self { is_enabled: true, body_bytes_max: BODY_BYTES_MAX }
    }
}

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Whoever reaches it may remove channels, so with TLS it wants to know who that is.
    #[error("Admin.TLS.ClientAuthRequired must be true when Admin.TLS.Enabled is")]
    ClientAuthNotRequired,
    /// The socket or its certificates.
    #[error("Admin: {0}")]
    Server(#[from] HttpServerError),
}

/// Serves the API on `Admin.ListenAddress` until `stop` is cancelled.
///
/// # Errors
/// [`AdminError`].
pub async fn serve(
    address: &str,
    tls: Option<&HttpTls>,
    settings: ParticipationSettings,
    registrar: Arc<dyn Registrar>,
    stop: CancellationToken,
) -> Result<HttpHandle, AdminError> {
    if tls.is_some_and(|tls| !tls.client_auth_required) {
        return Err(AdminError::ClientAuthNotRequired);
    }
    let server = HttpServer::bind(address, tls).await?;
    let limits = HttpLimits { connections_max: ADMINISTRATORS_MAX, ..HttpLimits::default() };
    Ok(server.start(router(registrar, settings), limits, stop))
}

/// Connections at once. Each may hold a form in memory.
const ADMINISTRATORS_MAX: usize = 32;
