//! `bench targets`: runs every scenario several times and takes the medians.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use super::args::{Place, TargetsArgs};
use super::console;
use super::html;
use super::load::{self, Outcome};
use super::network::DevProcess;
use super::numbers::Spread;
use super::scenarios::{self, Scenario, System};
use super::stock::StockOrderers;
use super::table::{Row, TargetsTable};
use super::{write_json, write_text};

/// Measures and says what came out. Gives whether every target is met.
///
/// # Errors
/// Nothing could be measured, or a file cannot be written.
pub(super) async fn run(args: &TargetsArgs) -> anyhow::Result<bool> {
    if args.list {
        for scenario in scenarios::all() {
            let rows: Vec<&str> = scenario.figures.iter().map(|figure| figure.name).collect();
            println!("{:<18} {}", scenario.name, rows.join(" "));
        }
        return Ok(true);
    }
    let table = measure(args).await?;
    print!("{}", console::targets(&table));
    if let Some(file) = &args.json {
        write_json(&table, file)?;
    }
    if let Some(file) = &args.csv {
        write_text(&console::targets_csv(&table), file)?;
    }
    if let Some(file) = &args.html {
        write_text(&html::targets(&table), file)?;
    }
    Ok(table.is_met())
}

/// Measures what is asked for.
///
/// # Errors
/// Nothing is called as asked for.
pub(super) async fn measure(args: &TargetsArgs) -> anyhow::Result<TargetsTable> {
    let mut table = TargetsTable::empty();
    let programs = std::env::var_os("FABRIC_BIN").map(PathBuf::from);
    for scenario in chosen(args)? {
        if let Some(why) = why_not(&scenario, args, programs.is_some()) {
            eprintln!("skipped: {}: {why}", scenario.name);
            table.skipped.push(format!("{}: {why}", scenario.name));
            continue;
        }
        let mut rows = scenario.rows(args.seconds);
        let runs = if scenario.is_long { 1 } else { args.runs };
        for run in 1..=runs {
            eprintln!("{} {run}/{runs}", scenario.name);
            match measure_once(&scenario, args, programs.as_ref()).await {
                Ok(outcomes) => take_figures(&scenario, &mut rows, &outcomes),
                Err(error) => rows.iter_mut().for_each(|row| row.failures.push(format!("run {run}: {error:#}"))),
            }
        }
        let is_wanted =
            |row: &Row| args.only.is_empty() || args.only.iter().any(|name| *name == row.name || name == scenario.name);
        table.rows.extend(rows.into_iter().filter(is_wanted));
    }
    Ok(table)
}

fn chosen(args: &TargetsArgs) -> anyhow::Result<Vec<Scenario>> {
    let all = scenarios::all();
    if let Some(unknown) = args.only.iter().find(|name| !all.iter().any(|scenario| scenario.is_called(name))) {
        bail!("--only {unknown}: there is no such row; --list names them");
    }
    let is_chosen = |scenario: &Scenario| args.only.is_empty() || args.only.iter().any(|name| scenario.is_called(name));
    Ok(all.into_iter().filter(is_chosen).map(|scenario| scenario.with_window(args.window)).collect())
}

fn why_not(scenario: &Scenario, args: &TargetsArgs, has_programs: bool) -> Option<&'static str> {
    match scenario.system {
        System::Stock(..) if !has_programs => Some("FABRIC_BIN does not name the folder of Fabric's programs"),
        _ if scenario.is_long && !args.long && args.only.is_empty() => Some("takes many minutes; give --long"),
        _ => None,
    }
}

async fn measure_once(
    scenario: &Scenario,
    args: &TargetsArgs,
    programs: Option<&PathBuf>,
) -> anyhow::Result<Vec<Outcome>> {
    let place: &Place = &args.place;
    let loads = scenario.loads.iter().map(|load| load.lasting(args.seconds));
    let mut outcomes = Vec::new();
    match scenario.system {
        System::Ours(plan) => {
            let network = DevProcess::start(&plan, place).await?;
            let target = network.target()?;
            for load in loads {
                outcomes.push(load::run(&target, &load, network.folder()).await?);
            }
        }
        System::Stock(kind, block_envelopes_max) => {
            let programs = programs.context("FABRIC_BIN is needed")?;
            let orderers = StockOrderers::start(programs, kind, block_envelopes_max, place).await?;
            for load in loads {
                outcomes.push(load::run(orderers.target(), &load, orderers.folder()).await?);
            }
        }
    }
    Ok(outcomes)
}

