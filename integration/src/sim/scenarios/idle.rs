//! An hour in which, after a few requests, nobody asks for anything: no replica asks for another leader.

use mod_smart::{ReplicaId, View, Voters};

use super::Report;
use super::place::{HOUR, live, wide_area};
use crate::sim::plan::{GROUP, Plan};

pub fn flat(report: &mut Report) -> anyhow::Result<()> {
    idle(View::flat(GROUP, 4)?, report)
}

pub fn weighted(report: &mut Report) -> anyhow::Result<()> {
    let heavy: Voters = [0, 1].map(ReplicaId).into_iter().collect();
    idle(View::weighted(GROUP, 1, 2, heavy)?, report)
}

fn idle(view: View, report: &mut Report) -> anyhow::Result<()> {
    let outcome = live(Plan { requests_max: REQUESTS, ..wide_area(view, HOUR) })?;
    report.demand_sound(&outcome);
    let Some(course) = &outcome.course else { anyhow::bail!("the course was not recorded") };
    report.figure("virtual time", format!("{:.0} s", outcome.counts.time as f64 / 1e9));
    report.figure("requests acknowledged", outcome.counts.acknowledged);
    report.figure("decisions", outcome.counts.decisions);
    report.demand_calm(course, &outcome);
    report.demand("the first requests were ordered", outcome.counts.acknowledged == REQUESTS);
    Ok(())
}

/// A group that never ordered anything would prove less.
const REQUESTS: u64 = 8;
