//! Variants of one group side by side: the shape of the experiments of sections 5.2.2 to 5.2.4.
//!
//! The thesis ran these on PlanetLab and gives no round trips for it, so they run here over table 5.7: what can be compared is by
//! how much one variant is better than another.

use serde_json::{Value, json};

use super::Conditions;
use super::measured::{Measured, measure};
use crate::geo::deployment::Deployment;
use crate::geo::finding::{Finding, distributions};
use crate::geo::matrix::{Matrix, Site};
use crate::geo::stats::{p50, pair, percent_above, percentile};
use crate::page::Table;

/// One variant.
pub struct Variant {
    pub name: &'static str,
    pub deployment: Deployment,
    pub clients: Vec<Site>,
    /// Which variant it is held against, by its number; none for one that others are held against.
    pub against: Option<usize>,
    /// By how much median and 90th percentile were lower in the thesis, in hundredths.
    pub published: Option<(u32, u32)>,
}

/// Measures variants, and puts them into a finding: a table, a chart, and how far they are from their floors.
///
/// # Errors
/// A world went wrong.
pub fn compare(
    conditions: &Conditions,
    matrix: &Matrix,
    variants: &[Variant],
    mut finding: Finding,
) -> anyhow::Result<Finding> {
    let measured: Vec<Measured> = variants
        .iter()
        .map(|variant| measure(conditions, matrix, &variant.deployment, &variant.clients))
        .collect::<anyhow::Result<_>>()?;
    let all: Vec<Vec<f64>> = measured.iter().map(Measured::all).collect();
    finding.tables.push(clients_table(matrix, variants, &measured));
    let mut table = Table::new(&["Variant", "Ours p50/p90 (ms)", "Lower by (p50/p90)", "Published lower by (p50/p90)"]);
    table.caption = Some("All clients, with jitter".to_owned());
    for (variant, values) in variants.iter().zip(&all) {
        let lower = variant.against.map_or_else(String::new, |other| {
            let by = |share: f64| -percent_above(percentile(values, share), percentile(&all[other], share));
            format!("{:.0} %/{:.0} %", by(0.5), by(0.9))
        });
        let published = variant.published.map_or_else(String::new, |(p50, p90)| format!("{p50} %/{p90} %"));
        table.rows.push(vec![variant.name.to_owned(), pair(values, 0.9), lower, published]);
    }
    finding.tables.push(table);
    let farthest = measured.iter().map(Measured::deviation).fold(0.0, f64::max);
    let figure = format!("{farthest:.2} %");
    finding.target("farthest from the floor of any site and variant, no jitter", "<= 3 %", figure, farthest <= 3.0);
    let series = variants.iter().zip(&all).map(|(variant, values)| (variant.name, &values[..]));
    finding.charts.push(distributions("All clients, with jitter", series));
    let data = |(variant, measured): (&Variant, &Measured)| -> Value {
        let where_ = variant.deployment.describe(matrix);
        json!({"variant": variant.name, "deployment": where_, "clients": measured.json(), "p50_ms": p50(&measured.all())})
    };
    finding.data = variants.iter().zip(&measured).map(data).collect();
    Ok(finding)
}

/// A row for each site that has a client in any variant: floor and median with jitter.
fn clients_table(matrix: &Matrix, variants: &[Variant], measured: &[Measured]) -> Table {
    let mut table = Table::new(&["Client"]);
    table.caption = Some("Floor, ours without jitter p50, with jitter p50/p90 (ms)".to_owned());
    table.head.extend(variants.iter().map(|variant| variant.name.to_owned()));
    for site in matrix.sites().filter(|site| variants.iter().any(|variant| variant.clients.contains(site))) {
        let name = matrix.name(site);
        let cell = |measured: &Measured| {
            let at = measured.at(name)?;
            let (floor, calm) = (measured.floors[at], measured.calm[at]);
            Some(format!("{floor:.0}, {calm:.0}, {}", pair(&measured.windy[at], 0.9)))
        };
        let cells = measured.iter().map(|measured| cell(measured).unwrap_or_else(|| "-".to_owned()));
        table.rows.push([name.to_owned()].into_iter().chain(cells).collect());
    }
    table
}
