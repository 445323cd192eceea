//! `loadgen report`: one page from what one or several loads have written with `--json`.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use super::args::ReportArgs;
use super::report::{ProcessCost, Report};
use super::sampler::ProcessShare;
use super::stages::ProcessStages;
use super::timeline::Tick;
use crate::page::{Axis, BarPart, Chart, Mark, Page, Part, Section, Series, StackedBars, Table};

/// A load by the name of its file.
struct Run {
    name: String,
    report: Report,
}

/// Writes the page and says so.
///
/// # Errors
/// A file is none that `--json` has written, or the page cannot be written.
pub fn render_report(args: &ReportArgs) -> anyhow::Result<()> {
    let mut runs = Vec::new();
    for file in &args.runs {
        runs.extend(read(file)?);
    }
    let text = page(&runs).render();
    fs::write(&args.out, text).with_context(|| format!("cannot write {}", args.out.display()))?;
    println!("{} loads in {}", runs.len(), args.out.display());
    Ok(())
}

/// One report, or those of several rates.
fn read(file: &Path) -> anyhow::Result<Vec<Run>> {
    let text = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let no_report = || format!("{}: not what loadgen writes with --json", file.display());
    let value: serde_json::Value = serde_json::from_slice(&text).with_context(no_report)?;
    if !value.is_array() {
        let report = serde_json::from_value(value).with_context(no_report)?;
        return Ok(vec![Run { name, report }]);
    }
    let reports: Vec<Report> = serde_json::from_value(value).with_context(no_report)?;
    let of_rate = |report: Report| {
        let rate = report.conditions.rate_per_s.unwrap_or_default();
        Run { name: format!("{name} {rate}/s"), report }
    };
    Ok(reports.into_iter().map(of_rate).collect())
}

fn page(runs: &[Run]) -> Page {
    let subtitle = match runs {
        [run] => run.report.conditions.orderer.clone(),
        _ => format!("{} loads", runs.len()),
    };
    let mut page = Page::new("Load of an ordering service", &subtitle);
    page.sections.push(results(runs));
    page.sections.push(latencies(runs));
    page.sections.push(costs(runs));
    page.sections.extend(runs.iter().map(course));
    page
}

fn results(runs: &[Run]) -> Section {
    let mut table = Table::new(&[
        "Load",
        "Pace",
        "Delivered (envelopes/s)",
        "Blocks (blocks/s)",
        "p50 (ms)",
        "p99 (ms)",
        "Longest (ms)",
        "Node (CPU us/envelope)",
        "Refused",
        "Lost",
        "Twice",
    ]);
    for Run { name, report } in runs {
        let Report { rates, latency, counts, .. } = report;
        table.rows.push(vec![
            name.clone(),
            pace(report),
            format!("{:.0}", rates.delivered_per_s),
            format!("{:.1}", rates.blocks_per_s),
            format!("{:.1}", latency.p50_ms),
            format!("{:.1}", latency.p99_ms),
            format!("{:.1}", latency.max_ms),
            report.node_cost().map_or(String::new(), |us| format!("{us:.1}")),
            counts.refused.to_string(),
            counts.lost.to_string(),
            counts.repeated.to_string(),
        ]);
    }
    table.rows_flagged = (0..runs.len()).filter(|&index| !runs[index].report.failures.is_empty()).collect();
    let mut section = Section::new("Results");
    let failures: Vec<_> = runs.iter().flat_map(|run| &run.report.failures).cloned().collect();
    section.text = Some(if failures.is_empty() {
        "No acknowledged envelope was lost, and none was delivered twice. Rates and costs are those of the window that was measured."
            .to_owned()
    } else {
        failures.join("; ")
    });
    section.parts.push(table.into());
    section
}

/// In few words.
fn pace(report: &Report) -> String {
    match (report.conditions.rate_per_s, report.conditions.outstanding_per_stream) {
        (Some(rate), _) => format!("{rate}/s offered"),
        (None, Some(places)) => format!("{} x {places} under way", report.conditions.streams),
        (None, None) => String::new(),
    }
}

