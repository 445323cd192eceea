//! The operations endpoint: health, readiness, log levels, version, metrics and a status page, over HTTP (contract 6).
//!
//! Everything is told from one [`Snapshot`], taken when somebody asks: nothing is counted for this endpoint alone, and whoever
//! does not ask pays nothing. `/healthz`, `/readyz` and `/version` are open to everybody, for probes have no certificates; the
//! rest wants a client certificate where there is TLS.

mod health;
mod metrics;
mod page;
mod report;
mod routes;
mod snapshot;
mod statsd;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

pub use self::health::{Component, FailedCheck, health, readiness};
pub use self::metrics::render;
pub use self::report::CertificateEnd;
pub use self::routes::router;
pub use self::snapshot::{
    ConsenterCertificate, DiskSpace, NodeObserver, Observed, ProcessFigures, Snapshot, Surroundings, WatchedCertificate,
};
pub use self::statsd::push;
use crate::http_server::{HttpHandle, HttpLimits, HttpServer, HttpServerError, HttpTls};
use crate::logging::LogCounts;

/// What is logged, and how to change it while the node runs. The syntax is Fabric's: `info:orderer.consensus=debug`.
pub trait LogSpec: Send + Sync + 'static {
    /// The specification in force.
    fn spec(&self) -> String;

    /// Puts another one in force.
    ///
    /// # Errors
    /// Why it cannot be; the one before stays.
    fn set(&self, spec: &str) -> Result<(), String>;

    /// How many entries there were; nothing where nobody counts them.
    fn counts(&self) -> LogCounts {
        LogCounts::default()
    }
}

impl LogSpec for crate::logging::LogControl {
    fn spec(&self) -> String {
        Self::spec(self)
    }

    fn set(&self, spec: &str) -> Result<(), String> {
        self.set_spec(spec).map_err(|error| error.to_string())
    }

    fn counts(&self) -> LogCounts {
        Self::counts(self)
    }
}

/// A specification that stays as it was when the program started.
#[derive(Clone, Debug)]
pub struct FixedLogSpec(pub String);

impl LogSpec for FixedLogSpec {
    fn spec(&self) -> String {
        self.0.clone()
    }

    fn set(&self, _: &str) -> Result<(), String> {
        Err("what this program logs is set in its configuration file".to_owned())
    }
}

/// What `/version` answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Of this program.
    pub version: String,
    /// Of its source, if the build knew.
    pub commit: Option<String>,
}

/// What the endpoint serves.
#[derive(Clone)]
pub struct Operations {
    /// Where snapshots come from.
    pub observed: Arc<dyn Observed>,
    /// Log levels.
    pub log_spec: Arc<dyn LogSpec>,
    /// Told at `/version`.
    pub version: Version,
    /// Is `/metrics` served? `Metrics.Provider: prometheus` in `orderer.yaml`.
    pub has_metrics: bool,
}

impl Operations {
    /// How the node is now, with the counts of its log.
    fn snapshot(&self) -> Snapshot {
        Snapshot { log: self.log_spec.counts(), ..self.observed.snapshot() }
    }
}

/// Serves the endpoint on `Operations.ListenAddress` until `stop` is cancelled.
///
/// # Errors
/// The socket, or its certificates.
pub async fn serve(
    address: &str,
    tls: Option<&HttpTls>,
    operations: Operations,
    stop: CancellationToken,
) -> Result<HttpHandle, HttpServerError> {
    let server = HttpServer::bind(address, tls).await?;
    Ok(server.start(router(operations), HttpLimits::default(), stop))
}
