//! The status page, and the JSON it shows.

use std::time::SystemTime;

use frontend_shim::status::StatusReport;
use serde::Serialize;

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

#[derive(Serialize)]
struct Participation {
    name: String,
    #[serde(rename = "consensusRelation")]
    relation: crate::participation::ConsensusRelation,
    status: crate::participation::ChannelStatus,
    height: u64,
}

#[derive(Serialize)]
struct CertificateEnd {
    name: String,
    seconds_left: i64,
}

/// What the page shows of a snapshot.
pub(super) fn told(snapshot: Snapshot) -> Told {
    let participation = snapshot.channels.iter().map(|channel| Participation {
        name: channel.id.to_string(),
        relation: channel.relation,
        status: channel.status,
        height: channel.height,
    });
    let own = snapshot.certificates.iter().map(|certificate| (certificate.name.clone(), certificate.not_after_unix_s));
    let of_consenters = snapshot.consenter_certificates.iter().map(|certificate| {
        let name = format!("{} of consenter {} in {}", certificate.kind, certificate.consenter, certificate.channel);
        (name, certificate.not_after_unix_s)
    });
    let certificates =
        own.chain(of_consenters).map(|(name, end)| CertificateEnd { name, seconds_left: snapshot.seconds_until(end) });
    Told {
        time: rfc3339(snapshot.time),
        uptime_s: snapshot.time.duration_since(snapshot.started).unwrap_or_default().as_secs(),
        failed_checks: health(&snapshot),
        components: readiness(&snapshot),
        participation: participation.collect(),
        certificates: certificates.collect(),
        disk: snapshot.disk,
        report: snapshot.node.into_status_report(),
    }
}

/// A moment as RFC 3339 writes it, in UTC.
pub(super) fn rfc3339(time: SystemTime) -> String {
    prost_types::Timestamp::from(time).to_string()
}
