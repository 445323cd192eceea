//! `sim`: runs simulated worlds from seeds, tells the story of one, and measures in worlds set by hand. See [`integration::sim`].
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use integration::sim::campaign::{Campaign, Summary};
use integration::sim::scenarios::Scenario;
use integration::sim::{Options, run};

/// Runs simulated worlds, each from one number.
#[derive(Debug, Parser)]
struct Args {
    /// How many seeds to run.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// On so many threads.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Runs each seed once, not twice with equal hashes.
    #[arg(long)]
    once: bool,
    /// Stops after so many failures.
    #[arg(long, default_value_t = 10)]
    failures: usize,
    /// Fails too if the averages are below what makes a seed worth counting.
    #[arg(long)]
    averages: bool,
    /// Makes as many replicas as the group tolerates liars of this kind.
    #[arg(long)]
    actor: Option<String>,
    /// So many replicas, instead of as many as the seed says.
    #[arg(long)]
    n: Option<usize>,
    /// Gives batches to the applications before they are decided, and blocks to the frontends.
    #[arg(long)]
    tentative: bool,
    /// Groups whose replicas only crash, in every world.
    #[arg(long, conflicts_with = "actor")]
    crash_only: bool,
    /// Runs this one seed only.
    #[arg(long)]
    seed: Option<u64>,
    /// Tells the story of that one seed.
    #[arg(long)]
    trace: bool,
    /// The last so many lines of it.
    #[arg(long, default_value_t = 1_000_000)]
    lines: usize,
    /// Runs this scenario, or all of them (`all`), or names them (`list`).
    #[arg(long, conflicts_with_all = ["seed", "seeds", "actor", "n", "crash_only", "trace"])]
    scenario: Option<String>,
}

/// Exits with 1 when something was seen that must not be, with 2 when the arguments make no sense.
fn main() -> ExitCode {
    let args = Args::parse();
    let result = match (&args.scenario, args.seed) {
        (Some(name), _) => scenarios(name),
        (None, Some(seed)) => one(&args, seed),
        (None, None) => many(&args),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("sim: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn one(args: &Args, seed: u64) -> anyhow::Result<bool> {
    let lines = if args.trace { args.lines } else { 0 };
    let options = Options { seed, lines, ..options(args) };
    let outcome = run(&options)?;
    for line in outcome.story {
        println!("{line}");
    }
    let summary = Summary { seeds: 1, counts: outcome.counts, ..Summary::default() };
    println!("hash {:016x}\n{}", outcome.hash, summary.report());
    if let Some(violation) = &outcome.violation {
        println!("FAILED {}: {}", violation.property, violation.what);
    }
    Ok(outcome.violation.is_none())
}

fn options(args: &Args) -> Options {
    let (n, actor) = (args.n, args.actor.clone());
    Options { n, actor, is_crash_only: args.crash_only, tentative: args.tentative, ..Options::default() }
}

fn many(args: &Args) -> anyhow::Result<bool> {
    let options = options(args);
    let campaign = Campaign {
        from: args.from,
        seeds: args.seeds,
        jobs: args.jobs,
        is_once: args.once,
        options,
        failures_max: args.failures,
    };
    let mut told = 0;
    let summary = campaign.run(|so_far| {
        for (seed, failure) in &so_far.failures[told..] {
            eprintln!("seed {seed} FAILED {failure}");
        }
        told = so_far.failures.len();
        eprintln!(
            "{} seeds, {} failures, {:.0} decisions and {:.1} faults per seed, {:.1} seeds/s",
            so_far.seeds,
            so_far.failures.len(),
            so_far.mean(so_far.counts.decisions),
            so_far.mean(so_far.counts.faults_total()),
            so_far.seeds as f64 / so_far.elapsed.as_secs_f64().max(0.001)
        );
    })?;
    println!("{}", summary.report());
    for (seed, failure) in &summary.failures {
        println!("seed {seed} FAILED {failure}\n  {}", campaign.replay(*seed));
    }
    let averages = summary.check_averages();
    if let Err(low) = &averages {
        println!("not worth counting: {low}");
    }
    Ok(summary.failures.is_empty() && (averages.is_ok() || !args.averages))
}

/// Runs the scenarios of this name and prints what they came to.
fn scenarios(name: &str) -> anyhow::Result<bool> {
    if name == "list" {
        for scenario in Scenario::all() {
            println!("{:<20} {}", scenario.name, scenario.about);
        }
        return Ok(true);
    }
    let chosen: Vec<&Scenario> = Scenario::all().iter().filter(|known| name == "all" || name == known.name).collect();
    anyhow::ensure!(!chosen.is_empty(), "no scenario is called {name}; `--scenario list` names them");
    let mut is_well = true;
    for scenario in chosen {
        println!("{}: {}", scenario.name, scenario.about);
        let (begun, report) = (Instant::now(), scenario.run()?);
        for (figure, value) in &report.figures {
            println!("  {figure}: {value}");
        }
        for failure in &report.failures {
            println!("  FAILED {failure}");
        }
        println!("  ({:.1} s)", begun.elapsed().as_secs_f64());
        is_well &= report.failures.is_empty();
    }
    Ok(is_well)
}
