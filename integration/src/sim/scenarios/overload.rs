//! An hour at twice the load that the group carries: requests wait long, the frontends refuse what finds no room, and no
//! replica asks for another leader.

use std::time::Duration;

use mod_smart::View;

use super::Report;
use super::place::{BATCH_REQUESTS, HOUR, MINUTE, live, saturated};
use crate::sim::plan::{GROUP, Plan, Rhythm};

pub fn flat(report: &mut Report) -> anyhow::Result<()> {
    overload(View::flat(GROUP, 4)?, report)
}

fn overload(view: View, report: &mut Report) -> anyhow::Result<()> {
    let measured = live(uneven(saturated(view.clone(), MEASURED)))?;
    report.demand_sound(&measured);
    let Some(course) = &measured.course else { anyhow::bail!("the course was not recorded") };
    let capacity = course.rate(MINUTE, MEASURED);
    report.figure("capacity", format!("{capacity:.1} requests/s in batches of {BATCH_REQUESTS}"));

    let plan = uneven(saturated(view, HOUR));
    let request_every = Duration::from_secs_f64(plan.frontends as f64 / (2.0 * capacity));
    let outcome = live(Plan { rhythm: Rhythm::Steady, request_every, ..plan })?;
    report.demand_sound(&outcome);
    let Some(course) = &outcome.course else { anyhow::bail!("the course was not recorded") };
    let counts = &outcome.counts;
    let per_second = |requests: u64| requests as f64 / HOUR.as_secs_f64();
    let (offered, delivered) = (per_second(counts.requests + counts.refused), course.rate(Duration::ZERO, HOUR));
    report.figure("offered", format!("{offered:.1} requests/s, {:.2} times the capacity", offered / capacity));
    report.figure("accepted", format!("{:.1} requests/s, {} in all", per_second(counts.requests), counts.requests));
    report.figure("refused at the frontends", counts.refused);
    report.figure("delivered", format!("{delivered:.1} requests/s in {} decisions", counts.decisions));
    report.demand_calm(course, &outcome);
    report.demand("twice the capacity was offered", offered > 1.98 * capacity);
    report.demand("delivery went on at nine tenths of the capacity at least", delivered > 0.9 * capacity);
    Ok(())
}

/// Some places are farther apart than others, and a message is lost now and then, so that what follows it waits, too.
fn uneven(mut plan: Plan) -> Plan {
    plan.distances = Duration::from_millis(30);
    plan.delays.min = Duration::from_millis(30);
    plan.delays.stragglers = 1;
    plan
}

const MEASURED: Duration = Duration::from_secs(300);