fn latencies(runs: &[Run]) -> Section {
    let mut chart =
        Chart::new("Latency", Axis::log10("From due to delivered", "ms"), Axis::linear("Share of envelopes", "%"));
    for Run { name, report } in runs {
        let points = report.latency_distribution.iter().map(|point| (point.ms, point.share * 100.0));
        chart.series.push(Series::steps(name, points.collect()));
    }
    let mut section = Section::new("Latency");
    section.text =
        Some("Counted from the moment an envelope was due, whether or not it could be sent then.".to_owned());
    section.parts.push(chart.into());
    section
}

fn costs(runs: &[Run]) -> Section {
    let mut section = Section::new("Cost");
    section.text =
        Some("Processor time of each process, divided by the envelopes delivered within the window.".to_owned());
    let name_of = |run: &Run, process: &str| {
        if runs.len() == 1 { process.to_owned() } else { format!("{}: {process}", run.name) }
    };
    let processes = runs
        .iter()
        .flat_map(|run| run.report.nodes.iter().chain([&run.report.loadgen]).map(move |process| (run, process)));
    let processes: Vec<(&Run, &ProcessCost)> = processes.collect();
    let categories = processes.iter().map(|(run, process)| name_of(run, &process.name)).collect();
    let part = |name: &str, cost: fn(&ProcessCost) -> Option<f64>| {
        BarPart::new(name, processes.iter().map(|(_, process)| cost(process).unwrap_or_default()).collect())
    };
    let mut bars = StackedBars::new("By process", Axis::linear("Processor time", "us/envelope"), categories);
    bars.parts.push(part("in the program", |process| process.user_us_per_envelope));
    bars.parts.push(part("in the system", |process| process.system_us_per_envelope));
    section.parts.push(bars.into());

    let of_stages = runs.iter().flat_map(|run| run.report.stages.iter().map(move |stages| (run, stages)));
    let of_stages: Vec<(&Run, &ProcessStages)> = of_stages.collect();
    if !of_stages.is_empty() {
        let categories = of_stages.iter().map(|(run, stages)| name_of(run, &stages.name)).collect();
        let mut bars = StackedBars::new("By stage", Axis::linear("Processor time", "us/envelope"), categories);
        let mut names: Vec<&str> = Vec::new();
        for stage in of_stages.iter().flat_map(|(_, stages)| &stages.stages) {
            if !names.contains(&stage.stage.as_str()) {
                names.push(&stage.stage);
            }
        }
        for name in names {
            let cost = |stages: &ProcessStages| {
                let stage = stages.stages.iter().find(|cost| cost.stage == name);
                stage.map_or(0.0, |cost| cost.us_per_envelope)
            };
            bars.parts.push(BarPart::new(name, of_stages.iter().map(|(_, stages)| cost(stages)).collect()));
        }
        section.parts.push(bars.into());
    }
    section
}

/// What happened over the time of one load.
fn course(run: &Run) -> Section {
    let Run { name, report } = run;
    let mut section = Section::new(name);
    let over_time = |title: &str, y: Axis, series: Vec<Series>| -> Part {
        let mut chart = Chart::new(title, Axis::linear("Since the load began", "s"), y);
        chart.series = series;
        chart.marks = marks(report);
        chart.into()
    };
    let series = |name: &str, value: &dyn Fn(&Tick) -> Option<f64>| {
        let points = report.timeline.iter().filter_map(|tick| Some((tick.at_s, value(tick)?)));
        Series::line(name, points.collect())
    };
    let per_s =
        |count: fn(&Tick) -> u64| move |tick: &Tick| (tick.tick_s > 0.0).then(|| count(tick) as f64 / tick.tick_s);
    let mut rates = vec![
        series("delivered", &per_s(|tick| tick.delivered)),
        series("acknowledged", &per_s(|tick| tick.acknowledged)),
    ];
    if report.counts.refused > 0 {
        rates.push(series("refused", &per_s(|tick| tick.refused)));
    }
    section.parts.push(over_time("Throughput", Axis::linear("Rate", "envelopes/s"), rates));
    let delivered = |value: fn(&Tick) -> f64| move |tick: &Tick| (tick.delivered > 0).then(|| value(tick));
    let latencies = vec![
        series("p50", &delivered(|tick| tick.p50_ms)),
        series("p99", &delivered(|tick| tick.p99_ms)),
        series("longest", &delivered(|tick| tick.max_ms)),
    ];
    section.parts.push(over_time("Latency", Axis::log10("From due to delivered", "ms"), latencies));
    let by_process = |value: fn(&ProcessShare) -> Option<f64>| {
        let names = report.timeline.first().map(|tick| &tick.processes[..]).unwrap_or_default();
        let of_process = |(index, process): (usize, &ProcessShare)| {
            series(&process.name, &|tick: &Tick| value(tick.processes.get(index)?))
        };
        names.iter().enumerate().map(of_process).collect()
    };
    let processors = by_process(|process| process.processors);
    section.parts.push(over_time("Processors", Axis::linear("Busy", "processors"), processors));
    let memory = by_process(|process| process.resident_mib);
    section.parts.push(over_time("Memory", Axis::linear("In use", "MiB"), memory));
    section.parts.push(Part::Facts(facts(report)));
    section
}

