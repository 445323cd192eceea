//! The status page, and the JSON it shows.

use frontend_shim::status::StatusReport;
use serde::Serialize;

use super::report::{CertificateEnd, Participation, certificate_ends, participation, rfc3339};
use super::{Component, DiskSpace, FailedCheck, Snapshot, health, readiness};

/// The page: it asks for `status.json` every other second.
pub(super) const PAGE: &str = include_str!("page.html");

/// What the page shows.
#[derive(Serialize)]
pub(super) struct Told {
    time: String,
    uptime_s: u64,
    failed_checks: Vec<FailedCheck>,
    components: Vec<Component>,
    participation: Vec<Participation>,
    certificates: Vec<CertificateEnd>,
    disk: Option<DiskSpace>,
    #[serde(flatten)]
    report: StatusReport,
}

/// What the page shows of a snapshot.
pub(super) fn told(snapshot: Snapshot) -> Told {
    Told {
        time: rfc3339(snapshot.time),
        uptime_s: snapshot.time.duration_since(snapshot.started).unwrap_or_default().as_secs(),
        failed_checks: health(&snapshot),
        components: readiness(&snapshot),
        participation: participation(&snapshot),
        certificates: certificate_ends(&snapshot),
        disk: snapshot.disk,
        report: snapshot.node.into_status_report(),
    }
}
