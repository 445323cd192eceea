//! What this process tells about itself: counters, and a status report over HTTP on a Unix socket.
//!
//! Counters are taken where things happen and decide nothing. The report is JSON at `/status`; `/healthz` answers
//! 200, or 503 with the reason (contract §6). The socket is for the operator of the machine: it has no other
//! protection than the permissions of its path.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::State;
use axum::http::{Method, Request, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use fabric_proto::common::Status;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use hyperlocal::{UnixConnector, Uri};
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;

use crate::channels::Channels;
use crate::traffic::{BROADCAST_STATUSES, ChannelTraffic, TrafficSnapshot, UNKNOWN};

/// What the client side counts. Only grows, except for bytes that wait.
#[derive(Debug, Default)]
pub struct Counters {
    broadcast: [AtomicU64; BROADCAST_STATUSES.len()],
    deliver_streams_opened: AtomicU64,
    deliver_streams_closed: AtomicU64,
    blocks_sent: AtomicU64,
    connections_opened: AtomicU64,
    connections_closed: AtomicU64,
    deliver_bytes_in_flight: AtomicU64,
    unknown: ChannelTraffic,
}

impl Counters {
    /// An envelope was answered with this status.
    pub fn on_broadcast_answered(&self, status: Status) {
        if let Some(at) = BROADCAST_STATUSES.iter().position(|known| *known == status) {
            add_one(&self.broadcast[at]);
        }
    }

    /// A Deliver stream began.
    pub fn on_deliver_opened(&self) {
        add_one(&self.deliver_streams_opened);
    }

    /// A Deliver stream ended, whoever ended it.
    pub fn on_deliver_closed(&self) {
        add_one(&self.deliver_streams_closed);
    }

    /// A block, or its header with signatures, was given to a Deliver stream's connection.
    pub fn on_block_sent(&self) {
        add_one(&self.blocks_sent);
    }

    /// Bytes of blocks were given to a Deliver stream's connection.
    pub(crate) fn on_bytes_given(&self, bytes: usize) {
        self.deliver_bytes_in_flight.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// They were written, or their stream has ended.
    pub(crate) fn on_bytes_gone(&self, bytes: usize) {
        self.deliver_bytes_in_flight.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    /// A client connected.
    pub fn on_connection_opened(&self) {
        add_one(&self.connections_opened);
    }

    /// A client's connection ended.
    pub fn on_connection_closed(&self) {
        add_one(&self.connections_closed);
    }

    /// What is counted with no channel, because it names none of this process.
    pub(crate) const fn unknown_traffic(&self) -> &ChannelTraffic {
        &self.unknown
    }

    /// The counts of every channel in the order of their names, and behind them those of what names none.
    #[must_use]
    pub fn traffic(&self, channels: &Channels) -> Vec<TrafficSnapshot> {
        let channels = channels.list();
        let known = channels.iter().map(|channel| channel.traffic().snapshot(channel.id().as_str()));
        known.chain([self.unknown.snapshot(UNKNOWN)]).collect()
    }

    /// The counts now.
    #[must_use]
    pub fn report(&self) -> CountersReport {
        let counts = BROADCAST_STATUSES.iter().zip(&self.broadcast);
        CountersReport {
            broadcast: counts.map(|(status, count)| (status.as_str_name().to_owned(), load(count))).collect(),
            deliver_streams_opened: load(&self.deliver_streams_opened),
            deliver_streams_closed: load(&self.deliver_streams_closed),
            blocks_sent: load(&self.blocks_sent),
            connections_opened: load(&self.connections_opened),
            connections_closed: load(&self.connections_closed),
            deliver_bytes_in_flight: load(&self.deliver_bytes_in_flight),
        }
    }
}

/// [`Counters`] at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountersReport {
    /// Envelopes answered, by the name of the status.
    pub broadcast: BTreeMap<String, u64>,
    /// Deliver streams that began.
    pub deliver_streams_opened: u64,
    /// Deliver streams that ended.
    pub deliver_streams_closed: u64,
    /// Blocks given to Deliver streams.
    pub blocks_sent: u64,
    /// Client connections that began.
    pub connections_opened: u64,
    /// Client connections that ended.
    pub connections_closed: u64,
    /// Bytes of blocks that wait in Deliver streams for their clients to read.
    #[serde(default)]
    pub deliver_bytes_in_flight: u64,
}

/// One channel in a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelReport {
    /// Its name.
    pub id: String,
    /// `opening`, `open`, `errored` or `closed`.
    pub state: String,
    /// Blocks stored.
    pub height: u64,
    /// Blocks that clients see.
    pub certified_height: u64,
    /// Header hash of the newest stored block, hexadecimal.
    pub tip: Option<String>,
    /// Sequence of the configuration in force.
    pub config_sequence: u64,
    /// The first block that could not be read since the process started, and where it lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
}

/// What `/status` answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusReport {
    /// Version of this program.
    pub version: String,
    /// Why the process is not healthy; empty if it is.
    pub complaints: Vec<String>,
    /// Every channel, by name.
    pub channels: Vec<ChannelReport>,
    /// The client side.
    pub counters: CountersReport,
    /// What other parts of the process add, under their names.
    #[serde(default)]
    pub sections: BTreeMap<String, serde_json::Value>,
}