fn marks(report: &Report) -> Vec<Mark> {
    let window = Mark { x: report.window_from_s, text: "what is measured begins".to_owned() };
    let events = report.events.iter().map(|event| Mark { x: event.at_s, text: event.what.clone() });
    std::iter::once(window).chain(events.take(MARKS_MAX)).collect()
}

/// As the report says them, line by line.
fn facts(report: &Report) -> Vec<(String, String)> {
    let text = report.to_string();
    let fact = |line: &str| {
        let (name, what) = line.split_once("  ").unwrap_or((line, ""));
        (name.trim().to_owned(), what.trim().to_owned())
    };
    text.lines().map(fact).collect()
}

/// More flags hide what they mark.
const MARKS_MAX: usize = 20;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::percentiles::LatencyPoint;
    use super::super::report_text::tests::report;
    use super::super::stages::StageCost;
    use super::super::timeline::Event;
    use super::*;

    fn run() -> Report {
        let process = ProcessShare { name: "o1".to_owned(), processors: Some(0.5), resident_mib: Some(20.0) };
        let tick = |at_s| Tick {
            at_s,
            tick_s: 1.0,
            delivered: 100,
            p50_ms: 2.0,
            processes: vec![process.clone()],
            ..Tick::default()
        };
        Report {
            timeline: vec![tick(1.0), tick(2.0)],
            events: vec![Event { at_s: 1.5, what: "o1 <killed>".to_owned() }],
            latency_distribution: vec![LatencyPoint { ms: 1.0, share: 0.5 }, LatencyPoint { ms: 9.0, share: 1.0 }],
            stages: vec![ProcessStages {
                name: "o1".to_owned(),
                stages: vec![StageCost { stage: "verify_client".to_owned(), us_per_envelope: 49.0 }],
            }],
            ..report("")
        }
    }

    fn written(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn a_page_holds_every_load_with_its_events_and_stages() {
        let folder = tempfile::tempdir().unwrap();
        let one = written(folder.path(), "one.json", &serde_json::to_string(&run()).unwrap());
        let many = written(folder.path(), "rates.json", &serde_json::to_string(&[run(), run()]).unwrap());
        let args = ReportArgs { runs: vec![one, many], out: folder.path().join("page.html") };
        render_report(&args).unwrap();
        let page = fs::read_to_string(&args.out).unwrap();
        for text in ["3 loads", "rates 500/s", "o1 &lt;killed&gt;", "verify_client", "(ms)", "(envelopes/s)", "(MiB)"] {
            assert!(page.contains(text), "{text}");
        }
    }

    #[test]
    fn a_file_that_is_no_report_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("a.json", "{}"), ("b.json", "[{}]"), ("c.json", "no JSON")] {
            let error = read(&written(folder.path(), name, text)).err().map(|error| error.to_string());
            let error = error.unwrap_or_default();
            assert!(error.contains(name) && error.ends_with("not what loadgen writes with --json"), "{error}");
        }
    }
}
