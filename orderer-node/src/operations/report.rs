//! The report of a node with what is around it, for the Unix socket and the `status` command.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use frontend_shim::status::{self, StatusReport};
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;

use super::{NodeObserver, Observed as _, Snapshot, readiness};
use crate::participation::{ChannelStatus, ConsensusRelation};

/// What a channel is to the node.
#[derive(Serialize)]
pub(super) struct Participation {
    name: String,
    #[serde(rename = "consensusRelation")]
    relation: ConsensusRelation,
    status: ChannelStatus,
    height: u64,
}

/// When a certificate ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateEnd {
    /// What it is for, and whose.
    pub name: String,
    /// Seconds from now; negative if it has ended.
    pub seconds_left: i64,
}

impl Snapshot {
    /// The node's report, with the sections `readiness`, `participation`, `certificates` and `disk` besides those of
    /// [`crate::status::NodeReport`].
    #[must_use]
    pub fn into_status_report(self) -> StatusReport {
        let added = [
            ("readiness", serde_json::to_value(readiness(&self))),
            ("participation", serde_json::to_value(participation(&self))),
            ("certificates", serde_json::to_value(certificate_ends(&self))),
            ("disk", serde_json::to_value(self.disk)),
        ];
        let mut report = self.node.into_status_report();
        // A report must not fail for one part of it.
        let added = added.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.ok()?)));
        report.sections.extend(added);
        report
    }
}

impl NodeObserver {
    /// Answers on the status socket for as long as the node lives, there also what these routes answer.
    pub async fn serve_status(self: Arc<Self>, socket: UnixListener, others: Router) {
        let report = move || self.snapshot().into_status_report();
        if let Err(error) = status::serve_with(socket, Arc::new(report), others).await {
            tracing::error!(%error, "the status socket failed");
        }
    }
}

pub(super) fn participation(snapshot: &Snapshot) -> Vec<Participation> {
    let channels = snapshot.channels.iter().map(|channel| Participation {
        name: channel.id.to_string(),
        relation: channel.relation,
        status: channel.status,
        height: channel.height,
    });
    channels.collect()
}

pub(super) fn certificate_ends(snapshot: &Snapshot) -> Vec<CertificateEnd> {
    let own = snapshot.certificates.iter().map(|certificate| (certificate.name.clone(), certificate.not_after_unix_s));
    let of_consenters = snapshot.consenter_certificates.iter().map(|certificate| {
        let name = format!("{} of consenter {} in {}", certificate.kind, certificate.consenter, certificate.channel);
        (name, certificate.not_after_unix_s)
    });
    let ends = own.chain(of_consenters);
    ends.map(|(name, end)| CertificateEnd { name, seconds_left: snapshot.seconds_until(end) }).collect()
}

/// A moment as RFC 3339 writes it, in UTC.
pub(super) fn rfc3339(time: SystemTime) -> String {
    prost_types::Timestamp::from(time).to_string()
}
