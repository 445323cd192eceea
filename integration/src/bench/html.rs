//! What was measured, as a page to look at.

use crate::page::{Axis, Chart, Line as Bound, Page, Part, Section, Series, Table};

use super::console::{is_measured_alike, number, verdict};
use super::lan::{LanReport, SigningPoint, ThroughputPoint};
use super::scale::{Curve, ScaleReport, describe};
use super::table::{Row, TargetsTable};

/// The table of targets, and what it was measured under.
pub(super) fn targets(table: &TargetsTable) -> String {
    let subtitle = format!("version {}, on {}", table.version, table.machine);
    let mut page = Page::new("Targets of the ordering service", &subtitle);
    let mut section = Section::new("Targets");
    section.text =
        Some("Medians of several runs. A figure counts under the conditions named below the table.".to_owned());
    section.parts.push(Part::Table(targets_table(table)));
    page.sections.push(section);
    let mut conditions = Section::new("Conditions");
    let failed = |row: &Row| (!row.failures.is_empty()).then(|| (row.name.clone(), row.failures.join("; ")));
    let mut shown = Vec::new();
    for alike in table.rows.chunk_by(is_measured_alike) {
        let names: Vec<&str> = alike.iter().map(|row| row.name.as_str()).collect();
        shown.push((names.join(", "), format!("{}. In the runs: {}.", alike[0].conditions, alike[0].circumstances)));
    }
    conditions.parts.push(Part::Facts(shown));
    page.sections.push(conditions);
    let mut failures: Vec<_> = table.rows.iter().filter_map(failed).collect();
    failures.extend(table.skipped.iter().map(|skipped| ("skipped".to_owned(), skipped.clone())));
    if !failures.is_empty() {
        let mut section = Section::new("Not measured");
        section.parts.push(Part::Facts(failures));
        page.sections.push(section);
    }
    page.render()
}

fn targets_table(table: &TargetsTable) -> Table {
    let mut shown = Table::new(&["row", "what", "unit", "median", "least", "most", "target", "verdict"]);
    for (index, row) in table.rows.iter().enumerate() {
        let of = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), number);
        let goal = row.goal.map_or_else(String::new, |goal| goal.to_string());
        let Row { name, what, unit, spread, .. } = row;
        let figures = [spread.map(|it| it.median), spread.map(|it| it.min), spread.map(|it| it.max)].map(of);
        let mut texts = vec![name.clone(), what.clone(), unit.to_string()];
        texts.extend(figures);
        texts.extend([goal, verdict(row).to_owned()]);
        shown.rows.push(texts);
        if !row.failures.is_empty() || row.is_met() == Some(false) {
            shown.rows_flagged.push(index);
        }
    }
    shown
}

/// Figures 6.12 and 6.13.
pub(super) fn lan(report: &LanReport) -> String {
    let subtitle = format!("on {}; {}; {} s a point", report.machine, report.conditions, report.seconds);
    let mut page = Page::new("LAN experiments", &subtitle);
    let mut section = Section::new("Signatures of blocks (figure 6.12)");
    let mut chart = Chart::new(
        "Signatures against threads",
        Axis::linear("Threads", "threads"),
        Axis::linear("Signatures", "signatures/s"),
    );
    for size in distinct(report.signing.iter().map(|point| point.block_envelopes)) {
        let of_size = report.signing.iter().filter(|point| point.block_envelopes == size);
        let pair = |point: &SigningPoint| (point.threads as f64, point.signatures_per_s);
        chart.series.push(Series::line(&format!("blocks of {size}"), of_size.map(pair).collect()));
    }
    section.parts.push(chart.into());
    page.sections.push(section);
    for nodes in distinct(report.throughput.iter().map(|point| point.nodes)) {
        let mut section = Section::new(&format!("Throughput of {nodes} nodes (figure 6.13)"));
        section.text = Some("Dashed: no more than equation 6.1 allows, the lesser of signatures times envelopes in a block and of what can be ordered.".to_owned());
        for block in distinct(report.throughput.iter().map(|point| point.block_envelopes)) {
            let is_of = |point: &&ThroughputPoint| (point.nodes, point.block_envelopes) == (nodes, block);
            let points: Vec<_> = report.throughput.iter().filter(is_of).collect();
            section.parts.push(throughput(&format!("Blocks of {block} envelopes"), &points).into());
        }
        page.sections.push(section);
    }
    page.render()
}

fn throughput(title: &str, points: &[&ThroughputPoint]) -> Chart {
    let receivers = Axis::log10("Receivers", "Deliver streams");
    let mut chart = Chart::new(title, receivers, Axis::linear("Delivered", "envelopes/s"));
    for bytes in distinct(points.iter().map(|point| point.envelope_bytes)) {
        let of_size = || points.iter().filter(|point| point.envelope_bytes == bytes);
        let name = format!("{bytes} B");
        let pairs = of_size().filter_map(|point| Some((point.receivers as f64, point.delivered_per_s?)));
        chart.series.push(Series::line(&name, pairs.collect()));
        let bound: Vec<_> = of_size().filter_map(|point| Some((point.receivers as f64, point.bound_per_s?))).collect();
        if !bound.is_empty() {
            chart.bounds.push(Bound::through(&format!("bound of {name}"), bound).of(&name));
        }
    }
    chart
}

