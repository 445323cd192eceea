//! The HTTP services of a node: administration and operations.

use std::path::PathBuf;
use std::sync::Arc;

use frontend_shim::tls_identity::{TlsIdentity, load_certificates};
use rustls_pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;

use crate::administration::Administration;
use crate::config::{HttpListener, MetricsProvider, Resolved};
use crate::http_server::HttpTls;
use crate::operations::{self, LogSpec, NodeObserver, Operations, Surroundings, Version, WatchedCertificate};
use crate::participation::{self, ParticipationSettings};
use crate::status::NodeStatus;
use crate::version;

/// Serves the channel participation API, if it is configured.
pub(super) async fn administer(
    config: &Resolved,
    administration: Arc<Administration>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let Some(admin) = &config.admin else { return Ok(()) };
    let settings = ParticipationSettings {
        is_enabled: config.participation.enabled,
        body_bytes_max: config.participation.max_request_body_size,
    };
    let (address, tls) = (admin.address.to_string(), http_tls(admin)?);
    let handle = participation::serve(&address, tls.as_ref(), settings, administration, shutdown).await?;
    tracing::info!(address = %handle.address(), is_enabled = settings.is_enabled, "serving the channel participation API");
    Ok(())
}

/// Serves the operations endpoint, if it is configured.
pub(super) async fn operate(
    config: &Resolved,
    (status, administration, mut certificates): (Arc<NodeStatus>, Arc<Administration>, Vec<WatchedCertificate>),
    log_spec: Arc<dyn LogSpec>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let Some(listener) = &config.operations else { return Ok(()) };
    let tls = http_tls(listener)?;
    if let Some(tls) = &tls {
        certificates.push(WatchedCertificate::new("operations", tls.identity.certificate())?);
    }
    let surroundings = Surroundings {
        data_dir: config.data_dir.clone(),
        disk_free_min_bytes: Surroundings::DISK_FREE_MIN_BYTES,
        certificates,
    };
    let operations = Operations {
        observed: Arc::new(NodeObserver::new(status, Some(administration), surroundings)),
        log_spec,
        version: Version { version: version::VERSION.to_owned(), commit: Some(version::COMMIT.to_owned()) },
        has_metrics: config.metrics == MetricsProvider::Prometheus,
    };
    let handle = operations::serve(&listener.address.to_string(), tls.as_ref(), operations, shutdown).await?;
    tracing::info!(address = %handle.address(), "serving the operations endpoint");
    Ok(())
}

fn http_tls(listener: &HttpListener) -> anyhow::Result<Option<HttpTls>> {
    let Some(files) = &listener.tls else { return Ok(None) };
    Ok(Some(HttpTls {
        identity: TlsIdentity::load(&files.server.certificate, &files.server.key)?,
        client_auth_required: files.client_auth_required,
        client_root_cas: authorities(&files.client_root_cas)?,
    }))
}

pub(super) fn authorities(files: &[PathBuf]) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let mut authorities = Vec::new();
    for file in files {
        authorities.extend(load_certificates(file)?);
    }
    Ok(authorities)
}
