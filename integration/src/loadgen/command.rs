//! The commands of the program: one load, or several at different rates, and what is written about them.

use std::path::Path;

use anyhow::Context as _;

use super::args::LoadgenArgs;
use super::report::Report;
use super::report_text::table_of_rates;
use super::run::Load;
use super::timeline::csv;

/// Loads an ordering service, prints what came out, and gives it. What should not be is among its failures.
///
/// # Errors
/// The load could not be made at all.
pub async fn run(args: &LoadgenArgs) -> anyhow::Result<Report> {
    let report = Load::prepare(args).await?.run().await?;
    print!("{report}");
    if let Some(file) = &args.json {
        let text = serde_json::to_string_pretty(&report).context("the report cannot be written as JSON")?;
        write(file, &(text + "\n"))?;
    }
    if let Some(file) = &args.csv {
        write(file, &csv(&report.timeline))?;
    }
    println!("{}", report.last_line());
    Ok(report)
}

/// Loads an ordering service at each of the rates that are asked for, or else once. Gives what should not be.
///
/// # Errors
/// The load could not be made at all.
pub async fn run_all(args: &LoadgenArgs) -> anyhow::Result<Vec<String>> {
    if args.rates.is_empty() {
        return Ok(run(args).await?.failures);
    }
    let mut reports = Vec::new();
    for &rate in &args.rates {
        eprintln!("loadgen: {rate} envelopes/s");
        let step = LoadgenArgs { rate: Some(rate), rates: Vec::new(), ..args.clone() };
        reports.push(Load::prepare(&step).await?.run().await?);
    }
    if let Some(first) = reports.first() {
        print!("{}", first.conditions);
    }
    print!("{}", table_of_rates(&reports));
    if let Some(file) = &args.json {
        let text = serde_json::to_string_pretty(&reports).context("the reports cannot be written as JSON")?;
        write(file, &(text + "\n"))?;
    }
    Ok(reports.into_iter().flat_map(|report| report.failures).collect())
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
