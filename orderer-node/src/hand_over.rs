//! The operator of a node gives the lead to another one: asked on the Unix socket, ordered like any request, done by the
//! synchronization phase (PROTOCOL.md, Hand-over).
//!
//! `POST /hand-over/ID` names a consenter. It answers 200 when every group at work here of which that is a member was
//! asked, and 409 with the reason when one was not: only the node that leads can ask.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use frontend_shim::channels::Channels;
use mod_smart::{Regency, ReplicaId};
use tokio::sync::oneshot;

use crate::effects::Control;
use crate::registrar::{HostedGroup, Registrar};
use crate::status::OrderingReport;

/// Why nobody was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No group at work here has such a member.
    #[error("no ordering group at work on this node has a consenter {0}")]
    NoMember(u32),
    /// Only the leader gives the lead away.
    #[error("this node does not lead; consenter {leader} does, of regency {regency}")]
    NotLeading {
        /// Its consenter id.
        leader: u32,
        /// The regency that it leads.
        regency: u64,
    },
    /// It leads already.
    #[error("consenter {0} leads already")]
    LeadsAlready(u32),
    /// The node is stopping.
    #[error("the ordering group has ended on this node")]
    Ended,
}

/// What the status socket answers beside the status.
pub fn routes(registrar: Registrar, channels: Channels) -> Router {
    Router::new().route("/hand-over/{to}", post(on_hand_over)).with_state((registrar, channels))
}

async fn on_hand_over(
    State((registrar, channels)): State<(Registrar, Channels)>,
    Path(to): Path<u32>,
) -> (StatusCode, String) {
    match hand_over(&registrar, &channels, to).await {
        Ok(asked) => (StatusCode::OK, asked.join("\n")),
        Err(refusal) => (StatusCode::CONFLICT, refusal.to_string()),
    }
}

/// Asks each group at work that has this member; says so in a line for each.
async fn hand_over(registrar: &Registrar, channels: &Channels, to: u32) -> Result<Vec<String>, Refusal> {
    let mut asked = Vec::new();
    for hosted in registrar.hosting().list().iter().filter(|hosted| !hosted.is_resting()) {
        let report = OrderingReport::of(hosted, channels);
        let Some(replica) = member(&report, to)? else { continue };
        let regency = ask(hosted, replica, &report).await?;
        asked.push(format!("group {}: consenter {to} is asked to lead after regency {regency}", report.group));
    }
    if asked.is_empty() { Err(Refusal::NoMember(to)) } else { Ok(asked) }
}

/// The place of this consenter in a group that does not have it as its leader yet.
fn member(report: &OrderingReport, to: u32) -> Result<Option<ReplicaId>, Refusal> {
    let Some(member) = report.members.iter().find(|member| member.id == to) else { return Ok(None) };
    if member.replica == report.leader { Err(Refusal::LeadsAlready(to)) } else { Ok(Some(ReplicaId(member.replica))) }
}

async fn ask(hosted: &HostedGroup, to: ReplicaId, report: &OrderingReport) -> Result<Regency, Refusal> {
    let (done, answer) = oneshot::channel();
    hosted.group.control.send(Control::HandOver { to, done }).await.map_err(|_| Refusal::Ended)?;
    match answer.await {
        Ok(Ok(regency)) => Ok(regency),
        Ok(Err((leader, regency))) => {
            let leader = report.member(leader.0).map_or(0, |member| member.id);
            Err(Refusal::NotLeading { leader, regency: regency.0 })
        }
        Err(_) => Err(Refusal::Ended),
    }
}
