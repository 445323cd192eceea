//! The HTTP services of a node: administration and operations.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use frontend_shim::limits::MESSAGE_BYTES_MAX;
use frontend_shim::service::{Service, Throttling, TransportLimits};
use frontend_shim::tls_identity::load_certificates;
use rustls_pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;

use crate::administration::Administration;
use crate::config::{CertificateFiles, GrpcLimits, HttpListener, MetricsProvider, Resolved};
use crate::http_server::HttpTls;
use crate::operations::{self, LogSpec, NodeObserver, Operations, Surroundings, Version, WatchedCertificate};
use crate::participation::{self, ParticipationSettings};
use crate::status::NodeStatus;
use crate::version;

/// Names what is asked for and cannot be had.
pub(super) fn say_what_is_not_applied(config: &Resolved) {
    let sizes = [
        ("General.MaxRecvMsgSize", config.grpc.max_recv_message_size),
        ("General.MaxSendMsgSize", config.grpc.max_send_message_size),
    ];
    for (setting, _) in sizes.iter().filter(|(_, bytes)| *bytes > MESSAGE_BYTES_MAX) {
        tracing::warn!(setting, "no message has more than {MESSAGE_BYTES_MAX} bytes, whatever is allowed");
    }
}

/// Bounds what clients may send and receive, and how fast, as the configuration says.
pub(super) fn bounded(service: Service, config: &Resolved) -> Service {
    let GrpcLimits { max_recv_message_size, max_send_message_size, connection_timeout, keepalive } = config.grpc;
    let service = service.with_transport(TransportLimits {
        receive_bytes_max: max_recv_message_size,
        send_bytes_max: max_send_message_size,
        preface_timeout: connection_timeout,
        keepalive_interval: keepalive.server_interval,
        keepalive_timeout: keepalive.server_timeout,
    });
    match NonZeroU32::new(config.throttling.rate) {
        Some(rate) => service.throttling(Throttling { rate, inactivity_timeout: config.throttling.inactivity_timeout }),
        None => service,
    }
}

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

/// What tells how this node is.
pub(super) fn observer(
    config: &Resolved,
    status: NodeStatus,
    administration: Arc<Administration>,
    mut certificates: Vec<WatchedCertificate>,
) -> anyhow::Result<Arc<NodeObserver>> {
    for (name, listener) in [("operations", &config.operations), ("admin", &config.admin)] {
        let Some(tls) = listener.as_ref().and_then(|listener| listener.tls.as_ref()) else { continue };
        if let Some(certificate) = load_certificates(&tls.server.certificate)?.first() {
            certificates.push(WatchedCertificate::new(name, certificate)?);
        }
    }
    warn_of_ends(&certificates, config.certificate_expiry_warning);
    let surroundings = Surroundings {
        data_dir: config.data_dir.clone(),
        journal_dir: config.journal_dir.clone(),
        disk_free_min_bytes: Surroundings::DISK_FREE_MIN_BYTES,
        certificates,
    };
    Ok(Arc::new(NodeObserver::new(Arc::new(status), Some(administration), surroundings)))
}

/// Certificates that end soon, or have ended, are named at each start; the metrics tell it all the time.
fn warn_of_ends(certificates: &[WatchedCertificate], threshold: Duration) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    for WatchedCertificate { name, not_after_unix_s } in certificates {
        let left = i128::from(*not_after_unix_s) - i128::from(now.as_secs());
        if left <= 0 {
            tracing::error!(certificate = name, "a certificate of this node has ended {} hours ago", -left / 3600);
        } else if left <= i128::from(threshold.as_secs()) {
            tracing::warn!(certificate = name, "a certificate of this node ends in {} hours", left / 3600);
        }
    }
}

/// Serves the operations endpoint, and sends metrics, if that is configured.
pub(super) async fn operate(
    config: &Resolved,
    observed: Arc<NodeObserver>,
    log_spec: Arc<dyn LogSpec>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let operations = Operations {
        observed,
        log_spec,
        version: Version { version: version::VERSION.to_owned(), commit: Some(version::COMMIT.to_owned()) },
        has_metrics: config.metrics == MetricsProvider::Prometheus,
    };
    if let MetricsProvider::Statsd(statsd) = &config.metrics {
        tracing::info!(address = %statsd.address, prefix = statsd.prefix, "sending metrics to StatsD");
        tokio::spawn(operations::push(statsd.clone(), operations.clone(), shutdown.clone()));
    }
    let Some(listener) = &config.operations else { return Ok(()) };
    let tls = http_tls(listener)?;
    let handle = operations::serve(&listener.address.to_string(), tls.as_ref(), operations, shutdown).await?;
    tracing::info!(address = %handle.address(), "serving the operations endpoint");
    Ok(())
}

fn http_tls(listener: &HttpListener) -> anyhow::Result<Option<HttpTls>> {
    let Some(files) = &listener.tls else { return Ok(None) };
    let CertificateFiles { certificate, key } = &files.server;
    let tls = HttpTls::load(certificate, key, files.client_auth_required, &files.client_root_cas)?;
    Ok(Some(tls.looking_back(files.time_shift)))
}

pub(super) fn authorities(files: &[PathBuf]) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let mut authorities = Vec::new();
    for file in files {
        authorities.extend(load_certificates(file)?);
    }
    Ok(authorities)
}
