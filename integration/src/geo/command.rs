//! Does what was asked for on the command line.

use std::path::Path;

use anyhow::Context as _;
use clap::Parser as _;
use serde_json::json;

use super::args::{GeoArgs, GeoCommand, PlanArgs};
use super::experiments::{self, Conditions};
use super::finding::Finding;
use super::measure::measure;
use super::plan_finding::plan;
use crate::page::Page;

/// Runs a command. Says whether every target was met.
///
/// # Errors
/// The arguments make no sense, a world went wrong, or a file cannot be written.
pub fn run(args: &GeoArgs) -> anyhow::Result<bool> {
    let conditions = args.world.conditions()?;
    let findings = match &args.command {
        GeoCommand::Steps => named("steps", &conditions)?,
        GeoCommand::Replies => named("replies", &conditions)?,
        GeoCommand::Quorum => named("quorum", &conditions)?,
        GeoCommand::Leader => named("leader", &conditions)?,
        GeoCommand::Wheat => named("wheat", &conditions)?,
        GeoCommand::Ordering => named("ordering", &conditions)?,
        GeoCommand::Plan(plan_args) => show(plan(&conditions, plan_args)?, Vec::new()),
        GeoCommand::Measure(measure_args) => show(measure(&conditions, measure_args)?, Vec::new()),
        GeoCommand::All => all(&conditions)?,
    };
    if let Some(path) = &args.html {
        write(path, &page(&conditions, &findings).render())?;
    }
    if let Some(path) = &args.json {
        let findings: Vec<_> = findings.iter().map(Finding::json).collect();
        let text = json!({"schema": SCHEMA, "conditions": describe(&conditions), "findings": findings});
        write(path, &format!("{text:#}\n"))?;
    }
    Ok(findings.iter().flat_map(|finding| &finding.targets).all(|target| target.is_met))
}

fn named(name: &str, conditions: &Conditions) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for experiment in experiments::ALL.iter().filter(|known| known.name == name) {
        findings = show((experiment.run)(conditions)?, findings);
    }
    Ok(findings)
}

fn all(conditions: &Conditions) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for experiment in experiments::ALL {
        let finding = (experiment.run)(conditions).with_context(|| experiment.name)?;
        findings = show(finding, findings);
    }
    let GeoCommand::Plan(plan_args) = GeoArgs::try_parse_from(["geo", "plan"])?.command else { return Ok(findings) };
    let plan_args: PlanArgs = plan_args;
    Ok(show(plan(conditions, &plan_args)?, findings))
}

fn show(finding: Finding, mut findings: Vec<Finding>) -> Vec<Finding> {
    println!("{}", finding.console());
    findings.push(finding);
    findings
}

/// A page of findings.
#[must_use]
pub fn page(conditions: &Conditions, findings: &[Finding]) -> Page {
    let mut page = Page::new("Between continents", &describe(conditions));
    page.sections = findings.iter().map(Finding::section).collect();
    page
}

fn describe(conditions: &Conditions) -> String {
    let Conditions { weather, cost, window, requests, seed } = conditions;
    let loss = if weather.loss > 0.0 { format!(", loss {} %", weather.loss * 100.0) } else { String::new() };
    let mbit = weather.mbit.map(|mbit| format!(", {mbit} Mbit/s")).unwrap_or_default();
    let directed = if weather.is_directed { ", each direction by itself" } else { "" };
    let work = if cost.verify.is_zero() { "work costs nothing" } else { "work costs time" };
    format!(
        "Virtual time; jitter {} x the deviations{loss}{mbit}{directed}; {work}, a sync {} us; \
         window {window}; about {requests} requests of each client; seed {seed}",
        weather.jitter,
        cost.sync.as_micros()
    )
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Version of the figures for programs.
const SCHEMA: u32 = 1;
