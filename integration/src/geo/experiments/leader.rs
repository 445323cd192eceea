//! Where the leader is (thesis, section 5.2.5, table 5.6).

use serde_json::json;

use super::Conditions;
use super::measured::{Measured, measure};
use crate::geo::args::sites;
use crate::geo::deployment::{Deployment, Pattern};
use crate::geo::finding::{Finding, distributions};
use crate::geo::matrix::Matrix;
use crate::geo::stats::pair;
use crate::page::Table;

/// Of one group.
struct Group {
    caption: &'static str,
    pattern: Pattern,
    /// Replicas, clients and leaders.
    sites: &'static [&'static str],
    /// Medians and 90th percentiles in milliseconds: a row for each client, a column for each leader.
    published: &'static [&'static [(u32, u32)]],
}

const GROUPS: [Group; 2] = [
    Group {
        caption: "Lies tolerated: published p50/p90, floor, ours with jitter p50/p90 (ms)",
        pattern: Pattern::Standard,
        sites: &["Ireland", "Sao Paulo", "Oregon", "Sydney"],
        published: &[
            &[(609, 655), (634, 710), (587, 618), (636, 679)],
            &[(610, 658), (634, 708), (589, 618), (637, 686)],
            &[(610, 657), (634, 712), (588, 617), (637, 682)],
            &[(612, 656), (633, 717), (587, 612), (636, 680)],
        ],
    },
    Group {
        caption: "Crashes only: published p50/p90, floor, ours with jitter p50/p90 (ms)",
        pattern: Pattern::Crash,
        sites: &["Ireland", "Sao Paulo", "Oregon"],
        published: &[
            &[(306, 330), (335, 407), (300, 336)],
            &[(310, 400), (322, 404), (300, 384)],
            &[(309, 336), (325, 412), (299, 334)],
        ],
    },
];

pub fn run(conditions: &Conditions) -> anyhow::Result<Finding> {
    let matrix = Matrix::table_5_7();
    let mut finding = Finding::new("leader", "Where the leader is", TEXT);
    let (mut data, mut farthest) = (Vec::new(), 0.0_f64);
    for group in &GROUPS {
        let clients = sites(&matrix, group.sites)?;
        let mut columns = Vec::new();
        for leader in 0..clients.len() {
            let mut replicas = clients.clone();
            replicas[..=leader].rotate_right(1);
            let deployment = Deployment::flat(replicas, group.pattern);
            let measured = measure(conditions, &matrix, &deployment, &clients)?;
            farthest = farthest.max(measured.deviation());
            let name = group.pattern.name();
            data.push(json!({"pattern": name, "leader": group.sites[leader], "clients": measured.json()}));
            columns.push(measured);
        }
        let heads: Vec<String> = group.sites.iter().map(|site| format!("Leader {site}")).collect();
        let mut table = Table::new(&["Client"]);
        table.head.extend(heads);
        table.caption = Some(group.caption.to_owned());
        for (row, client) in group.sites.iter().enumerate() {
            let cell = |(column, published): (usize, &(u32, u32))| {
                let measured = &columns[column];
                let (p50, p90) = published;
                format!("{p50}/{p90}, {:.0}, {}", measured.floors[row], pair(&measured.windy[row], 0.9))
            };
            let cells = group.published[row].iter().enumerate().map(cell);
            table.rows.push([(*client).to_owned()].into_iter().chain(cells).collect());
        }
        finding.tables.push(table);
        let all: Vec<Vec<f64>> = columns.iter().map(Measured::all).collect();
        let series = group.sites.iter().zip(&all).map(|(site, values)| (*site, &values[..]));
        let title = format!("All clients by leader, with jitter: {}", group.pattern.name());
        finding.charts.push(distributions(&title, series));
    }
    let figure = format!("{farthest:.2} %");
    finding.target("farthest from the floor of any site and leader, no jitter", "<= 3 %", figure, farthest <= 3.0);
    finding.data = data.into();
    Ok(finding)
}

const TEXT: &str = "Table 5.6 again: the same group with its leader at each of its sites. The thesis finds that being near the leader \
    helps little, and that a leader near everybody helps everybody; the floors say the same of the distances alone, with more \
    difference between clients than was measured then.";
