//! Many seeds, one after the other on each of some threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::counts::Counts;
use super::{Options, Outcome, run};

/// Which seeds to run, and how.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub seeds: u64,
    /// On so many threads.
    pub jobs: usize,
    /// Each once only, instead of twice with equal hashes.
    pub is_once: bool,
    /// What else the seeds share.
    pub options: Options,
    /// Stop after so many failures.
    pub failures_max: usize,
}

/// What became of a campaign.
#[derive(Debug, Default)]
pub struct Summary {
    /// How many seeds were run.
    pub seeds: u64,
    /// Their figures added up.
    pub counts: Counts,
    /// Seeds that failed, and why.
    pub failures: Vec<(u64, String)>,
    /// How long the slowest seed took to come to rest once faults had ended, in nanoseconds, and which that was.
    pub slowest: (u64, u64),
    /// How long it took, on a real clock.
    pub elapsed: Duration,
}

impl Campaign {
    /// Runs all seeds. `progress` is told now and then.
    ///
    /// # Errors
    /// The options make no sense.
    pub fn run(&self, mut progress: impl FnMut(&Summary)) -> anyhow::Result<Summary> {
        let (next, start) = (AtomicU64::new(self.from), Instant::now());
        let (results, received) = mpsc::channel();
        let mut summary = Summary::default();
        let mut told = start;
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                let (next, results) = (&next, results.clone());
                scope.spawn(move || {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= self.from.saturating_add(self.seeds)
                            || results.send((seed, self.run_one(seed))).is_err()
                        {
                            return;
                        }
                    }
                });
            }
            drop(results);
            while let Ok((seed, outcome)) = received.recv() {
                let (counts, failure) = outcome?;
                summary.seeds += 1;
                summary.counts += &counts;
                summary.slowest = summary.slowest.max((counts.settling, seed));
                summary.failures.extend(failure.map(|failure| (seed, failure)));
                summary.elapsed = start.elapsed();
                if told.elapsed() >= PROGRESS_EVERY {
                    told = Instant::now();
                    progress(&summary);
                }
                if summary.failures.len() >= self.failures_max {
                    next.store(u64::MAX, Ordering::Relaxed);
                }
            }
            Ok(summary)
        })
    }

    fn run_one(&self, seed: u64) -> anyhow::Result<(Counts, Option<String>)> {
        let options = Options { seed, ..self.options.clone() };
        let Outcome { counts, violation, hash, .. } = run(&options)?;
        if let Some(violation) = violation {
            return Ok((counts, Some(format!("{}: {}", violation.property, violation.what))));
        }
        if !self.is_once && run(&options)?.hash != hash {
            return Ok((counts, Some("determinism: two runs have different hashes".to_owned())));
        }
        Ok((counts, None))
    }

    /// The command that shows what happened in a seed.
    #[must_use]
    pub fn replay(&self, seed: u64) -> String {
        let actor = self.options.actor.as_ref().map(|actor| format!(" --actor {actor}")).unwrap_or_default();
        let n = self.options.n.map(|n| format!(" --n {n}")).unwrap_or_default();
        let model = if self.options.is_crash_only { " --crash-only" } else { "" };
        let tentative = if self.options.tentative { " --tentative" } else { "" };
        format!("cargo run --release -p integration --bin sim -- --seed {seed}{actor}{n}{model}{tentative} --trace")
    }
}

impl Summary {
    /// A figure per seed.
    #[must_use]
    pub fn mean(&self, figure: u64) -> f64 {
        figure as f64 / self.seeds.max(1) as f64
    }

    /// Is such a seed worth counting? What issue and documents ask of the averages.
    ///
    /// # Errors
    /// Which average is too low.
    pub fn check_averages(&self) -> Result<(), String> {
        let decisions = self.mean(self.counts.decisions);
        let faults = self.mean(self.counts.faults_total());
        let changes = self.mean(self.counts.runs_with_regency_change);
        if decisions < DECISIONS_MIN {
            return Err(format!("only {decisions:.0} decisions per seed"));
        }
        if faults < FAULTS_MIN {
            return Err(format!("only {faults:.1} faults per seed"));
        }
        if changes < CHANGES_MIN {
            return Err(format!("a regency change in only {:.0} % of the seeds", changes * 100.0));
        }
        Ok(())
    }

    /// The figures for a person.
    #[must_use]
    pub fn report(&self) -> String {
        let counts = &self.counts;
        let mean = |figure| self.mean(figure);
        let mut lines = vec![
            format!(
                "{} seeds in {:.1} s ({:.1} per second), {:.0} s of virtual time, {} events, {} failures",
                self.seeds,
                self.elapsed.as_secs_f64(),
                self.seeds as f64 / self.elapsed.as_secs_f64().max(0.001),
                counts.time as f64 / 1e9,
                counts.events,
                self.failures.len()
            ),
            format!(
                "per seed: {:.1} decisions, {:.1} faults, {:.1} regency changes (in {:.0} % of seeds), {:.1} requests, \
                 {:.1} acknowledged, {:.1} blocks certified at each frontend or more",
                mean(counts.decisions),
                mean(counts.faults_total()),
                mean(counts.regency_changes),
                100.0 * mean(counts.runs_with_regency_change),
                mean(counts.requests),
                mean(counts.acknowledged),
                mean(counts.certified) / 3.0
            ),
            format!(
                "per seed: {:.1} checkpoints, {:.2} state transfers ({:.2} chunks), {:.1} restarts, {:.2} torn journals, \
                 {:.2} readmissions, {:.1} messages refused, {:.1} misbehaviours reported, {:.0} messages lost, {:.0} repeated",
                mean(counts.checkpoints),
                mean(counts.transfers),
                mean(counts.chunks),
                mean(counts.restarts),
                mean(counts.torn),
                mean(counts.readmitted),
                mean(counts.rejected),
                mean(counts.reports),
                mean(counts.messages_lost),
                mean(counts.messages_repeated)
            ),
            format!(
                "all well {:.2} s after the last fault on average, {:.2} s at most (seed {}); at most {} events planned",
                mean(counts.settling) / 1e9,
                counts.settling_max as f64 / 1e9,
                self.slowest.1,
                counts.queue_max
            ),
        ];
        if counts.foretold > 0 {
            let (foretold, retractions) = (mean(counts.foretold), mean(counts.retractions));
            lines.push(format!(
                "per seed: {foretold:.1} blocks signed before their decision, {retractions:.1} times taken back"
            ));
        }
        let kinds: Vec<String> = counts.faults.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        lines.push(format!("faults: {}", kinds.join(", ")));
        let tricks: Vec<String> = counts.tricks.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        let tricks = if tricks.is_empty() { "nothing".to_owned() } else { tricks.join(", ") };
        lines.push(format!(
            "configurations: {:.1} per seed, hand-overs: {:.1}; smuggled in vain: {tricks}",
            mean(counts.configurations),
            mean(counts.hand_overs)
        ));
        let worlds: Vec<String> = counts.worlds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        lines.push(format!("worlds: {}", worlds.join(", ")));
        lines.join("\n")
    }
}

/// What makes a seed worth counting.
const DECISIONS_MIN: f64 = 100.0;
const FAULTS_MIN: f64 = 10.0;
const CHANGES_MIN: f64 = 0.5;

const PROGRESS_EVERY: Duration = Duration::from_secs(5);