fn take_figures(scenario: &Scenario, rows: &mut [Row], outcomes: &[Outcome]) {
    for (row, figure) in rows.iter_mut().zip(&scenario.figures) {
        match (figure.of)(outcomes).filter(|value| value.is_finite()) {
            Some(value) => {
                eprintln!("  {} {} {}", row.name, console::number(value), row.unit);
                row.values.push(value);
            }
            None => row.failures.push("the load generator gave no such figure".to_owned()),
        }
        row.spread = Spread::of(&row.values);
        for Outcome { report, .. } in outcomes {
            row.failures.extend(report.failures.iter().cloned());
            let of = &mut row.circumstances;
            of.envelope_bytes = report.conditions.envelope_bytes;
            of.envelopes_per_block = report.rates.envelopes_per_block;
            let (before, others) = (report.machine.load_average_before, report.machine.processors_used_by_others);
            of.load_average_before = of.load_average_before.max(before.unwrap_or(0.0));
            of.processors_used_by_others = of.processors_used_by_others.max(others.unwrap_or(0.0));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::loadgen::{Percentiles, Report};

    /// Of a load in which nothing happened.
    pub(in super::super) fn report() -> Report {
        let none = serde_json::to_value(Percentiles::default()).unwrap();
        let conditions = json!({
            "orderer": "o", "nodes": 4, "payload_bytes": 200, "envelope_bytes": 1200.0, "signatures": "s", "verification": "v",
            "block_envelopes_max": 100, "block_timeout_ms": 500, "durability": "d", "instances_open_max": 1, "frontends": 4,
            "streams": 4, "receivers": 1, "pace": "p", "rate_per_s": null, "outstanding_per_stream": 50, "warmup_s": 1.0,
        });
        let counts = serde_json::to_value(crate::loadgen::Counts::default()).unwrap();
        let rates = serde_json::to_value(crate::loadgen::Rates::default()).unwrap();
        let own = serde_json::to_value(crate::loadgen::ProcessCost::default()).unwrap();
        let machine = json!({"processors": 2, "load_average_before": 0.5, "processors_used_by_others": 0.25});
        serde_json::from_value(json!({
            "conditions": conditions, "window_s": 1.0, "counts": counts, "rates": rates, "latency": none,
            "acknowledgement": none, "nodes": [], "absent": [], "loadgen": own, "machine": machine, "failures": [],
            "trouble": null,
        }))
        .unwrap()
    }

    fn args(only: &[&str]) -> TargetsArgs {
        TargetsArgs { only: only.iter().map(|name| (*name).to_owned()).collect(), ..TargetsArgs::default() }
    }

    #[test]
    fn a_row_or_a_scenario_is_asked_for_by_name() {
        let names =
            |only: &[&str]| chosen(&args(only)).unwrap().iter().map(|scenario| scenario.name).collect::<Vec<_>>();
        assert_eq!(names(&["frontend-admits", "idle"]), ["real-frontends", "idle"]);
        assert_eq!(names(&["latency"]), ["latency"]);
        assert_eq!(names(&[]).len(), scenarios::all().len());
        let error = chosen(&args(&["idle", "weather"])).unwrap_err().to_string();
        assert_eq!(error, "--only weather: there is no such row; --list names them");
    }

    #[test]
    fn what_takes_long_or_needs_programs_says_so() {
        let why = |name: &str, args: &TargetsArgs, has_programs| {
            let scenario = scenarios::all().into_iter().find(|scenario| scenario.is_called(name)).unwrap();
            why_not(&scenario, args, has_programs).is_some()
        };
        assert!(why("smartbft-cost", &args(&[]), false) && !why("smartbft-cost", &args(&[]), true));
        assert!(why("memory", &args(&[]), true) && !why("memory", &args(&["memory"]), true));
        assert!(!why("memory", &TargetsArgs { long: true, ..args(&[]) }, true));
        assert!(!why("idle", &args(&[]), false));
    }

    #[test]
    fn figures_and_failures_of_all_runs_come_into_the_rows() {
        let scenario = scenarios::all().into_iter().find(|scenario| scenario.name == "latency").unwrap();
        let mut rows = scenario.rows(10);
        for (p50_ms, load, failures) in [(9.0, 0.5, vec![]), (7.0, 2.0, vec!["lost".to_owned()]), (8.0, 1.0, vec![])] {
            let mut report = Report {
                latency: Percentiles { p50_ms, p99_ms: 30.0, ..Percentiles::default() },
                failures,
                ..report()
            };
            report.machine.load_average_before = Some(load);
            take_figures(&scenario, &mut rows, &[Outcome { report, json: json!({}) }]);
        }
        assert_eq!(rows[0].spread, Some(Spread { median: 8.0, min: 7.0, max: 9.0 }));
        assert_eq!((&rows[0].values[..], &rows[1].values[..]), (&[9.0, 7.0, 8.0][..], &[30.0; 3][..]));
        assert_eq!((rows[0].failures.len(), rows[0].circumstances.load_average_before), (1, 2.0));
    }

    #[test]
    fn a_figure_that_is_not_there_is_a_failure() {
        let scenario = scenarios::all().into_iter().find(|scenario| scenario.name == "opaque-40").unwrap();
        let mut rows = scenario.rows(10);
        take_figures(&scenario, &mut rows, &[Outcome { report: report(), json: json!({}) }]);
        assert!(rows[0].values.is_empty() && rows[0].failures.len() == 1);
    }
}
