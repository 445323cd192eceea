//! What `wan faults` found, for people: as a page with drawings, and in lines.

use super::outcome::{FaultsOutcome, LeaderChange, SiteCourse};
use crate::loadgen::Tick;
use crate::page::{Axis, Chart, Mark, Page, Part, Section, Series, Table};

/// The page.
pub(super) fn page(outcome: &FaultsOutcome) -> Page {
    let mut page = Page::new("Loss of a site, real processes", &outcome.conditions);
    let mut section = Section::new("What clients saw");
    section.text = Some(summary(outcome));
    let p50 = |tick: &Tick| (tick.delivered > 0).then_some(tick.p50_ms);
    let per_s = |tick: &Tick| (tick.tick_s > 0.0).then(|| tick.delivered as f64 / tick.tick_s);
    // A drawing between tables has the whole width.
    section.parts.push(over_time(
        outcome,
        "Latency",
        Axis::log10("From due to delivered, median of half a second", "ms"),
        outcome.sites.iter().map(|site| series(site, p50)).collect(),
    ));
    section.parts.push(events(outcome).into());
    section.parts.push(over_time(
        outcome,
        "Throughput",
        Axis::linear("Delivered at each site", "envelopes/s"),
        outcome.sites.iter().map(|site| series(site, per_s)).collect(),
    ));
    section.parts.push(sites(outcome).into());
    page.sections.push(section);
    page
}

/// The same in lines.
pub(super) fn text(outcome: &FaultsOutcome) -> String {
    let mut text = format!("{}\n{}\n\n{}", outcome.conditions, summary(outcome), course(outcome));
    for table in [events(outcome), sites(outcome)] {
        text += &format!("\n{}\n", table.head.join(" | "));
        for row in &table.rows {
            text += &format!("{}\n", row.join(" | "));
        }
    }
    text
}

fn summary(outcome: &FaultsOutcome) -> String {
    let FaultsOutcome { blocks, envelopes, failures, sites, .. } = outcome;
    let acknowledged: u64 = sites.iter().map(|site| site.acknowledged).sum();
    let mut text = format!(
        "All nodes have the same chain: {blocks} blocks with {envelopes} envelopes, verified one by one. {acknowledged} \
         envelopes were acknowledged"
    );
    text += if failures.is_empty() {
        ", none of them was lost and none delivered twice."
    } else {
        ". What should not be: "
    };
    text + &failures.join("; ")
}

fn over_time(outcome: &FaultsOutcome, title: &str, y: Axis, series: Vec<Series>) -> Part {
    let mut chart = Chart::new(title, Axis::linear("Since the load began", "s"), y);
    chart.series = series;
    chart.marks = marks(outcome).into_iter().map(|(at_s, text)| Mark { x: round(at_s), text }).collect();
    chart.into()
}

/// What was done, and who led then, in the order of time.
fn marks(outcome: &FaultsOutcome) -> Vec<(f64, String)> {
    let faults = outcome.faults.iter().map(|fault| (fault.at_s, fault.what.clone()));
    let leads = |change: &LeaderChange| (change.at_s, format!("{} leads: {}", change.leader, change.reason));
    let mut marks: Vec<(f64, String)> = faults.chain(outcome.leaders.iter().map(leads)).collect();
    marks.sort_by(|one, other| one.0.total_cmp(&other.0));
    marks
}

/// The latency over time as lines of text: a bar for every few seconds, on a logarithmic scale, with what happened then.
fn course(outcome: &FaultsOutcome) -> String {
    let of_sites = outcome.sites.iter().flat_map(|site| {
        let delivered = site.timeline.iter().filter(|tick| tick.delivered > 0);
        delivered.map(|tick| (tick.at_s + site.began_s, tick.p50_ms))
    });
    let ticks: Vec<(f64, f64)> = of_sites.collect();
    let end = ticks.iter().map(|tick| tick.0).fold(0.0, f64::max);
    let marks = marks(outcome);
    let mut text = String::new();
    for number in 0..(end / COURSE_STEP_S).ceil() as usize {
        let from = number as f64 * COURSE_STEP_S;
        let is_now = |at: f64| (from..from + COURSE_STEP_S).contains(&at);
        let mut latencies: Vec<f64> = ticks.iter().filter(|tick| is_now(tick.0)).map(|tick| tick.1).collect();
        latencies.sort_by(f64::total_cmp);
        let bar = latencies.get(latencies.len() / 2).map_or(String::new(), |ms| {
            let length = ((ms / COURSE_FROM_MS).log10() * COURSE_PER_DECADE).clamp(1.0, 60.0);
            format!("{} {ms:.0} ms", "=".repeat(length as usize))
        });
        let events: Vec<String> =
            marks.iter().filter(|(at, _)| is_now(*at)).map(|(at, what)| format!("{at:.1} s: {what}")).collect();
        text += format!("{from:>5.0} s | {bar:<44} {}", events.join("; ")).trim_end();
        text.push('\n');
    }
    text
}

