//! The driver of the fuzz targets; `README.md` explains its use.
#![forbid(unsafe_code)]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};
use fuzz::campaign::{self, Until};
use fuzz::{TARGETS, Target, corpus, runner, target};

/// Mutates the corpus of one target, or of all in turn.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// The name of a target, or `all`.
    #[arg(default_value = "all")]
    target: String,
    /// How long, over all targets.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// How many mutations of each target, however long that takes.
    #[arg(long)]
    runs: Option<usize>,
    /// Where the mutations begin. The same seed and corpus give the same inputs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Prints every class of outcome and how often it was seen.
    #[arg(long)]
    classes: bool,
    /// Finds new inputs without adding them to the corpus.
    #[arg(long)]
    dry: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Names the targets and what they check.
    List,
    /// Writes the seeds of the corpus again.
    Seeds,
    /// Runs one input.
    Replay {
        /// The name of a target.
        target: String,
        /// The file with the input.
        file: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match &args.command {
        Some(Command::List) => TARGETS.iter().for_each(|target| println!("{:20} {}", target.name, target.about)),
        Some(Command::Seeds) => {
            for target in TARGETS {
                println!("{:20} {} seeds", target.name, corpus::write_seeds(target)?);
            }
        }
        Some(Command::Replay { target, file }) => {
            let input = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            match runner::measure(find(target)?, &input) {
                Ok((outcome, peak)) => println!("{outcome} ({peak} bytes of memory)"),
                Err(failure) => bail!("{failure}"),
            }
        }
        None => search(&args)?,
    }
    Ok(())
}

fn search(args: &Args) -> anyhow::Result<()> {
    let targets: Vec<&Target> = match args.target.as_str() {
        "all" => TARGETS.iter().collect(),
        name => vec![find(name)?],
    };
    let time = Duration::try_from_secs_f64(args.minutes * 60.0)?.div_f64(targets.len() as f64);
    let mut failed = 0;
    for target in targets {
        let until = args.runs.map_or(Until::Time(time), Until::Runs);
        let report = campaign::run(target, args.seed, until)?;
        println!("{:20} {report}", target.name);
        if args.classes {
            report.classes.iter().for_each(|(class, runs)| println!("    {runs:8} {class}"));
        }
        if !args.dry {
            let kept = corpus::keep(target, &report.kept)?;
            println!("{:20} {kept} inputs added to the corpus", "");
        }
        if let Some((input, failure)) = &report.failure {
            println!("FAILED {}", runner::report(target, input, failure)?);
            failed += 1;
        }
    }
    if failed > 0 {
        bail!("{failed} targets failed");
    }
    Ok(())
}

fn find(name: &str) -> anyhow::Result<&'static Target> {
    target(name).with_context(|| format!("there is no target {name}; `list` names them"))
}