/// The curves, each with its line.
pub(super) fn scale(report: &ScaleReport) -> String {
    let subtitle = format!("on {}; {}; {} s a point", report.machine, report.conditions, report.seconds);
    let mut page = Page::new("How costs grow", &subtitle);
    for curve in &report.curves {
        let Curve { against, conditions, points, line } = curve;
        let mut section = Section::new(&format!("Against {against}"));
        section.text = Some(format!("{conditions}. Through the points goes a {}.", describe(*line, against).trim()));
        let cost = Axis::linear("Processor time of a node", "us/envelope");
        let mut chart = Chart::new("Cost of an envelope", Axis::linear(&capital(against), against), cost);
        let measured: Vec<_> = points.iter().filter_map(|point| Some((point.x, point.cpu_us_per_envelope?))).collect();
        if let (Some(line), Some(first), Some(last)) = (line, measured.first(), measured.last()) {
            let ends = [first.0, last.0].map(|x| (x, line.at(x)));
            chart.bounds.push(Bound::through("fitted line", ends.to_vec()).of("measured"));
        }
        chart.series.push(Series::line("measured", measured));
        section.parts.push(chart.into());
        let failures =
            points.iter().flat_map(|point| point.failures.iter().map(|text| (point.x.to_string(), text.clone())));
        let failures: Vec<_> = failures.collect();
        if !failures.is_empty() {
            section.parts.push(Part::Facts(failures));
        }
        page.sections.push(section);
    }
    page.render()
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Each value once, in order.
fn distinct<T: Ord>(values: impl Iterator<Item = T>) -> std::collections::BTreeSet<T> {
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::super::machine::MachineFacts;
    use super::super::scale::ScalePoint;
    use super::super::table::tests::row;
    use super::super::table::{Goal, SCHEMA, Unit};
    use super::*;

    fn assert_says(page: &str, parts: &[&str]) {
        for part in parts {
            assert!(page.contains(part), "{part} is not on the page");
        }
    }

    #[test]
    fn a_page_of_targets_has_goals_conditions_and_what_failed() {
        let mut table = TargetsTable::empty();
        table.rows.push(row("idle", Unit::Milliseconds, Some(Goal::AtMost(4.0)), &[3.0, 5.0, 3.5]));
        table.rows.push(row("cost", Unit::CpuUsPerEnvelope, Some(Goal::AtMost(5.0)), &[9.0]));
        table.rows[1].failures.push("an envelope was lost".to_owned());
        table.skipped.push("etcdraft: no programs".to_owned());
        let page = targets(&table);
        assert_says(
            &page,
            &["idle", "3.50", "&lt;= 4", "met", "n = 4", "an envelope was lost", "no programs", "flagged"],
        );
    }

    #[test]
    fn a_page_of_the_lan_experiments_has_axes_with_units_and_the_bound() {
        let point = |receivers, delivered_per_s| ThroughputPoint {
            nodes: 7,
            block_envelopes: 10,
            envelope_bytes: 1024,
            receivers,
            delivered_per_s,
            cpu_us_per_envelope: None,
            bound_per_s: Some(9000.0),
            failures: Vec::new(),
        };
        let report = LanReport {
            schema: SCHEMA,
            machine: MachineFacts::default(),
            conditions: "unsigned".to_owned(),
            seconds: 3,
            signing: vec![SigningPoint { threads: 1, block_envelopes: 10, signatures_per_s: 20_000.0 }],
            throughput: vec![point(1, Some(8000.0)), point(8, None), point(32, Some(5000.0))],
        };
        let page = lan(&report);
        assert_says(
            &page,
            &["Throughput of 7 nodes", "Blocks of 10", "Receivers (Deliver streams", "Delivered (envelopes/s)"],
        );
        assert_says(&page, &["bound of 1024 B", "Signatures (signatures/s)", "Threads (threads)"]);
    }

    #[test]
    fn a_page_of_curves_has_the_fitted_line() {
        let point = |x, cost| ScalePoint {
            x,
            cpu_us_per_envelope: Some(cost),
            delivered_per_s: None,
            failures: if x > 4.0 { vec!["no port".to_owned()] } else { Vec::new() },
        };
        let points = vec![point(4.0, 10.0), point(7.0, 16.0)];
        let line = super::super::numbers::Line::fit(&[(4.0, 10.0), (7.0, 16.0)]);
        let curve = Curve { against: "nodes".to_owned(), conditions: "one channel".to_owned(), points, line };
        let report = ScaleReport {
            schema: SCHEMA,
            machine: MachineFacts::default(),
            conditions: "unsigned".to_owned(),
            seconds: 3,
            curves: vec![curve],
        };
        let page = scale(&report);
        assert_says(&page, &["Against nodes", "fitted line", "Nodes (nodes)", "2.00 us for each one", "no port"]);
    }
}
