//! WHEAT against BFT-SMaRt, where lies are tolerated and where crashes are (thesis, table 5.8).

use serde_json::json;

use super::Conditions;
use super::measured::{Measured, measure};
use crate::geo::args::sites;
use crate::geo::deployment::{Deployment, Pattern};
use crate::geo::finding::{Finding, distributions};
use crate::geo::floor::mean;
use crate::geo::matrix::Matrix;
use crate::geo::stats::{p50, pair, percent_above};
use crate::page::Table;

/// One column of table 5.8.
struct Column {
    name: &'static str,
    /// The leader first.
    replicas: &'static [&'static str],
    heavy: &'static [usize],
    pattern: Pattern,
    /// Median and 90th percentile in milliseconds, in the order of the replicas.
    published: &'static [(f64, f64)],
}

const COLUMNS: [Column; 4] = [
    Column {
        name: "BFT-SMaRt",
        replicas: &["Oregon", "Ireland", "Sydney", "Sao Paulo"],
        heavy: &[],
        pattern: Pattern::Standard,
        published: &[(587.0, 605.0), (587.0, 609.0), (586.0, 600.0), (587.0, 609.0)],
    },
    Column {
        name: "WHEAT",
        replicas: &["Oregon", "Ireland", "Sydney", "Sao Paulo", "Virginia"],
        heavy: &[0, 4],
        pattern: Pattern::Tentative,
        published: &[(178.0, 336.0), (368.0, 390.0), (375.0, 470.0), (377.0, 482.0), (357.0, 383.0)],
    },
    Column {
        name: "BFT-SMaRt, crashes only",
        replicas: &["Oregon", "Ireland", "Sydney"],
        heavy: &[],
        pattern: Pattern::Crash,
        published: &[(174.0, 336.0), (338.0, 373.0), (370.0, 386.0)],
    },
    Column {
        name: "WHEAT, crashes only",
        replicas: &["Oregon", "Ireland", "Sydney", "Virginia"],
        heavy: &[3],
        pattern: Pattern::Crash,
        published: &[(72.0, 92.0), (160.0, 191.0), (270.0, 297.0), (76.0, 142.0)],
    },
];

pub fn run(conditions: &Conditions) -> anyhow::Result<Finding> {
    let matrix = Matrix::table_5_7();
    let mut finding = Finding::new("wheat", "WHEAT against BFT-SMaRt", TEXT);
    let (mut data, mut series) = (Vec::new(), Vec::new());
    for column in &COLUMNS {
        let replicas = sites(&matrix, column.replicas)?;
        let clients = replicas.clone();
        let deployment = if column.heavy.is_empty() {
            Deployment::flat(replicas, column.pattern)
        } else {
            Deployment::weighted(replicas, column.heavy.to_vec(), 1, column.pattern)
        };
        let measured = measure(conditions, &matrix, &deployment, &clients)?;
        finding.tables.push(table(column, &measured));
        let deviation = measured.deviation();
        let what = format!("{}: farthest from the floor of any site", column.name);
        finding.target(&what, "<= 3 %", format!("{deviation:.2} %"), deviation <= 3.0);
        data.push(
            json!({"protocol": column.name, "deployment": deployment.describe(&matrix), "clients": measured.json()}),
        );
        if column.name == "WHEAT" {
            wheat_targets(&mut finding, &measured);
        }
        series.push((column.name, measured.all()));
    }
    let drawn = |from: usize, to: usize| series[from..to].iter().map(|(name, values)| (*name, &values[..]));
    finding.charts.push(distributions("All clients, with jitter: lies tolerated", drawn(0, 2)));
    finding.charts.push(distributions("All clients, with jitter: crashes only", drawn(2, 4)));
    finding.data = data.into();
    Ok(finding)
}

fn wheat_targets(finding: &mut Finding, measured: &Measured) {
    let average = mean(measured.calm.iter().copied()).unwrap_or(f64::NAN);
    finding.target("WHEAT: mean over the five sites", "<= 313 ms", format!("{average:.0} ms"), average <= 313.0);
    let virginia = measured.at("Virginia").map_or(f64::NAN, |at| measured.calm[at]);
    let faster = -percent_above(virginia, VIRGINIA_PUBLISHED);
    let figure = format!("{faster:.0} % ({virginia:.0} ms)");
    finding.target("WHEAT: Virginia faster than the published 357 ms", ">= 25 %", figure, faster >= 25.0);
}

fn table(column: &Column, measured: &Measured) -> Table {
    let mut table = Table::new(&[
        "Client",
        "Published p50/p90 (ms)",
        "Floor (ms)",
        "Ours p50 (ms)",
        "Off the floor",
        "With jitter p50/p90 (ms)",
        "Shift of p50 (ms)",
    ]);
    table.caption = Some(format!("{}, leader {}", column.name, column.replicas[0]));
    for (at, (p50_published, p90_published)) in column.published.iter().enumerate() {
        let (floor, calm, windy) = (measured.floors[at], measured.calm[at], &measured.windy[at]);
        table.rows.push(vec![
            measured.clients[at].clone(),
            format!("{p50_published:.0}/{p90_published:.0}"),
            format!("{floor:.1}"),
            format!("{calm:.1}"),
            format!("{:+.2} %", percent_above(calm, floor)),
            pair(windy, 0.9),
            format!("{:+.1}", p50(windy) - calm),
        ]);
    }
    let average = |values: &mut dyn Iterator<Item = f64>| mean(values).unwrap_or(f64::NAN);
    let calm = average(&mut measured.calm.iter().copied());
    let windy = average(&mut measured.windy.iter().map(|values| p50(values)));
    table.rows.push(vec![
        "Mean".to_owned(),
        format!("{:.0}", average(&mut column.published.iter().map(|pair| pair.0))),
        format!("{:.1}", average(&mut measured.floors.iter().copied())),
        format!("{calm:.1}"),
        String::new(),
        format!("{windy:.0}"),
        format!("{:+.1}", windy - calm),
    ]);
    table
}

/// Table 5.8.
const VIRGINIA_PUBLISHED: f64 = 357.0;

const TEXT: &str = "Table 5.8 again: one client at each site, one request under way at a time, leader Oregon, distances of table \
    5.7. The floor is what messages cost at least; ours over distances alone must be there. Then with the deviations of the \
    table as jitter: a quorum takes the quickest of several, so the median can move either way.";
