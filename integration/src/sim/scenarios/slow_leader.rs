//! What a slow leader costs: the group is kept busy, its first leaders do everything right and take their time.
//!
//! Places are equally far apart, so every fair leader is as quick as any other, and batches are always full, so a decision
//! that takes twice as long is half the throughput. A group with room in its batches would lose less.

use std::time::Duration;

use mod_smart::{Regency, ReplicaId, View};

use super::Report;
use super::place::{MINUTE, live, saturated};
use crate::sim::actors::{Make, slow_leader};
use crate::sim::counts::Course;
use crate::sim::plan::{GROUP, Plan};

pub fn under_the_timeout(report: &mut Report) -> anyhow::Result<()> {
    noticed(4, 1, slow_leader::under_the_timeout, report)
}

pub fn two_under_the_timeout(report: &mut Report) -> anyhow::Result<()> {
    noticed(7, 2, slow_leader::under_the_timeout, report)
}

pub fn under_the_pace(report: &mut Report) -> anyhow::Result<()> {
    unnoticed(slow_leader::under_the_pace, SHARE_KEPT, report)
}

pub fn under_raised_limits(report: &mut Report) -> anyhow::Result<()> {
    unnoticed(slow_leader::under_raised_limits, SHARE_KEPT_RAISED, report)
}

/// The first leaders are slow, are noticed, and from then on little is lost.
fn noticed(n: usize, liars: u16, make: Make, report: &mut Report) -> anyhow::Result<()> {
    let fair = fair(n, report)?;
    let Some(course) = slow(n, liars, make, LIVES, report)? else { return Ok(()) };
    let before = course.rate(SLOW_FROM, course.entered(Regency(1)).unwrap_or(LIVES));
    report.figure("with the slow leader of regency 0", Share(before, fair));
    report.tell_asked(&course);
    let Some(noticed) = course.entered(Regency(u64::from(liars))) else {
        report.demand("the slow leaders were replaced", false);
        return Ok(());
    };
    report.figure("the last slow leader was replaced after", format!("{:.1} s", noticed.as_secs_f64()));
    report.demand("it took a minute and a half at most", noticed + AFTER < LIVES);
    let after = course.rate(noticed, noticed + AFTER);
    report.figure("in the ten minutes from then on", Share(after, fair));
    report.demand("at most a quarter was lost once the slow leaders were noticed", after >= SHARE_KEPT * fair);
    Ok(())
}

/// The first leader stays under every limit, and costs the group no more than a share for as long as it leads.
fn unnoticed(make: Make, kept: f64, report: &mut Report) -> anyhow::Result<()> {
    let fair = fair(4, report)?;
    let Some(course) = slow(4, 1, make, LIVES_UNNOTICED, report)? else { return Ok(()) };
    report.tell_asked(&course);
    let replaced = course.entered(Regency(1));
    report.figure("replaced after", replaced.map_or("never".to_owned(), |at| format!("{:.1} s", at.as_secs_f64())));
    let during = course.rate(MINUTE, LIVES_UNNOTICED);
    report.figure("in the five minutes after the first", Share(during, fair));
    report.demand(&format!("at least {:.0} % are kept", 100.0 * kept), during >= kept * fair);
    Ok(())
}

fn fair(n: usize, report: &mut Report) -> anyhow::Result<f64> {
    let outcome = live(saturated(View::flat(GROUP, n)?, FAIR))?;
    report.demand_sound(&outcome);
    report.demand("fair leaders are kept", outcome.counts.regency_changes == 0);
    let Some(course) = outcome.course else { anyhow::bail!("the course was not recorded") };
    let fair = course.rate(START, FAIR);
    report.figure("with a fair leader", format!("{fair:.2} requests/s"));
    Ok(fair)
}

/// The course of a group whose first leaders are slow; none if it was not as it must be.
fn slow(n: usize, liars: u16, make: Make, lives: Duration, report: &mut Report) -> anyhow::Result<Option<Course>> {
    let liars = (0..liars).map(|id| (ReplicaId(id), make)).collect();
    let outcome = live(Plan { liars, ..saturated(View::flat(GROUP, n)?, lives) })?;
    report.demand_sound(&outcome);
    Ok(outcome.course)
}

/// A throughput, and what part of the fair one it is.
struct Share(f64, f64);

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(rate, fair) = self;
        write!(f, "{rate:.2} requests/s, {:.1} % of the fair throughput", 100.0 * rate / fair)
    }
}

/// Until then a group is founded and its queues fill.
const START: Duration = Duration::from_secs(10);

/// Until then a leader that knows the rules waits for the first reports.
const SLOW_FROM: Duration = Duration::from_secs(4);

const FAIR: Duration = Duration::from_secs(130);
const AFTER: Duration = Duration::from_secs(600);
const LIVES: Duration = AFTER.saturating_add(Duration::from_secs(90));
const LIVES_UNNOTICED: Duration = Duration::from_secs(360);

/// Of the fair throughput, whatever a leader does that cannot raise its limits.
const SHARE_KEPT: f64 = 0.75;

/// Of the fair throughput of a group whose votes take 33 ms, if they can be made to look as if they took 50 ms.
const SHARE_KEPT_RAISED: f64 = 0.45;