fn series(site: &SiteCourse, value: impl Fn(&Tick) -> Option<f64>) -> Series {
    let points = site.timeline.iter().filter_map(|tick| Some((tick.at_s + site.began_s, value(tick)?)));
    Series::line(&site.site, points.collect())
}

fn events(outcome: &FaultsOutcome) -> Table {
    let mut table = Table::new(&[
        "At (s)",
        "Event",
        "Longest without a block (s)",
        "Regency changes",
        "Leader then",
        "Back after (s)",
    ]);
    for fault in &outcome.faults {
        table.rows.push(vec![
            format!("{:.1}", fault.at_s),
            fault.what.clone(),
            format!("{:.2}", fault.outage_s),
            fault.regency_changes.to_string(),
            fault.leader.clone(),
            fault.rejoined_s.map_or(String::new(), |s| format!("{s:.1}")),
        ]);
    }
    table
}

fn sites(outcome: &FaultsOutcome) -> Table {
    let mut table = Table::new(&[
        "Clients at",
        "Sent",
        "Acknowledged",
        "Not successful",
        "Lost",
        "Twice",
        "p50 (ms)",
        "p99 (ms)",
        "Longest (ms)",
    ]);
    for site in &outcome.sites {
        let latency = &site.latency;
        table.rows.push(vec![
            site.site.clone(),
            site.sent.to_string(),
            site.acknowledged.to_string(),
            site.unsuccessful.to_string(),
            site.lost.to_string(),
            site.repeated.to_string(),
            format!("{:.0}", latency.p50_ms),
            format!("{:.0}", latency.p99_ms),
            format!("{:.0}", latency.max_ms),
        ]);
    }
    table
}

fn round(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}

const COURSE_STEP_S: f64 = 4.0;
const COURSE_FROM_MS: f64 = 100.0;
const COURSE_PER_DECADE: f64 = 18.0;

#[cfg(test)]
mod tests {
    use super::super::outcome::Fault;
    use super::*;
    use crate::loadgen::Percentiles;

    fn outcome(failures: &[&str]) -> FaultsOutcome {
        let tick = |at_s| Tick { at_s, tick_s: 0.5, delivered: 10, p50_ms: 400.0, ..Tick::default() };
        FaultsOutcome {
            conditions: "five nodes".to_owned(),
            faults: vec![Fault {
                at_s: 36.04,
                what: "the node at Oregon, which leads, is killed".to_owned(),
                outage_s: 2.5,
                regency_changes: 1,
                rejoined_s: None,
                leader: "Virginia".to_owned(),
            }],
            leaders: vec![LeaderChange {
                at_s: 38.0,
                regency: 1,
                leader: "Virginia".to_owned(),
                reason: "stalled".to_owned(),
            }],
            sites: vec![SiteCourse {
                site: "Ireland".to_owned(),
                began_s: 0.2,
                latency: Percentiles::default(),
                sent: 20,
                acknowledged: 20,
                unsuccessful: 0,
                lost: 0,
                repeated: 0,
                timeline: vec![tick(0.5), tick(1.0)],
            }],
            blocks: 7,
            envelopes: 20,
            failures: failures.iter().map(|&failure| failure.to_owned()).collect(),
        }
    }

    #[test]
    fn the_page_has_its_drawings_and_marks_every_event() {
        let html = page(&outcome(&[])).render();
        for text in [
            "Latency",
            "Throughput",
            "36 s: the node at Oregon, which leads, is killed",
            "38 s: Virginia leads: stalled",
            "2.50",
        ] {
            assert!(html.contains(text), "{text}");
        }
        assert!(html.contains("none of them was lost"));
    }

    #[test]
    fn what_should_not_be_is_said() {
        let said = text(&outcome(&["Oregon: 1 lost"]));
        assert!(said.contains("    0 s | ========== 400 ms\n"), "{said}");
        assert!(said.contains("What should not be: Oregon: 1 lost") && !said.contains("none of them"), "{said}");
    }
}
