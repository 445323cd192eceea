//! `mutants`: puts known mistakes back one by one, in a copy of the tree, and lets the simulator look for them.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use integration::mutants::{self, Budget, Tree, Verdict};

/// Builds the simulator with each known mistake and runs seeds until one fails. Takes one to three minutes for each.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only mutants whose name contains this.
    #[arg(default_value = "")]
    name: String,
    /// Seeds after which a mutant counts as alive.
    #[arg(long, default_value_t = 2000)]
    seeds: u64,
    /// Threads of the simulator.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Only list them.
    #[arg(long)]
    list: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let tree = Tree::new(mutants::folder());
    let budget = Budget { seeds: arguments.seeds, jobs: arguments.jobs };
    let mut alive = 0;
    for mutant in mutants::all()?.into_iter().filter(|mutant| mutant.name.contains(&arguments.name)) {
        if arguments.list {
            println!("{}: {}", mutant.name, mutant.prose);
            continue;
        }
        match mutants::run(&tree, &mutant, budget)? {
            Verdict::Killed { seeds, why, took } => {
                println!("| {} | killed | {seeds} seeds, {:.1} s | {why} |", mutant.name, took.as_secs_f64());
            }
            Verdict::KilledByTest { test, took } => {
                println!("| {} | killed | {:.1} s | test `{test}` |", mutant.name, took.as_secs_f64());
            }
            Verdict::Alive { took } => {
                alive += 1;
                println!("| {} | ALIVE | {} seeds, {:.1} s | |", mutant.name, budget.seeds, took.as_secs_f64());
            }
        }
    }
    if alive > 0 {
        eprintln!("{alive} mutants are alive");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