impl StatusReport {
    /// A report of the channels and counters, without sections.
    #[must_use]
    pub fn of(channels: &Channels, counters: &Counters) -> Self {
        let channels = channels.list().into_iter().map(|channel| {
            let heights = *channel.ledger().watch().borrow();
            ChannelReport {
                id: channel.id().to_string(),
                state: channel.state().as_str().to_owned(),
                height: heights.height,
                certified_height: heights.certified,
                tip: channel.ledger().tip().map(|tip| hex::encode(tip.header_hash)),
                config_sequence: channel.config().sequence(),
                damage: channel.ledger().damage().map(str::to_owned),
            }
        });
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            complaints: Vec::new(),
            channels: channels.collect(),
            counters: counters.report(),
            sections: BTreeMap::new(),
        }
    }
}

/// Makes a fresh report; called for every request.
pub type MakeReport = Arc<dyn Fn() -> StatusReport + Send + Sync>;

/// Answers status requests on `listener` until it fails. Ends when its task is dropped.
///
/// # Errors
/// What the listener says.
pub async fn serve(listener: UnixListener, report: MakeReport) -> io::Result<()> {
    serve_with(listener, report, Router::new()).await
}

/// The same, with what else the process answers there.
///
/// # Errors
/// What the listener says.
pub async fn serve_with(listener: UnixListener, report: MakeReport, others: Router) -> io::Result<()> {
    let router = Router::new().route("/status", get(on_status)).route("/healthz", get(on_healthz)).with_state(report);
    axum::serve(listener, router.merge(others)).await
}

/// Asks the process that listens on the Unix socket `path` for its report.
///
/// # Errors
/// [`FetchError`].
pub async fn fetch(path: &Path) -> Result<StatusReport, FetchError> {
    let (code, body) = ask(path, Method::GET, "/status").await?;
    if code != StatusCode::OK {
        return Err(FetchError::Answer(code.as_u16()));
    }
    Ok(serde_json::from_slice(&body)?)
}

/// Asks the process that listens on the Unix socket `path` to do something, by the route that stands for it. Gives what it
/// says about it, and whether it did it.
///
/// # Errors
/// [`FetchError`]; not that it refused.
pub async fn order(path: &Path, route: &str) -> Result<Result<String, String>, FetchError> {
    let (code, body) = ask(path, Method::POST, route).await?;
    let text = String::from_utf8_lossy(&body).into_owned();
    match code {
        StatusCode::OK => Ok(Ok(text)),
        StatusCode::CONFLICT => Ok(Err(text)),
        other => Err(FetchError::Answer(other.as_u16())),
    }
}

async fn ask(path: &Path, method: Method, route: &str) -> Result<(StatusCode, bytes::Bytes), FetchError> {
    let client: Client<UnixConnector, Empty<bytes::Bytes>> = Client::builder(TokioExecutor::new()).build(UnixConnector);
    let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| FetchError::Unreachable {
        path: path.display().to_string(),
        source,
    };
    let uri: axum::http::Uri = Uri::new(path, route).into();
    let request = Request::builder().method(method).uri(uri).body(Empty::new()).map_err(|e| unreachable(e.into()))?;
    let response = client.request(request).await.map_err(|e| unreachable(e.into()))?;
    let code = response.status();
    let body = Limited::new(response.into_body(), REPORT_BYTES_MAX).collect().await.map_err(FetchError::Body)?;
    Ok((code, body.to_bytes()))
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nobody answers there.
    #[error("nobody answers on {path}: {source}")]
    Unreachable {
        /// The socket.
        path: String,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An answer other than 200.
    #[error("the status request was answered with HTTP {0}")]
    Answer(u16),
    /// The answer broke off, or was too long.
    #[error("the status report could not be read: {0}")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer is no report.
    #[error("the status report does not parse: {0}")]
    Json(#[from] serde_json::Error),
}

async fn on_status(State(report): State<MakeReport>) -> Json<StatusReport> {
    Json(report())
}

async fn on_healthz(State(report): State<MakeReport>) -> impl IntoResponse {
    let complaints = report().complaints;
    let code = if complaints.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let status = if complaints.is_empty() { "OK" } else { "Service Unavailable" };
    (code, Json(serde_json::json!({ "status": status, "failed_checks": complaints })))
}

pub(crate) fn add_one(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Longest report a client of ours reads.
const REPORT_BYTES_MAX: usize = 16 * 1024 * 1024;
